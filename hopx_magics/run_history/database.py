"""The history's file: opened when first needed, shared by the threads of this program and by other programs.

Every writing transaction begins with BEGIN IMMEDIATE: one that only becomes a writer on the way can't wait for another
writer, and fails however long it is given.
"""

import contextlib
import errno
import glob
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from ..errors import HistoryError
from .ahead import Ahead, read_with
from .migrations import migrate

PATIENCE = 10.0
"""Seconds for which a writer waits for another one, if nothing else is said."""

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NOT_WRITABLE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_of_other_programs: list[sqlite3.Connection] = []
"""Connections that a fork has copied: they are the parent's, and must neither be used nor closed here."""


class Database:
    """One SQLite file. Safe to use from several threads, by several programs at once, and by forked children.

    A damaged file is set aside and a fresh one begun, which `notes` tells: what its user should know. `patience` is for
    how many seconds one waits for another program that writes.
    """

    def __init__(self, file: Path, *, patience: float = PATIENCE) -> None:
        self.file = file
        self.notes: list[str] = []
        self.settle: Callable[[], Ahead | None] = lambda: None
        """Called before anything is read: brings into the file what this program has told, or tells what of it isn't.
        """
        self._patience = patience
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
        ahead = self.settle()

        def act(db: sqlite3.Connection) -> Result:
            if ahead is None:
                return action(db, *args, **kwargs)
            return read_with(db, ahead, lambda db: action(db, *args, **kwargs))

        try:
            return self._do("BEGIN", act)
        except HistoryError as error:
            if not _is_about_writing(error) or self._has_unmerged():
                raise
        with self._lock, contextlib.closing(self._opened_as_it_is()) as db:
            try:
                return act(db)
            except sqlite3.DatabaseError as error:
                raise self._failed(error) from error

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

    @property
    def lock(self) -> threading.RLock:
        """Held by whoever uses the file in this program."""
        return self._lock

    def close(self) -> None:
        """Closes the file; it is opened again when it is needed."""
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def set_aside(self) -> Path:
        """Renames the file, which is damaged, and returns its new name; a fresh one begins. Raises OSError."""
        with self._lock:
            status = self.file.stat()
            self._identity = (status.st_dev, status.st_ino)
            return self._set_aside() or self.file

    def _do(self, begin: str, action: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._owner != os.getpid():
            self._begin_anew()
        with self._lock:
            try:
                return self._attempt(begin, action)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    if _code(error) not in _BUSY:
                        self.close()  # one that was opened while it could not be written would never be written
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

    def _attempt(self, begin: str, action: Callable[[sqlite3.Connection], Result]) -> Result:
        db = self._opened()
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
        gone = None
        if self._db is not None and not self._is_there():
            gone = self._why_it_is_gone()
            self.close()
        if self._db is None:
            self._db = self._open()
        if gone:
            self.notes.append(gone)
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
            with contextlib.suppress(FileExistsError):  # to close one that is open elsewhere here would undo its locks
                os.close(os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # nobody else may read output
            if not os.access(self.file, os.W_OK):  # SQLite would open it all the same, and leave files that stay so
                raise PermissionError(errno.EACCES, f"{self.file} can't be written")
            status = self.file.stat()
        except OSError as error:
            raise self._failed(error) from error
        self._identity = (status.st_dev, status.st_ino)
        db = sqlite3.connect(self.file, timeout=self._patience, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, self._patience, fresh=status.st_size == 0)
            migrate(db, str(self.file))
        except BaseException:
            db.close()
            raise
        return db

    def _opened_as_it_is(self) -> sqlite3.Connection:
        """The file that nobody can write, without the locks that would have to be written beside it."""
        try:
            db = sqlite3.connect(f"file:{quote(str(self.file))}?immutable=1", uri=True, isolation_level=None)
        except sqlite3.DatabaseError as error:  # it is no file, or can't be read either
            raise self._failed(error) from error
        db.execute("PRAGMA temp_store = MEMORY")
        return db

    def _has_unmerged(self) -> bool:
        """Whether what was written last is not in the file itself."""
        try:
            return Path(f"{self.file}-wal").stat().st_size > 0
        except OSError:
            return False

    def _set_aside(self) -> Path | None:
        """Renames the damaged file, unless another program has done so by now; its new name."""
        self.close()
        try:
            status = self.file.stat()
        except FileNotFoundError:
            return None
        if (status.st_dev, status.st_ino) != self._identity:
            return None
        aside = self.file.with_name(f"{self.file.stem}.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}{self.file.suffix}")
        self.file.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.file}{suffix}").rename(f"{aside}{suffix}")
        self.notes.append(_damaged(aside))
        return aside

    def _why_it_is_gone(self) -> str:
        for aside in self.file.parent.glob(f"{glob.escape(self.file.stem)}.damaged-*"):
            status = aside.stat()
            if (status.st_dev, status.st_ino) == self._identity:
                return _damaged(aside)  # somebody else has set it aside
        return f"the run history {self.file} was taken away while it was used: a fresh one has begun"

    def _failed(self, error: Exception) -> HistoryError:
        reason = error.strerror if isinstance(error, PermissionError) else error
        return HistoryError(
            f"the run history {self.file} can't be used: {reason}", hint="HOPX_HISTORY chooses another file."
        )


def is_busy(error: HistoryError) -> bool:
    """Whether another program writes, which is over soon."""
    return _code(error.__cause__) in _BUSY


def _is_about_writing(error: HistoryError) -> bool:
    """Whether the file could be read, if nothing had to be written for that."""
    cause = error.__cause__
    return _code(cause) in _NOT_WRITABLE or isinstance(cause, PermissionError)


def is_lasting(error: HistoryError) -> bool:
    """Whether it is about what was to be written: it can't be written at any other time either."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError)


def _damaged(aside: Path) -> str:
    return f"the run history was damaged: it was set aside as {aside}, and a fresh one has begun"


def _prepare(db: sqlite3.Connection, patience: float, *, fresh: bool) -> None:
    if fresh:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    deadline = time.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:  # SQLite itself does not wait when two make a fresh file at once
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("PRAGMA foreign_keys = ON")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return _code(error) in _DAMAGED


def _code(error: BaseException | None) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
