"""Ending runs."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TYPE_CHECKING

from ..connection.connection import Connection
from ..connection.killing import Progress
from ..display import frames
from ..models import Killed
from ..run import Run, runs_by_connection
from ..sources import killed as without_agent
from .filters import checked_statuses
from .find import runs_of, runs_with

if TYPE_CHECKING:
    import pandas as pd


def kill(
    *runs: Run | str | Iterable[Run | str],
    status: str | Iterable[str] = (),
    leftovers: bool = False,
    on: str | Iterable[str] | None = None,
    progress: Progress = lambda asked, total: None,
) -> "pd.DataFrame":
    """Kills runs with all that they started, or all processes of some statuses, and checks in a listing that they died.

    A name means all its runs that are queued or running, and the whole of its last sweep; if none is, the newest. Of a
    run that has ended, what it has left running is killed; with `leftovers` that of all runs. `progress` is called with
    how many were asked to end, and of how many, where all are on one connection.

    Returns one row for each: `process_id`, `name`, `result` (killed, leftovers killed, already finished, still running,
    unknown id), `status`, `leftovers` (how many were killed that an ended run had left), and `connection`.

    Raises UnknownProcess, AgentError.
    """
    states = checked_statuses(status)
    if not {"queued", "running"}.issuperset(states):
        raise ValueError("only what is queued or running can be killed")
    killed: list[tuple[str | None, Killed]] = []
    left = []
    for run in [*runs_of(runs, on=on), *(runs_with(states, on, leftovers=leftovers) if states or leftovers else ())]:
        answer = run.source.kill(run.process)
        if answer is None and run.process.ended and run.process_id is None:  # its launch has failed
            answer = without_agent(run.process, "already finished")
        if answer is None:
            left.append(run)
        else:
            killed.append((run.connection, answer))
    wanted = runs_by_connection(left)
    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        ask, tell = (map, progress) if len(wanted) == 1 else (pool.map, _tell_nobody)
        for connection, answers in zip(
            wanted, ask(Connection.kill, wanted, wanted.values(), repeat(tell)), strict=False
        ):
            killed += [(connection.name, answer) for answer in answers]
    return frames.killed_frame(killed)


def _tell_nobody(asked: int, total: int) -> None:
    """What several connections do at once is not told."""
