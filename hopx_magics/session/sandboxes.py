"""HopX sandboxes: found, created, connected, prolonged and given up, through the control plane of an account."""

import functools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ..client.api_key import find_api_key
from ..client.control_plane import ControlPlane, SandboxEndpoint, wait_until_ready, why_unusable
from ..client.transport import Transport
from ..durations import format_duration
from ..errors import CredentialsError, HopxError, SandboxError
from ..models import Sandbox
from ..settings import Settings

READY_WITHIN = 180.0
"""Seconds that a fresh sandbox is given until its agent answers."""

CREATED_AT_ONCE = 4

ENDS_SOON = 900.0
"""Seconds before its end from which on a sandbox is said to be about to expire."""

LOOK_AGAIN = 60.0
"""Seconds after which it is asked again when a sandbox expires: somebody may have prolonged it."""


class Owned(NamedTuple):
    """A sandbox of the account, and the name of the connection to it, if there is one."""

    sandbox: Sandbox
    connection: str | None


class Cloud:
    """The control plane of the account whose API key this environment has."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @functools.cached_property
    def control_plane(self) -> ControlPlane:
        """The control plane. Raises CredentialsError when there is no API key."""
        key = find_api_key(os.environ, Path.home())
        if key is None:
            raise CredentialsError(
                "there is no HopX API key",
                hint="Set HOPX_API_KEY, or log in with the vendor's command line program (hopx auth login).",
            )
        return ControlPlane(
            key,
            self._settings.base_url,
            timeout=self._settings.reply_time,
            retry_time=self._settings.retry_time,
        )

    def renew_after_fork(self) -> None:
        """Begins anew in a forked child."""
        if "control_plane" in vars(self):
            self.control_plane.renew_after_fork()

    def close(self) -> None:
        """Closes all connections, and forgets the API key."""
        if "control_plane" in vars(self):
            self.control_plane.close()
            del self.control_plane

    def usable(self, sandbox_id: str, *, resume: bool = False) -> Sandbox:
        """The sandbox of that id, if it can be used; `resume` resumes one that is paused, which nothing else does.

        Raises SandboxError that says what is wrong with it, ControlPlaneError.
        """
        sandbox = self.control_plane.sandbox(sandbox_id)
        if resume and sandbox.status == "paused":
            sandbox = self.control_plane.resume(sandbox_id)
        if reason := why_unusable(sandbox):
            hint = "%hopx_connect ID --resume resumes it." if sandbox.status == "paused" else None
            raise SandboxError(reason, hint=hint)
        return sandbox

    def endpoint(self, sandbox_id: str) -> SandboxEndpoint:
        """Where the sandbox's agent is."""
        return SandboxEndpoint(self.control_plane, sandbox_id)

    def create(
        self,
        template: str,
        count: int,
        *,
        timeout: int | None,
        region: str | None,
        env: Mapping[str, str] | None,
        created: Callable[[Sandbox], None],
    ) -> list[Sandbox]:
        """Creates sandboxes, some at once; `created` is called with each, on other threads, as soon as it is known.

        Raises what the first one that can't be created raises, after all others have been.
        """

        def create(_: int) -> Sandbox:
            sandbox = self.control_plane.create(template, timeout, env, region)
            created(sandbox)
            return sandbox

        with ThreadPoolExecutor(min(count, CREATED_AT_ONCE)) as pool:
            made = [pool.submit(create, number) for number in range(count)]
        return [each.result() for each in made]


def wait_for_agents(
    transports: Sequence[tuple[Sandbox, Transport]], say: Callable[[str], None], *, timeout: float = READY_WITHIN
) -> None:
    """Waits until the agents of fresh sandboxes answer. Raises SandboxNotReady, and what tells of a broken one."""
    lines: dict[str, str] = {}
    lock = threading.Lock()
    failures: list[HopxError] = []

    def wait(sandbox: Sandbox, transport: Transport) -> None:
        def note(line: str) -> None:
            with lock:
                lines[sandbox.sandbox_id] = line

        try:
            wait_until_ready(transport, sandbox, note, timeout)
        except HopxError as error:
            failures.append(error)
        finally:
            with lock:
                lines.pop(sandbox.sandbox_id, None)

    threads = [threading.Thread(target=wait, args=pair, name="hopx-ready", daemon=True) for pair in transports]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):  # in this thread, so that Ctrl-C gets through
        with lock:
            waiting = list(lines.values())
        ready = sum(not thread.is_alive() for thread in threads)
        waited = format_duration(round(time.monotonic() - begun))
        say(f"{ready} of {len(threads)} ready after {waited}" + (f": {waiting[0]}" if waiting else ""))
        next(thread for thread in threads if thread.is_alive() or thread is threads[-1]).join(0.5)
    if failures:
        raise failures[0]


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
