"""Pausing runs and queues, and letting them go on."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..connection.connection import Connection
from ..display import frames
from ..models import Turned
from ..run import Run, runs_by_connection
from ..session.dispatcher import Dispatcher
from ..session.session import session
from .find import runs_of, waiting_dispatchers

if TYPE_CHECKING:
    import pandas as pd


def pause(
    *runs: Run | str | Iterable[Run | str], queue: bool = False, on: str | Iterable[str] | None = None
) -> "pd.DataFrame":
    """Pauses runs with all that they started; with `queue`, nothing that waits is started any more.

    What is paused stands still (SIGSTOP) until it is resumed or killed, and its time limit with it; it keeps its memory
    and its place among those that run at once. What is queued stays so, and lets others by. Either outlives the agent.
    Sweeps that wait here to be handed out to several connections are queues, too: without `on` they stop, as well.
    A name means all its runs that are queued or running, and the whole of its last sweep.

    Returns one row for each run, and one for each queue, which has no id: `process_id`, `name`, `result` (paused,
    already paused, already finished, unknown id), `status`, `connection`.

    Raises ValueError for what waits to be handed out, NotSupported for agents elsewhere than on this machine,
    UnknownProcess, AgentError.
    """
    return _turn(runs, queue, on, pause=True)


def resume(
    *runs: Run | str | Iterable[Run | str], queue: bool = False, on: str | Iterable[str] | None = None
) -> "pd.DataFrame":
    """Lets paused runs go on (SIGCONT), or with `queue` the queue: see `pause`. `result` is resumed or not paused."""
    return _turn(runs, queue, on, pause=False)


def _turn(
    runs: Iterable[Run | str | Iterable[Run | str]], queue: bool, on: str | Iterable[str] | None, *, pause: bool
) -> "pd.DataFrame":
    chosen = runs_of(runs, on=on)
    for run in chosen:
        if run.source.connection is None and not run.process.ended:
            raise ValueError(
                f"{run.name or run.run_id} waits to be handed out to one of several connections and can't be paused: "
                "%hopx_kill takes it back"
            )
    turned = [
        (None if connection is None else connection.name, each)
        for connection, wanted in _by_connection(chosen).items()
        for each in _turned(connection, wanted, pause=pause)
    ]
    if queue:
        turned += [(connection.name, _turn_queue(connection, pause=pause)) for connection in session().chosen(on)]
        if on is None:
            turned += [(None, _turn_dispatcher(each, pause=pause)) for each in waiting_dispatchers()]
    return frames.turned_frame(turned)


def _by_connection(runs: list[Run]) -> dict[Connection | None, list[Run]]:
    reachable = runs_by_connection(runs)
    past = [run for run in runs if run.source.connection is None or run.process_id is None]
    return {**{each: list(found.values()) for each, found in reachable.items()}, **({None: past} if past else {})}


def _turned(connection: Connection | None, runs: list[Run], *, pause: bool) -> list[Turned]:
    if connection is None:
        return [
            Turned(process_id=run.process_id, name=run.name, result="already finished", status=run.process.status)
            for run in runs
        ]
    return connection.pause([run.process_id for run in runs if run.process_id], pause=pause)


def _turn_queue(connection: Connection, *, pause: bool) -> Turned:
    before = connection.queue().paused
    connection.queue(paused=pause)
    return _turned_queue(before, pause=pause)


def _turn_dispatcher(dispatcher: Dispatcher, *, pause: bool) -> Turned:
    before = dispatcher.paused
    dispatcher.change(paused=pause)
    return _turned_queue(before, pause=pause)


def _turned_queue(before: bool, *, pause: bool) -> Turned:
    if pause:
        return Turned(process_id=None, name="queue", result="already paused" if before else "paused")
    return Turned(process_id=None, name="queue", result="resumed" if before else "not paused")
