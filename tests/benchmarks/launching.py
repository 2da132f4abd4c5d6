"""A launch until its reply, its first line of output, and until the notebook knows of its end."""

import contextlib
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hopx_magics as hopx

from .measure import Skipped, medians, seconds, shares, told
from .places import environment, own_place
from .report import Row, ratio, surplus, took
from .standins import standins

SLOTS = 4
"""Processes that run at once, here and with task-spooler."""


def reply(smallest: bool) -> Iterator[Row]:
    rounds = 1 if smallest else 31
    with own_place() as place:
        hopx.launch("pass").wait()
        pairs = [(with_popen(place), with_agent(place)) for _ in range(rounds)]
        for part, (name, goal) in enumerate([("reply", "+6 ms"), ("first line", "+12 ms")]):
            theirs = statistics.median(popen[part] for popen, _ in pairs)
            ours = statistics.median(agent[part] for _, agent in pairs)
            yield surplus(f"a launch to its {name}", ours, "Popen", theirs, goal)
        known = statistics.median(end_to_notebook(place) for _ in range(rounds))
        yield ratio("end of a process to the notebook knowing it", known, "polling each second", 0.5, "50 ms")


def code_for(mark: Path) -> str:
    """Code whose first act is a line of output; `mark` is where it says when, since pipes would cost Popen more."""
    return f"import time; open({str(mark)!r}, 'w').write(repr(time.time()))"


def first_act(mark: Path, begun: float) -> float:
    while not mark.exists() or not (text := mark.read_text()):
        time.sleep(0.0005)
    mark.unlink()
    return float(text) - begun


def with_popen(folder: Path) -> tuple[float, float]:
    mark, begun = folder / "mark", time.time()
    process = subprocess.Popen([sys.executable, "-c", code_for(mark)])
    replied = time.time() - begun
    first = first_act(mark, begun)
    process.wait()
    return replied, first


def with_agent(folder: Path) -> tuple[float, float]:
    mark, begun = folder / "mark", time.time()
    run = hopx.launch(code_for(mark))
    replied = time.time() - begun
    first = first_act(mark, begun)
    run.wait()
    return replied, first


def end_to_notebook(folder: Path) -> float:
    """Seconds between the last act of a process and the return of the wait for it."""
    mark = folder / "end"
    hopx.launch(f"import time; time.sleep(0.2); open({str(mark)!r}, 'w').write(repr(time.time()))").wait()
    known = time.time()
    return known - float(mark.read_text())


# ---------------------------------------------------------------- many, beside task-spooler


def queued_by_spooler(count: int) -> Callable[[Callable[..., None]], float]:
    """The seconds in which task-spooler takes so many, whose ends are waited for outside of the time."""

    def queued(tsp: Callable[..., None]) -> float:
        taken = seconds(lambda: [tsp("true") for _ in range(count)])
        tsp("-w")
        return taken

    return queued


def in_a_row(smallest: bool) -> Iterator[Row]:
    """A launch when one follows the other: all that is launched and its end are waited for outside of the time."""
    count, rounds = (3, 1) if smallest else (200, 5)

    def ours() -> float:
        begun = time.perf_counter()
        runs = [hopx.launch("true", language="bash") for _ in range(count)]
        taken = time.perf_counter() - begun
        hopx.wait(runs)
        settle()
        return taken

    a, b = beside_spooler(ours, queued_by_spooler(count), rounds)
    yield beside(f"a launch to its reply, in a row of {count}", a / count, b and b / count, "3.5 ms")


def short_runs(smallest: bool) -> Iterator[Row]:
    count, rounds = (3, 1) if smallest else (500, 3)

    def ours() -> float:
        taken = seconds(lambda: hopx.wait([hopx.launch("true", language="bash") for _ in range(count)]))
        settle()
        return taken

    def theirs(tsp: Callable[..., None]) -> float:
        return seconds(lambda: [tsp(*words) for words in [*[("true",)] * count, ("-w",)]])

    a, b = beside_spooler(ours, theirs, rounds)
    yield beside(f"{count} short runs launched and ended", a, b, "1,600 ms")


def sweep(smallest: bool) -> Iterator[Row]:
    """A large sweep until its launch returns, with a live table open, while the first of it run already."""
    count, rounds = (3, 1) if smallest else (1_000, 3)

    def ours() -> float:
        with contextlib.closing(hopx.watch()):
            begun = time.perf_counter()
            runs = hopx.sweep("true", {"n": range(count)}, language="bash")
            taken = time.perf_counter() - begun
        hopx.wait(runs)
        settle()
        return taken

    a, b = beside_spooler(ours, queued_by_spooler(count), rounds)
    yield beside(f"a sweep of {count:,} launched, with a table open", a, b, "2,000 ms")


def killing(smallest: bool) -> Iterator[Row]:
    """A sweep of which some run, and the others wait."""
    count, rounds = (3, 1) if smallest else (1_000, 3)
    for slots in (1, 2) if smallest else (SLOTS, 200):
        with own_place(HOPX_MAX_RUNNING=str(slots)):
            hopx.launch("true", language="bash").wait()
            times = []
            for _ in range(rounds):
                runs = hopx.sweep("sleep 600", {"n": range(count)}, language="bash")
                while (hopx.ps(output="none")["status"] == "running").sum() < slots:
                    time.sleep(0.1)
                times.append(seconds(lambda runs=runs: hopx.kill(*runs)))  # type: ignore[misc]
        yield took(f"killing {count:,}, of which {slots:,} are running", statistics.median(times), "3,000 ms")


def settle() -> None:
    """Lets the history take the outputs of what has ended, which would go on beside what is measured next."""
    for _ in range(3):
        hopx.history(limit=1)  # each waits for some seconds at most


def beside(what: str, ours: float, theirs: float | None, goal: str) -> Row:
    if theirs is None:
        return took(what, ours, goal, "no tsp to measure it beside: apt-get install task-spooler")
    return ratio(what, ours, "task-spooler", theirs, goal)


def beside_spooler(
    ours: Callable[[], float], theirs: Callable[[Callable[..., None]], float], rounds: int
) -> tuple[float, float | None]:
    """The median seconds that ours and theirs say they took, in turns; None where there is no task-spooler."""
    with own_place(HOPX_MAX_RUNNING=str(SLOTS)) as place:
        ours()
        try:
            with spooler(place) as tsp:
                theirs(tsp)
                turns = [(ours(), theirs(tsp)) for _ in range(rounds)]
        except Skipped:
            return statistics.median(ours() for _ in range(rounds)), None
        return statistics.median(a for a, _ in turns), statistics.median(b for _, b in turns)


@contextlib.contextmanager
def spooler(folder: Path) -> Iterator[Callable[..., None]]:
    """A server of task-spooler, a C program that queues commands, and the way to call its client."""
    program = shutil.which("tsp")
    if program is None:
        raise Skipped("no tsp")
    with environment(TS_SOCKET=f"{folder}/tsp", TS_SLOTS=str(SLOTS), TMPDIR=str(folder)):

        def tsp(*words: str) -> None:
            subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)

        yield tsp
        tsp("-K")


# ---------------------------------------------------------------- what it goes to


def goes_to(smallest: bool) -> Iterator[Row]:
    """A launch on the local agent, and on a stand-in that answers at once: what is the agent's, and what is ours."""
    import httpx

    times = 3 if smallest else 200

    def launch() -> object:
        return hopx.launch("true", language="bash")

    with own_place():
        launch()
        spent = shares(launch, times)
        yield took("a launch to its reply, under a profiler", sum(spent.values()) / 1000, note=told(spent))
    with own_place(), standins() as (url,), httpx.Client() as client:
        hopx.connect(url, name="stand-in", token="token")
        body = b'{"code": "true", "language": "bash"}'
        ours, theirs = medians(
            launch, lambda: client.post(f"{url}/execute/background", content=body).read(), rounds=times
        )
        yield ratio("a launch that is answered at once", ours, "the request by httpx alone", theirs)
        spent = shares(launch, times)
        yield took("the same, under a profiler", sum(spent.values()) / 1000, note=told(spent))


def long_cell(smallest: bool) -> Iterator[Row]:
    count = 200 if smallest else 20_000
    code = "".join(f"x{number} = {number}\n" for number in range(count))
    with own_place(), standins() as (url,):
        hopx.connect(url, name="stand-in", token="token")
        plain, with_param = medians(
            lambda: hopx.launch(code), lambda: hopx.launch(code, params={"x99": 1}), rounds=1 if smallest else 5
        )
        yield surplus(f"a launch of {count:,} lines with a param", with_param, "without", plain, "+5,000 ms")


MEASUREMENTS = {
    "reply": reply,
    "in-a-row": in_a_row,
    "short-runs": short_runs,
    "sweep": sweep,
    "killing": killing,
    "goes-to": goes_to,
    "long-cell": long_cell,
}
