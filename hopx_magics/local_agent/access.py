"""What every request passes: the checks of host, token and size, and the request's id."""

import hmac
import secrets
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..protocol.files import FILES_UPLOAD
from ..protocol.requests import HEALTH
from .answers import Refused, refusal
from .requests import BODY_LIMIT, too_long

_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Gate:
    """The outermost layer of the application. `active` counts requests, `idle_since` is when the last one ended.

    Those of strangers don't count, or anybody could keep the agent from ending.
    """

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
            if scope["state"]["connection"].is_known:
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
        if scope["path"] != HEALTH:
            self._check_token(headers.get("authorization", ""))
            scope["state"]["connection"].is_known = True
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_LIMIT and scope["path"] != FILES_UPLOAD:
            raise too_long()

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("AUTHENTICATION_REQUIRED", "a bearer token is required")
        if not hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self._token):
            raise _unauthorized("INVALID_TOKEN", "this is not the token of this agent")


def _unauthorized(code: str, message: str) -> Refused:
    return Refused(401, code, message, headers={"www-authenticate": "Bearer"})


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()
