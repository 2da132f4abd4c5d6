"""Ends processes and all that they started, on request or because their time is over, and sees that they are dead."""

import asyncio
import contextlib
import signal
import time

from .active import Active, spawned
from .answers import Refused
from .family import Family
from .journal import Ended
from .processes import Processes
from .store import KILLED, OVER_MEMORY

FORCED_END = 10.0
"""Seconds after which a process that was sent SIGKILL counts as one that can't be ended."""

_STRAGGLER_POLL = 0.02
_RECORD_POLL = 0.002


class Killing:
    """Ends processes. Everything here runs on the event loop's thread."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def kill(self, process_id: str) -> str:
        """Ends a process with all that it started, or what it has left behind, and returns what was done, in words.

        Raises Refused for an unknown id, for a process that ended otherwise and left nothing, and for one that did not
        end.
        """
        active = self._processes.find(process_id)
        if isinstance(active, Ended):
            return await self._end_leftovers(active)
        if active.begun is None:
            self._withdraw(active)
            return "Process killed"
        stop = self.stop(active, KILLED)
        await asyncio.wait((stop,))
        has_ended = stop.result() or active.ended.is_set()
        if not has_ended or not await _comes(active.finished, FORCED_END):  # also where its folder was taken away
            raise Refused(500, "EXECUTION_FAILED", f"process {process_id} did not end, not even by force")
        ended = self._processes.all.get(process_id)
        if isinstance(ended, Ended) and ended.status != KILLED:
            raise _has_ended(ended)
        return "Process killed"

    async def _end_leftovers(self, ended: Ended) -> str:
        family = self._processes.leftovers.family(ended.process_id)
        count = len(await asyncio.to_thread(family.look)) if family is not None else 0
        if family is None or not count:
            raise _has_ended(ended)
        await self.end_family(family)
        self._processes.leftovers.update(family)
        return f"{count - len(family.known)} of {count} processes killed that it had left running"

    def _withdraw(self, active: Active) -> None:
        self._processes.queue.remove(active)
        active.folder.write_intent(KILLED)
        active.folder.drop_env()
        self._processes.finish(active, ())

    def stop(self, active: Active, intent: str) -> "asyncio.Task[bool]":
        """The one task that ends a process, however many want its end. It tells whether the process could be ended."""
        if active.stop is None:
            active.stop = spawned(self._end(active, intent))
        return active.stop

    async def _end(self, active: Active, intent: str) -> bool:
        family = await family_of(active)
        if family is None or not active.folder.is_alive():
            return True
        active.folder.write_intent(intent)
        if not active.folder.is_alive():
            return True
        await self._processes.leftovers.look()  # or an orphan that has just come would be overlooked
        if await self.end_family(family, active.ended, by_force=intent.startswith(OVER_MEMORY)):
            return True
        active.stop = None
        return False

    async def end_family(self, family: Family, ended: asyncio.Event | None = None, *, by_force: bool = False) -> bool:
        """Asks all processes of a run to end, and forces them to after a while. Whether all of them could be ended.

        With `by_force` they aren't asked.
        """
        if ended is None:
            ended = asyncio.Event()
            ended.set()
        if not by_force:
            await asyncio.to_thread(family.signal, signal.SIGTERM)
            await asyncio.to_thread(family.signal, signal.SIGCONT)  # who is stopped hears of it only then
            if await _is_gone(family, ended, self._processes.settings.kill_grace):
                return True
        return await _is_gone(family, ended, FORCED_END, by=signal.SIGKILL)


def _has_ended(ended: Ended) -> Refused:
    code = ended.facts().exit_code
    how = ended.status if code is None else f"{ended.status}, exit code {code}"
    message = f"process {ended.process_id} has already ended: {how}"
    return Refused(404, "RESOURCE_NOT_FOUND", message, {"process_id": ended.process_id})


async def family_of(active: Active) -> Family | None:
    """Its processes, once there is somebody who can be told to end."""
    while not active.ended.is_set():
        if active.family is not None:
            return active.family
        await asyncio.sleep(_RECORD_POLL)
    return None


async def _is_gone(family: Family, ended: asyncio.Event, patience: float, *, by: signal.Signals | None = None) -> bool:
    """Whether a process and all of its family end within `patience` seconds, in which they get the signal `by`."""
    deadline = time.monotonic() + patience
    while True:
        if by is not None:
            await asyncio.to_thread(family.signal, by)
        await _comes(ended, _STRAGGLER_POLL if by else patience)
        if ended.is_set() and not await asyncio.to_thread(family.look):
            return True
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_STRAGGLER_POLL)


async def _comes(event: asyncio.Event, patience: float) -> bool:
    """Whether something happens within `patience` seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), patience)
    return event.is_set()
