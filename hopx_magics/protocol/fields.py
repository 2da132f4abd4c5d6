"""Reading single fields of replies, tolerantly: what can't be understood, or is out of all bounds, is None."""

import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from ..durations import LONGEST
from ..models import LARGEST
from ..words import STATUSES, Status

_T = TypeVar("_T")

_MOST_DIGITS = 1000

Body = bytes | bytearray
"""The body of a reply."""


def first(read: Callable[[Any], _T | None], row: dict[str, Any], *keys: str) -> _T | None:
    """The first of those fields that holds something; "" and null are what Go and JavaScript write for nothing."""
    return next((value for key in keys if (value := read(row.get(key))) not in (None, "")), None)


_STATUS_WORDS: dict[str, Status] = {
    **{status: status for status in STATUSES},
    "pending": "queued",
    "terminated": "killed",
    "stopped": "killed",
    "timeout": "failed",
    "error": "failed",
}


def read_status(word: Any) -> tuple[Status, str | None]:
    """The status that an agent's word means, and the word itself where it is another one."""
    text = read_text(word)
    if not text:
        return "unknown", None
    status = _STATUS_WORDS.get(text.strip().lower(), "unknown")
    return status, None if status == text else text


def read_text(value: Any) -> str | None:
    """A text that can be encoded: lone surrogates become U+FFFD. What is no text becomes its JSON."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_etag(value: str | None) -> str | None:
    """An ETag that can be sent back in a header."""
    return value if value and len(value) <= 500 and value.isascii() and value.isprintable() else None


def read_integer(value: Any) -> int | None:
    """A whole number that is exact everywhere."""
    number = read_number(value)
    return int(number) if number is not None and number == int(number) and abs(number) <= LARGEST else None


def read_count(value: Any) -> int | None:
    """A whole number of 0 or more."""
    number = read_integer(value)
    return number if number is not None and number >= 0 else None


def read_seconds(value: Any) -> float | None:
    """A span of 0 or more, that is not longer than any that means something."""
    number = read_number(value)
    return float(number) if number is not None and 0 <= number <= LONGEST else None


def read_number(value: Any) -> int | float | None:
    """A finite number, also one that is written as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) <= LARGEST else None
    return value if math.isfinite(value) else None


def load_json(text: Body | str) -> Any:
    """The content of a JSON text, in which a number of very many digits is an infinite one.

    Raises ValueError, and RecursionError.
    """
    return json.loads(text, parse_int=_parse_int)


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else math.inf  # int() refuses those of more than 4,300 digits


_TIME = re.compile(
    r"\s*(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(?:[Zz]|([+-])(\d\d):?(\d\d)?)?\s*"
)


def read_time(value: Any) -> datetime | None:
    """A moment in RFC 3339 with any number of fraction digits and any offset; without an offset it is UTC."""
    match = _TIME.fullmatch(value) if isinstance(value, str) and len(value) < 64 else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "")[:6].ljust(6, "0")),
            timezone(-offset if sign == "-" else offset),
        )
    except ValueError:
        return None
    return moment if 1 < moment.year < 9999 else None  # Go's zero time is the year 1
