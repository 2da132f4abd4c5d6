"""Where the agent of another machine is: behind an ssh that is begun when it is needed, and again when it has ended."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hopx_magics import __version__

from ..errors import SshError
from .local import is_idle
from .syncing import Copied, copy
from .transport import Endpoint
from .tunnel import Found, Tunnel, Way

if TYPE_CHECKING:
    import httpx

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
"""Seconds from a failure until ssh is begun again, at first and at most."""


class SshAgent:
    """Where the agent is to which `way` leads; a `Locate` for a transport, which asks from one thread at a time."""

    def __init__(self, way: Way, state_folder: Path) -> None:
        self.way = way
        self._state_folder = state_folder
        self._tunnel: Tunnel | None = None
        self._is_new = False
        self._is_closed = False
        self._known: Found | None = None
        self._failure: SshError | None = None
        self._pause = FIRST_PAUSE
        self._again_at = 0.0

    def __call__(self, http: "httpx.Client") -> Endpoint:
        """The agent, through an ssh that nobody has used yet. Raises SshError, for a while without trying again."""
        if self._tunnel is None or not self._is_new:
            if self._failure is not None and time.monotonic() < self._again_at:
                raise self._failure.with_traceback(None)
            try:
                self.find()
            except SshError as error:
                self._failure = error
                self._again_at = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                raise
        self._is_new = False
        return self._endpoint()

    def find(self) -> Found:
        """What the other side says of its agent, by an ssh that is begun now. Raises SshError."""
        if self._is_closed:
            raise SshError("the connection was given up", agent=self._label)
        self._end()
        tunnel = Tunnel(self.way, self._state_folder)
        if self._known is not None and self._known.folder != tunnel.found.folder:
            tunnel.close()
            raise SshError(
                f"another agent answers there now, in {tunnel.found.folder} and not in {self._known.folder}",
                agent=self._label,
                hint="Connect to it under another name, or make the former Python be found there, by --python.",
            )
        self._tunnel, self._is_new = tunnel, True
        self._known, self._failure, self._pause = tunnel.found, None, FIRST_PAUSE
        return tunnel.found

    @property
    def _label(self) -> str:
        return f"ssh to {self.way.address.host}"

    def _endpoint(self) -> Endpoint:
        assert self._tunnel is not None
        found, address = self._tunnel.found, self.way.address
        return Endpoint(
            found.url,
            found.token,
            socket=self._tunnel.socket,
            shown=address.url,
            when_silent=f"Is {address.host} there? Its agent has the pid {found.pid}; what it runs goes on.",
        )

    def renew(self) -> bool:
        """Gives up an ssh to an agent of another version that has nothing to do; whether it has.

        The next one lets that agent make way.
        """
        if self._tunnel is None or self._tunnel.found.version in (None, __version__) or not is_idle(self._endpoint()):
            return False
        self._is_new = False
        return True

    def copy(self, copied: Copied, say: Callable[[str], None]) -> None:
        """Copies files of this machine into the work folder there. Raises HopxError."""
        assert self._tunnel is not None
        found = self._tunnel.found
        copy(copied, self._tunnel.words, found.workdir, has_rsync=found.rsync, say=say)

    def close(self) -> None:
        """Ends ssh, for good; the agent goes on."""
        self._is_closed = True
        self._end()

    def let_go(self) -> None:
        """In a forked child: leaves ssh to the parent, and begins one of its own when that is needed."""
        self._end()

    def _end(self) -> None:
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.close()
