"""What is told of a table beyond its rows: how many there are of each status."""

import html
from collections.abc import Iterable

from ..output import printable
from ..words import STATUSES
from .rows import Row


def counts_in_words(rows: Iterable[Row]) -> str:
    """How many there are of each status: `2 running, 1 failed`."""
    statuses = [row.status for row in rows]
    return ", ".join(f"{statuses.count(status):,} {status}" for status in STATUSES if status in statuses)


def escaped(value: str, limit: int = 200) -> str:
    """A text of somebody else's as HTML, on one line."""
    return html.escape(printable(value, limit))
