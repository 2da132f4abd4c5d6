"""Asking for the end of processes, and verifying in a later listing that they are dead."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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


def kill(connection: "Connection", process_ids: Iterable[ProcessId]) -> list[Killed]:
    """Kills processes of one agent, and what ended ones have left running; says what a later listing shows of each.

    Raises AgentError when the agent can't be asked or has no way to kill, and WaitInterrupted after Ctrl-C.
    """
    wanted = list(dict.fromkeys(process_ids))
    before = connection.listing(tail=0)
    tries = (before.last_try(process_id) for process_id in wanted)
    ids = [(last and last.process_id) or process_id for process_id, last in zip(wanted, tries, strict=True)]
    alive = [id_ for id_ in ids if (process := before.find(id_)) and (process.leftovers or not process.ended)]
    pool = ThreadPoolExecutor(KILLS_AT_ONCE)
    try:
        accepted = list(pool.map(partial(_ask_for_end, connection.agent), alive))
        asked = {process_id for process_id, is_accepted in zip(alive, accepted, strict=True) if is_accepted}
        after = _listing_without(connection, asked)
    except KeyboardInterrupt:
        raise WaitInterrupted(
            f"Stopped waiting. Asked to end: {some(alive)}\n%hopx_ps shows whether they have."
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not wait for those that take their grace time
    connection.waited(wanted)
    return [_killed(process_id, before, after, process_id in asked) for process_id in ids]


def _ask_for_end(agent: Agent, process_id: ProcessId) -> bool:
    """Whether the agent accepted that, or may have accepted it before its answer was lost."""
    try:
        return agent.kill(process_id)
    except AgentUnreachable as error:
        if error.sent:
            return True  # the listing will tell
        raise


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
    return process.status in ("queued", "running") or bool(process.leftovers)


def _killed(process_id: ProcessId, before: Listing, after: Listing, asked: bool) -> Killed:
    """What became of a process that was `asked` to end, by the listings before and after."""
    old, new = before.find(process_id), after.find(process_id)
    result: KillResult
    if new is None:  # an agent that accepted that, and forgets what it has killed
        result = "killed" if asked else "unknown id"
        return Killed(process_id=process_id, name=old.name if old else None, result=result, status="unknown")
    gone = len({*old.leftovers} - {*new.leftovers}) if old else 0
    if _is_alive(new):
        result = "still running"
    elif asked and old and old.ended:
        result = "leftovers killed"
    elif asked and new.status in ("killed", "unknown"):
        result = "killed"
    else:
        result = "already finished"
    return Killed(process_id=process_id, name=new.name, result=result, status=new.status, leftovers=gone)
