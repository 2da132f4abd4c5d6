"""The handle of a sweep: several runs that were launched together with different parameters."""

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from .connection.connection import Connection
from .connection.watcher import Listener, Update
from .display import in_words
from .display.frame_view import View, as_html, as_text
from .display.sweep_frame import metric_of, sweep_frame
from .display.sweep_view import SweptRun, last_metrics, sweep_view
from .errors import AgentWarning, HistoryError, HopxError, LaunchError, tell
from .kept import KeptOutput, KeptRun
from .launches import new_sweep_id
from .models import Process, ProcessId, RunId
from .output.oneline import instead_of, printable
from .output.shown import last_line
from .run import Run, runs_by_connection
from .run_history import reading
from .session.gathering import asked_until, gather
from .sources import AgentSource
from .words import KillResult, Stream

if TYPE_CHECKING:
    import pandas as pd


SHOWN_WITHIN = 1.0
"""Seconds that agents have to tell how the runs go on when a sweep is shown."""

TAIL = 2000
"""Bytes at the end of each output in which metrics are looked for then."""


class Sweep(list[Run]):
    """The runs of one sweep, in the order of their launches."""

    def __init__(self, runs: Iterable[Run], sweep_id: str, keeps_by: str | None = None) -> None:
        super().__init__(runs)
        self._keeps_by = keeps_by
        self.sweep_id = sweep_id
        """What the runs have in common in the history."""
        self._by_id = {run.run_id: run for run in self}
        self._waits = any(run.source.connection is None for run in self)
        self._listeners: list[Callable[[], None]] = []
        self._latest: dict[int, SweptRun] = {}
        self._ends: dict[int, SweptRun] = {}

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
        """The runs that failed or were killed, other than as they were to be (`stop_when`), as they were last seen."""
        return [run for run in self if run.process.failed]

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
        """Launches what failed or was killed once more, as a sweep of its own, and returns that.

        What can't be launched is told of (AgentWarning), and does not keep the others from it. Raises as
        `hopx_magics.rerun` when none can.
        """
        self._refresh()
        failed = {run.run_id: run for run in self.failed if run.run_id}
        kept = self[0].source.history.read(reading.runs, list(failed)) if failed else {}
        sweep_id, places = new_sweep_id(), Counter(run.connection for run in failed.values())
        again, refused = [], list[HopxError]()
        for run_id, run in failed.items():
            try:
                again.append(_again(run, kept.get(run_id), sweep_id, of=places[run.connection]))
            except HopxError as error:
                refused.append(error)
        if refused and not again:
            raise refused[0]
        if refused:
            tell(f"{len(refused)} of {len(failed)} could not be launched again: {refused[0]}", AgentWarning)
        return Sweep(again, sweep_id)

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
        return as_text(self._view(), shutil.get_terminal_size().columns)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        view = self._view()
        return {"text/plain": as_text(view, shutil.get_terminal_size().columns), "text/html": as_html(view)}

    def _view(self) -> View:
        """The small table that it is shown as: a dozen of its runs at most, the best and those that failed among them.

        The agents are asked how the runs go on, and have a second for it: it is said which of them don't answer.
        """
        silent = self._look()
        try:
            params = self.params() if self else {}
        except HistoryError:
            params = {}
        runs = [self._told(run)._replace(params=params.get(run.run_id or RunId(""), {})) for run in self]
        notes = [f"no answer from {', '.join(silent)}"] if silent else []
        return sweep_view(self.sweep_id, runs, " · ".join([*notes, *self._unmet(runs)]))

    def _unmet(self, runs: Iterable[SweptRun]) -> list[str]:
        """That none of its runs has printed the metric by which the best are kept, as far as some have completed."""
        printed = {name for run in runs for name in run.metrics}
        has_completed = any(run.process.status == "completed" for run in runs)
        if self._keeps_by is None or self._keeps_by in printed or not has_completed:
            return []
        hint = f": {instead_of(self._keeps_by, sorted(printed))}" if printed else ""
        return [f"none has printed {printable(self._keeps_by, 60)!r}, by which the best are kept{hint}"]

    def _look(self) -> list[str]:
        """Sees how the runs go on; returns the names of the connections that don't tell."""
        looking = {
            connection: runs
            for connection, runs in runs_by_connection(self).items()
            if any(id(run) not in self._ends for run in runs.values())
        }
        with asked_until(time.monotonic() + SHOWN_WITHIN):
            answers = gather(list(looking), tail=TAIL) if looking else []
        for answer, runs in zip(answers, looking.values(), strict=True):
            if answer.listing is None:
                continue
            for process_id, run in runs.items():
                listed = answer.listing.last_try(process_id)
                if listed is not None or answer.error is None:
                    self._note(run, listed)
        return [answer.connection.name for answer in answers if answer.error]

    def _note(self, run: Run, listed: Process | None) -> None:
        if not run.process.ended:
            run.see(listed)
        if listed is not None and not (listed.stdout is listed.stderr is None):
            told = SweptRun(run.process, {}, last_metrics(listed), last_line(listed.stderr or ""))
            (self._ends if listed.ended else self._latest)[id(run)] = told

    def _told(self, run: Run) -> SweptRun:
        """What is known of a run by its listing, or by what the history keeps of it."""
        if id(run) not in self._ends and run.process.ended and run.run_id:
            with contextlib.suppress(HistoryError):
                if kept := run.source.history.read(reading.output, run.run_id):
                    texts = {stream: output.text[-TAIL:] for stream, output in kept.items()}
                    self._note(run, msgspec.structs.replace(run.process, **texts))
        latest = self._latest.get(id(run), SweptRun(run.process))
        return self._ends.get(id(run), latest._replace(process=run.process))

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


def _again(run: Run, kept: KeptRun | None, sweep_id: str, *, of: int) -> Run:
    connection = run.source.connection
    if connection is None or kept is None:
        why = "its agent can't be reached" if connection is None else "it is not in the history (any more)"
        raise LaunchError(f"{run.name or run.run_id} can't be launched again: {why}")
    return Run(connection.launch_again(kept, sweep_id=sweep_id, of=of), AgentSource(connection))
