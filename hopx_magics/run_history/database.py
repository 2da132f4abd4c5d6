"""The history's file: opened when first needed, shared by the threads of this program and by other programs.

Every writing transaction begins with BEGIN IMMEDIATE: one that only becomes a writer on the way can't wait for another
writer, and fails however long it is given.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ..errors import HistoryError
from .migrations import migrate

BUSY_TIMEOUT = 10.0
"""Seconds for which a writer waits for another one."""

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_of_other_programs: list[sqlite3.Connection] = []
"""Connections that a fork has copied: they are the parent's, and must neither be used nor closed here."""


class Database:
    """One SQLite file. Safe to use from several threads, by several programs at once, and by forked children.

    A damaged file is set aside and a fresh one begun, which `notes` tells: what its user should know.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.notes: list[str] = []
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._identity: tuple[int, int] | None = None

    def read(
        self,
        action: Callable[Concatenate[sqlite3.Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """What `action` makes of the file as it is at one moment. Raises HistoryError."""
        return self._do("BEGIN", lambda db: action(db, *args, **kwargs))

    def write(
        self,
        action: Callable[Concatenate[sqlite3.Connection, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Does `action` in one transaction: all of it or nothing. Raises HistoryError."""
        return self._do("BEGIN IMMEDIATE", lambda db: action(db, *args, **kwargs))

    def move(self, file: Path) -> None:
        """Goes on with another file."""
        with self._lock:
            self.close()
            self.file = file

    def give_back(self) -> None:
        """Makes the file smaller by what was removed from it. Raises HistoryError."""

        def vacuum(db: sqlite3.Connection) -> None:
            db.executescript("PRAGMA incremental_vacuum")  # each of its steps frees one page, and execute makes one

        self._do(None, vacuum)

    def close(self) -> None:
        """Closes the file; it is opened again when it is needed."""
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def _do(self, begin: str | None, action: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._owner != os.getpid():
            self._begin_anew()
        with self._lock:
            try:
                return self._attempt(begin, action)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise self._failed(error) from error
            try:
                self._set_aside()
                return self._attempt(begin, action)
            except (OSError, sqlite3.DatabaseError) as error:
                raise self._failed(error) from error

    def _begin_anew(self) -> None:
        """In a forked child: lock and connection are those of the parent, one of whose threads may hold the lock."""
        self._owner, self._lock = os.getpid(), threading.RLock()
        if self._db is not None:
            _of_other_programs.append(self._db)
            self._db = None

    def _attempt(self, begin: str | None, action: Callable[[sqlite3.Connection], Result]) -> Result:
        db = self._opened()
        if begin is None:
            return action(db)
        db.execute(begin)
        try:
            result = action(db)
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first error says what happened
                db.execute("ROLLBACK")
            raise
        return result

    def _opened(self) -> sqlite3.Connection:
        if self._db is not None and not self._is_there():
            self.close()
            self.notes.append(f"the run history {self.file} was taken away while it was used: a fresh one has begun")
        if self._db is None:
            self._db = self._open()
        return self._db

    def _is_there(self) -> bool:
        """Whether the file that is open is still the one of that name: rows in any other one would be lost."""
        try:
            status = self.file.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _open(self) -> sqlite3.Connection:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))  # output is nobody else's business
            status = self.file.stat()
        except OSError as error:
            raise self._failed(error) from error
        self._identity = (status.st_dev, status.st_ino)
        db = sqlite3.connect(self.file, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, fresh=status.st_size == 0)
            migrate(db, str(self.file))
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        """Renames the damaged file, unless another program has done so by now."""
        self.close()
        try:
            status = self.file.stat()
        except FileNotFoundError:
            return
        if (status.st_dev, status.st_ino) != self._identity:
            return
        aside = self.file.with_name(f"{self.file.stem}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}{self.file.suffix}")
        self.file.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.file}{suffix}").rename(f"{aside}{suffix}")
        self.notes.append(f"the run history was damaged: it was set aside as {aside}, and a fresh one has begun")

    def _failed(self, error: Exception) -> HistoryError:
        return HistoryError(
            f"the run history {self.file} can't be used: {error}",
            hint="HOPX_HISTORY chooses another file.",
        )


def _prepare(db: sqlite3.Connection, *, fresh: bool) -> None:
    if fresh:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:  # SQLite itself does not wait when two make a fresh file at once
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _DAMAGED
