"""The curves of a run: all that its metrics have been, read from the whole of its output, and thinned where long."""

import operator
import time
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..models import Process
from ..output.metrics import LONGEST_LINE, MOST_METRICS, Finder
from ..words import STREAMS, Stream
from .growth import Growth
from .panes import Read

MOST_VALUES = 10_000
"""Values of a curve that are kept: of more each two of four, eight, ... that followed each other."""

MOST_OF_RUN = 200_000
"""Values of all curves of a run that are kept."""

LEAST_VALUES = 1_000
"""Values of a curve that are kept, however many curves there are."""

RAW = 1_000
"""Values at the end of a curve that are kept as they are."""

MOST_KNOTS = 200
"""Moments of a curve that are kept; of more only each second one."""

PIECE = 256 * 1024
"""Bytes that are read at once."""

MOST_READ = 32_000_000
"""Bytes at the end of a stream that are read; what is before is left out."""

Knot = tuple[int, float]
"""The number of a value, and after how many seconds it was printed."""


class Thinned(NamedTuple):
    """A curve in as many values as are wanted: first two for each `every` values, then the others as they are."""

    every: int
    head: "array[float]"
    tail: "array[float]"


class Curve:
    """All values of one metric. Two stand for each `every` of the older ones: the least and the largest."""

    def __init__(self) -> None:
        self.count = 0
        self.knots: list[Knot] = []
        self._every = 1
        self._head = array("d")
        self._tail = array("d")

    def extend(self, values: Sequence[float], times: tuple[float | None, float | None], most: int) -> None:
        """Values that were printed between two moments; so many are kept."""
        begun, ended = times
        if begun is not None and ended is not None:
            self.knots += [(self.count + 1, begun)] if len(values) > 1 else []
            self.knots.append((self.count + len(values), ended))
            if len(self.knots) > MOST_KNOTS:
                self.knots = self.knots[:-1:2] + self.knots[-1:]
        self.count += len(values)
        self._tail.extend(values)
        self._every, self._head, self._tail = _thin(self._every, self._head, self._tail, most)

    def since(self, count: int) -> "array[float] | None":
        """The values behind the first `count`; None if they are no longer all kept."""
        missing = self.count - count
        return None if missing > len(self._tail) else self._tail[len(self._tail) - missing :]

    def thinned(self, most: int) -> Thinned:
        """The whole in so many values, if it can be had in so few."""
        return _thin(self._every, self._head, self._tail, most)


def _thin(every: int, head: "array[float]", tail: "array[float]", most: int) -> Thinned:
    raw = min(RAW, most // 2)
    while True:
        if every > 1 and (ready := (len(tail) - raw) // every * every) > 0:
            head, tail = head + _extremes(tail[:ready], every), tail[ready:]
        if len(head) + len(tail) <= most or every > most // 4:  # coarser, the rest at the end would be too long
            return Thinned(every, head, tail)
        if every == 1:
            every = 4
            continue
        if len(head) % 4 and len(tail) >= every:  # the last two have no partners
            head, tail = head + _extremes(tail[:every], every), tail[every:]
        if len(head) % 4:
            return Thinned(every, head, tail)
        every, head = every * 2, _extremes(head, 4)


def _extremes(values: "array[float]", size: int) -> "array[float]":
    """The least and the largest of each so many values, in the order in which they come, more or less."""
    columns = [values[place::size] for place in range(size)]
    total = sum(values)
    if total != total:  # what is no number is left out, where there is a number beside it
        return _extremes_of_numbers(values, size)
    thinned = array("d")
    rising = map(operator.le, columns[0], columns[-1])
    for low, high, rises in zip(map(min, *columns), map(max, *columns), rising, strict=True):
        thinned.extend((low, high) if rises else (high, low))
    return thinned


def _extremes_of_numbers(values: "array[float]", size: int) -> "array[float]":
    thinned = array("d")
    for begin in range(0, len(values), size):
        numbers = [value for value in values[begin : begin + size] if value == value] or [float("nan")]
        low, high = min(numbers), max(numbers)
        thinned.extend((low, high) if numbers[0] <= numbers[-1] else (high, low))
    return thinned


class _StreamCurves:
    """One stream of a process, as far as it was read."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._finder = Finder()
        self._rest = b""
        self._over = False
        self.place: int | None = None
        self.size = 0
        self.skipped = 0

    @property
    def unread(self) -> int:
        """Bytes that are still to be read."""
        return max(0, self.size - (self.place or 0))

    def has_news(self, size: int | None, ended: bool) -> bool:
        """Whether there may be something to be read, in a stream of so many bytes."""
        return not (self._over and ended) and (self.place is None or size is None or size > self.place or ended)

    def next_values(self, ended: bool) -> dict[str, list[float]]:
        """What is found in the next piece, in the order of its lines."""
        if self.place is None:
            self.size = self._read(-1).size
            self.place = self.skipped = max(0, self.size - MOST_READ)
        part = self._read(self.place, self.place + PIECE)
        self.size = part.size
        self.skipped += max(0, part.end - self.place - len(part.kept))
        self.place = max(self.place, part.end)
        data = self._rest + part.kept
        self._over = ended and not self.unread
        stop = len(data) if self._over else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._rest = data[stop:][-LONGEST_LINE:]
        return self._found(data[:stop].decode("utf-8", "replace"))

    def _found(self, text: str) -> dict[str, list[float]]:
        # Each state of a progress bar counts, however many of them come at once.
        found: dict[str, list[float]] = {}
        for name, value in self._finder.find(text.replace("\r\n", "\n").replace("\r", "\n")):
            found.setdefault(name, []).append(value)
        return found


class RunCurves:
    """The curves of one run, by their names. `reader_of` reads its streams."""

    def __init__(self, reader_of: Callable[[Stream], Read]) -> None:
        self._streams = {stream: _StreamCurves(reader_of(stream)) for stream in STREAMS}
        self.curves: dict[str, Curve] = {}
        self.is_cut = False
        """Whether there were more metrics than are followed."""

    @property
    def unread(self) -> int:
        """Bytes that are known, and still to be read."""
        return sum(stream.unread for stream in self._streams.values())

    @property
    def skipped(self) -> int:
        """Bytes that are not read at all."""
        return sum(stream.skipped for stream in self._streams.values())

    def has_news(self, process: Process) -> bool:
        """Whether there may be something to be read."""
        sizes = {"stdout": process.stdout_bytes, "stderr": process.stderr_bytes}
        return any(stream.has_news(sizes[name], process.ended) for name, stream in self._streams.items())

    def read(self, process: Process, growth: Growth, until: float) -> None:
        """Reads on, until that moment of the monotonic clock. Raises HopxError."""
        for name, stream in self._streams.items():
            while True:
                begun = growth.at(name, stream.place or 0)
                for metric, values in stream.next_values(process.ended).items():
                    self._extend(metric, values, (begun, growth.at(name, stream.place or 0)))
                if not stream.unread:
                    break
                if time.monotonic() >= until:
                    return

    def _extend(self, name: str, values: Sequence[float], times: tuple[float | None, float | None]) -> None:
        if name not in self.curves:
            if len(self.curves) >= MOST_METRICS:
                self.is_cut = True
                return
            self.curves[name] = Curve()
        most = max(LEAST_VALUES, min(MOST_VALUES, MOST_OF_RUN // len(self.curves)))
        self.curves[name].extend(values, times, most)
