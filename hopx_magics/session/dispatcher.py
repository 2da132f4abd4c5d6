"""Hands launches out to several agents: to each at most so many at once, and the next one when one has ended.

A launch belongs to no agent before it is handed out. So nothing has to be moved away from an agent that died: it is
just not given any more, and what it may have been given stays its own. Nothing is launched twice but what is to be
tried again: when it fails, or when its agent is lost. Each try is a run of its own, which points to the one before.
"""

import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

import msgspec

from ..connection.connection import Connection
from ..connection.watcher import Update
from ..errors import AgentRefused, AgentUnreachable, HopxError, LaunchError, SandboxGone
from ..models import Launch, Process, RunId
from ..run_history.database import Database
from ..run_history.recorder import Recorder
from ..words import Status

DEAD_AFTER = 10.0
"""Seconds without an answer after which an agent is given nothing more, until it answers again."""

LOST_AFTER = 60.0
"""Seconds without an answer after which what an agent has been given is tried again, if it is to be."""

LOOK_EVERY = 1.0

ROOM_FOR = 10.0
"""Seconds for which it counts how many an agent has room for, if nothing ends there: machines come and go."""

_PASSING = frozenset({429, 502, 503, 504})
"""Refusals that speak of the agent and not of what was sent."""

Told = Callable[[RunId, Process, Connection | None], None]
"""Called with a run, its process as it is now, and the connection, None as long as it is not handed out."""


_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


class Dispatcher:
    """Launches of one sweep on their way to several agents, at most `per` at once on each and `limit` on all together.

    None has more than it has room for, if it tells that, which is asked again as runs end, and from time to time; one
    that does not tell it has no more than one that does.

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
        self._rooms: dict[str, int | None] = {}
        """How many agents have room for, those that tell it."""
        self._rooms_due: dict[str, float] = {}
        """When that is to be asked again."""
        self._in_hand: set[RunId] = set()
        """What is on its way to agents at this moment."""
        self._gone: set[str] = set()
        """The connections whose sandboxes are gone for good."""
        self._given: dict[RunId, Launch] = {}
        """What agents have been given, and is to be tried again if it fails."""
        self._firsts: dict[RunId, RunId] = {}
        """By which run it is known that is tried again, and of which the last try is:"""
        self._last: dict[RunId, RunId] = {}
        self._not_before: dict[RunId, float] = {}
        self._between = 0
        """How many are looked at that have ended, and may be tried again."""
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
        """Waits until a launch, or the last try of it, waits no longer, whatever has become of it, and won't be tried
        again; tells whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waits(run_id) or self.tries_again(run_id)), timeout)

    def wait_out(self, run_id: RunId, timeout: float | None = None) -> bool:
        """Waits until a launch, or the last try of it so far, waits no longer; tells whether it does not."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waits(run_id), timeout)

    def _waits(self, run_id: RunId) -> bool:
        last = self._last.get(run_id, run_id)
        return last in self._waiting or last in self._in_hand

    def tries_again(self, run_id: RunId) -> bool:
        """Whether a launch that an agent has been given is tried again if it fails."""
        return self._last.get(run_id, run_id) in self._given

    def withdraw(self, run_id: RunId) -> bool:
        """Takes back a launch that still waits; tells whether it did."""
        with self._changed:
            launch = self._waiting.pop(self._last.get(run_id, run_id), None)
            if launch is None:
                return False
            self._changed.notify_all()
        self._settle(launch, "killed", "withdrawn before it was launched")
        return True

    # ------------------------------------------------------------ handing out

    def _run(self) -> None:
        stops = [connection.watcher.listen(self._listener(name)) for name, connection in self._connections.items()]
        try:
            while self._waiting or self._between or any(self._going.values()):
                self._look_for_lost()
                if not self._hand_out():
                    with self._changed:
                        self._changed.wait(LOOK_EVERY)
        finally:
            for stop in stops:
                stop()

    def _hand_out(self) -> bool:
        """Gives the next launches to the agents with the most room, side by side; False when there are none."""
        self._look_for_room()
        with self._changed:
            chosen = self._choose()
            launches = {run_id: self._waiting.pop(run_id) for run_id in chosen}
            self._given |= {run_id: launch for run_id, launch in launches.items() if launch.retries}
            self._in_hand = {*chosen}
        sent = [(self._connections[name], launches[run_id]) for run_id, name in chosen.items()]
        answers = _side_by_side([partial(_launched, *each) for each in sent])
        back = [each for each, answer in zip(sent, answers, strict=True) if not self._settled(*each, answer)]
        with self._changed:
            self._waiting = {launch.run_id: launch for _, launch in back} | self._waiting
            self._in_hand = set()
            self._changed.notify_all()
        return bool(chosen)

    def _choose(self) -> dict[RunId, str]:
        """What is handed out next, and to which agents: none gets more at a time than it takes side by side."""
        counts = {name: len(going) for name, going in self._going.items()}
        chosen: dict[RunId, str] = {}
        for run_id in self._ready():
            name = self._roomiest(counts)
            if name is None or list(chosen.values()).count(name) == self._connections[name].launched_side_by_side:
                break
            chosen[run_id] = name
            counts[name] += 1
        return chosen

    def _settled(self, connection: Connection, launch: Launch, answer: Process | Exception) -> bool:
        """Takes note of what has become of a launch; False when it is to wait again."""
        if isinstance(answer, Process):
            self._say(launch.run_id, answer, connection)
            with self._changed:
                self._going[connection.name][launch.run_id] = answer
        elif isinstance(answer, HopxError):
            return self._take_failure(connection, launch, answer)
        else:
            _log.error("launching %s failed", launch.run_id, exc_info=answer)
            words = f"not known whether it was launched: {type(answer).__name__}"
            self._settle(launch, "unknown", words, connection)
        return True

    def _ready(self) -> Iterator[RunId]:
        """The launches that wait for nothing but their turn."""
        now = time.monotonic()
        return (run_id for run_id in self._waiting if self._not_before.get(run_id, 0.0) <= now)

    def _say(self, run_id: RunId, process: Process, connection: Connection | None) -> None:
        self._tell(self._firsts.get(run_id, run_id), process, connection)

    def _roomiest(self, counts: Mapping[str, int]) -> str | None:
        """The agent that has the fewest running, if it and all together may have one more."""
        if self._paused or sum(counts.values()) >= self._limit:
            return None
        free = {name: count for name, count in counts.items() if self._answers(name) and count < self._most(name)}
        return min(free, key=free.__getitem__, default=None)

    def _most(self, name: str) -> int:
        """How many an agent may have at once."""
        room = self._rooms.get(name)
        told = [room] if room is not None else [each for each in self._rooms.values() if each is not None]
        return min([self._per, *told])

    def _look_for_room(self) -> None:
        """Asks agents how many they have room for, where that may be different by now."""
        now = time.monotonic()
        with self._changed:
            launch = next(iter(self._waiting.values()), None)
            due = [name for name in self._connections if self._rooms_due.get(name, 0.0) <= now and self._answers(name)]
        if launch is None:
            return
        for name in due:
            self._rooms_due[name] = now + ROOM_FOR
            try:
                self._rooms[name] = self._connections[name].room_for(launch)
            except AgentUnreachable:
                self._rooms_due.pop(name)
                with self._changed:
                    self._silent_since[name] = now - DEAD_AFTER
            except HopxError:  # if that lasts, the launch itself says what is wrong
                self._rooms_due[name] = now + LOOK_EVERY

    def _answers(self, name: str) -> bool:
        since = self._silent_since.get(name)
        if name in self._gone:
            return False
        return since is None or time.monotonic() - since < DEAD_AFTER

    def _take_failure(self, connection: Connection, launch: Launch, error: HopxError) -> bool:
        """Settles a launch that failed; False for one that certainly is not at its agent, which does not answer."""
        unsent = isinstance(error, AgentUnreachable) and not error.sent
        passing = isinstance(error, AgentRefused) and error.status in _PASSING
        nowhere = isinstance(error, LaunchError) and not error.may_run
        gone = isinstance(error, SandboxGone)
        if unsent or passing or nowhere or gone:
            self._recorder.assigned(launch.run_id, None)
            with self._changed:
                self._given.pop(launch.run_id, None)
                self._silent_since[connection.name] = time.monotonic() - DEAD_AFTER
                self._gone |= {connection.name} if gone else set()
            return False
        may_run = isinstance(error, LaunchError)
        self._settle(launch, "unknown" if may_run else "failed", f"not launched: {error.message}", connection)
        return True

    def _settle(self, launch: Launch, status: Status, reason: str, connection: Connection | None = None) -> None:
        """That is what has become of it, for good."""
        self._recorder.not_launched(launch.run_id, status, reason)
        process = msgspec.structs.replace(not_launched_yet(launch), status=status, status_detail=reason)
        self._say(launch.run_id, process, connection)
        with self._changed:
            self._given.pop(launch.run_id, None)
            self._changed.notify_all()

    # ------------------------------------------------------------ following

    def _listener(self, name: str) -> Callable[[Update], None]:
        connection = self._connections[name]

        def take(update: Update) -> None:
            with self._changed:
                if update.error is not None:
                    self._silent_since.setdefault(name, update.failing_since or time.monotonic())
                    if isinstance(update.error, SandboxGone):
                        self._gone.add(name)
                    return
                self._silent_since.pop(name, None)
                self._gone.discard(name)
                news = self._news(name, update)
                self._between += 1
                self._changed.notify_all()
            for run_id, process in news.items():
                if not self._try_again(run_id, process):
                    self._say(run_id, process, connection)
            with self._changed:
                self._between -= 1
                self._changed.notify_all()

        return take

    def _look_for_lost(self) -> None:
        """Tries again what agents have been given that are lost."""
        with self._changed:
            now = time.monotonic()
            lost = [
                name for name, since in self._silent_since.items() if now - since > LOST_AFTER or name in self._gone
            ]
            tried = [(name, run_id) for name in lost for run_id in self._going[name] if run_id in self._given]
            processes = {run_id: self._going[name].pop(run_id) for name, run_id in tried}
        for run_id, process in processes.items():
            self._try_again(run_id, msgspec.structs.replace(process, status="unknown"))
        with self._changed:
            stranded = list(self._waiting.values()) if self._connections.keys() <= self._gone else []
            self._waiting = {} if stranded else self._waiting
        for launch in stranded:
            self._settle(launch, "failed", "not launched: the sandbox that it was meant for is gone")

    def _try_again(self, run_id: RunId, process: Process) -> bool:
        """Has what has failed, or was lost, wait for another try, if it is to be tried again; tells whether it does."""
        if process.status in ("queued", "running"):
            return False
        with self._changed:
            launch = self._given.get(run_id)
            if launch is None or process.status not in ("failed", "unknown"):
                self._given.pop(run_id, None)
                return False
        again = msgspec.structs.replace(
            launch, run_id=RunId(secrets.token_hex(8)), rerun_of=run_id, retries=launch.retries - 1
        )
        self._recorder.begin([again], None)
        first = self._firsts[again.run_id] = self._firsts.get(run_id, run_id)
        queued = msgspec.structs.replace(not_launched_yet(again), retry_of=process.process_id)
        self._tell(first, queued, None)
        with self._changed:
            self._not_before[again.run_id] = time.monotonic() + launch.retry_delay
            self._waiting[again.run_id] = again
            self._last[first] = again.run_id
            del self._given[run_id]
        return True

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
        if over:
            self._rooms_due.pop(name, None)
        return news


def _launched(connection: Connection, launch: Launch) -> Process | Exception:
    try:
        return connection.launch_assigned(launch.once())
    except Exception as error:  # whatever it was, the next launch must find the thread alive
        return error


def _side_by_side(works: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """What these return, in their order. No thread of them keeps the program from ending."""
    if len(works) < 2:
        return [work() for work in works]
    futures = [Future[_Result]() for _ in works]
    for future, work in zip(futures, works, strict=True):
        threading.Thread(target=lambda future=future, work=work: future.set_result(work()), daemon=True).start()
    return [future.result() for future in futures]


def not_launched_yet(launch: Launch) -> Process:
    """How a launch is shown that waits to be handed out: it has no process id."""
    return Process(process_id=None, name=launch.name, status="queued", language=launch.language, run_id=launch.run_id)
