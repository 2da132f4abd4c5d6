"""Pauses processes and lets them go on. What is paused keeps standing still when the agent dies, and is listed so."""

import asyncio
import signal

from ..words import PauseResult
from .active import Active
from .journal import Ended
from .killing import family_of
from .launching import Launching
from .processes import Processes


class Pausing:
    """Pauses and resumes processes. Everything here runs on the event loop's thread.

    What is paused while it is queued stays there. What runs is stopped with all that it started: that is on record
    before it is done, and undone before that is on record, so that no agent forgets whom it has to let go on.
    """

    def __init__(self, processes: Processes, launching: Launching) -> None:
        self._processes = processes
        self._launching = launching

    async def pause(self, process_id: str) -> PauseResult:
        """Pauses a process, and tells what has become of it. Raises OSError when that can't be put on record."""
        active = self._processes.all.get(process_id)
        if not isinstance(active, Active) or active.stop is not None:
            return "unknown id" if active is None else "already finished"
        async with active.turning:
            if active.is_paused:
                return "already paused"
            if active.begun is None:
                self._turn_in_queue(active, pause=True)
            else:
                active.pause()
                await self._hold(active)
        self._processes.changes.tell(process_id)
        return "already finished" if active.ended.is_set() else "paused"

    async def resume(self, process_id: str) -> PauseResult:
        """Lets a process go on, and tells what has become of it. Raises OSError when that can't be put on record."""
        active = self._processes.all.get(process_id)
        if not isinstance(active, Active):
            return "already finished" if isinstance(active, Ended) else "unknown id"
        async with active.turning:
            if not active.is_paused:
                return "not paused"
            if active.begun is None:
                self._turn_in_queue(active, pause=False)
            else:
                await self._let_go(active)
                active.unpause()
        self._processes.changes.tell(process_id)
        return "resumed"

    def _turn_in_queue(self, active: Active, *, pause: bool) -> None:
        self._processes.queue.remove(active)
        try:
            (active.pause if pause else active.unpause)()
        finally:
            self._processes.queue.add(active)
        self._launching.start_queued()

    async def go_on(self, active: Active) -> None:
        """Goes on with what an earlier agent has paused, which may have died between the record and the deed."""
        async with active.turning:
            if active.is_paused:
                await self._hold(active)

    async def _hold(self, active: Active) -> None:
        family = await family_of(active)
        if family is not None:
            await self._processes.leftovers.look()  # or an orphan that has just come would go on
            await asyncio.to_thread(family.stop)
        if active.stop is not None:
            await self._let_go(active)

    async def _let_go(self, active: Active) -> None:
        if active.family is not None:
            await asyncio.to_thread(active.family.signal, signal.SIGCONT)
