"""Conditions as people write them: `loss<0.3`, `lr=0.1`. `live/page/search.js` reads them in the same way. Pure."""

import math
import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .oneline import printable

IN_TEXT = re.compile(r"""(?:"([^"]+)"|([^\s"<>=!]+))\s*(<=|>=|!=|==?|<|>)\s*(?:"([^"]*)"|([^\s"<>=!]+))""", re.ASCII)
"""A condition among other words: its name, bare or in quotes, its operator and its value are groups."""

_BOUND = re.compile(r"""\s*"?([^"<>=!]*[^"<>=!\s])"?\s*(<=|>=|!=|==?|<|>)\s*"?([^\s"<>=!]+)"?\s*""")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMPARES: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
_NO_NUMBERS = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf}

LONGEST = 200
"""Characters of a bound."""


def number_in(text: str) -> float | None:
    """What a text says as a number, None where it says none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def holds(value: str | float | None, sign: str, wanted: str) -> bool:
    """Whether what there is, be it nothing, compares so with what is written. Without numbers only equality counts."""
    if value is None:
        return sign == "!="
    one, other = number_in(value) if isinstance(value, str) else value, number_in(wanted)
    if one is not None and other is not None:
        return _COMPARES[_plain(sign)](one, other)
    equal = str(value).lower() == wanted.lower()
    return not equal if sign == "!=" else equal and sign in ("=", "==")


def _plain(sign: str) -> str:
    return "=" if sign == "==" else sign


class Bound(NamedTuple):
    """A bound of a metric: `loss>10`. Its `text` is how it is told."""

    metric: str
    sign: str
    limit: float

    @property
    def text(self) -> str:
        """`loss>10`."""
        return f"{self.metric}{self.sign}{self.limit:.15g}"

    def is_met_by(self, value: float) -> bool:
        """Whether a value of the metric meets it. What is no number counts as larger than all: it has diverged."""
        return _COMPARES[self.sign](_rank(value), _rank(self.limit))


def _rank(value: float) -> tuple[bool, float]:
    return (True, 0.0) if value != value else (False, value)


def parse_bound(text: str) -> Bound:
    """The bound that a text says: `loss>10`, `val loss < 0.01`, `acc>=0.9`, `loss=nan`. Raises ValueError."""
    found = _BOUND.fullmatch(text) if len(text) <= LONGEST else None
    limit = None if found is None else _limit(found[3])
    if found is None or limit is None:
        raise ValueError(
            f"{printable(text, 60)!r} is no bound of a metric: use its name as it is printed, <, <=, >, >=, = or !=, "
            "and a number, such as 'loss>10'"
        )
    return Bound(printable(found[1], LONGEST), _plain(found[2]), limit)


def _limit(text: str) -> float | None:
    return _NO_NUMBERS.get(text.lower(), number_in(text))
