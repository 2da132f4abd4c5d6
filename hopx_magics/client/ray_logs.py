"""What the jobs of a Ray cluster have written, read through the files of the log folder of their nodes.

The dashboard gives such files only whole, and when it is busy, one that is missing as an empty one. What we launch
writes each stream into numbered files of equal sizes, so that a part of a long output costs no more than that part: see
`hopx_runner.on_ray`.
"""

import glob
import re
from collections.abc import Callable

from ..errors import AgentRefused, UnknownProcess
from ..models import ProcessId
from ..protocol.ray import LOG, LOGS, Job, decode_job_log, decode_log_names, job_path
from ..words import Stream
from .agent import OutputPart
from .transport import Request, Transport

RUNS = "hopx/runs"
"""The folder with those of the runs, as `hopx_runner.on_ray` has it."""

SEGMENT = 262_144
"""The bytes of each file of a stream but the last one, as there."""

MOST_SEGMENTS = 1_000_000

MISSING = "A file is not found"
"""What Ray says, with status 500, of a file that isn't there."""


_NO_NODE = "Agent for node id"
"""What Ray says, with status 500, of a node that is gone, or not known any more."""


class RayLogs:
    """The outputs of the jobs of one cluster, through its transport. `job` finds what Ray tells of one."""

    def __init__(self, transport: Transport, job: Callable[[ProcessId], Job]) -> None:
        self._transport = transport
        self._job = job
        self._last: dict[tuple[ProcessId, Stream], int] = {}
        """The number of the last file of a stream, when it was last looked at."""

    def output(self, process_id: ProcessId, stream: Stream, start: int, stop: int | None) -> OutputPart:
        """Bytes `start` to `stop` of a stream; a negative `start` counts from the end. Raises AgentError."""
        job = self._job(process_id)
        if job.run_id is None:
            return _part(self._ray_log(process_id) if stream == "stdout" else b"", start, stop)
        if job.driver_node_id is None:  # it waits, or could not begin, of which Ray tells why
            said = (job.message or "") if stream == "stderr" and job.status == "FAILED" else ""
            return _part(said.encode("utf-8", "replace"), start, stop)
        try:
            return self._apart(job.driver_node_id, process_id, job.run_id, stream, start, stop)
        except AgentRefused as error:
            if error.status == 500 and _NO_NODE in error.message:
                label = self._transport.label
                raise UnknownProcess(f"{label}: the node of {process_id} is gone, and its output with it") from None
            raise

    def _apart(
        self, node: str, process_id: ProcessId, run_id: str, stream: Stream, start: int, stop: int | None
    ) -> OutputPart:
        """The bytes of a stream of a run, from the files that have them."""
        last, end = self._end(node, process_id, run_id, stream)
        size = last * SEGMENT + len(end)
        first = max(0, size + start) if start < 0 else min(start, size)
        behind = size if stop is None else max(first, min(stop, size))
        pieces = [
            end if number == last else self._segment(node, run_id, stream, number) or b""
            for number in range(first // SEGMENT, -(-behind // SEGMENT))
        ]
        skipped = first // SEGMENT * SEGMENT
        return OutputPart(b"".join(pieces)[first - skipped : behind - skipped], first, size)

    def _end(self, node: str, process_id: ProcessId, run_id: str, stream: Stream) -> tuple[int, bytes]:
        """The number of the last file of a stream, and what is in it."""
        known = self._last.get((process_id, stream))
        if known is not None:
            data = self._segment(node, run_id, stream, known)
            if data is not None and len(data) < SEGMENT:
                return known, data
        numbers = self._numbers(node, run_id, stream)
        if not numbers:
            return 0, b""
        last = self._last[process_id, stream] = max(numbers)
        return last, self._segment(node, run_id, stream, last) or b""

    def _numbers(self, node: str, run_id: str, stream: Stream) -> list[int]:
        names = self.names(node, f"{RUNS}/{run_id}/{stream}-*")
        found = (re.fullmatch(rf".*/{stream}-(\d{{6,7}})", name) for name in names)
        return [number for match in found if match and (number := int(match[1])) < MOST_SEGMENTS]

    def _segment(self, node: str, run_id: str, stream: Stream, number: int) -> bytes | None:
        data = self.file(node, f"{RUNS}/{run_id}/{stream}-{number:06d}")
        return None if data is None else data[:SEGMENT]

    def names(self, node: str, pattern: str) -> list[str]:
        """The files in the log folder of a node whose path fits to a pattern. Raises AgentError."""
        reply = self._transport.read(Request("GET", LOGS, {"node_id": node, "glob": pattern}))
        return decode_log_names(reply.body, agent=self._transport.label)

    def file(self, node: str, path: str) -> bytes | None:
        """A file in the log folder of a node; None where there is none. Raises AgentError."""
        try:
            reply = self._transport.read(Request("GET", LOG, {"node_id": node, "filename": path, "lines": "-1"}))
        except AgentRefused as error:
            if error.status == 500 and MISSING in error.message:
                return None
            raise
        return bytes(reply.body) if reply.body or self.names(node, glob.escape(path)) else None

    def _ray_log(self, process_id: ProcessId) -> bytes:
        reply = self._transport.read(Request("GET", job_path(process_id, "/logs")))
        return decode_job_log(reply.body, agent=self._transport.label).encode()


def _part(whole: bytes, start: int, stop: int | None) -> OutputPart:
    first = max(0, len(whole) + start) if start < 0 else min(start, len(whole))
    return OutputPart(whole[first:stop], first, len(whole))
