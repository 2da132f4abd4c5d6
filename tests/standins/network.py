"""How stand-in agents are reached: a server, an address where nobody answers, a resolver."""

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from tests.conftest import DEADLINE, Asked


class Answer(NamedTuple):
    """What is answered: JSON, or bytes as they are."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class AgentRequest(Asked):
    """A request to a stand-in, and how it is answered."""

    def answer(self, answer: Answer, headers: Mapping[str, str]) -> None:
        """Sends the answer."""
        self.reply(answer.body, answer.status, None, **{**headers, **answer.headers})

    def break_off(self) -> None:
        """Resets the connection, as a machine does that knows nothing of it."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.reset()


class Server:
    """Answers on loopback, each connection on a thread of its own."""

    def __init__(self, answer: Callable[[AgentRequest], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer, written in two pieces, takes 40 ms
            timeout = DEADLINE

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (OSError, ValueError):  # the client went away, or the connection was broken off
                    self.close_connection = True

            def answer(self) -> None:
                answer(AgentRequest(self, self.rfile.read(int(self.headers.get("Content-Length") or 0))))

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.port = self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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
