"""The form of all replies: JSON, and for what is refused the agent API's envelope."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from .endings import utc

Routes = list[tuple[str, str, Callable[[Request], Awaitable[Response]]]]
"""Methods, path and endpoint of each."""

_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


@dataclass(eq=False)
class Refused(Exception):
    """A request that is answered with an error. `code` is the machine-readable one of the agent API."""

    status: int
    code: str
    message: str
    details: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply with `content` as JSON."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def refusal(scope: Scope, error: Refused) -> Response:
    """The reply that tells of an error, in the agent API's envelope."""
    content = {
        "error": error.message,
        "code": error.code,
        "request_id": scope.get("request_id"),
        "timestamp": utc(time.time_ns()),
        "path": scope["path"],
        **({"details": error.details} if error.details else {}),
    }
    return json_response(content, error.status, error.headers)


async def answer_refused(request: Request, error: Exception) -> Response:
    """For what this program refuses."""
    assert isinstance(error, Refused)
    return refusal(request.scope, error)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """For what the router refuses: unknown routes and wrong methods."""
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}"
    messages = {404: f"there is no endpoint {what}", 405: f"{what} is not an allowed method of this endpoint"}
    code = _CODES.get(error.status_code, "INVALID_REQUEST")
    message = messages.get(error.status_code, error.detail)
    return refusal(request.scope, Refused(error.status_code, code, message, headers=error.headers))


async def answer_failure(request: Request, error: Exception) -> Response:
    """For mistakes of this program: the log has the traceback, the reply has not."""
    return refusal(request.scope, Refused(500, "INTERNAL_ERROR", "the agent failed; its log says why"))
