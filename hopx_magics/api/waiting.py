"""Waiting for processes, and ending them."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from ..display import frames
from ..durations import parse_duration
from ..models import Killed, Process, ProcessId, RunId, Status
from ..run import DispatchedRun, PastRun, Run
from .common import asked, by_connection, checked_statuses, runs_of, session

if TYPE_CHECKING:
    import pandas as pd


def wait(
    *runs: Run | str | Iterable[Run | str],
    any_one: bool = False,
    timeout: str | float | None = None,
    progress: Callable[[list[Process], int], None] | None = None,
    on: str | Iterable[str] | None = None,
) -> list[Run]:
    """Waits until all of the runs, or any one of them, have ended.

    Without runs: for those that were launched from here and not yet waited for, also if they have ended by now; if
    there are none, for all that are queued or running. Returns the runs. `progress` is called at least every second
    with the processes as listed and their number.

    Raises WaitTimeout, WaitInterrupted after Ctrl-C (the processes go on), UnknownProcess, AgentError.
    """
    chosen = runs_of(runs, on=on) if runs else _unwaited(on) or _with_status(("queued", "running"), on)
    limit = None if timeout is None else parse_duration(timeout)
    begun = time.monotonic()
    tell = None if progress is None else partial(_tell, progress, len(chosen))
    _wait_handed(chosen, any_one, limit, tell)
    if any_one and any(isinstance(run, DispatchedRun) and run.process.ended for run in chosen):
        return chosen
    by_id = {
        (run.connection, run.process_id): run
        for run in chosen
        if run.process_id and not (isinstance(run, PastRun) and run.wait())
    }
    session().wait(
        by_connection(by_id.values()),
        any_one=any_one,
        timeout=None if limit is None else max(0.0, limit - (time.monotonic() - begun)),
        progress=tell,
        see=lambda connection, process: by_id[connection, process.process_id].see(process),
    )
    return chosen


def _tell(progress: Callable[[list[Process], int], None], total: int, processes: list[Process]) -> None:
    progress(processes, total)


def _wait_handed(
    runs: list[Run], any_one: bool, limit: float | None, progress: Callable[[list[Process]], None] | None
) -> None:
    """Waits until runs that are handed out to several agents have been, or until any of them has ended."""
    deadline = None if limit is None else time.monotonic() + limit
    for run in runs:
        while isinstance(run, DispatchedRun) and run.waits and run.dispatcher:
            if any_one and any(run.process.ended for run in runs):
                return
            left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
            if left <= 0:
                run.wait(0)  # raises that it still waits
            run.dispatcher.wait_handed(RunId(str(run.run_id)), left)
            if progress:
                progress([run.process for run in runs])


def kill(
    *runs: Run | str | Iterable[Run | str], status: str | Iterable[str] = (), on: str | Iterable[str] | None = None
) -> "pd.DataFrame":
    """Kills runs with all their children, or all processes of some statuses, and checks in the listing that they died.

    Returns one row for each: `process_id`, `name`, `result` (killed, already finished, still running, unknown id),
    `status` and `connection`.

    Raises UnknownProcess, AgentError.
    """
    states = checked_statuses([status] if isinstance(status, str) else status)
    if not {"queued", "running"}.issuperset(states):
        raise ValueError("only what is queued or running can be killed")
    chosen = [*runs_of(runs, on=on), *(_with_status(states, on) if states else ())]
    withdrawn = [run for run in chosen if isinstance(run, DispatchedRun) and run.waits and run.kill() == "killed"]
    past = [run for run in chosen if isinstance(run, PastRun) and run.kill()]
    wanted = by_connection({(run.connection, run.process_id): run for run in chosen if run not in past}.values())
    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        answers = pool.map(lambda name: session().kill(wanted[name], on=name), wanted)
        killed = dict(zip(wanted, answers, strict=True))
    for run in past:
        result = Killed(process_id=run.process_id, name=run.name, result="already finished", status=run.process.status)
        killed[run.connection] = [*killed.get(run.connection, []), result]
    if withdrawn:
        killed[""] = [
            Killed(process_id=ProcessId(""), name=run.name, result="killed", status="killed") for run in withdrawn
        ]
    return frames.killed_frame(killed)


def _unwaited(on: str | Iterable[str] | None) -> list[Run]:
    """The runs of some connections, or of all, that were launched here and not yet waited for."""
    names = None if on is None else {connection.name for connection in session().chosen(on)}
    return [
        Run(session(), Process(process_id=process_id), connection)
        for process_id, connection in list(session().unwaited.items())
        if names is None or connection in names
    ]


def _with_status(statuses: Iterable[Status], on: str | Iterable[str] | None) -> list[Run]:
    wanted = frozenset(statuses)
    return [
        Run(session(), process, connection.name)
        for connection, listing, _ in asked(session().chosen(on), tail=0)
        for process in (listing.processes if listing else ())
        if process.status in wanted
    ]
