"""Python cells are programs like any other, and have the chance to clean up when they are asked to end."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hopx_magics
from hopx_magics.local_agent.programs import RUNNER
from tests.waiting import DEADLINE

from .conftest import Agent, StartAgent

CLEANS_UP = """
import atexit, time
atexit.register(print, "atexit", flush=True)
try:
    print("ready", flush=True)
    {work}
finally:
    print("finally", flush=True)
"""

SLEEPS = "time.sleep(1000)"

AWAITS = """
    import asyncio
    async def main():
        try:
            print("begun", flush=True)
            await asyncio.sleep(1000)
        finally:
            print("coroutine", flush=True)
    asyncio.run(main())
"""

FORKS = """
    import os
    if os.fork() == 0:
        time.sleep(1000)
    time.sleep(1000)
"""

HAS_THREADS = """
    import threading
    threading.Thread(target=time.sleep, args=[1000]).start()
"""


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (SLEEPS, ["finally"]),
        (AWAITS, ["begun", "coroutine", "finally"]),
        (FORKS, ["finally"]),
        (HAS_THREADS, ["finally"]),
    ],
)
def test_a_kill_lets_it_clean_up(patient_agent: Agent, work: str, said: list[str]) -> None:
    agent = patient_agent
    process_id = agent.launch(CLEANS_UP.format(work=work), "python")
    agent.wrote(process_id, {HAS_THREADS: "finally\n", AWAITS: "begun\n"}.get(work, "ready\n"))
    assert agent.kill(process_id).status_code == 200
    row = agent.row(process_id)
    assert (row["status"], row["exit_code"], row["stderr"]) == ("killed", 143, "")
    assert row["stdout"].split() == ["ready", *said, "atexit"]


def test_a_time_limit_lets_it_clean_up(patient_agent: Agent) -> None:
    row = patient_agent.timed_out(CLEANS_UP.format(work=SLEEPS), "python")
    assert (row["exit_code"], row["stdout"].split()) == (143, ["ready", "finally", "atexit"])


def test_a_handler_of_its_own_wins(patient_agent: Agent) -> None:
    agent = patient_agent
    work = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); print('set', flush=True); "
    process_id = agent.launch(CLEANS_UP.format(work=work + SLEEPS), "python")
    agent.wrote(process_id, "set\n")
    agent.kill(process_id)
    row = agent.row(process_id)
    assert (row["status"], row["exit_code"]) == ("killed", 9)


def test_what_does_not_end_is_forced_to(agent: Agent) -> None:
    process_id = agent.launch(CLEANS_UP.format(work=SLEEPS) + "    while True: time.sleep(1)", "python")
    agent.wrote(process_id, "ready\n")
    agent.kill(process_id)
    row = agent.row(process_id)
    assert (row["status"], row["exit_code"], row["stdout"].split()) == ("killed", 137, ["ready", "finally"])


# ---------------------------------------------------------------- as a plain program

ABOUT_ITSELF = """
'''A docstring.'''
from __future__ import annotations
import inspect, os, pickle, sys
import __main__

class Thing:
    size: int = 1

print(__name__, __doc__, __spec__, __package__, __cached__, os.path.basename(__file__), __annotations__)
print(type(__builtins__), type(__loader__), sorted({*globals()} - {"display", "get_ipython"}), sys.argv == [__file__])
print(sys.path, sys.flags.safe_path)
print(__main__.Thing is Thing, type(pickle.loads(pickle.dumps(Thing()))) is Thing, inspect.getsource(Thing))
"""

POOLS = """
import multiprocessing, sys

def square(x):
    return x * x

if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(5)))
"""

NESTED_ERROR = """
def fail():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise ValueError("no") from error
fail()
"""

ENDS = {
    "about itself": ABOUT_ITSELF,
    "pools": POOLS,
    "an error": NESTED_ERROR,
    "a syntax error": "print('never')\nx = (",
    "an encoding": b"# coding: latin-1\nprint(ascii('\xe9'))",
    "an exit": "import sys; sys.exit(7)",
    "an exit with words": "import sys; sys.exit('bad')",
    "an interrupt": "raise KeyboardInterrupt",
    "an error in a thread": "import threading\nthreading.Thread(target=lambda: 1 / 0).start()",
    "a hook": "import sys\nsys.excepthook = lambda *error: print(error[:2])\n1 / 0",
    "a group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "an executor": "from concurrent.futures import ThreadPoolExecutor as E\nE(2).submit(print, 'done');",
    "a signal": "import os\nos.kill(os.getpid(), 9)",
    "an exit in a forked child": "import os\nif os.fork(): print(os.wait()[1])\nelse: raise SystemExit(3)",
    "a closed stdout": "import sys\nsys.stdout.close()",
}


@pytest.mark.parametrize("what", ENDS)
def test_it_is_what_it_would_be_without_the_runner(tmp_path: Path, what: str) -> None:
    code = ENDS[what]
    cell = tmp_path / "cell.py"
    cell.write_bytes(code if isinstance(code, bytes) else code.encode())
    plain, cells = (
        subprocess.run([sys.executable, "-P", *runner, str(cell)], capture_output=True, text=True, timeout=DEADLINE)
        for runner in ([], [str(RUNNER / "__main__.py")])
    )
    assert (cells.returncode, cells.stdout, cells.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_agents_show_no_frame_of_the_runner(agent: Agent) -> None:
    row = agent.ended(agent.launch("def f():\n    1 / 0\nf()", "python"))
    assert (row["status"], row["exit_code"]) == ("failed", 1)
    assert [line.split(", ")[1:] for line in row["stderr"].splitlines() if line.startswith("  File")] == [
        ["line 3", "in <module>"],
        ["line 2", "in f"],
    ]


def test_the_package_is_removed_under_a_running_agent(start_agent: StartAgent, tmp_path: Path) -> None:
    """As it is for a moment when it is upgraded."""
    place = tmp_path / "site"
    shutil.copytree(Path(hopx_magics.__file__).parent, place / "hopx_magics")
    agent = start_agent(env={"PYTHONPATH": str(place)})
    shutil.rmtree(place)
    rows = [
        agent.ended(agent.launch(code, language)) for code, language in (("echo 1", "bash"), ("print(1)", "python"))
    ]
    assert [(row["status"], row["stdout"]) for row in rows] == [("completed", "1\n")] * 2
    assert agent.http.post("/execute", json={"code": "print(2)"}).json()["stdout"] == "2\n"


def test_what_was_never_begun_says_so(start_agent: StartAgent) -> None:
    agent = start_agent()
    shutil.rmtree(agent.folder / "tools")
    row = agent.ended(agent.launch("echo 1"))
    assert (row["status"], row["exit_code"]) == ("failed", None)
    assert "not started" in row["message"]
