"""The one HTTP server of all stand-ins: on loopback, and what it answers is written by a test."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec

from tests.waiting import DEADLINE


class Asked:
    """One request that a stand-in got, and the ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self._handler = handler
        self.method = handler.command
        self.path, _, self.query = handler.path.partition("?")
        self.headers = handler.headers
        self.body = body

    @property
    def content(self) -> Any:
        """What the body says as JSON."""
        return msgspec.json.decode(self.body)

    def reply(self, body: Any = b"", status: int = 200, length: int | None = None, **headers: str) -> None:
        """Answers with bytes or JSON; a `length` other than the true one makes the body a cut one."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        self._handler.send_response(status)
        self._handler.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.write(data)

    def raw(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def reset(self) -> None:
        """Breaks the connection."""
        self._handler.close_connection = True
        self._handler.connection.close()

    def break_off(self) -> None:
        """Resets the connection, as a machine does that knows nothing of it."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.reset()


Answer = Callable[[Asked], None]


def answering(body: Any, status: int = 200) -> Answer:
    """The same answer to whatever is asked."""
    return lambda asked: asked.reply(body, status)


class Server:
    """Answers on loopback, each connection on a thread of its own.

    It has its address from the beginning; with `is_open` false it refuses connections until `open`. `asked` are all
    requests, the oldest first; each is there before it is answered.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        is_open: bool = True,
    ) -> None:
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._answer = answer
        self._server = _listener(host, port, self._take)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        try:
            self._server.server_bind()
        except OSError:  # somebody has the port
            self._server.server_close()
            raise
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        if is_open:
            self.open()

    def open(self) -> Self:
        """Accepts connections from now on."""
        self._server.server_activate()
        self._thread.start()
        return self

    def hang(self, asked: Asked) -> None:
        """Answers nothing until the test is over."""
        self.released.wait(DEADLINE)

    def close(self) -> None:
        self.released.set()
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _take(self, asked: Asked) -> None:
        self.asked.append(asked)
        self._answer(asked)


def _listener(host: str, port: int, answer: Answer) -> ThreadingHTTPServer:
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
            answer(Asked(self, self.rfile.read(int(self.headers.get("Content-Length") or 0))))

        do_GET = do_POST = do_PUT = do_DELETE = do_CONNECT = answer  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True
        request_queue_size = 100

    return Listener((host, port), Handler, bind_and_activate=False)
