"""What every request passes: the checks of host, token and size, the request's id, and the form of all errors."""

import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import protocol
from .endings import utc

BODY_LIMIT = 32_000_000
"""Bytes that the body of a request may have, unless it goes to the disk while it arrives."""

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}

log = logging.getLogger("hopx_magics.local_agent")


class Refused(Exception):
    """A request that is answered with an error. `code` is the machine-readable one of the agent API."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers: dict[str, str] = {}


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
    refused = Refused(error.status_code, code, messages.get(error.status_code, error.detail))
    refused.headers.update(error.headers or {})
    return refusal(request.scope, refused)


async def answer_failure(request: Request, error: Exception) -> Response:
    """For mistakes of this program: the log has the traceback, the reply has not."""
    return refusal(request.scope, Refused(500, "INTERNAL_ERROR", "the agent failed; its log says why"))


class Gate:
    """The outermost layer of the application. `active` counts requests, `idle_since` is when the last one ended."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self.active = 0
        self.idle_since = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"this agent speaks no {scope['type']}")
        self.active += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.active -= 1
            self.idle_since = time.monotonic()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope["request_id"] = f"req_{int(time.time())}_{secrets.token_hex(8)}"

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", []).append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            self._check(scope)
        except Refused as error:
            await refusal(scope, error)(scope, receive, send_with_id)
            return
        await self._app(scope, receive, send_with_id)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if _host_name(headers.get("host", "")) not in _HOSTS:
            raise Refused(403, "FORBIDDEN", "this agent answers to the names of this machine's loopback address only")
        if scope["path"] != protocol.HEALTH:
            self._check_token(headers.get("authorization", ""))
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_LIMIT and scope["path"] != protocol.FILES_UPLOAD:
            raise too_long()

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("AUTHENTICATION_REQUIRED", "a bearer token is required")
        if not hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self._token):
            raise _unauthorized("INVALID_TOKEN", "this is not the token of this agent")


def _unauthorized(code: str, message: str) -> Refused:
    error = Refused(401, code, message)
    error.headers["www-authenticate"] = "Bearer"
    return error


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def too_long() -> Refused:
    """The error for a body over the limit."""
    return Refused(413, "INVALID_REQUEST", f"the body is longer than {BODY_LIMIT:,} bytes")


async def read_body(request: Request) -> bytes:
    """The body of a request, however its length was announced. Raises Refused when it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise too_long()
    return bytes(body)
