"""Spans of time as people write and read them."""

import math
import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[smhdw])\s*")
_SPAN = re.compile(rf"(?:{_PART.pattern})+")

LONGEST = 100 * 366 * 86400.0
"""Seconds of the longest span: calendars end not far beyond."""

FORMS = "90s, 15m, 2h, 1h30m, 7d, or a number of seconds"


def parse_duration(text: str | float) -> float:
    """Seconds of a span such as `90s`, `1h30m`, `7d` or `2.5`. Raises ValueError that shows the right form."""
    if isinstance(text, str):
        span = text.strip().lower()
        if _SPAN.fullmatch(span):
            text = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(span))
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{text!r} is no span of time: use {FORMS}")
    return seconds


def parse_limit(text: str | float | None) -> float | None:
    """Like `parse_duration`; `none`, None and 0 mean no limit."""
    if text is None or (isinstance(text, str) and text.strip().lower() == "none"):
        return None
    try:
        return parse_duration(text) or None
    except ValueError:
        raise ValueError(f"{text!r} is no time limit: use {FORMS}, or none") from None


def format_duration(seconds: float) -> str:
    """A span in two units at most: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, smaller_size, smaller_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller_unit}" if rest else f"{whole // size} {unit}"
    raise AssertionError("a span of 60 s or more is at least one minute")
