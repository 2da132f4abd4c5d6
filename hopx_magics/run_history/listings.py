"""How the processes of one agent go on, from its listings into the history: what is new in them, once."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ..errors import HistoryError
from ..models import Change, Listing, Place, Process, ProcessId
from ..protocol.listing import FORGOTTEN_AFTER
from ..words import Status
from . import reading, writing
from .database import Database, is_lasting
from .writer import Writer
from .writing import Seen, microseconds

CHECK_EVERY = 5.0
"""Seconds after which it is written down again that an agent answers, and looked for what it no longer lists."""

Unwritten = dict[ProcessId, tuple[Process, datetime]]
"""Processes, and when they were listed so."""


class ListingRecorder:
    """Writes down how the processes of one agent go on. Safe to use from several threads.

    `ended` is called, on the writer's thread, when something may have ended whose output is still to be kept. What
    can't be written is held until it can be, also when the agent no longer lists it then.
    """

    def __init__(self, writer: Writer, place: Place, ended: Callable[[], None]) -> None:
        self._writer = writer
        self._place = place
        self._keep_outputs = ended
        self._lock = threading.Lock()
        self._known: dict[ProcessId, Process] = {}
        """What is written, or held to be written."""
        self._unwritten: Unwritten = {}
        self._listing: Listing | None = None
        """The listing that was taken last, and when: it may be an older one that still held."""
        self._taken_at = datetime.now(UTC)
        self._ended: dict[ProcessId, Status] | None = None
        """What was seen to end before the first listing; None before that."""
        self._checked = float("-inf")

    def take(self, change: Change) -> None:
        """Writes down, soon, what is new in a listing."""
        listing = change.listing
        with self._lock:
            first = self._listing is None
            changed, gone = (listing.processes, ()) if first else self._differences(change)
            new = {id_: process for process in changed if (id_ := process.process_id) and not self._knows(process)}
            self._known |= new
            self._unwritten |= {process_id: (process, listing.received_at) for process_id, process in new.items()}
            for process_id in gone:
                self._known.pop(process_id, None)
            self._listing, self._taken_at = listing, datetime.now(UTC)
            if gone:
                self._checked = float("-inf")
            is_due = time.monotonic() - self._checked > CHECK_EVERY
        if new or is_due:
            self._writer.do(self, self._write)

    def begin_anew(self) -> None:
        """Takes nothing for known: the history is another one."""
        with self._lock:
            self._ended = self._listing = None
            self._checked = float("-inf")
            self._known.clear()
            self._unwritten.clear()

    def unwritten(self) -> list[tuple[Place, Sequence[Seen], datetime]]:
        """What was listed and is not in the history yet, by when that was."""
        with self._lock:
            listed = _by_moment(self._unwritten.values())
        return [(self._place, seen, at) for at, seen in sorted(listed.items())]

    def keep_outputs(self) -> None:
        """Lets the outputs of what has ended be kept, if this agent was listed."""
        if self._listing is not None:
            self._keep_outputs()

    def _differences(self, change: Change) -> tuple[Iterable[Process], Collection[ProcessId]]:
        """What may be new since the listing that was taken last, and what is gone."""
        listing, last = change.listing, self._listing
        if change.changed is not None:
            return change.changed, change.gone
        if last is not None and listing.etag is not None and (listing.etag, listing.tail) == (last.etag, last.tail):
            return (), ()
        return listing.processes, self._known.keys() - listing.by_id.keys()

    def _knows(self, process: Process) -> bool:
        known = self._known.get(process.process_id) if process.process_id else None
        return known is not None and (
            known is process
            or (
                known.status == process.status
                and known.started_at == process.started_at
                and known.completed_at == process.completed_at
                and known.exit_code == process.exit_code
                and known.status_detail == process.status_detail
                and known.leftovers == process.leftovers
                and known.notice == process.notice
            )
        )

    # ------------------------------------------------------------ on the writer's thread

    def _write(self, database: Database) -> None:
        with self._lock:
            unwritten = dict(self._unwritten)
            listing, taken_at, before = self._listing, self._taken_at, self._ended
        try:
            ended = database.read(reading.ended, self._place) if before is None else before
            news = {id_: each for id_, each in unwritten.items() if ended.get(id_) != each[0].status}
            if news:
                database.write(_record, self._place, _by_moment(news.values()))
        except HistoryError as error:
            if is_lasting(error):
                self._forget(unwritten)
            raise
        self._forget(unwritten)
        with self._lock:
            self._ended = ended
        if listing is not None and time.monotonic() - self._checked > CHECK_EVERY:
            self._check(database, listing, taken_at)
        if before is None or any(process.ended for process, _ in news.values()):
            self._keep_outputs()

    def _forget(self, unwritten: Unwritten) -> None:
        """Takes these for written."""
        with self._lock:
            self._unwritten = {id_: each for id_, each in self._unwritten.items() if unwritten.get(id_) is not each}

    def _check(self, database: Database, listing: Listing, at: datetime) -> None:
        if lost := database.read(writing.lost, self._place, listing.by_id.keys(), at, FORGOTTEN_AFTER):
            database.write(writing.forget, lost, at)
        database.write(writing.answered, self._place, at)
        self._checked = time.monotonic()


def _record(db: sqlite3.Connection, place: Place, listed: Mapping[datetime, Sequence[Seen]]) -> None:
    for at, seen in listed.items():
        writing.record(db, place, seen, at)


def _by_moment(listed: Iterable[tuple[Process, datetime]]) -> dict[datetime, list[Seen]]:
    """Processes by when they were listed: at one moment, or where they could not be written, at several ones."""
    found: dict[datetime, list[Seen]] = {}
    for process, at in listed:
        found.setdefault(at, []).append(_seen(process))
    return found


def _seen(process: Process) -> Seen:
    return Seen(
        process_id=process.process_id or ProcessId(""),
        run_id=process.run_id,
        execution_id=process.execution_id,
        name=process.name,
        language=process.language,
        status=process.status,
        status_detail=process.status_detail,
        started_at=microseconds(process.started_at),
        completed_at=microseconds(process.completed_at),
        exit_code=process.exit_code,
        execution_time=process.execution_time if process.ended else None,
        pid=process.pid,
        stdout_bytes=process.stdout_bytes,
        stderr_bytes=process.stderr_bytes,
        leftovers=json.dumps(process.leftovers),
        peak_memory_bytes=process.usage.peak_memory_bytes if process.usage else None,
        cpu_seconds=process.usage.cpu_seconds if process.usage else None,
        peak_gpu_memory_bytes=process.usage.peak_gpu_memory_bytes if process.usage else None,
        stopped_when=process.stopped_when,
        notice=process.notice,
        retry_of=process.retry_of,
    )
