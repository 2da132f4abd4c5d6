"""How the lines below cells are drawn: what is known of a run or a sweep at one moment, as two parts of HTML."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ..connection.watcher import Update
from ..display.in_words import doing_in_words, state_in_words, usual_in_words
from ..display.line import FAILURES_SHOWN, RESULTS_SHOWN, AsOf, Failure, Line, Outcome, run_line, sweep_line
from ..display.run_name import given_in_order, told_apart
from ..errors import HopxError
from ..models import Process, ProcessId, RunId, Usual
from ..output.oneline import printable
from ..results import FolderHere, Results, as_outputs
from ..run import Run
from ..sources import HistorySource
from ..sweeps import Sweep
from .row import Row

SILENT_AFTER = 5.0
"""Seconds without an answer after which the line says so."""

SHOWN_BELOW = 5_000_000
"""Characters of what a cell displayed that are shown below it; `run.show()` shows all."""

REDRAWN_AFTER = 0.2
"""Seconds between two times that what a running cell displays is drawn, at least."""

REDRAWN_BYTES = 2_000_000
"""Characters of it that are drawn in a second, at most."""

Why = Callable[[Run], str]
"""Tells the error at the end of what a failed run has written."""


class Displays:
    """What a cell has displayed so far: read on when there is more, but not all the time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._records: list[dict[str, Any]] = []
        self._end = 0
        self._size = 0
        self._file: tuple[ProcessId | None, str] = (None, "")
        self._due = 0.0
        self.outputs: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def look(self) -> bool:
        """Whether there are others now than at the last look; only where looking costs next to nothing."""
        begun = time.monotonic()
        if begun < self._due or (size := self._written()) == self._size:
            return False
        self._size = size
        self.read()
        weight = sum(map(_weight, self.outputs)) / REDRAWN_BYTES
        self._due = begun + max(REDRAWN_AFTER, weight, 10 * (time.monotonic() - begun))
        return True

    def read(self) -> None:
        """Reads what is new, and chooses what there is room for below a cell."""
        try:
            results = Results(self._run.source.kept_files(self._run.process), "")
            for record, end in results.displayed(self._end):
                self._records.append(record)
                self._end = end
        except HopxError:  # the agent has none, or is out of reach
            return
        left, self.outputs = SHOWN_BELOW, []
        outputs = [output for output in as_outputs({}, self._records) if output["output_type"] != "error"]
        for output in outputs:
            left -= _weight(output)
            if left < 0:
                break
            self.outputs.append(output)
        rest = len(outputs) - len(self.outputs)
        self.notes = [f"and {rest:,} more: run.show() shows all"] if rest else []

    def _written(self) -> int:
        process_id = self._run.process_id
        if self._file[0] != process_id:
            self._file = process_id, self._find_file()
        try:
            return os.stat(self._file[1]).st_size if self._file[1] else 0
        except OSError:
            return 0

    def _find_file(self) -> str:
        """The file in which a process of this machine writes its displays; nothing where there is none."""
        try:
            files = self._run.source.kept_files(self._run.process)
        except HopxError:
            return ""
        return str(files.path / "displays") if isinstance(files, FolderHere) else ""


class RunLine:
    """The line of one run."""

    is_sweep = False

    def __init__(self, run: Run, line_id: str, why: Why) -> None:
        self.id = line_id
        self.run = run
        self._why = why
        self._displays = Displays(run)
        self._update: Update | None = None
        self._answered = datetime.now()
        self.row: Row | None = None
        """What its agent's listing tells of it besides."""
        self._usual = ""

    @property
    def name(self) -> str | None:
        """The name of the run."""
        return self.run.name

    @property
    def connection(self) -> str | None:
        """The name of the connection to its agent."""
        return self.run.connection

    @property
    def status(self) -> str:
        """The status as last seen."""
        return self.run.process.status

    @property
    def going(self) -> bool:
        """Whether it may still change, as far as anybody could tell that."""
        process = self.run.process
        if isinstance(self.run.source, HistorySource):
            return False
        return not process.ended and not (process.status == "unknown" and self._update is not None)

    def hear(self, update: Update) -> None:
        """Takes note of it that its agent says something, or nothing."""
        self._update = update
        if update.error is None:
            self._answered = datetime.now()

    @property
    def runs(self) -> list[Run]:
        """The run, by which it is found out how long such runs take."""
        return [self.run]

    def see_usual(self, usual: Usual) -> None:
        """Takes note of how long such runs usually take."""
        self._usual = usual_in_words(usual)

    def see(self, update: Update) -> None:
        """Takes note of what its agent says of it."""
        self.hear(update)
        if update.listing is not None and update.error is None and not self.run.process.ended:
            self.run.see(update.listing.last_try(self.run.process_id))

    def look(self) -> bool:
        """Whether there is more to be seen than at the last look, besides what its agent tells."""
        return self.status == "running" and self._displays.look()

    def draw(self) -> Line:
        """The line as it is now, without asking anybody."""
        if not self.going:
            return self._drawn(self.run.process)
        silent = self._silence()
        now = self._answered if silent else datetime.now()
        row = self.row
        progress, left, last = (row.progress, row.left, row.last) if row else (None, None, None)
        doing = doing_in_words(progress, left, last, self._usual)
        return self._drawn(
            _counted_on(self.run.process, row, now.timestamp()),
            progress=row.progress if row else None,
            doing=doing,
            as_of=AsOf(now, stale=bool(silent)),
            notes=silent,
        )

    def finish(self) -> Line:
        """The line after its end, for which its agent is asked what the run has left."""
        self._displays.read()
        notes = []
        if self.status == "completed" and (missing := _missing(self.run)):
            names = ", ".join(f"`{printable(name, 60)}`" for name in missing[:10])
            notes = [f"completed, but {names} {'was' if len(missing) == 1 else 'were'} never set"]
        error = self._why(self.run) if self.status == "failed" else ""
        if last := self.run.source.certainty(self.run.process, 0.0).strip(", "):
            notes.append(last)
        return self._drawn(self.run.process, error=error, notes=notes)

    def _drawn(self, process: Process, *, notes: Sequence[str] = (), **how: Any) -> Line:
        return run_line(
            process,
            self.run.connection,
            given=self.run.given,
            params=self.run.told,
            notes=[*notes, *self._displays.notes],
            displays=self._displays.outputs,
            **how,
        )

    def _silence(self) -> list[str]:
        update = self._update
        if update is None or update.error is None or update.failing_since is None:
            return []
        return ["the agent does not answer, retrying"] if _is_long_ago(update.failing_since) else []


class SweepLine:
    """The line of all runs of one sweep."""

    is_sweep = True

    def __init__(self, sweep: Sweep, why: Why) -> None:
        self.id = sweep.sweep_id
        self.run = sweep
        self._why = why
        self._params: dict[RunId, dict[str, Any]] = {}
        self._failures: dict[str, Failure] = {}
        self._usual = ""

    @property
    def name(self) -> str | None:
        """The name that the runs have in common."""
        return self.run[0].name if self.run else None

    @property
    def connection(self) -> str | None:
        """The name of the connection to the agent of all, None when there are several."""
        names = {run.connection for run in self.run}
        return names.pop() if len(names) == 1 else None

    @property
    def status(self) -> str:
        """Whether any of the runs goes on."""
        return "running" if self.going else "completed"

    @property
    def going(self) -> bool:
        """Whether any of the runs may still change."""
        return any(not run.process.ended and run.process.status != "unknown" for run in self.run)

    @property
    def runs(self) -> list[Run]:
        """Some of its runs, by which it is found out how long such runs take."""
        return self.run[:RESULTS_SHOWN]

    def see_usual(self, usual: Usual) -> None:
        """Takes note of how long such runs usually take."""
        words = usual_in_words(usual)
        self._usual = f"each {words}" if words else ""

    @property
    def unexplained(self) -> bool:
        """Whether a run has failed that is to be told of, and it is not known why."""
        return any(str(run.run_id) not in self._failures for run in self._told())

    def explain(self) -> None:
        """Finds out why runs have failed, for which their agents are asked."""
        for run in self._told():
            if str(run.run_id) not in self._failures:
                state, error = state_in_words(run.process), self._why(run) if run.process.status == "failed" else ""
                self._failures[str(run.run_id)] = Failure(self._given(run), state, error)

    def _told(self) -> list[Run]:
        """The failed runs that are told of: the first ones."""
        return self._failed()[:FAILURES_SHOWN]

    def _failed(self) -> list[Run]:
        """The runs of whose ends there is something to be told: not that somebody has killed them."""
        return [run for run in self.run.failed if run.process.status == "failed" or run.process.status_detail]

    def look(self) -> bool:
        """Nothing but what agents tell is to be seen of a sweep."""
        return False

    def draw(self) -> Line:
        """The line as it is now, without asking anybody."""
        return self._drawn(as_of=self._as_of(), usual=self._usual) if self.going else self._drawn()

    def _as_of(self) -> AsOf:
        """The last answer of an agent that is silent, else now."""
        connections = {run.source.connection for run in self.run if not run.process.ended}
        latest = [connection.watcher.latest for connection in connections if connection]
        silent = [update for update in latest if update.failing_since and _is_long_ago(update.failing_since)]
        moments = [update.listing.received_at for update in silent if update.listing]
        return AsOf(min(moments).astimezone().replace(tzinfo=None), stale=True) if moments else AsOf(datetime.now())

    def finish(self) -> Line:
        """The line after the end of all, for which their agents are asked what they have left."""
        self.explain()
        outcomes = [Outcome(self._params_of(run), run.process, _result_of(run)) for run in self.run[:RESULTS_SHOWN]]
        return self._drawn(outcomes=outcomes if any(outcome.result for outcome in outcomes) else ())

    def _drawn(self, **how: Any) -> Line:
        processes = [run.process for run in self.run]
        known = [self._failures.get(str(run.run_id)) for run in self._told()]
        return sweep_line(
            self.id, processes, failures=[failure for failure in known if failure], failed=len(self._failed()), **how
        )

    def _given(self, run: Run) -> str:
        params = self._params_of(run)
        differing = [name for name, value in params.items() if self._varies(name, value)]
        given = told_apart("", given_in_order(params, differing))
        return given or str(run.connection or run.process_id or run.run_id)

    def _varies(self, name: str, value: Any) -> bool:
        return any(repr(other.get(name)) != repr(value) for other in self._params.values())

    def _params_of(self, run: Run) -> dict[str, Any]:
        if not self._params:
            self._params = self.run.params()
        return self._params.get(run.run_id, {}) if run.run_id else {}


def _counted_on(process: Process, row: Row | None, now: float) -> Process:
    """The process with the time for which it had been running at a moment."""
    if process.status != "running" or row is None or row.began is None:
        return process
    return msgspec.structs.replace(process, execution_time=max(0.0, now - row.began))


def _is_long_ago(moment: float) -> bool:
    return time.monotonic() - moment > SILENT_AFTER


def _missing(run: Run) -> list[str]:
    try:
        return run.missing
    except HopxError:
        return []


def _result_of(run: Run) -> str:
    """The value of a run's last expression, as it has shown it."""
    try:
        shown = [output for output in run.displays if output["output_type"] == "execute_result"]
    except HopxError:
        return ""
    return str((shown[-1].get("data") or {}).get("text/plain") or "") if shown else ""


def _weight(output: dict[str, Any]) -> int:
    return sum(len(str(value)) for value in (output.get("data") or {}).values())
