"""What waits: in which order, for what, and until when; and how much runs at once."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..connection.connection import Connection
from ..connection.queueing import QueueChanges
from ..display import frames
from ..errors import HistoryError, HopxError
from ..models import Listing, Process, ProcessId, RunId
from ..output.oneline import printable
from ..output.progress import newest_progress
from ..run import Run
from ..run_history import reading
from ..run_history.usual import usual_times
from ..session.gathering import gather
from ..session.session import session
from .find import runs_of, waiting_dispatchers, waiting_runs
from .notes import tell_of

if TYPE_CHECKING:
    import pandas as pd

TAIL = 4096
"""Bytes of the streams' ends in which it is looked for how far a running process is."""

ELSEWHERE = "to be handed out to one of several connections"


def queue(
    *,
    slots: int | None = None,
    sweep: Run | str | Iterable[Run | str] | None = None,
    limit: int | None = None,
    on: str | Iterable[str] | None = None,
) -> "pd.DataFrame":
    """What is queued, as a DataFrame in the order of the turns; before that, how much runs at once may be changed.

    `slots` is how many processes the agent runs at once from now on, 0 as many as it does by itself. `limit` is how
    many runs of a `sweep` run at once from now on, 0 as many as may; a sweep is named by its runs, their name, or one
    of them. Nothing that runs is stopped. Both outlive the agent, and are for this machine's; a sweep that is handed
    out to several connections can have another limit, too.

    One row for each: `place` (missing for what is paused), `name`, `process_id`, `waits_for` (slot, limit, resume,
    after, retry, resources), `why` in words, `expected_start`, and `connection`. A start is expected of what waits
    for a slot alone: by how far those are that run, as they print it, and by how long the same code took before, as far
    as either is known.

    Raises ValueError, UnknownProcess, NotSupported, AgentError.
    """
    if (sweep is None) != (limit is None):
        raise ValueError("a sweep and its limit belong together: say both, or neither")
    for count in (slots, limit):
        if count is not None and count < 0:
            raise ValueError(f"{count} running at once can't be: use 1 or more, or 0 for as many as usual")
    if sweep is not None and limit is not None:
        _change_limit(runs_of([sweep], on=on), limit)
    chosen = session().chosen(on)
    if slots is not None:
        for connection in chosen:
            connection.queue(max_running=slots)
    listed = gather(chosen, tail=TAIL, strict=True)
    tell_of(listed)
    rows = [row for each in listed if each.listing for row in _waiting(each.connection, each.listing)]
    if on is None:
        rows += [frames.Waits(place, run.process, None, None) for place, run in enumerate(waiting_runs(), 1)]
    return frames.queue_frame(rows, elsewhere=ELSEWHERE)


def _change_limit(runs: Sequence[Run], limit: int) -> None:
    going = [run for run in runs if not run.process.ended]
    waiting = [each for each in waiting_dispatchers() if any(each is _dispatcher(run) for run in going)]
    for dispatcher in waiting:
        dispatcher.change(limit=limit)
    if waiting:
        return
    sweeps = {(run.source.connection, _sweep_of(run)) for run in going or runs}
    for connection, sweep_id in sweeps:
        if connection is None or sweep_id is None:
            raise ValueError(f"{_called(runs)} is no sweep of which something is queued or running: it has no limit")
        connection.queue(**QueueChanges(sweep=sweep_id, sweep_limit=limit))


def _dispatcher(run: Run) -> object:
    return getattr(run.source, "dispatcher", None)


def _called(runs: Sequence[Run]) -> str:
    names = {printable(str(run.name or run.process_id), 60) for run in runs}
    return ", ".join(sorted(names)[:3]) or "this"


def _sweep_of(run: Run) -> str | None:
    try:
        return session().history.read(reading.find, str(run.run_id or run.process_id)).sweep_id
    except HopxError:
        return None


# ---------------------------------------------------------------- when


def _waiting(connection: Connection, listing: Listing) -> list[frames.Waits]:
    """What waits there, those with a place first."""
    queued = [process for process in listing.processes if process.status == "queued"]
    if not queued:
        return []
    places, starts = listing.queue, _expected(listing, queued)
    rows = [
        frames.Waits(places.get(process_id), process, connection.name, starts.get(process_id))
        for process in queued
        for process_id in [process.process_id or ProcessId("")]
    ]
    return sorted(rows, key=lambda row: (row.place is None, row.place))


def _expected(listing: Listing, queued: Sequence[Process]) -> dict[ProcessId, datetime]:
    running = [process for process in listing.processes if process.status == "running"]
    usual = _usual([*running, *queued])
    left = [_left(process, usual) for process in running]
    turns = [process for process in queued if process.waits_for == "slot"]
    now = datetime.now(UTC)
    spans = _turns(left, [usual.get(process.run_id or RunId("")) for process in turns])
    return {
        process.process_id: now + timedelta(seconds=span)
        for process, span in zip(turns, spans, strict=False)
        if process.process_id
    }


def _usual(processes: Iterable[Process]) -> dict[RunId, float]:
    try:
        found = session().history.read(usual_times, [each.run_id for each in processes if each.run_id])
        return {run_id: usual.median for run_id, usual in found.items() if usual}
    except HistoryError:
        return {}


def _left(process: Process, usual: Mapping[RunId, float]) -> float | None:
    """For how many seconds it will go on, by what it prints or by what is usual; None where nobody knows."""
    elapsed = process.execution_time
    if process.paused or elapsed is None:
        return None
    progress = newest_progress(process.stdout, process.stderr)
    if progress is not None and progress.left is not None:
        return progress.left
    if progress is not None and 0 < progress.fraction < 1:
        return elapsed / progress.fraction * (1 - progress.fraction)
    span = usual.get(process.run_id or RunId(""))
    return None if span is None else max(0.0, span - elapsed)


def _turns(left: Iterable[float | None], spans: Iterable[float | None]) -> list[float]:
    """In how many seconds each of those that wait has its turn, as far as is known when those ahead of it end."""
    ends = [span for span in left if span is not None]
    heapq.heapify(ends)
    starts: list[float] = []
    for span in spans:
        if not ends:
            break
        starts.append(heapq.heappop(ends))
        if span is not None:
            heapq.heappush(ends, starts[-1] + span)
    return starts
