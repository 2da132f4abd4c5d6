"""Ends those runs of a sweep at half time that are not among the best: `--keep-best 3 loss`.

What is known of a run is what it has printed, which the next agent reads again, also that of those that have ended.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from ..output.halving import Course, KeepBest, parse_keep_best
from ..words import STREAMS, Status
from .active import Active
from .journal import Ended
from .killing import Killing
from .new_lines import NewLines
from .processes import Processes
from .records import Launched
from .store import NOT_BEST, Folder

LOOK_EVERY = 0.5
"""Seconds between two looks at what running processes have printed."""


class _Sweep(NamedTuple):
    """Runs that are compared with each other."""

    sweep: str
    rule: str


class _Member:
    """One run of a sweep."""

    def __init__(self, launched: Launched, folder: Folder, rule: KeepBest) -> None:
        self.sequence = launched.sequence
        self.active: Active | None = None
        self.status: Status = "running"
        self.course = Course(rule.metric)
        self._streams = {stream: NewLines(folder.output(stream)) for stream in STREAMS}

    def read(self) -> None:
        """Reads what is new of its output."""
        ended = self.status != "running"
        self.course.take({stream: text for stream, lines in self._streams.items() if (text := lines.read(ended=ended))})

    def at_half(self, steps: int) -> float | None:
        """Its value at half time, None before that; runs that print no progress print `steps` values."""
        if self.status not in ("running", "completed"):
            return None
        if self.course.tells_progress or not steps:
            return self.course.at_half
        return self.course.at_step((steps + 1) // 2)


class Halving:
    """The sweeps that are halved. Everything here but reading runs on the event loop's thread."""

    def __init__(self, processes: Processes, killing: Killing) -> None:
        self._processes = processes
        self._killing = killing
        self._sweeps: dict[_Sweep, dict[str, _Member]] = {}
        self._ended: list[tuple[Active, Ended]] = []
        processes.note_end = self._note_end

    def _note_end(self, active: Active, ended: Ended) -> None:
        if active.launched.keep_best:
            self._ended.append((active, ended))

    async def watch(self) -> None:
        """Looks at what running processes print, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            ended, self._ended = self._ended, []
            running = [active for active in self._processes.running.values() if active.launched.keep_best]
            fresh = await self._note([*running, *(active for active, _ in ended)])
            for active, end in ended:
                self._member(active).status = end.status
            for active in running:
                self._member(active).active = active
            read = {id(each): each for each in [*fresh, *map(self._member, running)]}
            read |= {id(each): each for each in (self._member(active) for active, _ in ended)}
            if read:
                await asyncio.to_thread(_read, read.values())
            for sweep in {_sweep_of(active.launched) for active in running}:
                self._judge(parse_keep_best(sweep.rule), self._sweeps[sweep].values())
            self._forget()

    def _member(self, active: Active) -> _Member:
        return self._sweeps[_sweep_of(active.launched)][active.process_id]

    async def _note(self, actives: list[Active]) -> list[_Member]:
        """Takes in what is new; of a sweep that was not known also those that an agent before this one saw end."""
        fresh: list[_Member] = []
        for active in actives:
            sweep = _sweep_of(active.launched)
            if sweep not in self._sweeps:
                self._sweeps[sweep] = await asyncio.to_thread(self._earlier, sweep, list(self._processes.all.values()))
                fresh += self._sweeps[sweep].values()
            if active.process_id not in self._sweeps[sweep]:
                rule = parse_keep_best(sweep.rule)
                self._sweeps[sweep][active.process_id] = _Member(active.launched, active.folder, rule)
        return fresh

    def _earlier(self, sweep: _Sweep, items: Iterable[Active | Ended]) -> dict[str, _Member]:
        members: dict[str, _Member] = {}
        for item in items:
            if not isinstance(item, Ended) or item.status != "completed":
                continue
            folder = self._processes.store.folder(item.process_id)
            launched = folder.read_launch()
            if launched.keep_best and _sweep_of(launched) == sweep:
                members[item.process_id] = member = _Member(launched, folder, parse_keep_best(sweep.rule))
                member.status = item.status
        return members

    def _judge(self, rule: KeepBest, members: Iterable[_Member]) -> None:
        completed = (each for each in members if each.status == "completed" and not each.course.tells_progress)
        steps = max((len(each.course.values) for each in completed), default=0)
        judged = [(value, each) for each in members if (value := each.at_half(steps)) is not None]
        judged.sort(key=lambda pair: (rule.rank(pair[0]), pair[1].sequence))
        for value, each in judged[rule.kept :]:
            if each.active is not None and each.status == "running" and each.active.stop is None:
                self._killing.stop(each.active, f"{NOT_BEST} {value:g}")

    def _forget(self) -> None:
        """Forgets sweeps of which nothing goes on."""
        going = {_sweep_of(active.launched) for active in self._processes.going() if active.launched.keep_best}
        going |= {_sweep_of(active.launched) for active, _ in self._ended}
        self._sweeps = {sweep: members for sweep, members in self._sweeps.items() if sweep in going}


def _sweep_of(launched: Launched) -> _Sweep:
    return _Sweep(launched.sweep or "", launched.keep_best or "")


def _read(members: Iterable[_Member]) -> None:
    for member in members:
        member.read()
