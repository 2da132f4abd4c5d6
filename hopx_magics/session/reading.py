"""Output of one process: all of it, its end, or as it comes."""

import codecs
import time
from collections.abc import Iterator

from ..client.agent import Agent, OutputPart
from ..errors import AgentRefused, NotSupported, UnknownProcess
from ..models import KeptOutput, Output, ProcessId, Stream

FOLLOW_FROM = 1_000_000
"""Bytes of the end of a stream with which following begins."""

FOLLOW_INTERVAL = 0.3
"""Seconds between two looks at a stream that is followed."""


def read_output(agent: Agent, process_id: ProcessId, stream: Stream, tail: int | None) -> Output:
    """A stream as it is now, whole or its last `tail` bytes, by whichever way this agent has."""
    try:
        data, left_out = agent.whole_output(process_id, stream, tail=tail)
    except NotSupported:
        return _listed_output(agent, process_id, stream, tail)
    except AgentRefused as error:
        raise _forgotten(agent, process_id) if error.status == 404 else error from None
    return Output(text=data.decode("utf-8", "replace"), left_out=left_out)


def read_part(agent: Agent, process_id: ProcessId, stream: Stream, start: int, stop: int | None) -> OutputPart:
    """Bytes `start` to `stop` of a stream; a negative `start` counts from the end."""
    try:
        return agent.output(process_id, stream, start=start, stop=stop)
    except NotSupported:
        whole = _listed_output(agent, process_id, stream, None).text.encode()
    except AgentRefused as error:
        raise _forgotten(agent, process_id) if error.status == 404 else error from None
    first = max(0, len(whole) + start) if start < 0 else start
    return OutputPart(data=whole[first:stop], start=first, size=len(whole))


def output_to_keep(agent: Agent, process_id: ProcessId, stream: Stream, limit: int) -> KeptOutput:
    """A stream of a process that has ended, or `limit` bytes of both its ends; 2 or more."""
    part = read_part(agent, process_id, stream, 0, limit)
    if part.size <= limit:
        return KeptOutput(head=part.data, tail=b"", size=part.size)
    half = limit // 2
    tail = read_part(agent, process_id, stream, half - limit, None)
    return KeptOutput(head=part.data[:half], tail=tail.data, size=part.size)


def _listed_output(agent: Agent, process_id: ProcessId, stream: Stream, tail: int | None) -> Output:
    process = agent.listing(tail=tail).find(process_id)
    if process is None:
        raise _forgotten(agent, process_id)
    text, size = (
        (process.stdout, process.stdout_bytes) if stream == "stdout" else (process.stderr, process.stderr_bytes)
    )
    if text is None:
        raise NotSupported(
            f"this agent does not report the {stream} of its processes",
            agent=agent.label,
            hint="Let the code write to a file that you can read from there.",
        )
    whole = text.encode()
    kept = whole if tail is None else whole[len(whole) - min(tail, len(whole)) :]
    return Output(text=kept.decode("utf-8", "replace"), left_out=max(len(whole), size or 0) - len(kept))


def follow_output(agent: Agent, process_id: ProcessId, streams: tuple[Stream, ...]) -> Iterator[tuple[Stream, str]]:
    """The pieces of text that arrive in the streams, until the process has ended and all is read."""
    readers = [_Reader(agent, process_id, stream) for stream in streams]
    ended = False
    while not ended:
        process = agent.listing(tail=0).find(process_id)
        ended = process is None or process.ended  # asked before reading: what was written until then is read below
        for reader in readers:
            while text := reader.read():
                yield reader.stream, text
        if not ended:
            time.sleep(FOLLOW_INTERVAL)


class _Reader:
    """Reads what is new in one stream."""

    def __init__(self, agent: Agent, process_id: ProcessId, stream: Stream) -> None:
        self.stream = stream
        self._agent = agent
        self._process_id = process_id
        self._position: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> str:
        start = -FOLLOW_FROM if self._position is None else self._position
        try:
            part = self._agent.output(
                self._process_id, self.stream, start=start, stop=start + FOLLOW_FROM if start >= 0 else None
            )
        except NotSupported:
            return self._read_listed()
        except AgentRefused as error:
            raise _forgotten(self._agent, self._process_id) if error.status == 404 else error from None
        self._position = part.start + len(part.data)
        return self._decoder.decode(part.data)

    def _read_listed(self) -> str:
        text = _listed_output(self._agent, self._process_id, self.stream, None).text
        position, self._position = self._position or 0, len(text)
        return text[position:]


def _forgotten(agent: Agent, process_id: ProcessId) -> UnknownProcess:
    return UnknownProcess(
        f"{agent.label}: there is no output of {process_id} (any more)",
        hint="An agent forgets old processes; %hopx_ps shows those that it has.",
    )
