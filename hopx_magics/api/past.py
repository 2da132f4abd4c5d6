"""The history of all runs."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..durations import parse_duration
from ..errors import HopxError
from ..history import Origin, Wanted
from ..models import STREAMS, KeptOutput, KeptRun, Status, Stream
from ..run import Run
from ..session import checked_language
from .common import checked_statuses, session, tell_notes

if TYPE_CHECKING:
    import pandas as pd

    from ..display.diff_page import Differences
    from ..display.run_page import Shown

OUTPUTS_WITHIN = 2.0
"""Seconds that reading the history waits for the outputs of what has just ended."""


def history(
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    status: str | Iterable[str] = (),
    language: str | None = None,
    since: str | float | None = None,
    sweep: str | None = None,
    limit: int | None = None,
    code: bool = False,
    output: bool = False,
) -> "pd.DataFrame":
    """Every run that was launched from this machine, or listed to it, as a DataFrame, newest first.

    `name` is a pattern such as `train-*`, `since` a span such as `7d`, `sweep` a sweep's id, `limit` the number of
    runs. The parameters of the runs are columns `param.NAME`, their tags `tag.NAME`. `code` and `output` add what was
    launched and what is kept of its output: the first and the last half megabyte of each stream.

    Agents that can be asked are asked first how runs go on; the others' are as they were at `seen_at`.

    Raises ValueError for an argument that can't be used, HistoryError.
    """
    from ..display.history_frame import runs_frame

    wanted = _wanted(name, tags, status, language, since, sweep, limit)
    session().catch_up()
    session().books.drain(OUTPUTS_WITHIN)
    columns = session().books.history.columns(wanted, code=code, output=output)
    tell_notes()
    return runs_frame(columns)


def prune(
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    status: str | Iterable[str] = (),
    language: str | None = None,
    since: str | float | None = None,
    sweep: str | None = None,
    limit: int | None = None,
    really: bool = False,
) -> "pd.DataFrame":
    """What would go from the history: the runs that are chosen as in `history`, or without any choice those beyond its
    limits. With `really` it goes.

    One row a run, the oldest first: `goes` is `run and output` or only `output`, `output_mb` how much that is. What has
    not ended stays.

    Raises as `history` does.
    """
    from ..display.history_frame import pruned_frame

    wanted = _wanted(name, tags, status, language, since, sweep, limit)
    books = session().books
    pruned = books.history.prunable(None if wanted.everything else wanted)
    if really:
        books.history.prune(pruned)
    return pruned_frame(pruned)


def show(run: Run | str) -> "Shown":
    """Everything about one run, to be shown: its code, parameters, times, how it ended, and its output.

    Raises UnknownRun, HistoryError.
    """
    from ..display.run_page import Shown

    kept = kept_run(run)
    return Shown(kept, _outputs(kept))


def diff(one: Run | str, other: Run | str) -> "Differences":
    """In what two runs differ, to be shown: code, parameters, tags, times, and the end of the output.

    Raises UnknownRun, HistoryError.
    """
    from ..display.diff_page import Differences

    a, b = kept_run(one), kept_run(other)
    return Differences(a, b, _outputs(a), _outputs(b))


def kept_run(run: Run | str) -> KeptRun:
    """What the history has of a run, after its agent was asked how it goes on."""
    session().catch_up()
    session().books.drain(OUTPUTS_WITHIN)
    books = session().books
    if isinstance(run, str) or run.run_id:
        return books.history.find(run if isinstance(run, str) else str(run.run_id))
    kept = books.history.of_process(session().connection(run.connection).place, run.process_id)
    return kept or books.history.find(run.process_id)


def _outputs(kept: KeptRun) -> dict[Stream, KeptOutput]:
    """The output that is kept; of a run that goes on, what its agent has by now."""
    outputs = session().books.history.output(kept.run_id)
    connection = session().connection_of(kept)
    if outputs or connection is None or kept.process_id is None:
        return outputs
    with contextlib.suppress(HopxError):
        return {stream: session().output_to_keep(connection.place, kept.process_id, stream) for stream in STREAMS}
    return {}


def _wanted(
    name: str | None,
    tags: Mapping[str, str] | None,
    status: str | Iterable[str],
    language: str | None,
    since: str | float | None,
    sweep: str | None,
    limit: int | None,
) -> Wanted:
    if limit is not None and limit < 0:
        raise ValueError(f"a limit of {limit} runs can't be: use 0 or more")
    return Wanted(
        name=name,
        tags=dict(tags or {}),
        statuses=tuple(checked_statuses([status] if isinstance(status, str) else status)),
        language=checked_language(language) if language else None,
        since=None if since is None else round(1e6 * (time.time() - parse_duration(since))),
        sweep_id=sweep,
        limit=limit,
    )


def use_history(file: str | os.PathLike[str] | None) -> None:
    """Keeps the run history in this file from now on, or in the default one."""
    session().books.move(Path(file).expanduser().absolute() if file else session().settings.history_file)


def news() -> str | None:
    """What there is to say to somebody who comes back to this notebook, in one line, or None."""
    from ..display.in_words import news_in_words

    session().catch_up()
    books = session().books
    recent = books.recent()
    books.looked()
    ended: dict[Status, int] = {"completed": recent.completed, "failed": recent.failed, "killed": recent.killed}
    return news_in_words(recent.going, ended, notebook=books.origin().notebook is not None)


def tell_origin(origin: Callable[[], Origin]) -> None:
    """Lets `origin` tell from which notebook and cell is launched."""
    session().books.origin = origin


def looked() -> None:
    """Takes note of it that somebody looks at the runs of this notebook."""
    session().books.looked()
