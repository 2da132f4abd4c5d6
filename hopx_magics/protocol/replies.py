"""Replies other than the listing: launches, kills, errors, and what is no reply of an agent."""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, TypeVar

import msgspec

from ..errors import AgentRefused, BadReply, HopxError, NotSupported
from ..models import ProcessId, QueueState
from ..output.oneline import printable
from ..words import KillResult, PauseResult, Status
from .fields import Body, first, load_json, read_count, read_seconds, read_status, read_text

_Results = TypeVar("_Results")


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to a launch. `sweep_limit` is there when the agent lets only so many of the sweep run at once."""

    process_id: ProcessId
    execution_id: str | None
    status: Status
    sweep_limit: int | None = None


def decode_launched(body: Body, *, agent: str, endpoint: str) -> Launched:
    """The reply to a launch. Raises BadReply when it names no process, NotSupported when the agent can't launch."""
    content = read_json(body, agent=agent)
    if isinstance(content, dict):
        reject_catch_all(content, "process_id", agent=agent, endpoint=endpoint)
    launched = _read_launched(content)
    if launched is None:
        raise BadReply(f"its reply to the launch names no process: {excerpt(body)}", agent=agent)
    return launched


def _read_launched(content: Any) -> Launched | None:
    if not isinstance(content, dict):
        return None
    process_id = first(read_text, content, "process_id", "id", "execution_id")
    if not process_id:
        return None
    return Launched(
        process_id=ProcessId(process_id),
        execution_id=first(read_text, content, "execution_id"),
        status=read_status(content.get("status"))[0],
        sweep_limit=read_count(content.get("sweep_limit")),
    )


def decode_many(body: Body, count: int, *, agent: str, endpoint: str) -> list[Launched | HopxError]:
    """The reply to `count` launches: what became of each, until one was refused.

    Raises BadReply where it does not tell of all, NotSupported when the agent launches one at a time.
    """
    content = read_json(body, agent=agent)
    if isinstance(content, dict):
        reject_catch_all(content, "results", agent=agent, endpoint=endpoint)
        with contextlib.suppress(msgspec.ValidationError):
            reply = msgspec.convert(content, _Many)
            answers: list[Launched | HopxError] = [each for each in map(_read_launched, reply.results) if each]
            if len(answers) == len(reply.results):
                answers += [reply.error.refusal(agent)] if reply.error else []
                if len(answers) == count or (reply.error and len(answers) < count):
                    return answers
    raise BadReply(f"its reply does not tell what became of {count:,} launches: {excerpt(body)}", agent=agent)


class _Refusal(msgspec.Struct):
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    message: str
    code: str | None = None

    def refusal(self, agent: str) -> AgentRefused:
        message = f"{printable(self.message)} (status {self.status})"
        return AgentRefused(message, agent=agent, status=self.status, code=self.code)


class _Many(msgspec.Struct):
    results: list[Any]
    error: _Refusal | None = None


def check_kill_reply(body: Body, *, agent: str, endpoint: str) -> None:
    """Raises NotSupported if a kill request was answered by an agent that doesn't know that form of it.

    Any other reply means no more than that the agent accepted the request: the sources don't agree on its fields.
    """
    try:
        content = load_json(body)
    except (ValueError, RecursionError):
        return
    if isinstance(content, dict):
        reject_catch_all(content, "process_id", agent=agent, endpoint=endpoint)


def decode_kills(body: Body, *, agent: str, endpoint: str) -> dict[ProcessId, KillResult]:
    """What became of processes that were to be killed. Raises BadReply, NotSupported."""
    return _results(body, dict[ProcessId, KillResult], agent, endpoint)


def decode_turns(body: Body, *, agent: str, endpoint: str) -> dict[ProcessId, PauseResult]:
    """What became of processes that were to be paused, or to go on. Raises BadReply, NotSupported."""
    return _results(body, dict[ProcessId, PauseResult], agent, endpoint)


def _results(body: Body, kind: type[_Results], agent: str, endpoint: str) -> _Results:
    content = read_json(body, agent=agent)
    if isinstance(content, dict):
        reject_catch_all(content, "results", agent=agent, endpoint=endpoint)
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(content.get("results"), kind)
    raise BadReply(f"its reply does not tell what was done: {excerpt(body)}", agent=agent)


def decode_queue(body: Body, *, agent: str, endpoint: str) -> QueueState:
    """The state of an agent's queue. Raises BadReply, NotSupported."""
    content = read_json(body, agent=agent)
    if isinstance(content, dict):
        reject_catch_all(content, "max_running", agent=agent, endpoint=endpoint)
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(content, QueueState)
    raise BadReply(f"its reply does not tell of a queue: {excerpt(body)}", agent=agent)


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent said of an error, whichever of the envelopes it used. `retry_after` is in seconds."""

    message: str
    code: str | None = None
    retry_after: float | None = None


_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def decode_error(body: Body, headers: Mapping[str, str]) -> ErrorReply:
    """What a reply with an error status says, as far as it can be understood; never raises."""
    try:
        content = load_json(body)
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
    waits = [_retry_after(headers), *map(read_seconds, hints)]
    return ErrorReply(
        message=printable(read_text(message or content.get("message")) or excerpt(body)),
        code=code if isinstance(code, str) else None,
        retry_after=max((wait for wait in waits if wait is not None), default=None),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    seconds = read_seconds(value)
    if seconds is not None or not value:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def read_json(body: Body, *, agent: str) -> Any:
    """The content of a JSON body, however badly encoded. Raises BadReply that shows what came instead."""
    text = body.decode("utf-8-sig", "replace")
    if text.lstrip()[:1] == "<":
        raise BadReply(
            f"it answered with a web page: {excerpt(body)}",
            agent=agent,
            hint="Is this the address of an agent? A login page or a proxy may stand in front of it.",
        )
    try:
        return load_json(text)
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


def excerpt(body: Body, limit: int = 80) -> str:
    """The beginning of what came, on one line, safe to show."""
    text = printable(" ".join(body[: 4 * limit].decode("utf-8", "replace").split()))
    return "(nothing)" if not text else repr(text) if len(text) <= limit else repr(text[:limit] + "…")
