"""Who is told of what runs do, and when: a sweep has one notice, and each is sent at least once, whatever happens here.

What is known of those who want to be told is in one file for each run, or each sweep, until they were told: the places,
in which there are secrets, and behind them a line for each end and each bound that was met. A line is written when the
notice of it, if there is one, is in the outbox; what has no line when the next agent starts is taken anew.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from ..notices import DESKTOP, DISPLAYS, EVENTS
from ..output.bounds import Met, Watch
from ..output.conditions import Bound, parse_bound
from ..protocol.requests import NotifyRequest, unmarked_name
from ..words import STREAMS, Status
from . import notice_texts as texts
from . import outputs
from .active import Active, spawned
from .journal import Ended
from .outbox import Outbox
from .records import Launched
from .store import Folder, private

MOST_OF_A_SWEEP = 3
"""Failures and bounds of one sweep that have notices of their own; the others are summed up at its end."""

LAST_LOOK = 4_000_000
"""Bytes at the end of each stream of a run that has ended in which it is looked for what meets a bound."""

PATIENCE = 30
"""How many times the first pause between two tries it takes until a sweep counts as ended of which more was announced,
or of which nobody has said how many runs it has: 60 s."""


class _About(msgspec.Struct, frozen=True, kw_only=True, tag="about"):
    """Who is told of what, and where; `of` how many runs, since a moment in nanoseconds."""

    when: tuple[str, ...]
    places: tuple[str, ...]
    environ: dict[str, str]
    name: str
    of: int | None
    begun: int

    def __repr__(self) -> str:
        return f"_About({self.name!r})"


class _End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """That a run has ended, when, in nanoseconds, how it failed, and whether that was told by itself."""

    process_id: str
    status: Status
    at: int
    failure: str = ""
    told: bool = False


class _BoundMet(msgspec.Struct, frozen=True, kw_only=True, tag="met"):
    """That a run has met a bound, and whether that was told by itself."""

    process_id: str
    bound: str
    told: bool


class _Group:
    """One run, or the runs of a sweep, of which somebody is told."""

    def __init__(self, path: Path, about: _About) -> None:
        self.path = path
        self.about = about
        self.ends: dict[str, _End] = {}
        self.met: dict[tuple[str, str], bool] = {}
        self.turn = asyncio.Lock()
        self.waiting: asyncio.TimerHandle | None = None
        self.quiet_until = 0.0

    @property
    def is_single(self) -> bool:
        """Whether it is one run, which is no sweep's."""
        return self.about.of == 1

    @property
    def may_tell(self) -> bool:
        """Whether something of a single run is told by itself."""
        return self.is_single or sum(end.told for end in self.ends.values()) + sum(self.met.values()) < MOST_OF_A_SWEEP

    def take(self, line: _End | _BoundMet) -> None:
        """Takes in a line."""
        if isinstance(line, _End):
            self.ends[line.process_id] = line
        else:
            self.met[line.process_id, line.bound] = line.told

    def add(self, line: _End | _BoundMet) -> None:
        """Takes in a line, and writes it, if there is room."""
        self.take(line)
        with contextlib.suppress(OSError), open(self.path, "ab", opener=private) as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def summary(self) -> texts.Text | None:
        """What is told at the end of a sweep; None for nothing."""
        ends, when = list(self.ends.values()), self.about.when
        untold = ("failure" in when and any(_failed(end.status) and not end.told for end in ends)) or (
            not all(self.met.values())
        )
        if self.is_single or not ends or not ("end" in when or untold):
            return None
        failures = [end.failure for end in ends if end.failure][:MOST_OF_A_SWEEP]
        bounds = Counter(bound for _, bound in self.met)
        span = (max(end.at for end in ends) - self.about.begun) / 1e9
        return texts.of_sweep(self.about.name, span, [end.status for end in ends], failures, bounds)


class Notices:
    """Tells of processes. Everything here runs on the event loop's thread.

    `pause` is as in `Outbox`. `is_going` tells whether a process of a group has still to end.
    """

    def __init__(self, folder: Path, pause: float, outbox: Outbox, is_going: Callable[[str], bool]) -> None:
        self._folder = folder
        self._patience = PATIENCE * pause
        self._outbox = outbox
        self._is_going = is_going
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._groups = {path.stem: group for path in folder.glob("*.jsonl") if (group := _read(path))}
        self.needed: Counter[str] = Counter()
        """The processes whose end is being taken in: what they have written is still to be read."""

    @property
    def busy(self) -> bool:
        """Whether somebody is still to be told of something that has happened."""
        return bool(self._outbox.busy or +self.needed or any(group.waiting for group in self._groups.values()))

    def add(self, launched: Launched, notify: NotifyRequest, environ: Mapping[str, str] | None) -> None:
        """Keeps in mind who is told of a process. Raises OSError."""
        if launched.told is None or launched.told.group in self._groups:
            return
        about = _About(
            when=notify.when,
            places=notify.places,
            environ=_of_desktop(os.environ if environ is None else environ) if DESKTOP in notify.places else {},
            name=unmarked_name(launched.name) or (f"sweep {launched.sweep}" if launched.sweep else launched.process_id),
            of=notify.of if launched.sweep else 1,
            begun=time.time_ns(),
        )
        path = self._folder / f"{launched.told.group}.jsonl"
        try:
            with open(path, "wb", opener=private) as file:
                file.write(msgspec.json.encode(about) + b"\n")
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._groups[launched.told.group] = _Group(path, about)

    def drop(self, launched: Launched) -> None:
        """Forgets who is told of a process that came to nothing."""
        group = self._groups.get(launched.told.group) if launched.told else None
        if group is not None and group.is_single:
            self._forget(group)
        elif group is not None:
            self._wait(group)

    def begin(self, ended: Iterable[Ended], folder_of: Callable[[str], Folder]) -> None:
        """Goes on with what earlier agents had to tell."""
        self._outbox.begin()
        for each in ended:
            self.end(each, folder_of(each.process_id))
        for group in list(self._groups.values()):
            self._wait(group)

    # ------------------------------------------------------------ what happens

    def end(self, ended: Ended, folder: Folder) -> None:
        """Tells the end of a process, if somebody is to be told; of one that is tried again, when that ends."""
        group = self._groups.get(ended.told or "")
        if group is not None and ended.retried_as is None and ended.process_id not in group.ends:
            self.needed[ended.process_id] += 1
            spawned(self._take_end(group, ended, folder))

    def meet(self, active: Active, met: Met) -> None:
        """Tells that a metric of a running process meets a bound, if somebody is to be told."""
        group = self._groups.get(active.launched.told.group) if active.launched.told else None
        if group is not None:
            spawned(self._take_met(group, active, met))

    async def _take_end(self, group: _Group, ended: Ended, folder: Folder) -> None:
        try:
            async with group.turn:
                launched = await asyncio.to_thread(folder.read_launch)
                bounds = _bounds(group.about.when)
                unmet = [bound for bound in bounds if (ended.process_id, bound.text) not in group.met]
                for met in await asyncio.to_thread(_last_look, folder, unmet):
                    text = await asyncio.to_thread(texts.of_late_bound, ended, launched, folder, met)
                    self._add_met(group, ended.process_id, met, text)
                group.add(await self._told_end(group, ended, launched, folder))
        finally:
            self.needed[ended.process_id] -= 1
        if group.about.of is not None and len(group.ends) >= group.about.of:
            self._complete(group)
        else:
            self._wait(group)

    async def _told_end(self, group: _Group, ended: Ended, launched: Launched, folder: Folder) -> _End:
        """The line of an end, of which somebody is told now if that is due."""
        is_failure, when = _failed(ended.status), group.about.when
        is_due = (is_failure and "failure" in when) or (group.is_single and "end" in when)
        if is_due and group.may_tell:
            text = await asyncio.to_thread(texts.of_end, ended, launched, folder)
            self._put(group, f"{ended.process_id}.end", ended.process_id, text)
            is_told = True
        else:
            is_told = False
        is_listed = is_failure and sum(bool(end.failure) for end in group.ends.values()) < MOST_OF_A_SWEEP
        failure = await asyncio.to_thread(texts.failure_in_short, ended, launched, folder) if is_listed else ""
        return _End(process_id=ended.process_id, status=ended.status, at=ended.ended, failure=failure, told=is_told)

    async def _take_met(self, group: _Group, active: Active, met: Met) -> None:
        async with group.turn:
            if (active.process_id, met.bound.text) not in group.met and active.process_id not in group.ends:
                text = await asyncio.to_thread(texts.of_bound, active, met)
                self._add_met(group, active.process_id, met, text)

    def _add_met(self, group: _Group, process_id: str, met: Met, text: texts.Text) -> None:
        is_told = group.may_tell
        if is_told:
            number = group.about.when.index(met.bound.text)
            self._put(group, f"{process_id}.bound{number}", process_id, text)
        group.add(_BoundMet(process_id=process_id, bound=met.bound.text, told=is_told))

    def _put(self, group: _Group, name: str, process_id: str, text: texts.Text) -> None:
        self._outbox.put(name, process_id, text, group.about.places, group.about.environ)

    # ------------------------------------------------------------ when all is told

    def _wait(self, group: _Group) -> None:
        """Looks whether a group has ended of which not all have, when nothing has come for a while."""
        loop = asyncio.get_running_loop()
        group.quiet_until = loop.time() + self._patience
        if group.waiting is None:
            group.waiting = loop.call_later(self._patience, self._look, group)

    def _look(self, group: _Group) -> None:
        group.waiting = None
        if group.path.stem not in self._groups or self._is_going(group.path.stem):
            return
        loop = asyncio.get_running_loop()
        if group.turn.locked() or loop.time() < group.quiet_until:
            group.waiting = loop.call_later(max(0.1, group.quiet_until - loop.time()), self._look, group)
        else:
            self._complete(group)

    def _complete(self, group: _Group) -> None:
        """Tells the end of a sweep, and forgets the group."""
        if group.path.stem not in self._groups:
            return
        if (text := group.summary()) is not None:
            self._put(group, f"{group.path.stem}.sweep", next(reversed(group.ends)), text)
        self._forget(group)

    def _forget(self, group: _Group) -> None:
        self._groups.pop(group.path.stem, None)
        if group.waiting is not None:
            group.waiting.cancel()
            group.waiting = None
        with contextlib.suppress(OSError):
            group.path.unlink(missing_ok=True)


def _failed(status: Status) -> bool:
    return status in ("failed", "unknown")


def _bounds(when: Iterable[str]) -> list[Bound]:
    return [parse_bound(text) for text in when if text not in EVENTS]


def _of_desktop(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in (*DISPLAYS, "XDG_RUNTIME_DIR") if name in environ}


def _last_look(folder: Folder, bounds: list[Bound]) -> list[Met]:
    """What the end of the output meets."""
    if not bounds:
        return []
    found: dict[Bound, Met] = {}
    for stream in STREAMS:
        for met in Watch(bounds).take(outputs.read_end(folder.output(stream), LAST_LOOK).text):
            found.setdefault(met.bound, met)
    return list(found.values())


def _read(path: Path) -> _Group | None:
    """A group as its file has it; None where that can't be read, and is removed."""
    decode = msgspec.json.Decoder(_About | _End | _BoundMet).decode
    group: _Group | None = None
    with contextlib.suppress(OSError):
        for line in path.read_bytes().split(b"\n"):
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                read = decode(line)
                if isinstance(read, _About):
                    group = _Group(path, read)
                elif group is not None:
                    group.take(read)
    if group is None:
        path.unlink(missing_ok=True)
    return group
