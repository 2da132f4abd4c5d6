"""Functions that are called in the background, on real processes of a real local agent."""

import asyncio
import concurrent.futures
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hopx_magics.errors import RunFailed, UnknownConnection, ValueRefused
from hopx_magics.settings import Settings
from tests.conftest import stop_agent
from tests.waiting import wait_until

Run = Callable[[str], Any]


@pytest.fixture
def gate(cell: Run, tmp_path: Path) -> Path:
    """The file for which calls of `behind_gate` wait."""
    cell("import hopx_magics as hopx, time, os, numpy as np\nk = 2")
    cell("def fit(x, y=1):\n    return x * k + y")
    gate = tmp_path / "gate"
    cell(f"def behind_gate(x):\n    while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n    return x * k")
    return gate


# ---------------------------------------------------------------- map


def test_a_call_for_each_item(cell: Run, gate: Path) -> None:
    runs = cell("runs = hopx.map(fit, [1, 2, 3]); runs")
    assert runs.results() == [3, 5, 7]
    assert [run.name for run in runs] == ["fit"] * 3
    assert cell("hopx.map(fit, 'ab', iter([' ', '-']), name='two', limit=None)").results() == ["aa ", "bb-"]
    assert set(cell("hopx.history(name='two')")["status"]) == {"completed"}
    assert cell("hopx.map(fit, [])") == []
    assert cell("hopx.map(hopx.STATUSES.index, ['running'])").results() == [1]


def test_plain_arguments_are_parameters(cell: Run, gate: Path) -> None:
    runs = cell("hopx.map(fit, [1, np.int64(2)], ['a', 2.5], name='plain')")
    with pytest.raises(RunFailed, match="fit"):
        runs.results()
    assert [run.params for run in runs] == [{"x": 1, "y": "a"}, {"y": 2.5}]
    assert runs[1].result() == 6.5
    assert set(cell("hopx.history(name='plain', code=True)")["code"]) == {"fit(x, y)", "fit(_args[0], y)"}
    again = cell("hopx.rerun(hopx.launch(fit, args=(1,), kwargs={'y': 5}).wait(), params={'x': 10})")
    assert (again.result(), again.params) == (25, {"x": 10, "y": 5})


def test_a_parameter_means_nothing_else(cell: Run, gate: Path) -> None:
    cell("x = 100\ndef helper(): return x\ndef f(x, max=0): return x + max + helper()\ng = lambda y: y + x")
    assert cell("hopx.map(f, [1, 2], [3, 4])").results() == [104, 106]
    assert cell("hopx.map(g, [1])").results() == [101]
    runs = cell("hopx.map(max, [1, 2], [2, 1])")
    assert (runs.results(), runs[0].params) == ([2, 2], {})


def test_what_they_share_travels_once(cell: Run, gate: Path, state: Settings) -> None:
    cell("big = np.arange(100_000)\nclass P:\n    def __init__(self, x): self.x = x")
    cell("def use(x, other, p): return int(big.sum() + other.sum()), isinstance(p, P), p")
    runs = cell("hopx.map(use, range(3), [big + 1] * 3, [P(1)] * 3)")
    assert [(value, is_own) for value, is_own, _ in runs.results()] == [(10_000_000_000 - 100_000 + 100_000, True)] * 3
    assert cell("runs = hopx.map(use, range(1), [big], [P(7)])\nisinstance(runs.results()[0][2], P)")
    files = list((state.agent_folder / "workspace" / ".hopx" / "values").iterdir())
    assert sum(file.stat().st_size > 500_000 for file in files) == 2


def test_items_are_made_ready_one_by_one(cell: Run, gate: Path) -> None:
    made: list[weakref.ref[Any]] = []

    def arrays() -> Iterator[Any]:
        for number in range(12):
            assert sum(each() is not None for each in made) <= 3
            array = np.full(50_000, number)
            made.append(weakref.ref(array))
            yield array

    cell("def first(x): return int(x[0])\nhopx_map = hopx.map")
    runs = cell("hopx_map")(cell("first"), arrays())
    assert runs.results() == list(range(12))


def test_items_are_spread_over_connections(cell: Run, gate: Path, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    runs = cell("hopx.map(fit, [1, np.arange(2), 3, 4], on='a,b', limit=2)")
    assert [str(result) for result in runs.results()] == ["3", "[1 3]", "7", "9"]
    assert {run.connection for run in runs} == {"a", "b"}
    assert cell("hopx.Executor(on='b').submit(fit, 5).result()") == 11


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("hopx.map(5, [1])", ValueError, "'5' is no function"),
        ("hopx.map(fit)", ValueError, "there are no items"),
        ("hopx.map(fit, 5)", TypeError, "not iterable"),
        ("hopx.map(fit, [1], limit=0)", ValueError, "a limit of 0"),
        ("hopx.map(fit, [1], values={'x': 1})", ValueError, "values is for code"),
        ("hopx.map(fit, [1], on='nowhere')", UnknownConnection, "nowhere"),
        ("hopx.map(fit, [1, 2, lock])", ValueRefused, r"item 2: argument 1 of fit is a thread.lock, which can't trav"),
        ("hopx.map(fit, [1], [(x for x in [1])])", ValueRefused, r"item 0: argument 2 of fit is a generator"),
        ("hopx.map(bad, [1, 2])", ValueRefused, "lock, which bad uses, is a thread.lock"),
        ("hopx.Executor().map(fit, [1, lock])", ValueRefused, "item 1: argument 1 of fit"),
        ("hopx.Executor().submit(fit, y=lock)", ValueRefused, "argument y of fit is a thread.lock"),
        ("hopx.launch(fit, args=((x for x in [1]),))", ValueRefused, "argument 1 of fit is a generator"),
    ],
)
def test_what_can_not_be_called(cell: Run, gate: Path, call: str, error: type[Exception], words: str) -> None:
    cell("import threading\nlock = threading.Lock()\ndef bad(x): return lock")
    with pytest.raises(error, match=words):
        cell(call)
    assert cell("%hopx_ps").empty


def test_a_call_that_fails(cell: Run, gate: Path) -> None:
    cell("def half(x):\n    if x % 2: raise ValueError(f'{x} is odd')\n    return x // 2")
    runs = cell("hopx.map(half, [2, 3, 4])")
    with pytest.raises(RunFailed, match="3 is odd") as failed:
        runs.results()
    assert isinstance(failed.value.__cause__, ValueError)
    assert [run.params for run in runs.failed] == [{"x": 3}]
    assert runs[2].result() == 2


def test_calls_go_on_when_the_notebook_is_gone(hopx: Any, tmp_path: Path, state: Settings) -> None:
    gate = tmp_path / "gate"
    script = (
        "import hopx_magics as hopx, os, time\n"
        f"def fit(x):\n    while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n    return x[0] * 2\n"
        "hopx.map(fit, ([n] * 300 for n in range(5)), limit=1)\n"
        "print(hopx.Executor(name='sent').submit(fit, [21]).run.run_id, flush=True)\n"
        "time.sleep(1000)"
    )
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    run_id = program.stdout.readline().strip()
    program.kill()
    program.communicate()
    stop_agent(state, signal.SIGKILL)
    assert sorted(hopx.ps(name="fit")["status"]) == ["queued"] * 4 + ["running"]
    gate.touch()
    assert [run.result() for run in hopx.wait("fit")] == [0, 2, 4, 6, 8]
    assert hopx.attach(run_id).result() == hopx.attach("sent").result() == 42


# ---------------------------------------------------------------- as an executor


def test_futures(cell: Run, gate: Path) -> None:
    cell("def fail(x): raise LookupError(x)")
    cell("executor = hopx.Executor(limit=2)")
    slow, quick = cell("executor.submit(behind_gate, 1), executor.submit(fit, 1, y=2)")
    assert next(concurrent.futures.as_completed([slow, quick])) is quick
    assert quick.result() == 4
    assert not slow.done()
    gate.touch()
    failed = cell("executor.submit(fail, 'key')")
    assert not concurrent.futures.wait([slow, quick, failed]).not_done
    assert (slow.result(), slow.run.result()) == (2, 2)
    with pytest.raises(LookupError, match="key") as raised:
        failed.result()
    assert isinstance(raised.value.__cause__, RunFailed)
    assert list(cell("executor.map(fit, [1, 2], [3, 4])")) == [5, 8]
    cell("executor.shutdown()")
    with pytest.raises(RuntimeError, match="after shutdown"):
        cell("executor.submit(fit, 1)")
    assert cell("hopx.history()")["sweep_id"].nunique() == 1


def test_futures_that_are_cancelled(cell: Run, gate: Path) -> None:
    first, second, third, fourth = cell(
        "executor = hopx.Executor(limit=1)\n[executor.submit(behind_gate, x) for x in range(4)]"
    )
    wait_until(first.running, "the first one runs")
    assert (first.cancel(), second.cancel(), second.cancel()) == (False, True, True)
    assert second.run.status == "killed"
    third.run.kill()
    with pytest.raises(RunFailed):
        third.result()
    cell("executor.shutdown(wait=False, cancel_futures=True)")
    assert concurrent.futures.wait([second, fourth]).done == {second, fourth}
    assert fourth.cancelled()
    assert not first.done()
    gate.touch()
    assert first.result() == 0


def test_results_that_nobody_wants(cell: Run, gate: Path) -> None:
    results = cell("hopx.Executor(limit=1).map(behind_gate, [1, 2], timeout=0.01)")
    with pytest.raises(TimeoutError):
        next(results)
    assert sorted(cell("%hopx_ps")["status"]) == ["killed", "running"]


def test_asynchronous_code(cell: Run, gate: Path) -> None:
    cell("async def later(x):\n    return x + k")

    async def gathered() -> list[Any]:
        with cell("hopx").Executor() as executor:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(executor, cell("fit"), x) for x in range(2)]
            return await asyncio.gather(*calls, asyncio.wrap_future(executor.submit(cell("later"), 5)))

    assert asyncio.run(gathered()) == [1, 3, 7]
