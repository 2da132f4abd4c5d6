"""The handle of one launched process that a user holds."""

import asyncio
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import msgspec

from . import output
from .display import render
from .models import KillResult, Output, Process, ProcessId, Status, Stream
from .session import FORGOTTEN_AFTER, Session, Waiting
from .watcher import Listener, Update


class Run:
    """One launched process: its state, its output, and the ways to wait for it or to end it.

    Reading `status`, `exit_code` or the output asks the agent; a run that was seen to end is not asked for its state
    again. The repr and the notebook's display show the state as last seen, without asking.
    """

    def __init__(self, session: Session, process: Process, connection: str) -> None:
        self._session = session
        self._process = process
        self._known_since = time.monotonic()
        self.connection = connection
        """The name of the connection to the agent."""

    @property
    def process_id(self) -> ProcessId:
        """The agent's id of the process."""
        return self._process.process_id

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
        return f"<Run {render.run_in_words(self._process, self.connection)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": render.run_line(self._process, self.connection)}
