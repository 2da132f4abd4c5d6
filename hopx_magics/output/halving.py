"""Which runs of a sweep are kept at half time: those with the best values of a metric that they print by then. Pure.

A run is at half time when it prints that half of its work is done. One that prints no progress is there when it has
printed the metric half as often as a run of the sweep that has completed.
"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from ..words import Stream
from .metrics import LONGEST_LINE, Finder, better
from .oneline import printable
from .progress import newest_progress, piece_in, progress_in
from .shown import as_plain

LONGEST = 200
"""Characters of a rule."""

MOST_KEPT = 1_000_000

HALF = 0.5

MOST_READ = 400_000
"""Characters of one portion of output that are read for metrics, the last ones."""

MOST_VALUES = 100_000
"""Values of one run that are remembered."""

TAIL = 8_000
"""Characters at the end of a stream in which it is looked for progress."""

_RULE = re.compile(r"\s*([0-9]{1,9})\s+(?:(min|max)\s+)?(\S(?:.*\S)?)\s*")
_LINE = re.compile(r"[^\r\n]+")
_LAST_WORD = re.compile(r"\w*\W*\Z")


class KeepBest(NamedTuple):
    """How many runs are kept, and by the smallest or the largest values of which metric: `3 min loss`."""

    kept: int
    extreme: Literal["min", "max"]
    metric: str

    @property
    def text(self) -> str:
        """As it is written, whole."""
        return f"{self.kept} {self.extreme} {self.metric}"

    @property
    def in_words(self) -> str:
        """`best 3 by loss`."""
        return f"best {self.kept:,} by {self.metric}"

    def rank(self, value: float) -> tuple[bool, float]:
        """By which values are sorted, the best first. What is no number is behind all."""
        return (True, 0.0) if value != value else (False, value if self.extreme == "min" else -value)


def parse_keep_best(text: str) -> KeepBest:
    """The rule that a text says: `3 loss`, `3 min loss`, `1 max val accuracy`. Raises ValueError."""
    found = _RULE.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or not 1 <= int(found[1]) <= MOST_KEPT:
        raise ValueError(
            f"{printable(text, 60)!r} does not say which runs are kept: use how many, min or max, and a metric, "
            "such as '3 min loss'"
        )
    extreme, metric = found[2] or better(found[3]), printable(found[3], LONGEST)
    if extreme is None:
        raise ValueError(
            f"whether the smallest or the largest {printable(metric, 60)!r} is the best can't be told from its name: "
            f"say {found[1]} min {printable(metric, 60)}, or max"
        )
    return KeepBest(int(found[1]), "min" if extreme == "min" else "max", metric)


class Course:
    """How a metric goes on in one run, read from what is new of its streams, and its value at half time."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._word = (_LAST_WORD.search(metric) or [metric])[0] or metric
        self._finders: dict[Stream, Finder] = {}
        self._tails: dict[Stream, str] = {}
        self._is_past_half = False
        self.values: list[float] = []
        self.at_half: float | None = None
        """Its value at half time, by the progress that it prints."""
        self.tells_progress = False

    def take(self, new: Mapping[Stream, str]) -> None:
        """Reads whole lines that are new; those of stderr first, where bars are drawn."""
        for stream in sorted(new):
            self._take(stream, new[stream])

    def _take(self, stream: Stream, text: str) -> None:
        found = self._values_in(stream, text)
        before = self._tails.get(stream, "")
        self._tails[stream] = (before + text)[-TAIL:]
        if self.at_half is None and (self._is_past_half or self._half_is_over(stream, self._tails[stream])):
            first = 0 if self._is_past_half else self._first_behind_half(stream, before + text, len(before), found)
            self._is_past_half = True
            if found:
                self.at_half = found[min(first, len(found) - 1)][1]
        self.values += [value for _, value in found][: MOST_VALUES - len(self.values)]

    def _values_in(self, stream: Stream, text: str) -> list[tuple[int, float]]:
        """The values of the metric, each with where its line ends."""
        finder, found = self._finders.setdefault(stream, Finder()), []
        for line in _LINE.finditer(text, max(0, len(text) - MOST_READ)):
            if self._word in line[0] or finder.in_table:
                pairs = finder.pairs(as_plain(line[0][-LONGEST_LINE:]))
                found += [(line.end(), value) for name, value in pairs if name == self._metric]
        return found

    def _half_is_over(self, stream: Stream, text: str) -> bool:
        tails: dict[Stream, str] = {**self._tails, stream: text[-TAIL:]}
        stdout, stderr = tails.get("stdout", ""), tails.get("stderr", "")
        progress = newest_progress(stdout, stderr, piece_in(stdout) or piece_in(stderr))
        self.tells_progress = self.tells_progress or progress is not None
        return progress is not None and progress.fraction >= HALF

    def _first_behind_half(self, stream: Stream, text: str, start: int, found: list[tuple[int, float]]) -> int:
        """The number of the first value that was printed when half was over: progress goes one way.

        Where the other stream tells the progress that is the last one.
        """
        if progress_in(text[-TAIL:]) is None:
            return len(found) - 1
        low, high = 0, len(found)
        while low < high:
            middle = (low + high) // 2
            if self._half_is_over(stream, text[: start + found[middle][0]]):
                high = middle
            else:
                low = middle + 1
        return low

    def at_step(self, step: int) -> float | None:
        """The value that it has printed as the one of that number, from 1; None where it has not yet."""
        return self.values[step - 1] if len(self.values) >= step else None
