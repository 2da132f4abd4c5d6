"""The history of all runs."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from ..errors import HopxError
from ..kept import KeptEnd, KeptRun
from ..results import as_outputs, decoded
from ..run import Run
from ..run_history import pruning, reading
from ..run_history.origin import find_origin
from ..run_history.usual import usual_times
from ..session.session import session
from ..words import Status
from .filters import RunFilters, filters_in_words, wanted_runs
from .find import OUTPUTS_WITHIN, catch_up, kept_run
from .notes import tell_notes

if TYPE_CHECKING:
    import pandas as pd

    from ..display.diff_page import Differences
    from ..display.run_page import Shown


def history(*, code: bool = False, output: bool = False, **filters: Unpack[RunFilters]) -> "pd.DataFrame":
    """Every run that was launched from this machine, or listed to it, as a DataFrame, newest first.

    The filters `name` (a pattern such as `train-*`), `tags`, `status`, `language`, `since` (a span such as `7d`),
    `sweep` (a sweep's id) and `limit` (the number of runs) choose among them. The parameters of the runs are columns
    `param.NAME`, their tags `tag.NAME`; `values_in` and `values_out` are tuples of the names of the variables that a
    cell got and has kept, and `displays` is how many displays it had.

    `code` and `output` add what was launched and what is kept of its output: the
    first and the last half megabyte of each stream.

    Agents that can be asked are asked first how runs go on; the others' are as they were at `seen_at`.

    Raises ValueError for an argument that can't be used, HistoryError.
    """
    from ..display.frames import empty_because
    from ..display.history_frame import runs_frame
    from ..display.in_words import NO_RUNS, nothing_in_words

    wanted = wanted_runs(filters)
    catch_up()
    session().recorder.drain(OUTPUTS_WITHIN)
    columns = session().history.read(reading.columns, wanted, code=code, output=output)
    tell_notes()
    frame = runs_frame(columns)
    if not frame.empty:
        return frame
    kept = session().history.read(reading.count)
    return empty_because(frame, nothing_in_words((), kept, filters_in_words([], filters), NO_RUNS))


def prune(*, really: bool = False, **filters: Unpack[RunFilters]) -> "pd.DataFrame":
    """What would go from the history: the runs that are chosen as in `history`, or without any choice those beyond its
    limits. With `really` it goes.

    One row a run, the oldest first: `goes` is `run and output` or only `output`, `output_mb` how much that is. What has
    not ended stays.

    Raises as `history` does.
    """
    from ..display.history_frame import pruned_frame

    wanted, kept = wanted_runs(filters), session().history
    if wanted.everything:
        pruned = kept.read(pruning.over_limits, session().recorder.limits)
    else:
        pruned = kept.read(pruning.chosen, wanted)
    if really:
        pruning.prune(kept.file, pruned)
    return pruned_frame(pruned)


def show(run: Run | str) -> "Shown":
    """Everything about one run, to be shown: its code, parameters, values, times, how it ended, and what it has shown.

    Raises UnknownRun, HistoryError.
    """
    from ..display.run_page import Shown

    kept = kept_run(run)
    kept, end = _with_end(kept)
    usual = session().history.read(usual_times, [kept.run_id]).get(kept.run_id)
    connection = session().connection_of(kept)
    stacks = connection.stacks(kept.process) if connection and kept.terms.fork else ""
    return Shown(kept, end.streams, shown=_cell_output(end), no_room=_no_room(kept), usual=usual, stacks=stacks)


def diff(one: Run | str, other: Run | str) -> "Differences":
    """In what two runs differ, to be shown: code, parameters, values, tags, times, displays, and the end of the output.

    Raises UnknownRun, HistoryError.
    """
    from ..display.diff_page import Differences

    a, b = kept_run(one), kept_run(other)
    (a, end_a), (b, end_b) = _with_end(a), _with_end(b)
    displays = as_outputs({}, _displays(end_a)), as_outputs({}, _displays(end_b))
    return Differences(a, b, end_a.streams, end_b.streams, displays=displays)


def _with_end(kept: KeptRun) -> tuple[KeptRun, KeptEnd]:
    """The same, with what is known of what it has shown and left."""
    end = _end(kept)
    if end.cell and kept.process.ended:
        kept = msgspec.structs.replace(kept, left=end.cell.left, displays=end.cell.displays)
    return kept, end


def _end(kept: KeptRun) -> KeptEnd:
    """What is kept of what it has shown; of a run that goes on, what its agent has by now."""
    end = session().history.read(reading.end, kept.run_id)
    connection = session().connection_of(kept)
    if end.streams or connection is None or kept.process_id is None:
        return end
    with contextlib.suppress(HopxError):
        return connection.outputs.ends_to_keep([kept.process_id]).get(kept.process_id, end)
    return end


def _cell_output(end: KeptEnd) -> list[dict[str, Any]]:
    """All that a cell with displays has shown, in its order; nothing of one without."""
    streams: dict[str, bytes] = {name: kept.text.encode() for name, kept in end.streams.items()}
    return as_outputs(streams, displays) if (displays := _displays(end)) else []


def _displays(end: KeptEnd) -> list[dict[str, Any]]:
    lines = end.cell.files.get("displays", b"").splitlines() if end.cell else []
    return [display for line in lines if (display := decoded(line))]


def _no_room(kept: KeptRun) -> str | None:
    """Why the history does not have the output of a run that has ended, but is to get it."""
    error = session().recorder.no_room
    is_missing = kept.process.ended and not session().history.read(reading.output, kept.run_id)
    return error.message if error and is_missing else None


def use_history(file: str | os.PathLike[str] | None) -> None:
    """Keeps the run history in this file from now on, or in the default one."""
    session().recorder.move(Path(file).expanduser().absolute() if file else session().settings.history_file)


def news() -> str | None:
    """What there is to say to somebody who comes back to this notebook, in one line, or None."""
    from ..display.in_words import news_in_words

    catch_up()
    recent = session().recorder.recent()
    looked()
    ended: dict[Status, Sequence[str]] = {
        "completed": recent.completed,
        "failed": recent.failed,
        "killed": recent.killed,
    }
    return news_in_words(recent.going, ended, notebook=find_origin().notebook is not None)


def looked() -> None:
    """Takes note of it that somebody looks at the runs of this notebook."""
    session().recorder.looked()
