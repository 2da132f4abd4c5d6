"""What is told of a table beyond its rows: which of them are shown, in what order, and how many there are."""

import html
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..output import printable
from ..words import STATUSES
from .rows import FIELDS, Row, Rows

_ORDER = {status: number for number, status in enumerate(STATUSES)}


def shown(rows: Rows, view: Mapping[str, Any]) -> list[int]:
    """The slots that a page shows with this view, in its order: by default the newest first, what waits on top."""
    statuses, words = view.get("filters") or (), str(view.get("search") or "").lower()
    slots = {
        slot: row
        for slot, row in rows
        if (not statuses or row.status in statuses)
        and (not words or any(words in text.lower() for text in (row.name or "", row.id, row.last)))
    }
    return sorted_slots(slots, _sorts(view.get("sort")))


def sorted_slots(rows: Mapping[int, Row], sorts: Sequence[str]) -> list[int]:
    """The slots by fields, `-field` for downwards, the first field counting most; what is unknown comes last."""
    slots = sorted(rows, key=lambda slot: _newness(rows[slot], slot), reverse=True)
    now = time.time()
    for sort in reversed(sorts):
        field = sort.lstrip("-")
        values = {slot: _value(rows[slot], field, now) for slot in slots}
        known = [slot for slot in slots if values[slot] is not None]
        known.sort(key=values.__getitem__, reverse=sort.startswith("-"))
        slots = known + [slot for slot in slots if values[slot] is None]
    return slots


def _sorts(sort: object) -> list[str]:
    """What a page, or who made the table, has said of the order, as far as it can be used."""
    wanted = sort if isinstance(sort, list) else [sort]
    return [word for word in wanted if isinstance(word, str) and word.lstrip("-") in FIELDS]


def _newness(row: Row, slot: int) -> tuple[float, int]:
    return (row.started if row.started is not None else float("inf"), slot)


def _value(row: Row, field: str, now: float) -> Any:
    if field == "status":
        return _ORDER[row.status]
    if field == "elapsed" and row.began is not None:
        return now - row.began
    value = getattr(row, field)
    return value.lower() if isinstance(value, str) else value


def counts_in_words(rows: Iterable[Row]) -> str:
    """How many there are of each status: `2 running, 1 failed`."""
    statuses = [row.status for row in rows]
    return ", ".join(f"{statuses.count(status):,} {status}" for status in STATUSES if status in statuses)


def escaped(value: str, limit: int = 200) -> str:
    """A text of somebody else's as HTML, on one line."""
    return html.escape(printable(value, limit))
