"""200 agents at once: one table of all, one of them hanging, and what it costs to watch them at rest."""

import asyncio
import json
import multiprocessing
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

from hopx_magics import api
from hopx_magics.display import frames

from .measure import Row, medians, ms

AGENTS = 200
PROCESSES = 50
DELAY = 0.05
"""Seconds that an agent takes for an answer."""

AT_REST = 30.0


def measure() -> Iterator[Row]:
    with fleet() as urls, connected(urls) as names:
        one, all_ = medians(lambda: api.ps(on=names[0]), lambda: api.ps(on="all"), rounds=7)
        processes, places = zip(*((process, (name, None)) for name in names for process in listing(name)), strict=True)
        (frame,) = medians(lambda: frames.processes_frame(processes, places), rounds=7)
        assert len(api.ps(on="all")) == AGENTS * PROCESSES
        ratio = (all_ - frame) / one
        yield Row(
            f"%hopx_ps --on all, {AGENTS} agents with {PROCESSES} processes", ms(all_), f"one agent {ms(one)}",
            f"{ratio:.1f} times, without the DataFrame of {ms(frame)}", "3 times",
        )  # fmt: skip
        yield watching(names)
        yield hanging(urls, all_)


def listing(name: str) -> Any:
    latest = api.session().connection(name).latest
    return latest.processes if latest else ()


def watching(names: list[str]) -> Row:
    table = api.watch(on="all")
    time.sleep(5)
    before = cpu_seconds()
    time.sleep(AT_REST)
    used = cpu_seconds() - before
    table.close()
    return Row(f"{AGENTS} watched agents at rest", f"{100 * used / AT_REST:.1f} % of a core", "", "", "20 %")


def hanging(urls: list[str], before: float) -> Row:
    from hopx_magics.session.gathering import PATIENCE

    with hung_agent() as url:
        session = api.session()
        session.connections["hung"] = session._new_connection(
            session.connection().place._replace(connection="hung", agent=url, sandbox=None), url, _at(url)
        )
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            api.ps(on="all")
        taken = time.perf_counter() - begun
        session.connections.pop("hung").agent.close()
    return Row("the same with one that hangs", ms(taken), f"without it {ms(before)}", "", f"{PATIENCE:g} s more")


def _at(url: str) -> Any:
    from hopx_magics.client.transport import Endpoint

    return lambda http: Endpoint(url, "token")


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# ---------------------------------------------------------------- the agents, in a program of their own


@contextmanager
def fleet() -> Iterator[list[str]]:
    with _served(AGENTS, DELAY) as urls:
        yield urls


@contextmanager
def hung_agent() -> Iterator[str]:
    with _served(1, 3600.0) as (url,):
        yield url


@contextmanager
def _served(count: int, delay: float) -> Iterator[list[str]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, count, delay), daemon=True)
    server.start()
    try:
        yield [f"http://127.0.0.1:{port}" for port in ours.recv()]
    finally:
        server.terminate()
        server.join()


@contextmanager
def connected(urls: list[str]) -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({"HOPX_STATE_DIR": folder, "HOPX_HISTORY": f"{folder}/history.sqlite"})
        api.session.cache_clear()
        names = [f"agent-{number}" for number in range(len(urls))]
        try:
            for name, url in zip(names, urls, strict=True):
                api.connect(url, name=name, token="token")
            yield names
        finally:
            api.session().close()
            api.session.cache_clear()


def _serve(pipe: Pipe, count: int, delay: float) -> None:
    rows = [
        {
            "process_id": f"proc_{number}",
            "execution_id": f"exec_{number}",
            "name": f"train-{number}",
            "status": "completed",
            "language": "python",
            "exit_code": 0,
            "execution_time": 1.5,
            "started_at": "2026-11-24T10:00:00Z",
            "completed_at": "2026-11-24T10:00:01Z",
            "stdout": "x" * 200,
        }
        for number in range(PROCESSES)
    ]
    body = json.dumps({"processes": rows, "count": len(rows)}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(delay)
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        servers = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(count)]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    asyncio.run(serve())
