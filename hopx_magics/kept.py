"""What the history keeps of runs, as frozen values: what was launched, how it went, and what it has left."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .models import Process, ProcessId, RunId, Terms, Usage
from .values.facts import Fact, Left
from .words import Status, Stream


class KeptRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the history keeps it: what was launched, where, with what, and how it was last seen.

    Times are aware, `timeout` and `execution_time` are in seconds. `agent` tells agents apart whatever the connections
    are called, and `sandbox` is the HopX id where it has one; a run that waits to be handed out has neither.
    `code` is as it was written, without the params, and `first_line` where in its cell it begins; it is None for what
    was not launched from this machine. Of the environment only the names are kept, and of the variables that it got
    (`values_in`) and has `left` what is known without them; `keep` are those that it was to leave, `displays` is how
    many displays it had. What it has left is None as long as that is not known. `seen_at` is when the state was last
    seen: a run that has not ended is only known to have been in that state then.
    """

    run_id: RunId
    process_id: ProcessId | None
    execution_id: str | None
    connection: str | None
    agent: str | None
    sandbox: str | None
    name: str | None
    tags: dict[str, str]
    params: dict[str, Any]
    sweep_id: str | None
    rerun_of: RunId | None
    language: str | None
    code: str | None
    first_line: int = 1
    workdir: str | None
    timeout: int | None
    env_names: tuple[str, ...]
    notebook: str | None
    cell: str | None
    version: str | None
    launched_here: bool
    launched_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    seen_at: datetime | None
    status: Status
    status_detail: str | None
    exit_code: int | None
    execution_time: float | None
    pid: int | None
    stdout_bytes: int | None
    stderr_bytes: int | None
    leftovers: tuple[int, ...] = ()
    stopped_when: str | None = None
    notice: str | None = None
    kill_leftovers: bool = False
    terms: Terms = Terms()
    values_in: tuple[Fact, ...] = ()
    keep: tuple[str, ...] = ()
    sweep_index: int | None = None
    left: Left | None = None
    displays: int | None = None
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    peak_gpu_memory_bytes: int | None = None

    @property
    def usage(self) -> Usage | None:
        """What it has taken of its machine, if that is known."""
        if self.peak_memory_bytes is None and self.cpu_seconds is None:
            return None
        return Usage(
            peak_memory_bytes=self.peak_memory_bytes,
            cpu_seconds=self.cpu_seconds,
            peak_gpu_memory_bytes=self.peak_gpu_memory_bytes,
        )

    @property
    def process(self) -> Process:
        """The process as it was last seen, without output."""
        kept = set(Process.__struct_fields__) - _OF_LISTINGS
        return Process(**{field: getattr(self, field) for field in kept})


_OF_LISTINGS = {"stdout", "stderr", "paused", "first", "waits_for", "gpus", "retry_of", "retried_as"}


class KeptOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What the history keeps of one stream of a run that has ended: its first and its last bytes.

    `size` is that of the whole stream. Where nothing is left out, `head` is all of it.
    """

    head: bytes
    tail: bytes
    size: int

    @property
    def left_out(self) -> int:
        """How many bytes between head and tail are not kept."""
        return max(0, self.size - len(self.head) - len(self.tail))

    @property
    def text(self) -> str:
        """Head and tail as text, with a line in between that says what is left out."""
        if not self.left_out:
            return (self.head + self.tail).decode("utf-8", "replace")
        return self.head.decode("utf-8", "replace") + self._note + self.tail.decode("utf-8", "replace")

    def place(self, byte: int) -> int:
        """The byte of the text that is, or would be, at this byte of the stream."""
        if byte <= len(self.head) or not self.left_out:
            return byte
        return len(self.head) + len(self._note) + max(0, byte - len(self.head) - self.left_out)

    @property
    def _note(self) -> str:
        return f"\n[{self.left_out:,} bytes are left out here: the history keeps the beginning and the end]\n"


class KeptCell(msgspec.Struct, frozen=True, kw_only=True):
    """What the history keeps of what a cell has left besides its text, when it has ended.

    `displays` is how many displays it had; `files` are contents by their names, as the cell's process has left them or
    less.
    """

    left: Left
    displays: int = 0
    files: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """The bytes of it."""
        return sum(map(len, self.files.values()))


class KeptEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What the history keeps of what a run has shown when it has ended: its streams, and what its cell has left."""

    streams: Mapping[Stream, KeptOutput] = {}
    cell: KeptCell | None = None


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes from the history, or only its output, of `bytes`. `number` is that of its row."""

    number: int
    run_id: RunId
    name: str | None
    status: Status
    launched_at: datetime | None
    whole: bool
    bytes: int
