"""How much of the history is kept, and what goes when it is more."""

import sqlite3
from typing import Any

import msgspec

from ..models import Pruned
from .migrations import MOMENT
from .reading import Wanted, moment, where
from .writing import GOING

_SIZE = "(SELECT coalesce(sum(length(head) + length(tail)), 0) FROM outputs WHERE outputs.number = runs.number)"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs are kept, and how many bytes of output: of all of them, and of one stream of one run."""

    runs: int
    output: int
    stream: int


def over_limits(db: sqlite3.Connection, limits: Limits, slack: float = 1.0) -> list[Pruned]:
    """What is more than the limits allow, the oldest first; nothing as long as all is within `slack` times the limits.

    What has not ended stays.
    """
    (runs,) = db.execute("SELECT count(*) FROM runs").fetchone()
    (size,) = db.execute("SELECT coalesce(sum(length(head) + length(tail)), 0) FROM outputs").fetchone()
    gone = _pruned(db, f"NOT {GOING}", [], runs - limits.runs) if runs > slack * limits.runs else []
    if size > slack * limits.output:
        gone += _oldest_outputs(db, size - limits.output, {run.number for run in gone})
    return gone


def _oldest_outputs(db: sqlite3.Connection, excess: int, gone: set[int]) -> list[Pruned]:
    found: list[Pruned] = []
    for run in _pruned(db, f"NOT {GOING} AND number IN (SELECT number FROM outputs)", []):
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


def remove(db: sqlite3.Connection, pruned: list[Pruned]) -> None:
    """Removes these runs, or only their outputs, and code that no run has any more."""
    db.executemany("DELETE FROM outputs WHERE number = ?", [(run.number,) for run in pruned])
    whole = [(run.number,) for run in pruned if run.whole]
    db.executemany(
        """INSERT OR IGNORE INTO removed SELECT agent, process_id FROM runs
        WHERE number = ? AND process_id IS NOT NULL""",
        whole,
    )
    db.executemany("DELETE FROM runs WHERE number = ?", whole)
    if whole:
        db.execute("DELETE FROM codes WHERE hash NOT IN (SELECT code_hash FROM runs WHERE code_hash IS NOT NULL)")
