"""How stand-in agents are reached: an address where nobody answers, a resolver."""

import socket
from typing import Any

import pytest


class DeadAddress:
    """An address of this machine where connections are neither accepted nor refused, as at one without a route."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.host = host
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._full = socket.socket(self._family)
        self._full.bind((host, port))
        self._full.listen(0)
        self.port = self._full.getsockname()[1]
        self._waiting = [self._connecting() for _ in range(3)]  # of which the first alone finds room

    def _connecting(self) -> socket.socket:
        waiting = socket.socket(self._family)
        waiting.setblocking(False)
        waiting.connect_ex((self.host, self.port))
        return waiting

    def __enter__(self) -> "DeadAddress":
        return self

    def __exit__(self, *exception: object) -> None:
        for each in (*self._waiting, self._full):
            each.close()


def resolve_localhost(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Gives the name localhost these addresses, in this order."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> list[Any]:
        if host != "localhost":
            return resolve(host, *args, **options)
        return [found for each in hosts for found in resolve(each, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
