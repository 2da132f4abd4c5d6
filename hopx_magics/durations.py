"""Spans of time as people write and read them: those of the live table's page are in `live/page/format.js`."""

import math
import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[smhdw])\s*")
_SPAN = re.compile(rf"(?:{_PART.pattern})+")

_LARGE_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_ROUGH_UNITS = ((60, 1, "s"), (5400, 60, "min"), (129600, 3600, "h"), (math.inf, 86400, "d"))

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


def bounded(seconds: float) -> float:
    """The span itself, or the nearest one that means something: 0 to `LONGEST`."""
    return min(max(0.0, seconds), LONGEST)


def format_duration(seconds: float) -> str:
    """A span that is over, in two units at most: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    seconds = bounded(seconds)
    tenths = math.floor(seconds * 10 + 0.5)
    return f"{tenths // 10}.{tenths % 10} s" if tenths < 100 else _whole(math.floor(seconds + 0.5))


def format_counting(seconds: float) -> str:
    """A span that is still being counted, by the whole seconds that are over: `0 s`, `59 s`, `1 min`, `3 min 5 s`."""
    return _whole(math.floor(bounded(seconds)))


def format_roughly(seconds: float) -> str:
    """A span that is only estimated, by its largest unit: `40 s`, `2 min`, `3 h`."""
    whole = max(1, math.floor(bounded(seconds) + 0.5))
    size, unit = next((size, unit) for most, size, unit in _ROUGH_UNITS if whole < most)
    return f"{math.floor(whole / size + 0.5)} {unit}"


def _whole(seconds: int) -> str:
    for size, unit, smaller_size, smaller_unit in _LARGE_UNITS:
        if seconds >= size:
            rest = seconds % size // smaller_size
            return f"{seconds // size} {unit} {rest} {smaller_unit}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"
