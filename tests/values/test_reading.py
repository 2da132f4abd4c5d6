"""What a cell needs from the notebook, found from its text."""

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from hopx_magics.values.reading import names_mentioned, names_perhaps_read, names_read

CELLS = {
    "a name": ("df.head()", "df"),
    "an import is no need": ("import numpy as np\nnp.zeros(3)", ""),
    "an import of a part": ("import os.path\nos.getcwd()", ""),
    "set before it is read": ("x = 1\nx + y", "y"),
    "read and set anew": ("x = x + 1", "x"),
    "set in place": ("total += step", "total step"),
    "only annotated": ("x: int\nx", "int x"),
    "set in both branches": ("if flag:\n    a = 1\nelse:\n    a = 2\na", "flag"),
    "set in one branch": ("if flag:\n    a = 1\na", "flag a"),
    "the other branch leaves": ("if flag:\n    a = 1\nelse:\n    raise SystemExit\na", "flag SystemExit"),
    "a loop's variable, behind it": ("for i in items:\n    n = i\ni, n", "items i n"),
    "a loop that is left": ("for i in items:\n    if i > most: break\n    else: continue", "items most"),
    "a loop's variable, within": ("for i, (a, b) in items:\n    print(i, a, b)", "items print"),
    "a loop's target that is read": ("for row[0] in items: pass", "items row"),
    "with": ("with open(path) as f:\n    text = f.read()\ntext", "open path"),
    "try": ("try:\n    a = load()\nexcept Missing as e:\n    a = e\na", "load Missing"),
    "try, not surely": ("try:\n    a = load()\nexcept Missing:\n    pass\na", "load Missing a"),
    "match": (
        "match point:\n    case Point(x=0, y=y) if y > limit:\n        y\n    case other:\n        other",
        "point Point limit",
    ),
    "a deleted name": ("x = 1\ndel x\nx", "x"),
    "a comprehension": ("[a + b for a in rows if a]", "rows b"),
    "a comprehension's variable is its own": ("[a for a in rows]\na", "rows a"),
    "a lambda": ("f = lambda x: x * scale", "scale"),
    "a text with values": ("f'{name:>{width}}'", "name width"),
    "a function reads when it is used": ("def f():\n    return data\ndata = 1\nf()", ""),
    "a function that is used before": ("def f():\n    return data\nf()\ndata = 1", "data"),
    "a function that nobody uses": ("def f():\n    return data", "data"),
    "functions that use each other": ("def f():\n    return g()\ndef g():\n    return h\nh = 1\nf()", ""),
    "a function's arguments and variables": (
        "def f(a, *b, c=start, **d):\n    e = a\n    return e, b, c, d\nf()",
        "start",
    ),
    "a decorator and an annotation": ("@cache\ndef f(a: Table) -> Row:\n    pass", "cache Table Row"),
    "a class": (
        "class A(Base):\n    size = limit\n    half = size / 2\n    def m(self):\n        return later\nlater = 1\nA()",
        "Base limit",
    ),
    "a function with a nested one": ("def f():\n    def g():\n        return deep\n    return g()\nf()", "deep"),
    "await": ("result = await fetch(url)", "fetch url"),
    "a star": ("first, *rest = values\nrest", "values"),
    "a query": ("df.query('a > @limit and b < 3')", "df limit a b"),
    "an evaluated text": ("eval('a + b')", "eval a b"),
    "a cell magic": ("%%time\nmodel.fit(X)", "model X"),
    "a line magic": ("%timeit f(x)", "f x"),
    "a magic's value": ("t = %timeit -o f(x)", "f x"),
    "a line magic with options": ("%timeit -n1 -r1 df + 1", "df"),
    "the line of a cell magic": ("%%writefile {folder}/$name\ntext", "folder name text"),
    "a class that reads what it sets": ("class A:\n    n = n", "n"),
    "deleting": ("del big", "big"),
    "a shell line": ("!echo {a + b} $c ${d}", "a b c d"),
    "the shell's output": ("files = !ls {folder}\nfiles", "folder"),
}


@pytest.mark.parametrize("name", CELLS)
def test_what_a_cell_reads(name: str) -> None:
    code, expected = CELLS[name]
    transform = TransformerManager().transform_cell
    assert [n for n in names_read(code, transform) if n != "get_ipython"] == expected.split()


def test_what_a_cell_may_do_without() -> None:
    assert names_perhaps_read("for f in items: pass\nprint(f, g)") == {"f"}


def test_names_in_texts() -> None:
    assert names_mentioned("smf.ols('y ~ np.log(x)', data=df)") == {"y", "np", "log", "x"}
    assert names_mentioned("'{:.2f}'.format(x), 'no formula of f'") == set()


def test_no_python() -> None:
    with pytest.raises(SyntaxError):
        names_read("a b c")
