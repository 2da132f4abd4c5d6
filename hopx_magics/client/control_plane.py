"""HopX's control plane: its sandboxes, their tokens, and how the agent of one is reached."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import msgspec

from .. import protocol
from ..errors import (
    AgentError,
    AgentRefused,
    AgentUnreachable,
    BadReply,
    ControlPlaneError,
    HopxError,
    NotYours,
    SandboxError,
    SandboxGone,
    SandboxNotReady,
    Unauthorized,
)
from ..models import SANDBOX_STATUSES, AccessToken, Sandbox, SandboxStatus
from ..output import printable
from ..protocol import cloud as wire
from .api_key import ApiKey
from .transport import Endpoint, Request, Transport, checked_url

MAX_REPLY = 16_000_000
"""Bytes of the largest reply of the control plane that is read."""

MAX_PAGES = 100

CREATION_TIME = 60.0
"""Seconds that the creation of a sandbox may take beyond the time of other requests."""

RENEW_BEFORE = 300.0
RENEW_SHARE = 0.1
"""A token is renewed when less than so many seconds, or less than that share of its life, is left."""

FIRST_PAUSE = 0.2
LAST_PAUSE = 2.0
"""Seconds between two looks at a sandbox that is not ready. One asks the control plane twice, of 100 times a minute."""


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

    def renew_after_fork(self) -> None:
        """Begins anew in a forked child."""
        self._transport.renew_after_fork()

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


def _translated(error: AgentError, sandbox_id: str | None = None, hint: str | None = None) -> HopxError:
    if not isinstance(error, AgentRefused):
        return ControlPlaneError(error.message, hint=hint or "Is this machine online? Is HOPX_BASE_URL right, if set?")
    if sandbox_id and error.status in (404, 410):
        return SandboxGone(
            f"sandbox {sandbox_id} does not exist: it was deleted, has expired, or never was",
            hint="What ran in it is lost. Create a new one, or use another one.",
        )
    if sandbox_id and error.status == 403 and "limit" not in error.message.lower():
        return NotYours(
            f"sandbox {sandbox_id} does not belong to the owner of the API key", hint="Set HOPX_API_KEY to another key."
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


# ---------------------------------------------------------------- using a sandbox

_STOPPED = "was stopped, and what ran in it is lost: create a new one"
_PAUSED = "is paused, and so is what runs in it: resume it to go on"
_FAILED = "failed: create a new one"
_GONE = "was deleted or has expired, and what ran in it is lost: create a new one"

_REASONS = {
    "stopped": _STOPPED,
    "paused": _PAUSED,
    "pausing": _PAUSED,
    "suspended": _PAUSED,
    "error": _FAILED,
    "failed": _FAILED,
    "killed": _GONE,
    "deleted": _GONE,
    "expired": _GONE,
}


def why_unusable(sandbox: Sandbox) -> str | None:
    """What keeps the sandbox from being used, and what to do then; None when nothing does.

    One that is being created, or whose status nobody knows, may be used as soon as its agent answers.
    """
    reason = _REASONS.get((sandbox.status_detail or sandbox.status).lower())
    return None if reason is None else f"sandbox {printable(sandbox.sandbox_id, 60)} {reason}"


def renewal_delay(life: float) -> float | None:
    """Seconds until a token that lives `life` seconds is renewed, ahead of its end.

    A short life is at least halved. None when it seems to be over already: the clocks of this machine and of HopX
    differ, and the token is renewed when it is refused.
    """
    return None if life <= 0 else life - min(max(RENEW_BEFORE, RENEW_SHARE * life), life / 2)


class SandboxEndpoint:
    """Where the agent of one sandbox is, with a token that is new each time; a `Locate` for a transport.

    The address is always the control plane's. A sandbox that is paused stays so.
    """

    def __init__(self, control_plane: ControlPlane, sandbox_id: str) -> None:
        self._control_plane = control_plane
        self._sandbox_id = sandbox_id

    def __call__(self, http: httpx.Client) -> Endpoint:
        """The endpoint of the sandbox's agent, whether or not that is ready.

        Raises SandboxError when the sandbox can't be used, ControlPlaneError, InsecureConnection.
        """
        sandbox = self._control_plane.sandbox(self._sandbox_id)
        if reason := why_unusable(sandbox):
            raise SandboxError(reason)
        if sandbox.url is None:
            raise SandboxNotReady(f"sandbox {self._sandbox_id} has no address yet", hint="Try again in some seconds.")
        try:
            url = checked_url(sandbox.url)
        except ValueError as error:
            raise SandboxError(f"sandbox {self._sandbox_id} has an address that can't be used: {error}") from None
        token = self._control_plane.token(self._sandbox_id)
        return Endpoint(
            url,
            token.value,
            renew_at=_renew_at(token),
            when_refused="The token is new: the sandbox may still be starting. Try again in some seconds.",
        )


def _renew_at(token: AccessToken) -> float | None:
    if token.expires_at is None:
        return None
    delay = renewal_delay((token.expires_at - datetime.now(UTC)).total_seconds())
    return None if delay is None else time.monotonic() + delay


_NOT_READY_STATUSES = frozenset({401, 404, 429, 500, 502, 503, 504})


def wait_until_ready(transport: Transport, sandbox: Sandbox, say: Callable[[str], None], timeout: float) -> None:
    """Waits until the agent of a fresh sandbox answers, and accepts the token, which it may refuse for some seconds.

    `say` is called in this thread, with one line, when what is waited for changes. The end may be later than after
    `timeout` seconds by what one request takes that gets no answer.

    Raises SandboxNotReady after that time, SandboxError when the sandbox can't be used, ControlPlaneError, AgentError.
    """
    deadline = time.monotonic() + timeout
    said, pause = "", FIRST_PAUSE
    while error := _not_ready(transport):
        wait = max(pause, (error.retry_after or 0.0) if isinstance(error, AgentRefused) else 0.0)
        if time.monotonic() + wait > deadline:
            raise SandboxNotReady(
                f"sandbox {sandbox.sandbox_id} was not ready after {timeout:g} s: {error.message}",
                hint="It may become ready later: try again.",
            )
        if (line := f"sandbox {sandbox.sandbox_id}: {_waited_for(error)}") != said:
            say(line)
            said = line
        time.sleep(wait)
        pause = min(2 * pause, LAST_PAUSE)


def _not_ready(transport: Transport) -> SandboxNotReady | AgentUnreachable | AgentRefused | None:
    """What the agent lacks to be ready, or None."""
    try:
        transport.send(Request("GET", protocol.HEALTH))
        transport.send(Request("GET", protocol.PROCESSES, {"tail": "0"}))
    except (SandboxNotReady, AgentUnreachable) as error:
        return error
    except AgentRefused as error:
        if error.status in _NOT_READY_STATUSES:
            return error
        raise
    return None


def _waited_for(error: HopxError) -> str:
    if isinstance(error, SandboxNotReady):
        return "it is being created"
    if isinstance(error, Unauthorized):
        return "its agent does not accept the token yet"
    if isinstance(error, AgentRefused):
        return f"its agent is starting (status {error.status})"
    return "its agent can't be reached yet"
