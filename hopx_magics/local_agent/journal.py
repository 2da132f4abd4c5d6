"""How finished processes ended, one line each, so that a starting agent needn't open thousands of folders.

It holds nothing that the folders don't tell: a line that is missing or damaged costs time, and no process.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..words import Status
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


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A finished process. `row` is its encoded `Row`, with the output in it when `whole`.

    `sequence` is that of its launch, `ended` when it ended, in nanoseconds; `timed_out` that its time limit ended it;
    `leftovers` are pids and starts of those whom it left behind and who live.
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

    @property
    def output_bytes(self) -> int:
        """The size of both streams."""
        return self.stdout_bytes + self.stderr_bytes

    def facts(self) -> Row:
        """The row, decoded; its output only counts when `whole`."""
        return _decode_row(self.row)

    def with_leftovers(self, leftovers: Iterable[tuple[int, int]]) -> "Ended":
        """The same with others who are left of it."""
        row, left = self.facts(), tuple(sorted(leftovers))
        row.leftovers = [pid for pid, _ in left] or msgspec.UNSET
        return msgspec.structs.replace(self, leftovers=left, row=msgspec.Raw(msgspec.json.encode(row)))


_decode_row = msgspec.json.Decoder(Row).decode
_decode = msgspec.json.Decoder(Ended).decode
_encode = msgspec.json.Encoder().encode


class Journal:
    """The file of all lines. Whatever goes wrong with it is no error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines = 0

    def read(self) -> dict[str, Ended]:
        """What is known of finished processes, by id."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except OSError:
            return {}
        self.lines = len(lines)
        known = {}
        for line in lines:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                ended = _decode(line)
                known[ended.process_id] = ended
        return known

    def add(self, ended: Ended) -> None:
        """Appends a line, or nothing."""
        self.lines += 1
        with contextlib.suppress(OSError), open(self._path, "ab", opener=private) as file:
            size = file.tell()
            try:
                file.write(_encode(ended) + b"\n")
                file.flush()
            except OSError:
                file.truncate(size)

    def rewrite(self, processes: Iterable[Ended]) -> None:
        """Replaces all lines."""
        lines = [_encode(ended) + b"\n" for ended in processes]
        with contextlib.suppress(OSError):
            replace_file(self._path, b"".join(lines))
        self.lines = len(lines)
