"""The live table."""

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack

from ..durations import parse_duration
from ..errors import NameWarning, tell
from ..live.choosing import Chosen
from ..live.metrics import Best
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
    columns: str | Iterable[str] | None = None,
    best: str | None = None,
    on: str | Iterable[str] | None = None,
    **filters: Unpack[ProcessFilters],
) -> "LiveTable":
    """A live table of processes with viewers of their output, which shows itself in a notebook.

    What it shows is chosen as in `ps`: `limit` keeps the first ones, `sort` and `by` (status, name, connection, or a
    parameter or tag) are how it begins, and `on` may be several connections. `columns` are those that it shows beside
    status and name, in their order: `["lr", "loss", "memory"]`; parameters, tags and metrics are meant by their names,
    or by `param.lr`, `tag.exp`, `metric.loss`. Without, they are as in the last table in which some were chosen.
    `best="min loss"` adds the best value of a metric as one of that name. An agent that can't tell of changes is asked
    every `interval`, by default each second. `notify` asks the browser to tell when a process that ran for over 10 s
    has ended.

    The table is an ipywidget with `selected` (runs), `frame()` (the shown rows) and `close()`.

    Raises ValueError for an argument that can't be used, UnknownConnection. Warns of a parameter, tag or metric that no
    run has yet, where one that looks like it is there.
    """
    from ..live.table import LiveTable

    wanted = columns.split(",") if isinstance(columns, str) else columns
    extreme = None if best is None else _best(best)
    pause = None if interval is None else parse_duration(interval)
    if pause is not None and pause < SHORTEST_INTERVAL:
        raise ValueError(f"an interval of {pause:g} s is too short: use {SHORTEST_INTERVAL:g}s or more")
    table = LiveTable(
        session().chosen(on),
        chooser(references_of(references), filters),
        filters=filters_in_words(references_of(references), filters),
        limit=filters.get("limit"),
        interval=pause,
        notify=notify,
        best=extreme,
    )
    try:
        asked = None if wanted is None else [word.strip() for word in wanted if word.strip()]
        if asked and extreme is not None:
            asked = list(dict.fromkeys([*asked, f"metric.{extreme.name}"]))
        table.begin(sort=sort, group=by, columns=asked, chosen=session().columns or Chosen())
    except ValueError:
        table.close()
        raise
    for note in table.unseen(*([f"metric.{extreme.metric}"] if extreme else [])):
        tell(note, NameWarning)
    table.on_chosen(_remember)
    if asked is not None:
        _remember(Chosen(only=table.columns))
    _tables.add(table)
    return table


def _best(text: str) -> Best:
    extreme, _, metric = text.strip().partition(" ")
    if extreme not in ("min", "max") or not metric.strip():
        raise ValueError(f"{text!r} does not say what is best: use min or max and a metric, such as 'min loss'")
    return Best("min" if extreme == "min" else "max", metric.strip())


def _remember(chosen: Chosen) -> None:
    """The next table of this program begins with these columns."""
    session().columns = chosen


def close_tables() -> None:
    """Closes all live tables: they keep their last state."""
    for table in list(_tables):
        table.close()
