"""Stand-ins for HopX agents: real servers on loopback that really run processes, each in a dialect of the one API.

What they do is what the known facts say, or the less helpful one of what those leave open. The folders `/workspace` and
`/tmp/hopx-runs` of such an agent are inside a temporary folder: their names are replaced in what it is sent.
"""

import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

import msgspec

from tests.standins.executions import MARK, End, Execution, something_runs
from tests.standins.server import Asked, Server
from tests.waiting import wait_until

Json = dict[str, Any]

ROOT_BODY: Json = {
    "agent": "HopX VM Agent (Go)",
    "status": "running",
    "version": "3.2.8",
    "vm_id": "1763385739w4r6dokq",
    "message": "success",
    "timestamp": "2025-11-16T23:25:45Z",
}
"""What an agent answers on `/`, and with status 200 on all routes that it doesn't know."""

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What Go writes for a time that is not set."""


class Reply(NamedTuple):
    """What is answered: JSON, or bytes as they are."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent speaks.

    `fields` are those of its processes; with `documentation` that is output, too. `kill` is the only form of kill that
    it knows. `has_commands` and `has_files` tell whether it runs commands and serves files. `unknown` is its answer to
    all else: the one of the real agent, or that of a strict server.

    The rest are its oddities: `nothing`, its listing without processes; `listed_after`, the seconds until a process is
    listed; `digits`, those of the fractions in times, None for another number in each row, and `offset` their offset in
    minutes; `zero_values`, whether what is not known yet is a zero; `omitted`, the fields that it leaves out; `words`,
    its own for `running`, `killed` and `timeout`; `errors`, the form of error replies.
    """

    fields: Literal["documentation", "openapi"] = "openapi"
    kill: Literal["query", "body", "post", "none"] = "query"
    unknown: Literal["root", "404"] = "404"
    has_commands: bool = True
    has_files: bool = True
    nothing: bytes = b'{"processes": [], "count": 0}'
    listed_after: float = 0.0
    digits: int | None = 0
    offset: int = 0
    zero_values: bool = False
    omitted: frozenset[str] = frozenset()
    words: Mapping[str, str] = {}
    errors: Literal["flat", "nested", "code first", "text only", "no json"] = "flat"


DOCUMENTATION = Dialect(fields="documentation", kill="body")
OPENAPI = Dialect()
NEWEST = Dialect(kill="post")
CATCH_ALL = Dialect(kill="post", unknown="root")

TERSE = Dialect(omitted=frozenset({"execution_id", "exit_code", "pid"}))
ODD_OPENAPI = Dialect(
    nothing=b'{"processes": null, "count": 0}',
    listed_after=0.5,
    digits=None,
    zero_values=True,
    words={"running": "pending", "killed": "terminated", "timeout": "timeout"},
    errors="code first",
)
ODD_DOCUMENTATION = Dialect(
    fields="documentation",
    kill="body",
    unknown="root",
    nothing=b'{"data": null}',
    digits=9,
    offset=330,
    words={"killed": "exited"},
    errors="nested",
)


class AgentStandIn:
    """An agent that speaks a dialect, with its files below `folder`.

    Its troubles may be set at any time: `limit`, the requests that it takes until it takes none for `window` seconds;
    `token_uses`, the requests that tokens are good for which it gives out from then on; `flaps`, to lose its reply to
    every 3rd request by a reset, and that to every 5th by a 503, though it did what was asked; `room`, the bytes that
    its files may still get. `forgotten` are the ids of what it lists no more. `asked` are all requests, with their
    moments in `moments`; `refused_for_rate` is how many were too many.
    """

    def __init__(self, dialect: Dialect, folder: Path) -> None:
        self.dialect = dialect
        self.limit: int | None = None
        self.window = 60.0
        self.token_uses = sys.maxsize
        self.flaps = False
        self.room: int | None = None
        self.forgotten: set[str] = set()
        self.moments: list[float] = []
        self.refused_for_rate = 0
        self.executions: dict[str, Execution] = {}
        self._taken = 0
        self._takes_again = 0.0
        self._tokens: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._mark = secrets.token_hex(8)
        self._folder = folder
        self._work_folder = folder / "tmp" / "hopx-exec"
        self._work_folder.mkdir(parents=True)
        (folder / "workspace").mkdir()
        self.token = self.new_token()
        self._server = Server(self._answer)
        self.asked = self._server.asked
        self.port = self._server.port
        self.url = self._server.url

    def close(self) -> None:
        """Ends the server and all that it has run, and makes sure of that."""
        self._server.close()
        for execution in self.executions.values():
            execution.kill()
        wait_until(lambda: not something_runs(self._mark), "nothing that the stand-in has run is left")

    # ------------------------------------------------------------ what tests do and see

    def new_token(self) -> str:
        """A token that is accepted `token_uses` times."""
        token = f"eyJhbGciOiJIUzI1NiJ9.{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(32)}"
        self._tokens[token] = self.token_uses
        return token

    def revoke(self) -> None:
        """Ends all tokens."""
        self._tokens.clear()

    # ------------------------------------------------------------ troubles

    def _answer(self, asked: Asked) -> None:
        with self._lock:
            self.moments.append(time.monotonic())
            count = len(self.moments)
        reply = self._too_many() or self._unauthorized(asked) or self._routed(asked)
        if not self.flaps:
            _send(asked, reply, self._rate_headers())
        elif count % 3 == 0:
            asked.break_off()
        elif count % 5 == 0:
            body = {"error": "NOT_INITIALIZED", "message": "JWT authentication not yet initialized"}
            _send(asked, Reply(body, 503), {"Connection": "close"})
        else:
            _send(asked, reply, {"Connection": "close"})  # or there were only few connections

    def _too_many(self) -> Reply | None:
        if self.limit is None:
            return None
        with self._lock:
            now = time.monotonic()
            if self._taken == self.limit and not self._takes_again:
                self._takes_again = now + self.window
            if self._takes_again and self._takes_again <= now:
                self._taken, self._takes_again = 0, 0.0
            if self._taken < self.limit:
                self._taken += 1
                return None
            self.refused_for_rate += 1
            wait = int(self._takes_again - now) + 1
        refusal = self._error(429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded", retry_after=wait)
        return refusal._replace(headers={"Retry-After": str(wait)})

    def _rate_headers(self) -> dict[str, str]:
        if self.limit is None:
            return {}
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - self._taken),
            "X-RateLimit-Reset": str(int(time.time() + self.window)),
        }

    def _unauthorized(self, asked: Asked) -> Reply | None:
        scheme, _, token = (asked.headers["Authorization"] or "").partition(" ")
        if asked.path == "/health":
            return None
        with self._lock:
            if scheme == "Bearer" and self._tokens.get(token):
                self._tokens[token] -= 1
                return None
        return self._error(401, "INVALID_TOKEN", "Invalid or expired token")

    # ------------------------------------------------------------ routes

    def _routed(self, asked: Asked) -> Reply:
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        match (asked.method, asked.path):
            case ("GET", "/"):
                return Reply(ROOT_BODY)
            case ("GET", "/health"):
                return Reply({"status": "healthy", "agent": "HopX VM Agent (Go)", "version": "3.2.8"})
            case ("GET", "/execute/processes"):
                return self._list()
            case ("POST", "/execute/background"):
                return self._launch(asked.body)
            case (_, "/execute/kill"):
                return self._kill(asked, query)
            case ("POST", "/commands/run") if self.dialect.has_commands:
                return self._run_command(asked.body)
            case ("GET", "/files/download") if self.dialect.has_files:
                return self._download(query.get("path", ""))
            case ("GET", "/files/exists") if self.dialect.has_files:
                path = query.get("path", "")
                return Reply({"exists": self._inside(path).exists(), "path": path})
            case ("GET", "/files/list") if self.dialect.has_files:
                return self._list_files(query.get("path", "/workspace"))
            case ("POST", "/files/upload") if self.dialect.has_files:
                return self._upload(asked, query.get("path", ""))
            case ("POST", "/files/mkdir") if self.dialect.has_files:
                self._inside(_json(asked.body)["path"]).mkdir(parents=True, exist_ok=True)
                return Reply({"path": _json(asked.body)["path"], "success": True})
            case ("DELETE", "/files/remove") if self.dialect.has_files:
                return self._remove(query.get("path", ""))
            case _:
                return self._unknown()

    def _unknown(self) -> Reply:
        return Reply(ROOT_BODY) if self.dialect.unknown == "root" else Reply(b"404 page not found\n", 404)

    def _error(self, status: int, code: str, message: str, **more: Any) -> Reply:
        request_id = f"req_{int(time.time())}_{secrets.token_hex(8)}"
        bodies: dict[str, Any] = {
            "flat": {"error": message, "code": code, "request_id": request_id, **more},
            "nested": {"error": {"message": message, "code": code, "request_id": request_id, "details": more}},
            "code first": {"error": code, "message": message, **more},
            "text only": {"error": message},
            "no json": f"{message}\n".encode(),
        }
        return Reply(bodies[self.dialect.errors], status)

    # ------------------------------------------------------------ launch and list

    def _launch(self, body: bytes) -> Reply:
        try:
            wanted = json.loads(body)
        except ValueError:
            return self._error(400, "INVALID_JSON", "invalid JSON")
        programs = {"python": sys.executable, "bash": "bash"}
        language = wanted.get("language") or "python"
        if not wanted.get("code"):
            return self._error(400, "MISSING_PARAMETER", "code is required")
        if language not in programs:
            return self._error(400, "INVALID_REQUEST", f"unsupported language: {language}")
        with self._lock:
            number = next(self._numbers)
            file = self._work_folder / f"{number}.code"
            file.write_text(self._mapped(wanted["code"]))
            execution = Execution(number, wanted, [programs[language], str(file)], self._work_folder, self._mark)
            self.executions[execution.process_id] = execution
        return Reply(self._launched(execution))

    def _launched(self, execution: Execution) -> Json:
        reply = {"process_id": execution.process_id, "execution_id": execution.execution_id, "status": "running"}
        if self.dialect.fields == "documentation":
            return reply
        start_time = self._written(execution.started_at, execution.number)
        return {**reply, "message": "started", "name": execution.name, "start_time": start_time}

    def _list(self) -> Reply:
        shown = datetime.now(UTC) - timedelta(seconds=self.dialect.listed_after)
        rows = [
            self._documented(execution) if self.dialect.fields == "documentation" else self._specified(execution)
            for execution in list(self.executions.values())
            if execution.started_at <= shown and execution.process_id not in self.forgotten
        ]
        if not rows:
            return Reply(self.dialect.nothing)
        rows = [{name: row[name] for name in row.keys() - self.dialect.omitted} for row in rows]
        stamp = {} if self.dialect.fields == "documentation" else {"timestamp": self._written(datetime.now(UTC), 0)}
        return Reply({"processes": rows, "count": len(rows), **stamp})

    def _documented(self, execution: Execution) -> Json:
        """A row as in the documentation."""
        end = execution.end
        return {
            **self._common(execution, end),
            "started_at": self._written(execution.started_at, execution.number),
            "completed_at": self._written(end.moment, execution.number) if end else self._unset(ZERO_TIME),
            "stdout": execution.output("stdout"),
            "stderr": execution.output("stderr"),
            "execution_time": self._duration(execution, end),
        }

    def _specified(self, execution: Execution) -> Json:
        """A row as in the OpenAPI document."""
        end = execution.end
        return {
            **self._common(execution, end),
            "start_time": self._written(execution.started_at, execution.number),
            "end_time": self._written(end.moment, execution.number) if end else self._unset(ZERO_TIME),
            "duration": self._duration(execution, end),
            "pid": execution.pid,
        }

    def _common(self, execution: Execution, end: End | None) -> Json:
        word = end.word if end else "running"
        status = self.dialect.words.get(word, "failed" if word == "timeout" else word)
        return {
            "process_id": execution.process_id,
            "execution_id": execution.execution_id,
            "name": execution.name,
            "status": status,
            "language": execution.language,
            "exit_code": end.exit_code if end else self._unset(0),
        }

    def _unset(self, zero: Any) -> Any:
        return zero if self.dialect.zero_values else None

    @staticmethod
    def _duration(execution: Execution, end: End | None) -> float:
        return ((end.moment if end else datetime.now(UTC)) - execution.started_at).total_seconds()

    def _written(self, moment: datetime, number: int) -> str:
        digits = number % 10 if self.dialect.digits is None else self.dialect.digits
        local = moment.astimezone(timezone(timedelta(minutes=self.dialect.offset)))
        fraction = "." + f"{local.microsecond:06}000"[:digits] if digits else ""
        zone = local.isoformat()[-6:] if self.dialect.offset else "Z"
        return f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"

    # ------------------------------------------------------------ kill

    def _kill(self, asked: Asked, query: Mapping[str, str]) -> Reply:
        forms = {"query": ("DELETE", query), "body": ("DELETE", _json(asked.body)), "post": ("POST", _json(asked.body))}
        method, fields = forms.get(self.dialect.kill, ("", {}))
        if asked.method != method:
            if self.dialect.unknown == "root":
                return self._unknown()
            return self._error(405, "METHOD_NOT_ALLOWED", "Method not allowed")
        if "process_id" not in fields or (query and asked.body):
            return self._error(400, "MISSING_PARAMETER", "process_id is required, and nothing else")
        execution = self.executions.get(fields["process_id"])
        if execution is None or execution.end is not None:
            code = "RESOURCE_NOT_FOUND" if self.dialect.fields == "documentation" else "PROCESS_NOT_FOUND"
            return self._error(404, code, "Process not found")
        execution.kill()
        return Reply({"process_id": execution.process_id, "status": "killed", "message": "Process killed"})

    # ------------------------------------------------------------ commands and files

    def _run_command(self, body: bytes) -> Reply:
        """Runs a program. There is no shell around it, so that a line for one is the name of no program."""
        wanted = json.loads(body)
        program = [wanted["command"], *(wanted.get("args") or [])]
        try:
            done = subprocess.run(
                [self._mapped(word) for word in program],
                cwd=self._work_folder,
                env={**os.environ, **(wanted.get("env") or {}), MARK: self._mark},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=wanted.get("timeout") or 30,
                check=False,
            )
        except FileNotFoundError:
            return Reply({"success": False, "stdout": "", "command": wanted["command"]})
        except subprocess.TimeoutExpired:
            return self._error(408, "EXECUTION_TIMEOUT", "execution timed out")
        return Reply(
            {
                "success": done.returncode == 0,
                "stdout": done.stdout.decode("utf-8", "replace"),
                "stderr": done.stderr.decode("utf-8", "replace"),
                "exit_code": done.returncode,
                "command": wanted["command"],
            }
        )

    def _download(self, path: str) -> Reply:
        if not path.startswith(("/workspace", "/tmp")):
            return self._error(403, "PATH_NOT_ALLOWED", "path not allowed")
        file = self._inside(path)
        if not file.is_file() and path.startswith("/tmp/"):
            file = Path(path)  # what it runs has the /tmp of this machine
        if not file.is_file():
            return self._error(404, "FILE_NOT_FOUND", "file not found")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{file.name}"',
        }
        return Reply(file.read_bytes(), headers=headers)

    def _list_files(self, path: str) -> Reply:
        folder = self._inside(path)
        if not folder.is_dir():
            return self._error(404, "DIRECTORY_NOT_FOUND", "directory not found")
        files = [
            {
                "name": file.name,
                "path": f"{path}/{file.name}",
                "size": file.stat().st_size,
                "is_directory": file.is_dir(),
            }
            for file in folder.iterdir()
        ]
        return Reply({"files": files, "path": path, "count": len(files)})

    def _upload(self, asked: Asked, path: str) -> Reply:
        """Writes a file, as far as there is room: what did not fit has been begun then."""
        content = _uploaded(asked)
        file = self._inside(path)
        if not file.parent.is_dir():
            return self._error(500, "INTERNAL_ERROR", "no such directory")
        fits = len(content) if self.room is None else min(self.room, len(content))
        file.write_bytes(content[:fits])
        if self.room is not None:
            self.room -= fits
        if fits < len(content):
            return self._error(500, "INTERNAL_ERROR", "no space left on device")
        return Reply({"path": path, "size": fits, "success": True})

    def _remove(self, path: str) -> Reply:
        file = self._inside(path)
        if not file.exists():
            return self._error(404, "FILE_NOT_FOUND", "file not found")
        shutil.rmtree(file) if file.is_dir() else file.unlink()
        return Reply({"path": path, "success": True})

    def _inside(self, path: str) -> Path:
        return self._folder / path.lstrip("/")

    def _mapped(self, text: str) -> str:
        """What was written for a machine that belongs to this agent alone."""
        for name in ("/workspace", "/tmp/hopx-runs"):
            text = text.replace(name, f"{self._folder}{name}")
        return text


def _send(asked: Asked, reply: Reply, headers: Mapping[str, str]) -> None:
    asked.reply(reply.body, reply.status, None, **{**headers, **reply.headers})


def _uploaded(asked: Asked) -> bytes:
    """The file in a multipart form, which is the last part of it."""
    boundary = asked.headers["Content-Type"].partition("boundary=")[2].encode()
    part = asked.body[asked.body.index(b"; filename=") :]
    return part[part.index(b"\r\n\r\n") + 4 : part.rindex(b"\r\n--" + boundary + b"--")]


def _json(body: bytes) -> Json:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
