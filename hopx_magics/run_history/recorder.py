"""What is launched and listed goes into the history, and nothing fails or waits because of it.

What goes wrong with the history is told once, as a note, and everything else goes on.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hopx_magics import __version__

from ..errors import HistoryError, HopxError, LaunchError
from ..models import Launch, Place, RunId
from ..protocol.replies import Launched
from ..settings import Settings
from ..words import Status
from . import pruning, reading, writing
from .ahead import Ahead
from .database import Database
from .entries import NOWHERE, Assigned, Became, NeverSent, NotLaunched, Waiter, batched, begun, now
from .journal import is_alive
from .listings import ListingRecorder
from .origin import find_folder, find_origin
from .outputs import Fetch, OutputKeeper
from .pruning import Limits
from .reading import Recent
from .seal import Seal
from .writer import Writer

SLACK = 1.2
"""The history is brought back to its limits when it is by so much larger."""

SECRETS_KEPT = 1000


class Recorder:
    """Writes into a history what is launched, and what agents list. Safe to use from several threads.

    Nothing of it raises HistoryError. `limits` are those of the history.
    """

    def __init__(self, history: Database, settings: Settings) -> None:
        self.history = history
        self.limits = Limits(runs=settings.history_runs, output=settings.history_bytes, stream=settings.history_stream)
        self.seal = Seal(settings.history_key)
        """By what it is known again what this user's own programs have left."""
        self._writer = Writer(history.file)
        history.settle = self._ahead
        self._keeper = OutputKeeper(self._writer.database)
        self._listings: list[ListingRecorder] = []
        self._notes: dict[str, bool] = {}
        self._begun = False
        self._here = Waiter(socket.gethostname(), os.getpid())
        self._environments: dict[RunId, dict[str, str]] = {}
        self._places: dict[RunId, tuple[str, ...]] = {}

    @property
    def locks(self) -> tuple[threading.RLock, threading.RLock]:
        """Those that are held by whoever is within SQLite in this program."""
        return self.history.lock, self._writer.database.lock

    # ------------------------------------------------------------ launches

    def begin(self, launches: Sequence[Launch], place: Place | None) -> None:
        """Writes down what is about to be sent to an agent; None: to one that is not yet known, by this program."""
        waiter = None if place else self._here
        facts = (place or NOWHERE, find_origin(), __version__, waiter)
        self._writer.tell(*(begun(some, *facts) for some in batched(launches)))
        self._remember_secrets(launches)
        if not self._begun:
            self._begun = True
            self._writer.take_over(self._keep_outputs)
            threading.Thread(target=self._prune, name="hopx-prune", daemon=True).start()

    def assigned(self, run_id: RunId, place: Place | None) -> None:
        """Writes down to which agent a launch is about to be sent; None: it waits (again)."""
        self._writer.tell(Assigned(run_id, place or NOWHERE, None if place else self._here))

    def launched(self, run_id: RunId, reply: Launched) -> None:
        """Writes down which process a launch became."""
        self._writer.tell(_became(run_id, reply))

    def answered(self, launches: Sequence[Launch], answers: Sequence[Launched | BaseException]) -> None:
        """Writes down what became of launches that were begun together, in their order; the others were never sent."""
        told = [
            _became(launch.run_id, answer) if isinstance(answer, Launched) else _failed(launch, answer)
            for launch, answer in zip(launches, answers, strict=False)
        ]
        self._writer.tell(*told, *(NeverSent(launch.run_id) for launch in launches[len(answers) :]))

    def not_launched(self, run_id: RunId, status: Status, reason: str) -> None:
        """Writes down that a launch failed, or (`unknown`) that nobody knows whether it did."""
        self._writer.tell(NotLaunched(run_id, status, reason, now()))

    def failed(self, launch: Launch, error: BaseException) -> None:
        """Writes down that a launch failed with `error`."""
        self._writer.tell(_failed(launch, error))

    def take_over(self) -> None:
        """Finds what other programs have not written, and what they were to launch, and have not, when they ended."""
        self._writer.take_over(self._keep_outputs)
        self._writer.do("abandon", self._abandon_waiting)

    def _abandon_waiting(self, database: Database) -> None:
        for waiter in database.read(reading.waiters):
            if waiter.host == self._here.host and not is_alive(waiter.pid):
                reason = "never launched: the notebook that was to launch it has ended"
                database.write(writing.abandon, waiter, reason)

    def secrets(self, run_id: RunId) -> tuple[dict[str, str], tuple[str, ...]]:
        """What the history must not keep of a run that goes back to a recent launch of this program: its environment,
        and where its notices went. Else nothing. Raises HistoryError."""
        if not self._environments and not self._places:
            return {}, ()
        line = self.history.read(reading.launched_before, run_id)
        environments = (self._environments[before] for before in line if before in self._environments)
        places = (self._places[before] for before in line if before in self._places)
        return next(environments, {}), next(places, ())

    def _remember_secrets(self, launches: Sequence[Launch]) -> None:
        self._environments |= {launch.run_id: launch.env for launch in launches if launch.env}
        self._places |= {launch.run_id: launch.notify.places for launch in launches if launch.notify}
        for kept in (self._environments, self._places):
            while len(kept) > SECRETS_KEPT:
                kept.pop(next(iter(kept)), None)

    # ------------------------------------------------------------ listings and outputs

    def listings_of(self, place: Place, fetch: Fetch) -> ListingRecorder:
        """Who writes down what an agent lists; `fetch` reads the outputs that are to be kept."""
        recorder = ListingRecorder(self._writer, place, partial(self._keep_outputs_of, place, fetch))
        self._listings.append(recorder)
        return recorder

    def _keep_outputs_of(self, place: Place, fetch: Fetch) -> None:
        if self.limits.stream > 1:
            self._keeper.keep(place, fetch)

    def _keep_outputs(self) -> None:
        for recorder in self._listings:
            recorder.keep_outputs()

    def drain(self, seconds: float) -> None:
        """Waits until the outputs of what has ended are in the history, or for so long."""
        self.settle()
        self._keeper.drain(seconds)

    def _ahead(self) -> Ahead | None:
        """What the history still lacks of what was told, after a try to write it."""
        if self._writer.settle(again=True):
            return None
        listed = [each for recorder in list(self._listings) for each in recorder.unwritten()]
        ahead = Ahead(self._writer.lines, listed)
        return ahead if any(ahead) else None

    def settle(self) -> None:
        """Waits, for half a second at most, until the history has what was told."""
        self._writer.settle()

    @property
    def unwritten(self) -> int:
        """How much of what was told is not in the history yet."""
        return len(self._writer.lines)

    @property
    def no_room(self) -> HistoryError | None:
        """Why the history can't take the outputs of what has ended; None when it can."""
        return self._keeper.failure

    # ------------------------------------------------------------ those who look

    def looked(self) -> None:
        """Writes down that somebody looks at the runs of this notebook."""
        if place := find_origin().notebook or find_folder():
            at = now()
            self._writer.do("looked", lambda database: database.write(writing.looked, place, at))

    def recent(self) -> Recent:
        """What happened to the runs of this notebook since somebody last looked."""
        with contextlib.suppress(HistoryError):  # who writes next says so
            return self.history.read(reading.recent, find_origin().notebook, find_folder())
        return Recent()

    def notes(self) -> list[str]:
        """What the user should be told and has not been told yet."""
        lost = [f"something of a run could not be written into the history: {each}" for each in self._writer.problems]
        for note in [*self.history.notes, *self._writer.database.notes, *lost]:
            self._notes.setdefault(note, False)
        news = [note for note, told in self._notes.items() if not told]
        self._notes.update(dict.fromkeys(news, True))
        return news + [note for note in [self._writer.note()] if note]

    # ------------------------------------------------------------ the file

    def move(self, file: Path) -> None:
        """Goes on with another file."""
        self._writer.move(file)
        self.history.move(file)
        for recorder in self._listings:
            recorder.begin_anew()

    def close(self) -> None:
        """Writes what can be written now; more can still be told."""
        self._writer.close()

    def _prune(self) -> None:
        with contextlib.suppress(HistoryError):
            if pruned := self.history.read(pruning.over_limits, self.limits, SLACK):
                pruning.prune(self.history.file, pruned)


def _became(run_id: RunId, reply: Launched) -> Became:
    return Became(run_id, reply.process_id, reply.execution_id, reply.status)


def _failed(launch: Launch, error: BaseException) -> NotLaunched:
    reason = error.message if isinstance(error, HopxError) else type(error).__name__
    certain = isinstance(error, HopxError) and not (isinstance(error, LaunchError) and error.may_run)
    return NotLaunched(launch.run_id, "failed" if certain else "unknown", f"not launched: {reason}", now())
