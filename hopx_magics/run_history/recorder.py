"""What is launched and listed goes into the history, and nothing fails because of it.

What goes wrong with the history is told once, as a note, and everything else goes on.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from hopx_magics import __version__

from ..errors import HistoryError, HopxError, LaunchError
from ..models import Launch, Place, Pruned, RunId
from ..protocol.replies import Launched
from ..settings import Settings
from ..words import Status
from . import pruning, reading, writing
from .database import Database
from .listings import ListingRecorder
from .origin import find_folder, find_origin
from .outputs import Fetch, OutputKeeper
from .pruning import Limits
from .reading import Recent
from .writing import NOWHERE, Waiter

SLACK = 1.2
"""The history is brought back to its limits when it is by so much larger."""

ENVIRONMENTS_KEPT = 1000


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

    def listings_of(self, place: Place) -> ListingRecorder:
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
