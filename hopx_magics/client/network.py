"""How connections are opened, by IPv4 first, and how long it takes at most until they are, and until a reply is there.

Hosts of sandboxes were seen whose IPv6 addresses answer nothing, which cost a minute and more for each connection.
A time limit of httpx is one for each piece that comes: a reply that comes a byte a second never ends.
"""

import logging
import socket
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import httpcore
import httpx
from httpcore._backends.sync import SyncStream

from ..settings import is_private
from .encoding import OFFERED

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def new_http(limits: httpx.Limits, sockets: Mapping[str, str]) -> httpx.Client:
    """A client that opens connections so, except for those to proxies that the environment names, and follows nothing.

    What stays on this machine does not go through a proxy. `sockets` are the Unix sockets through which some HOST:PORT
    are reached instead; there may be more of them later.
    """
    context = httpx.create_ssl_context()
    direct = httpx.HTTPTransport(verify=context, limits=limits)
    patterns = [f"all://{host}" for host in _LOOPBACK]
    if "all" not in urllib.request.getproxies():  # the proxies for http and https go before this pattern by themselves
        patterns.append("all://")
    client = httpx.Client(
        verify=context,
        limits=limits,
        follow_redirects=False,
        mounts=dict.fromkeys(patterns, direct),
        headers={"Accept-Encoding": OFFERED},
    )
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _IPv4First(sockets)  # httpx has no way to say how connections are opened
    return client


class ReplyTime:
    """The seconds in which a reply has to come, from the end of the request on; more can be allowed."""

    def __init__(self, seconds: float) -> None:
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """From now on it has so many seconds."""
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """From now on it has its seconds again."""
        self._end = time.monotonic() + self._seconds

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Is told by httpcore, as the extension `trace` of a request, when that is sent."""
        if event.endswith("send_request_body.complete"):
            self.restart()

    @property
    def left(self) -> float:
        """The seconds that are left, 0 or less when the time is over."""
        return self._end - time.monotonic()


_reply_time: ContextVar[ReplyTime | None] = ContextVar("reply_time", default=None)


@contextmanager
def reply_within(seconds: float) -> Iterator[ReplyTime]:
    """Within this block all reads from the network together take no longer; then they end as httpx.ReadTimeout."""
    limit = ReplyTime(seconds)
    token = _reply_time.set(limit)
    try:
        yield limit
    finally:
        _reply_time.reset(token)


class _Unlogged(logging.Filter):
    """Keeps our own requests out of what a notebook logs: there are many, and threads make them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return _reply_time.get() is None


for _name in ("httpx", "httpcore.connection", "httpcore.http11"):
    logging.getLogger(_name).addFilter(_Unlogged())


class _Stream:
    """A stream of which reads obey `reply_within`."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (limit := _reply_time.get()) is not None:
            left = limit.left
            if left <= 0:
                raise httpcore.ReadTimeout("the reply was not complete in time")
            timeout = left if timeout is None else min(left, timeout)
        return self._stream.read(max_bytes, timeout)

    def start_tls(self, *given: Any, **more: Any) -> httpcore.NetworkStream:
        return _timed(self._stream.start_tls(*given, **more))


def _timed(stream: httpcore.NetworkStream) -> httpcore.NetworkStream:
    return cast(httpcore.NetworkStream, _Stream(stream))


class _IPv4First(httpcore.SyncBackend):
    def __init__(self, sockets: Mapping[str, str]) -> None:
        self._sockets = sockets

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        if path := self._sockets.get(f"{host}:{port}"):
            return self._connect_privately(path, timeout)
        addresses = _addresses(host, port)
        deadline = None if timeout is None else time.monotonic() + timeout
        failures: list[httpcore.ConnectError | httpcore.ConnectTimeout] = []
        for number, address in enumerate(addresses):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            share = None if left is None else left / (len(addresses) - number)
            try:
                return _timed(super().connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failures.append(error)
        raise failures[0]

    def _connect_privately(self, path: str, timeout: float | None) -> httpcore.NetworkStream:
        folder = Path(path).parent
        if not is_private(folder):
            raise httpcore.ConnectError(f"the folder of its socket, {folder}, is not this user's alone")
        connection = socket.socket(socket.AF_UNIX)  # httpcore's own would stay open when this fails
        try:
            connection.settimeout(timeout)
            connection.connect(path)
        except OSError as error:
            connection.close()
            kind = httpcore.ConnectTimeout if isinstance(error, TimeoutError) else httpcore.ConnectError
            raise kind(str(error)) from error
        return _timed(SyncStream(connection))


def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, IPv4 first, and else in the order of the resolver."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: it can't be a name
        raise httpcore.ConnectError(str(error)) from error
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
