"""How much of the history is kept, and what goes when it is more."""

import sqlite3
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ..kept import Pruned
from .database import Database
from .migrations import MOMENT
from .reading import Wanted, moment, where
from .writing import GOING

PIECE = 0.01
"""Seconds for which pruning keeps others from writing, about, at a time."""

_OUTPUTS = "SELECT coalesce(sum(length(head) + length(tail)), 0) FROM outputs"
_KEPT = "SELECT coalesce(sum(length(content)), 0) FROM kept"
_SIZE = f"(({_OUTPUTS} WHERE outputs.number = runs.number) + ({_KEPT} WHERE kept.number = runs.number))"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs are kept, and how many bytes of output: of all of them, and of one stream of one run.

    What cells have left besides text, such as their displays, counts as output.
    """

    runs: int
    output: int
    stream: int


def over_limits(db: sqlite3.Connection, limits: Limits, slack: float = 1.0) -> list[Pruned]:
    """What is more than the limits allow, the oldest first; nothing as long as all is within `slack` times the limits.

    What has not ended stays.
    """
    (runs,) = db.execute("SELECT count(*) FROM runs").fetchone()
    (size,) = db.execute(f"SELECT ({_OUTPUTS}) + ({_KEPT})").fetchone()
    gone = _pruned(db, f"NOT {GOING}", [], runs - limits.runs) if runs > slack * limits.runs else []
    if size > slack * limits.output:
        gone += _oldest_outputs(db, size - limits.output, {run.number for run in gone})
    return gone


def _oldest_outputs(db: sqlite3.Connection, excess: int, gone: set[int]) -> list[Pruned]:
    found: list[Pruned] = []
    for run in _pruned(db, f"NOT {GOING} AND number IN (SELECT number FROM outputs UNION SELECT number FROM kept)", []):
        if excess <= 0:
            break
        excess -= run.bytes
        if run.number not in gone:
            found.append(msgspec.structs.replace(run, whole=False))
    return found


def chosen(db: sqlite3.Connection, wanted: Wanted) -> list[Pruned]:
    """The runs that are wanted to go, without those that have not ended."""
    condition, values = where(wanted)
    return _pruned(db, f"NOT {GOING} AND {condition}", values, wanted.limit)


def _pruned(db: sqlite3.Connection, condition: str, values: list[Any], limit: int | None = None) -> list[Pruned]:
    rows = db.execute(
        f"""SELECT number, run_id, name, status, coalesce(launched_at, started_at), {_SIZE} FROM runs
        WHERE {condition} ORDER BY {MOMENT}, number LIMIT ?""",
        [*values, -1 if limit is None else limit],
    )
    return [
        Pruned(number=number, run_id=run_id, name=name, status=status, launched_at=moment(at), whole=True, bytes=size)
        for number, run_id, name, status, at, size in rows
    ]


def prune(file: Path, pruned: Iterable[Pruned]) -> None:
    """Removes these runs, or only their outputs, and gives their room back to the disk. Raises HistoryError.

    In small pieces, between which others can write.
    """
    history, rest = Database(file), deque(pruned)
    try:
        while rest:
            _rest_after(history.write(_remove_some, rest))
        while (took := history.write(_give_back_some)) is not None:
            _rest_after(took)
    finally:
        history.close()


def _rest_after(took: float) -> None:
    time.sleep(max(PIECE, took))  # a program that waits looks again each 0.1 s, at most


def _remove_some(db: sqlite3.Connection, rest: deque[Pruned]) -> float:
    """Removes the first of these, as many as can be in a short time; the seconds that it took."""
    begun, done = time.monotonic(), 0
    for run in rest:
        _remove(db, run)
        done += 1
        if time.monotonic() - begun > PIECE:
            break
    for _ in range(done):
        rest.popleft()
    return time.monotonic() - begun


def _remove(db: sqlite3.Connection, run: Pruned) -> None:
    """Removes a run, or only its output, and code that no run has any more."""
    if not db.execute("SELECT 1 FROM runs WHERE number = ? AND run_id = ?", (run.number, run.run_id)).fetchone():
        return  # somebody else has removed it, and the number may be another one's by now
    db.execute("DELETE FROM outputs WHERE number = ?", (run.number,))
    db.execute("DELETE FROM kept WHERE number = ?", (run.number,))
    if not run.whole:
        return
    db.execute(
        """INSERT OR IGNORE INTO removed SELECT agent, process_id FROM runs
        WHERE number = ? AND process_id IS NOT NULL""",
        (run.number,),
    )
    (hashes,) = db.execute("SELECT code_hash, values_in FROM runs WHERE number = ?", (run.number,)).fetchall()
    db.execute("DELETE FROM runs WHERE number = ?", (run.number,))
    unused = """DELETE FROM codes WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE code_hash = ?1)
        AND NOT EXISTS (SELECT 1 FROM runs WHERE values_in = ?1)"""
    db.executemany(unused, [(hash_,) for hash_ in hashes if hash_])


def _give_back_some(db: sqlite3.Connection) -> float | None:
    """Makes the file smaller for a short time; the seconds that it took, None when nothing is left to do."""
    begun = time.monotonic()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    for _ in range(free):
        db.execute("PRAGMA incremental_vacuum(1)")
        if (took := time.monotonic() - begun) > PIECE:
            return took
    return None
