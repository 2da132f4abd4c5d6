"""The handle of a sweep: several runs that were launched together with different parameters."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .connection.connection import Connection
from .connection.watcher import Listener, Update
from .display import in_words
from .display.sweep_frame import metric_of, sweep_frame
from .errors import LaunchError
from .kept import KeptOutput
from .models import Process, ProcessId, RunId
from .run import Run, runs_by_connection
from .run_history import reading
from .sources import AgentSource
from .words import KillResult, Stream

if TYPE_CHECKING:
    import pandas as pd


class Sweep(list[Run]):
    """The runs of one sweep, in the order of their launches."""

    def __init__(self, runs: Iterable[Run], sweep_id: str) -> None:
        super().__init__(runs)
        self.sweep_id = sweep_id
        """What the runs have in common in the history."""
        self._by_id = {run.run_id: run for run in self}
        self._waits = any(run.source.connection is None for run in self)
        self._listeners: list[Callable[[], None]] = []

    def wait(self, timeout: float | None = None) -> "Sweep":
        """Waits until all have ended, and returns this sweep. A failure is no error here.

        Raises as `Run.wait` does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for run in self:
            run.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return self

    def results(self, timeout: float | None = None) -> list[Any]:
        """The values of the last expressions of its runs, in their order, once all have ended: see `Run.result`.

        Raises RunFailed of the first that has not completed, and WaitTimeout, ResultError.
        """
        self.wait(timeout)
        return [run.result() for run in self]

    @property
    def failed(self) -> list[Run]:
        """The runs that failed or were killed, as they were last seen."""
        return [run for run in self if run.process.status in ("failed", "killed")]

    def frame(self) -> "pd.DataFrame":
        """One row a run, in their order, as a DataFrame: `run_id`, `name`, `status`, the parameters, the last value of
        each metric that it has printed, `started_at`, `execution_time`, `exit_code`.

        The agents are asked how all of them go on. Raises AgentError, HistoryError.
        """
        self._refresh()
        return sweep_frame([run.process for run in self], self.params(), self._outputs())

    def best(self, metric: str, *, largest: bool = False) -> Run:
        """The run with the smallest last value of a metric that it has printed, or the `largest`.

        Raises UnknownColumn, a ValueError, where none has printed it, and else as `frame`.
        """
        values = metric_of(self.frame(), metric)
        return self[int(values.argmax() if largest else values.argmin())]

    def kill(self) -> list[KillResult]:
        """Ends all that have not ended, in one go, and returns what has become of each run. Raises AgentError."""
        results = {id(run): self._taken_back(run) for run in self}
        for connection, runs in runs_by_connection(run for run in self if results[id(run)] is None).items():
            for (process_id, run), killed in zip(runs.items(), connection.kill(list(runs)), strict=True):
                run.see(connection.latest.find(process_id) if connection.latest else None)
                results[id(run)] = killed.result
        return [results[id(run)] or "unknown id" for run in self]

    def rerun_failed(self) -> "Sweep":
        """Launches what failed or was killed once more, with what it was launched with, and returns these runs.

        Raises as `hopx_magics.rerun`, for the first that can't be launched.
        """
        self._refresh()
        failed = {run.run_id: run for run in self.failed if run.run_id}
        kept = self[0].source.history.read(reading.runs, list(failed)) if failed else {}
        again = []
        for run_id, run in failed.items():
            connection = run.source.connection
            if connection is None or run_id not in kept:
                raise LaunchError(f"{run.name or run_id} can't be launched again: its agent can't be reached")
            again.append(Run(connection.launch_again(kept[run_id]), AgentSource(connection)))
        return Sweep(again, self.sweep_id)

    def _taken_back(self, run: Run) -> KillResult | None:
        """What became of a run that no agent needs to be asked for."""
        if run.process.ended and not run.process.leftovers:
            return "already finished"
        killed = run.source.kill(run.process)
        return None if killed is None else killed.result

    def _refresh(self) -> None:
        for connection, runs in runs_by_connection(self).items():
            listing = connection.listing(tail=0)
            for process_id, run in runs.items():
                if not run.process.ended:
                    run.see(listing.last_try(process_id))

    def _outputs(self) -> list[Mapping[Stream, KeptOutput]]:
        """What each has printed, as much as the history would keep of it."""
        known: dict[int, Mapping[Stream, KeptOutput]] = {}
        for connection, runs in runs_by_connection(self).items():
            outputs = connection.outputs.to_keep(list(runs))
            known |= {id(run): outputs[process_id] for process_id, run in runs.items() if process_id in outputs}
        return [known[id(run)] if id(run) in known else self._kept_output(run) for run in self]

    def _kept_output(self, run: Run) -> Mapping[Stream, KeptOutput]:
        return run.source.history.read(reading.output, run.run_id) if run.run_id else {}

    def params(self) -> dict[RunId, dict[str, Any]]:
        """The parameters of each run by its `run_id`, as the history has them. Raises HistoryError."""
        ids = [run.run_id for run in self if run.run_id]
        kept = self[0].source.history.read(reading.runs, ids) if ids else {}
        return {run_id: run.params for run_id, run in kept.items()}

    def waiting(self) -> list[Run]:
        """The runs that still wait here to be handed out to one of several agents."""
        return [run for run in self if run.source.connection is None and not run.process.ended]

    def handed_out(self, run_id: RunId, process: Process, connection: Connection | None) -> None:
        """Takes note of what has become of a run that was to be handed out."""
        self._by_id[run_id].handed_out(process, connection)
        for listener in list(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener`, on another thread, whenever something may have become of a run; the result ends this."""
        if self._waits:
            self._listeners.append(listener)
            return lambda: self._listeners.remove(listener) if listener in self._listeners else None
        with contextlib.ExitStack() as listening:
            for connection, runs in runs_by_connection(self).items():
                listening.callback(connection.watcher.listen(_seeing(runs, listener)))
            return listening.pop_all().close

    def __repr__(self) -> str:
        return f"<Sweep {self.sweep_id}: {self.in_words()}>"

    def in_words(self) -> str:
        """How it was last seen, without asking: `7 of 10 completed, 1 failed`."""
        return in_words.sweep_in_words([run.process.status for run in self])


def _seeing(runs: "dict[ProcessId, Run]", listener: Callable[[], None]) -> Listener:
    """Lets runs of one agent see how they are listed, before `listener` is called."""

    def take(update: Update) -> None:
        if update.listing is not None and update.error is None:
            for process_id, run in runs.items():
                if not run.process.ended:
                    run.see(update.listing.last_try(process_id))
        listener()

    return take
