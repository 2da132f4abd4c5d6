"""One thread a connection that follows the agent's listing, for whoever listens, and ends when nobody does."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ..errors import AgentError, HopxError
from ..models import Change, Listing, Process, ProcessId
from ..output.oneline import printable
from ..protocol.listing import FORGOTTEN_AFTER

if TYPE_CHECKING:
    from .connection import Connection

HOLD = 4.0
"""Seconds for which an agent is asked to hold a request until something changes."""

OVERDUE = 6.0
"""Seconds after which it is said that an agent does not answer, long before it is given up: more than it may hold."""

INTERVAL = 1.0
IDLE_INTERVAL = 10.0
"""Seconds between two listings of an agent that can't wait, while something runs and while nothing does."""

GAP = 0.1
"""Seconds between two listings with output, at least: a process that prints all the time must not keep us busy."""

_log = logging.getLogger(__name__)


class Update(msgspec.Struct, frozen=True):
    """What listeners are told: the newest listing there is, and the error and its beginning while none newer comes.

    `changed` and `gone` say in what the listing differs from the one of the update before, as in a `Change`; `changed`
    is None in the first update with a listing that a listener gets, and whenever everything may differ.
    """

    listing: Listing | None
    error: HopxError | None = None
    failing_since: float | None = None
    changed: tuple[Process, ...] | None = None
    gone: tuple[ProcessId, ...] = ()


Listener = Callable[[Update], None]


class _Listening(msgspec.Struct, eq=False):
    listener: Listener
    tail: int
    interval: float
    turn: threading.RLock  # held around each call, so that updates arrive in order
    has_failed: bool = False
    """Whether it did not take the last update, so that it can't know what the next one differs from."""


class Watcher:
    """Follows one agent.

    A listener gets one update after the other: the first one on the thread that begins to listen if there is an update
    already, all others on the watcher's thread, which calls one listener after the other. As long as one of them is
    busy, nobody is told anything and the agent is not asked. Neither `listen` nor the end of listening ever wait for
    a listener, so that both may be called with any lock held. A listener that raises is told everything again with the
    next update. Whatever goes wrong with asking is told as an error, and asked again.
    """

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._listening: list[_Listening] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest = Update(None)
        self._asked: int | None = None
        """The tail in the request under way."""
        self._asked_at = 0.0
        self._soon = False
        """Whether something was launched since the agent was asked."""
        self._launched_at = -FORGOTTEN_AFTER
        self._tail = 0
        self._tail_wanted = 0.0

    @property
    def latest(self) -> Update:
        """The newest update; an old one when nobody has listened since."""
        return self._latest

    @property
    def unanswered_since(self) -> float | None:
        """The moment, by `time.monotonic`, from which on the agent owes an answer; None while it isn't overdue."""
        asked_at = self._asked_at
        return asked_at if self._asked is not None and time.monotonic() - asked_at > OVERDUE else None

    def listen(self, listener: Listener, *, tail: int = 0, interval: float | None = None) -> Callable[[], None]:
        """Calls `listener` with every update from now on, at once with the newest listing if there is one.

        The listings have at least the last `tail` bytes of each stream, more when somebody else wants more, and soon
        after the first update when nobody wanted as much before. An agent that can't wait for changes is asked every
        `interval` seconds while something is queued or running, and sooner if somebody else wants it sooner.

        The result ends this; it may be called at any time, also by the listener. No call begins after that, but one
        that is under way on another thread goes on.
        """
        listening = _Listening(listener, tail, INTERVAL if interval is None else interval, threading.RLock())
        with listening.turn:
            with self._lock:
                self._listening.append(listening)
                if self._thread is None:
                    self._latest = Update(None)
                if self._thread is None or (self._asked is not None and self._asked < tail):
                    self._start()  # the thread there is may have to wait long for an answer without that output
                latest = self._latest
            self._wake.set()
            if latest.listing is not None:
                self._call(listening, msgspec.structs.replace(latest, changed=None, gone=()))
        return lambda: self._forget(listening)

    def look(self) -> None:
        """Asks soon, where it would have waited for long because nothing was running: something was just launched."""
        self._soon, self._launched_at = True, time.monotonic()
        self._wake.set()

    def close(self) -> None:
        """Forgets all listeners, which ends the thread."""
        with self._lock:
            self._listening.clear()
        self._wake.set()

    def _forget(self, listening: _Listening) -> None:
        with self._lock:
            if listening in self._listening:
                self._listening.remove(listening)
            needed = bool(self._listening)
        if not needed:
            self._wake.set()

    # ------------------------------------------------------------ the thread

    def _start(self) -> None:
        """Starts a thread, to which the one there is gives way as soon as it has its answer, which nobody sees."""
        self._asked = None
        self._thread = threading.Thread(target=self._run, name="hopx-watcher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = 0.0
        while (tail := self._begin(pause)) is not None:
            known = self._latest
            begun = time.monotonic()
            try:
                change = self._connection.change_since(known.listing, tail=tail, wait=HOLD)
                update = Update(change.listing, changed=change.changed, gone=change.gone)
                pause = self._pause(change, known.listing, pause, time.monotonic() - begun)
            except Exception as error:  # whatever it was, the next answer must find the thread alive
                update = Update(known.listing, self._as_ours(error), known.failing_since or begun, changed=())
                pause = min(max(INTERVAL, 2 * pause), IDLE_INTERVAL)
            self._tell(update)

    def _as_ours(self, error: Exception) -> HopxError:
        if isinstance(error, HopxError):
            return error
        _log.error("following %s failed", self._connection.agent.label, exc_info=error)
        what = printable(f"{type(error).__name__}: {error}", 200)
        return AgentError(f"what it answered could not be taken: {what}", agent=self._connection.agent.label)

    def _begin(self, pause: float) -> int | None:
        """Waits for the next turn and returns the tail to ask for; None when this thread is not wanted any more."""
        if pause:
            self._wake.wait(pause)
            self._keep_distance(min(pause, self._interval()))
        with self._lock:
            if self._thread is not threading.current_thread():
                return None
            self._wake.clear()
            if not self._listening:
                self._thread = None
                return None
            self._asked = self._wanted_tail()
            self._asked_at, self._soon = time.monotonic(), False
            return self._asked

    def _keep_distance(self, seconds: float) -> None:
        """Waits until the agent may be asked again, when it is only because of launches that it is to be asked."""
        while self._soon and self._listening and (left := self._asked_at + seconds - time.monotonic()) > 0:
            self._wake.clear()
            self._wake.wait(left)

    def _wanted_tail(self) -> int:
        """The largest tail that anybody wants or wanted a moment ago.

        Going back and forth would each time need a thread beside one that waits for an answer.
        """
        now = time.monotonic()
        wanted = max(listening.tail for listening in self._listening)
        if wanted >= self._tail or now > self._tail_wanted + HOLD:
            self._tail = wanted
        if wanted >= self._tail:
            self._tail_wanted = now
        return self._tail

    def _pause(self, change: Change, known: Listing | None, before: float, taken: float) -> float:
        interval = self._interval()
        nothing_new = change.changed == () and not change.gone
        if self._connection.agent.waits and nothing_new:  # at once, again and again: it only says that it waits
            return min(max(GAP, 2 * before), interval) if taken < GAP else 0.0
        if self._connection.agent.waits:
            return GAP if self._tail else 0.0
        if change.listing.etag is not None and (known is None or known.tail != change.listing.tail):
            return 0.0  # whether it can wait is found out with the next request
        may_come = time.monotonic() - self._launched_at < FORGOTTEN_AFTER  # agents list some things only after a while
        busy = may_come or any(process.status in ("queued", "running") for process in change.listing.processes)
        return interval if busy else max(interval, IDLE_INTERVAL)

    def _interval(self) -> float:
        return min((listening.interval for listening in list(self._listening)), default=INTERVAL)

    def _tell(self, update: Update) -> None:
        with self._lock:
            if self._thread is not threading.current_thread():
                return
            self._asked = None
            self._latest = update
            listening = list(self._listening)
        for each in listening:
            with each.turn:
                self._call(each, update)

    def _call(self, listening: _Listening, update: Update) -> None:
        with self._lock:
            if listening not in self._listening:
                return
        if listening.has_failed:
            update = msgspec.structs.replace(update, changed=None, gone=())
        try:
            listening.listener(update)
            listening.has_failed = False
        except Exception:  # one broken listener must not cost the others their updates, nor itself the next one
            if not listening.has_failed:
                _log.exception("a listener failed, and is told everything anew with the next update")
            listening.has_failed = True
