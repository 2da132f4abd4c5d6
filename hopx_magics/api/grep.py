"""Searching what runs have printed."""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Unpack

from ..connection.connection import Connection
from ..display.run_name import given_in_order
from ..errors import AgentWarning, HistoryError, HistoryWarning, HopxError, tell
from ..models import RunId
from ..output.oneline import printable
from ..run_history import given, reading, searching
from ..run_history.searching import Found, Searched, lines_with
from ..session.session import session
from .filters import RunFilters, filters_in_words, wanted_runs
from .find import OUTPUTS_WITHIN, catch_up
from .notes import tell_notes

if TYPE_CHECKING:
    import pandas as pd

MOST = 100_000
"""Lines that a search finds at most."""


def grep(pattern: str, *, ignore_case: bool = False, **filters: Unpack[RunFilters]) -> "pd.DataFrame":
    """The lines of all outputs in which a regular expression is found, as a DataFrame, those of the newest run first.

    Columns: `run_id`, `name`, `status`, `stream`, `line` (its number from 1, as `%hopx_logs` shows the output; missing
    behind a part that is not kept), `text`. Outputs are searched as a terminal would show them, without colours. The
    filters are those of `history`. Of a run that goes on, what its agent has by now is searched.

    Raises ValueError for an argument that can't be used, HistoryError.
    """
    from ..display.frames import empty_because
    from ..display.history_frame import lines_frame

    expression, wanted = _compiled(pattern, ignore_case), wanted_runs(filters)
    catch_up()
    session().recorder.drain(OUTPUTS_WITHIN)
    found, unkept = session().history.read(searching.search, wanted, expression, MOST)
    found += _found_by_agents(expression, unkept)
    tell_notes()
    if len(found) > MOST:
        tell(f"more than {MOST:,} lines were found: these are of the newest runs", HistoryWarning)
    frame = lines_frame(sorted(found, key=lambda line: line.run.place)[:MOST], expression)
    return empty_because(frame, _why_nothing(pattern, filters)) if frame.empty else frame


def _why_nothing(pattern: str, filters: RunFilters) -> str:
    from ..display.in_words import NO_RUNS

    if not session().history.read(reading.count):
        return NO_RUNS
    chosen = filters_in_words([], filters)
    of = f" of {chosen}" if chosen else ""
    return f"no output{of} has {printable(pattern, 60)!r}"


def given_of_runs(run_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """What runs were given, as texts: first that in which they differ from others of their sweep.

    Asks only the history; what it doesn't know is left out.
    """
    history = session().history
    try:
        runs = history.read(reading.runs, [RunId(run_id) for run_id in run_ids])
        differing = history.read(given.differing, {run.sweep_id for run in runs.values() if run.sweep_id})
    except HistoryError:
        return {}
    return {one: given_in_order(run.params, differing.get(run.sweep_id or "", ())) for one, run in runs.items()}


def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise ValueError(
            f"{pattern!r} is no regular expression: {error}; re.escape makes one of a plain text"
        ) from None


def _found_by_agents(pattern: re.Pattern[str], runs: Sequence[Searched]) -> list[Found]:
    """What is found in outputs that the history does not have, as far as their agents answer."""
    found: list[Found] = []
    for agent, group in groupby(sorted(runs, key=lambda run: run.agent), key=lambda run: run.agent):
        connection = next((each for each in session().connections.values() if each.place.agent == agent), None)
        if connection is not None:
            found += _found_by_agent(connection, pattern, list(group))
    return found


def _found_by_agent(connection: Connection, pattern: re.Pattern[str], runs: Sequence[Searched]) -> Iterator[Found]:
    by_process = {run.process_id: run for run in runs if run.process_id}
    try:
        outputs = connection.outputs.to_keep(list(by_process))
    except HopxError as error:
        tell(f"{connection.name}: what has not ended there can't be searched: {error.message}", AgentWarning)
        return
    for process_id, streams in outputs.items():
        for stream, output in streams.items():
            yield from lines_with(pattern, by_process[process_id], stream, output)
