"""Processes as a DataFrame."""

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Unpack

import msgspec

from ..display import frames
from ..display.in_words import nothing_in_words, with_place
from ..display.run_name import given_in_order
from ..models import Listing, Process, ProcessId
from ..run import Run, runs_by_connection
from ..session.finding import find_process, is_meant
from ..session.gathering import Listed, gather
from ..session.session import session
from ..words import OUTPUT_CHOICES
from .filters import ProcessFilters, chooser, filters_in_words
from .notes import tell_notes, tell_of

if TYPE_CHECKING:
    import pandas as pd

TAIL = 65_536
"""Bytes of each stream that a listing shows by default: all of an ordinary output, the end of a huge one."""

_TAILS: dict[str, int | None] = {"none": 0, "tail": TAIL, "full": None}


def ps(
    *references: str | Run,
    sort: str | None = None,
    output: str = "tail",
    by: str | None = None,
    on: str | Iterable[str] | None = None,
    **filters: Unpack[ProcessFilters],
) -> "pd.DataFrame":
    """The agent's processes as a DataFrame, or those of them that are asked for: what runs, what waits, what has ended.

    `references` are runs, ids, beginnings of ids, or names. The filters are `status`, `language`, `name` (a pattern
    such as `train-*`), `since` (a span such as `2h`) and `limit` (the number of rows). `sort` is a column, `-column`
    for downwards; without it what runs comes first, the newest on top, then what is queued in its order, then what has
    ended, the newest on top. `output` is `none`, `tail` (the last 64 kB of each stream) or `full`. `by` gives one row
    for each value of a column instead: `count`, sum, mean and max of `execution_time` in seconds, and the last start.
    `on` may be several connections, or `all`: they are asked side by side, and one that does not answer is a warning
    beside its last known state.

    Raises ValueError for an argument that can't be used, UnknownProcess for a reference without any, AgentError.
    """
    wanted = references_of(references)
    choose = chooser(wanted, filters)
    if output not in OUTPUT_CHOICES:
        raise ValueError(f"{output!r} is no choice of output: use {', '.join(OUTPUT_CHOICES)}")
    listed = gather(session().chosen(on), tail=_TAILS[output], strict=True)
    tell_of(listed)
    tell_notes()
    if wanted:
        _check_that_all_are_listed(wanted, listed)
    processes, places = _chosen(listed, choose)
    limit = filters.get("limit")
    if sort is None and by is None:
        first = frames.in_default_order(processes)[:limit]
        processes, places = [processes[number] for number in first], [places[number] for number in first]
    frame = frames.processes_frame(processes, places)
    if by is not None:
        frame = frames.grouped_frame(frame, by, sort)
    elif sort is not None:
        frame = frames.sorted_frame(frame, sort)
    listed_in_all = sum(len(each.processes) for each in listed)
    why = nothing_in_words((), listed_in_all, filters_in_words(wanted, filters))
    return frames.empty_because(frame if limit is None else frame.head(limit), why)


def given_of(connection: str, process_ids: Collection[ProcessId]) -> dict[ProcessId, dict[str, str]]:
    """What processes of a connection were given, as texts: first that in which they differ from others of their sweep.

    Asks no agent, only the history; what it doesn't know is left out.
    """
    known = session().connections.get(connection)
    if known is None:
        return {}
    found = known.given(process_ids)
    differing = known.differing({told.sweep_id for told in found.values() if told.sweep_id})
    return {one: given_in_order(told.params, differing.get(told.sweep_id or "", ())) for one, told in found.items()}


def _check_that_all_are_listed(references: list[str], listed: list[Listed]) -> None:
    """Raises UnknownProcess that names the processes which are nearest to a reference without any."""
    processes = [process for each in listed for process in each.processes]
    for reference in references:
        if not any(is_meant(process, reference) for process in processes):
            find_process(_whole(listed), reference)


def _chosen(listed: list[Listed], choose: Callable[[Process], bool]) -> tuple[list[Process], list[frames.Place]]:
    """The processes that are wanted, and the place of each."""
    processes: list[Process] = []
    places: list[frames.Place] = []
    for each in listed:
        chosen = [process for process in each.processes if choose(process)]
        if each.listing and each.listing.queue:
            chosen = [with_place(process, each.listing) for process in chosen]
        processes += chosen
        places += [(each.connection.name, each.connection.place.sandbox)] * len(chosen)
    return processes, places


def references_of(references: Iterable[str | Run]) -> list[str]:
    """Ids and names as they are, and the ids of runs."""
    return [str(each.process_id) if isinstance(each, Run) else each for each in references]


def frame_of(runs: Iterable[Run]) -> "pd.DataFrame":
    """The DataFrame of some runs, in their order; what its agent no longer lists is as it was last seen."""
    chosen = list(runs)
    wanted = runs_by_connection(chosen)
    listed = gather(list(wanted), tail=TAIL, strict=True) if wanted else []
    tell_of(listed)
    found = {
        (each.connection.name, process.process_id): (process, each.connection.place.sandbox)
        for each in listed
        for process in each.processes
    }
    shown = [found.get((str(run.connection), run.process_id), (run.process, None)) for run in chosen]
    places = [(run.connection, sandbox) for run, (_, sandbox) in zip(chosen, shown, strict=True)]
    return frames.processes_frame([process for process, _ in shown], places)


def _whole(listed: list[Listed]) -> Listing:
    """One listing of all that several agents have."""
    listings = [each.listing for each in listed if each.listing is not None]
    processes = tuple(process for listing in listings for process in listing.processes)
    return msgspec.structs.replace(
        listings[0], told=processes, told_at={}, agent=" and ".join(each.connection.agent.label for each in listed[:3])
    )
