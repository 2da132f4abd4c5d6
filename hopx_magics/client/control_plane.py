"""HopX's control plane: its sandboxes, their tokens, and how the agent of one is reached."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import msgspec

from ..errors import (
    AgentError,
    AgentRefused,
    AgentUnreachable,
    BadReply,
    ControlPlaneError,
    HopxError,
    NotYours,
    SandboxGone,
    Unauthorized,
)
from ..models import AccessToken, Sandbox
from ..output import printable
from ..protocol import cloud as wire
from ..words import SANDBOX_STATUSES, SandboxStatus
from .api_key import ApiKey
from .transport import Endpoint, Request, Transport, checked_url

MAX_REPLY = 16_000_000
"""Bytes of the largest reply of the control plane that is read."""

MAX_PAGES = 100

CREATION_TIME = 60.0
"""Seconds that the creation of a sandbox may take beyond the time of other requests."""

CREATED_AT_ONCE = 4


class ControlPlane:
    """The control plane, for the owner of one API key. Safe to use from several threads.

    `timeout` and `retry_time` are those of a `Transport`. What changes something is sent once, unless a second time
    changes nothing more.

    All methods raise ControlPlaneError when the control plane can't be reached, refuses, or can't be understood. Those
    about one sandbox raise SandboxGone, NotYours, and ValueError for what can't be an id.
    """

    def __init__(self, key: ApiKey, url: str, *, timeout: float, retry_time: float) -> None:
        schemes = itertools.cycle(_endpoints(key, checked_url(url)))
        self._transport = Transport(
            "HopX",
            lambda http: next(schemes),  # asked after a refusal: then the other one is tried, and kept if it is better
            timeout=timeout,
            retry_time=retry_time,
            max_reply=MAX_REPLY,
            kind="control plane",
        )

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()

    def sandboxes(self, status: SandboxStatus | None = None) -> list[Sandbox]:
        """All sandboxes, or those of one status, in the control plane's order. Raises ValueError for another status."""
        if status is not None and status not in SANDBOX_STATUSES:
            raise ValueError(f"{status!r} is not the status of a sandbox: use {', '.join(SANDBOX_STATUSES)}")
        found = {}
        with self._our_errors():
            for page in self._pages({} if status in (None, "unknown") else {"status": status}):
                found.update({sandbox.sandbox_id or id(sandbox): sandbox for sandbox in page.sandboxes})
        return [sandbox for sandbox in found.values() if status in (None, sandbox.status)]

    def _pages(self, wanted: Mapping[str, str]) -> Iterator[wire.SandboxPage]:
        cursors = set()
        params = {**wanted, "limit": str(wire.PAGE)}
        for _ in range(MAX_PAGES):
            reply = self._transport.read(Request("GET", wire.SANDBOXES, params))
            page = wire.decode_sandboxes(reply.body, agent=self._transport.label)
            yield page
            if page.cursor is None or page.cursor in cursors:
                return
            cursors.add(page.cursor)
            params["cursor"] = page.cursor
        raise BadReply(f"its list of sandboxes has no end after {MAX_PAGES} pages", agent=self._transport.label)

    def sandbox(self, sandbox_id: str) -> Sandbox:
        """One sandbox as it is now."""
        request = Request("GET", wire.sandbox_path(sandbox_id))
        with self._our_errors(sandbox_id):
            return wire.decode_sandbox(self._transport.read(request).body, agent=self._transport.label)

    def create(
        self,
        template: str,
        timeout: int | None = None,
        env: Mapping[str, str] | None = None,
        region: str | None = None,
    ) -> Sandbox:
        """Creates a sandbox from a template, given by its name or number, and returns it, which is rarely ready yet.

        After `timeout` seconds it expires, which deletes it; None: it lives until it is deleted. The variables in `env`
        are sent and not applied, as the control plane doesn't do that: to have them in the sandbox, the caller sends
        them to its agent (`PATCH /env`) as soon as that is ready.

        Sent once: the error says when a sandbox may have been created all the same.
        """
        if not template.strip():
            raise ValueError("a sandbox needs a template: use the name of one, such as 'code-interpreter'")
        if timeout is not None:
            _check_seconds(timeout)
        content = wire.creation_body(template.strip(), timeout, env, region)
        request = Request("POST", wire.SANDBOXES, content=content, patience=CREATION_TIME)
        try:
            return wire.decode_sandbox(self._transport.send(request).body, agent=self._transport.label)
        except AgentError as error:
            raise _translated(error, hint=_creation_hint(error, template)) from None

    def delete(self, sandbox_id: str) -> None:
        """Deletes a sandbox, with all that is in it. Sent once."""
        with self._our_errors(sandbox_id):
            self._transport.send(Request("DELETE", wire.sandbox_path(sandbox_id)))

    def resume(self, sandbox_id: str) -> Sandbox:
        """Lets a paused sandbox go on, which ends its tokens, and returns it as it is then. Sent once."""
        with self._our_errors(sandbox_id):
            self._transport.send(Request("POST", f"{wire.sandbox_path(sandbox_id)}/resume"))
        return self.sandbox(sandbox_id)

    def extend(self, sandbox_id: str, seconds: int) -> datetime | None:
        """Lets a sandbox expire `seconds` from now, and returns that time, as far as the control plane says it."""
        _check_seconds(seconds)
        content = wire.timeout_body(seconds)
        request = Request("PUT", f"{wire.sandbox_path(sandbox_id)}/timeout", content=content)
        with self._our_errors(sandbox_id):
            return wire.decode_expiry(self._transport.read(request).body, agent=self._transport.label)

    def token(self, sandbox_id: str) -> AccessToken:
        """A new token for the agent of a sandbox."""
        request = Request("POST", f"{wire.sandbox_path(sandbox_id)}/token/refresh")
        with self._our_errors(sandbox_id):
            return wire.decode_token(self._transport.read(request).body, agent=self._transport.label)

    @contextmanager
    def _our_errors(self, sandbox_id: str | None = None) -> Iterator[None]:
        try:
            yield
        except AgentError as error:
            raise _translated(error, sandbox_id) from None


def _endpoints(key: ApiKey, url: str) -> list[Endpoint]:
    """The ways in which the control plane may want the key: the sources don't agree."""
    hint = f"The key is from {key.source}: set HOPX_API_KEY to a valid one."
    first = Endpoint(url, key.value, scheme="X-API-Key", called="API key", when_refused=hint)
    return [first, msgspec.structs.replace(first, scheme="Bearer")]


def _check_seconds(seconds: int) -> None:
    if seconds < 1:
        raise ValueError(f"{seconds} s is no time for a sandbox to live: use 1 or more seconds")


# ---------------------------------------------------------------- errors

_HINTS = {
    402: "The account has no plan or no credit for this.",
    403: "The API key does not allow it, or the plan's limit is reached.",
    404: "Is HOPX_BASE_URL the address of HopX's control plane?",
    429: "Too many requests, or the plan's limit is reached: try again in a minute.",
    503: "Try again in some seconds.",
}


_LIMIT_CODES = frozenset({"RESOURCE_LIMIT_ERROR", "RATE_LIMIT_EXCEEDED", "PAYMENT_REQUIRED"})
"""The codes of a 403 that speaks of the account's plan, and not of who owns a sandbox."""


def _translated(error: AgentError, sandbox_id: str | None = None, hint: str | None = None) -> HopxError:
    if not isinstance(error, AgentRefused):
        return ControlPlaneError(error.message, hint=hint or "Is this machine online? Is HOPX_BASE_URL right, if set?")
    if sandbox_id and error.status in (404, 410):
        return SandboxGone(
            f"sandbox {sandbox_id} does not exist: it was deleted, has expired, or never was",
            hint="What ran in it is lost. Create a new one, or use another one.",
        )
    if sandbox_id and error.status == 403 and error.code not in _LIMIT_CODES:
        return NotYours(
            f"sandbox {sandbox_id} does not belong to the owner of the API key, or the plan's limit is reached: "
            f"{error.message}",
            hint="Set HOPX_API_KEY to another key, or give up what the plan counts.",
        )
    if isinstance(error, Unauthorized):
        hint = error.hint
    return ControlPlaneError(
        error.message, status=error.status, code=error.code, hint=hint or _HINTS.get(error.status, "Try again later.")
    )


def _creation_hint(error: AgentError, template: str) -> str | None:
    status = error.status if isinstance(error, AgentRefused) else None
    question = f"Is there a template {printable(template, 60)!r}?"
    if status in (400, 404):
        return question
    if (status is not None and status < 500) or (isinstance(error, AgentUnreachable) and not error.sent):
        return None
    note = "A sandbox may have been created all the same: look at the list of them before you try again."
    return f"{note} {question}" if status == 500 else note  # 500 is also how it answered to an unknown template
