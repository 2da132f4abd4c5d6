"""Who tells of a run: the agent that has it, the history when no agent can, or who is still to hand it out."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property

import msgspec

from .connection.connection import Connection
from .connection.local import LOCAL
from .durations import format_counting
from .errors import ResultError, UnknownProcess
from .kept import KeptOutput, KeptRun
from .models import Killed, Output, Process, ProcessId, RunId
from .results import Index, KeptFiles, KeptValue, parts_of
from .run_history import reading
from .run_history.database import Database
from .run_history.seal import Seal, sealed_as
from .session.dispatcher import Dispatcher
from .values.facts import Fact
from .words import KillResult, Stream

OLD_AFTER = 10.0
"""Seconds after which the state of a run that has not ended is shown with its age."""


HANDED_WITHIN = 30.0
"""Seconds that a kill waits, at most, for the reply to a launch that is under way."""


class AgentSource:
    """The agent that has the process, through its `connection`.

    `process` is always the run's process as it was last seen. What is raised, as long as nothing else is said:
    UnknownProcess, NotSupported where output can be had in no way, AgentError.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @property
    def history(self) -> Database:
        """The history that has the run."""
        return self.connection.history

    @property
    def place(self) -> str:
        """The name of the connection to the agent that has it or had it."""
        return self.connection.name

    def listed(self, process: Process) -> Process | None:
        """How it is listed now; None when it is listed no more."""
        return self.connection.listing(tail=0).last_try(process.process_id)

    def output(self, process: Process, stream: Stream, tail: int | None) -> Output:
        """A stream, whole or its last `tail` bytes."""
        try:
            return self.connection.outputs.read(_id(process), stream, tail=tail)
        except UnknownProcess:
            if past := self._past(process):
                return past.output(process, stream, tail)
            raise

    def follow(self, process: Process, streams: tuple[Stream, ...]) -> Iterator[tuple[Stream, str]]:
        """What the streams have, from their last megabyte on, and get, piece by piece, until it has ended."""
        return self.connection.outputs.follow(_id(process), streams)

    def reach(self, process: Process, timeout: float | None) -> bool:
        """Waits until its end can be waited for, or nobody has to; whether that came within `timeout` seconds."""
        return True

    def kill(self, process: Process) -> None:
        """Kills it without an agent; None where the agent has to be asked."""

    def kept_files(self, process: Process) -> KeptFiles:
        """The files of what its cell leaves. Raises ResultError where there can be none."""
        try:
            return self.connection.kept_files(process)
        except UnknownProcess:
            if past := self._past(process):
                return past.kept_files(process)
            raise

    def _past(self, process: Process) -> "HistorySource | None":
        """The history, of an ended process that the agent has forgotten."""
        kept = self.connection.recall(_id(process)) if process.ended else None
        return HistorySource(self.history, kept, self.connection.seal, agent_is_known=True) if kept else None

    def handed_to(self, connection: Connection | None) -> "Source":
        """Who tells of it once it has been handed out to another agent."""
        return self if connection is None else AgentSource(connection)

    def overlooks(self, listed: Process | None) -> bool:
        """Whether the way in which the process is listed is not what counts."""
        return False

    def certainty(self, process: Process, age: float) -> str:
        """How certain a state is that was seen `age` seconds ago; nothing where that goes without saying."""
        return f", seen {format_counting(age)} ago" if not process.ended and age > OLD_AFTER else ""


class HistorySource:
    """The history, of a run that its agent no longer has, or to whose agent there is no `connection`."""

    def __init__(self, history: Database, kept: KeptRun, seal: Seal, *, agent_is_known: bool) -> None:
        self.connection = None
        self.place = kept.connection
        self.history = history
        self._kept = kept
        self._seal = seal
        self._agent_is_known = agent_is_known

    def listed(self, process: Process) -> Process:
        """As it was last seen: there is nobody to ask."""
        return process

    def output(self, process: Process, stream: Stream, tail: int | None) -> Output:
        """What is kept of it."""
        kept = self._output(stream)
        if tail is None:
            return Output(text=kept.text)
        end = (kept.tail or kept.head)[-tail:] if tail else b""
        return Output(text=end.decode("utf-8", "replace"), left_out=kept.size - len(end))

    def follow(self, process: Process, streams: tuple[Stream, ...]) -> Iterator[tuple[Stream, str]]:
        """What is kept of the streams: nothing more will come."""
        for stream in streams:
            yield stream, self._output(stream).text

    def reach(self, process: Process, timeout: float | None) -> bool:
        """Nobody has to wait for what has ended, and nobody can for what has not."""
        if not process.ended:
            raise self._out_of_reach(process)
        return True

    def kill(self, process: Process) -> Killed:
        """It has finished already, as far as anybody can tell."""
        if not process.ended:
            raise self._out_of_reach(process)
        return killed(process, "already finished")

    def kept_files(self, process: Process) -> KeptFiles:
        """What is kept of the files of what its cell has left. Raises ResultError where nobody knows."""
        return HistoryFiles(self.history, self._kept, self._reason(), self._seal)

    def handed_to(self, connection: Connection | None) -> "Source":
        """Nobody hands it out."""
        return self

    def overlooks(self, listed: Process | None) -> bool:
        """Whoever lists it knows more."""
        return False

    def certainty(self, process: Process, age: float) -> str:
        """When it was last seen, if it may have changed."""
        return f"{'' if process.ended else _last_seen(self._kept.seen_at)} (from the history)"

    def _output(self, stream: Stream) -> KeptOutput:
        kept = self.history.read(reading.output, self._kept.run_id).get(stream)
        if kept is None:
            raise UnknownProcess(f"the history has no output of {self._kept.run_id}", hint=self._reason())
        return kept

    def _out_of_reach(self, process: Process) -> UnknownProcess:
        return UnknownProcess(f"{self._kept.run_id} was last seen {process.status}", hint=self._reason())

    def _reason(self) -> str:
        if self._agent_is_known:
            return "Its agent no longer has it."
        return f"There is no connection to its agent ({self.place}): %hopx_connect makes one."


class HistoryFiles:
    """What the history keeps of the files of what a cell has left: its displays, and of its values the small ones.

    `reason` says why there is no more, and `seal` knows what this user's own programs have left.
    """

    def __init__(self, history: Database, kept: KeptRun, reason: str, seal: Seal) -> None:
        self._history = history
        self._kept = kept
        self._reason = reason
        self._seal = seal

    @property
    def place(self) -> str | None:
        """Where the values were written; None for this machine, by this user, which their seal shows."""
        files = dict(self._values)
        seal = files.pop("seal", None)
        if self._seal.is_of(seal, sealed_as(self._kept.agent, self._kept.process_id), files):
            return None
        return self._kept.connection if self._kept.connection != LOCAL else "another machine, or by somebody else,"

    def read(self, name: str, *, start: int = 0, most: int) -> bytes | None:
        """What a file has from byte `start` on, at most so many bytes; None when there is no such file.

        Raises ResultError for values of which nobody knows what they are.
        """
        content = self._index() if name == "kept" else self._history.read(reading.kept_file, self._kept.run_id, name)
        return content and content[start : start + most]

    def parts(self, name: str, sizes: Sequence[int]) -> list[memoryview]:
        """A file in its parts, which may be changed. Raises FileNotFoundError."""
        if name not in self._values:
            raise FileNotFoundError(name)
        return parts_of(bytearray(self._values[name]), sizes)

    @cached_property
    def _values(self) -> dict[str, bytes]:
        return self._history.read(reading.kept_values, self._kept.run_id)

    def _index(self) -> bytes:
        left = self._kept.left
        if left is None:
            raise ResultError(f"what {self._kept.run_id} has left is not known", hint=self._reason)
        if "kept" in self._values:
            index = msgspec.json.decode(self._values["kept"], type=Index)
        else:
            values = {fact.name: _as_kept(fact) for fact in left.values}
            result = _as_kept(left.result) if left.result else None
            index = Index(values=values, missing=list(left.missing), result=result)
        result = self._told(index.result) if index.result else None
        values = {name: self._told(value) for name, value in index.values.items()}
        return msgspec.json.encode(msgspec.structs.replace(index, values=values, result=result))

    def _told(self, value: KeptValue) -> KeptValue:
        """The value; if it is gone, with the reason."""
        gone = f"{self._reason} %hopx_rerun {self._kept.run_id} makes it again."
        return value if value.file or value.refused else msgspec.structs.replace(value, refused=gone)


def _as_kept(fact: Fact) -> KeptValue:
    return KeptValue(type=fact.type, module="", size=fact.size, refused=fact.refused)


class WaitingSource:
    """Who is to hand a run out to one of several agents."""

    connection = None
    place = None

    def __init__(self, dispatcher: Dispatcher, run_id: RunId) -> None:
        self.history = dispatcher.history
        self.dispatcher = dispatcher
        self._run_id = run_id

    def listed(self, process: Process) -> Process:
        """As it is: no agent lists it."""
        return process

    def output(self, process: Process, stream: Stream, tail: int | None) -> Output:
        """Nothing, before it is handed out."""
        return Output(text="")

    def follow(self, process: Process, streams: tuple[Stream, ...]) -> Iterator[tuple[Stream, str]]:
        """Nothing, before it is handed out."""
        return iter(())

    def reach(self, process: Process, timeout: float | None) -> bool:
        """Until it is handed out, or never will be."""
        return self.dispatcher.wait_handed(self._run_id, timeout)

    def kill(self, process: Process) -> Killed | None:
        """Takes it back, if it still waits; what is on its way to an agent arrives there first."""
        if self.dispatcher.withdraw(self._run_id):
            return killed(process, "killed")
        self.dispatcher.wait_out(self._run_id, HANDED_WITHIN)
        return killed(process, "already finished") if process.ended else None

    def kept_files(self, process: Process) -> KeptFiles:
        """The files of what its cell leaves. Raises ResultError where there can be none."""
        raise ResultError("it waits to be launched, and has nothing yet")

    def handed_to(self, connection: Connection | None) -> "Source":
        """Who tells of it once it has been handed out to an agent, if it has."""
        if connection is None:
            return self
        if self.dispatcher.tries_again(self._run_id):
            return RetriedSource(connection, self.dispatcher, self._run_id)
        return AgentSource(connection)

    def overlooks(self, listed: Process | None) -> bool:
        """Nobody lists it."""
        return False

    def certainty(self, process: Process, age: float) -> str:
        """It certainly waits."""
        return ""


class RetriedSource(AgentSource):
    """The agent that has a try of what this program tries again when it fails."""

    def __init__(self, connection: Connection, dispatcher: Dispatcher, run_id: RunId) -> None:
        super().__init__(connection)
        self._waiting = WaitingSource(dispatcher, run_id)
        self._run_id = run_id

    def reach(self, process: Process, timeout: float | None) -> bool:
        """Until it won't be tried again."""
        return self._waiting.reach(process, timeout)

    def handed_to(self, connection: Connection | None) -> "Source":
        """Who tells of its next try."""
        return self._waiting.handed_to(connection)

    def overlooks(self, listed: Process | None) -> bool:
        """The failure of a try counts when it is known that there is no other."""
        is_over = listed is None or listed.status in ("failed", "unknown")
        return is_over and self._waiting.dispatcher.tries_again(self._run_id)


Source = AgentSource | HistorySource | WaitingSource | RetriedSource
"""Who tells of a run."""


def killed(process: Process, result: KillResult) -> Killed:
    """What became of a process that no agent had to be asked to kill."""
    status = "killed" if result == "killed" else process.status
    return Killed(process_id=process.process_id, name=process.name, result=result, status=status)


def _id(process: Process) -> ProcessId:
    """The id of a process that an agent is asked for. Raises UnknownProcess for one whose id can't be read."""
    if process.process_id is None:
        raise UnknownProcess(f"the id of {process.name or 'this process'} can't be read")
    return process.process_id


def _last_seen(moment: datetime | None) -> str:
    return f", last seen {moment.astimezone():%Y-%m-%d %H:%M}" if moment else ""
