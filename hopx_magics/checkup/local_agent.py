"""The local agent: its folder, whether it lives and answers there, what it complained of, and what it can hand out."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from hopx_magics import __version__

from ..client.local import LocalAgent, listens
from ..connection.connection import Connection
from ..durations import format_duration
from ..errors import HopxError
from ..findings import Finding, attention, broken, ok
from ..output.oneline import printable
from ..protocol.requests import AgentFile
from ..settings import Settings, is_private
from .agents import look_at_agent
from .machine import is_stopped, look_at_folder, look_at_memory

RECENT = 3600.0
"""Seconds for which an error in the log needs attention."""

LOG_END = 65_536
"""Bytes of the log's end in which errors are looked for."""

_LOGGED = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ (\w+) (.*)")
_RAISED = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*")


def look_at_local_agent(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """The agent of this machine and its folder. None is started for it."""
    if sys.platform == "win32":
        yield ok("answers", "there is none on Windows: use it inside WSL, or connect to an agent elsewhere")
        return
    agent, folder = LocalAgent(settings), settings.agent_folder
    left, is_served = agent.left(), agent.is_served()
    if not is_served:
        yield _none(agent, left)
    elif left is None or left.socket is None or not listens(left.socket):
        means = "It is starting, or ending, or nobody can reach it any more."
        yield attention("answers", "it is there, and does not listen", means, "Look again in some seconds.")
    else:
        yield from _living(agent, left, connection)
    yield from _log(agent.log)
    yield from look_at_folder("disk", folder, variable="HOPX_STATE_DIR")
    if folder.exists() and not is_private(folder):
        means = "Its socket is elsewhere then, since others could put something into the folder."
        yield attention("folder", f"others may enter {folder}", means, f"chmod 700 {folder}")
    yield from look_at_memory()
    yield from _gpus(settings)


def _none(agent: LocalAgent, left: AgentFile | None) -> Finding:
    if left is None:
        return ok("answers", "there is none: it is started when it is needed")
    means = "What it had launched goes on; what was queued waits until there is an agent again."
    found = f"it was killed: the pid {left.pid} that it told is not there, or is no agent"
    advice = "The next magic starts another one, and so does %hopx_doctor --fix."
    return attention("answers", found, means, advice, partial(_start, agent))


def _start(agent: LocalAgent) -> str:
    agent.found()
    left = agent.left()
    return f"started a local agent, pid {left.pid if left else 'unknown'}"


def _living(agent: LocalAgent, left: AgentFile, connection: Connection) -> Iterator[Finding]:
    findings = look_at_agent(connection)
    first = next(findings)
    if first.state == "broken":
        yield _hanging(agent, left, first)
        return
    yield first
    if left.version == __version__:
        yield from findings
        return
    yield from (finding for finding in findings if finding.check != "version")
    yield _of_another_version(agent, left, idle=_is_idle(connection))


def _is_idle(connection: Connection) -> bool:
    """Whether nothing runs there, or waits to."""
    try:
        queue = connection.agent.queue()
    except HopxError:
        return False
    return not (queue.running or queue.queued)


def _hanging(agent: LocalAgent, left: AgentFile, first: Finding) -> Finding:
    how = "it is stopped (SIGSTOP, or a debugger)" if is_stopped(left.pid) else first.found
    advice = "%hopx_doctor --fix ends it and starts another one, which takes over what runs."
    return broken(
        "answers", f"pid {left.pid}: {how}", first.means or "", advice, remedy=partial(_replace, agent, left.pid)
    )


def _replace(agent: LocalAgent, pid: int) -> str:
    _end(agent, pid, signal.SIGTERM, signal.SIGKILL)
    return f"ended the local agent with the pid {pid}; {_start(agent)}"


def _end(agent: LocalAgent, pid: int, *signals: signal.Signals) -> None:
    if not agent.end(pid, *signals):
        raise HopxError(f"the local agent with the pid {pid} could not be ended: is it on another machine?")


def _of_another_version(agent: LocalAgent, left: AgentFile, *, idle: bool) -> Finding:
    found = f"{printable(left.version, 30)}, pid {left.pid}; here is {__version__}"
    means = "It works, but may lack what is new."
    if not idle:
        return attention("version", found, means, "It can be replaced when nothing runs: %hopx_doctor --fix.")
    advice = "%hopx_doctor --fix ends it; the next magic starts one of this version."
    return attention("version", found, means, advice, partial(_end_idle, agent, left))


def _end_idle(agent: LocalAgent, left: AgentFile) -> str:
    _end(agent, left.pid, signal.SIGTERM)
    return f"ended the idle local agent of version {printable(left.version, 30)}"


# ---------------------------------------------------------------- its log


def _log(log: Path) -> Iterator[Finding]:
    try:
        with log.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - LOG_END))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return
    text, at = _last_error(lines)
    if text is None:
        yield ok("log", f"no error at its end: {log}")
        return
    age = None if at is None else time.time() - at.timestamp()
    told = f"{printable(text)}{f' ({format_duration(age)} ago)' if age is not None and age > 0 else ''}"
    if age is None or age > RECENT:
        yield ok("log", f"the last error: {told}")
    else:
        yield attention("log", told, "The agent has met something that it did not expect.", f"Its log is {log}.")


def _last_error(lines: list[str]) -> tuple[str | None, datetime | None]:
    """The last error that is told of, and when; a traceback by its last line."""
    found, at, moment = None, None, None
    for line in lines:
        logged = _LOGGED.fullmatch(line)
        if logged:
            moment = datetime.fromisoformat(logged[1])
        if (logged and logged[2] in ("ERROR", "CRITICAL")) or (not logged and _RAISED.fullmatch(line)):
            found, at = logged[3] if logged else line, moment
    return found, at


# ---------------------------------------------------------------- GPUs


def _gpus(settings: Settings) -> Iterator[Finding]:
    there = sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    allowed = "" if settings.gpus is None else f", of which {settings.gpus or 'none'} may be handed out"
    if not there:
        yield ok("GPUs", "none is seen")
    elif settings.gpus is None and not _driver_can_be_asked():
        means = "--gpus has none to hand out, and runs that ask for some wait."
        advice = "pip install 'hopx_magics[gpu]', or name them: HOPX_GPUS=0,1."
        yield attention("GPUs", f"{len(there)} seen, and the driver can't be asked", means, advice)
    else:
        yield ok("GPUs", f"{len(there)} seen: {', '.join(there)}{allowed}")


def _driver_can_be_asked() -> bool:
    from importlib.util import find_spec

    return find_spec("pynvml") is not None
