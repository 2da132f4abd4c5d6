"""Reading single fields of replies, tolerantly: what can't be understood is None."""

import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from ..words import STATUSES, Status

_T = TypeVar("_T")

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
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_etag(value: str | None) -> str | None:
    """An ETag that can be sent back in a header."""
    return value if value and len(value) <= 500 and value.isascii() and value.isprintable() else None


_INT64 = range(-(2**63), 2**63)


def read_integer(value: Any) -> int | None:
    """A whole number of 64 bits."""
    number = read_number(value)
    if number is None or number != int(number) or int(number) not in _INT64:
        return None
    return int(number)


def read_seconds(value: Any) -> float | None:
    """A span of 0 or more."""
    number = read_number(value)
    return None if number is None or number < 0 else float(number)


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
        return value if value in _INT64 else None
    return value if math.isfinite(value) else None


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
