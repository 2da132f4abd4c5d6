"""The history as a session uses it: nothing that is launched, listed or waited for fails because of it.

What goes wrong with the history is told once, as a note, and everything else goes on.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hopx_magics import __version__

from ..errors import HistoryError
from ..models import Change, Launch, RunId, Status
from ..protocol import Launched
from ..settings import Settings
from . import History, Limits, Origin, Place, Recent
from .listings import Recorder
from .outputs import Fetch, OutputKeeper

SLACK = 1.2
"""The history is brought back to its limits when it is by so much larger."""


class Bookkeeping:
    """Writes into the history what a session launches, and what the agents list to it.

    `history` is for reading, which may fail; what this writes never does. `origin` tells from where is launched.
    """

    def __init__(self, settings: Settings, fetch: Fetch) -> None:
        limits = Limits(runs=settings.history_runs, output=settings.history_bytes, stream=settings.history_stream)
        self.history = History(settings.history_file, limits, version=__version__)
        self.origin: Callable[[], Origin] = origin_of_environment
        self._keeper = OutputKeeper(self.history, fetch)
        self._recorders: list[Recorder] = []
        self._notes: dict[str, bool] = {}
        self._pruned = False
        self._nowhere = Place("", f"{_WAITING}{os.getpid()}")

    # ------------------------------------------------------------ writing

    def begin(self, launches: Sequence[Launch], place: Place) -> None:
        """Writes down what is about to be launched."""
        with self._noting():
            self.history.begin(launches, place, self.origin())
        if not self._pruned:
            self._pruned = True
            threading.Thread(target=self._prune, name="hopx-prune", daemon=True).start()

    def begin_waiting(self, launches: Sequence[Launch]) -> None:
        """Writes down what is to be launched by this program later, on an agent that is not yet known."""
        self.begin(launches, self._nowhere)

    def assigned(self, run_id: RunId, place: Place | None) -> None:
        """Writes down to which agent a launch is about to be sent; None: it waits (again)."""
        with self._noting():
            self.history.assign(run_id, place or self._nowhere)

    def abandon_waiting(self) -> None:
        """Finds what other programs were to launch, and have not, when they ended."""
        with self._noting():
            for agent in self.history.going():
                if agent.startswith(_WAITING) and not _is_alive(int(agent.removeprefix(_WAITING))):
                    self.history.abandon(agent, "never launched: the notebook that was to launch it has ended")

    def launched(self, run_id: RunId, reply: Launched) -> None:
        """Writes down which process a launch became."""
        with self._noting():
            self.history.launched(run_id, reply.process_id, reply.execution_id, reply.status)

    def not_launched(self, run_ids: Iterable[RunId], status: Status, reason: str) -> None:
        """Writes down that launches failed, or (`unknown`) that nobody knows whether they did."""
        with self._noting():
            self.history.not_launched(run_ids, status, reason)

    def recorder(self, place: Place) -> Callable[[Change], None]:
        """What is to be called with every listing of an agent."""
        recorder = Recorder(self.history, place, self._keep_outputs, self._note)
        self._recorders.append(recorder)
        return recorder.take

    def looked(self) -> None:
        """Writes down that somebody looks at the runs of this notebook."""
        with self._noting():
            self.history.looked(self.origin(), _folder())

    def recent(self) -> Recent:
        """What happened to the runs of this notebook since somebody last looked."""
        try:
            return self.history.recent(self.origin(), _folder())
        except HistoryError as error:
            self._note(error)
            return Recent(0, 0, 0, 0, 0)

    def _keep_outputs(self, place: Place) -> None:
        if self.history.limits.stream > 1:
            self._keeper.keep(place)

    def _prune(self) -> None:
        with self._noting():
            if pruned := self.history.prunable(slack=SLACK):
                self.history.prune(pruned)

    # ------------------------------------------------------------ what the user is told

    def notes(self) -> list[str]:
        """What the user should be told and has not been told yet."""
        for note in self.history.notes:
            self._notes.setdefault(note, False)
        news = [note for note, told in self._notes.items() if not told]
        self._notes.update(dict.fromkeys(news, True))
        return news

    def _note(self, error: HistoryError) -> None:
        self._notes.setdefault(f"{error}\nWhat is launched is not written down, and goes on as ever.", False)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except HistoryError as error:
            self._note(error)

    # ------------------------------------------------------------ life

    def move(self, file: Path) -> None:
        """Goes on with another file."""
        self.history.move(file)
        for recorder in self._recorders:
            recorder.begin_anew()

    def drain(self, seconds: float) -> None:
        """Waits until the outputs of what has ended are in the history, or for so long."""
        self._keeper.drain(seconds)

    def renew_after_fork(self) -> None:
        """Gives a forked child locks of its own."""
        self.history.renew_after_fork()
        self._keeper.renew_after_fork()
        self._nowhere = Place("", f"{_WAITING}{os.getpid()}")
        for recorder in self._recorders:
            recorder.renew_after_fork()

    def close(self) -> None:
        """Closes the file, after what is still to be kept."""
        self._recorders.clear()
        self.history.close()


_WAITING = f"waiting on {socket.gethostname()}: "
"""With a process id behind it, this stands for the agent of what that program is still to launch."""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def origin_of_environment() -> Origin:
    """The notebook, where the server that started this kernel has said which one it is."""
    return Origin(notebook=os.environ.get("JPY_SESSION_NAME"))


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
