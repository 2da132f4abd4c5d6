"""Ends processes and all that they started, on request or because their time is over, and sees that they are dead."""

import asyncio
import contextlib
import signal
import time

from .active import Active, spawned
from .answers import Refused
from .groups import has_members, has_strays, signal_group, signal_strays
from .journal import Ended
from .processes import Processes
from .store import KILLED

FORCED_END = 10.0
"""Seconds after which a process that was sent SIGKILL counts as one that can't be ended."""

_STRAGGLER_POLL = 0.02
_RECORD_POLL = 0.002


class Killing:
    """Ends processes. Everything here runs on the event loop's thread."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def kill(self, process_id: str) -> None:
        """Ends a process and all of its process group, and returns when they are dead.

        Raises Refused for an unknown id, for a process that ended otherwise, and for one that did not end.
        """
        active = self._processes.find(process_id)
        if isinstance(active, Ended):
            raise _has_ended(active)
        if active.begun is None:
            self._withdraw(active)
            return
        stop = self.stop(active, KILLED)
        await asyncio.wait((stop,))
        if not stop.result() or not await _comes(active.finished, FORCED_END):  # also where its folder was taken away
            raise Refused(500, "EXECUTION_FAILED", f"process {process_id} did not end, not even by force")
        ended = self._processes.all.get(process_id)
        if isinstance(ended, Ended) and ended.status != KILLED:
            raise _has_ended(ended)

    def _withdraw(self, active: Active) -> None:
        self._processes.queue.remove(active)
        active.folder.write_intent(KILLED)
        active.folder.drop_env()
        self._processes.finish(active)

    def stop(self, active: Active, intent: str) -> "asyncio.Task[bool]":
        """The one task that ends a process, however many want its end. It tells whether the process could be ended."""
        if active.stop is None:
            active.stop = spawned(self._end(active, intent))
        return active.stop

    async def _end(self, active: Active, intent: str) -> bool:
        group = await _group(active)
        if group is None or not active.folder.is_alive():
            return True
        active.folder.write_intent(intent)
        if not active.folder.is_alive():
            return True
        grace = self._processes.settings.kill_grace
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, FORCED_END)):
            signal_group(group, number)
            await asyncio.to_thread(signal_strays, active.process_id, number)
            if await _is_gone(active, group, patience):
                return True
        active.stop = None
        return False


def _has_ended(ended: Ended) -> Refused:
    code = ended.facts().exit_code
    how = ended.status if code is None else f"{ended.status}, exit code {code}"
    message = f"process {ended.process_id} has already ended: {how}"
    return Refused(404, "RESOURCE_NOT_FOUND", message, {"process_id": ended.process_id})


async def _group(active: Active) -> int | None:
    """The process group, once there is somebody in it who can be told to end."""
    while not active.ended.is_set():
        start = active.read_start()
        if start is not None:
            return start.group
        await asyncio.sleep(_RECORD_POLL)
    return None


async def _is_gone(active: Active, group: int, patience: float) -> bool:
    """Whether the process and all of its group end within `patience` seconds."""
    deadline = time.monotonic() + patience
    await _comes(active.ended, patience)
    while not active.ended.is_set() or await asyncio.to_thread(_anyone_left, active, group):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_STRAGGLER_POLL)
    return True


async def _comes(event: asyncio.Event, patience: float) -> bool:
    """Whether something happens within `patience` seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), patience)
    return event.is_set()


def _anyone_left(active: Active, group: int) -> bool:
    return has_members(group) or has_strays(active.process_id)
