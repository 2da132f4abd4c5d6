"""The metrics of the rows of a live table: read from what is new of each output, and the last points of each."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from ..models import Process
from ..output.metrics import MOST_METRICS, Finder
from ..words import STREAMS, Stream

POINTS = 60
"""Points of a metric that a page shows, at most."""

MOST_POINTS = 100_000
"""Points that a page is told at once, at most: of too many rows only the last ones."""

ENDS = 500
"""Bytes at the end of each output that are read when there is too much at once."""

AT_ONCE = 0.05
"""Seconds for which output is read for metrics before something else has its turn."""


class Best(NamedTuple):
    """Of which metric the best value so far is a metric, too: the smallest, or the largest."""

    extreme: Literal["min", "max"]
    metric: str

    @property
    def name(self) -> str:
        """What that metric is called."""
        return f"{self.extreme} {self.metric}"

    def of(self, value: float, before: float | None) -> float:
        """The better one. What is no number is never better."""
        if before is None or before != before:
            return value
        return before if value != value else (min if self.extreme == "min" else max)(value, before)


class _Stream:
    """One stream of a process, as far as it was read."""

    def __init__(self) -> None:
        self._finder = Finder()
        self._end = 0  # bytes up to which lines were read

    def new_metrics(self, text: str, size: int | None, most: int | None, ended: bool) -> Iterator[tuple[str, float]]:
        """The numbers in lines that are new. `text` is the end of the stream, which has so many bytes in all."""
        if not text or size == self._end:
            return
        tail = text.encode("utf-8", "surrogatepass")
        size = len(tail) if size is None else max(size, len(tail))
        tail = tail if most is None else tail[-most:]
        begin = size - len(tail)
        if size < self._end:  # it was cut, or is another one
            self._end = 0
        start = max(0, self._end - begin)
        if begin > self._end:  # something was missed: the first line may be the rest of one
            start = _next_line(tail, 0)
        stop = len(tail) if ended else _after_last_line(tail)
        if stop > start:
            self._end = begin + stop
            yield from self._finder.find(tail[start:stop].decode("utf-8", "replace"))


def _next_line(tail: bytes, start: int) -> int:
    found = [place for end in (b"\n", b"\r") if (place := tail.find(end, start)) >= 0]
    return min(found) + 1 if found else len(tail)


def _after_last_line(tail: bytes) -> int:
    return max(tail.rfind(b"\n"), tail.rfind(b"\r")) + 1


class RunMetrics:
    """The metrics of one run: its last `values`, and of each the last points."""

    def __init__(self, best: Best | None = None) -> None:
        self.values: dict[str, float] = {}
        self.points: dict[str, deque[float]] = {}
        self.is_cut = False
        """Whether there were more metrics than are followed."""
        self._fresh: dict[str, int] = {}
        self._best = best
        self._streams: dict[Stream, _Stream] = {}

    def read(self, process: Process, most: int | None = None) -> None:
        """Reads what is new of a process's output, as far as its listing has it, and at most so many bytes."""
        values = dict(self.values)
        for stream in STREAMS:
            text, size = getattr(process, stream), getattr(process, f"{stream}_bytes")
            if not text:
                continue
            known = self._streams.setdefault(stream, _Stream())
            for name, value in known.new_metrics(text, size, most, process.ended):
                self._add(values, name, value)
        if self._fresh:
            self.values = values

    def _add(self, values: dict[str, float], name: str, value: float) -> None:
        if name not in values and len(values) >= MOST_METRICS:
            self.is_cut = True
            return
        values[name] = value
        self.points.setdefault(name, deque(maxlen=POINTS)).append(value)
        self._fresh[name] = self._fresh.get(name, 0) + 1
        if self._best is not None and name == self._best.metric:
            self._add(values, self._best.name, self._best.of(value, values.get(self._best.name)))

    def take_fresh(self) -> dict[str, list[float]]:
        """The points that came since the last call."""
        fresh, self._fresh = self._fresh, {}
        return {name: list(self.points[name])[-count:] for name, count in fresh.items()}


Points = dict[str, list[float | str]]
"""Points as JSON can hold them: what is no finite number is its name in JavaScript."""


class Metrics:
    """The metrics of all rows of a table, by their slots."""

    def __init__(self, best: Best | None) -> None:
        self._best = best
        self._runs: dict[int, RunMetrics] = {}
        self._unread: dict[int, None] = {}

    def read(self, slot: int, process: Process, turn: "Turn") -> None:
        """Reads what is new of a process's output, now or when it is its turn; of much at once only the ends."""
        later = slot in self._unread
        self._unread.pop(slot, None)
        if not (process.stdout or process.stderr):
            return
        if turn.over:
            self._unread[slot] = None
            return
        if slot not in self._runs:
            self._runs[slot] = RunMetrics(self._best)
        self._runs[slot].read(process, ENDS if later else None)

    @property
    def has_unread(self) -> bool:
        """Whether there is output that is still to be read."""
        return bool(self._unread)

    def take_unread(self) -> int | None:
        """A slot of which there is output still to be read."""
        return next(reversed(self._unread), None)

    def values(self, slot: int) -> tuple[dict[str, float], bool]:
        """The last values of a row's metrics, and whether there are more metrics than are followed."""
        known = self._runs.get(slot)
        return (known.values, known.is_cut) if known else ({}, False)

    def take_fresh(self, slot: int) -> Points:
        """The points that came since the last call."""
        return _writable(self._runs[slot].take_fresh()) if slot in self._runs else {}

    def points(self, slot: int, values: Mapping[str, float], most: int = POINTS) -> Points:
        """The last points of a row, at least its `values`."""
        known = self._runs.get(slot)
        if known is None:
            return _writable({name: [value] for name, value in values.items()})
        return _writable({name: list(points)[-most:] for name, points in known.points.items()})

    def all_points(self, values: Mapping[int, Mapping[str, float]]) -> list[Points]:
        """The points of each row with these values, of many rows only the last ones."""
        most = MOST_POINTS // max(1, sum(map(len, values.values())))
        return [self.points(slot, of_row, max(1, min(POINTS, most))) for slot, of_row in values.items()]

    def drop(self, slot: int) -> None:
        """Forgets a row."""
        self._runs.pop(slot, None)
        self._unread.pop(slot, None)

    def clear(self) -> None:
        """Forgets all but what the rows have."""
        self._runs.clear()
        self._unread.clear()


def joined(before: Points, new: Points) -> Points:
    """The last of some points and those that came after them."""
    return before | {name: [*before.get(name, ()), *points][-POINTS:] for name, points in new.items()}


def _writable(points: Mapping[str, list[float]]) -> Points:
    return {name: list(map(_as_json, values)) for name, values in points.items()}


def _as_json(value: float) -> float | str:
    if value - value == 0:
        return float(f"{value:.6g}")
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


class Turn:
    """How long output may be read for metrics before something else has its turn."""

    def __init__(self) -> None:
        self._ends = time.perf_counter() + AT_ONCE

    @property
    def over(self) -> bool:
        """Whether it is over."""
        return time.perf_counter() >= self._ends
