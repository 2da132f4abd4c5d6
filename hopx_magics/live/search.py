"""What is written into the search of a live table: texts, and conditions such as `lr=0.1` and `loss<0.3`.

`page/search.js` does the same.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..output.conditions import IN_TEXT, holds
from .columns import KINDS, Column, Names, column_named
from .row import Row

Condition = Callable[[Row, float], bool]
"""Whether it holds of a row at a moment."""


class Search(NamedTuple):
    """What a search means."""

    words: str
    conditions: list[Condition]


def names_of(rows: Iterable[Row]) -> Names:
    """The parameters, tags and metrics that rows have."""
    names: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
    for row in rows:
        for kind, given in (("param", row.params), ("tag", row.tags), ("metric", row.metrics)):
            names[kind].update(dict.fromkeys(given))
    return names


def read_search(text: str, names: Names) -> Search:
    """What a search means for rows that have these names."""
    conditions: list[Condition] = []

    def take(found: re.Match[str]) -> str:
        name, wanted = found[1] or found[2], found[5] if found[4] is None else found[4]
        column = column_named(name, names)
        if column is None or column.kind == "moment":
            return found[0]
        conditions.append(lambda row, now: holds(value_in(column, row, now), found[3], wanted))
        return " "

    words = IN_TEXT.sub(take, text)
    return Search(words.strip().lower(), conditions)


def value_in(column: Column, row: Row, now: float) -> str | float | None:
    """What a row has in a column, as people write it: a share in percent, a span in seconds."""
    match column.kind:
        case "param":
            return row.params.get(column.own_name)
        case "tag":
            return row.tags.get(column.own_name)
        case "metric":
            value = row.metrics.get(column.own_name)
            return "nan" if value != value else value
        case "span":
            return row.elapsed if row.began is None else max(0.0, now - row.began)
        case "share":
            return None if row.progress is None else row.progress * 100
    told: str | float | None = getattr(row, column.name)
    return told
