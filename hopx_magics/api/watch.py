"""The live table."""

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack

from ..durations import parse_duration
from ..live.columns import TABLE_GROUPS, TABLE_SORTS, own_sort
from ..output.oneline import instead_of
from ..run import Run
from ..session.session import session
from .filters import ProcessFilters, chooser, filters_in_words
from .ps import references_of

if TYPE_CHECKING:
    from ..live.table import LiveTable

SHORTEST_INTERVAL = 0.2
"""Seconds between two questions to an agent, at least: its rate limit is 300 a minute."""

_tables: "weakref.WeakSet[LiveTable]" = weakref.WeakSet()


def watch(
    *references: str | Run,
    sort: str | None = None,
    by: str | None = None,
    interval: str | float | None = None,
    notify: bool = False,
    on: str | Iterable[str] | None = None,
    **filters: Unpack[ProcessFilters],
) -> "LiveTable":
    """A live table of processes with viewers of their output, which shows itself in a notebook.

    What it shows is chosen as in `ps`: `limit` keeps the first ones, `sort` and `by` (status, name or connection) are
    how it begins, and `on` may be several connections. An agent that can't tell of changes is asked every `interval`,
    by default each second. `notify` asks the browser to tell when a process that ran for over 10 s has ended.

    The table is an ipywidget with `selected` (runs), `frame()` (the shown rows) and `close()`.

    Raises ValueError for an argument that can't be used, UnknownConnection.
    """
    from ..live.table import LiveTable

    if sort is not None and sort.lstrip("-") not in TABLE_SORTS:
        column = sort.lstrip("-")
        raise ValueError(f"a live table has no column {column!r}: {instead_of(column, TABLE_SORTS)}")
    if by is not None and by not in TABLE_GROUPS:
        raise ValueError(f"a live table can't be grouped by {by!r}: use {', '.join(TABLE_GROUPS)}")
    pause = None if interval is None else parse_duration(interval)
    if pause is not None and pause < SHORTEST_INTERVAL:
        raise ValueError(f"an interval of {pause:g} s is too short: use {SHORTEST_INTERVAL:g}s or more")
    table = LiveTable(
        session().chosen(on),
        chooser(references_of(references), filters),
        sort=own_sort(sort) if sort else None,
        group=by,
        filters=filters_in_words(references_of(references), filters),
        limit=filters.get("limit"),
        interval=pause,
        notify=notify,
    )
    _tables.add(table)
    return table


def close_tables() -> None:
    """Closes all live tables: they keep their last state."""
    for table in list(_tables):
        table.close()
