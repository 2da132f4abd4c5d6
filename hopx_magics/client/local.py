"""Finds the local agent of this user and Python environment, and starts it when there is none."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from ..errors import LocalAgentError
from ..output.oneline import printable
from ..protocol.requests import AGENT_FILE, HEALTH, AgentFile
from ..settings import Settings
from .transport import Endpoint

START_TIMEOUT = 20.0
"""Seconds that a starting agent may take, on a busy machine, until it answers."""

_NOT_FOR_THE_AGENT = (
    *("HOPX_AGENT_TOKEN", "HOPX_API_KEY"),  # secrets
    "HOPX_PROCESS_ID",  # what a process of the agent is known by, in case a background cell is the one that starts it
    *("JPY_", "PYDEVD_"),  # the kernel's parent and its debugger
    *("CLICOLOR", "FORCE_COLOR", "MPLBACKEND"),  # how a kernel shows things
)
"""Beginnings of the names of variables that the agent, and so its processes, don't inherit from a kernel."""


class LocalAgent:
    """Where the local agent is; a `Locate` for a transport."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.agent_folder
        self._log = self._folder / "agent.log"

    def __call__(self, http: httpx.Client) -> Endpoint:
        """The endpoint of a local agent that answers. Raises LocalAgentError when none can be started."""
        if sys.platform == "win32":
            raise LocalAgentError(
                "the local agent isn't available on Windows",
                hint="Use it inside WSL, or connect to an agent elsewhere: %hopx_connect URL",
            )
        found = self._find(http)
        if found is None:
            with self._one_starter():
                found = self._find(http) or self._start(http)
        return found

    def _find(self, http: httpx.Client) -> Endpoint | None:
        """The agent that left its address, if it is really there: the token goes to no one else."""
        try:
            left = msgspec.json.decode((self._folder / AGENT_FILE).read_bytes(), type=AgentFile)
            health = msgspec.json.decode(http.get(left.url + HEALTH, timeout=2.0).content)
        except (OSError, msgspec.MsgspecError, httpx.HTTPError, httpx.InvalidURL):
            return None
        if not isinstance(health, dict) or health.get("instance") != left.instance:
            return None
        return Endpoint(left.url, left.token, when_silent=self._when_silent(left.pid))

    def _when_silent(self, pid: int) -> str:
        return f"Its pid is {pid}, its log {self._log}. It can be ended by kill -9 {pid}: what it runs goes on."

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

    def _start(self, http: httpx.Client) -> Endpoint:
        log = self._log
        pid = _spawn_detached([sys.executable, "-P", "-m", "hopx_magics.local_agent"], log)
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            alive = _is_alive(pid)
            found = self._find(http)
            if found is not None:
                return found
            if not alive:
                break
            time.sleep(0.02)
        raise LocalAgentError(
            f"the local agent did not start: {_last_line(log)}",
            hint=f"Its log is {log}; it runs with {sys.executable}.",
        )


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
