"""Which processes runs leave behind when they end, and for how long those live.

While runs are running, their processes are looked at now and then, so that those are known whose traces are gone when
the run ends. A run that ends without any costs no look at all where the agent inherits orphans, and there are none.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from .active import Active
from .family import Family, Member, Orphans, marks, read_table
from .forks import of_forks
from .gpus import GpuTable, of_pids

GRACE = 0.25
"""Seconds in which the processes of a run that has ended may end, too, before they count as left behind."""

FIRST_LOOK = 0.1
LAST_LOOKS = 2.0
"""Seconds from the start of a run to the first look at its processes, and between two looks later on."""

SHARE = 0.02
"""How much of a processor's time may be spent on looking now and then, as a part of 1."""

KNOWN_WITHIN = 2
"""Looks after which an orphan whose run is not known is nobody's any more."""

_POLL = 0.02

Tell = Callable[[str, Collection[Member]], None]


class Leftovers:
    """Looks after the processes of all runs that are `running`, and after what ended ones have left.

    `tell` is called when it has changed who is left of an ended run. All but the looking itself is done on the event
    loop's thread.
    """

    def __init__(self, running: Mapping[str, Active], orphans: Orphans, tell: Tell) -> None:
        self._running = running
        self._orphans = orphans
        self._tell = tell
        self._families: dict[str, Family] = {}
        self._strangers: dict[int, int] = {}
        self._begun = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._gpus = GpuTable()
        self._spent = 0.0

    def begin(self) -> None:
        """A run has begun: its processes are to be looked at soon."""
        self._begun.set()

    def keep(self, family: Family) -> None:
        """Takes in the family of an ended run of which somebody lives."""
        self._families[family.process_id] = family
        self._begun.set()

    def family(self, process_id: str) -> Family | None:
        """The family of an ended run of which somebody may live."""
        return self._families.get(process_id)

    def drop(self, process_id: str) -> None:
        """Nobody wants to know of this run any more."""
        self._families.pop(process_id, None)

    async def of(self, active: Active) -> set[Member]:
        """Who lives on although their run has ended."""
        family = active.family
        if family is None or self._is_surely_gone(active, family):
            return set()
        deadline = time.monotonic() + GRACE
        while (left := await self.look(active)) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL)
        return left

    def _is_surely_gone(self, active: Active, family: Family) -> bool:
        if active.child is None or family.has_living():
            return False
        orphans = self._orphans.look()
        return orphans is not None and not self._unexplained(orphans)

    async def look(self, ended: Active | None = None) -> set[Member]:
        """Looks at everybody. Returns who is left of the run that has `ended`.

        An orphan whose run nothing tells is one of the run that has ended, or else of the only one that is running.
        """
        async with self._one_at_a_time:  # what was read before something ended must not be believed after it
            orphans = self._orphans.look() or set()
            fresh = {pid for pid in self._unexplained(orphans) if self._strangers.get(pid, 0) < KNOWN_WITHIN}
            running = [active for active in self._running.values() if active.family]
            heir = ended or (running[0] if len(running) == 1 else None)
            others = list(self._families.values())
            needs_marks = bool(fresh) or ended is not None
            look = (running, others, heir, fresh, self._gpus)
            self._spent = await asyncio.to_thread(_look_at, *look, with_marks=needs_marks)
            if ended is None:
                self._strangers = {pid: self._strangers.get(pid, 0) + 1 for pid in self._unexplained(orphans)}
            return set(ended.family.known) if ended and ended.family else set()

    def _unexplained(self, orphans: Iterable[int]) -> set[int]:
        families = [*(active.family for active in self._running.values()), *self._families.values()]
        return set(orphans) - {member.pid for family in families if family for member in family.known}

    async def watch(self) -> None:
        """Looks now and then, for ever."""
        pause = FIRST_LOOK
        while True:
            if await self._has_begun(pause if self._running or self._families else None):
                pause = FIRST_LOOK
                await asyncio.sleep(pause)
            before = {id_: set(family.known) for id_, family in self._families.items()}
            await self.look()
            for process_id, known in before.items():
                self._tell_of(process_id, known)
            await asyncio.sleep(self._spent / SHARE)
            pause = min(2 * pause, LAST_LOOKS)

    def _tell_of(self, process_id: str, before: set[Member]) -> None:
        family = self._families.get(process_id)
        if family is not None and family.known != before:
            self.update(family)

    def update(self, family: Family) -> None:
        """Tells who lives now of the family of an ended run."""
        if not family.known:
            self.drop(family.process_id)
        self._tell(family.process_id, family.known)

    async def _has_begun(self, seconds: float | None) -> bool:
        """Whether a run begins within that time, which None makes endless."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), seconds)
        has_begun = self._begun.is_set()
        self._begun.clear()
        return has_begun


def _look_at(
    running: list[Active],
    others: list[Family],
    heir: Active | None,
    fresh: set[int],
    gpus: GpuTable,
    *,
    with_marks: bool,
) -> float:
    """Looks at the families of running and of ended runs, and gives those orphans to the heir that nobody else has.

    Returns the seconds of a processor's time that it took.
    """
    begun = time.thread_time()
    table = read_table()
    marked = marks(table) if with_marks else {}
    on_gpus = gpus.read() if running else {}
    for active in running:
        if active.family:
            active.family.look(table, marked)
            active.note_strays(table)
            pids = [member.pid for member in active.family.known if member.pid in table]
            entries = [table[pid] for pid in pids]
            active.meter.take(of_forks(entries, pids) if active.launched.keeper else entries, of_pids(on_gpus, pids))
    for family in others:
        family.look(table, marked)
    if heir is not None and heir.family is not None:
        heir.family.look(table, marked)
        families = [*others, *(active.family for active in running if active.family)]
        known = {member.pid for family in families for member in family.known}
        heir.family.adopt((pid for pid in fresh - known if pid not in marked), table)
    return time.thread_time() - begun
