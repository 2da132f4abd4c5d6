"""Agents whose answers cost next to nothing, in a program of their own."""

import asyncio
import contextlib
import multiprocessing
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any, Literal

import msgspec

from tests.waiting import DEADLINE

DELTA = "hopx-rows"

Kind = Literal["finished", "stepping", "training", "ending"]


class Processes(msgspec.Struct, frozen=True):
    """What each of the agents lists: `count` processes with `size` bytes of output.

    They are all `finished` and stay as they are, or one in a hundred changes at each tick: it says something new
    (`stepping`, or `training` with four metrics) or ends (`ending`). Where they change, changes are told as the local
    agent does.
    """

    count: int = 0
    kind: Kind = "finished"
    size: int = 0
    text: str = "x"


@contextmanager
def standins(count: int = 1, processes: Processes = Processes(), delay: float = 0.0) -> Iterator[list[str]]:  # noqa: B008
    """The addresses of agents that answer after `delay` seconds."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, count, processes, delay), daemon=True)
    server.start()
    theirs.close()  # so that one that can't start is no endless wait
    try:
        yield [f"http://127.0.0.1:{port}" for port in ours.recv()]
    finally:
        server.terminate()
        server.join()


def tell(url: str, word: Literal["tick", "hang"]) -> None:
    """Lets an agent go on to its next tick, or answer nothing any more."""
    with urllib.request.urlopen(f"{url}/standin/{word}", timeout=DEADLINE) as reply:
        reply.read()


def _serve(pipe: Pipe, count: int, processes: Processes, delay: float) -> None:
    async def serve() -> None:
        agents = [_Agent(processes, delay) for _ in range(count)]
        servers = [await asyncio.start_server(agent.answer, "127.0.0.1", 0) for agent in agents]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    asyncio.run(serve())


class _Agent:
    def __init__(self, processes: Processes, delay: float) -> None:
        self._processes = processes
        self._delay = delay
        self._ticks = 1
        self._launched = 0
        self._hangs = False
        self._began = time.monotonic()
        self._ticked = asyncio.Event()
        self._held = b""
        """The whole listing, where nothing changes."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                await reader.readexactly(int(headers.get("content-length", 0)))
                method, path = first.split()[:2]
                writer.write(await self._reply(method, path.partition("?")[0], headers))
                await writer.drain()
        writer.close()

    async def _reply(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        if path.startswith("/standin/"):
            self._take(path)
            return _http(200, b"{}")
        if self._hangs:
            await asyncio.sleep(3600)
        if self._delay:
            await asyncio.sleep(self._delay)
        if method == "POST" and path == "/execute/background":
            self._launched += 1
            body = {"process_id": f"launched_{self._launched}", "execution_id": None, "status": "running"}
            return _http(200, msgspec.json.encode(body))
        if path != "/execute/processes":
            return _http(404, b'{"error": "not found"}')
        return await self._changes(headers) if self._processes.kind != "finished" else _http(200, self._finished())

    def _finished(self) -> bytes:
        self._held = self._held or self._listing(range(self._processes.count))
        return self._held

    def _take(self, path: str) -> None:
        if path.endswith("hang"):
            self._hangs = True
            return
        self._ticks += 1
        self._ticked.set()
        self._ticked = asyncio.Event()

    async def _changes(self, headers: dict[str, str]) -> bytes:
        known, held = headers.get("if-none-match", ""), {"Preference-Applied": "wait=5"}
        if known == self._etag and "prefer" in headers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ticked.wait(), 5)
        if known == self._etag:
            return _http(304, b"", ETag=known, **held)
        if headers.get("a-im") == DELTA and known == f'"{self._ticks - 1}"':
            changed = self._listing(range(self._ticks % 100, self._processes.count, 100))
            return _http(226, changed, ETag=self._etag, IM=DELTA, **{"Delta-Base": known}, **held)
        return _http(200, self._listing(range(self._processes.count)), ETag=self._etag, **held)

    @property
    def _etag(self) -> str:
        return f'"{self._ticks}"'

    def _listing(self, numbers: range) -> bytes:
        rows = [self._row(number) for number in numbers]
        return msgspec.json.encode({"processes": rows, "count": self._processes.count, "gone": []})

    def _row(self, number: int) -> dict[str, Any]:
        kind = self._processes.kind
        last = self._ticks - (self._ticks - number) % 100  # the last tick at which something happened to this one
        ended = kind == "finished" or (kind == "ending" and last > 1)
        said = "".join(_said(kind, max(last - back, 1)) for back in (1, 0)) if kind in ("stepping", "training") else ""
        stdout = said or self._output
        return {
            "process_id": f"proc_{number:09x}",
            "execution_id": f"exec_{number}",
            "name": f"train-{number:05}",
            "status": "completed" if ended else "running",
            "language": "python",
            "exit_code": 0 if ended else None,
            "execution_time": 1.5 if ended else 100.0 + time.monotonic() - self._began,
            "started_at": "2026-11-24T08:00:00Z",
            "completed_at": "2026-11-24T08:00:01Z" if ended else None,
            "stdout": stdout,
            "stdout_bytes": len(said) * max(last, 1) if said else len(stdout),
            "stderr": "",
            "stderr_bytes": 0,
        }

    @property
    def _output(self) -> str:
        text = self._processes.text
        return text * (self._processes.size // len(text))


def _said(kind: Kind, step: int) -> str:
    if kind == "stepping":
        return f"step {step}/1000\n"
    numbers = f"loss: {1 / step:.4f} accuracy: {1 - 1 / step:.4f} reward: {step / 7:6.2f} grad: {1 / (step + 2):.4f}"
    return f"step {step:3}/1000 {numbers}\n"


_REASONS = {200: "OK", 226: "IM Used", 304: "Not Modified", 404: "Not Found"}


def _http(status: int, body: bytes, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if status != 304:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
