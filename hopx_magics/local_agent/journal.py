"""How finished processes ended, one line each, so that a starting agent needn't open thousands of folders.

A line between them says that somebody has heard of all before it. Else it holds nothing that the folders don't tell but
what a process took of the machine: a line that is missing or damaged costs time, and no process.
"""

import contextlib
from collections.abc import Container, Iterable
from pathlib import Path

import msgspec

from ..words import Status, WaitsFor
from .metering import Usage
from .store import private, replace_file


class Row(msgspec.Struct, kw_only=True):
    """One process as the listing shows it: the fields of `models.Process` in the documentation's dialect.

    Of what has a plain type in the vendor's OpenAPI, nothing is null: it is left out where there is none.
    """

    process_id: str
    execution_id: str | None
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    status: Status
    language: str | msgspec.UnsetType | None = msgspec.UNSET
    started_at: str | None
    completed_at: str | None
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    execution_time: float | None = None
    pid: int | msgspec.UnsetType | None = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET
    stdout_bytes: int | msgspec.UnsetType = msgspec.UNSET
    stderr_bytes: int | msgspec.UnsetType = msgspec.UNSET
    leftovers: list[int] | msgspec.UnsetType = msgspec.UNSET
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    first: bool | msgspec.UnsetType = msgspec.UNSET
    waits_for: WaitsFor | msgspec.UnsetType = msgspec.UNSET
    gpus: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    retry_of: str | msgspec.UnsetType = msgspec.UNSET
    retried_as: str | msgspec.UnsetType = msgspec.UNSET
    stopped_when: str | msgspec.UnsetType = msgspec.UNSET
    notice: str | msgspec.UnsetType = msgspec.UNSET
    usage: Usage | msgspec.UnsetType = msgspec.UNSET


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A finished process. `row` is its encoded `Row`, with the output in it when `whole`.

    `sequence` is that of its launch, `ended` when it ended, in nanoseconds; `timed_out` that its time limit ended it;
    `leftovers` are pids and starts of those whom it left behind and who live; `left_out` are bytes of the streams that
    are not kept, for being over the limit; `values_bytes` is the room for what a cell got and left. It is a `retry_of`
    another one, and was `retried_as` another one. Somebody is `told` of it, with those of that group, and `notice` says
    why that did not arrive.
    """

    process_id: str
    status: Status
    sequence: int
    ended: int
    stdout_bytes: int
    stderr_bytes: int
    whole: bool
    row: msgspec.Raw
    key: str | None = None
    timed_out: bool = False
    leftovers: tuple[tuple[int, int], ...] = ()
    left_out: int = 0
    values_bytes: int = 0
    retry_of: str | None = None
    retried_as: str | None = None
    told: str | None = None
    notice: str | None = None

    @property
    def output_bytes(self) -> int:
        """The room that both streams take, and the values that it got and left."""
        return self.stdout_bytes + self.stderr_bytes - self.left_out + self.values_bytes

    def facts(self) -> Row:
        """The row, decoded; its output only counts when `whole`."""
        return _decode_row(self.row)

    def with_retry(self, process_id: str | None) -> "Ended":
        """The same, tried again as another process, or not."""
        if process_id is None:
            return self
        row = self.facts()
        row.retried_as = process_id
        row.message = f"{row.message}; tried again" if row.message else "tried again"
        return msgspec.structs.replace(self, retried_as=process_id, row=msgspec.Raw(msgspec.json.encode(row)))

    def with_notice(self, notice: str | None) -> "Ended":
        """The same, with why a notice of it did not arrive."""
        row = self.facts()
        row.notice = notice or msgspec.UNSET
        return msgspec.structs.replace(self, notice=notice, row=msgspec.Raw(msgspec.json.encode(row)))

    def with_leftovers(self, leftovers: Iterable[tuple[int, int]]) -> "Ended":
        """The same with others who are left of it."""
        row, left = self.facts(), tuple(sorted(leftovers))
        row.leftovers = [pid for pid, _ in left] or msgspec.UNSET
        return msgspec.structs.replace(self, leftovers=left, row=msgspec.Raw(msgspec.json.encode(row)))


_decode_row = msgspec.json.Decoder(Row).decode
_decode = msgspec.json.Decoder(Ended).decode
_encode = msgspec.json.Encoder().encode


_HEARD = b'"heard"'


class Journal:
    """The file of all lines. Whatever goes wrong with it is no error.

    `heard` are the processes that somebody had heard of when it was read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines = 0
        self.heard: set[str] = set()

    def read(self) -> dict[str, Ended]:
        """What is known of finished processes, by id."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except OSError:
            return {}
        self.lines = len(lines)
        known: dict[str, Ended] = {}
        for line in lines:
            if line == _HEARD:
                self.heard.update(known)
                continue
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                ended = _decode(line)
                known[ended.process_id] = ended
        return known

    def add(self, ended: Ended) -> None:
        """Appends a line, or nothing."""
        self._append(_encode(ended))

    def mark_heard(self) -> None:
        """Notes that somebody hears of all that are in it."""
        self._append(_HEARD)

    def _append(self, line: bytes) -> None:
        self.lines += 1
        with contextlib.suppress(OSError), open(self._path, "ab", opener=private) as file:
            size = file.tell()
            try:
                file.write(line + b"\n")
                file.flush()
            except OSError:
                file.truncate(size)

    def rewrite(self, processes: Iterable[Ended], untold: Container[str]) -> None:
        """Replaces all lines; nobody has heard of those that are `untold`."""
        ended = list(processes)
        heard = [_encode(each) for each in ended if each.process_id not in untold]
        lines = [*heard, _HEARD, *(_encode(each) for each in ended if each.process_id in untold)]
        with contextlib.suppress(OSError):
            replace_file(self._path, b"\n".join(lines) + b"\n")
        self.lines = len(lines)
