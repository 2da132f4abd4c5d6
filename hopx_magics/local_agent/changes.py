"""Remembers what changed last, and tells those who wait that something did."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import takewhile

from ..words import STREAMS
from . import outputs
from .active import Active

REMEMBERED = 10_000
"""Processes whose last change is remembered. Whoever knows less than that is told everything anew."""


class Log:
    """When each process changed last, in versions that count up. Those that changed longest ago drop out."""

    def __init__(self) -> None:
        self.version = 0
        self._last: OrderedDict[str, int] = OrderedDict()
        self._begin = 0

    def note(self, *process_ids: str) -> None:
        """These have changed, which makes a new version."""
        self.version += 1
        for process_id in process_ids:
            self._last[process_id] = self.version
            self._last.move_to_end(process_id)
        while len(self._last) > REMEMBERED:
            _, self._begin = self._last.popitem(last=False)

    def since(self, version: int) -> list[str] | None:
        """Those that changed after that version; None when that is no longer known, or never was a version."""
        if not self._begin <= version <= self.version:
            return None
        return list(takewhile(lambda process_id: self._last[process_id] > version, reversed(self._last)))


class Changes(Log):
    """The changes in the lives of processes, which can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._next = asyncio.Event()

    def tell(self, *process_ids: str) -> None:
        """These were launched, went on to their next status, or were forgotten: everyone who waits wakes up."""
        self.note(*process_ids)
        told, self._next = self._next, asyncio.Event()
        told.set()

    async def wait(self, seconds: float) -> None:
        """Returns at the next change, or after that time."""
        try:
            await asyncio.wait_for(self._next.wait(), seconds)
        except TimeoutError:
            return


class Growth(Log):
    """How running processes grow, by sizes of theirs, in the steps in which somebody looks.

    Nothing is kept of who looked: a process has grown when its sizes are other ones than at the last look of anyone.
    """

    def __init__(self, sizes_of: Callable[[Active], tuple[int, ...]]) -> None:
        super().__init__()
        self._sizes_of = sizes_of
        self._sizes: dict[str, tuple[int, ...]] = {}

    def look(self, running: Mapping[str, Active]) -> None:
        """Takes note of those that have grown. One that is looked at for the first time has not."""
        sizes = {id_: self._sizes_of(active) for id_, active in running.items()}
        grown = [id_ for id_, size in sizes.items() if self._sizes.get(id_, size) != size]
        self._sizes = sizes
        if grown:
            self.note(*grown)


def usage_of(active: Active) -> tuple[int, ...]:
    """How often it was worth telling what a process takes of the machine."""
    return (active.meter.version,)


def output_and_usage_of(active: Active) -> tuple[int, ...]:
    """How much a process has written, and what it takes of the machine."""
    return *(outputs.size_of(active.folder.output(stream)) for stream in STREAMS), active.meter.version
