"""Hands launches out to several agents: to each at most so many at once, and the next one when one has ended.

A launch belongs to no agent before it is handed out. So nothing has to be moved away from an agent that died: it is
just not given any more, and what it may have been given stays its own. Nothing is launched twice.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from ..connection.connection import Connection
from ..connection.watcher import Update
from ..errors import AgentRefused, AgentUnreachable, HopxError, LaunchError
from ..models import Launch, Process, RunId
from ..run_history.database import Database
from ..run_history.recorder import Recorder
from ..words import Status

DEAD_AFTER = 10.0
"""Seconds without an answer after which an agent is given nothing more, until it answers again."""

LOOK_EVERY = 1.0

_PASSING = frozenset({429, 502, 503, 504})
"""Refusals that speak of the agent and not of what was sent."""

Told = Callable[[RunId, Process, Connection | None], None]
"""Called with a run, its process as it is now, and the connection, None as long as it is not handed out."""


_log = logging.getLogger(__name__)


class Dispatcher:
    """Launches of one sweep on their way to several agents, at most `per` at once on each and `limit` on all together.

    `tell` is called, on other threads, with everything that becomes of a launch until the process has ended.
    """

    def __init__(
        self,
        recorder: Recorder,
        connections: Sequence[Connection],
        launches: Sequence[Launch],
        *,
        per: int | None,
        limit: int | None,
        tell: Told,
    ) -> None:
        self._recorder = recorder
        self._connections = {connection.name: connection for connection in connections}
        self._per = per or len(launches)
        self._limit = limit or len(launches)
        self._paused = False
        self._tell = tell
        self._waiting = {launch.run_id: launch for launch in launches}
        self._going: dict[str, dict[RunId, Process]] = {name: {} for name in self._connections}
        self._silent_since: dict[str, float] = {}
        self._in_hand: RunId | None = None
        """What is on its way to an agent at this moment."""
        self._changed = threading.Condition()

    @property
    def history(self) -> Database:
        """The history that has the launches."""
        return self._recorder.history

    def start(self) -> None:
        """Begins to hand out, on a thread that is there until all have ended."""
        self._recorder.begin(list(self._waiting.values()), None)
        threading.Thread(target=self._run, name="hopx-dispatcher", daemon=True).start()

    @property
    def paused(self) -> bool:
        """Whether nothing is handed out for now."""
        return self._paused

    def change(self, *, paused: bool | None = None, limit: int | None = None) -> None:
        """Hands nothing out for now, or goes on; has no more than `limit` running, 0 for as many as may."""
        with self._changed:
            self._paused = self._paused if paused is None else paused
            self._limit = self._limit if limit is None else limit or sys.maxsize
            self._changed.notify_all()

    def wait_handed(self, run_id: RunId, timeout: float | None = None) -> bool:
        """Waits until a launch waits no longer, whatever has become of it; tells whether it does not."""
        with self._changed:
            return self._changed.wait_for(lambda: run_id not in self._waiting and run_id != self._in_hand, timeout)

    def withdraw(self, run_id: RunId) -> bool:
        """Takes back a launch that still waits; tells whether it did."""
        with self._changed:
            launch = self._waiting.pop(run_id, None)
            if launch is None:
                return False
            self._changed.notify_all()
        self._settle(launch, "killed", "withdrawn before it was launched")
        return True

    # ------------------------------------------------------------ handing out

    def _run(self) -> None:
        stops = [connection.watcher.listen(self._listener(name)) for name, connection in self._connections.items()]
        try:
            while self._waiting or any(self._going.values()):
                if not self._hand_out():
                    with self._changed:
                        self._changed.wait(LOOK_EVERY)
        finally:
            for stop in stops:
                stop()

    def _hand_out(self) -> bool:
        """Gives the next launch to the agent with the most room; False when there is none."""
        with self._changed:
            name = self._roomiest()
            if name is None or not self._waiting:
                return False
            self._in_hand = run_id = next(iter(self._waiting))
            launch = self._waiting.pop(run_id)
        connection = self._connections[name]
        try:
            process = connection.launch_assigned(launch)
        except HopxError as error:
            self._take_failure(connection, launch, error)
        except Exception as error:  # whatever it was, the next launch must find the thread alive
            _log.exception("launching %s failed", run_id)
            self._settle(launch, "unknown", f"not known whether it was launched: {type(error).__name__}", connection)
        else:
            self._tell(run_id, process, connection)
            with self._changed:
                self._going[name][run_id] = process
        with self._changed:
            self._in_hand = None
            self._changed.notify_all()
        return True

    def _roomiest(self) -> str | None:
        """The agent that has the fewest running, if it and all together may have one more."""
        if self._paused or sum(map(len, self._going.values())) >= self._limit:
            return None
        counts = {name: len(going) for name, going in self._going.items() if self._answers(name)}
        name = min(counts, key=counts.__getitem__, default=None)
        return name if name is not None and counts[name] < self._per else None

    def _answers(self, name: str) -> bool:
        since = self._silent_since.get(name)
        return since is None or time.monotonic() - since < DEAD_AFTER

    def _take_failure(self, connection: Connection, launch: Launch, error: HopxError) -> None:
        """Puts a launch back that certainly is not at its agent, which does not answer; any other stays what it is."""
        unsent = isinstance(error, AgentUnreachable) and not error.sent
        passing = isinstance(error, AgentRefused) and error.status in _PASSING
        nowhere = isinstance(error, LaunchError) and not error.may_run
        if unsent or passing or nowhere:
            self._recorder.assigned(launch.run_id, None)
            with self._changed:
                self._waiting = {launch.run_id: launch, **self._waiting}
                self._silent_since[connection.name] = time.monotonic() - DEAD_AFTER
            return
        may_run = isinstance(error, LaunchError)
        self._settle(launch, "unknown" if may_run else "failed", f"not launched: {error.message}", connection)

    def _settle(self, launch: Launch, status: Status, reason: str, connection: Connection | None = None) -> None:
        """That is what has become of it, for good."""
        self._recorder.not_launched(launch.run_id, status, reason)
        process = msgspec.structs.replace(not_launched_yet(launch), status=status, status_detail=reason)
        self._tell(launch.run_id, process, connection)

    # ------------------------------------------------------------ following

    def _listener(self, name: str) -> Callable[[Update], None]:
        connection = self._connections[name]

        def take(update: Update) -> None:
            with self._changed:
                if update.error is not None:
                    self._silent_since.setdefault(name, update.failing_since or time.monotonic())
                    return
                self._silent_since.pop(name, None)
                news = self._news(name, update)
                self._changed.notify_all()
            for run_id, process in news.items():
                self._tell(run_id, process, connection)

        return take

    def _news(self, name: str, update: Update) -> dict[RunId, Process]:
        """What is listed of the runs that go on there; those that do so no longer are forgotten."""
        if update.listing is None:
            return {}
        going = self._going[name]
        news = {run_id: listed for run_id, known in going.items() if (listed := update.listing.find(known.process_id))}
        over = {run_id for run_id, process in news.items() if process.ended or process.status == "unknown"}
        over |= {run_id for run_id, known in going.items() if known.process_id in update.gone}
        for run_id in over:
            del going[run_id]
        return news


def not_launched_yet(launch: Launch) -> Process:
    """How a launch is shown that waits to be handed out: it has no process id."""
    return Process(process_id=None, name=launch.name, status="queued", language=launch.language, run_id=launch.run_id)
