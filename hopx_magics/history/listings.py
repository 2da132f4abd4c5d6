"""What agents list goes into the history: what is new in every listing, and what should be listed and is not."""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

from ..connection.waiting import FORGOTTEN_AFTER
from ..errors import HistoryError
from ..models import Change, Listing, Process, ProcessId, Status
from . import History, Place, Seen, microseconds

CHECK_EVERY = 5.0
"""Seconds after which it is written down again that an agent answers, and looked for what it no longer lists."""


class Recorder:
    """Writes down how the processes of one agent go on. Called with every change that any listing shows.

    `on_ends` is called when processes have ended, `on_error` when the history can't be used: that is no reason for a
    listing to fail.
    """

    def __init__(
        self, history: History, place: Place, on_ends: Callable[[Place], None], on_error: Callable[[HistoryError], None]
    ) -> None:
        self._history = history
        self._place = place
        self._on_ends = on_ends
        self._on_error = on_error
        self._lock = threading.Lock()
        self._known: dict[ProcessId, Process] = {}
        self._ended: dict[ProcessId, Status] | None = None
        """What was seen to end before the first listing; None before that, and after a failure."""
        self._recorded: tuple[str, int | None] | None = None
        """The ETag, and the tail, of the listing that was written down last."""
        self._checked = float("-inf")

    def take(self, change: Change) -> None:
        """Writes down what is new."""
        with self._lock:
            try:
                self._take(change)
            except HistoryError as error:
                self._begin_anew()  # what was missed is new in the next listing, too
                self._on_error(error)

    def begin_anew(self) -> None:
        """Takes nothing for known: the history is another one."""
        with self._lock:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._ended = self._recorded = None
        self._known.clear()

    def renew_after_fork(self) -> None:
        """Gives a forked child a lock of its own."""
        self._lock = threading.Lock()

    def _take(self, change: Change) -> None:
        listing, first = change.listing, self._ended is None
        if self._ended is None:
            self._ended = self._history.ended(self._place)
        changed, gone = (listing.processes, ()) if first else self._differences(change)
        new = [process for process in changed if process.process_id and not self._knows(process)]
        if new:
            self._history.record(self._place, list(map(_seen, new)), listing.received_at)
            self._known.update((process.process_id, process) for process in new)
        for process_id in gone:
            self._known.pop(process_id, None)
        if first or gone or time.monotonic() - self._checked > CHECK_EVERY:
            self._check(listing)
        if first or any(process.ended for process in new):
            self._on_ends(self._place)
        self._recorded = None if listing.etag is None else (listing.etag, listing.tail)

    def _differences(self, change: Change) -> tuple[Iterable[Process], Collection[ProcessId]]:
        """What may be new since the listing that was written down last, and what is gone."""
        listing = change.listing
        if change.changed is not None:
            return change.changed, change.gone
        if (listing.etag, listing.tail) == self._recorded:
            return (), ()
        return listing.processes, self._known.keys() - listing.by_id.keys()

    def _knows(self, process: Process) -> bool:
        known = self._known.get(process.process_id)
        if known is None:
            return self._ended is not None and self._ended.get(process.process_id) == process.status
        return known is process or (
            known.status == process.status
            and known.started_at == process.started_at
            and known.completed_at == process.completed_at
            and known.exit_code == process.exit_code
            and known.status_detail == process.status_detail
        )

    def _check(self, listing: Listing) -> None:
        self._checked, now = time.monotonic(), datetime.now(UTC)  # the listing may be an older one that still holds
        listed = [process.process_id for process in listing.processes]
        self._history.forget_lost(self._place, listed, now, listed_after=FORGOTTEN_AFTER)
        self._history.answered(self._place, now)


def _seen(process: Process) -> Seen:
    return Seen(
        process_id=process.process_id,
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
