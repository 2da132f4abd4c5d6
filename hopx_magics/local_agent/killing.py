"""Ends processes and all that they started, on request or because their time is over, and sees that they are dead."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ..words import KillResult
from .active import Active, spawned
from .answers import Refused
from .family import Family, see_all
from .journal import Ended
from .processes import Processes
from .store import KILLED, OVER_MEMORY

FORCED_END = 10.0
"""Seconds after which a process that was sent SIGKILL counts as one that can't be ended."""

_STRAGGLER_POLL = 0.02
_RECORD_POLL = 0.002

_T = TypeVar("_T")


class Killing:
    """Ends processes. Everything here runs on the event loop's thread."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._look_for_orphans = Shared(processes.leftovers.look)
        self._see_all = Shared(lambda: asyncio.to_thread(see_all))

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

    async def kill_many(self, process_ids: Sequence[str]) -> dict[str, KillResult]:
        """Ends processes as `kill` does, and tells what became of each. What is queued is withdrawn first of all."""
        going = map(self._processes.all.get, dict.fromkeys(process_ids))
        queued = [active for active in going if isinstance(active, Active) and active.begun is None]
        self._withdraw(*queued)
        killed: dict[str, KillResult] = {active.process_id: "killed" for active in queued}
        others = [process_id for process_id in dict.fromkeys(process_ids) if process_id not in killed]
        return killed | dict(zip(others, await asyncio.gather(*map(self._killed, others)), strict=True))

    async def _killed(self, process_id: str) -> KillResult:
        was_over = isinstance(self._processes.all.get(process_id), Ended)
        try:
            await self.kill(process_id)
        except Refused as refused:
            if refused.status == 500:
                return "still running"
            return "already finished" if process_id in self._processes.all else "unknown id"
        return "leftovers killed" if was_over else "killed"

    async def _end_leftovers(self, ended: Ended) -> str:
        family = self._processes.leftovers.family(ended.process_id)
        count = len(await asyncio.to_thread(family.look)) if family is not None else 0
        if family is None or not count:
            raise _has_ended(ended)
        await self.end_family(family)
        self._processes.leftovers.update(family)
        return f"{count - len(family.known)} of {count} processes killed that it had left running"

    def _withdraw(self, *queued: Active) -> None:
        for active in queued:  # all of them before one ends, or another one might start then
            self._processes.queue.remove(active)
        for active in queued:
            with contextlib.suppress(OSError):
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
        await self._look_for_orphans()  # or an orphan that has just come would be overlooked
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
            await asyncio.to_thread(family.signal, signal.SIGTERM, *await self._see_all())
            await asyncio.to_thread(family.signal, signal.SIGCONT, *await self._see_all())  # or who is stopped is deaf
            if await self._is_gone(family, ended, self._processes.settings.kill_grace):
                return True
        return await self._is_gone(family, ended, FORCED_END, by=signal.SIGKILL)

    async def _is_gone(
        self, family: Family, ended: asyncio.Event, patience: float, *, by: signal.Signals | None = None
    ) -> bool:
        """Whether a process and all of its family end within `patience` seconds, in which they get the signal `by`."""
        deadline = time.monotonic() + patience
        while True:
            if by is not None:
                await asyncio.to_thread(family.signal, by, *await self._see_all())
            await _comes(ended, _STRAGGLER_POLL if by else patience)
            if ended.is_set() and not family.look(*await self._see_all()):
                return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_STRAGGLER_POLL)


class Shared(Generic[_T]):
    """Work that is done once for all who ask for it at the same time. None of them gets what began before it asked."""

    def __init__(self, work: Callable[[], Awaitable[_T]]) -> None:
        self._work = work
        self._next: asyncio.Task[_T] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> _T:
        """What the work returns, which begins from now on."""
        if self._next is None:
            self._next = asyncio.create_task(self._do())
        return await asyncio.shield(self._next)

    async def _do(self) -> _T:
        async with self._one_at_a_time:
            self._next = None
            return await self._work()


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


async def _comes(event: asyncio.Event, patience: float) -> bool:
    """Whether something happens within `patience` seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), patience)
    return event.is_set()
