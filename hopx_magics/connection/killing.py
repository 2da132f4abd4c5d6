"""Asking for the end of processes, and verifying in a later listing that they are dead."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from ..client.agent import Agent
from ..errors import AgentUnreachable, WaitInterrupted
from ..models import Killed, Listing, Process, ProcessId
from ..protocol.requests import MANY
from ..words import KillResult
from .waiting import some

if TYPE_CHECKING:
    from .connection import Connection

KILL_SEEN_WITHIN = 10.0
"""Seconds within which a listing should show that a killed process is dead: more than an agent's grace time."""

REQUESTS_AT_ONCE = 8
"""An agent may answer only when the process is dead, and each may use up its grace time."""

KILLED_AT_ONCE = 100
"""Processes that are killed with one request, at most, where the agent can do that."""

Progress = Callable[[int, int], None]
"""Called with how many were asked to end, and of how many."""


def kill(
    connection: "Connection", process_ids: Iterable[ProcessId], progress: Progress = lambda asked, total: None
) -> list[Killed]:
    """Kills processes of one agent, and what ended ones have left running; says what a later listing shows of each.

    What is queued is taken back first, so that nothing is started to be killed.

    Raises AgentError when the agent can't be asked or has no way to kill, and WaitInterrupted after Ctrl-C.
    """
    wanted = list(dict.fromkeys(process_ids))
    before = connection.listing(tail=0)
    tries = (before.last_try(process_id) for process_id in wanted)
    ids = [(last and last.process_id) or process_id for process_id, last in zip(wanted, tries, strict=True)]
    found = [process for id_ in ids if (process := before.find(id_)) and (process.leftovers or not process.ended)]
    queued = [process for process in found if process.status == "queued"]
    others = [process for process in found if process.status != "queued"]
    asked: set[ProcessId] = set()
    pool = ThreadPoolExecutor(REQUESTS_AT_ONCE)
    try:
        for some_of_them in (queued, others):
            for ended in pool.map(partial(_ask_for_end, connection.agent), _portions(connection.agent, some_of_them)):
                asked |= ended
                progress(len(asked), len(found))
        after = _listing_without(connection, asked)
    except KeyboardInterrupt:
        alive = some([process.process_id for process in found if process.process_id])
        raise WaitInterrupted(f"Stopped waiting. Asked to end: {alive}\n%hopx_ps shows whether they have.") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not wait for those that take their grace time
    connection.waited(wanted)
    return [_killed(process_id, before, after, process_id in asked) for process_id in ids]


def _portions(agent: Agent, processes: list[Process]) -> list[list[ProcessId]]:
    """The ids of those that one request asks to end."""
    process_ids = [process.process_id for process in processes if process.process_id]
    size = KILLED_AT_ONCE if len(process_ids) > 1 and MANY in agent.features() else 1
    return [process_ids[first : first + size] for first in range(0, len(process_ids), size)]


def _ask_for_end(agent: Agent, process_ids: list[ProcessId]) -> set[ProcessId]:
    """Those for which the agent accepted that, or may have accepted it before its answer was lost."""
    try:
        return agent.kill_many(process_ids) if len(process_ids) > 1 else {id_ for id_ in process_ids if agent.kill(id_)}
    except AgentUnreachable as error:
        if error.sent:
            return set(process_ids)  # the listing will tell
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
    return process.goes_on or bool(process.leftovers)


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
