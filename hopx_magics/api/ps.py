"""Processes as a DataFrame."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack

import msgspec

from ..display import frames
from ..models import Listing, Process, ProcessId
from ..run import Run, runs_by_connection
from ..session.finding import find_process
from ..session.gathering import Listed, gather
from ..session.session import session
from .filters import ProcessFilters, chooser
from .notes import tell_notes, tell_of

if TYPE_CHECKING:
    import pandas as pd

TAIL = 65_536
"""Bytes of each stream that a listing shows by default: all of an ordinary output, the end of a huge one."""

_TAILS: dict[str, int | None] = {"none": 0, "tail": TAIL, "full": None}

OUTPUTS = tuple(_TAILS)


def ps(
    *references: str | Run,
    sort: str | None = None,
    output: str = "tail",
    by: str | None = None,
    on: str | Iterable[str] | None = None,
    **filters: Unpack[ProcessFilters],
) -> "pd.DataFrame":
    """The agent's processes as a DataFrame, newest first, or those of them that are asked for.

    `references` are runs, ids, beginnings of ids, or names. The filters are `status`, `language`, `name` (a pattern
    such as `train-*`), `since` (a span such as `2h`) and `limit` (the number of rows). `sort` is a column, `-column`
    for downwards. `output` is `none`, `tail` (the last 64 kB of each stream) or `full`. `by` gives one row for each
    value of a column instead: `count`, sum, mean and max of `execution_time` in seconds, and the last start. `on` may
    be several connections, or `all`: they are asked side by side, and one that does not answer is a warning beside its
    last known state.

    Raises ValueError for an argument that can't be used, UnknownProcess for a reference without any, AgentError.
    """
    wanted = references_of(references)
    choose = chooser(wanted, filters)
    if output not in OUTPUTS:
        raise ValueError(f"{output!r} is no choice of output: use {', '.join(OUTPUTS)}")
    listed = gather(session().chosen(on), tail=_TAILS[output])
    tell_of(listed)
    tell_notes()
    rows = [
        (each.connection.name, each.connection.place.sandbox, process) for each in listed for process in each.processes
    ]
    for reference in wanted:
        if not any(frames.is_meant(process, reference) for *_, process in rows):
            find_process(_whole(listed), reference)  # raises the error that names the nearest ones
    frame = frames.rows_frame([row for row in rows if choose(row[2])])
    frame = frames.sorted_frame(frame, sort) if by is None else frames.grouped_frame(frame, by, sort)
    limit = filters.get("limit")
    return frame if limit is None else frame.head(limit)


def references_of(references: Iterable[str | Run]) -> list[str]:
    """Ids and names as they are, and the ids of runs."""
    return [str(each.process_id) if isinstance(each, Run) else each for each in references]


def frame_of(runs: Iterable[Run]) -> "pd.DataFrame":
    """The DataFrame of some runs, in their order; what its agent no longer lists is as it was last seen."""
    chosen = list(runs)
    wanted = runs_by_connection(chosen)
    listed = gather(list(wanted), tail=TAIL) if wanted else []
    tell_of(listed)
    found: dict[tuple[str | None, ProcessId | None], tuple[str | None, Process]] = {
        (connection.name, process.process_id): (connection.place.sandbox, process)
        for connection, listing, _ in listed
        for process in (listing.processes if listing else ())
        if process.process_id in wanted[connection]
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
