"""The lines below the cells of one kernel: which there are, when each is drawn, and who is told.

One thread draws all that may change, as long as there is any. What is drawn goes to the pages that have said that their
notebooks hold these lines, in one message for all; where no page does, each line is shown by its display in the cell.
At its end every line is shown in both ways, so that it is right also where nobody has said anything.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..connection.connection import Connection
from ..connection.watcher import Update
from ..display.line import Line
from ..models import Process, Usual
from ..run import Run
from ..sweeps import Sweep
from .drawing import RunLine, SweepLine, Why
from .rows import Rows
from .usual import UsualTimes

TAIL = 1000
"""Bytes of the streams' ends in which progress and the last line are looked for."""

LOOK_EVERY = 0.1
"""Seconds between two looks at what running cells have displayed."""

DRAWN_EVERY = 1.0
"""Seconds between two times that a line is drawn in which a time goes on."""

OFTEN_FOR = 60.0
SELDOM = 5.0
"""Seconds for which a line is shown each second by its display, and between two times that it is shown after that."""

Show = Callable[[dict[str, str], dict[str, Any]], None]
"""Shows a mimebundle with metadata in its place below a cell."""

_log = logging.getLogger(__name__)


class Drawn(NamedTuple):
    """A line, and how it was drawn."""

    line: "Followed"
    drawn: Line


class Followed:
    """One line that is followed: of what, by which displays it is shown, and how it was last drawn and shown."""

    def __init__(self, what: RunLine | SweepLine) -> None:
        self.what = what
        self.shows: list[Show] = []
        self.drawn: Line | None = None
        self.changed = True
        self.ending = False
        self.begun = time.monotonic()
        self.drawn_at = self.shown_at = 0.0
        self.stop: Callable[[], None] = lambda: None

    @property
    def metadata(self) -> dict[str, Any]:
        """What the notebook keeps of it beside what is shown: by that, a page finds it and asks for it."""
        return metadata_of(self.what, ended=not self.what.going)

    def due(self, now: float) -> bool:
        """Whether it has to be drawn."""
        going_on = self.what.status == "running" and now - self.drawn_at >= DRAWN_EVERY
        return not self.ending and (self.changed or going_on or not self.what.going or self.what.look())

    def due_to_show(self, now: float) -> bool:
        """Whether its displays have to show it, too, which costs more."""
        return now - self.begun < OFTEN_FOR or now - self.shown_at >= SELDOM


def metadata_of(what: RunLine | SweepLine, *, ended: bool) -> dict[str, Any]:
    """What the notebook keeps of a line beside what is shown."""
    kind = "sweep" if what.is_sweep else "run"
    return {"hopx": {kind: what.id, "connection": what.connection, "name": what.name, "ended": ended}}


class Lines:
    """The lines of one kernel. `why` tells the error that ended a run."""

    def __init__(self, why: Why) -> None:
        self._why = why
        self.rows = Rows(lambda process: process.process_id in self._wanted, has_displays=self._has_displays)
        """Of the runs that lines are of, or pages have asked for, as their agents list them."""
        self._wanted: set[str | None] = set()
        self._followed: dict[str, Followed] = {}
        self._connections: dict[str, Connection] = {}
        self._listening: dict[Connection, Callable[[], None]] = {}
        self._running: list[Followed] = []
        self._news = True
        """Whether something may have to be drawn that does not run, or runs since now."""
        self._all_looked_at = 0.0
        self._usual = UsualTimes()
        self._lock = threading.RLock()
        self._finished = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.tell: Callable[[Sequence[Drawn]], None] = lambda drawn: None
        """Is called with what was drawn, for the pages."""
        self.held: Callable[[str], bool] = lambda line_id: False
        """Tells whether pages show a line by themselves."""
        self.listed: Callable[[], None] = lambda: None
        """Is called after an agent has told something."""

    # ------------------------------------------------------------ what is followed

    def show(self, item: Run | Sweep, show: Show) -> None:
        """Shows a run or a sweep by a display, until it has ended."""
        with self._lock:
            followed = self._followed.get(id_of(item)) or Followed(self.line_of(item))
            followed.shows.append(show)
            if followed.what.going:
                line = followed.drawn or followed.what.draw()
                self._follow(followed)
            else:
                line = followed.what.finish()
            show(line.bundle(followed.what.id), followed.metadata)

    def follow(self, item: Run | Sweep) -> Followed:
        """Follows a run or a sweep for the pages that hold its line, until it has ended."""
        with self._lock:
            followed = self._followed.get(id_of(item)) or Followed(self.line_of(item))
            if followed.what.going:
                self._follow(followed)
            return followed

    def followed(self, line_id: str) -> Followed | None:
        """The line of that id, if it is followed."""
        return self._followed.get(line_id)

    def line_of(self, item: Run | Sweep) -> RunLine | SweepLine:
        """The line of a run or a sweep."""
        if isinstance(item, Sweep):
            return SweepLine(item, self._why)
        return RunLine(item, id_of(item), self._why)

    def settle(self, seconds: float) -> None:
        """Waits, at most so long, until the lines show it whose runs are known to have ended."""
        self._news = True
        self._wake.set()
        with self._finished:
            self._finished.wait_for(self._all_show_their_ends, seconds)

    def _all_show_their_ends(self) -> bool:
        return all(followed.what.going for followed in self._followed.values())

    def close(self) -> None:
        """Follows nothing any more."""
        with self._lock:
            for followed in self._followed.values():
                followed.stop()
            self._followed.clear()
            for stop in self._listening.values():
                stop()
            self._listening.clear()
        self._wake.set()

    def list_run(self, run: Run) -> int | None:
        """The slot of a run whose agent lists it, by which pages ask for its output."""
        connection = run.source.connection
        if connection is not None:
            self._connections[connection.name] = connection
        listing = connection.latest if connection else None
        if connection is None or listing is None or (listed := listing.find(run.process_id)) is None:
            return None
        with self._lock:
            self._wanted.add(listed.process_id)
            self.rows.update(connection.name, listing, [listed])
            return self.rows.slot(connection.name, listed.process_id)

    def _has_displays(self, connection: str, process: Process) -> bool:
        return connection in self._connections and self._connections[connection].has_displays(process)

    def _follow(self, followed: Followed) -> None:
        what = followed.what
        if what.id not in self._followed:
            self._followed[what.id] = followed
            self._news = True
            self._usual.ask(what.runs, partial(self._see_usual, followed))
            if isinstance(what, SweepLine):
                followed.stop = what.run.listen(partial(self._heard, followed))
            else:
                self._follow_agent(what)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hopx lines below cells", daemon=True)
            self._thread.start()

    def _follow_agent(self, what: RunLine) -> None:
        """Follows the agent of a run, if it is handed out to one, and not yet followed."""
        connection = what.run.source.connection
        if connection is not None and what.run.process_id not in self._wanted:
            self._wanted.add(what.run.process_id)
            self.list_run(what.run)
        if connection is not None and connection not in self._listening:
            self._listening[connection] = lambda: None
            self._listening[connection] = connection.watcher.listen(partial(self._take, connection), tail=TAIL)

    def _see_usual(self, followed: Followed, usual: Usual) -> None:
        followed.what.see_usual(usual)
        self._heard(followed)

    def _heard(self, followed: Followed) -> None:
        followed.changed = self._news = True
        self._wake.set()

    def _take(self, connection: Connection, update: Update) -> None:
        """Takes what an agent tells, on the thread of its watcher."""
        with self._lock:
            listing = update.listing if update.error is None else None
            if listing is not None:
                self.rows.update(connection.name, listing, update.changed, update.gone)
            is_all = listing is None or update.changed is None
            changed = {process.process_id for process in update.changed or ()}
            for followed in list(self._followed.values()):
                what = followed.what
                if not isinstance(what, RunLine) or what.run.source.connection is not connection:
                    continue
                process_id = what.run.process_id
                if is_all or process_id in changed or (listing and listing.find(process_id) is None):
                    self._see(what, followed, update, connection)
                else:
                    what.hear(update)
        self._wake.set()
        self.listed()

    def _see(self, what: RunLine, followed: Followed, update: Update, connection: Connection) -> None:
        before = what.run.process
        what.see(update)
        slot = self.rows.slot(connection.name, what.run.process_id)
        what.row = None if slot is None else self.rows.row(slot)
        after = what.run.process
        if _standing(after) != _standing(before):
            followed.changed = self._news = True

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()
            try:
                if not self._look(time.monotonic()):
                    return
            except Exception:  # whatever it was, the next look must find the thread alive
                _log.exception("the lines below cells could not be drawn")

    def _look(self, now: float) -> bool:
        """Draws what has to be drawn; whether anything is followed still."""
        with self._lock:
            if not self._followed:
                self._thread = None
                self._end_listening()
                return False
            due = [followed for followed in self._to_be_looked_at(now) if followed.due(now)]
            drawn = [Drawn(followed, line) for followed in due if (line := self._draw(followed, now))]
        if drawn:
            self.tell(drawn)
            for followed, line in drawn:
                if not self.held(followed.what.id) and followed.due_to_show(now):
                    self._show(followed, line)
        return True

    def _to_be_looked_at(self, now: float) -> list[Followed]:
        """Those that run; each second, and when there is news, all."""
        if not self._news and now - self._all_looked_at < DRAWN_EVERY:
            return self._running
        self._news, self._all_looked_at = False, now
        everything = list(self._followed.values())
        for followed in everything:
            if isinstance(followed.what, RunLine):
                self._follow_agent(followed.what)
        self._running = [followed for followed in everything if followed.what.status == "running"]
        return everything

    def _draw(self, followed: Followed, now: float) -> Line | None:
        """The line, if it has to be drawn and is another one than before; one that has ended is finished aside."""
        followed.changed, followed.drawn_at = False, now
        what = followed.what
        if not what.going:
            self._finish_aside(followed)
            return None
        if isinstance(what, SweepLine) and what.unexplained:
            self._explain_aside(followed, what)
        try:
            line = what.draw()
        except Exception:  # one line that can't be drawn must not stop the others
            _log.exception("the line of %s could not be drawn", what.id)
            return None
        before, followed.drawn = followed.drawn, line
        return None if line == before else line

    def _show(self, followed: Followed, line: Line) -> None:
        followed.shown_at = time.monotonic()
        for show in followed.shows:
            show(line.bundle(followed.what.id), followed.metadata)

    def _finish_aside(self, followed: Followed) -> None:
        """Finishes a line on a thread of its own: an agent may take its time."""
        followed.ending = True
        name = f"hopx line of {followed.what.id}"
        threading.Thread(target=self._finish, args=(followed,), name=name, daemon=True).start()

    def _finish(self, followed: Followed) -> None:
        try:
            line = followed.what.finish()
        except Exception:  # what is known without its agent is better than what was
            _log.exception("the line of %s could not be finished", followed.what.id)
            line = followed.what.draw()
        followed.drawn = line
        self.tell([Drawn(followed, line)])
        self._show(followed, line)
        with self._lock:
            followed.stop()
            self._followed.pop(followed.what.id, None)
            self._finished.notify_all()
        self._wake.set()

    def _explain_aside(self, followed: Followed, what: SweepLine) -> None:
        def explain() -> None:
            what.explain()
            self._heard(followed)

        threading.Thread(target=explain, name=f"hopx line of {what.id}", daemon=True).start()

    def _end_listening(self) -> None:
        for stop in self._listening.values():
            stop()
        self._listening.clear()


def id_of(item: Run | Sweep) -> str:
    """What the line of a run or of a sweep is known by."""
    if isinstance(item, Sweep):
        return item.sweep_id
    return str(item.run_id or f"{item.connection}/{item.process_id}")


def _standing(process: Process) -> tuple[object, ...]:
    """What of a process is shown as soon as it changes; all else waits for the next second."""
    return process.status, process.paused, process.status == "queued" and process.status_detail
