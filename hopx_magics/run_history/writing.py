"""What is written into the history: launches, and how they are seen to go. Each function is part of one transaction."""

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from ..kept import KeptCell, KeptEnd
from ..models import Place, ProcessId, RunId
from ..words import STREAMS, Status
from .entries import Assigned, Became, Begun, LaunchRow, NeverSent, NotLaunched, Waiter, now

LAUNCH_TAKES = 60.0
"""Seconds from the row of a launch to the first listing that has it, at most."""

GOING = "status IN ('queued', 'running')"
ENDED = "status IN ('completed', 'failed', 'killed')"


class Seen(NamedTuple):
    """How a process was listed. Times are in microseconds since 1970, and `leftovers` are a list of JSON."""

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
    leftovers: str
    peak_memory_bytes: int | None
    cpu_seconds: float | None
    peak_gpu_memory_bytes: int | None
    stopped_when: str | None
    notice: str | None
    retry_of: ProcessId | None = None


def microseconds(moment: datetime | None) -> int | None:
    """A moment as the file has it."""
    return None if moment is None else round(moment.timestamp() * 1e6)


# ---------------------------------------------------------------- launches


def begin(db: sqlite3.Connection, begun: Begun) -> None:
    """Writes down what is about to be launched; one that an agent has listed before gets what the agent can't know."""
    db.executemany("INSERT OR IGNORE INTO codes VALUES (?, ?)", begun.codes.items())
    db.executemany(_BEGIN, map(msgspec.structs.astuple, begun.rows))
    if begun.waiter:
        db.executemany("INSERT INTO waiting VALUES (?, ?, ?)", [(row.run_id, *begun.waiter) for row in begun.rows])


def assign(db: sqlite3.Connection, assigned: Assigned) -> None:
    """Writes down to which agent a launch is about to be sent, or who is to do that later (again)."""
    db.execute(
        """UPDATE runs SET connection = :connection, agent = :agent, sandbox = :sandbox
        WHERE run_id = :run_id AND process_id IS NULL""",
        {"run_id": assigned.run_id, **assigned.place._asdict()},
    )
    db.execute("DELETE FROM waiting WHERE run_id = ?", (assigned.run_id,))
    if assigned.waiter:
        db.execute("INSERT INTO waiting VALUES (?, ?, ?)", (assigned.run_id, *assigned.waiter))


def abandon(db: sqlite3.Connection, waiter: Waiter, reason: str) -> None:
    """Makes `unknown` what waited in a program that has ended."""
    db.execute(
        f"""UPDATE runs SET status = 'unknown', status_detail = ?, seen_at = ?
        WHERE run_id IN (SELECT run_id FROM waiting WHERE host = ? AND pid = ?) AND {GOING}""",
        (reason, now(), *waiter),
    )
    db.execute("DELETE FROM waiting WHERE host = ? AND pid = ?", waiter)


def launched(db: sqlite3.Connection, became: Became) -> None:
    """Writes down which process a launch became.

    An agent that drops our mark may have listed it before its reply came; then it was taken for somebody else's.
    """
    other = f"agent = (SELECT agent FROM runs WHERE run_id = :run_id) AND process_id = :process_id AND {_FOREIGN}"
    row = msgspec.structs.asdict(became)
    listed = db.execute(f"SELECT {', '.join(_STATE)} FROM runs WHERE {other}", row).fetchone()
    db.execute(f"DELETE FROM runs WHERE {other}", row)
    db.execute(
        f"""UPDATE runs SET process_id = :process_id, execution_id = :execution_id,
        status = iif({GOING}, :status, status) WHERE run_id = :run_id AND process_id IS NULL""",
        row,
    )
    if listed:
        places = ", ".join(f"{column} = ?" for column in _STATE)
        db.execute(f"UPDATE runs SET {places} WHERE run_id = ?", (*listed, became.run_id))


def not_launched(db: sqlite3.Connection, told: NotLaunched) -> None:
    """Writes down that a launch failed, or (`unknown`) that nobody knows whether it did."""
    db.execute(
        f"""UPDATE runs SET status = :status, status_detail = :reason, seen_at = :at
        WHERE run_id = :run_id AND process_id IS NULL AND {GOING}""",
        msgspec.structs.asdict(told),
    )
    db.execute("DELETE FROM waiting WHERE run_id = ?", (told.run_id,))


def never_sent(db: sqlite3.Connection, told: NeverSent) -> None:
    """Removes what was to be launched, and was not sent."""
    db.execute("DELETE FROM runs WHERE run_id = ? AND process_id IS NULL", (told.run_id,))


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
    again = [{"agent": place.agent, **row._asdict()} for row in seen if row.retry_of]
    db.executemany(_LIKE_FORMER, again)
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


def keep_ends(db: sqlite3.Connection, ends: Mapping[int, KeptEnd]) -> None:
    """Keeps what runs have shown, by their numbers, or notes, where there is nothing, that it can't be had."""
    for number, end in ends.items():
        kept = end.streams
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
            _keep_cell(db, number, end.cell)


def _keep_cell(db: sqlite3.Connection, number: int, cell: KeptCell | None) -> None:
    if cell is not None:
        left = msgspec.json.encode(cell.left).decode()
        db.execute("UPDATE runs SET values_out = ?, displays = ? WHERE number = ?", (left, cell.displays, number))
        files = [(number, name, content) for name, content in cell.files.items()]
        db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", files)


def looked(db: sqlite3.Connection, place: str, at: int) -> None:
    """Writes down that somebody looked at the runs of a notebook or folder."""
    db.execute("INSERT OR REPLACE INTO looks VALUES (?, ?)", (place, at))


def _foreign_id(place: Place, process_id: ProcessId) -> str:
    """A run id for what was launched elsewhere; all kernels make the same one."""
    return hashlib.sha256(f"{place.agent}\0{process_id}".encode("utf-8", "replace")).hexdigest()[:16]


_FOREIGN = "NOT runs.launched_here"

_TOLD = LaunchRow.__struct_fields__

_BEGIN = f"""INSERT INTO runs ({", ".join(_TOLD)}, launched_here, output_due, status)
    VALUES ({", ".join("?" for _ in _TOLD)}, 1, 1, 'queued')
    ON CONFLICT (run_id) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in _TOLD)},
    launched_here = 1, output_due = 1 WHERE {_FOREIGN}"""

_OF_FORMER = (
    *("tags", "params", "sweep_id", "code_hash", "first_line", "workdir", "timeout", "env_names", "notebook", "cell"),
    *("version", "kill_leftovers", "terms", "values_in", "keep", "sweep_index", "launched_here"),
)

_FORMER = "FROM runs AS former WHERE former.agent = :agent AND former.process_id = :retry_of"

_LIKE_FORMER = f"""UPDATE runs SET ({", ".join(_OF_FORMER)}, rerun_of, output_due) =
    (SELECT {", ".join(f"former.{column}" for column in _OF_FORMER)}, former.run_id, former.launched_here {_FORMER})
    WHERE agent = :agent AND process_id = :process_id AND rerun_of IS NULL AND EXISTS (SELECT 1 {_FORMER})"""
"""What an agent has launched anew is like the run before, which it points to."""

_STATE = (
    *("status", "status_detail", "started_at", "completed_at", "exit_code", "execution_time", "pid", "seen_at"),
    *("stdout_bytes", "stderr_bytes", "leftovers", "peak_memory_bytes", "cpu_seconds", "stopped_when"),
    "peak_gpu_memory_bytes",
    "notice",
)

_SOMETIMES_TOLD = ("stdout_bytes", "stderr_bytes", "peak_memory_bytes", "cpu_seconds", "peak_gpu_memory_bytes")

_ENDED_STAYS = f"WHERE NOT runs.{ENDED} OR excluded.{ENDED}"  # an older listing may be recorded after a newer one

_UPDATE = f"""DO UPDATE SET
    process_id = coalesce(runs.process_id, excluded.process_id),
    execution_id = coalesce(excluded.execution_id, runs.execution_id),
    language = coalesce(runs.language, excluded.language),
    name = coalesce(runs.name, excluded.name),
    {", ".join(f"{column} = excluded.{column}" for column in _STATE if column not in _SOMETIMES_TOLD)},
    {", ".join(f"{column} = coalesce(excluded.{column}, runs.{column})" for column in _SOMETIMES_TOLD)}
    {_ENDED_STAYS}"""

_RECORDED = (*(column for column in Seen._fields if column != "retry_of"), *Place._fields, "seen_at")

_RECORD = f"""INSERT INTO runs ({", ".join(_RECORDED)}, launched_here, output_due)
    VALUES ({", ".join(f":{column}" for column in _RECORDED)}, 0, 0)
    ON CONFLICT (run_id) {_UPDATE}
    ON CONFLICT (agent, process_id) WHERE process_id IS NOT NULL {_UPDATE}"""
