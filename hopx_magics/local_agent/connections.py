"""Connections to the agent: strangers, who have not shown the token, have few and short ones, and no one has dead ones.

Anybody on this machine can connect to a port of loopback. Each connection costs a descriptor, of which there are not
many, and whoever has the token must find room.
"""

import asyncio
import logging
import os
import socket
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_STRANGERS = 64
"""Connections without the token, at most: the oldest makes way for a new one."""

STRANGERS_TIME = 10.0
"""Seconds in which a connection has to show the token."""

PATIENCE = 75.0
"""Seconds for which nothing may come of a request that has begun, or of the next one."""

LOG_LIMIT = 1_000_000
"""Bytes of the agent's log, at most: then its first half goes."""


class Connection(H11Protocol):
    """One connection. `is_known` tells that it has shown the token, or came by the socket in the private folder."""

    is_known = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room for it among the strangers."""
        super().connection_made(transport)
        self._begun = self._heard = time.monotonic()
        self.is_known = transport.get_extra_info("socket").family == socket.AF_UNIX
        self.app_state = {**self.app_state, "connection": self}  # from where a request finds it
        strangers = [other for other in self.connections if isinstance(other, Connection) and not other.is_known]
        if len(strangers) > MOST_STRANGERS:
            min(strangers, key=lambda other: other._begun).drop()

    def data_received(self, data: bytes) -> None:
        """Takes note of it that the client is there."""
        self._heard = time.monotonic()
        super().data_received(data)

    def drop(self) -> None:
        """Ends it without another word."""
        self.connections.discard(self)
        self.transport.abort()

    @property
    def is_overdue(self) -> bool:
        """Whether it has had its time."""
        now = time.monotonic()
        if not self.is_known:
            return now - self._begun > STRANGERS_TIME
        return self._waits_for_client and now - self._heard > PATIENCE

    @property
    def _waits_for_client(self) -> bool:
        is_receiving = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        return is_receiving and not self.flow.read_paused


def drop_overdue(connections: Iterable[Any]) -> None:
    """Ends the connections that have had their time."""
    for connection in list(connections):
        if connection.is_overdue:
            connection.drop()


class Log(logging.StreamHandler[Any]):
    """Writes to stderr, and keeps the file `path` short where that is what stderr is."""

    def __init__(self, path: Path) -> None:
        super().__init__(sys.stderr)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line."""
        super().emit(record)
        try:
            self._shorten()
        except (OSError, ValueError):  # stderr is no file, or was closed
            return

    def _shorten(self) -> None:
        found = os.fstat(sys.stderr.fileno())
        if (
            not stat.S_ISREG(found.st_mode)
            or found.st_size <= LOG_LIMIT
            or not os.path.samestat(found, self._path.stat())
        ):
            return
        with self._path.open("r+b") as file:
            file.seek(found.st_size - LOG_LIMIT // 2)
            rest = file.read().partition(b"\n")[2]
            file.seek(0)
            file.write(rest)
            file.truncate()
