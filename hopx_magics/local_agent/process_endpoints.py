"""The endpoints that list processes, serve their output, and kill them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..protocol.requests import DELTA, KILL, KILL_MANY, PROCESSES, KillManyRequest
from ..words import STREAMS
from . import requests
from .answers import Routes, json_response
from .killing import Killing
from .limiting import gap_in
from .listing import Listing
from .processes import Processes
from .ranges import CHUNK, SMALL, file_response


class ProcessEndpoints:
    """Tells of processes, and ends them. Nobody waits for a change any more once `closing` is set."""

    def __init__(self, processes: Processes, killing: Killing, listing: Listing, closing: asyncio.Event) -> None:
        self._processes = processes
        self._killing = killing
        self._listing = listing
        self._closing = closing
        self.routes: Routes = [
            ("GET", PROCESSES, self._list),
            ("GET", PROCESSES + "/{process_id}/{stream}", self._output),
            ("POST", KILL_MANY, self._kill_many),
            ("DELETE POST", KILL, self._kill),
            ("DELETE POST", KILL + "/{process_id}", self._kill),
        ]

    # ------------------------------------------------------------ following

    async def _list(self, request: Request) -> Response:
        tail = requests.tail_limit(request)
        etag = self._listing.etag(tail)
        headers = {"cache-control": "no-cache"}
        wait = requests.preferred_wait(request)
        if wait:  # said also where nothing had to be waited for, since it tells the client what this agent can do
            headers["preference-applied"] = f"wait={wait:g}"
        if requests.matches(request, etag):
            if wait:
                await self._first_of(self._listing.wait_for_change(etag, tail, wait), _disconnected(request))
            if self._listing.etag(tail) == etag:
                return Response(status_code=304, headers={**headers, "etag": etag})
        known = requests.known_etags(request) if requests.wants_delta(request) else []
        etag, parts, base = await self._listing.delta(known, tail) or await self._listing.body(tail)
        length = sum(map(len, parts))
        headers |= {"etag": etag, "content-length": str(length)}
        if base:
            headers |= {"im": DELTA, "delta-base": base}
        status = 226 if base else 200
        if length <= SMALL:
            return Response(b"".join(parts), status, headers, "application/json")
        return StreamingResponse(_sliced(parts), status, headers, "application/json")

    async def _first_of(self, *waits: Awaitable[None]) -> None:
        """Returns when one of these is over, or the agent closes."""
        tasks = [asyncio.ensure_future(wait) for wait in (*waits, self._closing.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _output(self, request: Request) -> Response:
        stream = request.path_params["stream"]
        if stream not in STREAMS:
            raise HTTPException(404)
        process_id = self._processes.find(request.path_params["process_id"]).process_id
        file = _opened(self._processes.store.folder(process_id).output(stream))
        return file_response(request, file, gap=gap_in(file.fileno()))

    # ------------------------------------------------------------ killing

    async def _kill(self, request: Request) -> Response:
        process_id = request.path_params.get("process_id") or request.query_params.get("process_id")
        if not process_id:
            body = await requests.read_body(request)
            process_id = requests.decode_body(body, requests.KillBody).process_id if body.strip() else None
        if not process_id:
            raise requests.missing_parameter("process_id")
        done = await self._killing.kill(process_id)
        return json_response({"process_id": process_id, "status": "killed", "message": done})

    async def _kill_many(self, request: Request) -> Response:
        wanted = requests.decode_body(await requests.read_body(request), KillManyRequest)
        requests.checked_many(len(wanted.process_ids))
        return json_response({"results": await self._killing.kill_many(wanted.process_ids)})


def _opened(path: str) -> BinaryIO:
    """An output to read from; one that isn't there any more is an empty one."""
    try:
        return open(path, "rb", buffering=0)
    except OSError:
        return open(os.devnull, "rb", buffering=0)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _sliced(parts: Iterable[bytes]) -> AsyncIterator[memoryview]:
    """The parts in pieces. Sent as a whole, a large body would be copied three times on its way to the socket."""
    for part in parts:
        view = memoryview(part)
        for begin in range(0, len(view), CHUNK):
            yield view[begin : begin + CHUNK]
