"""The agents of a live table are followed while anybody looks at it, and left alone otherwise."""

import threading
from collections.abc import Callable, Sequence

from ..connection.connection import Connection
from ..connection.watcher import Update

TAIL = 2_000
"""Bytes of each stream that the table looks at for progress and the last line."""

FIRST_LISTING_WITHIN = 2.0
"""Seconds for which one waits for a first listing, so that no empty table is shown."""


class Following:
    """Hands what the agents of some connections tell to `take`, on other threads, between `begin` and `end`."""

    def __init__(
        self,
        connections: Sequence[Connection],
        interval: float | None,
        take: Callable[[Connection, Update], None],
    ) -> None:
        self._connections = connections
        self._interval = interval
        self._take = take
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._awaited: set[str] = set()
        self._known = threading.Event()
        """Whether each connection has said something since it is followed, with output."""
        self._closed = False

    @property
    def active(self) -> bool:
        """Whether the agents are followed."""
        return bool(self._stops)

    def begin(self) -> None:
        """Follows the agents from now on, if they are not followed yet."""
        with self._lock:
            if self._stops or self._closed:
                return
            self._known.clear()
            self._awaited = {connection.name for connection in self._connections}
            self._stops = [
                connection.watcher.listen(self._listener(connection), tail=TAIL, interval=self._interval)
                for connection in self._connections
            ]

    def wait(self) -> None:
        """Waits until each agent has said something, but not for long."""
        self._known.wait(FIRST_LISTING_WITHIN)

    def end(self) -> None:
        """Follows no agent any more."""
        with self._lock:
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def close(self) -> None:
        """Ends, and does not begin again."""
        self._closed = True
        self.end()

    def _listener(self, connection: Connection) -> Callable[[Update], None]:
        def listener(update: Update) -> None:
            self._take(connection, update)
            if _has_output(update):
                self._awaited.discard(connection.name)
            if not self._awaited:
                self._known.set()

        return listener


def _has_output(update: Update) -> bool:
    """Whether it is more than a listing without output that somebody else has asked for: its metrics are columns."""
    return update.listing is None or update.listing.tail is None or update.listing.tail >= TAIL
