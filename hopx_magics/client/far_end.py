"""What runs on the other machine as long as a connection by ssh lives: it finds the agent there, and waits for its end.

It ends when ssh does, and when the agent does: so whoever is at the near end learns of both by the end of ssh.
"""

import contextlib
import os
import select
import shutil
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..errors import HopxError
from ..protocol.files import WORK
from ..settings import read_settings
from .local import LocalAgent

BREATH = 60.0
"""Seconds after which something is written, by which a connection that has become none is found out."""

LOOK_EVERY = 0.25
"""Seconds between two looks for an agent where its end can't be waited for."""


def serve(say: Callable[..., None], name: str) -> None:
    """Finds or starts this machine's agent, says where it is, and returns when ssh or the agent has ended."""
    for variable in [variable for variable in os.environ if variable.startswith("SSH_")]:
        del os.environ[variable]  # which speak of this connection, and the agent outlives it
    try:
        settings = read_settings()
        workdir = Path(WORK).expanduser() / name
        workdir.mkdir(parents=True, exist_ok=True)
        agent = LocalAgent(settings)
        agent.renew()
        found, left = agent.found(), agent.left()
    except (HopxError, ValueError, OSError) as error:
        say(error=getattr(error, "message", str(error)), hint=getattr(error, "hint", None))
        return
    pid, has_rsync = left.pid if left else 0, shutil.which("rsync") is not None
    version = left.version if left else None
    where = {"folder": str(settings.agent_folder), "workdir": str(workdir)}
    say(url=found.url, token=found.token, socket=found.socket, pid=pid, version=version, rsync=has_rsync, **where)
    for wait in (_until_nobody_listens, partial(_until_ended, pid), _breathe):
        threading.Thread(target=_then_leave, args=(wait,), daemon=True).start()
    threading.Event().wait()


def _then_leave(wait: Callable[[], None]) -> None:
    wait()
    os._exit(0)


def _until_nobody_listens() -> None:
    while os.read(0, 4096):
        pass


def _until_ended(pid: int) -> None:
    """Waits for the end of a process that is no child of this one."""
    if hasattr(os, "pidfd_open"):  # Linux
        with contextlib.suppress(ProcessLookupError):
            select.select([os.pidfd_open(pid)], [], [])
        return
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(LOOK_EVERY)


def _breathe() -> None:
    try:
        while True:
            time.sleep(BREATH)
            sys.stdout.write("\n")
            sys.stdout.flush()
    except OSError:
        return
