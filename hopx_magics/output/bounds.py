"""When what a program prints meets a bound: `loss>10`. Pure.

What may be a metric's value is found by one regular expression, and only where that would meet the bound, or where it
can't tell, the line is read as `metrics_in` does: much output costs little.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .conditions import Bound
from .error_lines import ErrorLines
from .metrics import LONGEST_LINE, Finder

MOST_READ = 2_000
"""Lines of one portion of output that are read for metrics, at most: so many take 50 ms."""

CONTEXT = 8_000
"""Characters before a line in which an error may have begun that it is part of."""

_LAST_WORD = re.compile(r"\w*\W*\Z")
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_ENDS = re.compile(r"[\r\n]+")
_GAP = r"[ \t]{0,40}"
_NUMBER = r"[+-]?(?:[0-9.]{1,40}(?:[eE][+-]?[0-9]{1,4})?|(?i:nan|inf))"
_VALUE = rf"[\"']?{_GAP}[:=|│]?{_GAP}['\"]?({_NUMBER})(?![\w.])"


class Met(NamedTuple):
    """That a metric had a value that meets a bound."""

    bound: Bound
    value: float


class Watch:
    """Reads the output of one stream as it grows, for the first value that meets each of some bounds."""

    def __init__(self, bounds: Sequence[Bound]) -> None:
        self._bounds = list(bounds)
        self._names = [(_named(word), of_word) for word, of_word in _by_last_word(bounds).items()]
        self._finder = Finder()
        self._before = ""

    def take(self, text: str) -> Iterator[Met]:
        """The bounds that are met in the next lines, which are whole; each once."""
        text = _SGR.sub("", text) if "\x1b" in text else text
        for count, (start, end) in enumerate(self._worth_reading(text)):
            if not self._bounds or count >= MOST_READ:
                break
            line = text[max(start, end - LONGEST_LINE) : end]
            for name, value in self._finder.pairs(line):
                met = [each for each in self._bounds if each.metric == name and each.is_met_by(value)]
                if met and not self._is_of_error(text, start, line):
                    self._bounds = [each for each in self._bounds if each not in met]
                    yield from (Met(each, value) for each in met)
        self._before = (self._before + text)[-CONTEXT:]

    def _worth_reading(self, text: str) -> Iterator[tuple[int, int]]:
        """The places of the lines that may meet a bound, that may begin a table, or that are rows of one."""
        candidates = sorted({place for name, bounds in self._names for place in _candidates(text, name, bounds)})
        position, number = 0, 0
        while position < len(text):
            while number < len(candidates) and candidates[number] < position:
                number += 1
            if not self._finder.in_table and number == len(candidates):
                return
            start = position if self._finder.in_table else _line_start(text, position, candidates[number])
            ends = _ENDS.search(text, start)
            end, position = (ends.start(), ends.end()) if ends else (len(text), len(text))
            yield start, end

    def _is_of_error(self, text: str, start: int, line: str) -> bool:
        """Whether a line is part of the text of an error or a warning, which began before it."""
        errors = ErrorLines()
        before = (self._before + text[max(0, start - CONTEXT) : start])[-CONTEXT:]
        for earlier in before.splitlines():
            errors.take(earlier)
        return errors.take(line)


def _by_last_word(bounds: Sequence[Bound]) -> dict[str, list[Bound]]:
    """The bounds by how the names of their metrics end, which stands ahead of a value, wherever the rest is."""
    found: dict[str, list[Bound]] = {}
    for each in bounds:
        end = _LAST_WORD.search(each.metric)
        found.setdefault(end[0] if end and end[0] else each.metric, []).append(each)
    return found


def _line_start(text: str, position: int, place: int) -> int:
    """Where the line begins that is at a place, not before the position."""
    return max(text.rfind("\n", position, place) + 1, text.rfind("\r", position, place) + 1, position)


def _named(word: str) -> re.Pattern[str]:
    """A word, not the end of a longer one, with the value that may be behind it."""
    literal = re.escape(word)
    alone = rf"{literal}(?<!\w{literal})(?!\w)" if word[0].isalnum() else literal
    return re.compile(rf"{alone}(?:{_VALUE})?")


def _candidates(text: str, name: re.Pattern[str], bounds: Sequence[Bound]) -> list[int]:
    """Where that word is, other than ahead of a value within bounds."""
    return [found.start() for found in name.finditer(text) if found[1] is None or _may_meet(found[1], bounds)]


def _may_meet(digits: str, bounds: Sequence[Bound]) -> bool:
    try:
        value = float(digits)
    except ValueError:
        return True
    return any(each.is_met_by(value) for each in bounds)
