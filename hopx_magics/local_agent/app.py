"""The endpoints of the agent API, as far as a machine that is no sandbox can have them."""

import asyncio
import errno
import hashlib
import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hopx_magics import __version__

from .. import protocol
from ..models import STREAMS
from ..settings import Settings
from . import outputs, requests
from .callbacks import Target, checked_target
from .changes import Changes
from .endings import utc
from .files import Files
from .foreground import Foreground, Result, TookTooLong
from .http_checks import Gate, Refused, answer_failure, answer_http_error, answer_refused, json_response, read_body
from .journal import Ended
from .listing import STREAM_LIMIT, Listing
from .programs import Program, UnusableRequest, code_program, command_program, installed_languages, working_directory
from .requests import KillBody, decode_body
from .store import Launched
from .supervisor import CannotEnd, NotRunning, Supervisor
from .workspace import Workspace

AGENT = "hopx_magics local agent"
BACKGROUND_TIMEOUT = 300.0
ASYNC_TIMEOUT = 3600.0
EXECUTE_TIMEOUT = 60.0
COMMAND_TIMEOUT = 30.0
LONGEST_FOREGROUND = 300.0

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_CHUNK = 256 * 1024
_SMALL_BODY = 512 * 1024

_FEATURES = ("background", "delta", "etag", "idempotency-key", "prefer-wait", "range", "sweep-limit", "tail")
_Background = protocol.BackgroundRequest | protocol.CommandRequest


class Agent:
    """One agent: its processes, and how they are asked for. To be made in the event loop."""

    def __init__(self, settings: Settings, *, instance: str, token: str) -> None:
        self._instance = instance
        self._started = time.time_ns()
        self._workspace = settings.agent_folder / "workspace"
        self._workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files = Files(Workspace(self._workspace, settings.agent_folder / "incoming"))
        self._changes = Changes()
        self.supervisor = Supervisor(settings, self._changes)
        self._listing = Listing(self.supervisor, self._changes, instance)
        self._foreground = Foreground(settings.agent_folder / "foreground", settings.output_limit, STREAM_LIMIT)
        self._closing = asyncio.Event()
        self.gate = Gate(self._application(), token)

    def close(self) -> None:
        """Lets go of all who wait for a change."""
        self._closing.set()

    def _application(self) -> Starlette:
        routes = self._routes()
        app = Starlette(
            routes=routes,
            exception_handlers={
                Refused: answer_refused,
                HTTPException: answer_http_error,
                Exception: answer_failure,
            },
        )
        app.router.redirect_slashes = False
        return app

    def _routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("GET", protocol.HEALTH, self._health),
            ("GET", protocol.INFO, self._info),
            ("POST", protocol.EXECUTE, self._execute),
            ("POST", protocol.EXECUTE_BACKGROUND, self._execute_background),
            ("POST", protocol.EXECUTE_ASYNC, self._execute_async),
            ("POST", protocol.COMMANDS_RUN, self._run_command),
            ("POST", protocol.COMMANDS_BACKGROUND, self._command_background),
            ("GET", protocol.PROCESSES, self._list),
            ("GET", protocol.PROCESSES + "/{process_id}/{stream}", self._output),
            ("DELETE POST", protocol.KILL, self._kill),
            ("POST", protocol.KILL + "/{process_id}", self._kill),
            *self._files.routes,
        ]
        self._endpoints = [f"{method} {path}" for methods, path, _ in table for method in methods.split()]
        return [Route(path, endpoint, methods=methods.split()) for methods, path, endpoint in table]

    # ------------------------------------------------------------ about the agent

    async def _health(self, request: Request) -> Response:
        return json_response(
            {
                "status": "healthy",
                "agent": AGENT,
                "version": __version__,
                "instance": self._instance,
                "uptime": _hours(time.time_ns() - self._started),
            }
        )

    async def _info(self, request: Request) -> Response:
        return json_response(
            {
                "agent": AGENT,
                "version": __version__,
                "agent_version": __version__,
                "instance": self._instance,
                "pid": os.getpid(),
                "os": platform.system().lower(),
                "arch": platform.machine(),
                "platform": platform.platform(),
                "start_time": utc(self._started),
                "uptime": _hours(time.time_ns() - self._started),
                "workspace": str(self._workspace),
                "languages": installed_languages(),
                "endpoints": self._endpoints,
                "features": _FEATURES,
            }
        )

    # ------------------------------------------------------------ launching

    async def _execute_background(self, request: Request) -> Response:
        body = await read_body(request)
        wanted = decode_body(body, protocol.BackgroundRequest)
        return json_response(self._launch(request, body, wanted).reply)

    async def _execute_async(self, request: Request) -> Response:
        body = await read_body(request)
        wanted = decode_body(body, protocol.AsyncRequest)
        launched = self._launch(request, body, wanted, _callback(wanted))
        return json_response(
            {
                "execution_id": launched.execution_id,
                "process_id": launched.process_id,
                "status": "queued",
                "callback_url": wanted.callback_url,
            }
        )

    async def _command_background(self, request: Request) -> Response:
        body = await read_body(request)
        wanted = decode_body(body, protocol.CommandRequest)
        return json_response(self._launch(request, body, wanted).reply)

    def _launch(self, request: Request, body: bytes, wanted: _Background, callback: Target | None = None) -> Launched:
        key = requests.idempotency_key(request)
        digest = hashlib.sha256(request.url.path.encode() + b"\0" + body).hexdigest() if key else None
        launched = self.supervisor.repeated(key) if key else None
        if launched is not None:
            if launched.digest not in (digest, None):
                raise Refused(409, "CONFLICT", "another launch was made with this Idempotency-Key")
            return launched
        sweep, limit = _sweep(wanted)
        try:
            return self.supervisor.launch(
                _program(wanted),
                workdir=self._workdir(wanted),
                name=requests.checked_name(wanted.name),
                env=requests.checked_env(wanted.env),
                timeout=requests.checked_timeout(wanted.timeout, ASYNC_TIMEOUT if callback else BACKGROUND_TIMEOUT),
                key=key,
                digest=digest,
                sweep=sweep,
                sweep_limit=limit,
                callback=callback,
            )
        except OSError as error:
            raise _no_room(error) from error

    def _workdir(self, wanted: _Background) -> Path:
        try:
            return working_directory(wanted.workdir or wanted.working_dir, self._workspace)
        except UnusableRequest as error:
            raise requests.invalid(str(error)) from None

    # ------------------------------------------------------------ running while the client waits

    async def _execute(self, request: Request) -> Response:
        wanted = decode_body(await read_body(request), protocol.BackgroundRequest)
        program = _code(wanted.code, wanted.language)
        result = await self._run(program, wanted, EXECUTE_TIMEOUT)
        return json_response({**_result(result), "language": program.language})

    async def _run_command(self, request: Request) -> Response:
        wanted = decode_body(await read_body(request), protocol.CommandRequest)
        result = await self._run(_command(wanted), wanted, COMMAND_TIMEOUT)
        return json_response({**_result(result), "command": wanted.command, "pid": result.pid})

    async def _run(self, program: Program, wanted: _Background, default: float) -> Result:
        limit = requests.checked_timeout(wanted.timeout, default) or LONGEST_FOREGROUND
        timeout = min(limit, LONGEST_FOREGROUND)
        env = requests.checked_env(wanted.env)
        try:
            return await self._foreground.run(program, workdir=self._workdir(wanted), env=env, timeout=timeout)
        except TookTooLong:
            message = f"execution timed out after {timeout:g} s"
            raise Refused(408, "EXECUTION_TIMEOUT", message, {"timeout_seconds": timeout}) from None
        except OSError as error:
            raise _no_room(error) from error

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
            headers |= {"im": protocol.DELTA, "delta-base": base}
        status = 226 if base else 200
        if length <= _SMALL_BODY:
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
        process_id, stream = request.path_params["process_id"], request.path_params["stream"]
        if stream not in STREAMS:
            raise HTTPException(404)
        if process_id not in self.supervisor.processes:
            raise _unknown(process_id)
        path = self.supervisor.folder(process_id).output(stream)
        size = outputs.size_of(path)
        part = requests.byte_range(request, size)
        begin, end = part or (0, size)
        headers = {"accept-ranges": "bytes", "content-length": str(end - begin), "cache-control": "no-cache"}
        if part:
            headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
        chunks = _read_chunks(path, begin, end) if request.method == "GET" else _nothing()
        return StreamingResponse(chunks, 206 if part else 200, headers, "application/octet-stream")

    # ------------------------------------------------------------ killing

    async def _kill(self, request: Request) -> Response:
        process_id = request.path_params.get("process_id") or request.query_params.get("process_id")
        if not process_id:
            body = await read_body(request)
            process_id = decode_body(body, KillBody).process_id if body.strip() else None
        if not process_id:
            raise requests.missing_parameter("process_id")
        try:
            await self.supervisor.kill(process_id)
        except KeyError:
            raise _unknown(process_id) from None
        except NotRunning:
            raise Refused(
                404, "RESOURCE_NOT_FOUND", self._how_it_ended(process_id), {"process_id": process_id}
            ) from None
        except CannotEnd:
            raise Refused(500, "EXECUTION_FAILED", f"process {process_id} did not end, not even by force") from None
        return json_response({"process_id": process_id, "status": "killed", "message": "Process killed"})

    def _how_it_ended(self, process_id: str) -> str:
        item = self.supervisor.processes.get(process_id)
        if not isinstance(item, Ended):
            return f"process {process_id} has ended"
        facts = item.facts()
        code = "" if facts.exit_code is None else f", exit code {facts.exit_code}"
        return f"process {process_id} has already ended: {facts.status}{code}"


def _program(wanted: _Background) -> Program:
    return _command(wanted) if isinstance(wanted, protocol.CommandRequest) else _code(wanted.code, wanted.language)


def _sweep(wanted: _Background) -> tuple[str | None, int | None]:
    if isinstance(wanted, protocol.CommandRequest):
        return None, None
    return requests.checked_sweep(wanted.sweep, wanted.sweep_limit)


def _callback(wanted: protocol.AsyncRequest) -> Target:
    if not wanted.callback_url:
        raise requests.missing_parameter("callback_url")
    try:
        return checked_target(wanted.callback_url, wanted.callback_headers, wanted.callback_signature_secret)
    except ValueError as error:
        raise requests.invalid(f"callback_url and callback_headers: {error}") from None


def _code(code: str, language: str | None) -> Program:
    if not code.strip():
        raise requests.missing_parameter("code")
    try:
        return code_program(code, language)
    except UnusableRequest as error:
        raise requests.invalid(str(error)) from None


def _command(wanted: protocol.CommandRequest) -> Program:
    if not wanted.command.strip():
        raise requests.missing_parameter("command")
    if any("\0" in word for word in (wanted.command, *(wanted.args or ()))):
        raise requests.invalid("a command can't hold the character NUL")
    return command_program(wanted.command, wanted.args)


def _result(result: Result) -> dict[str, Any]:
    return {
        "success": result.exit_code == 0,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "exit_code": result.exit_code,
        "execution_time": result.execution_time,
        "timestamp": utc(time.time_ns()),
    }


def _unknown(process_id: str) -> Refused:
    return Refused(404, "PROCESS_NOT_FOUND", f"there is no process {process_id[:80]}", {"process_id": process_id[:80]})


def _no_room(error: OSError) -> Exception:
    if error.errno not in _NO_ROOM:
        return error
    return Refused(507, "INSUFFICIENT_STORAGE", "nothing was launched: the disk is full")


def _hours(nanoseconds: int) -> str:
    minutes, seconds = divmod(nanoseconds // 1_000_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s"


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _sliced(parts: Iterable[bytes]) -> AsyncIterator[memoryview]:
    """The parts in pieces. Sent as a whole, a large body would be copied three times on its way to the socket."""
    for part in parts:
        view = memoryview(part)
        for begin in range(0, len(view), _CHUNK):
            yield view[begin : begin + _CHUNK]


async def _read_chunks(path: Path, begin: int, end: int) -> AsyncIterator[bytes]:
    """That part of a file, without what is written behind it meanwhile; less when the file is cut meanwhile."""
    if begin >= end:
        return
    small = end - begin <= _SMALL_BODY
    with open(path, "rb", buffering=0) as file:
        while begin < end:
            length = min(_CHUNK, end - begin)
            read = (file.fileno(), length, begin)
            chunk = os.pread(*read) if small else await asyncio.to_thread(os.pread, *read)
            if not chunk:
                return
            begin += len(chunk)
            yield chunk
