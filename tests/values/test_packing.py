"""Variables of a real IPython, as they arrive in another Python."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from hopx_magics.errors import ValueRefused
from hopx_magics.local_agent.programs import RUNNER
from hopx_magics.magics.values import FUTURES
from hopx_magics.values.packing import Notebook, Packed, pack_named, pack_needed
from hopx_magics.values.storing import store


@pytest.fixture
def shell() -> InteractiveShell:
    return InteractiveShell()


def notebook(shell: InteractiveShell, *cells: str) -> Notebook:
    """The notebook after these cells."""
    hidden = frozenset(shell.user_ns)
    for cell in cells:
        shell.run_cell(cell, store_history=True).raise_error()
    return Notebook(shell.user_ns, hidden, shell.transform_cell, shell.compile.flags & FUTURES)


def arrive(packed: Packed, code: str, folder: Path) -> str:
    """What `code` prints as a cell that gets these values."""
    manifest, *_ = store(folder / "in", packed, [])
    (folder / "cell.py").write_text(code)
    command = [sys.executable, "-P", str(RUNNER / "__main__.py"), str(folder / "cell.py")]
    env = {**os.environ, "HOPX_VALUES": str(folder / "in" / manifest)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CASES = {
    "data": (["n = 3; t = 'x'"], "print(n, t)", "3 x"),
    "a module by another name": (["import numpy as np"], "print(np.arange(2).sum())", "1"),
    "a part of a module": (["from os.path import join"], "print(join('a', 'b'))", "a/b"),
    "a module within one": (["import os.path"], "print(os.path.join('a', 'b'))", "a/b"),
    "a DataFrame": (
        ["import pandas as pd\ndf = pd.DataFrame({'a': range(100_000)})"],
        "print(df.a.sum())",
        "4999950000",
    ),
    "a function and what it needs": (
        ["k = 2\ndef g(x): return x * k", "def f(x): return g(x) + 1"],
        "print(f(3))",
        "7",
    ),
    "functions that need each other": (
        ["def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)"],
        "print(even(10))",
        "True",
    ),
    "odd text": (["def f(): return 'é\"\\x00\\\\/😀'"], "print(ascii(f()))", ascii('é"\x00\\/😀')),
    "a closure": (["def adder(n):\n    return lambda x: x + n\nadd = adder(2)"], "print(add(3))", "5"),
    "a default that is a value": (["rate = 2\ndef f(x, r=rate): return x * r\nrate = 5"], "print(f(3))", "6"),
    "a partial": (["from functools import partial\ndef f(a, b): return a - b\np = partial(f, 10)"], "print(p(3))", "7"),
    "a dataclass and its instance": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    def up(self): return self.x + 1",
            "p = P(1)",
        ],
        "print(p.up(), isinstance(p, P), P(4))",
        "2 True P(x=4)",
    ),
    "an instance alone": (["class A:\n    def m(self): return 'm'\na = A()"], "print(a.m())", "m"),
    "a class with its base": (["class B:\n    k = 1\nclass C(B): pass"], "print(C.k)", "1"),
    "a class that was changed": (["class A: pass\nA.extra = 5"], "print(A.extra)", "5"),
    "a decorated function": (["import functools\n@functools.cache\ndef f(x): return x + 1"], "print(f(1))", "2"),
    "a function of a cell with magics": (["%time\ndef f(): return 1\n!true"], "print(f())", "1"),
    "a function that was defined anew": (["def f(): return 1", "def f(): return 2"], "print(f())", "2"),
    "one thing under two names": (["a = [1]; b = {'a': a}"], "b['a'].append(2); print(a)", "[1, 2]"),
    "a list of functions": (["def f(): return 1\nfs = [f, lambda: 2]"], "print([f() for f in fs])", "[1, 2]"),
    "a name in a formula": (["import math"], "print(eval('math.sqrt(4)'))", "2.0"),
    "the last value": (["40 + 2"], "print(_ + 1)", "43"),
    "the values before": (["1", "2"], "print(_, __, repr(___))", "2 1 ''"),
    "an earlier value": (["40 + 2", "'large' * 10"], "print(Out[1], list(Out))", "42 [1]"),
    "a lambda and the cell's own variables": (["k = 1\nlam = lambda x: x * k"], "k = 10\nprint(lam(2))", "20"),
    "a closure that changes a variable": (
        [
            "import functools\ntot = 0\ndef timed(f): return functools.wraps(f)(lambda *a: f(*a))",
            "@timed\ndef inc():\n    global tot\n    tot += 1",
        ],
        "inc(); inc(); print(tot)",
        "2",
    ),
    "a class whose attribute was changed": (["class A:\n    lr = 0.1\nA.lr = 0.5"], "print(A.lr)", "0.5"),
    "a default of a method that was a variable": (
        ["m = 3\nclass A:\n    def f(self, m=m): return m\nm = 4"],
        "print(A().f())",
        "3",
    ),
    "a class whose body needs a variable, and its instance": (
        ["n = 5\nclass A:\n    size = n\na = A()"],
        "print(a.size, A.size)",
        "5 5",
    ),
    "a class that registers itself": (
        ["seen = {}\ndef register(c):\n    seen[c.__name__] = c\n    return c\n@register\nclass A: pass"],
        "print(list(seen), seen['A'] is A)",
        "['A'] True",
    ),
    "a name with an underscore": (["def _helper(): return 4"], "print(_helper())", "4"),
    "modules within modules": (
        ["import concurrent.futures, xml.etree.ElementTree"],
        "print(concurrent.futures.ThreadPoolExecutor, xml.etree.ElementTree.Element)",
        "<class 'concurrent.futures.thread.ThreadPoolExecutor'> <class 'xml.etree.ElementTree.Element'>",
    ),
    "annotations that are not evaluated": (
        ["from __future__ import annotations", "def f(x: Nope): return x"],
        "def g(y: Nope): return y\nprint(f(1) + g(2))",
        "3",
    ),
    "a variable that the cell sets itself": (["f = (x for x in [1])"], "for f in [1, 2]: pass\nprint(f)", "2"),
    "iterators where they are": (
        ["import io, itertools\nit = iter([1, 2]); next(it)\nz = zip('ab', [1, 2]); b = io.StringIO('c')"],
        "print(list(it), list(z), b.read())",
        "[2] [('a', 1), ('b', 2)] c",
    ),
    "variables of types": (
        [
            "from typing import *\nT = TypeVar('T')\nId = NewType('Id', int)\nP = ParamSpec('P')",
            "class Box(Generic[T]):\n    v: Id = 1\nbox = Box[int]()\ndef f(g: Callable[P, T]) -> T: return g()",
        ],
        "print(box.v, Box[str].__args__, f(lambda: Id(2)))",
        "1 (<class 'str'>,) 2",
    ),
    "a function that dispatches": (
        [
            "from functools import singledispatch\nclass A: pass",
            "@singledispatch\ndef told(x): return 'other'\n"
            "@told.register\ndef _(x: int): return 'int ' + told('')\n@told.register\ndef _(x: A): return 'A'",
        ],
        "print(told(1), told(A()), told(''))",
        "int other A other",
    ),
    "names in texts, where all are looked at": (
        ["n = 1; k = 2; m = 3"],
        "print(globals()['n'], 'k' in globals(), locals().get('m'))",
        "1 True 3",
    ),
    "an iterator of the notebook's own": (
        ["class It:\n    def __iter__(self): return self\n    def __next__(self): return 1\nit = It()"],
        "print(next(it))",
        "1",
    ),
    "a text like a cell magic": (
        ["x = 1"],
        '%env HOPX_A=1\nsql = """\n%%like\n"""\nprint(len(sql))',
        "env: HOPX_A=1\n8",
    ),
    "an enum": (["import enum\nclass E(enum.Enum):\n    A = 1\ne = E.A"], "print(e is E.A)", "True"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_arrives(name: str, shell: InteractiveShell, tmp_path: Path) -> None:
    cells, code, printed = CASES[name]
    assert arrive(pack_needed(code, notebook(shell, *cells)), code, tmp_path) == printed


def names(packed: Packed) -> set[str]:
    every: list[Any] = [*packed.imports, *packed.definitions, *packed.data]
    return {one.name for one in every}


def test_only_what_is_needed_goes(shell: InteractiveShell) -> None:
    cells = "import os, sys\ndf = 1; other = 2\ndef f(): return df\ndef g(): return other"
    assert names(pack_needed("f(); In; get_ipython()", notebook(shell, cells))) == {"f", "df"}


def test_large_buffers_are_not_copied(shell: InteractiveShell) -> None:
    packed = pack_needed("a, b", notebook(shell, "import numpy as np\na = np.zeros(1_000_000); b = a"))
    assert [buffer.nbytes for buffer in packed.buffers] == [8_000_000]
    assert len(packed.stream) < 1000
    assert json.dumps([datum[:3] for datum in packed.data]).startswith('[["a", "numpy.ndarray", 8000')


REFUSED = {
    "a generator": ("rows = (x for x in [1])", "rows", "rows is a generator, which can't travel"),
    "a file": ("f = open('/dev/null')", "f", "f is an io.TextIOWrapper"),
    "a lock": ("import threading\nlock = threading.Lock()", "lock", "lock is a thread.lock"),
    "a database": ("import sqlite3\nconn = sqlite3.connect(':memory:')", "conn", "conn is a sqlite3.Connection"),
    "what a function uses": (
        "import threading\nlock = threading.Lock()\ndef f():\n    with lock: pass",
        "f()",
        "lock, which f uses, is a thread.lock",
    ),
    "deep within": ("d = {'a': [(x for x in [1])]}", "d", "d is a dict, which can't travel"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, shell: InteractiveShell) -> None:
    cell, code, message = REFUSED[name]
    with pytest.raises(ValueRefused) as refused:
        pack_needed(code, notebook(shell, cell))
    assert message in str(refused.value)


def test_a_name_that_there_is_not(shell: InteractiveShell) -> None:
    with pytest.raises(ValueRefused, match="nosuch is no variable"):
        pack_named(["nosuch"], notebook(shell))


# ---------------------------------------------------------------- known without them


def test_the_hash_of_a_value_is_that_of_its_content_alone(shell: InteractiveShell) -> None:
    import numpy as np

    same, text = [1, "a"], "long enough to be remembered"
    big = np.arange(100_000)
    values = {"x": same, "y": [same, text], "text": text, "array": big, "copy": big.copy(), "other": big + 1}
    alone = {name: pack_named([name], Notebook(values)).facts()[0] for name in values}
    together = {fact.name: fact for fact in pack_named(values, Notebook(values)).facts()}
    assert {name: fact.hash for name, fact in together.items()} == {name: fact.hash for name, fact in alone.items()}
    assert together["array"].hash == together["copy"].hash
    assert len({fact.hash for fact in together.values()}) == len(values) - 1
    assert together["array"].in_words() == "numpy.ndarray, 800 kB"


def test_what_takes_too_long_to_be_hashed_has_none(shell: InteractiveShell) -> None:
    values = {"first": "x" * 3_000_000, "then": "y" * 3_000_000}
    first, then = pack_named(values, Notebook(values)).facts()
    assert first.hash is not None
    assert then.hash is None


def test_what_is_known_of_definitions_and_modules(shell: InteractiveShell) -> None:
    cell = "import numpy as np\nfrom json import loads\ndef f(): return 1\nclass A: pass"
    one = pack_named(["np", "loads", "f", "A"], notebook(shell, cell)).facts()
    assert {fact.name: fact.in_words() for fact in one} == {
        "np": "module numpy", "loads": "import json.loads", "f": "function", "A": "class",
    }  # fmt: skip
    shell.run_cell("def f(): return 2").raise_error()
    (other,) = pack_named(["f"], Notebook(shell.user_ns)).facts()
    assert other.hash != one[0].hash
