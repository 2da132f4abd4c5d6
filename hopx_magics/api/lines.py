"""The lines below the cells of this Python process, and the mender that keeps them true in pages."""

import functools
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..kept import KeptRun
from ..live.intents import HeldLine
from ..live.lines import Lines
from ..models import RunId
from ..run import Run
from ..run_history import reading
from ..session.gathering import gather
from ..session.session import session
from ..sweeps import Sweep
from ..words import KillResult
from .find import listed_run
from .kill import kill
from .logs import end_of_stderr

if TYPE_CHECKING:
    from ..live.mender import Mender


@functools.cache
def lines() -> Lines:
    """The lines of this Python process."""
    return Lines(end_of_stderr)


MAKING = "hopx-mender-made"
"""The name of the thread on which the magics make the mender; they import nothing of this to begin it."""

_menders: "list[Mender]" = []
"""The mender of this kernel, if it has one."""


def make_mender() -> "Mender":
    """A mender of these lines, which every page of this kernel finds from now on."""
    from ..live.mender import Mender

    _menders[:] = [Mender(lines(), session().connections, find_lines, stop)]
    return _menders[0]


def mender(seconds: float = 0.0) -> "Mender | None":
    """The mender that was made last, or is being made for so long; None where no page is to be expected."""
    for thread in threading.enumerate():
        if thread.name == MAKING:
            thread.join(seconds)
    return _menders[0] if _menders else None


def find_lines(held: Iterable[HeldLine]) -> Mapping[str, Run | Sweep]:
    """The runs and sweeps of lines by the lines' ids, as their agents list them, or as the history knows them."""
    asked = list(held)
    session().recorder.take_over()
    history = session().history
    kept = history.read(reading.runs, [RunId(line.line) for line in asked if not line.sweep])
    swept = history.read(reading.of_sweeps, [line.line for line in asked if line.sweep])
    _ask_agents([*kept.values(), *swept])
    found: dict[str, Run | Sweep] = {run_id: listed_run(run) for run_id, run in kept.items()}
    sweeps: dict[str, list[Run]] = {}
    for run in swept:
        sweeps.setdefault(str(run.sweep_id), []).append(listed_run(run))
    return found | {sweep_id: Sweep(runs, sweep_id) for sweep_id, runs in sweeps.items()}


def _ask_agents(kept: Iterable[KeptRun]) -> None:
    """Asks the agents on which these were launched, as far as there are connections to them."""
    connections = {id(found): found for run in kept if (found := session().connection_of(run))}
    if connections:
        gather(list(connections.values()), tail=0)  # who does not answer in time leaves its runs as they were


def stop(item: Run | Sweep) -> KillResult:
    """Kills a run, or what has not ended of a sweep; of several results the worst. Raises HopxError."""
    if isinstance(item, Run):
        return item.kill()
    going = [run for run in item if not run.process.ended]
    results = list(kill(*going)["result"]) if going else []
    worst: tuple[KillResult, ...] = ("still running", "unknown id", "killed")
    return next((result for result in worst if result in results), "already finished")
