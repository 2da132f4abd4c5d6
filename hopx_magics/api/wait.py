"""Waiting for runs."""

import time
from collections.abc import Callable, Iterable

from ..connection.waiting import wait_for
from ..durations import parse_duration
from ..models import Process
from ..run import Run, runs_by_connection, still_waits
from ..session.gathering import asked_until
from ..session.session import session
from .find import run_on, runs_of, runs_with, waiting_runs
from .logs import check_completed

Progress = Callable[[list[Process], int], None]
"""Called with the processes that are waited for, as last listed, and with how many they are."""


def wait(
    *runs: Run | str | Iterable[Run | str],
    any_one: bool = False,
    timeout: str | float | None = None,
    check: bool = False,
    progress: Progress | None = None,
    on: str | Iterable[str] | None = None,
) -> list[Run]:
    """Waits until all of the runs, or any one of them, have ended.

    A name means all its runs that are queued or running, and the whole of its last sweep; if none is, the newest.
    Without runs: for those that were launched from here and not yet waited for, also if they have ended by now; if
    there are none, for all that are queued or running. Returns the runs. With `check` a run that failed or was killed
    raises RunFailed, with the error that ended it. `progress` is called at least every second with the processes as
    listed and their number. `timeout` counts from the call, with the time that it takes to look the runs up.

    Raises WaitTimeout, WaitInterrupted after Ctrl-C (the processes go on), UnknownProcess, AgentError.
    """
    limit, begun = None if timeout is None else parse_duration(timeout), time.monotonic()
    with asked_until(None if limit is None else begun + limit):
        chosen = runs_of(runs, on=on) if runs else _unwaited(on) or runs_with(("queued", "running"), on)
    _wait(chosen, any_one, limit, begun, progress or (lambda *_: None))
    if check:
        check_completed(chosen)
    return chosen


def _wait(runs: list[Run], any_one: bool, limit: float | None, begun: float, progress: Progress) -> None:
    for run in runs:
        while not run.source.reach(run.process, left := _left(limit, begun)):
            if left == 0:
                raise still_waits(run, limit or 0.0)
            if any_one and any(run.process.ended for run in runs):
                return
            progress([run.process for run in runs], len(runs))
    ended = [run for run in runs if run.source.connection is None]  # what the history knows, and what was taken back
    if any_one and ended:
        return
    wanted = runs_by_connection(runs)
    tell = _telling(progress, len(runs))
    waited = wait_for(wanted, any_one=any_one, timeout=limit, begun=begun, progress=tell)
    for connection, processes in waited.items():
        for process_id, process in processes.items():
            wanted[connection][process_id].see(process)


def _left(limit: float | None, begun: float) -> float:
    """Seconds until the time is over, or until somebody should be told how it goes on."""
    return 1.0 if limit is None else max(0.0, min(1.0, begun + limit - time.monotonic()))


def _telling(progress: Progress, total: int) -> Callable[[list[Process]], None]:
    return lambda processes: progress(processes, total)


def _unwaited(on: str | Iterable[str] | None) -> list[Run]:
    """The runs of some connections, or of all, that were launched here and not yet waited for."""
    connections = list(session().connections.values()) if on is None else session().chosen(on)
    return (waiting_runs() if on is None else []) + [
        run_on(connection, Process(process_id=process_id))
        for connection in connections
        for process_id in list(connection.unwaited)
    ]
