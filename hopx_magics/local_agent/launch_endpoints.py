"""The endpoints that run code and commands, in the background or while the client waits."""

import errno
import hashlib
import time
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ..protocol import requests as wire
from ..protocol.requests import unmarked_name
from . import requests
from .active import Active
from .answers import Refused, Routes, json_response
from .delivering import Target, checked_target
from .endings import utc
from .foreground import Foreground, Result
from .journal import Ended
from .launching import Launching
from .processes import Processes
from .programs import Program, Tools, code_program, command_program, working_directory
from .records import Launched, Turn
from .resources import Needs
from .values import checked_values, values_folder

BACKGROUND_TIMEOUT = 300.0
ASYNC_TIMEOUT = 3600.0
EXECUTE_TIMEOUT = 60.0
COMMAND_TIMEOUT = 30.0
LONGEST_FOREGROUND = 300.0

_NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}

_Background = wire.BackgroundRequest | wire.CommandRequest


class LaunchEndpoints:
    """Runs what is asked for, in `workspace` unless another working directory is named."""

    def __init__(
        self, processes: Processes, launching: Launching, foreground: Foreground, workspace: Path, tools: Tools
    ) -> None:
        self._processes = processes
        self._launching = launching
        self._foreground = foreground
        self._workspace = workspace
        self._tools = tools
        self.routes: Routes = [
            ("POST", wire.EXECUTE, self._execute),
            ("POST", wire.EXECUTE_RICH, self._execute_rich),
            ("POST", wire.EXECUTE_BACKGROUND, self._execute_background),
            ("POST", wire.EXECUTE_MANY, self._execute_many),
            ("POST", wire.EXECUTE_ASYNC, self._execute_async),
            ("POST", wire.COMMANDS_RUN, self._run_command),
            ("POST", wire.COMMANDS_BACKGROUND, self._command_background),
        ]

    # ------------------------------------------------------------ in the background

    async def _execute_background(self, request: Request) -> Response:
        body = await requests.read_body(request)
        return json_response(
            self._launch(_asked(request, body), requests.decode_body(body, wire.BackgroundRequest)).reply
        )

    async def _execute_many(self, request: Request) -> Response:
        replies: list[dict[str, str | int]] = []
        error = None
        for body, key in requests.decode_many(await requests.read_body(request)):
            try:
                wanted = requests.decode_body(body, wire.BackgroundRequest)
                replies.append(self._launch(_Asked(wire.EXECUTE_BACKGROUND, body, key), wanted).reply)
            except Refused as refused:
                error = {"status": refused.status, "code": refused.code, "message": refused.message}
                break
        return json_response({"results": replies, **({"error": error} if error else {})})

    async def _execute_async(self, request: Request) -> Response:
        body = await requests.read_body(request)
        wanted = requests.decode_body(body, wire.AsyncRequest)
        launched = self._launch(_asked(request, body), wanted, _callback(wanted))
        return json_response(
            {
                "execution_id": launched.execution_id,
                "process_id": launched.process_id,
                "status": "queued",
                "callback_url": wanted.callback_url,
            }
        )

    async def _command_background(self, request: Request) -> Response:
        body = await requests.read_body(request)
        return json_response(self._launch(_asked(request, body), requests.decode_body(body, wire.CommandRequest)).reply)

    def _launch(self, asked: "_Asked", wanted: _Background, callback: Target | None = None) -> Launched:
        key, digest = asked.key, asked.digest
        launched = self._processes.launched_with(key) if key else None
        if launched is not None:
            if launched.digest not in (digest, None):
                raise Refused(409, "CONFLICT", "another launch was made with this Idempotency-Key")
            return launched
        turn = self._turn(wanted)
        try:
            return self._launching.launch(
                self._program(wanted),
                workdir=working_directory(wanted.workdir or wanted.working_dir, self._workspace),
                name=requests.checked_name(wanted.name),
                env=requests.checked_env(wanted.env),
                timeout=requests.checked_timeout(wanted.timeout, ASYNC_TIMEOUT if callback else BACKGROUND_TIMEOUT),
                key=key,
                digest=digest,
                turn=turn,
                callback=callback,
                **self._for_cells(wanted),
            )
        except OSError as error:
            raise _no_room(error, self._processes.settings.agent_folder) from error

    def _turn(self, wanted: _Background) -> Turn:
        if isinstance(wanted, wire.CommandRequest):
            return Turn()
        sweep, limit = requests.checked_sweep(wanted.sweep, wanted.sweep_limit)
        return Turn(
            sweep=sweep,
            sweep_limit=limit,
            first=wanted.first,
            after=self._named("after", wanted.after),
            after_any=self._named("after_any", wanted.after_any),
            former={name: list(self._named("former", ids)) for name, ids in (wanted.former or {}).items()},
            retries=requests.checked_count("retries", wanted.retries) or 0,
            retry_delay=requests.checked_delay(wanted.retry_delay),
            **self._needs(wanted)._asdict(),
        )

    def _needs(self, wanted: wire.BackgroundRequest) -> Needs:
        """What a process needs. Raises Refused for more than there is."""
        needs = requests.checked_needs(wanted.gpus, wanted.cpus, wanted.memory)
        if needs.kinds and (refusal := self._processes.resources.machine.refusal(needs)):
            raise Refused(400, "INVALID_REQUEST", refusal)
        return needs

    def _named(self, field: str, process_ids: list[str] | None) -> dict[str, str]:
        """The names of those that a process comes after, by their ids. Raises Refused for what can't be waited for."""
        named: dict[str, str] = {}
        for process_id in process_ids or ():
            item = self._processes.find(process_id)
            name = item.launched.name if isinstance(item, Active) else item.facts().name
            named[item.process_id] = unmarked_name(name or None) or item.process_id
            if field == "after" and isinstance(item, Ended) and item.status != "completed":
                raise requests.invalid(
                    f"after: {named[item.process_id]} ({process_id}) has not completed: {item.status}"
                )
        return named

    def _for_cells(self, wanted: _Background) -> dict[str, Any]:
        """What only code may ask for."""
        if isinstance(wanted, wire.CommandRequest):
            return {}
        return {
            "kill_leftovers": wanted.kill_leftovers,
            "stop_when": requests.checked_bounds("stop_when", wanted.stop_when),
            "keep_best": requests.checked_keep_best(wanted.keep_best, wanted.sweep),
            "notify": requests.checked_notify(wanted.notify),
            "environment": wanted.environment and requests.checked_env(wanted.environment),
            "umask": requests.checked_umask(wanted.umask),
            "keeper": requests.checked_keeper(wanted.fork),
            "values": checked_values(wanted.values, values_folder(self._workspace)),
        }

    # ------------------------------------------------------------ while the client waits

    async def _execute(self, request: Request) -> Response:
        return json_response(await self._executed(request))

    async def _execute_rich(self, request: Request) -> Response:
        """The same: older descriptions of the API have an endpoint of its own for what is displayed."""
        return json_response({"rich_outputs": [], **await self._executed(request)})

    async def _executed(self, request: Request) -> dict[str, Any]:
        wanted = requests.decode_body(await requests.read_body(request), wire.BackgroundRequest)
        program = self._program(wanted)
        result = await self._run(program, wanted, EXECUTE_TIMEOUT)
        return {**_result(result), **result.displayed, "language": program.language}

    async def _run_command(self, request: Request) -> Response:
        wanted = requests.decode_body(await requests.read_body(request), wire.CommandRequest)
        result = await self._run(self._program(wanted), wanted, COMMAND_TIMEOUT)
        pid = {} if result.pid is None else {"pid": result.pid}
        return json_response({**_result(result), "command": wanted.command, **pid})

    async def _run(self, program: Program, wanted: _Background, default: float) -> Result:
        limit = requests.checked_timeout(wanted.timeout, default) or LONGEST_FOREGROUND
        env = requests.checked_env(wanted.env)
        workdir = working_directory(wanted.workdir or wanted.working_dir, self._workspace)
        try:
            return await self._foreground.run(program, workdir, env, min(limit, LONGEST_FOREGROUND))
        except OSError as error:
            raise _no_room(error, self._processes.settings.agent_folder) from error

    def _program(self, wanted: _Background) -> Program:
        if isinstance(wanted, wire.CommandRequest):
            return command_program(wanted.command, wanted.args)
        return code_program(wanted.code, wanted.language, self._tools)


class _Asked(NamedTuple):
    """What tells whether a launch is the one that was made with a key before: its path, and its body as it came."""

    path: str
    body: bytes
    key: str | None

    @property
    def digest(self) -> str | None:
        return hashlib.sha256(self.path.encode() + b"\0" + self.body).hexdigest() if self.key else None


def _asked(request: Request, body: bytes) -> _Asked:
    return _Asked(request.url.path, body, requests.idempotency_key(request))


def _callback(wanted: wire.AsyncRequest) -> Target:
    if not wanted.callback_url:
        raise requests.missing_parameter("callback_url")
    try:
        return checked_target(wanted.callback_url, wanted.callback_headers, wanted.callback_signature_secret)
    except ValueError as error:
        raise requests.invalid(f"callback_url and callback_headers: {error}") from None


def _result(result: Result) -> dict[str, Any]:
    return {
        "success": result.exit_code == 0,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "exit_code": result.exit_code,
        "execution_time": result.execution_time,
        "timestamp": utc(time.time_ns()),
    }


def _no_room(error: OSError, folder: Path) -> Exception:
    why = _NO_ROOM.get(error.errno or 0)
    return Refused(507, "INSUFFICIENT_STORAGE", f"nothing was launched: {why}: {folder}") if why else error
