"""How fresh the rows of one connection are, and why."""

import time
from typing import Literal

from ..connection.connection import Connection
from ..connection.watcher import INTERVAL, Update
from ..durations import format_counting
from ..errors import HopxError
from ..output.oneline import printable
from .messages import ConnectionState


class ConnectionFreshness:
    """What is known of a connection's answers. Moments are in seconds since 1970."""

    def __init__(self, connection: Connection, interval: float | None) -> None:
        self._connection = connection
        self._interval = interval or INTERVAL
        self._state: Literal["connecting", "live", "polling", "silent"] = "connecting"
        self._updated: float | None = None
        self._since: float | None = None
        self._error: HopxError | None = None
        self.listed: int | None = None
        """How many processes the agent has, None before it has answered."""

    def take(self, update: Update) -> bool:
        """Takes note of an update; whether the pages have to be told.

        They need not be while the connection is live: that no message comes means then that nothing has changed.
        """
        before = self._state, str(self._error), self.listed
        self._error = update.error
        self.listed = self.listed if update.listing is None else len(update.listing.told)
        if update.error is None:
            self._state, self._since = "live" if self._connection.agent.waits else "polling", None
            self._updated = time.time()
        else:
            self._state = "silent"
            self._since = time.time() - (time.monotonic() - (update.failing_since or time.monotonic()))
        return (self._state, str(self._error), self.listed) != before or self._state == "polling"

    def look(self) -> bool:
        """Whether the pages have to be told that the agent owes an answer, of which no update tells."""
        since = self._connection.watcher.unanswered_since
        if since is None or self._state == "silent":
            return False
        self._state, self._since = "silent", time.time() - (time.monotonic() - since)
        return True

    def state(self) -> ConnectionState:
        """What a page is told."""
        ends = self._connection.expiry.at() if self._connection.expiry else None
        return ConnectionState(
            name=self._connection.name,
            state=self._state,
            updated=self._updated,
            since=self._since,
            error=None if self._error is None else printable(str(self._error), 500),
            listed=self.listed,
            interval=self._interval,
            ends=None if ends is None else ends.timestamp(),
        )

    def notes(self) -> list[str]:
        """What is to be said of the connection: that its agent is silent, and what it says of itself."""
        return [note for note in (self._silence(), self._connection.note()) if note]

    def _silence(self) -> str | None:
        if self._state != "silent":
            return None
        silence = format_counting(time.time() - (self._updated or self._since or time.time()))
        reason = f" ({printable(str(self._error), 200)})" if self._error else ""
        return f"{self._connection.name}: no answer for {silence}, retrying{reason}"
