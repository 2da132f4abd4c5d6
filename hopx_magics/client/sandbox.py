"""One HopX sandbox: whether it can be used, where its agent is, when that is ready, and when it ends."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import httpx

from ..durations import format_counting, format_duration
from ..errors import AgentRefused, AgentUnreachable, HopxError, SandboxError, SandboxNotReady, Unauthorized
from ..models import AccessToken, Sandbox
from ..output.oneline import printable
from ..protocol.requests import HEALTH, PROCESSES
from .control_plane import ControlPlane
from .transport import Endpoint, Request, Transport, checked_url

RENEW_BEFORE = 300.0
RENEW_SHARE = 0.1
"""A token is renewed when less than so many seconds, or less than that share of its life, is left."""

FIRST_PAUSE = 0.2
LAST_PAUSE = 2.0
"""Seconds between two looks at a sandbox that is not ready. One asks the control plane twice, of 100 times a minute."""

READY_WITHIN = 180.0
"""Seconds that a fresh sandbox is given until its agent answers."""

ENDS_SOON = 900.0
"""Seconds before its end from which on a sandbox is said to be about to expire."""

LOOK_AGAIN = 60.0
"""Seconds after which it is asked again when a sandbox expires: somebody may have prolonged it."""

_REASONS = {
    "stopped": "was stopped, and what ran in it is lost: create a new one",
    **dict.fromkeys(("paused", "pausing", "suspended"), "is paused, and so is what runs in it: resume it to go on"),
    **dict.fromkeys(("error", "failed"), "failed: create a new one"),
    **dict.fromkeys(
        ("killed", "deleted", "expired"), "was deleted or has expired, and what ran in it is lost: create a new one"
    ),
}


def why_unusable(sandbox: Sandbox) -> str | None:
    """What keeps the sandbox from being used, and what to do then; None when nothing does.

    One that is being created, or whose status nobody knows, may be used as soon as its agent answers.
    """
    reason = _REASONS.get((sandbox.status_detail or sandbox.status).lower())
    return None if reason is None else f"sandbox {printable(sandbox.sandbox_id, 60)} {reason}"


def find_usable(control_plane: ControlPlane, sandbox_id: str, *, resume: bool = False) -> Sandbox:
    """The sandbox of that id, if it can be used; `resume` resumes one that is paused, which nothing else does.

    Raises SandboxError that says what is wrong with it, ControlPlaneError.
    """
    sandbox = control_plane.sandbox(sandbox_id)
    if resume and sandbox.status == "paused":
        sandbox = control_plane.resume(sandbox_id)
    if reason := why_unusable(sandbox):
        hint = "%hopx_connect ID --resume resumes it." if sandbox.status == "paused" else None
        raise SandboxError(reason, hint=hint)
    return sandbox


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
            expires_at=token.expires_at,
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
        transport.send(Request("GET", HEALTH))
        transport.send(Request("GET", PROCESSES, {"tail": "0"}))
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


def wait_for_agents(
    transports: Sequence[tuple[Sandbox, Transport]], say: Callable[[str], None], *, timeout: float = READY_WITHIN
) -> None:
    """Waits until the agents of fresh sandboxes answer. Raises SandboxNotReady, and what tells of a broken one.

    `say` is called in this thread with how many are ready, the last time when all are.
    """
    lines: dict[str, str] = {}
    ready: list[str] = []
    lock = threading.Lock()
    failures: list[HopxError] = []

    def wait(sandbox: Sandbox, transport: Transport) -> None:
        def note(line: str) -> None:
            with lock:
                lines[sandbox.sandbox_id] = line

        try:
            wait_until_ready(transport, sandbox, note, timeout)
            ready.append(sandbox.sandbox_id)
        except HopxError as error:
            failures.append(error)
        finally:
            with lock:
                lines.pop(sandbox.sandbox_id, None)

    def tell() -> None:
        with lock:
            waiting = "".join(f": {line}" for line in list(lines.values())[:1])
        say(f"{len(ready)} of {len(threads)} ready after {format_counting(time.monotonic() - begun)}{waiting}")

    threads = [threading.Thread(target=wait, args=pair, name="hopx-ready", daemon=True) for pair in transports]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):  # in this thread, so that Ctrl-C gets through
        tell()
        next(thread for thread in threads if thread.is_alive() or thread is threads[-1]).join(0.5)
    if failures:
        raise failures[0]
    tell()


class Expiry:
    """When a connection's sandbox ends, asked for again from time to time, on no thread of its own."""

    def __init__(self, look: Callable[[], datetime | None]) -> None:
        self._look = look
        self._at: datetime | None = None
        self._looked = float("-inf")

    def at(self) -> datetime | None:
        """When it ends, as far as that is known. Raises nothing."""
        if time.monotonic() - self._looked > LOOK_AGAIN:
            self._looked = time.monotonic()
            threading.Thread(target=self._refresh, name="hopx-expiry", daemon=True).start()
        return self._at

    def know(self, at: datetime | None) -> None:
        """Takes note of when it ends."""
        self._at, self._looked = at, time.monotonic()

    def note(self, name: str, *, until: float | None = None) -> str | None:
        """What is to be said of it: that it ends soon, or before `until` seconds from now are over."""
        at = self.at()
        if at is None:
            return None
        left = (at - datetime.now(UTC)).total_seconds()
        if left <= 0:
            return f"{name}: its sandbox has expired"
        if until is not None and left < until:
            return (
                f"{name}: its sandbox expires in {format_duration(left)}, before the time limit is over: "
                f"%hopx_extend {name} {format_duration(until).replace(' ', '')} prolongs it"
            )
        if left < ENDS_SOON:
            return f"{name}: its sandbox expires in {format_duration(left)}: %hopx_extend {name} 2h prolongs it"
        return None

    def _refresh(self) -> None:
        try:
            self._at = self._look()
        except HopxError:
            return
