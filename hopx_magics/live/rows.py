"""The rows of a live table: from the processes of listings to what changed, field by field."""

import heapq
import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ..display.frames import Standing, standing_of
from ..models import Listing, Process, ProcessId, Usage
from ..output.oneline import printable
from ..output.progress import fraction_at_end, newest_progress, progress_in
from ..output.shown import last_line
from ..words import ENDED
from .growth import Growth, Growths
from .metrics import Best, Metrics, Turn, joined
from .pace import Pace
from .row import FIELDS, Row, differences

CLOCK_JITTER = 0.5
"""Seconds by which the computed beginning of a running process may move without being a change."""

Key = tuple[str, ProcessId | None, int]
"""A process of several agents: the connection's name, the process's id, and how many with that id are listed before."""

Choose = Callable[[Process], bool]

HasDisplays = Callable[[str, Process], bool]
"""Whether a process of that connection is known to have displayed something."""


_NO_USAGE = Usage()

_Far = tuple[float, float | None]  # how far a process is, and the seconds left


class Told(NamedTuple):
    """What the history tells of a row: parameters, tags, and in words how long such runs usually take."""

    params: dict[str, str]
    tags: dict[str, str]
    usual: str = ""


NOTHING = Told({}, {})
"""Of what the history does not have."""


class Changed(NamedTuple):
    """Fields of rows that have changed, all of new ones, by their slots; and the slots of rows that are gone."""

    rows: dict[int, dict[str, Any]]
    gone: list[int]


class Rows:
    """The rows of one table. A slot is a small number that stands for one process as long as the table lives.

    `choose` tells which processes are wanted; with a `limit` only the first of them in the default order are shown.
    """

    def __init__(
        self,
        choose: Choose,
        limit: int | None = None,
        has_displays: HasDisplays = lambda connection, process: False,
        best: Best | None = None,
    ) -> None:
        self._choose = choose
        self._has_displays = has_displays
        self._limit = limit
        self._slots: dict[Key, int] = {}
        self._keys: list[Key] = []
        self._processes: dict[int, Process] = {}
        self._rows: dict[int, Row] = {}
        self._paces: dict[int, Pace] = {}
        self._given: dict[int, Told] = {}
        self._unasked: dict[int, None] = {}
        self._metrics = Metrics(best)
        self._growths = Growths()
        self._changed: dict[int, dict[str, Any]] = {}
        self._gone: dict[int, None] = {}
        self._listings: dict[str, Listing] = {}
        self._queued: set[int] = set()
        self._standings: dict[Key, Standing | None] = {}
        """With a limit: where all that is wanted stands in the default order."""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        return iter(self._rows.items())

    def key(self, slot: int) -> tuple[str, ProcessId]:
        """The process that a slot stands for. Raises LookupError, also when its id can't be read."""
        connection, process_id, _ = self._keys[slot] if slot in self._rows else ("", None, 0)
        if process_id is None:
            raise LookupError(f"there is no process of row {slot}")
        return connection, process_id

    def slot(self, connection: str, process_id: ProcessId | None) -> int | None:
        """The slot of a process, None when it is not shown."""
        slot = self._slots.get((connection, process_id, 0))
        return slot if slot in self._rows else None

    def row(self, slot: int) -> Row:
        """The row of a slot. Raises LookupError."""
        return self._rows[slot]

    def connection(self, slot: int) -> str:
        """The connection of the process that a slot stands for."""
        return self._keys[slot][0]

    def process(self, slot: int) -> Process:
        """The process of a slot as last listed. Raises LookupError."""
        return self._processes[slot]

    def growth(self, slot: int) -> Growth:
        """How the output of a row's process grew. Raises LookupError."""
        return self._growths.of(slot, self._processes[slot], _elapsed(self._rows[slot], time.time()))

    @property
    def processes(self) -> Mapping[int, Process]:
        """The processes that are shown, as last listed, by their slots."""
        return self._processes

    def listing(self, connection: str) -> Listing | None:
        """The last listing of a connection."""
        return self._listings.get(connection)

    def place(self, slot: int) -> int | None:
        """Which place the process of a slot has in its agent's queue, if it is queued."""
        connection, process_id, _ = self._keys[slot]
        return self._listings[connection].queue.get(process_id) if process_id else None

    def update(
        self,
        connection: str,
        listing: Listing,
        changed: Iterable[Process] | None = None,
        gone: Iterable[ProcessId | None] = (),
    ) -> None:
        """Takes note of a connection's listing, of which only `changed` and `gone` differ from the one before.

        None for `changed` means that everything may differ.
        """
        self._listings[connection] = listing
        if changed is None:
            listed = _keyed(connection, listing.processes)
            known = [*(self._keys[slot] for slot in self._rows), *self._standings]
            gone_keys = [key for key in known if key[0] == connection and key not in listed]
        else:  # which has processes alone that no other shares its id with
            listed = {(connection, process.process_id, 0): process for process in changed}
            gone_keys = [(connection, process_id, 0) for process_id in gone]
        if self._limit is None:
            self._take_all(listed.items())
        elif self._note_standings(listed, gone_keys):
            self._keep_first(self._limit)
        else:
            self._take_all((key, process) for key, process in listed.items() if self._slots.get(key) in self._rows)
        for key in gone_keys:
            self._remove(self._slots.get(key))
        self._count_skipped(connection, listing)

    def settle(self) -> None:
        """Keeps what the rows say alone: no output of the processes, and nothing that is still to be told."""
        self.take_changes()
        self._paces.clear()
        self._metrics.clear()
        self._growths.clear()
        for slot, process in self._processes.items():
            self._processes[slot] = msgspec.structs.replace(process, stdout=None, stderr=None)

    def told(self, slot: int) -> dict[str, Any]:
        """All fields of a row, as a page is told them. Raises LookupError."""
        row = self._rows[slot]
        return differences(None, row) | {"metrics": self._metrics.points(slot, row.metrics)}

    def take_changes(self) -> Changed:
        """What has changed since the last call."""
        changes = Changed(self._changed, list(self._gone))
        self._changed, self._gone = {}, {}
        return changes

    def packed(self) -> bytes:
        """All rows, a list for each field, as deflated JSON; what has changed until now need not be told any more."""
        self.take_changes()
        columns: dict[str, list[Any]] = {"slot": list(self._rows)}
        rows = self._rows.values()
        columns |= {field: [getattr(row, field) for row in rows] for field in FIELDS}
        columns["metrics"] = self._metrics.all_points({slot: row.metrics for slot, row in self._rows.items()})
        return zlib.compress(msgspec.json.encode(columns), 1)

    # ------------------------------------------------------------ what is found out aside

    def take_unasked(self) -> list[tuple[int, str, ProcessId]]:
        """The slots of which nobody has asked yet what they were given, with their connections and processes."""
        unasked, self._unasked = self._unasked, {}
        keys = [(slot, self._keys[slot]) for slot in unasked if slot in self._rows]
        return [(slot, connection, process_id) for slot, (connection, process_id, _) in keys if process_id]

    def give(self, given: Mapping[int, Told]) -> None:
        """Takes note of what the history tells, by slots."""
        self._given.update(given)
        for slot, told in given.items():
            if (row := self._rows.get(slot)) is not None:
                self._put(slot, msgspec.structs.replace(row, **told._asdict()))

    @property
    def has_unread(self) -> bool:
        """Whether there is output that is still to be read for metrics."""
        return self._metrics.has_unread

    def read_on(self) -> None:
        """Reads some of the output that was left unread when too much came at once."""
        turn = Turn()
        while not turn.over and (slot := self._metrics.take_unread()) is not None:
            self._metrics.read(slot, self._processes[slot], turn)
            values, is_cut = self._metrics.values(slot)
            self._put(slot, msgspec.structs.replace(self._rows[slot], metrics=values, metrics_cut=is_cut))

    # ------------------------------------------------------------ several processes

    def _take_all(self, processes: Iterable[tuple[Key, Process]]) -> None:
        turn = Turn()
        for key, process in processes:
            self._take(key, process, self._listings[key[0]].received_at.timestamp(), turn)

    def _note_standings(self, listed: Mapping[Key, Process], gone: Iterable[Key]) -> bool:
        """Whether something that is wanted stands elsewhere now than before, came or went."""
        stand = {key: standing_of(process) if self._choose(process) else None for key, process in listed.items()}
        moved = [key for key, standing in stand.items() if self._standings.get(key) != standing]
        went = [key for key in gone if self._standings.pop(key, None)]
        self._standings.update(stand)
        return bool(moved or went)

    def _keep_first(self, limit: int) -> None:
        """Shows the first ones of all connections, and no others."""
        listings = (_keyed(name, listing.processes) for name, listing in self._listings.items())
        wanted = ((key, process) for keyed in listings for key, process in keyed.items() if self._choose(process))
        first = dict(heapq.nsmallest(limit, wanted, key=lambda keyed: standing_of(keyed[1])))
        for slot in [slot for slot in self._rows if self._keys[slot] not in first]:
            self._remove(slot)
        self._take_all(first.items())

    def _count_skipped(self, connection: str, listing: Listing) -> None:
        """Tells each queued row how many of the queue are left out before it."""
        if not self._queued:
            return
        skipped = 0
        for process_id in listing.queue:
            slot = self._slots.get((connection, process_id, 0))
            if slot is None or slot not in self._queued:
                skipped += 1
                continue
            if self._rows[slot].skipped != skipped:
                self._put(slot, msgspec.structs.replace(self._rows[slot], skipped=skipped))
            skipped = 0

    # ------------------------------------------------------------ one process

    def _take(self, key: Key, process: Process, now: float, turn: Turn) -> None:
        slot = self._slots.get(key)
        if not self._choose(process):
            self._remove(slot)
            return
        if slot is None:
            slot = self._slots[key] = len(self._keys)
            self._keys.append(key)
        if slot not in self._given:
            self._unasked[slot] = None
        self._processes[slot] = process
        self._metrics.read(slot, process, turn)
        row = self._row(slot, key[0], process, now, self._rows.get(slot))
        self._growths.see(slot, process, _elapsed(row, now))
        self._put(slot, row)

    def _put(self, slot: int, row: Row) -> None:
        old = self._rows.get(slot)
        fresh = self._metrics.take_fresh(slot)
        if row == old and not fresh:
            return
        self._rows[slot] = row
        (self._queued.add if row.status == "queued" else self._queued.discard)(slot)
        self._gone.pop(slot, None)
        changed = self._changed.setdefault(slot, {})
        changed.update(self.told(slot) if old is None else differences(old, row))
        if old is not None and fresh:
            changed["metrics"] = joined(changed.get("metrics", {}), fresh)

    def _remove(self, slot: int | None) -> None:
        if slot is None or self._rows.pop(slot, None) is None:
            return
        del self._processes[slot]
        self._queued.discard(slot)
        self._paces.pop(slot, None)
        self._metrics.drop(slot)
        self._growths.drop(slot)
        self._changed.pop(slot, None)
        self._gone[slot] = None

    def _row(self, slot: int, connection: str, process: Process, now: float, old: Row | None) -> Row:
        # While a process runs, the end of its output may tell nothing of its progress for a moment.
        known = (old.progress, old.left) if old is not None and process.status == "running" else (None, None)
        began = _began(process, now, old.began if old else None)
        progress, left = self._progress(slot, process, now, began) or known
        stands = process.ended or process.paused
        told = self._given.get(slot, NOTHING)
        metrics, metrics_cut = self._metrics.values(slot)
        usage = process.usage or _NO_USAGE
        on_gpus = usage.peak_gpu_memory_bytes if process.ended else usage.gpu_memory_bytes
        return Row(
            id=process.process_id or "",
            connection=connection,
            name=printable(process.name) if process.name else None,
            status=process.status,
            detail=printable(process.status_detail) if process.status_detail else None,
            language=process.language,
            started=_moment(process.started_at),
            ended=_moment(process.completed_at),
            began=began,
            elapsed=round(process.execution_time, 2) if stands and process.execution_time is not None else None,
            exit_code=process.exit_code,
            progress=progress,
            left=left,
            last=_last_line(process, self._paces[slot].grown if slot in self._paces else None),
            skipped=old.skipped if old is not None and process.status == "queued" else 0,
            leftovers=len(process.leftovers),
            paused=process.paused,
            first=process.first,
            displays=self._has_displays(connection, process),
            params=told.params,
            tags=told.tags,
            metrics=metrics,
            metrics_cut=metrics_cut,
            cpu=None if usage.cpu_percent is None else round(usage.cpu_percent),
            memory=_in_three_digits(usage.peak_memory_bytes if process.ended else usage.memory_bytes),
            gpu=None if usage.gpu_percent is None else round(usage.gpu_percent),
            gpu_memory=_in_three_digits(on_gpus),
            usual=told.usual,
        )

    def _progress(self, slot: int, process: Process, now: float, began: float | None) -> _Far | None:
        """How far the process is by its output, and the seconds left."""
        if process.status in ENDED:
            pace = self._paces.pop(slot, None)
            progress = newest_progress(process.stdout, process.stderr, pace.piece if pace else None)
            if progress is None:
                return None
            return _in_thousandths(fraction_at_end(progress.fraction, process.status)), None
        pace = self._paces.setdefault(slot, Pace())
        grown = pace.see(process)
        progress = progress_in(getattr(process, grown) or "", pace.piece) if grown else None
        progress = progress or newest_progress(process.stdout, process.stderr, pace.piece)
        if progress is None:
            return None
        left = None if began is None else pace.left(progress, now, now - began)
        return _in_thousandths(progress.fraction), None if left is None else round(left)


def _in_thousandths(fraction: float) -> float:
    """Never the whole of what is not whole."""
    return math.floor(fraction * 1000 + 1e-6) / 1000


def _keyed(connection: str, processes: Iterable[Process]) -> dict[Key, Process]:
    counts: Counter[ProcessId | None] = Counter()
    keyed: dict[Key, Process] = {}
    for process in processes:
        keyed[connection, process.process_id, counts[process.process_id]] = process
        counts[process.process_id] += 1
    return keyed


def _moment(moment: datetime | None) -> float | None:
    return None if moment is None else round(moment.timestamp(), 3)


def _last_line(process: Process, grown: str | None) -> str:
    stderr_first = grown == "stderr" or (grown is None and process.status == "failed")
    texts = (process.stderr, process.stdout) if stderr_first else (process.stdout, process.stderr)
    return next((line for text in texts if text and (line := last_line(text))), "")


def _in_three_digits(size: int | None) -> int | None:
    """Bytes: a page need not be told more often than one can see."""
    return None if size is None else int(float(f"{size:.3g}"))


def _elapsed(row: Row, now: float) -> float | None:
    """Seconds for which a process has been running, at a moment of the kernel's clock."""
    return row.elapsed if row.began is None else max(0.0, now - row.began)


def _began(process: Process, now: float, known: float | None) -> float | None:
    """When a running process began, by the kernel's clock, as far as it is not paused."""
    if process.status != "running" or process.paused:
        return None
    if process.execution_time is not None:
        began = round(now - process.execution_time, 2)
        return known if known is not None and abs(began - known) < CLOCK_JITTER else began
    return round(process.started_at.timestamp(), 2) if process.started_at else None
