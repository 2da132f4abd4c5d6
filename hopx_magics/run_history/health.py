"""How the history's file is: damaged, in use by another program, or larger than it may be. Nothing in it is changed."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from ..kept import Pruned
from . import pruning

STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""

Result = TypeVar("Result")


def damage(file: Path, seconds: float) -> tuple[str | None, bool]:
    """What SQLite complains of in the file, and whether it has looked at all of it within so many seconds.

    Raises sqlite3.Error for a file that can't be opened for another reason.
    """
    complaint, whole = _damage(file, seconds, as_it_is=not _has_unmerged(file))
    if complaint and not _has_unmerged(file):  # or somebody wrote into it meanwhile
        complaint, whole = _damage(file, seconds, as_it_is=False)
    return complaint, whole


def _damage(file: Path, seconds: float, *, as_it_is: bool) -> tuple[str | None, bool]:
    def look(db: sqlite3.Connection) -> str:
        return str(db.execute("PRAGMA quick_check(1)").fetchone()[0])

    try:
        told = _read(file, seconds, look, as_it_is=as_it_is)
    except sqlite3.DatabaseError as error:
        if (error.sqlite_errorcode & 0xFF) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        return str(error), True
    return (None if told in (None, "ok") else told), told is not None


def over_limits(file: Path, limits: pruning.Limits, slack: float, seconds: float) -> list[Pruned] | None:
    """What is more than the limits allow: see `pruning.over_limits`. None when that takes too long to find out."""
    return _read(file, seconds, lambda db: pruning.over_limits(db, limits, slack), as_it_is=not _has_unmerged(file))


def runs(file: Path, seconds: float) -> int | None:
    """How many runs the history has. None when that takes too long to find out."""

    def count(db: sqlite3.Connection) -> int:
        return int(db.execute("SELECT count(*) FROM runs").fetchone()[0])

    return _read(file, seconds, count, as_it_is=not _has_unmerged(file))


def is_locked(file: Path, seconds: float) -> bool:
    """Whether another program has kept all others from writing for so long. Raises sqlite3.Error."""
    with _opened(file, "mode=rw", seconds) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode & 0xFF) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            return True
    return False


def _read(
    file: Path, seconds: float, action: Callable[[sqlite3.Connection], Result], *, as_it_is: bool
) -> Result | None:
    """What `action` makes of the file; None when that takes longer than so many seconds, or its tables are others."""
    deadline = time.monotonic() + seconds
    with _opened(file, "immutable=1" if as_it_is else "mode=ro", seconds) as db:
        db.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
        try:
            return action(db)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ERROR):
                raise
            return None


def _has_unmerged(file: Path) -> bool:
    """Whether what was written last is beside the file, which has to be read together with it."""
    try:
        return Path(f"{file}-wal").stat().st_size > 0
    except OSError:
        return False


@contextmanager
def _opened(file: Path, how: str, seconds: float) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"file:{quote(str(file))}?{how}", uri=True, timeout=seconds, isolation_level=None)
    try:
        yield db
    finally:
        db.close()
