"""The handle of one run that a user holds."""

import asyncio
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from .connection.connection import Connection
from .connection.waiting import Waiting, wait_for
from .connection.watcher import Listener, Update
from .display import in_words
from .display.cell_output import CellOutput
from .display.line import run_line
from .display.run_name import given_in_order
from .durations import format_duration
from .errors import HistoryError, ResultError, RunFailed, UnknownProcess, WaitTimeout
from .kept import KeptRun
from .models import Output, Process, ProcessId, RunId, Usual
from .output.shown import as_shown, last_lines
from .protocol.listing import FORGOTTEN_AFTER
from .results import KeptValue, Results, as_outputs
from .run_history import reading
from .run_history.given import differing
from .run_history.usual import usual_times
from .sources import Source
from .values.facts import names_in_words
from .words import KillResult, Status, Stream


class Run:
    """One launched process: its state, its output, and the ways to wait for it or to end it.

    Reading `status`, `exit_code` or the output asks the agent; a run that was seen to end is not asked for its state
    again. The repr and the notebook's display show the state as last seen, without asking.

    A run that its agent no longer has, or whose agent there is no connection to, is as the history knows it: it can't
    be waited for or killed. One that waits to be handed out to one of several agents has no `process_id` yet. One that
    is launched anew when it fails is its last try, also in `process_id` and `run_id`.
    """

    def __init__(self, process: Process, source: Source) -> None:
        self._process = process
        self._source = source
        self._known_since = self._seen = time.monotonic()

    @property
    def process_id(self) -> ProcessId | None:
        """The agent's id of the process; None as long as it waits to be handed out to one of several agents."""
        return self._process.process_id

    @property
    def run_id(self) -> RunId | None:
        """Its id in the history; None for what was not launched by this package."""
        return self._process.run_id

    @property
    def name(self) -> str | None:
        """The name given at launch."""
        return self._process.name

    @property
    def connection(self) -> str | None:
        """The name of the connection to the agent; None as long as it waits to be handed out to one of several."""
        return self._source.place

    @property
    def process(self) -> Process:
        """The process as last seen, without asking the agent."""
        return self._process

    @property
    def source(self) -> Source:
        """Who tells of it."""
        return self._source

    @property
    def status(self) -> Status:
        """The status now: one of `hopx_magics.STATUSES`; `unknown` when the agent has forgotten the process."""
        return self.refresh().status

    @property
    def exit_code(self) -> int | None:
        """How the process exited; None while it goes on, or when nobody knows. 128 + n: ended by signal n."""
        return self.refresh().exit_code

    @property
    def params(self) -> dict[str, Any]:
        """The parameters with which it was launched, as the history has them. Raises UnknownRun, HistoryError."""
        return self._source.history.read(reading.find, str(self.run_id or self.process_id)).params

    @cached_property
    def given(self) -> str:
        """The variables of the notebook that it was launched with, in words, as far as the history has them."""
        return names_in_words(self._kept.values_in) if self._kept else ""

    @cached_property
    def told(self) -> dict[str, str]:
        """Its parameters as texts, as far as the history has them: first those by which it differs in its sweep."""
        return given_in_order(self._kept.params, self._differing(self._kept)) if self._kept else {}

    @cached_property
    def _kept(self) -> KeptRun | None:
        try:
            return next(
                iter(self._source.history.read(reading.runs, [self.run_id] if self.run_id else []).values()), None
            )
        except HistoryError:
            return None

    def _differing(self, kept: KeptRun) -> Collection[str]:
        try:
            sweeps = [kept.sweep_id] if kept.sweep_id and len(kept.params) > 1 else []
            return self._source.history.read(differing, sweeps).get(kept.sweep_id or "", ()) if sweeps else ()
        except HistoryError:
            return ()

    @property
    def stdout(self) -> str:
        """All of the standard output so far, exactly as written, or what the history has kept of it.

        Raises NotSupported, UnknownProcess, AgentError.
        """
        return self._source.output(self._process, "stdout", None).text

    @property
    def stderr(self) -> str:
        """All of the standard error so far: as `stdout`."""
        return self._source.output(self._process, "stderr", None).text

    def logs(self, tail: int | None = None, *, stream: Stream = "stdout") -> str:
        """The output as a terminal would show it, or its last `tail` lines, with colours. Raises as `stdout`."""
        text = self._source.output(self._process, stream, None).text
        return as_shown(text) if tail is None else last_lines(text, tail)

    def end_of(self, stream: Stream, size: int) -> Output:
        """The last `size` bytes of a stream. Raises as `stdout`."""
        return self._source.output(self._process, stream, size)

    def follow(self, streams: Iterable[Stream] = ("stdout",)) -> Iterator[tuple[Stream, str]]:
        """What the process writes, piece by piece with the stream's name, until it has ended. Raises as `stdout`."""
        return self._source.follow(self._process, tuple(streams))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener`, on another thread, with all updates of the agent, if there is one; the result ends this."""
        connection = self._source.connection
        return connection.watcher.listen(listener) if connection else lambda: None

    def refresh(self) -> Process:
        """Asks the agent for the process's state, and returns it. Raises AgentError."""
        if not self._process.ended:
            self.see(self._source.listed(self._process))
        return self._process

    def see(self, listed: Process | None) -> None:
        """Takes note of how the agent lists the process, None when it doesn't.

        One that was listed before, or should have been by now, is `unknown` then: nobody saw its end.
        """
        self._seen = time.monotonic()
        if self._source.overlooks(listed):
            return
        if listed is not None:
            self._process = listed
        elif not self._process.ended and (
            self._process.started_at is not None or time.monotonic() - self._known_since > FORGOTTEN_AFTER
        ):
            self._process = msgspec.structs.replace(
                self._process, status="unknown", status_detail="the agent no longer lists it"
            )

    def handed_out(self, process: Process, connection: Connection | None) -> None:
        """Takes note of what has become of a run that is handed out to one of several agents, and to which.

        `process` may be another try, which has another `run_id`.
        """
        if self._process.ended and self._process.run_id == process.run_id:
            return
        self._process, self._seen = process, time.monotonic()
        self._source = self._source.handed_to(connection)

    def wait(self, timeout: float | None = None) -> "Run":
        """Waits until the process has ended, and returns this run. A failure is no error here: see `exit_code`.

        Raises WaitTimeout after `timeout` seconds, WaitInterrupted after Ctrl-C (the process goes on), UnknownProcess
        when nobody can tell when it ends, AgentError.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._source.reach(self._process, timeout):
            raise still_waits(self, timeout or 0.0)
        connection, process_id = self._source.connection, self._process.process_id
        if connection is None or process_id is None:
            return self
        if self._process.ended:
            connection.waited([process_id])
            return self
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        for process in wait_for({connection: [process_id]}, timeout=left)[connection].values():
            self.see(process)
        return self

    def kill(self) -> KillResult:
        """Kills the process with all that it started, or what it has left running; returns what a later listing shows.

        One that waits to be handed out is taken back. Raises UnknownProcess for a run that may go on where nobody can
        reach it, AgentError.
        """
        killed = self._source.kill(self._process)
        connection, process_id = self._source.connection, self._process.process_id
        if killed is None and connection is not None and process_id is not None:
            (killed,) = connection.kill([process_id])
            self.see(connection.latest.last_try(process_id) if connection.latest else None)
        if killed is None:
            raise UnknownProcess(f"{self.name or self.run_id} has no process that could be killed")
        return killed.result

    # ------------------------------------------------------------ what it has left

    def result(self, timeout: float | None = None, *, trust: bool = False) -> Any:
        """The value of its last expression, None if it has none, once it has ended: as a future's.

        What a cell on another machine has left is loaded if that can run no code: numbers, texts, lists and dicts of
        them, arrays, DataFrames, images. All else takes `trust`: it runs whatever that machine has written.

        Raises RunFailed when it has not completed, whose cause is the error in it, and WaitTimeout, ResultError.
        """
        if (failure := self.exception(timeout, trust=trust)) is not None:
            raise failure
        return self._results().result(trust=trust)

    def exception(self, timeout: float | None = None, *, trust: bool = False) -> RunFailed | None:
        """Why it has not completed, once it has ended; None when it has. Raises WaitTimeout, UnknownProcess.

        `trust` is as in `result`; without it the cause is missing where it can only be loaded with it.
        """
        process = self.wait(timeout).process
        if process.status == "completed":
            return None
        shown = in_words.run_in_words(process, self.connection, self.told)
        try:
            trace, cause = self._last_error(), self._results().error(trust=trust)
        except (ResultError, UnknownProcess):  # nobody knows what it has left
            trace, cause = "", None
        failure = RunFailed("\n".join(filter(None, [shown, trace])))
        failure.__cause__ = cause
        return failure

    def _last_error(self) -> str:
        errors = [display for display in self.displays if display.get("output_type") == "error"]
        return "\n".join(map(str, errors[-1].get("traceback", ()))) if errors else ""

    def __getitem__(self, name: str) -> Any:
        """The value of a variable that was to be kept (`--out`). Raises KeyError, ResultError."""
        return self.load(name)

    def load(self, name: str, *, trust: bool = False) -> Any:
        """The same as `run[name]`; `trust` is as in `result`. Raises KeyError, ResultError."""
        results = self._results()
        if name in results.values:
            return results.load(name, trust=trust)
        kept = ", ".join(results.values) or "nothing"
        raise KeyError(f"{name} is not kept of {self.name or self.run_id}: {kept} is")

    @property
    def values(self) -> dict[str, KeptValue]:
        """The variables that were to be kept and were set: types and sizes, without loading them."""
        return self._results().values

    @property
    def missing(self) -> list[str]:
        """The variables that were to be kept and were never set, once it has ended. Raises ResultError."""
        return self._results().missing

    @property
    def displays(self) -> list[dict[str, Any]]:
        """What it has displayed so far, as outputs in a notebook's form (nbformat), in their order."""
        return as_outputs({}, self._results().displays())

    def displayed(self, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
        """What it has displayed since the byte `start` of all that, as it came, each with the byte behind it."""
        return self._results().displayed(start)

    def outputs(self) -> list[dict[str, Any]]:
        """All that the cell has shown, as a notebook has it: text, displays, its result, its error."""
        streams = {"stdout": self.stdout.encode(), "stderr": self.stderr.encode()}
        return as_outputs(streams, self._results().displays())

    def show(self) -> CellOutput:
        """All that the cell has shown, as something that a notebook shows."""
        return CellOutput(self.outputs())

    def _results(self) -> Results:
        return Results(self._source.kept_files(self._process), str(self.name or self.run_id or self.process_id))

    def __await__(self) -> Generator[Any, None, "Run"]:
        return self._ended().__await__()

    async def _ended(self) -> "Run":
        await asyncio.to_thread(self._source.reach, self._process, None)
        connection, process_id = self._source.connection, self._process.process_id
        if connection is None or process_id is None or self._process.ended:
            return self
        loop = asyncio.get_running_loop()
        updates: asyncio.Queue[Update] = asyncio.Queue()
        waiting = Waiting(connection, [process_id])

        def pass_on(update: Update) -> None:
            loop.call_soon_threadsafe(updates.put_nowait, update)

        stop = await asyncio.to_thread(connection.watcher.listen, pass_on)
        try:
            while waiting.going:
                waiting.take(await updates.get())
        finally:
            stop()
        for process in waiting.processes:
            self.see(process)
        return self

    def __repr__(self) -> str:
        return f"<Run {in_words.run_in_words(self._process, self.connection, self.told)}{self._certainty()}>"

    def _certainty(self) -> str:
        return self._source.certainty(self._process, time.monotonic() - self._seen)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        note = self._certainty().strip(", ")
        line = run_line(
            self._process, self.connection, given=self.given, params=self.told, notes=[note] if note else []
        )
        return {**line.bundle(str(self.run_id or self.process_id)), "text/plain": repr(self)}


def still_waits(run: Run, seconds: float) -> WaitTimeout:
    """The error when a run has not been handed out, or may still be tried again, after so many seconds."""
    state = "still waits to be launched" if run.process_id is None else "is still going on"
    return WaitTimeout(
        f"{run.run_id} {state} after {format_duration(seconds)}",
        hint="%hopx_wait waits for it again, %hopx_kill takes it back.",
    )


def usual_times_of(runs: Sequence[Run]) -> Mapping[RunId, Usual | None]:
    """How long runs usually take, by the `run_id` of those that the history knows; None where it can't tell."""
    try:
        return runs[0].source.history.read(usual_times, [run.run_id for run in runs if run.run_id])
    except HistoryError:
        return {}


def runs_by_connection(runs: Iterable[Run]) -> dict[Connection, dict[ProcessId, Run]]:
    """The runs of each connection by their process ids, without those that no agent can be asked for."""
    found: dict[Connection, dict[ProcessId, Run]] = {}
    for run in runs:
        connection, process_id = run.source.connection, run.process_id
        if connection is not None and process_id is not None:
            found.setdefault(connection, {})[process_id] = run
    return found
