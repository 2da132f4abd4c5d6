"""Processes as a DataFrame and as a live table."""

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from ..display import frames
from ..durations import parse_duration
from ..live.columns import TABLE_GROUPS, TABLE_SORTS, own_sort
from ..models import Listing, Process
from ..run import PastRun, Run
from ..session import Listed, checked_language, find_process
from .common import asked, by_connection, checked_statuses, session, tell_notes

if TYPE_CHECKING:
    import pandas as pd

    from ..live.table import LiveTable

TAIL = 65_536
"""Bytes of each stream that a listing shows by default: all of an ordinary output, the end of a huge one."""

_TAILS: dict[str, int | None] = {"none": 0, "tail": TAIL, "full": None}

OUTPUTS = tuple(_TAILS)

SHORTEST_INTERVAL = 0.2
"""Seconds between two questions to an agent, at least: its rate limit is 300 a minute."""

_tables: "weakref.WeakSet[LiveTable]" = weakref.WeakSet()


def ps(
    *references: str | Run,
    status: str | Iterable[str] = (),
    language: str | None = None,
    name: str | None = None,
    since: str | float | None = None,
    sort: str | None = None,
    limit: int | None = None,
    output: str = "tail",
    by: str | None = None,
    on: str | Iterable[str] | None = None,
) -> "pd.DataFrame":
    """The agent's processes as a DataFrame, newest first, or those of them that are asked for.

    `references` are runs, ids, beginnings of ids, or names; `name` is a pattern such as `train-*`; `since` is a span
    such as `2h`. `sort` is a column, `-column` for downwards; `limit` the number of rows. `output` is `none`, `tail`
    (the last 64 kB of each stream) or `full`. `by` gives one row for each value of a column instead: `count`, sum,
    mean and max of `execution_time` in seconds, and the last start. `on` may be several connections, or `all`: they are
    asked side by side, and one that does not answer is a warning beside its last known state.

    Raises ValueError for an argument that can't be used, UnknownProcess for a reference without any, AgentError.
    """
    wanted = [reference.process_id if isinstance(reference, Run) else reference for reference in references]
    choose = _chooser(wanted, status, language, name, since, limit)
    if output not in OUTPUTS:
        raise ValueError(f"{output!r} is no choice of output: use {', '.join(OUTPUTS)}")
    listed = asked(session().chosen(on), tail=_TAILS[output])
    tell_notes()
    rows = [
        (connection.name, connection.place.sandbox, process)
        for connection, listing, _ in listed
        for process in (listing.processes if listing else ())
    ]
    for reference in wanted:
        if not any(frames.is_meant(process, reference) for *_, process in rows):
            find_process(_whole(listed), reference)  # raises the error that names the nearest ones
    frame = frames.rows_frame([row for row in rows if choose(row[2])])
    frame = frames.sorted_frame(frame, sort) if by is None else frames.grouped_frame(frame, by, sort)
    return frame if limit is None else frame.head(limit)


def watch(
    *references: str | Run,
    status: str | Iterable[str] = (),
    language: str | None = None,
    name: str | None = None,
    since: str | float | None = None,
    sort: str | None = None,
    limit: int | None = None,
    by: str | None = None,
    interval: str | float | None = None,
    notify: bool = False,
    on: str | Iterable[str] | None = None,
) -> "LiveTable":
    """A live table of processes with viewers of their output, which shows itself in a notebook.

    What it shows is chosen as in `ps`: `limit` keeps the newest, `sort` and `by` (status, name or connection) are how
    it begins, and `on` may be several connections. An agent that can't tell of changes is asked every `interval`,
    by default each second. `notify` asks the browser to tell when a process that ran for over 10 s has ended.

    The table is an ipywidget with `selected` (runs), `frame()` (the shown rows) and `close()`.

    Raises ValueError for an argument that can't be used, UnknownConnection.
    """
    from ..live.table import LiveTable

    wanted = [reference.process_id if isinstance(reference, Run) else reference for reference in references]
    if sort is not None and sort.lstrip("-") not in TABLE_SORTS:
        raise ValueError(f"a live table has no column {sort.lstrip('-')!r}: use {', '.join(TABLE_SORTS)}")
    if by is not None and by not in TABLE_GROUPS:
        raise ValueError(f"a live table can't be grouped by {by!r}: use {', '.join(TABLE_GROUPS)}")
    pause = None if interval is None else parse_duration(interval)
    if pause is not None and pause < SHORTEST_INTERVAL:
        raise ValueError(f"an interval of {pause:g} s is too short: use {SHORTEST_INTERVAL:g}s or more")
    table = LiveTable(
        session(),
        session().chosen(on),
        _chooser(wanted, status, language, name, since, limit),
        sort=own_sort(sort) if sort else None,
        group=by,
        limit=limit,
        interval=pause,
        notify=notify,
    )
    _tables.add(table)
    return table


def close_tables() -> None:
    """Closes all live tables: they keep their last state."""
    for table in list(_tables):
        table.close()


def frame_of(runs: Iterable[Run]) -> "pd.DataFrame":
    """The DataFrame of some runs, in their order; what its agent no longer lists is as it was last seen."""
    chosen = list(runs)
    wanted = by_connection(run for run in chosen if not isinstance(run, PastRun))
    listed = asked([session().connection(name) for name in wanted], tail=TAIL) if wanted else []
    found = {
        (connection.name, process.process_id): (connection.place.sandbox, process)
        for connection, listing, _ in listed
        for process in (listing.processes if listing else ())
        if process.process_id in wanted[connection.name]
    }
    rows = []
    for run in chosen:
        sandbox, process = found.get((run.connection, run.process_id), (None, run.process))
        rows.append((run.connection, sandbox, process))
    return frames.rows_frame(rows)


def _whole(listed: list[Listed]) -> Listing:
    """One listing of all that several agents have."""
    listings = [each.listing for each in listed if each.listing is not None]
    processes = tuple(process for listing in listings for process in listing.processes)
    return msgspec.structs.replace(
        listings[0], processes=processes, agent=" and ".join(each.connection.agent.label for each in listed[:3])
    )


def _chooser(
    wanted: list[str],
    status: str | Iterable[str],
    language: str | None,
    name: str | None,
    since: str | float | None,
    limit: int | None,
) -> Callable[[Process], bool]:
    """Tells of a process whether these filters mean it. Raises ValueError for one that can't be used."""
    if limit is not None and limit < 0:
        raise ValueError(f"a limit of {limit} rows can't be: use 0 or more")
    return frames.chooser(
        references=wanted,
        statuses=checked_statuses([status] if isinstance(status, str) else status),
        language=checked_language(language) if language else None,
        name=name,
        since=None if since is None else parse_duration(since),
    )
