"""Finds the local agent of this user and Python environment, and starts it when there is none.

It is spoken to through a Unix socket in a private folder: a port of loopback, once its agent has ended, may be that of
another user of the machine, who would be sent code, environment and token.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from hopx_magics import __version__

from ..errors import HopxError, LocalAgentError
from ..output.oneline import printable
from ..protocol.requests import AGENT_FILE, AgentFile
from ..settings import Settings
from .agent import Agent
from .transport import Endpoint, Transport

START_TIMEOUT = 20.0
"""Seconds that a starting agent may take, on a busy machine, until it answers."""

END_TIMEOUT = 5.0
"""Seconds that an agent of another version may take to end, until it is killed, by which nothing is lost either."""

STATE_TIMEOUT = 5.0
"""Seconds in which an agent of another version has to tell whether it has something to do."""

LONGEST_STATE = 1_000_000
"""Bytes of what it tells of that, at most."""

_NOT_FOR_THE_AGENT = (
    *("HOPX_AGENT_TOKEN", "HOPX_API_KEY", "HOPX_NOTIFY"),  # secrets
    "HOPX_PROCESS_ID",  # what a process of the agent is known by, in case a background cell is the one that starts it
    *("JPY_", "PYDEVD_"),  # the kernel's parent and its debugger
    *("CLICOLOR", "FORCE_COLOR", "MPLBACKEND"),  # how a kernel shows things
)
"""Beginnings of the names of variables that the agent, and so its processes, don't inherit from a kernel."""


class LocalAgent:
    """Where the local agent is; a `Locate` for a transport."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.agent_folder
        self._is_due: bool | None = None
        self.log = self._folder / "agent.log"
        """What its agents complain of, the last lines of it."""

    def __call__(self, http: "httpx.Client") -> Endpoint:
        """The endpoint of a local agent that answers. Raises LocalAgentError when none can be started."""
        return self.found()

    def found(self) -> Endpoint:
        """The endpoint of the agent that there is, or is started now. Raises LocalAgentError."""
        if sys.platform == "win32":
            raise LocalAgentError(
                "the local agent isn't available on Windows",
                hint="Use it inside WSL, or connect to an agent elsewhere: %hopx_connect URL",
            )
        found = self._find()
        if found is None:
            with self._one_starter():
                found = self._find() or self._start()
        return found

    def renew(self) -> bool:
        """Ends an agent of another version than the next one would be of, if it has nothing to do; whether it has.

        One that has something to do, or does not tell, stays for now.
        """
        if self._is_due is False:  # which was looked at when it was found
            return False
        found = self._find()
        if found is None or not self._is_due or not is_idle(found):
            return False
        with self._one_starter():
            left = self.left()
            return left is not None and left.version != _version_to_start() and self.end(left.pid, signal.SIGTERM)

    def of_another_version(self) -> str | None:
        """The version of the agent that was found last, if the next one would be of another."""
        left = self.left() if self._is_due else None
        return left.version if left else None

    def _find(self) -> Endpoint | None:
        """The agent that left its address, if it listens there."""
        left = self.left()
        if left is None or left.socket is None or not listens(left.socket):
            return None
        self._is_due = left.version != _version_to_start()
        return Endpoint(left.url, left.token, socket=left.socket, when_silent=self._when_silent(left.pid))

    def left(self) -> AgentFile | None:
        """The address of the last agent."""
        try:
            return msgspec.json.decode((self._folder / AGENT_FILE).read_bytes(), type=AgentFile)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _when_silent(self, pid: int) -> str:
        return f"Its pid is {pid}, its log {self.log}. It can be ended by kill -9 {pid}: what it runs goes on."

    @contextlib.contextmanager
    def _one_starter(self) -> Iterator[None]:
        """Keeps other kernels from starting an agent at the same time."""
        import fcntl  # not on Windows

        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self._folder / "start.lock").open("a")
        except OSError as error:
            raise LocalAgentError(
                f"the local agent's folder can't be written: {error}",
                hint="Set HOPX_STATE_DIR to a folder on this machine that you can write to.",
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _end_older(self) -> None:
        """Ends an agent of a version that has no socket in its folder; what it has launched goes on with the next."""
        left = self.left()
        if left is not None and left.socket is None:
            self.end(left.pid, signal.SIGTERM, signal.SIGKILL)

    def end(self, pid: int, *signals: signal.Signals) -> bool:
        """Ends the agent of this folder by one of these signals, and tells whether there is none any more.

        What it has launched goes on with the next one. A process that is no agent of this machine is left alone.
        """
        for number in signals:
            deadline = time.monotonic() + END_TIMEOUT
            if self.is_served() and _is_agent(pid):  # or the pid may be anybody's
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while self.is_served() and time.monotonic() < deadline:
                time.sleep(0.02)
        return not self.is_served()

    def is_served(self) -> bool:
        """Whether there is an agent of this folder, which holds its lock as long as it lives."""
        import fcntl  # not on Windows

        try:
            lock = (self._folder / "agent.lock").open("r+b")  # NFS locks what can be written alone
        except FileNotFoundError:
            return False
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _start(self) -> Endpoint:
        self._end_older()
        log = self.log
        pid = _spawn_detached([sys.executable, "-P", "-m", "hopx_magics.local_agent"], log)
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            alive = _is_alive(pid)
            found = self._find()
            if found is not None:
                return found
            if not alive:
                break
            time.sleep(0.02)
        if (left := self.left()) is not None and self.is_served():
            raise LocalAgentError("the local agent does not answer", hint=self._when_silent(left.pid))
        raise LocalAgentError(
            f"the local agent did not start: {_last_line(log)}",
            hint=f"Its log is {log}; it runs with {sys.executable}.",
        )


def _version_to_start() -> str:
    """The version of the package as it is on the disk now, where it may have been replaced under this program."""
    try:
        told = re.search(r'^__version__ = "(.+)"$', (Path(__file__).parents[1] / "__init__.py").read_text(), re.M)
    except OSError:
        return __version__
    return told[1] if told else __version__


def is_idle(endpoint: Endpoint) -> bool:
    """Whether an agent says that nothing runs there, or waits to."""
    transport = Transport(
        "local", lambda http: endpoint, timeout=STATE_TIMEOUT, retry_time=0.0, max_reply=LONGEST_STATE, is_here=True
    )
    try:
        state = Agent(transport).queue()
    except HopxError:
        return False
    finally:
        transport.close()
    return not (state.running or state.queued or state.foreground)


def _is_agent(pid: int) -> bool:
    """Whether that is an agent here, and not what another machine with this folder calls so."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        try:
            command = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], stdout=subprocess.PIPE).stdout
        except OSError:
            return False
    return b"hopx_magics.local_agent" in command


def listens(path: str) -> bool:
    """Whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _spawn_detached(command: list[str], log: Path) -> int:
    """Starts a program that belongs to no kernel and leaves no zombie, and returns its pid."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_THE_AGENT)}
    started = subprocess.run(
        ["/bin/sh", "-c", 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!', "sh", str(log), *command],
        cwd=log.parent,
        env=env,
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(started.stdout)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return printable(lines[-1]) if lines else "it left no message"
