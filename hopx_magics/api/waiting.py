"""Waiting for processes, and ending them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..display import frames
from ..durations import parse_duration
from ..models import Process, Status
from ..run import PastRun, Run
from .common import by_connection, checked_statuses, runs_of, session

if TYPE_CHECKING:
    import pandas as pd


def wait(
    *runs: Run | str | Iterable[Run | str],
    any_one: bool = False,
    timeout: str | float | None = None,
    progress: Callable[[list[Process], int], None] | None = None,
    on: str | None = None,
) -> list[Run]:
    """Waits until all of the runs, or any one of them, have ended.

    Without runs: for those that were launched from here and not yet waited for, also if they have ended by now; if
    there are none, for all that are queued or running. Returns the runs. `progress` is called at least every second
    with the processes as listed and their number.

    Raises WaitTimeout, WaitInterrupted after Ctrl-C (the processes go on), UnknownProcess, AgentError.
    """
    chosen = runs_of(runs, on=on) if runs else _unwaited(on) or _with_status(("queued", "running"), on)
    by_id = {run.process_id: run for run in chosen if not (isinstance(run, PastRun) and run.wait())}
    listed = session().wait(
        by_connection(by_id.values()),
        any_one=any_one,
        timeout=None if timeout is None else parse_duration(timeout),
        progress=progress and (lambda processes: progress(processes, len(by_id))),
    )
    for process in listed:
        by_id[process.process_id].see(process)
    return chosen


def kill(
    *runs: Run | str | Iterable[Run | str], status: str | Iterable[str] = (), on: str | None = None
) -> "pd.DataFrame":
    """Kills runs with all their children, or all processes of some statuses, and checks in the listing that they died.

    Returns one row for each: `process_id`, `name`, `result` (killed, already finished, still running, unknown id),
    `status` and `connection`.

    Raises UnknownProcess, AgentError.
    """
    states = checked_statuses([status] if isinstance(status, str) else status)
    if not {"queued", "running"}.issuperset(states):
        raise ValueError("only what is queued or running can be killed")
    chosen = {run.process_id: run for run in [*runs_of(runs, on=on), *(_with_status(states, on) if states else ())]}
    killed = {name: session().kill(ids, on=name) for name, ids in by_connection(chosen.values()).items()}
    return frames.killed_frame(killed)


def _unwaited(on: str | None) -> list[Run]:
    """The runs of a connection, or of all, that were launched here and not yet waited for."""
    return [
        Run(session(), Process(process_id=process_id), connection)
        for process_id, connection in list(session().unwaited.items())
        if on in (None, connection)
    ]


def _with_status(statuses: Iterable[Status], on: str | None) -> list[Run]:
    connection = session().connection(on).name
    wanted = frozenset(statuses)
    listing = session().listing(tail=0, on=connection)
    return [Run(session(), process, connection) for process in listing.processes if process.status in wanted]
