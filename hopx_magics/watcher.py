"""One thread a connection that follows the agent's listing, for whoever listens, and ends when nobody does."""

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from .client.agent import Agent
from .errors import HopxError
from .models import Listing

HOLD = 10.0
"""Seconds for which an agent is asked to hold a request until something changes."""

INTERVAL = 1.0
IDLE_INTERVAL = 10.0
"""Seconds between two listings of an agent that can't wait, while something runs and while nothing does."""

_log = logging.getLogger(__name__)


class Update(msgspec.Struct, frozen=True):
    """What listeners are told: the newest listing there is, and the error and its beginning while none newer comes."""

    listing: Listing | None
    error: HopxError | None = None
    failing_since: float | None = None


Listener = Callable[[Update], None]


class Watcher:
    """Follows one agent. Listeners are called on the watcher's thread, one update after the other."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()  # held around each call of a listener, so that updates arrive in order
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest = Update(None)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every update from now on, first with the one that is there; the result ends this."""
        with self._lock:
            self._listeners.append(listener)
            if self._thread is None:
                self._latest = Update(None)
                self._thread = threading.Thread(target=self._run, name="hopx-watcher", daemon=True)
                self._thread.start()
            elif self._latest.listing is not None:
                listener(self._latest)
        self._wake.set()
        return lambda: self._forget(listener)

    def close(self) -> None:
        """Forgets all listeners, which ends the thread."""
        with self._lock:
            self._listeners.clear()
        self._wake.set()

    def _forget(self, listener: Listener) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
        self._wake.set()

    def _run(self) -> None:
        pause = 0.0
        while self._goes_on(pause):
            try:
                update = Update(self._next_listing())
                pause = self._pause(update.listing)
            except HopxError as error:
                update = Update(self._latest.listing, error, self._latest.failing_since or time.monotonic())
                pause = min(max(INTERVAL, 2 * pause), IDLE_INTERVAL)
            self._tell(update)

    def _next_listing(self) -> Listing | None:
        known = self._latest.listing
        return self._agent.changed_listing(tail=0, etag=known.etag if known else None, wait=HOLD) or known

    def _goes_on(self, pause: float) -> bool:
        """Waits for the next turn; False, and no thread any more, when nobody listens."""
        if pause:
            self._wake.wait(pause)
        self._wake.clear()
        with self._lock:
            if not self._listeners:
                self._thread = None
            return bool(self._listeners)

    def _pause(self, listing: Listing | None) -> float:
        if self._agent.waits:
            return 0.0
        if listing is not None and listing.etag is not None and self._latest.listing is None:
            return 0.0  # whether it can wait is found out with the next request
        busy = listing is not None and any(process.status in ("queued", "running") for process in listing.processes)
        return INTERVAL if busy else IDLE_INTERVAL

    def _tell(self, update: Update) -> None:
        with self._lock:
            self._latest = update
            for listener in list(self._listeners):
                try:
                    listener(update)
                except Exception:  # one broken listener must not cost the others their updates
                    _log.exception("a listener failed and is told no more")
                    self._forget(listener)
