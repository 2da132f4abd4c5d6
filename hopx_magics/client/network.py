"""How connections are opened: by IPv4 first, and within one time limit for all addresses of a name.

Hosts of sandboxes were seen whose IPv6 addresses answer nothing, which cost a minute and more for each connection.
"""

import socket
import ssl
import time
import urllib.request
from collections.abc import Iterable

import httpcore
import httpx

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def new_http(limits: httpx.Limits) -> httpx.Client:
    """A client that opens connections so, except for those to proxies that the environment names, and follows nothing.

    What stays on this machine does not go through a proxy.
    """
    context = httpx.create_ssl_context()
    direct = _Direct(context, limits)
    patterns = [f"all://{host}" for host in _LOOPBACK]
    if "all" not in urllib.request.getproxies():  # the proxies for http and https go before this pattern by themselves
        patterns.append("all://")
    return httpx.Client(verify=context, limits=limits, follow_redirects=False, mounts=dict.fromkeys(patterns, direct))


class _Direct(httpx.HTTPTransport):
    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=context, limits=limits)
        self._pool = httpcore.ConnectionPool(  # httpx itself has no way to say how connections are opened
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_IPv4First(),
        )


class _IPv4First(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _addresses(host, port)
        deadline = None if timeout is None else time.monotonic() + timeout
        failures: list[httpcore.ConnectError | httpcore.ConnectTimeout] = []
        for number, address in enumerate(addresses):
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            share = None if left is None else left / (len(addresses) - number)
            try:
                return super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failures.append(error)
        raise failures[0]


def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, IPv4 first, and else in the order of the resolver."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: it can't be a name
        raise httpcore.ConnectError(str(error)) from error
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
