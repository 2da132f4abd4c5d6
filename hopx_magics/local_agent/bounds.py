"""Reads what running processes print, where a metric may meet a bound: then they are stopped, or somebody is told.

Only those are read that asked for it, each byte once, and of very much at once only the end. What an agent before this
one has read is read again: had it met a bound, the process would have been stopped, or that is on record.
"""

import asyncio

from ..output.bounds import Met, Watch
from ..output.conditions import Bound, parse_bound
from ..words import STREAMS
from .active import Active
from .killing import Killing
from .new_lines import NewLines
from .processes import Processes
from .store import STOPPED

LOOK_EVERY = 0.5
"""Seconds between two looks at what running processes have printed."""


class _Stream:
    """One stream of a process, as far as it was read."""

    def __init__(self, path: str, bounds: list[Bound]) -> None:
        self._lines = NewLines(path)
        self._watch = Watch(bounds)

    def read(self) -> list[Met]:
        """What the lines meet that are new and whole."""
        text = self._lines.read()
        return list(self._watch.take(text)) if text else []


class _Reading:
    """The output of one process."""

    def __init__(self, active: Active) -> None:
        texts = dict.fromkeys((*active.launched.stop_when, *_told(active)))
        bounds = [parse_bound(text) for text in texts]
        self._streams = [_Stream(active.folder.output(stream), bounds) for stream in STREAMS]

    def read(self) -> list[Met]:
        """The bounds that are met by what is new."""
        return [met for stream in self._streams for met in stream.read()]


class Bounds:
    """The bounds of running processes. Everything here but reading runs on the event loop's thread."""

    def __init__(self, processes: Processes, killing: Killing) -> None:
        self._processes = processes
        self._killing = killing
        self._readings: dict[str, _Reading] = {}

    async def watch(self) -> None:
        """Looks at what running processes print, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            running = self._processes.running.values()
            watched = [active for active in running if active.launched.stop_when or _told(active)]
            self._readings = {active.process_id: self._reading(active) for active in watched}
            for active in watched:
                await self._look(active)

    def _reading(self, active: Active) -> _Reading:
        return self._readings.get(active.process_id) or _Reading(active)

    async def _look(self, active: Active) -> None:
        reading = self._readings[active.process_id]
        for met in await asyncio.to_thread(reading.read):
            if met.bound.text in _told(active):
                self._processes.notices.meet(active, met)
            if met.bound.text in active.launched.stop_when and active.stop is None:
                number = active.launched.stop_when.index(met.bound.text)
                self._killing.stop(active, f"{STOPPED} {number} {met.value:g}")


def _told(active: Active) -> tuple[str, ...]:
    return active.launched.told.bounds if active.launched.told else ()
