"""The run history: recording listings, launches, reading into a DataFrame, and two kernels at once."""

import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from hopx_magics.history.listings import Recorder

from hopx_magics.display.history_frame import COLUMNS, runs_frame
from hopx_magics.models import Change, Launch, Listing, Process, ProcessId, RunId
from hopx_magics.run_history import History, Limits, Origin, Place, Wanted

from .measure import Row, medians, ms

HERE = Place("local", "an agent")
LIMITS = Limits(runs=10_000_000, output=10**12, stream=10**6)


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield from measure_recording(Path(folder) / "recording.sqlite")
        yield from measure_launches(Path(folder) / "launches.sqlite")
        yield from measure_reading(Path(folder) / "reading.sqlite")
        yield measure_two_writers(Path(folder) / "writers.sqlite")


def measure_recording(file: Path) -> Iterator[Row]:
    """A listing of 10,000 processes of which 100 are new or different, told as a whole and by its differences."""
    history = History(file, LIMITS)
    recorder = Recorder(history, HERE, lambda place: None, print)
    now = datetime.now(UTC)
    processes = [
        Process(process_id=ProcessId(f"proc_{n}"), name=f"train-{n}", status="running", started_at=now, pid=n)
        for n in range(10_000)
    ]
    recorder.take(Change(_listing(processes)))
    for kind, told in enumerate(("as a whole", "by what differs")):
        times = []
        for number in range(20):
            changed = []
            for n in range(100 * number, 100 * number + 100):
                processes[n] = msgspec.structs.replace(processes[n], status="completed", exit_code=kind)
                changed.append(processes[n])
            listing = _listing(processes)
            assert listing.by_id
            change = Change(listing, tuple(changed)) if told != "as a whole" else Change(listing)
            begun = time.perf_counter()
            recorder.take(change)
            times.append(time.perf_counter() - begun)
        yield Row(f"recording 100 of 10,000, told {told}", ms(statistics.median(times)), "", "", "15 ms")
    history.close()


def _listing(processes: list[Process]) -> Listing:
    return Listing(processes=tuple(processes), agent="an agent", received_at=datetime.now(UTC))


def measure_launches(file: Path) -> Iterator[Row]:
    history = History(file, LIMITS)
    times = []
    for n in range(1_000):
        launch = Launch(code=f"print({n})\n" * 100, run_id=RunId(f"run{n}"), name="train", params={"lr": 0.1})
        begun = time.perf_counter()
        history.begin([launch], HERE, Origin("train.ipynb", "In [1]"))
        history.launched(launch.run_id, ProcessId(f"proc_{n}"), None, "running")
        times.append(time.perf_counter() - begun)
    yield Row("a launch's own row, written and answered", f"{1000 * statistics.median(times):.2f} ms", "", "", "1 ms")
    history.close()


def measure_reading(file: Path) -> Iterator[Row]:
    history = History(file, LIMITS)
    _fill(history, 100_000)
    db = sqlite3.connect(file)
    columns = ", ".join((*COLUMNS, "params", "tags"))

    def ours() -> pd.DataFrame:
        return runs_frame(history.columns(Wanted()))

    def theirs() -> pd.DataFrame:
        return pd.read_sql(f"SELECT {columns} FROM runs ORDER BY number DESC", db)

    assert len(ours()) == len(theirs()) == 100_000
    a, b = medians(ours, theirs, rounds=7)
    yield Row("100,000 runs with 2 params into the DataFrame", ms(a), f"read_sql {ms(b)}", f"{a / b:.2f}", "1.20")
    db.close()
    _fill(history, 900_000)
    (a,) = medians(lambda: history.columns(Wanted(limit=50)), rounds=25)
    yield Row("the last 50 of 1,000,000 runs", ms(a), "", "", "5 ms")
    (a,) = medians(lambda: runs_frame(history.columns(Wanted(limit=50))), rounds=25)
    yield Row("the same as a DataFrame", ms(a), "", "", "")
    history.close()


def _fill(history: History, count: int) -> None:
    """Runs that have been launched and have ended."""
    launches = [
        Launch(
            code=f"print({n % 100})",
            run_id=RunId(f"{count:08x}{n:08x}"),
            name=f"train-{n % 500}",
            params={"lr": n / count, "seed": n % 10},
        )
        for n in range(count)
    ]
    history.begin(launches, HERE, Origin("train.ipynb", "In [1]"))
    db = sqlite3.connect(history.file)
    with db:
        db.execute(
            """UPDATE runs SET status = 'completed', process_id = 'proc_' || number, started_at = launched_at + 500,
            completed_at = launched_at + number, seen_at = launched_at + number, execution_time = number / 1e6,
            exit_code = 0, pid = number, stdout_bytes = 100, stderr_bytes = 0 WHERE process_id IS NULL"""
        )
    db.close()


def measure_two_writers(file: Path) -> Row:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    writers = [context.Process(target=_write, args=(file, name, ready)) for name in "ab"]
    begun = time.perf_counter()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    taken = time.perf_counter() - begun
    history = History(file, LIMITS)
    rows = len(history.columns(Wanted())["run_id"])
    history.close()
    errors = sum(writer.exitcode != 0 for writer in writers)
    return Row(
        "two kernels writing 2,000 rows each at once", f"{rows:,} rows, {errors} errors", ms(taken), "", "none lost"
    )


def _write(file: Path, name: str, ready: Any) -> None:
    history = History(file, LIMITS)
    ready.wait()
    for n in range(2_000):
        history.begin([Launch(code="pass", run_id=RunId(f"{name}{n}"))], HERE, Origin())
    history.close()
