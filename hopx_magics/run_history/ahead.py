"""What this program has told and the history does not have yet, laid over it for who reads, in temporary tables.

Only when the history can't be written: then what is read is as this program knows it, and nothing seems to be lost.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from ..models import Place
from . import writing
from .journal import Line, write_line
from .writing import Seen

Result = TypeVar("Result")

_TABLES = ("codes", "runs", "waiting", "agents")
"""Those that are written, each after those that it refers to."""

_REST = {
    "codes": "hash NOT IN (SELECT hash FROM ahead_codes)",
    "runs": "run_id NOT IN (SELECT run_id FROM ahead_runs)",
    "waiting": "run_id NOT IN (SELECT run_id FROM ahead_runs)",
    "agents": "FALSE",
}
"""Which rows of the history are as they are."""


class Ahead(NamedTuple):
    """What is to be written: lines of the journal, and then what agents have listed at some moment."""

    lines: Sequence[Line]
    listed: Sequence[tuple[Place, Sequence[Seen], datetime]]


def read_with(db: sqlite3.Connection, ahead: Ahead, action: Callable[[sqlite3.Connection], Result]) -> Result:
    """What `action` makes of the file as it will be. Leaves it as it is."""
    db.execute("SAVEPOINT ahead")
    try:
        _lay(db, ahead)
        return action(db)
    finally:
        with contextlib.suppress(sqlite3.Error):  # the first error says what happened
            db.execute("ROLLBACK TO ahead")
            db.execute("RELEASE ahead")


def _lay(db: sqlite3.Connection, ahead: Ahead) -> None:
    """Writes what is ahead into temporary tables, which stand for those of their names, and then views for both."""
    db.execute("PRAGMA defer_foreign_keys = ON")  # what is referred to may be in the file; nothing is ever committed
    for table in _TABLES:
        _make(db, table)
    _copy(db, ahead)
    for line in ahead.lines:
        write_line(db, line)
    for place, seen, at in ahead.listed:
        writing.record(db, place, seen, at)
    db.execute("DELETE FROM temp.runs WHERE run_id = ''")
    for table in _TABLES:
        db.execute(f"ALTER TABLE temp.{table} RENAME TO ahead_{table}")
    for table in _TABLES:
        rest = f"SELECT * FROM main.{table} WHERE {_REST[table]}"
        db.execute(f"CREATE TEMP VIEW {table} AS {rest} UNION ALL SELECT * FROM ahead_{table}")


def _make(db: sqlite3.Connection, table: str) -> None:
    """An empty table like that of the file, with what makes its rows unique."""
    made = "SELECT sql FROM main.sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC"
    for (sql,) in db.execute(made, (table,)).fetchall():
        if sql.startswith("CREATE TABLE"):
            db.execute(sql.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        elif sql.startswith("CREATE UNIQUE INDEX"):
            db.execute(sql.replace("CREATE UNIQUE INDEX ", "CREATE UNIQUE INDEX temp.", 1))


def _copy(db: sqlite3.Connection, ahead: Ahead) -> None:
    """The rows that are to be changed; new ones get numbers behind those of all others."""
    copied = "INSERT OR IGNORE INTO temp.runs SELECT * FROM main.runs WHERE"
    db.executemany(f"{copied} run_id = ?", [(run_id,) for line in ahead.lines for run_id in line.run_ids])
    for place, seen, _ in ahead.listed:
        ids = [(each.run_id, place.agent, each.process_id) for each in seen]
        db.executemany(f"{copied} run_id = ?1 OR (agent = ?2 AND process_id = ?3)", ids)
    db.execute("INSERT INTO temp.agents SELECT * FROM main.agents")
    db.execute("INSERT INTO temp.waiting SELECT * FROM main.waiting WHERE run_id IN (SELECT run_id FROM temp.runs)")
    db.execute(
        """INSERT INTO temp.runs (number, run_id, connection, agent, launched_here, status, output_due)
        SELECT coalesce(max(number), 0) + 1, '', '', '', 0, '', 0 FROM main.runs"""
    )
