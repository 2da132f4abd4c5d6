"""The handle of one launched process that a user holds."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import msgspec

from . import output
from .connection.watcher import Listener, Update
from .display import in_words
from .durations import format_counting, format_duration
from .errors import HopxError, UnknownProcess, WaitTimeout
from .models import KeptOutput, KeptRun, KillResult, Output, Process, ProcessId, RunId, Status, Stream
from .session import FORGOTTEN_AFTER, Dispatcher, Session, Waiting

OLD_AFTER = 10.0
"""Seconds after which the state of a run that has not ended is shown with its age."""


class Run:
    """One launched process: its state, its output, and the ways to wait for it or to end it.

    Reading `status`, `exit_code` or the output asks the agent; a run that was seen to end is not asked for its state
    again. The repr and the notebook's display show the state as last seen, without asking.
    """

    def __init__(self, session: Session, process: Process, connection: str) -> None:
        self._session = session
        self._process = process
        self._known_since = self._seen = time.monotonic()
        self.connection = connection
        """The name of the connection to the agent."""

    @property
    def process_id(self) -> ProcessId:
        """The agent's id of the process."""
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
    def process(self) -> Process:
        """The process as last seen, without asking the agent."""
        return self._process

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
        return self._session.books.history.find(self.run_id or self.process_id).params

    @property
    def result_status(self) -> Status:
        """The status as far as anybody has seen it; asks the agent, and raises nothing when that can't be reached.

        An end is never guessed: what can't be asked keeps the status that was last seen.
        """
        with contextlib.suppress(HopxError):
            self.refresh()
        return self._process.status

    @property
    def stdout(self) -> str:
        """All of the standard output so far, exactly as written. Raises NotSupported, UnknownProcess, AgentError."""
        return self._session.output(self.process_id, "stdout", on=self.connection).text

    @property
    def stderr(self) -> str:
        """All of the standard error so far, exactly as written. Raises NotSupported, UnknownProcess, AgentError."""
        return self._session.output(self.process_id, "stderr", on=self.connection).text

    def logs(self, tail: int | None = None, *, stream: Stream = "stdout") -> str:
        """The output as a terminal would show it, or its last `tail` lines, with colours."""
        text = self._session.output(self.process_id, stream, on=self.connection).text
        return output.as_shown(text) if tail is None else output.last_lines(text, tail)

    def end_of(self, stream: Stream, size: int) -> Output:
        """The last `size` bytes of a stream. Raises NotSupported, UnknownProcess, AgentError."""
        return self._session.output(self.process_id, stream, tail=size, on=self.connection)

    def follow(self, streams: Iterable[Stream] = ("stdout",)) -> Iterator[tuple[Stream, str]]:
        """What the process writes, piece by piece with the stream's name, until it has ended. Raises as `stdout`."""
        return self._session.follow(self.process_id, streams, on=self.connection)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener`, on another thread, with all updates of the agent; the result ends this."""
        return self._session.connection(self.connection).watcher.listen(listener)

    def refresh(self) -> Process:
        """Asks the agent for the process's state, and returns it. Raises AgentError."""
        if not self._process.ended:
            self.see(self._session.listing(tail=0, on=self.connection).find(self.process_id))
        return self._process

    def see(self, listed: Process | None) -> None:
        """Takes note of how the agent lists the process, None when it doesn't.

        One that was listed before, or should have been by now, is `unknown` then: nobody saw its end.
        """
        self._seen = time.monotonic()
        if listed is not None:
            self._process = listed
        elif not self._process.ended and (
            self._process.started_at is not None or time.monotonic() - self._known_since > FORGOTTEN_AFTER
        ):
            self._process = msgspec.structs.replace(
                self._process, status="unknown", status_detail="the agent no longer lists it"
            )

    def wait(self, timeout: float | None = None) -> "Run":
        """Waits until the process has ended, and returns this run. A failure is no error here: see `exit_code`.

        Raises WaitTimeout after `timeout` seconds, WaitInterrupted after Ctrl-C (the process goes on), AgentError.
        """
        if self._process.ended:
            self._session.unwaited.pop(self.process_id, None)
            return self
        for process in self._session.wait({self.connection: [self.process_id]}, timeout=timeout):
            self.see(process)
        return self

    def kill(self) -> KillResult:
        """Kills the process with all its children, and returns what a later listing shows of it."""
        (killed,) = self._session.kill([self.process_id], on=self.connection)
        self.refresh()
        return killed.result

    def __await__(self) -> Generator[Any, None, "Run"]:
        return self._ended().__await__()

    async def _ended(self) -> "Run":
        loop = asyncio.get_running_loop()
        updates: asyncio.Queue[Update] = asyncio.Queue()
        waiting = Waiting([] if self._process.ended else [self.process_id])

        def pass_on(update: Update) -> None:
            loop.call_soon_threadsafe(updates.put_nowait, update)

        stop = await asyncio.to_thread(self.listen, pass_on)
        try:
            while waiting.going:
                waiting.take(await updates.get())
        finally:
            stop()
        for process in waiting.processes:
            self.see(process)
        return self

    def __repr__(self) -> str:
        return f"<Run {in_words.run_in_words(self._process, self.connection)}{self._note()}>"

    def _note(self) -> str:
        """What there is to say of how certain the state is."""
        age = time.monotonic() - self._seen
        return f", seen {format_counting(age)} ago" if not self._process.ended and age > OLD_AFTER else ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        line = in_words.run_line(self._process, self.connection, below=self._note().strip(", "))
        return {"text/plain": repr(self), "text/html": line}


class PastRun(Run):
    """A run that its agent no longer has, or whose agent there is no connection to: as the history knows it.

    Its state is the last one that was seen, and its output what the history has kept. It can't be waited for or killed.
    """

    def __init__(self, session: Session, kept: KeptRun) -> None:
        super().__init__(session, kept.process, kept.connection)
        self._kept = kept

    def refresh(self) -> Process:
        """The process as it was last seen: there is nobody to ask."""
        return self._process

    @property
    def stdout(self) -> str:
        """The standard output as far as the history has it. Raises UnknownProcess when it has none."""
        return self._output("stdout").text

    @property
    def stderr(self) -> str:
        """The standard error as far as the history has it. Raises UnknownProcess when it has none."""
        return self._output("stderr").text

    def logs(self, tail: int | None = None, *, stream: Stream = "stdout") -> str:
        """The kept output as a terminal would show it, or its last `tail` lines, with colours."""
        text = self._output(stream).text
        return output.as_shown(text) if tail is None else output.last_lines(text, tail)

    def end_of(self, stream: Stream, size: int) -> Output:
        """The last `size` bytes of what is kept of a stream. Raises UnknownProcess when that is nothing."""
        kept = self._output(stream)
        end = (kept.tail or kept.head)[-size:] if size else b""
        return Output(text=end.decode("utf-8", "replace"), left_out=kept.size - len(end))

    def follow(self, streams: Iterable[Stream] = ("stdout",)) -> Iterator[tuple[Stream, str]]:
        """What is kept of the streams: nothing more will come."""
        for stream in streams:
            yield stream, self._output(stream).text

    def wait(self, timeout: float | None = None) -> Run:
        """Returns at once if it has ended. Raises UnknownProcess otherwise: nobody can tell when it does."""
        if not self._process.ended:
            raise self._out_of_reach()
        return self

    def kill(self) -> KillResult:
        """Kills nothing: `already finished`, or UnknownProcess when it may run somewhere."""
        if not self._process.ended:
            raise self._out_of_reach()
        return "already finished"

    def __await__(self) -> Generator[Any, None, Run]:
        return self._ended().__await__()

    async def _ended(self) -> Run:
        return self.wait()

    def _output(self, stream: Stream) -> KeptOutput:
        kept = self._session.books.history.output(self._kept.run_id).get(stream)
        if kept is None:
            raise UnknownProcess(f"the history has no output of {self._kept.run_id}", hint=self._reason())
        return kept

    def _out_of_reach(self) -> UnknownProcess:
        return UnknownProcess(f"{self._kept.run_id} was last seen {self._process.status}", hint=self._reason())

    def _reason(self) -> str:
        return (
            f"There is no connection to its agent ({self.connection}): %hopx_connect makes one."
            if self._session.connection_of(self._kept) is None
            else "Its agent no longer has it."
        )

    def _note(self) -> str:
        seen = f", last seen {self._kept.seen_at.astimezone():%Y-%m-%d %H:%M}" if self._kept.seen_at else ""
        return f"{'' if self._process.ended else seen} (from the history)"


class DispatchedRun(Run):
    """A run that may still wait to be handed out to one of several agents; from then on like any other one."""

    def __init__(self, session: Session, process: Process) -> None:
        super().__init__(session, process, "")
        self.dispatcher: Dispatcher | None = None
        """Who hands it out."""

    @property
    def waits(self) -> bool:
        """Whether it is not handed out yet, and may still be."""
        return not self._process.process_id and self._process.status == "queued"

    def tell(self, process: Process, connection: str) -> None:
        """Takes note of what has become of it. Called by the dispatcher, on its threads."""
        if not self._process.ended:
            self._process, self.connection = process, connection
            self._seen = time.monotonic()

    def refresh(self) -> Process:
        """Asks the agent for the process's state, if it has one already, and returns it. Raises AgentError."""
        return self._process if not self.process_id else super().refresh()

    @property
    def stdout(self) -> str:
        """All of the standard output so far; nothing before it is handed out. Raises as `Run.stdout`."""
        return super().stdout if self.process_id else ""

    @property
    def stderr(self) -> str:
        """All of the standard error so far; nothing before it is handed out. Raises as `Run.stderr`."""
        return super().stderr if self.process_id else ""

    def wait(self, timeout: float | None = None) -> Run:
        """Waits until it is handed out, and the process has ended. Raises as `Run.wait`."""
        begun = time.monotonic()
        if self.waits and self.dispatcher and not self.dispatcher.wait_handed(self._run_id, timeout):
            raise WaitTimeout(
                f"{self.run_id} still waits to be launched after {format_duration(timeout or 0)}",
                hint="%hopx_wait waits for it again, %hopx_kill takes it back.",
            )
        if not self.process_id:
            return self
        return super().wait(None if timeout is None else max(0.0, timeout - (time.monotonic() - begun)))

    def kill(self) -> KillResult:
        """Takes it back if it still waits, and else kills the process. Returns what became of it."""
        if self.dispatcher and self.dispatcher.withdraw(self._run_id):
            return "killed"
        return super().kill() if self.process_id else "already finished"

    @property
    def _run_id(self) -> RunId:
        return self._process.run_id or RunId("")

    def __await__(self) -> Generator[Any, None, Run]:
        return self._handed_and_ended().__await__()

    async def _handed_and_ended(self) -> Run:
        if self.waits and self.dispatcher:
            await asyncio.to_thread(self.dispatcher.wait_handed, self._run_id)
        return await super()._ended() if self.process_id else self


class Sweep(list[Run]):
    """The runs of one sweep, in the order of their launches."""

    def __init__(self, runs: Iterable[Run], sweep_id: str) -> None:
        super().__init__(runs)
        self.sweep_id = sweep_id
        """What the runs have in common in the history."""
        self._listeners: list[Callable[[], None]] = []

    def wait(self, timeout: float | None = None) -> "Sweep":
        """Waits until all have ended, and returns this sweep. A failure is no error here.

        Raises as `Run.wait` does.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for run in self:
            run.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return self

    def dispatched_by(self, dispatcher: Dispatcher) -> None:
        """Takes note of who hands the runs out."""
        for run in self:
            if isinstance(run, DispatchedRun):
                run.dispatcher = dispatcher

    def tell(self, run_id: RunId, process: Process, connection: str) -> None:
        """Takes note of what has become of a run that was to be handed out."""
        for run in self:
            if isinstance(run, DispatchedRun) and run.run_id == run_id:
                run.tell(process, connection)
        for listener in list(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener`, on another thread, whenever something may have become of a run; the result ends this."""
        if any(isinstance(run, DispatchedRun) for run in self):
            self._listeners.append(listener)
            return lambda: self._listeners.remove(listener) if listener in self._listeners else None
        stops = [runs[0].listen(self._follow(runs, listener)) for runs in self._by_connection().values()]

        def stop() -> None:
            for each in stops:
                each()

        return stop

    def _by_connection(self) -> dict[str, list[Run]]:
        runs: dict[str, list[Run]] = {}
        for run in self:
            if run.process_id:
                runs.setdefault(run.connection, []).append(run)
        return runs

    def _follow(self, runs: list[Run], listener: Callable[[], None]) -> Listener:
        def take(update: Update) -> None:
            if update.listing is not None and update.error is None:
                for run in runs:
                    if not run.process.ended:
                        run.see(update.listing.find(run.process_id))
            listener()

        return take

    def __repr__(self) -> str:
        return f"<Sweep {self.sweep_id}: {self.in_words()}>"

    def in_words(self) -> str:
        """How it was last seen, without asking: `7 of 10 completed, 1 failed`."""
        return in_words.sweep_in_words([run.process.status for run in self])
