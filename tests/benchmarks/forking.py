"""Cells that are forks of this program: what it costs to have much in memory, and how many of them hang."""

import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

import hopx_magics as hopx
from tests.waiting import wait_until

from .launching import code_for, first_act
from .measure import Skipped
from .places import own_place
from .report import Row, surplus

GB = 1_000_000_000
PER_10_GB = "+50 ms per 10 GB"


def large(smallest: bool) -> Iterator[Row]:
    """A program that is large, beside one that is not: numbers are in huge pages where the system has them."""
    _check()
    rounds, size = (1, 0.02) if smallest else (9, 4.0)
    with own_place() as place:
        for what in ("numbers", "texts"):
            empty = launched(place, rounds)
            kept = frame(what, size if what == "numbers" else size / 4)
            held = int(kept.memory_usage(deep=True).sum()) / GB
            full = launched(place, rounds)
            del kept
            for part, name in enumerate(("reply", "first line")):
                yield surplus(
                    f"a fork to its {name}, with {held:.2g} GB of {what}",
                    full[part],
                    "without",
                    empty[part],
                    PER_10_GB,
                )


def launched(place: Path, rounds: int) -> tuple[float, float]:
    """Seconds to the reply of a fork's launch, for which this program stands still, and to its first act."""
    taken = [_launched(place / "mark") for _ in range(rounds + 1)][1:]
    return statistics.median(each[0] for each in taken), statistics.median(each[1] for each in taken)


def _launched(mark: Path) -> tuple[float, float]:
    begun = time.time()
    run = hopx.launch(code_for(mark), fork=True)
    replied = time.time() - begun
    first = first_act(mark, begun)
    run.wait()
    return replied, first


def frame(what: str, gigabytes: float) -> pd.DataFrame:
    if what == "numbers":
        return pd.DataFrame(np.ones((int(gigabytes * GB / 64), 8)))
    return pd.DataFrame({"text": [f"{number:>50}" for number in range(int(gigabytes * GB / 107))]}, dtype=object)


def own_memory(smallest: bool) -> Iterator[Row]:
    """What a fork that reads everything has of its own."""
    _check()
    with own_place():
        for what in ("numbers", "texts"):
            kept = frame(what, 0.02 if smallest else 2.0 if what == "numbers" else 0.5)
            held = int(kept.memory_usage(deep=True).sum())
            run = hopx.launch(_read_all, args=(kept,), fork=True, name="reads")
            wait_until(lambda run=run: "read" in run.stdout, "it has read all")
            time.sleep(3)  # it is measured now and then
            memory = int(hopx.ps("reads").memory_bytes[0])
            run.kill()
            yield Row(
                what=f"own memory of a fork that reads {held / GB:.2g} GB of {what}",
                value=memory / 1e6,
                unit="MB",
                result=f"{memory / held:.1%}",
                goal="5 %",
            )
            del kept


def _read_all(kept: pd.DataFrame) -> None:
    if kept.shape[1] > 1:
        float(kept.to_numpy().sum())
    else:
        sum(map(len, kept["text"]))
    sys.stdout.write("read\n")
    time.sleep(600)


def many(smallest: bool) -> Iterator[Row]:
    """Forks in a row beside threads that compute with OpenMP, BLAS and matplotlib: none of them may hang."""
    _check()
    from sklearn.ensemble import HistGradientBoostingClassifier

    count = 3 if smallest else 500
    x = np.random.default_rng(0).random((1000, 5))
    y = x[:, 0] > 0.5

    def use_all() -> None:
        HistGradientBoostingClassifier(max_iter=2).fit(x, y)
        (x.T @ x).sum()
        pd.DataFrame(x).describe()
        draw()

    use_all()
    with own_place(HOPX_MAX_RUNNING="4"), computing(use_all):
        runs: list[hopx.Run] = []
        for number in range(count):
            runs.append(hopx.launch(use_all, fork=True, timeout=120))
            if number >= 8:
                runs[number - 8].wait()
        ends = Counter(run.wait().status for run in runs)
    told = ", ".join(f"{number} {status}" for status, number in ends.items())
    hanging = count - ends["completed"]
    yield Row(
        what=f"of {count} forks beside a computing program, not completed",
        value=hanging,
        unit="",
        result=told,
        goal="0",
    )


def draw() -> None:
    import io

    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    figure.savefig(io.BytesIO(), format="png")


@contextmanager
def computing(work: Callable[[], None]) -> Iterator[None]:
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


def _check() -> None:
    if sys.platform != "linux":
        raise Skipped("only Linux forks a program")


MEASUREMENTS = {"large": large, "own_memory": own_memory, "many": many}
