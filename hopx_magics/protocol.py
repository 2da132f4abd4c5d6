"""The wire: what is sent to an agent, and what its replies mean. Pure functions on bytes.

Two dialects of one API exist, and agents mix them: the documentation's (`started_at`, `execution_time`, output in the
listing) and that of the vendor's OpenAPI 3.2.8 (`start_time`, `duration`, `pid`, no output). A reply wholly in the
documentation's dialect is decoded straight into `Process`; everything else is read field by field, so that whatever
can't be understood costs that field of that row and nothing more.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import msgspec

from .errors import BadReply, NotSupported
from .models import ENDED, STATUSES, Launch, Listing, Process, ProcessId, RunId, Status

HEALTH = "/health"
INFO = "/info"
PROCESSES = "/execute/processes"
EXECUTE = "/execute"
EXECUTE_BACKGROUND = "/execute/background"
COMMANDS_RUN = "/commands/run"
COMMANDS_BACKGROUND = "/commands/background"
KILL = "/execute/kill"

AGENT_FILE = "agent.json"
"""Where in its folder a local agent tells its address and its token."""

PROCESS_UNKNOWN_CODES = frozenset({"PROCESS_NOT_FOUND", "RESOURCE_NOT_FOUND"})
"""The codes of a 404 that speaks of the process, and not of the route."""

UNLIMITED = 365 * 24 * 3600
"""The seconds sent for "no time limit": an agent would take a missing limit for its own default of 300 s."""


# ---------------------------------------------------------------- requests


class BackgroundRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of `POST /execute/background` and `/execute`. Timeout in seconds; 0 and null mean no limit.

    The working directory is `working_dir` in the documentation and `workdir` in the vendor's clients: both are sent.
    """

    code: str
    language: str | None = None
    timeout: float | msgspec.UnsetType | None = msgspec.UNSET
    env: dict[str, str] | None = None
    name: str | None = None
    workdir: str | None = None
    working_dir: str | None = None


class CommandRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of `POST /commands/run` and `/commands/background`: a program with `args`, or without them a shell line."""

    command: str
    args: list[str] | None = None
    timeout: float | msgspec.UnsetType | None = msgspec.UNSET
    env: dict[str, str] | None = None
    name: str | None = None
    workdir: str | None = None
    working_dir: str | None = None


class KillForm(msgspec.Struct, frozen=True):
    """One of the ways in which agents want to be asked to kill a process."""

    method: str
    path: str
    params: dict[str, str] | None = None
    body: dict[str, str] | None = None


def launch_body(launch: Launch) -> bytes:
    """The body that launches `launch`, with its mark in the name."""
    return msgspec.json.encode(
        {
            "code": launch.code,
            "language": launch.language,
            "timeout": UNLIMITED if launch.timeout is None else launch.timeout,
            "name": marked_name(launch.name, launch.run_id),
            **({"env": launch.env} if launch.env else {}),
            **({"workdir": launch.workdir, "working_dir": launch.workdir} if launch.workdir else {}),
        }
    )


def kill_forms(process_id: str) -> list[KillForm]:
    """The forms of the kill request that some agent understands, in the order in which to try them, one at a time."""
    body = {"process_id": process_id}
    return [
        KillForm("DELETE", KILL, params=body),
        KillForm("DELETE", KILL, body=body),
        KillForm("POST", KILL, body=body),
        KillForm("POST", f"{KILL}/{quote(process_id, safe='')}"),
    ]


def marked_name(name: str | None, run_id: RunId) -> str:
    """`name` with the launch's mark behind it, by which the process is known even when the launch's reply was lost.

    The mark is `[hopx:` with the 16 digits of the run id and `]`, and a space before it where there is a name.
    """
    return f"{name} [hopx:{run_id}]" if name else f"[hopx:{run_id}]"


# ---------------------------------------------------------------- the listing


class _Listing(msgspec.Struct):
    processes: list[Process]


_set = msgspec.structs.force_setattr
_decode_strictly = msgspec.json.Decoder(_Listing).decode


def decode_listing(body: bytes, *, agent: str, received_at: datetime, etag: str | None = None) -> Listing:
    """The listing in the reply to `GET /execute/processes`.

    Raises BadReply when it is no listing at all, and NotSupported when the agent doesn't have the endpoint.
    """
    try:
        processes: Iterable[Process] = _decode_strictly(body).processes
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        processes = [_read_process(row, received_at) for row in _read_rows(body, agent)]
    return Listing(processes=_tidied(processes), agent=agent, received_at=received_at, etag=etag)


def _tidied(processes: Iterable[Process]) -> tuple[Process, ...]:
    """Takes the marks off the names, drops values that only look known, and keeps one row an id, its last.

    The processes are changed in place, which nobody has seen yet: copies would double the time of a large listing.
    """
    rows: dict[object, Process] = {}
    for process in processes:
        if (name := process.name) is not None and name[-23:-17] == "[hopx:":  # see marked_name
            _set(process, "name", name[:-24] or None)
            _set(process, "run_id", name[-17:-1])
        if process.exit_code is not None and process.status not in ENDED:
            _set(process, "exit_code", None)  # Go's default of 0 says nothing about a process that runs
        if (moment := process.started_at) and not 1 < moment.year < 9999:
            _set(process, "started_at", None)  # Go's zero time; and both ends overflow when brought to UTC
        if (moment := process.completed_at) and not 1 < moment.year < 9999:
            _set(process, "completed_at", None)
        rows[process.process_id or id(process)] = process
    return tuple(rows.values())


def _read_rows(body: bytes, agent: str) -> Sequence[Any]:
    content = read_json(body, agent=agent)
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        reject_catch_all(content, "processes", agent=agent, endpoint=f"GET {PROCESSES}")
        rows = content.get("processes") or []
        if isinstance(rows, list) and ("processes" in content or "error" not in content):
            return rows
    raise BadReply(f"its reply is no listing: {excerpt(body)}", agent=agent)


def _read_process(row: Any, received_at: datetime) -> Process:
    if not isinstance(row, dict):
        return Process(process_id=ProcessId(""), status_detail=f"not understood: {json.dumps(row)[:80]}")
    status, detail = _read_status(row.get("status"))
    started_at = _first(_read_time, row, "started_at", "start_time")
    completed_at = _first(_read_time, row, "completed_at", "end_time")
    return Process(
        process_id=ProcessId(_first(_read_text, row, "process_id", "id", "execution_id") or ""),
        execution_id=_first(_read_text, row, "execution_id"),
        name=_first(_read_text, row, "name"),
        status=status,
        status_detail=detail or _first(_read_text, row, "message"),
        language=_first(_read_text, row, "language"),
        started_at=started_at,
        completed_at=completed_at,
        stdout=_read_text(row.get("stdout")),
        stderr=_read_text(row.get("stderr")),
        exit_code=_read_integer(row.get("exit_code")),
        execution_time=_first(_read_seconds, row, "execution_time", "duration")
        or _elapsed(status, started_at, completed_at, received_at),
        pid=_read_integer(row.get("pid")) or None,
        stdout_bytes=_read_integer(row.get("stdout_bytes")),
        stderr_bytes=_read_integer(row.get("stderr_bytes")),
    )


def _first(read: Any, row: dict[str, Any], *keys: str) -> Any:
    """The first of those fields that holds something; "" and null are what Go and JavaScript write for nothing."""
    return next((value for key in keys if (value := read(row.get(key))) not in (None, "")), None)


_STATUS_WORDS: dict[str, Status] = {
    **{status: status for status in STATUSES},
    "pending": "queued",
    "terminated": "killed",
    "stopped": "killed",
    "timeout": "failed",
    "error": "failed",
}


def _read_status(word: Any) -> tuple[Status, str | None]:
    text = _read_text(word)
    if not text:
        return "unknown", None
    status = _STATUS_WORDS.get(text.strip().lower(), "unknown")
    return status, None if status == text else text


def _read_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_INT64 = range(-(2**63), 2**63)


def _read_integer(value: Any) -> int | None:
    number = _read_number(value)
    if number is None or number != int(number) or int(number) not in _INT64:
        return None
    return int(number)


def _read_seconds(value: Any) -> float | None:
    number = _read_number(value)
    return None if number is None or number < 0 else float(number)


def _read_number(value: Any) -> int | float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if value in _INT64 else None
    return value if math.isfinite(value) else None


_TIME = re.compile(
    r"\s*(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(?:[Zz]|([+-])(\d\d):?(\d\d)?)?\s*"
)


def _read_time(value: Any) -> datetime | None:
    """A moment in RFC 3339 with any number of fraction digits and any offset; without an offset it is UTC."""
    match = _TIME.fullmatch(value) if isinstance(value, str) and len(value) < 64 else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "")[:6].ljust(6, "0")),
            timezone(-offset if sign == "-" else offset),
        )
    except ValueError:
        return None
    return moment


def _elapsed(status: Status, started_at: datetime | None, completed_at: datetime | None, now: datetime) -> float | None:
    end = completed_at if status in ENDED else now
    if started_at is None or end is None or status not in (*ENDED, "running"):
        return None
    return max(0.0, (end - started_at).total_seconds())


# ---------------------------------------------------------------- other replies


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to a launch."""

    process_id: ProcessId
    execution_id: str | None
    status: Status


def decode_launched(body: bytes, *, agent: str, endpoint: str) -> Launched:
    """The reply to a launch. Raises BadReply when it names no process, NotSupported when the agent can't launch."""
    content = read_json(body, agent=agent)
    if isinstance(content, dict):
        reject_catch_all(content, "process_id", agent=agent, endpoint=endpoint)
        process_id = _first(_read_text, content, "process_id", "id", "execution_id")
        if process_id:
            return Launched(
                process_id=ProcessId(process_id),
                execution_id=_first(_read_text, content, "execution_id"),
                status=_read_status(content.get("status"))[0],
            )
    raise BadReply(f"its reply to the launch names no process: {excerpt(body)}", agent=agent)


def check_kill_reply(body: bytes, *, agent: str, endpoint: str) -> None:
    """Raises NotSupported if a kill request was answered by an agent that doesn't know that form of it.

    Any other reply means no more than that the agent accepted the request: the sources don't agree on its fields.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(content, dict):
        reject_catch_all(content, "process_id", agent=agent, endpoint=endpoint)


class AgentFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a local agent writes about itself into `AGENT_FILE` of its folder, for those who may use it.

    `instance` is new at each start of the agent and is also in the reply of `GET /health`.
    """

    url: str
    token: str
    pid: int
    version: str
    instance: str

    def __repr__(self) -> str:
        return f"AgentFile(url={self.url!r}, pid={self.pid})"


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent said of an error, whichever of the envelopes it used. `retry_after` is in seconds."""

    message: str
    code: str | None = None
    retry_after: float | None = None


_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def decode_error(body: bytes, headers: Mapping[str, str]) -> ErrorReply:
    """What a reply with an error status says, as far as it can be understood; never raises."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return ErrorReply(message=excerpt(body) if body.strip() else "", retry_after=_retry_after(headers))
    error = content.get("error")
    inner: dict[str, Any] = error if isinstance(error, dict) else content
    details = inner.get("details")
    message = inner.get("message") if isinstance(error, dict) else error
    code = inner.get("code")
    if code is None and isinstance(message, str) and _CODE.fullmatch(message):  # {"error": "CODE", "message": "text"}
        message, code = content.get("message"), message
    hints = [content.get("retry_after"), inner.get("retry_after")]
    if isinstance(details, dict):
        hints.append(details.get("retry_after_seconds"))
    waits = [_retry_after(headers), *map(_read_seconds, hints)]
    return ErrorReply(
        message=printable(_read_text(message or content.get("message")) or excerpt(body)),
        code=code if isinstance(code, str) else None,
        retry_after=max((wait for wait in waits if wait is not None), default=None),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    seconds = _read_seconds(value)
    if seconds is not None or not value:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def read_json(body: bytes, *, agent: str) -> Any:
    """The content of a JSON body, however badly encoded. Raises BadReply that shows what came instead."""
    text = body.decode("utf-8-sig", "replace")
    if text.lstrip()[:1] == "<":
        raise BadReply(
            f"it answered with a web page: {excerpt(body)}",
            agent=agent,
            hint="Is this the address of an agent? A login page or a proxy may stand in front of it.",
        )
    try:
        return json.loads(text)
    except RecursionError:
        raise BadReply("its reply is nested too deeply to be one of an agent", agent=agent) from None
    except ValueError:
        raise BadReply(
            f"its reply is no JSON, or was cut short after {len(body):,} bytes: {excerpt(body)}", agent=agent
        ) from None


def reject_catch_all(content: dict[str, Any], key: str, *, agent: str, endpoint: str) -> None:
    """Raises NotSupported if this is what the HopX agent answers, with status 200, on every route that it doesn't know.

    Its face: `agent` is a text and `message` says "success", without the `key` that the real reply has.
    """
    if key not in content and isinstance(content.get("agent"), str) and content.get("message") == "success":
        raise NotSupported(f"this agent does not support {endpoint}", agent=agent)


def excerpt(body: bytes, limit: int = 80) -> str:
    """The beginning of what came, on one line, safe to show."""
    text = printable(" ".join(body[: 4 * limit].decode("utf-8", "replace").split()))
    return "(nothing)" if not text else repr(text) if len(text) <= limit else repr(text[:limit] + "…")


def printable(text: str, limit: int = 300) -> str:
    """`text` on one line, with nothing in it that a terminal or a page could take for a command."""
    line = "".join(char if char.isprintable() else " " for char in text[: 2 * limit])
    return " ".join(line.split())[:limit]
