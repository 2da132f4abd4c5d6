"""What agents list goes into the history: what is new in every listing, and what should be listed and is not."""

import threading
import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import HistoryError
from ..models import Change, Listing, Place, Process, ProcessId
from ..protocol import FORGOTTEN_AFTER
from ..words import Status
from . import reading, writing
from .writing import Seen, microseconds

if TYPE_CHECKING:
    from .recorder import Recorder

CHECK_EVERY = 5.0
"""Seconds after which it is written down again that an agent answers, and looked for what it no longer lists."""


class ListingRecorder:
    """Writes down how the processes of one agent go on."""

    def __init__(self, recorder: "Recorder", place: Place) -> None:
        self._recorder = recorder
        self._history = recorder.history
        self._place = place
        self._lock = threading.Lock()
        self._known: dict[ProcessId, Process] = {}
        self._ended: dict[ProcessId, Status] | None = None
        """What was seen to end before the first listing; None before that, and after a failure."""
        self._recorded: tuple[str, int | None] | None = None
        """The ETag, and the tail, of the listing that was written down last."""
        self._checked = float("-inf")

    def take(self, change: Change) -> bool:
        """Writes down what is new in a listing; whether something may have ended whose output is still to be kept."""
        with self._lock:
            try:
                return self._take(change)
            except HistoryError as error:
                self._begin_anew()  # what was missed is new in the next listing, too
                self._recorder.note(error)
                return False

    def begin_anew(self) -> None:
        """Takes nothing for known: the history is another one."""
        with self._lock:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._ended = self._recorded = None
        self._known.clear()

    def _take(self, change: Change) -> bool:
        listing, first = change.listing, self._ended is None
        if self._ended is None:
            self._ended = self._history.read(reading.ended, self._place)
        changed, gone = (listing.processes, ()) if first else self._differences(change)
        new = {id_: process for process in changed if (id_ := process.process_id) and not self._knows(process)}
        if new:
            seen = [_seen(process_id, process) for process_id, process in new.items()]
            self._history.write(writing.record, self._place, seen, listing.received_at)
            self._known |= new
        for process_id in gone:
            self._known.pop(process_id, None)
        if first or gone or time.monotonic() - self._checked > CHECK_EVERY:
            self._check(listing)
        self._recorded = None if listing.etag is None else (listing.etag, listing.tail)
        return first or any(process.ended for process in new.values())

    def _differences(self, change: Change) -> tuple[Iterable[Process], Collection[ProcessId]]:
        """What may be new since the listing that was written down last, and what is gone."""
        listing = change.listing
        if change.changed is not None:
            return change.changed, change.gone
        if (listing.etag, listing.tail) == self._recorded:
            return (), ()
        return listing.processes, self._known.keys() - listing.by_id.keys()

    def _knows(self, process: Process) -> bool:
        process_id = process.process_id
        known = self._known.get(process_id) if process_id else None
        if known is None:
            return bool(self._ended and process_id and self._ended.get(process_id) == process.status)
        return known is process or (
            known.status == process.status
            and known.started_at == process.started_at
            and known.completed_at == process.completed_at
            and known.exit_code == process.exit_code
            and known.status_detail == process.status_detail
        )

    def _check(self, listing: Listing) -> None:
        self._checked, now = time.monotonic(), datetime.now(UTC)  # the listing may be an older one that still holds
        if lost := self._history.read(writing.lost, self._place, listing.by_id.keys(), now, FORGOTTEN_AFTER):
            self._history.write(writing.forget, lost, now)
        self._history.write(writing.answered, self._place, now)


def _seen(process_id: ProcessId, process: Process) -> Seen:
    return Seen(
        process_id=process_id,
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
    )
