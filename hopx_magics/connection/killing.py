"""Asking for the end of processes, and verifying in a later listing that they are dead."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..client.agent import Agent
from ..errors import AgentUnreachable, WaitInterrupted
from ..models import Killed, Listing, Process, ProcessId
from ..words import KillResult
from .waiting import some

if TYPE_CHECKING:
    from .connection import Connection

KILL_SEEN_WITHIN = 10.0
"""Seconds within which a listing should show that a killed process is dead: more than an agent's grace time."""

KILLS_AT_ONCE = 8
"""An agent may answer only when the process is dead, and each may use up its grace time."""


def kill(connection: "Connection", process_ids: list[ProcessId]) -> list[Killed]:
    """Kills processes of one agent, and says what a later listing shows of each: see `Connection.kill`."""
    before = connection.listing(tail=0)
    alive = [id_ for id_ in process_ids if (process := before.find(id_)) and not process.ended]
    try:
        asked = _ask_for_ends(connection.agent, alive)
        after = _listing_without(connection, asked)
    except KeyboardInterrupt:
        raise WaitInterrupted(
            f"Stopped waiting. Asked to end: {some(alive)}\n%hopx_ps shows whether they have."
        ) from None
    return [_killed(process_id, before, after, process_id in asked) for process_id in process_ids]


def _ask_for_ends(agent: Agent, process_ids: list[ProcessId]) -> set[ProcessId]:
    """Those of the processes whose end the agent accepted, or may have accepted before its answer was lost."""

    def ask(process_id: ProcessId) -> bool:
        try:
            return agent.kill(process_id)
        except AgentUnreachable as error:
            if error.sent:
                return True  # the listing will tell
            raise

    pool = ThreadPoolExecutor(KILLS_AT_ONCE)
    try:
        answers = list(pool.map(ask, process_ids))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not wait for those that take their grace time
    return {process_id for process_id, accepted in zip(process_ids, answers, strict=True) if accepted}


def _listing_without(connection: "Connection", process_ids: set[ProcessId]) -> Listing:
    """The first listing in which none of these processes is alive, or the last one before patience ends."""
    deadline = time.monotonic() + KILL_SEEN_WITHIN
    pause = 0.05
    while True:
        listing = connection.listing(tail=0)
        alive = any(_is_alive(process) for process in listing.processes if process.process_id in process_ids)
        if not alive or time.monotonic() > deadline:
            return listing
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def _is_alive(process: Process) -> bool:
    return process.status in ("queued", "running")


def _killed(process_id: ProcessId, before: Listing, after: Listing, asked: bool) -> Killed:
    """What became of a process that was `asked` to end, by the listings before and after."""
    old, new = before.find(process_id), after.find(process_id)
    if new is None:
        return Killed(process_id=process_id, name=old.name if old else None, result="unknown id", status="unknown")
    if _is_alive(new):
        result: KillResult = "still running"
    elif asked and new.status in ("killed", "unknown"):
        result = "killed"
    else:
        result = "already finished"
    return Killed(process_id=process_id, name=new.name, result=result, status=new.status)
