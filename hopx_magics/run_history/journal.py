"""What a program launches, in a file of its own beside the history, until it is in the history, too.

A line is there before anything is sent, so a program's death loses none. Whoever can write the history next makes good
what is missing in it; how much of each journal the history has is written in the same transaction, so nothing is made
good twice, whoever does it, and however often it is interrupted.
"""

import contextlib
import errno
import glob
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..models import RunId
from . import writing
from .entries import Assigned, Became, Begun, Entry, NeverSent, NotLaunched, now

MOST_BYTES = 100_000_000
"""How large a journal becomes, at most."""

FORSAKEN_AFTER = 86_400.0
"""Seconds after which a journal counts as that of a program that has ended, if it is not known whether it has."""

_ROWS_KEPT = 30 * 86_400 * 1_000_000
"""Microseconds for which it is known how much of a journal is in the history, at least."""


class Owner(msgspec.Struct, frozen=True):
    """The first line of a journal: whose it is."""

    journal: str
    host: str
    pid: int
    started: str | None = None


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line of a journal. Numbers grow, also from one file of this journal to the next."""

    number: int
    entry: Entry

    @property
    def run_ids(self) -> list[RunId]:
        """The runs that it is about."""
        return [row.run_id for row in self.entry.rows] if isinstance(self.entry, Begun) else [self.entry.run_id]


class Journal:
    """The journal of this program. Nothing is safe to use from several threads.

    `file` is that of the history.
    """

    def __init__(self, file: Path) -> None:
        self.id = secrets.token_hex(8)
        self.path = file.with_name(f"{file.name}.journal-{self.id}.jsonl")
        self._fd: int | None = None
        self._head = self._size = 0
        """Bytes of its first line, and of the file."""
        self._codes: set[str] = set()
        """The hashes of the codes that are in the file."""

    def append(self, line: Line) -> None:
        """Adds a line, all of it or nothing. Raises OSError."""
        text = msgspec.json.encode(self._without_known_codes(line)) + b"\n"
        if self._fd is None or os.fstat(self._fd).st_nlink == 0:
            self._fd = self._open()
        self._write(self._fd, text)
        if isinstance(line.entry, Begun):
            self._codes |= line.entry.codes.keys()

    def clear(self) -> None:
        """Forgets all lines: the history has them."""
        if self._fd is not None and self._size > self._head:
            with contextlib.suppress(OSError):  # that the history has them is known there, too
                os.ftruncate(self._fd, self._head)
                self._size = self._head
                self._codes.clear()

    def close(self) -> None:
        """Removes the file, all of whose lines the history has; another line begins a new one."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.leave()

    def leave(self) -> None:
        """Closes the file, and leaves it to others."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._size = None, 0
        self._codes.clear()

    def _open(self) -> int:
        self.leave()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._write(fd, msgspec.json.encode(_myself(self.id)) + b"\n")
        except OSError:
            os.close(fd)
            self.path.unlink()
            raise
        self._head = self._size
        return fd

    def _write(self, fd: int, text: bytes) -> None:
        if self._size + len(text) > MOST_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        try:
            if os.write(fd, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, self._size)  # half a line would take the next one with it
            raise
        self._size += len(text)

    def _without_known_codes(self, line: Line) -> Line:
        """The line without the codes of earlier ones: those of a large sweep are all the same."""
        entry = line.entry
        if not isinstance(entry, Begun) or not entry.codes.keys() & self._codes:
            return line
        codes = {hash_: code for hash_, code in entry.codes.items() if hash_ not in self._codes}
        return Line(line.number, Begun(entry.rows, codes, entry.waiter))


# ---------------------------------------------------------------- into the history


def apply(db: sqlite3.Connection, journal: str, lines: Sequence[Line]) -> list[str]:
    """Writes into the history what these lines of a journal tell and it does not have; returns what can't be written.

    A line that makes no sense costs itself alone.
    """
    row = db.execute("SELECT position FROM journals WHERE journal = ?", (journal,)).fetchone()
    position, problems = row[0] if row else 0, []
    for line in lines:
        if line.number > position and (problem := write_line(db, line)):
            problems.append(problem)
    position = max(position, lines[-1].number)
    db.execute("INSERT OR REPLACE INTO journals VALUES (?, ?, ?)", (journal, position, now()))
    return problems


def write_line(db: sqlite3.Connection, line: Line) -> str | None:
    """Writes what one line tells, all of it or nothing; returns why it can't be written at any time."""
    db.execute("SAVEPOINT line")
    problem = None
    try:
        _apply(db, line.entry)
    except Exception as error:
        if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):  # about the file, and not the line
            raise
        db.execute("ROLLBACK TO line")
        problem = str(error)
    db.execute("RELEASE line")
    return problem


def _apply(db: sqlite3.Connection, entry: Entry) -> None:
    match entry:
        case Begun():
            writing.begin(db, entry)
        case Assigned():
            writing.assign(db, entry)
        case Became():
            writing.launched(db, entry)
        case NotLaunched():
            writing.not_launched(db, entry)
        case NeverSent():
            writing.never_sent(db, entry)


def forget(db: sqlite3.Connection, journal: str) -> None:
    """Forgets a journal whose file is gone, and those of which nothing was heard for a month."""
    db.execute("DELETE FROM journals WHERE journal = ? OR written_at < ?", (journal, now() - _ROWS_KEPT))


# ---------------------------------------------------------------- those of other programs


class Found(NamedTuple):
    """The journal of a program that has ended."""

    path: Path
    id: str


def left_behind(file: Path) -> Iterator[Found]:
    """The journals beside a history whose programs have ended: the others bring theirs into it themselves."""
    for path in sorted(file.parent.glob(f"{glob.escape(file.name)}.journal-*.jsonl")):
        if (owner := _owner(path)) and _has_ended(owner, path):
            yield Found(path, owner.journal)


def lines_of(found: Found) -> Iterator[Line]:
    """The lines of a journal, each with its codes; what can't be read is left out. Raises OSError."""
    codes: dict[str, str] = {}
    decode = msgspec.json.Decoder(Line).decode
    with found.path.open("rb") as stream:
        next(stream, None)
        for text in stream:
            with contextlib.suppress(msgspec.DecodeError):
                line = decode(text)
                yield _with_codes(line, codes)


def _with_codes(line: Line, codes: dict[str, str]) -> Line:
    if not isinstance(line.entry, Begun):
        return line
    codes |= line.entry.codes
    named = {hash_ for row in line.entry.rows for hash_ in (row.code_hash, row.values_in) if hash_}
    wanted = {hash_: codes[hash_] for hash_ in named if hash_ in codes}
    return Line(line.number, Begun(line.entry.rows, wanted, line.entry.waiter))


def _owner(path: Path) -> Owner | None:
    """Whose a journal is; None where that can't be read, and for one that has nothing."""
    try:
        with path.open("rb") as stream:
            return msgspec.json.decode(stream.readline(100_000), type=Owner)
    except (OSError, msgspec.DecodeError):
        return None


def _has_ended(owner: Owner, path: Path) -> bool:
    if owner.host == socket.gethostname() and (not is_alive(owner.pid) or _started(owner.pid) != owner.started):
        return True
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > FORSAKEN_AFTER
    return False


def _myself(journal: str) -> Owner:
    return Owner(journal, socket.gethostname(), os.getpid(), _started(os.getpid()))


def _started(pid: int) -> str | None:
    """What tells a process from an earlier one of its number, where the system tells it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return False
    except OSError:
        return True
    return True
