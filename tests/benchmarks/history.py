"""The run history: recording listings, launches, reading into a DataFrame, and two kernels at once."""

import contextlib
import multiprocessing
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import hopx_magics as hopx
from tests.waiting import DEADLINE

from .measure import medians, seconds, shares
from .places import end_session, own_place
from .report import Row, ratio, took
from .standins import Processes, standins, tell

FILL = """
INSERT INTO runs (run_id, process_id, connection, agent, name, params, tags, language, code_hash, env_names, notebook,
  cell, launched_here, launched_at, started_at, completed_at, seen_at, status, exit_code, execution_time, pid,
  stdout_bytes, stderr_bytes, output_due)
WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :first + :count)
SELECT printf('%016x', n), 'proc_' || n, 'local', 'an agent', 'train-' || n % 500,
  json_object('lr', n / 1e6, 'seed', n % 10, 'depth', n % 7, 'optimizer', iif(n % 2, 'adam', 'sgd')), '{}', 'python',
  'a hash', '[]', 'train.ipynb', 'In [1]', 1,
  :begun + 1000000 * n, :begun + 1000000 * n + 500, :begun + 1001000 * n, :begun + 1001000 * n, 'completed', 0,
  n / 1e6, n + 1, 100, 0, 0
FROM numbers
"""
"""Runs that have been launched and have ended."""


def recording(smallest: bool) -> Iterator[Row]:
    """What of a listing of 10,000 processes of which 100 have ended since the last one goes to the history."""
    count, rounds = (200, 1) if smallest else (10_000, 15)
    with own_place(), standins(processes=Processes(count, "ending")) as (url,):
        hopx.connect(url, name="ending", token="token")

        def listing() -> None:
            tell(url, "tick")
            hopx.ps(output="none")

        listing()
        taken = _in_history(shares(listing, rounds))
        yield took(f"recording {count // 100} of {count:,}, told as a whole, under a profiler", taken, "15 ms")


def following(smallest: bool) -> Iterator[Row]:
    """What this program computes when an agent tells that 100 of 10,000 processes have ended."""
    count, ticks, pause = (200, 1, 0.1) if smallest else (10_000, 20, 0.5)
    with own_place(), standins(processes=Processes(count, "ending")) as (url,):
        hopx.connect(url, name="ending", token="token")
        with contextlib.closing(hopx.watch()):
            time.sleep(4 * pause)
            begun = time.process_time()
            time.sleep(ticks * pause)
            idle = time.process_time() - begun
            begun = time.process_time()
            for _ in range(ticks):
                tell(url, "tick")
                time.sleep(pause)
            used = time.process_time() - begun - idle
    yield took(f"recording and watching {count // 100} of {count:,}, told by what differs: CPU", used / ticks)


def launches(smallest: bool) -> Iterator[Row]:
    """A launch's own row, written and answered, as a profile of launches has it."""
    with own_place(HOPX_HISTORY_STREAM_MB="0"), standins() as (url,):
        hopx.connect(url, name="stand-in", token="token")
        code = "print(1)\n" * 100

        def launch() -> None:
            hopx.launch(code, name="train", params={"lr": 0.1})

        launch()
        taken = _in_history(shares(launch, 3 if smallest else 500))
        yield took("a launch's own row, written and answered, under a profiler", taken, "1 ms")


HISTORY = ("hopx_magics/run_history", "hopx_magics/archive")
"""The room of the package that is the history, also of older versions."""


def _in_history(spent: dict[str, float]) -> float:
    """The seconds of it that go to the history."""
    return sum(taken for name, taken in spent.items() if name in HISTORY) / 1000


def reading(smallest: bool) -> Iterator[Row]:
    few, many = (10, 90) if smallest else (100_000, 900_000)
    with own_place() as place:
        file = place / "history.sqlite"
        fill(file, 0, few)
        db = sqlite3.connect(file)
        known = [name for _, name, *_ in db.execute("PRAGMA table_info(runs)")]
        columns = ", ".join(name for name in [*hopx.history(limit=1).columns, "params", "tags"] if name in known)

        def theirs() -> pd.DataFrame:
            return pd.read_sql(f"SELECT {columns} FROM runs ORDER BY number DESC", db)

        assert len(hopx.history()) == len(theirs()) == few
        a, b = medians(hopx.history, theirs, rounds=1 if smallest else 7)
        yield ratio(f"{few:,} runs with 4 params into the DataFrame", a, "read_sql", b, "1,000 ms")
        db.close()
        fill(file, few, many)
        (a,) = medians(lambda: hopx.history(limit=50), rounds=1 if smallest else 25)
        yield took(f"the last 50 of {few + many:,} runs into the DataFrame", a, "5 ms for the reading alone")


def fill(file: Path, first: int, count: int) -> None:
    """Writes runs into a history, which is made when there is none."""
    hopx.history(limit=1)
    db = sqlite3.connect(file)
    with db:
        db.execute("INSERT OR IGNORE INTO codes VALUES ('a hash', 'print(1)')")
        db.execute(FILL, {"first": first, "count": count, "begun": 1_700_000_000_000_000})
    db.close()


def two_writers(smallest: bool) -> Iterator[Row]:
    count = 3 if smallest else 1_000
    with own_place() as place, standins(2) as urls:
        hopx.history()  # makes the file
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(3)
        writers = [context.Process(target=_launch, args=(url, count, ready)) for url in urls]
        for writer in writers:
            writer.start()
        ready.wait(DEADLINE)
        taken = seconds(lambda: [writer.join() for writer in writers])
        errors = sum(writer.exitcode != 0 for writer in writers)
        db = sqlite3.connect(place / "history.sqlite")
        ((rows,),) = db.execute("SELECT count(*) FROM runs")
        db.close()
    said = f"{rows:,} rows, {errors} errors"
    yield Row(what=f"two kernels launching {count:,} each", value=1000 * taken, result=said, goal="none lost")


def _launch(url: str, count: int, ready: Any) -> None:
    hopx.connect(url, name="stand-in", token="token")
    ready.wait(DEADLINE)
    for _ in range(count):
        hopx.launch("pass")
    end_session()


MEASUREMENTS = {
    "recording": recording,
    "following": following,
    "launches": launches,
    "reading": reading,
    "two-writers": two_writers,
}
