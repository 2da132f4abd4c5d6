"""Output of one process: all of it, its end, or as it comes; by whichever way its agent has."""

import codecs
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..client.agent import OutputPart
from ..errors import AgentRefused, BadReply, NotSupported, ResultError, UnknownProcess
from ..kept import KeptCell, KeptEnd, KeptOutput
from ..models import Output, Process, ProcessId, RunId
from ..results import Results
from ..run_history.seal import Seal, sealed_as
from ..words import STREAMS, Stream
from .leaving import cell_to_keep

if TYPE_CHECKING:
    from .connection import Connection

FOLLOW_FROM = 1_000_000
"""Bytes of the end of a stream with which following begins."""

FOLLOW_INTERVAL = 0.3
"""Seconds between two looks at a stream that is followed."""


ROOM_FOR_CELLS = 10
"""The bytes of a cell's displays that the history keeps, in those of a stream."""

SMALL = 4096
SEVERAL = 4
"""Of so many processes that have ended, streams of so few bytes are taken from one listing."""


class OutputReader:
    """Reads the outputs of one agent's processes. `kept` is how many bytes of a stream the history keeps.

    `seal` is by what it knows again what this user's own programs have left.

    All methods raise UnknownProcess, NotSupported when output can be had in no way, AgentError.
    """

    def __init__(self, connection: "Connection", *, kept: int, seal: Seal) -> None:
        self._connection = connection
        self._agent = connection.agent
        self._kept = kept
        self._seal = seal
        self._run_ids: dict[ProcessId, RunId] = {}

    def read(self, process_id: ProcessId, stream: Stream, *, tail: int | None = None) -> Output:
        """A stream as it is now, whole or its last `tail` bytes; bytes that are no UTF-8 become U+FFFD."""
        if not self._connection.captures:
            try:
                data, left_out = self._agent.whole_output(process_id, stream, tail=tail)
            except NotSupported:
                return self._listed(process_id, stream, tail)
            except AgentRefused as error:
                raise self._forgotten(process_id) if error.status == 404 else error from None
            return Output(text=data.decode("utf-8", "replace"), left_out=left_out)
        part = self.part(process_id, stream, 0 if tail is None else -max(tail, 1))
        data = part.data if tail != 0 else b""
        return Output(text=data.decode("utf-8", "replace"), left_out=part.size - len(data))

    def part(self, process_id: ProcessId, stream: Stream, start: int, stop: int | None = None) -> OutputPart:
        """Bytes `start` to `stop` of a stream, fetched alone where the agent can do that.

        A negative `start` counts from the end.
        """
        if not self._connection.captures:
            return self._agents_part(process_id, stream, start, stop)
        try:
            return self._connection.captured.part(self._run_id(process_id), stream, start, stop)
        except UnknownProcess:  # it has not begun to write, or was launched by somebody else, without files
            process = self._find(process_id)
            if process is not None and process.stdout is None and process.status in ("queued", "running"):
                return OutputPart(b"", 0, 0)
            return self._agents_part(process_id, stream, start, stop)
        except NotSupported as error:
            try:
                return self._agents_part(process_id, stream, start, stop)
            except NotSupported:
                raise error from None

    def _run_id(self, process_id: ProcessId) -> RunId:
        """By what the files of a process are known. Raises UnknownProcess."""
        if process_id not in self._run_ids:
            latest = self._connection.latest
            process = (latest.find(process_id) if latest else None) or self._find(process_id)
            if process is None or process.run_id is None:
                raise UnknownProcess(f"{self._agent.label}: {process_id} was not launched with files for its output")
            self._run_ids[process_id] = process.run_id
        return self._run_ids[process_id]

    def _find(self, process_id: ProcessId) -> Process | None:
        return self._connection.listing(tail=0).find(process_id)

    def _agents_part(self, process_id: ProcessId, stream: Stream, start: int, stop: int | None) -> OutputPart:
        """What the agent itself has of a stream."""
        try:
            return self._agent.output(process_id, stream, start=start, stop=stop)
        except NotSupported:
            whole = self._listed(process_id, stream, None).text.encode()
        except AgentRefused as error:
            raise self._forgotten(process_id) if error.status == 404 else error from None
        first = max(0, len(whole) + start) if start < 0 else start
        return OutputPart(data=whole[first:stop], start=first, size=len(whole))

    def to_keep(self, process_ids: Sequence[ProcessId]) -> dict[ProcessId, dict[Stream, KeptOutput]]:
        """As much of the outputs of processes as the history keeps: all, or beginning and end of each stream.

        Small ones of several processes are taken from one listing. Nothing of those whose output can't be had.
        """
        return {process_id: streams for process_id, _, streams in self._streams_to_keep(process_ids)}

    def ends_to_keep(self, process_ids: Sequence[ProcessId]) -> dict[ProcessId, KeptEnd]:
        """The same, and as much of what cells have left as the history keeps."""
        return {
            process_id: KeptEnd(streams=streams, cell=self._cell_to_keep(process, streams))
            for process_id, process, streams in self._streams_to_keep(process_ids)
        }

    def _streams_to_keep(
        self, process_ids: Sequence[ProcessId]
    ) -> Iterator[tuple[ProcessId, Process | None, dict[Stream, KeptOutput]]]:
        listing = self._connection.listing(tail=SMALL if len(process_ids) >= SEVERAL else 0)
        for process_id in process_ids:
            process = listing.find(process_id)
            with contextlib.suppress(UnknownProcess, NotSupported):
                streams = {stream: _whole(process, stream) or self._to_keep(process_id, stream) for stream in STREAMS}
                yield process_id, process, streams

    def _cell_to_keep(self, process: Process | None, streams: Mapping[Stream, KeptOutput]) -> KeptCell | None:
        """What its cell has left; None where nobody can tell."""
        if process is None:
            return None
        with contextlib.suppress(ResultError, UnknownProcess, NotSupported, AgentRefused, BadReply, OSError):
            results = Results(self._connection.kept_files(process), str(process.process_id))
            label = sealed_as(self._connection.place.agent, process.process_id)
            return cell_to_keep(results, streams, ROOM_FOR_CELLS * self._kept, partial(self._seal.of, label))
        return None

    def _to_keep(self, process_id: ProcessId, stream: Stream) -> KeptOutput:
        part = self.part(process_id, stream, 0, self._kept)
        if part.size <= self._kept:
            return KeptOutput(head=part.kept, tail=b"", size=len(part.kept))
        half = self._kept // 2
        tail = self.part(process_id, stream, half - self._kept)
        return KeptOutput(head=part.kept[:half], tail=tail.kept, size=part.size)

    def follow(self, process_id: ProcessId, streams: tuple[Stream, ...]) -> Iterator[tuple[Stream, str]]:
        """What a process has written and goes on writing to its streams, piece by piece, until it has ended.

        Begins with the last megabyte of each.
        """
        followed = [_Followed(self, process_id, stream) for stream in streams]
        ended = False
        while not ended:
            process = self._find(process_id)
            ended = process is None or process.ended  # asked before reading: what was written until then is read below
            for each in followed:
                while text := each.read():
                    yield each.stream, text
            if not ended:
                time.sleep(FOLLOW_INTERVAL)

    def _listed(self, process_id: ProcessId, stream: Stream, tail: int | None) -> Output:
        process = self._connection.listing(tail=tail).find(process_id)
        if process is None:
            raise self._forgotten(process_id)
        text, size = _listed(process, stream)
        if text is None:
            raise NotSupported(
                f"this agent does not report the {stream} of its processes",
                agent=self._agent.label,
                hint="What is launched from here keeps it in files, unless with --capture agent.",
            )
        whole = text.encode()
        kept = whole if tail is None else whole[len(whole) - min(tail, len(whole)) :]
        return Output(text=kept.decode("utf-8", "replace"), left_out=max(len(whole), size or 0) - len(kept))

    def _forgotten(self, process_id: ProcessId) -> UnknownProcess:
        return UnknownProcess(
            f"{self._agent.label}: there is no output of {process_id} (any more)",
            hint="An agent forgets old processes; %hopx_ps shows those that it has.",
        )


def _listed(process: Process, stream: Stream) -> tuple[str | None, int | None]:
    """What a listing has of a stream, and how large that is."""
    if stream == "stdout":
        return process.stdout, process.stdout_bytes
    return process.stderr, process.stderr_bytes


def _whole(process: Process | None, stream: Stream) -> KeptOutput | None:
    """A stream of a process that has ended, if its listing has all of it, as it was written."""
    if process is None or not process.ended:
        return None
    text, size = _listed(process, stream)
    data = b"" if size == 0 else (text or "").encode()
    is_exact = len(data) == size and b"\xef\xbf\xbd" not in data  # which may stand for bytes that are no UTF-8
    return KeptOutput(head=data, tail=b"", size=len(data)) if is_exact else None


class _Followed:
    """Reads what is new in one stream."""

    def __init__(self, reader: OutputReader, process_id: ProcessId, stream: Stream) -> None:
        self.stream = stream
        self._reader = reader
        self._process_id = process_id
        self._position: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> str:
        start = -FOLLOW_FROM if self._position is None else self._position
        stop = start + FOLLOW_FROM if start >= 0 else None
        part = self._reader.part(self._process_id, self.stream, start, stop)
        self._position = part.end
        return self._decoder.decode(part.kept)
