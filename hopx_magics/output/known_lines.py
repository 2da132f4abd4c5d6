"""What is found in lines that differ from an earlier one in their digits alone, without looking at them anew.

Most of what a program prints, it prints again and again with other numbers: a long output is read many times faster so.
"""

import re
from collections.abc import Callable

Pair = tuple[str, float]
Look = Callable[[str], list[Pair] | None]

MOST_FORMS = 10_000
"""Forms of lines that are known at once."""

LONGEST_FORM = 500
"""Characters of a line of which it is worth it."""

_DIGITS = str.maketrans("123456789", "000000000")
# Another digit would make another word of it: `top5`, `f1`.
_WORD_WITH_DIGIT = re.compile(r"(?<!\w)[^\W\d]+\d")


_Places = list[tuple[str, int, int]]  # of (name, where its number begins, where it ends)
_UNKNOWN: _Places = []


class KnownLines:
    """The forms of lines that `look` was asked about, and where in them the numbers stand. For all threads.

    `look` is given a line alone, and gives None if what comes after it depends on it; `number` is the form of numbers.
    """

    def __init__(self, look: Look, number: re.Pattern[str]) -> None:
        self._look = look
        self._number = number
        self._known: dict[str, _Places | None] = {}

    def find(self, line: str) -> list[Pair] | None:
        """The numbers of a line; None if it has to be looked at."""
        if len(line) > LONGEST_FORM:
            return None
        form = line.translate(_DIGITS)
        places = self._known.get(form, _UNKNOWN)
        if places is _UNKNOWN:
            if len(self._known) >= MOST_FORMS:
                self._known.clear()
            places = self._known[form] = self._learn(line)
        return None if places is None else _read(line, places)

    def _learn(self, line: str) -> _Places | None:
        """Where the numbers stand in all lines of this form; None if there is a doubt."""
        if _WORD_WITH_DIGIT.search(line):
            return None
        found = self._look(line)
        if found is None:
            return None
        if not found:
            return [] if found == self._look(_with_other_digits(line, 2)) else None
        for seed in (2, 5, 7):
            places = self._places(_with_other_digits(line, seed))
            if places is not None and _read(line, places) == found:
                return places
        return None

    def _places(self, line: str) -> _Places | None:
        numbers = [(float(found[0]), *found.span()) for found in self._number.finditer(line)]
        places = []
        for name, value in self._look(line) or ():
            fitting = [(begin, end) for number, begin, end in numbers if number == value]
            if len(fitting) != 1:
                return None
            places.append((name, *fitting[0]))
        return places


def _read(line: str, places: _Places) -> list[Pair]:
    return [(name, float(line[begin:end])) for name, begin, end in places]


def _with_other_digits(line: str, seed: int) -> str:
    """With different digits in each place, so that no two numbers are equal."""
    return "".join(str(1 + seed * place % 9) if char in "0123456789" else char for place, char in enumerate(line))
