"""Cells run as scripts do: their signals, children, exit codes and traces. The runner is started as agents start it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hopx_magics.local_agent.programs import RUNNER

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> "subprocess.Popen[str]":
        cell = tmp_path / "cell.py"
        cell.write_text(code)
        process = subprocess.Popen(
            [sys.executable, "-P", str(RUNNER / "__main__.py"), str(cell)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end_when_begun(process: "subprocess.Popen[str]", number: int) -> tuple[int, str, str]:
    """How a cell exits, and what it writes, that gets a signal as soon as it has written that it has begun."""
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    return finish(process)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """How a cell exits, and what it writes."""
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


ENDS = {
    "nothing": ("x = 1", 0, ""),
    "the last value": ("x = 1\nx + 1", 0, "2\n"),
    "the last value, silenced": ("1 + 1;  # said", 0, ""),
    "the last value in brackets, silenced": ("x = 'a;b'; (\n 1  # one;\n);", 0, ""),
    "a text with a semicolon": ("x = 1; 'ä;'  # no; it is not", 0, "'ä;'\n"),
    "no last value": ("None", 0, ""),
    "plain values, without IPython": (
        "import atexit, sys\natexit.register(lambda: print('IPython' in sys.modules))\n(1, 'a', None)",
        0,
        "(1, 'a', None)\nFalse\n",
    ),
    "only the last one": ("1\n2", 0, "2\n"),
    "an exit code": ("import sys; sys.exit(3)", 3, ""),
    "exit alone": ("print(1)\nexit", 0, "1\n"),
    "tasks without await": (
        "import asyncio\nasync def f(): print('ran')\ntask = asyncio.create_task(f())\nprint('made')",
        0,
        "made\nran\n",
    ),
    "a text as exit code": ("import sys; sys.exit('why')", 1, ""),
    "an exit at once": ("import os\nprint('out', flush=True)\nos._exit(4)", 4, "out\n"),
    "an error": ("1 / 0", 1, ""),
    "atexit": ("import atexit\natexit.register(print, 'at the end')\nprint('cell')", 0, "cell\nat the end\n"),
    "a thread that goes on": (
        "import threading, time\nt = threading.Timer(0.1, print, ['late'])\nt.start()\nprint('soon')",
        0,
        "soon\nlate\n",
    ),
    "a segfault": ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV, ""),
    "what a script is": (
        "import sys\nprint(__name__, sys.argv == [__file__], 'runner' in ' '.join(sys.path))",
        0,
        None,
    ),
    "await": ("import asyncio\nawait asyncio.sleep(0)\nawait asyncio.sleep(0, 5)", 0, "5\n"),
    "async loops": ("async def f():\n    yield 1\nasync for x in f():\n    print(x)", 0, "1\n"),
    "a magic": ("%env HOPX_NO_SUCH=1\nimport os\nprint(os.environ['HOPX_NO_SUCH'])", 0, "env: HOPX_NO_SUCH=1\n1\n"),
    "a command": ("word = 'hello'\n!echo {word}", 0, "hello\n"),
    "a command's output": ("files = !echo a b\nprint(files[0])", 0, "a b\n"),
    "a cell magic": ("%%capture out\nprint('caught')", 0, ""),
    "a cell magic behind parameters": ("n = 2\n%%capture\nprint(n)", 0, ""),
    "forked children": (
        "from multiprocessing import get_context\ndef f(x): return x * 2\n"
        "with get_context('fork').Pool(2) as p: print(p.map(f, [1, 2]))",
        0,
        "[2, 4]\n",
    ),
    "spawned children": (
        "from multiprocessing import get_context\ndef f(x): return x * 2\nif __name__ == '__main__':\n"
        "    with get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2]))",
        0,
        "[2, 4]\n",
    ),
    "spawned children, not guarded": (
        "from multiprocessing import get_context\nfrom concurrent.futures import ProcessPoolExecutor as E\n"
        "def f(x): return x * 2\nfor how in ('spawn', 'forkserver'):\n"
        "    with get_context(how).Pool(1) as p: print(p.map(f, [1, 2]))\n"
        "    with E(1, get_context(how)) as e: print(list(e.map(f, [3])))",
        0,
        "[2, 4]\n[6]\n" * 2,
    ),
    "spawned children below those of joblib": (
        "from joblib import Parallel, delayed\nfrom multiprocessing import get_context\ndef f(x): return x * 2\n"
        "print(Parallel(2)(delayed(f)(x) for x in (1, 2)))\n"
        "with get_context('spawn').Pool(1) as p: print(p.map(f, [3]))",
        0,
        "[2, 4]\n[6]\n",
    ),
    "spawned children of a cell with magics": (
        "x = !echo 3\nfrom multiprocessing import get_context\ndef f(v): return v * int(x[0])\n"
        "if __name__ == '__main__':\n    with get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2]))",
        0,
        "[3, 6]\n",
    ),
    "a handler of its own": (
        "import signal, os\nsignal.signal(signal.SIGTERM, lambda *a: print('handled'))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\nprint('on')",
        0,
        "handled\non\n",
    ),
    "a hook of its own": (
        "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1 / 0",
        1,
        "hook ZeroDivisionError\n",
    ),
    "a stdout of its own": ("import sys, io\nsys.stdout = io.StringIO()\n5", 0, ""),
    "a closed stdout": ("import sys\nsys.stdout.close()", 0, ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_it_ends(name: str, start: Start) -> None:
    code, expected, written = ENDS[name]
    if "joblib" in code:
        pytest.importorskip("joblib")
    returncode, stdout, stderr = finish(start(code))
    assert returncode == expected, stderr
    assert stdout == written if written is not None else stdout == "__main__ True False\n"


def test_finally_and_atexit_run_when_it_is_terminated(start: Start) -> None:
    code = (
        "import atexit, time\natexit.register(print, 'atexit')\n"
        "try:\n    print('begun', flush=True)\n    time.sleep(600)\nfinally:\n    print('finally')"
    )
    assert end_when_begun(start(code), signal.SIGTERM) == (-signal.SIGTERM, "finally\natexit\n", "")


def test_it_is_terminated_also_where_no_exception_gets_out(start: Start) -> None:
    """Python ignores what is raised in `__del__`, and in functions that C code calls: callbacks of weak references."""
    code = (
        "import time\nclass Dying:\n    def __del__(self):\n        print('begun', flush=True)\n"
        "        time.sleep(600)\n"
        "try:\n    Dying()\n    time.sleep(600)\nfinally:\n    print('finally')"
    )
    assert end_when_begun(start(code), signal.SIGTERM) == (-signal.SIGTERM, "finally\n", "")


def test_children_have_no_handler_of_ours(start: Start) -> None:
    code = (
        "import os, signal, time\nfrom multiprocessing import get_context\n"
        "child = get_context('fork').Process(target=time.sleep, args=(600,))\nchild.start()\n"
        "child.terminate()\nchild.join()\nprint(child.exitcode)"
    )
    assert finish(start(code)) == (0, f"{-signal.SIGTERM}\n", "")


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_is_that_of_a_script(start: Start) -> None:
    returncode, _, stderr = end_when_begun(
        start("import time\nprint('begun', flush=True)\ntime.sleep(600)"), signal.SIGINT
    )
    assert returncode == -signal.SIGINT
    assert stderr.splitlines()[-1] == "KeyboardInterrupt"


TRACES = {
    "an error": (
        "def f():\n    raise ValueError('no')\nf()",
        ["line 3, in <module>", "line 2, in f", "ValueError: no"],
    ),
    "a cause": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
        ["line 2, in <module>", "ZeroDivisionError", "line 4, in <module>", "KeyError: 'k'"],
    ),
    "no Python": ("x = 1\nprint(", ["line 2", "SyntaxError"]),
    "within await": (
        "import asyncio\nasync def f():\n    raise ValueError('no')\nawait f()",
        ["line 4, in <module>", "line 3, in f", "ValueError: no"],
    ),
    "input": ("input('?')", ["line 1, in <module>", "EOFError: input(): nobody can answer"]),
    "behind a magic": ("!true\n1 / 0", ["line 2, in <module>", "1 / 0", "ZeroDivisionError"]),
}


@pytest.mark.parametrize("name", TRACES)
def test_traces_have_the_cell_s_own_frames(name: str, start: Start) -> None:
    code, parts = TRACES[name]
    _, _, stderr = finish(start(code))
    assert "hopx" not in stderr
    assert "asyncio" not in stderr.replace("import asyncio", "")
    position = -1
    for part in parts:
        position = stderr.index(part, position + 1)
