"""Which rows of a live table are shown, and in what order. `page/order.js` and `page/sorting.js` do the same."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..display.frames import Standing, standing
from ..display.run_name import told_apart
from ..output.conditions import number_in
from ..words import STATUSES
from .columns import KINDS, Column, Names, column_of
from .row import Row
from .search import names_of, read_search, value_in

_HAS_OPERATOR = re.compile("[<>=]")
_NO_NAMES: Names = dict.fromkeys(KINDS, ())
_DIGITS = re.compile("[0-9]+")


def shown(rows: Iterable[tuple[int, Row]], view: Mapping[str, Any], now: float) -> list[int]:
    """The slots that a page shows with this view at this moment, in its order.

    `sort` of the view are columns, `-column` for downwards, of which the first counts most; what is unknown comes
    last. Without it, and where all else is the same: what runs, what waits, what has ended. `filters` are statuses, and
    `search` is looked for in names, ids and last lines, but for conditions in it such as `loss<0.3`; `found` are the
    slots of rows that have it in their output.
    """
    statuses, words = view.get("filters") or (), str(view.get("search") or "")
    known, found = dict(rows), view.get("found")
    in_output = {slot for slot in found if isinstance(slot, int)} if isinstance(found, list) else set[int]()
    search = read_search(words, names_of(known.values()) if _HAS_OPERATOR.search(words) else _NO_NAMES)
    chosen = {
        slot: row
        for slot, row in known.items()
        if (not statuses or row.status in statuses)
        and all(holds(row, now) for holds in search.conditions)
        and (not search.words or slot in in_output or any(search.words in text.lower() for text in _texts(row)))
    }
    return _sorted(chosen, _sorts(view.get("sort")), now)


def _sorted(rows: Mapping[int, Row], sorts: Sequence[str], now: float) -> list[int]:
    slots = sorted(rows, key=lambda slot: (standing_of(rows[slot]), slot))
    for sort in reversed(sorts):
        column = column_of(sort.lstrip("-"))
        keys = {slot: _key(column, rows[slot], now) for slot in slots}
        known = [slot for slot in slots if keys[slot] is not None]
        known.sort(key=keys.__getitem__, reverse=sort.startswith("-"))
        slots = known + [slot for slot in slots if keys[slot] is None]
    return slots


def standing_of(row: Row) -> Standing:
    """Where a row stands in the default order."""
    return standing(row.status, row.ended if row.started is None else row.started, first=row.first)


def _sorts(sort: object) -> list[str]:
    """What a page, or who made the table, has said of the order, as far as it can be used."""
    wanted = sort if isinstance(sort, list) else [sort]
    return [word for word in wanted if isinstance(word, str) and column_of(word.lstrip("-"))]


def _texts(row: Row) -> tuple[str, str, str]:
    return told_apart(row.name or row.id, row.params), row.id, row.last


def _key(column: Column | None, row: Row, now: float) -> Any:
    if column is None:
        return None
    match column.kind:
        case "param" | "tag":
            return _value_key(str(value_in(column, row, now) or ""))
        case "metric":
            value = value_in(column, row, now)
            return None if isinstance(value, str) else value
        case "status":
            return STATUSES.index(row.status)
        case "text":
            return _natural(getattr(row, column.name) or "") or None
        case "span":
            return row.elapsed if row.began is None else now - row.began
        case "moment":
            return math.inf if row.started is None and row.status == "queued" else row.started
    return getattr(row, column.name)


def _value_key(text: str) -> tuple[int, float, bytes] | None:
    """Numbers by their size, and before texts."""
    number = number_in(text)
    if number is not None:
        return 0, number, b""
    return (1, 0.0, _natural(text)) if text else None


def _natural(text: str) -> bytes:
    """Texts by their code units, in lower case, but with numbers by their size: `run 9` before `Run 10`."""
    padded = _DIGITS.sub(lambda digits: digits[0].zfill(20), text.lower())
    return padded.encode("utf-16-be", "surrogatepass")
