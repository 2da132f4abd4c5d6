"""What is launched and listed goes into the history, and nothing fails because of it.

What goes wrong with the history is told once, as a note, and everything else goes on.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hopx_magics import __version__

from ..errors import HistoryError, HopxError, LaunchError
from ..models import Change, Launch, Listing, Place, Process, ProcessId, Pruned, RunId
from ..protocol.listing import FORGOTTEN_AFTER
from ..protocol.replies import Launched
from ..settings import Settings
from ..words import Status
from . import pruning, reading, writing
from .database import Database
from .origin import find_folder, find_origin
from .outputs import Fetch, OutputKeeper
from .pruning import Limits
from .reading import Recent
from .writing import NOWHERE, Seen, Waiter, microseconds

SLACK = 1.2
"""The history is brought back to its limits when it is by so much larger."""

ENVIRONMENTS_KEPT = 1000

CHECK_EVERY = 5.0
"""Seconds after which it is written down again that an agent answers, and looked for what it no longer lists."""


class Recorder:
    """Writes into a history what is launched, and what agents list. Safe to use from several threads.

    Nothing of it raises HistoryError. `limits` are those of the history.
    """

    def __init__(self, history: Database, settings: Settings) -> None:
        self.history = history
        self.limits = Limits(runs=settings.history_runs, output=settings.history_bytes, stream=settings.history_stream)
        self._keeper = OutputKeeper(history)
        self._listings: list[ListingRecorder] = []
        self._notes: dict[str, bool] = {}
        self._pruned = False
        self._here = Waiter(socket.gethostname(), os.getpid())
        self._environments: dict[RunId, dict[str, str]] = {}

    # ------------------------------------------------------------ launches

    def begin(self, launches: Sequence[Launch], place: Place | None) -> None:
        """Writes down what is about to be sent to an agent; None: to one that is not yet known, by this program."""
        with self._noting():
            waiter = None if place else self._here
            self.history.write(writing.begin, launches, place or NOWHERE, find_origin(), __version__, waiter)
        self._remember_environments(launches)
        if not self._pruned:
            self._pruned = True
            threading.Thread(target=self._prune, name="hopx-prune", daemon=True).start()

    def assigned(self, run_id: RunId, place: Place | None) -> None:
        """Writes down to which agent a launch is about to be sent; None: it waits (again)."""
        with self._noting():
            self.history.write(writing.assign, run_id, place or NOWHERE, None if place else self._here)

    def launched(self, run_id: RunId, reply: Launched) -> None:
        """Writes down which process a launch became."""
        with self._noting():
            self.history.write(writing.launched, run_id, reply.process_id, reply.execution_id, reply.status)

    def not_launched(self, run_ids: Collection[RunId], status: Status, reason: str) -> None:
        """Writes down that launches failed, or (`unknown`) that nobody knows whether they did."""
        with self._noting():
            self.history.write(writing.not_launched, run_ids, status, reason)

    def failed(self, launches: Sequence[Launch], error: BaseException) -> None:
        """Writes down that the first of these failed with `error`, and that the others were not sent."""
        reason = error.message if isinstance(error, HopxError) else type(error).__name__
        certain = isinstance(error, HopxError) and not (isinstance(error, LaunchError) and error.may_run)
        first, *others = [launch.run_id for launch in launches]
        self.not_launched([first], "failed" if certain else "unknown", f"not launched: {reason}")
        self.not_launched(others, "failed", "not launched: one before it could not be")

    def abandon_waiting(self) -> None:
        """Finds what other programs were to launch, and have not, when they ended."""
        with self._noting():
            for waiter in self.history.read(reading.waiters):
                if waiter.host == self._here.host and not _is_alive(waiter.pid):
                    reason = "never launched: the notebook that was to launch it has ended"
                    self.history.write(writing.abandon, waiter, reason)

    def environment(self, run_id: RunId) -> dict[str, str]:
        """The environment of a recent launch of this program, which the history must not keep; else nothing."""
        return self._environments.get(run_id, {})

    def _remember_environments(self, launches: Sequence[Launch]) -> None:
        self._environments |= {launch.run_id: launch.env for launch in launches if launch.env}
        while len(self._environments) > ENVIRONMENTS_KEPT:
            self._environments.pop(next(iter(self._environments)), None)

    # ------------------------------------------------------------ listings and outputs

    def listings_of(self, place: Place) -> "ListingRecorder":
        """Who writes down what an agent lists."""
        recorder = ListingRecorder(self, place)
        self._listings.append(recorder)
        return recorder

    def keep_outputs(self, place: Place, fetch: Fetch) -> None:
        """Keeps, soon, the outputs of what has ended there; `fetch` reads one, raising what an agent raises."""
        if self.limits.stream > 1:
            self._keeper.keep(place, fetch)

    def drain(self, seconds: float) -> None:
        """Waits until the outputs of what has ended are in the history, or for so long."""
        self._keeper.drain(seconds)

    # ------------------------------------------------------------ those who look

    def looked(self) -> None:
        """Writes down that somebody looks at the runs of this notebook."""
        if place := find_origin().notebook or find_folder():
            with self._noting():
                self.history.write(writing.looked, place)

    def recent(self) -> Recent:
        """What happened to the runs of this notebook since somebody last looked."""
        with self._noting():
            return self.history.read(reading.recent, find_origin().notebook, find_folder())
        return Recent(0, 0, 0, 0)

    def notes(self) -> list[str]:
        """What the user should be told and has not been told yet."""
        for note in self.history.notes:
            self._notes.setdefault(note, False)
        news = [note for note, told in self._notes.items() if not told]
        self._notes.update(dict.fromkeys(news, True))
        return news

    def note(self, error: HistoryError) -> None:
        """The user should be told of this error."""
        self._notes.setdefault(f"{error}\nWhat is launched is not written down, and goes on as ever.", False)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """Makes a note of a HistoryError, and goes on behind the block."""
        try:
            yield
        except HistoryError as error:
            self.note(error)

    # ------------------------------------------------------------ the file

    def move(self, file: Path) -> None:
        """Goes on with another file."""
        self.history.move(file)
        for recorder in self._listings:
            recorder.begin_anew()

    def _prune(self) -> None:
        with self._noting():
            if pruned := self.history.read(pruning.over_limits, self.limits, SLACK):
                prune(self.history, pruned)


class ListingRecorder:
    """Writes down how the processes of one agent go on."""

    def __init__(self, recorder: Recorder, place: Place) -> None:
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


def prune(history: Database, pruned: list[Pruned]) -> None:
    """Removes these runs, or only their outputs, and gives their room back to the disk. Raises HistoryError."""
    history.write(pruning.remove, pruned)
    history.give_back()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
