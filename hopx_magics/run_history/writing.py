"""What is written into the history: launches, and how they are seen to go. Each function is part of one transaction."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from ..models import KeptOutput, Launch, Place, ProcessId, RunId
from ..words import STREAMS, Status, Stream
from .origin import Origin

LAUNCH_TAKES = 60.0
"""Seconds from the row of a launch to the first listing that has it, at most."""

GOING = "status IN ('queued', 'running')"
ENDED = "status IN ('completed', 'failed', 'killed')"


class Waiter(NamedTuple):
    """A program that is to launch something later, on an agent that is not yet known."""

    host: str
    pid: int


NOWHERE = Place("", "")
"""Stands in the rows of what waits for an agent: the columns can't be empty."""


class Seen(NamedTuple):
    """How a process was listed. Times are in microseconds since 1970."""

    process_id: ProcessId
    run_id: RunId | None
    execution_id: str | None
    name: str | None
    language: str | None
    status: Status
    status_detail: str | None
    started_at: int | None
    completed_at: int | None
    exit_code: int | None
    execution_time: float | None
    pid: int | None
    stdout_bytes: int | None
    stderr_bytes: int | None


def microseconds(moment: datetime | None) -> int | None:
    """A moment as the file has it."""
    return None if moment is None else round(moment.timestamp() * 1e6)


def now() -> int:
    """This moment as the file has it."""
    return time.time_ns() // 1000


# ---------------------------------------------------------------- launches


def begin(
    db: sqlite3.Connection,
    launches: Sequence[Launch],
    place: Place,
    origin: Origin,
    version: str | None = None,
    waiter: Waiter | None = None,
) -> None:
    """Writes down what is about to be launched, by `version` of this package, or by a `waiter` later on."""
    codes = {launch.code: _hash(launch.code) for launch in launches}
    moment = now()
    rows = [
        {
            "run_id": launch.run_id,
            **place._asdict(),
            "name": launch.name,
            "tags": json.dumps(launch.tags),
            "params": json.dumps(launch.params),
            "sweep_id": launch.sweep_id,
            "rerun_of": launch.rerun_of,
            "language": launch.language,
            "code_hash": codes[launch.code],
            "first_line": launch.first_line,
            "workdir": launch.workdir,
            "timeout": launch.timeout,
            "env_names": json.dumps(sorted(launch.env)),
            **origin._asdict(),
            "version": version,
            "launched_at": moment,
        }
        for launch in launches
    ]
    db.executemany("INSERT OR IGNORE INTO codes VALUES (?, ?)", [(hash_, code) for code, hash_ in codes.items()])
    db.executemany(
        f"""INSERT INTO runs ({", ".join(rows[0])}, launched_here, output_due, status)
        VALUES ({", ".join(f":{column}" for column in rows[0])}, 1, 1, 'queued')""",
        rows,
    )
    if waiter:
        db.executemany("INSERT INTO waiting VALUES (?, ?, ?)", [(launch.run_id, *waiter) for launch in launches])


def assign(db: sqlite3.Connection, run_id: RunId, place: Place, waiter: Waiter | None = None) -> None:
    """Writes down to which agent a launch is about to be sent, or who is to do that later (again)."""
    db.execute(
        """UPDATE runs SET connection = :connection, agent = :agent, sandbox = :sandbox
        WHERE run_id = :run_id AND process_id IS NULL""",
        {"run_id": run_id, **place._asdict()},
    )
    db.execute("DELETE FROM waiting WHERE run_id = ?", (run_id,))
    if waiter:
        db.execute("INSERT INTO waiting VALUES (?, ?, ?)", (run_id, *waiter))


def abandon(db: sqlite3.Connection, waiter: Waiter, reason: str) -> None:
    """Makes `unknown` what waited in a program that has ended."""
    db.execute(
        f"""UPDATE runs SET status = 'unknown', status_detail = ?, seen_at = ?
        WHERE run_id IN (SELECT run_id FROM waiting WHERE host = ? AND pid = ?) AND {GOING}""",
        (reason, now(), *waiter),
    )
    db.execute("DELETE FROM waiting WHERE host = ? AND pid = ?", waiter)


def launched(
    db: sqlite3.Connection, run_id: RunId, process_id: ProcessId, execution_id: str | None, status: Status
) -> None:
    """Writes down which process a launch became.

    An agent that drops our mark may have listed it before its reply came; then it was taken for somebody else's.
    """
    other = f"agent = (SELECT agent FROM runs WHERE run_id = :run_id) AND process_id = :process_id AND {_FOREIGN}"
    row = {"run_id": run_id, "process_id": process_id, "execution_id": execution_id, "status": status}
    listed = db.execute(f"SELECT {', '.join(_STATE)} FROM runs WHERE {other}", row).fetchone()
    db.execute(f"DELETE FROM runs WHERE {other}", row)
    db.execute(
        f"""UPDATE runs SET process_id = :process_id, execution_id = :execution_id,
        status = iif({GOING}, :status, status) WHERE run_id = :run_id AND process_id IS NULL""",
        row,
    )
    if listed:
        places = ", ".join(f"{column} = ?" for column in _STATE)
        db.execute(f"UPDATE runs SET {places} WHERE run_id = ?", (*listed, run_id))


def not_launched(db: sqlite3.Connection, run_ids: Collection[RunId], status: Status, reason: str) -> None:
    """Writes down that launches failed, or (`unknown`) that nobody knows whether they did."""
    moment = now()
    db.executemany(
        f"""UPDATE runs SET status = ?, status_detail = ?, seen_at = ?
        WHERE run_id = ? AND process_id IS NULL AND {GOING}""",
        [(status, reason, moment, run_id) for run_id in run_ids],
    )
    db.executemany("DELETE FROM waiting WHERE run_id = ?", [(run_id,) for run_id in run_ids])


# ---------------------------------------------------------------- listings


def record(db: sqlite3.Connection, place: Place, seen: Sequence[Seen], at: datetime) -> None:
    """Writes down how processes were listed, those that are new to the history, too, but not what was removed."""
    moment = microseconds(at)
    removed = {id_ for (id_,) in db.execute("SELECT process_id FROM removed WHERE agent = ?", (place.agent,))}
    db.executemany(
        _RECORD,
        [
            {
                **row._asdict(),
                **place._asdict(),
                "run_id": row.run_id or _foreign_id(place, row.process_id),
                "seen_at": moment,
            }
            for row in seen
            if row.process_id not in removed
        ],
    )
    answered(db, place, at)


def answered(db: sqlite3.Connection, place: Place, at: datetime) -> None:
    """Writes down that an agent has answered: what goes on there was going on then."""
    db.execute(
        "INSERT INTO agents VALUES (?, ?) ON CONFLICT DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)",
        (place.agent, microseconds(at)),
    )


class Lost(NamedTuple):
    """A run that should have been listed, and was not."""

    run_id: RunId
    process_id: ProcessId | None


def lost(
    db: sqlite3.Connection, place: Place, listed: Collection[ProcessId], at: datetime, listed_after: float
) -> list[Lost]:
    """The runs that count as going on, and that an agent's listing should have and has not.

    A process is listed `listed_after` seconds after its launch at the latest.
    """
    moment = at.timestamp() * 1e6
    going = db.execute(
        f"SELECT run_id, process_id, coalesce(launched_at, 0) FROM runs WHERE agent = ? AND {GOING}", (place.agent,)
    )
    return [
        Lost(run_id, process_id)
        for run_id, process_id, launched_at in going
        if process_id not in listed and moment - launched_at > 1e6 * (listed_after if process_id else LAUNCH_TAKES)
    ]


def forget(db: sqlite3.Connection, runs: Iterable[Lost], at: datetime) -> None:
    """Writes down that nobody knows (any more) how these runs ended."""
    forgotten, unheard = "the agent no longer lists it", "it was never listed: the launch did not reach the agent"
    db.executemany(
        f"UPDATE runs SET status = 'unknown', status_detail = ?, seen_at = ? WHERE run_id = ? AND {GOING}",
        [(forgotten if run.process_id else unheard, microseconds(at), run.run_id) for run in runs],
    )


def keep_outputs(db: sqlite3.Connection, outputs: Mapping[int, Mapping[Stream, KeptOutput]]) -> None:
    """Keeps the outputs of runs, by their numbers, or notes, where there are none, that they can't be had."""
    for number, kept in outputs.items():
        sizes: dict[str, int | None] = {each: kept[each].size if each in kept else None for each in STREAMS}
        kept_now = db.execute(
            """UPDATE runs SET output_due = 0, stdout_bytes = coalesce(:stdout, stdout_bytes),
            stderr_bytes = coalesce(:stderr, stderr_bytes) WHERE number = :number AND output_due""",
            {"number": number, **sizes},
        )
        if kept_now.rowcount:
            db.executemany(
                "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?, ?)",
                [(number, stream, each.head, each.tail, each.size) for stream, each in kept.items()],
            )


def looked(db: sqlite3.Connection, place: str) -> None:
    """Writes down that somebody looks at the runs of a notebook or folder."""
    db.execute("INSERT OR REPLACE INTO looks VALUES (?, ?)", (place, now()))


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()[:16]


def _foreign_id(place: Place, process_id: ProcessId) -> str:
    """A run id for what was launched elsewhere; all kernels make the same one."""
    return hashlib.sha256(f"{place.agent}\0{process_id}".encode("utf-8", "replace")).hexdigest()[:16]


_FOREIGN = "NOT launched_here"

_STATE = (
    *("status", "status_detail", "started_at", "completed_at", "exit_code", "execution_time", "pid", "seen_at"),
    *("stdout_bytes", "stderr_bytes"),
)

_ENDED_STAYS = f"WHERE NOT runs.{ENDED} OR excluded.{ENDED}"  # an older listing may be recorded after a newer one

_UPDATE = f"""DO UPDATE SET
    process_id = coalesce(runs.process_id, excluded.process_id),
    execution_id = coalesce(excluded.execution_id, runs.execution_id),
    language = coalesce(runs.language, excluded.language),
    name = coalesce(runs.name, excluded.name),
    {", ".join(f"{column} = excluded.{column}" for column in _STATE if not column.endswith("_bytes"))},
    stdout_bytes = coalesce(excluded.stdout_bytes, runs.stdout_bytes),
    stderr_bytes = coalesce(excluded.stderr_bytes, runs.stderr_bytes)
    {_ENDED_STAYS}"""

_RECORDED = (*Seen._fields, *Place._fields, "seen_at")

_RECORD = f"""INSERT INTO runs ({", ".join(_RECORDED)}, launched_here, output_due)
    VALUES ({", ".join(f":{column}" for column in _RECORDED)}, 0, 0)
    ON CONFLICT (run_id) {_UPDATE}
    ON CONFLICT (agent, process_id) WHERE process_id IS NOT NULL {_UPDATE}"""
