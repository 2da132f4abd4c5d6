"""One thread a program that writes into the history, so that nobody has to wait until it can be written.

What only this program can tell goes into its journal first, and from there into the history, in its order. Everything
else is a task, which is done again until it succeeds.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path

from ..errors import HistoryError
from .database import Database, is_busy, is_lasting
from .entries import Entry
from .journal import Found, Journal, Line, apply, forget, left_behind, lines_of

PATIENCE = 0.1
"""Seconds for which the thread waits for another program that writes, before it looks for what is new here."""

SETTLED_WITHIN = 0.5
"""Seconds for which anybody waits, at most, until the history has what was told."""

GATHER = 0.02
"""Seconds in which what is told is gathered into one transaction, if nobody waits for it."""

LONGEST_PAUSE = 2.0
"""Seconds between two tries, at most."""

AT_ONCE = 500
"""Lines that are written in one transaction."""

Task = Callable[[Database], None]
"""Writes something. Raises HistoryError, and is done again then."""

_log = logging.getLogger(__name__)


class Writer:
    """Writes what it is told into the history of this `file`, soon, and again and again until that succeeds.

    Safe to use from several threads. `problems` are what the user should know of what can't be written at any time.
    """

    def __init__(self, file: Path) -> None:
        self.database = Database(file, patience=PATIENCE)
        self.problems: list[str] = []
        self._journal = Journal(file)
        self._telling = threading.Lock()
        """Held around the journal, and never by who only has tasks."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._lines: deque[Line] = deque()
        self._tasks: dict[Hashable, Task] = {}
        self._numbers = itertools.count(1)
        self._busy = self._hurry = False
        self._tries = self._failed_try = 0
        """How many tries there were, and the number of the last one that failed."""
        self._error: HistoryError | None = None
        """Why the last try failed."""
        self._failing_since = 0.0
        self._is_known = False
        """Whether the history has heard of the journal."""
        self._unkept: deque[Line] = deque()
        self._why_unkept: OSError | None = None
        """The lines that the journal has not, and why."""
        self._told: set[str] = set()

    # ------------------------------------------------------------ told

    def tell(self, *entries: Entry) -> None:
        """Writes these down: into the journal now, where that is possible, and soon into the history."""
        with self._telling:
            lines = [Line(next(self._numbers), entry) for entry in entries]
            self._unkept.extend(lines)
            try:
                while self._unkept:  # in their order: how far the history is, is the number of the last one
                    self._journal.append(self._unkept[0])
                    self._unkept.popleft()
            except OSError as error:
                self._why_unkept = error
            with self._changed:
                self._wake()
                self._lines.extend(lines)
        if self._unkept:
            self.settle()  # or there would be no trace of it

    def do(self, key: Hashable, task: Task) -> None:
        """Does a task soon, instead of any other one of that key which is not done yet."""
        with self._changed:
            self._wake()
            self._tasks[key] = task

    def take_over(self, taken: Callable[[], None]) -> None:
        """Writes, soon, what programs that have ended left in their journals; if any did, `taken` is called.

        That is done on the writer's thread.
        """
        self.do("journals", partial(self._take_over, taken))

    def settle(self, seconds: float = SETTLED_WITHIN, *, again: bool = False) -> bool:
        """Waits until all that was told is written, or can't be now; whether it is.

        After a failure nobody waits but who wants it to be tried `again`.
        """
        if threading.current_thread() is self._thread:
            return False
        with self._changed:
            this_try = self._tries
            if again or not self._is_stuck():
                self._hurry = self._pending
                self._changed.notify_all()
            tried = partial(self._is_stuck, this_try if again else -1)
            self._changed.wait_for(lambda: not self._pending or tried(), seconds)
            return not self._pending

    @property
    def lines(self) -> list[Line]:
        """What was told and is not in the history yet."""
        with self._changed:
            return list(self._lines)

    def note(self) -> str | None:
        """What the user should be told of what can't be written now; once, until it can be written again."""
        error = self._error
        if error is None or not self._is_stuck():
            return None
        kept = f"It is kept in {self._journal.path} until then."
        if self._unkept:
            kept = f"Until then only this program has it, and loses it with its end: {self._why_unkept}"
        if kept in self._told:
            return None
        self._told.add(kept)
        return f"{error}\nWhat is launched goes on as ever, and is written down when that is possible. {kept}"

    def move(self, file: Path) -> None:
        """Goes on with another file; what could not be written into the one before is left to its journal."""
        self.close()
        with self._telling, self._changed:
            self._lines = deque(self._unkept)
            self._tasks.clear()
            self._error = None
            self._told.clear()
            self._journal, self._is_known = Journal(file), False
            self.database.move(file)

    def close(self) -> None:
        """Writes what can be written now, and ends the thread; it begins again with what is told next."""
        self.settle()
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None:
            thread.join(SETTLED_WITHIN)
        with self._telling:
            if self._lines:
                self._journal.leave()
            else:
                self._journal.close()
                if self._is_known:
                    with contextlib.suppress(HistoryError):
                        self._forget(self._journal.id)
        self.database.close()

    # ------------------------------------------------------------ the thread

    @property
    def _pending(self) -> bool:
        return bool(self._lines or self._tasks or self._busy)

    def _is_stuck(self, after: int = -1) -> bool:
        """Whether a try `after` that one has failed, and nobody should wait for the next one."""
        error = self._error
        if error is None or self._failed_try <= after:
            return False
        return not is_busy(error) or time.monotonic() - self._failing_since > 0.9 * SETTLED_WITHIN

    def _wake(self) -> None:
        """Lets the thread take what the caller, who holds the lock, is about to add."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="hopx-history-writer", daemon=True)
            with contextlib.suppress(RuntimeError):  # Python is about to end: the journal is left to others
                thread.start()
                self._thread = thread
        if not self._pending:  # otherwise it is awake, or gathers
            self._changed.notify_all()

    def _run(self) -> None:
        pause = 0.0
        while self._begin(pause):
            begun = time.monotonic()
            try:
                self._write_all()
            except HistoryError as error:
                pause = self._take_failure(error, begun, pause)
            except Exception as error:  # nothing ends this thread
                _log.exception("the run history could not be written")
                pause = self._take_failure(HistoryError(str(error)), begun, pause)
            else:
                pause = 0.0
            with self._changed:
                self._busy = False
                if not pause:
                    self._error = None
                    self._told.clear()
                self._changed.notify_all()

    def _begin(self, pause: float) -> bool:
        """Waits for something to write, and after a failure for a while; False when this thread is to end."""
        me = threading.current_thread()
        with self._changed:
            self._hurry = self._hurry and self._pending  # whoever waited for what is written by now has it
            self._changed.wait_for(lambda: self._pending or self._thread is not me)
            self._changed.wait_for(lambda: self._hurry or self._thread is not me, pause or GATHER)
            if self._thread is not me:
                return False
            self._hurry = False
            self._tries += 1
            self._busy = True
            return True

    def _take_failure(self, error: HistoryError, begun: float, pause: float) -> float:
        with self._changed:
            if self._error is None:
                self._failing_since = begun
            self._error, self._failed_try = error, self._tries
        return min(max(GATHER, 2 * pause), LONGEST_PAUSE)

    def _write_all(self) -> None:
        """Writes all that was told by now. Raises HistoryError."""
        self._write_lines()
        with self._changed:
            tasks = list(self._tasks.items())
        for key, task in tasks:
            try:
                task(self.database)
            except HistoryError as error:
                if not is_lasting(error):
                    raise
                self.problems.append(str(error))
            except Exception:
                _log.exception("something could not be written into the run history")
            with self._changed:
                if self._tasks.get(key) is task:
                    del self._tasks[key]
            self._write_lines()

    def _write_lines(self) -> None:
        while lines := self._first_lines():
            self.problems += self.database.write(apply, self._journal.id, lines)
            self._is_known = True
            with self._telling, self._changed:
                for waiting in (self._lines, self._unkept):
                    while waiting and waiting[0].number <= lines[-1].number:
                        waiting.popleft()
                if not self._lines:
                    self._journal.clear()

    def _first_lines(self) -> list[Line]:
        with self._changed:
            return list(itertools.islice(self._lines, AT_ONCE))

    def _take_over(self, taken: Callable[[], None], database: Database) -> None:
        found = list(left_behind(database.file))
        for each in found:
            with contextlib.suppress(OSError):
                self._take_over_one(database, each)
        if found:
            taken()

    def _take_over_one(self, database: Database, found: Found) -> None:
        lines = lines_of(found)
        while some := list(itertools.islice(lines, AT_ONCE)):
            self.problems += database.write(apply, found.id, some)
        found.path.unlink()
        self._forget(found.id)

    def _forget(self, journal: str) -> None:
        self.database.write(forget, journal)
