"""Hands launches out to several agents: to each at most so many at once, and the next one when one has ended.

A launch belongs to no agent before it is handed out. So nothing has to be moved away from an agent that died: it is
just not given any more, and what it may have been given stays its own. Nothing is launched twice.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ..connection.watcher import Update
from ..errors import AgentRefused, AgentUnreachable, HopxError, LaunchError
from ..models import Launch, Process, ProcessId, RunId, Status

if TYPE_CHECKING:
    from .connecting import Connection
    from .session import Session

DEAD_AFTER = 10.0
"""Seconds without an answer after which an agent is given nothing more, until it answers again."""

LOOK_EVERY = 1.0

_PASSING = frozenset({429, 502, 503, 504})
"""Refusals that speak of the agent and not of what was sent."""

Told = Callable[[RunId, Process, str], None]
"""Called with a run, its process as it is now, and the connection: "" as long as it is not handed out."""


class Dispatcher:
    """Launches of one sweep on their way to several agents, at most `per` at once on each and `limit` on all together.

    `tell` is called, on other threads, with everything that becomes of a launch until the process has ended.
    """

    def __init__(
        self,
        session: "Session",
        connections: Sequence["Connection"],
        launches: Sequence[Launch],
        *,
        per: int | None,
        limit: int | None,
        tell: Told,
    ) -> None:
        self._session = session
        self._connections = {connection.name: connection for connection in connections}
        self._per = per or len(launches)
        self._limit = limit or len(launches)
        self._tell = tell
        self._waiting = deque(launches)
        self._going: dict[str, dict[ProcessId, RunId]] = {name: {} for name in self._connections}
        self._silent_since: dict[str, float] = {}
        self._in_hand: RunId | None = None
        """What is on its way to an agent at this moment."""
        self._changed = threading.Condition()

    def start(self) -> None:
        """Begins to hand out, on a thread that is there until all have ended."""
        threading.Thread(target=self._run, name="hopx-dispatcher", daemon=True).start()

    def wait_handed(self, run_id: RunId, timeout: float | None = None) -> bool:
        """Waits until a launch waits no longer, whatever has become of it; tells whether it does not."""
        with self._changed:
            return self._changed.wait_for(lambda: run_id != self._in_hand and self._find(run_id) is None, timeout)

    def withdraw(self, run_id: RunId) -> bool:
        """Takes back a launch that still waits; tells whether it did."""
        with self._changed:
            launch = self._find(run_id)
            if launch is None:
                return False
            self._waiting.remove(launch)
            self._changed.notify_all()
        self._settle(launch, "killed", "withdrawn before it was launched")
        return True

    def _find(self, run_id: RunId) -> Launch | None:
        return next((launch for launch in self._waiting if launch.run_id == run_id), None)

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
            launch = self._waiting.popleft()
            self._in_hand = launch.run_id
        try:
            process = self._session.launch_assigned(self._connections[name], launch)
        except HopxError as error:
            self._take_failure(name, launch, error)
        else:
            self._tell(launch.run_id, process, name)
            with self._changed:
                self._going[name][process.process_id] = launch.run_id
        with self._changed:
            self._in_hand = None
            self._changed.notify_all()
        return True

    def _roomiest(self) -> str | None:
        """The agent that has the fewest running, if it and all together may have one more."""
        if sum(map(len, self._going.values())) >= self._limit:
            return None
        counts = {name: len(going) for name, going in self._going.items() if self._answers(name)}
        name = min(counts, key=counts.__getitem__, default=None)
        return name if name is not None and counts[name] < self._per else None

    def _answers(self, name: str) -> bool:
        since = self._silent_since.get(name)
        return since is None or time.monotonic() - since < DEAD_AFTER

    def _take_failure(self, name: str, launch: Launch, error: HopxError) -> None:
        """Puts a launch back that certainly is not at its agent, which does not answer; any other stays what it is."""
        unsent = isinstance(error, AgentUnreachable) and not error.sent
        passing = isinstance(error, AgentRefused) and error.status in _PASSING
        nowhere = isinstance(error, LaunchError) and not error.may_run
        if unsent or passing or nowhere:
            self._session.books.assigned(launch.run_id, None)
            with self._changed:
                self._waiting.appendleft(launch)
                self._silent_since[name] = time.monotonic() - DEAD_AFTER
            return
        may_run = isinstance(error, LaunchError)
        self._settle(launch, "unknown" if may_run else "failed", f"not launched: {error.message}", name)

    def _settle(self, launch: Launch, status: Status, reason: str, connection: str = "") -> None:
        """That is what has become of it, for good."""
        self._session.books.not_launched([launch.run_id], status, reason)
        process = msgspec.structs.replace(not_launched_yet(launch), status=status, status_detail=reason)
        self._tell(launch.run_id, process, connection)

    # ------------------------------------------------------------ following

    def _listener(self, name: str) -> Callable[[Update], None]:
        def take(update: Update) -> None:
            with self._changed:
                if update.error is not None:
                    self._silent_since.setdefault(name, update.failing_since or time.monotonic())
                    return
                self._silent_since.pop(name, None)
                news = self._news(name, update)
                self._changed.notify_all()
            for run_id, process in news:
                self._tell(run_id, process, name)

        return take

    def _news(self, name: str, update: Update) -> list[tuple[RunId, Process]]:
        if update.listing is None:
            return []
        going, listed = self._going[name], update.listing.by_id
        news = [(run_id, listed[process_id]) for process_id, run_id in going.items() if process_id in listed]
        for _, process in news:
            if process.ended or process.status == "unknown":
                del going[process.process_id]
        for process_id in update.gone:
            going.pop(process_id, None)
        return news


def not_launched_yet(launch: Launch) -> Process:
    """How a launch is shown that waits to be handed out: it has no process id."""
    return Process(
        process_id=ProcessId(""), name=launch.name, status="queued", language=launch.language, run_id=launch.run_id
    )
