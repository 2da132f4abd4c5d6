"""The line below a cell that says what becomes of its run: state, progress, time left, the last line of output.

It is drawn when its agent tells of a change, at most once a second, and at least that often while a time in it goes on.
"""

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .live_line import SILENT_AFTER, Display

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..connection.connection import Connection
    from ..connection.watcher import Update
    from ..live.rows import Row
    from ..models import Process
    from ..run import Run

TAIL = 1000
"""Bytes of the streams' ends in which progress and the last line are looked for."""

OFTEN_FOR = 60.0
SELDOM = 5.0
"""Seconds for which a line is drawn each second, and between two times that it is drawn after that."""

SHOWN_BELOW = 5_000_000
"""Characters of what a cell displayed that are shown below it; `run.show()` shows all."""


def show_run(run: "Run") -> None:
    """Shows a run as one line that follows it until it has ended, as far as there is an agent to tell of it."""
    if run.source.connection is None:
        Display().show(run._repr_mimebundle_())
    else:
        _RunLine(run, run.source.connection)


class _RunLine:
    """One such line. It is told by the agent's watcher and by the clock, each on a thread of its own."""

    def __init__(self, run: "Run", connection: "Connection") -> None:
        from ..live.rows import Rows

        self._run = run
        self._connection = connection.name
        self._rows = Rows(lambda process: True)
        self._display = Display()
        self._update: Update | None = None
        self._lock = threading.RLock()
        self._drawn = 0.0
        self._begun = time.monotonic()
        self._stops: list[Callable[[], None]] = []
        with self._lock:
            if not self._draw():
                self._stops = [connection.watcher.listen(self._take, tail=TAIL), _CLOCK.call(self._tick)]

    def _take(self, update: "Update") -> None:
        with self._lock:
            self._update = update
            if update.listing is not None and update.error is None:
                listed = update.listing.find(self._run.process_id)
                before = self._run.process
                self._run.see(listed)
                if listed is not None:
                    self._rows.update(self._connection, update.listing, [listed])
                now = self._run.process
                if now.status == before.status == "running" and now.paused == before.paused:
                    return  # the clock draws it
            self._draw_and_end()

    def _tick(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._begun < OFTEN_FOR or now - self._drawn >= SELDOM:
                self._draw_and_end()

    def _draw_and_end(self) -> None:
        if self._stops and self._draw():
            for stop in self._stops:
                stop()
            self._stops = []

    def _draw(self) -> bool:
        """Draws the line, and tells whether it will never change again."""
        self._drawn = time.monotonic()
        _draw_run(self._display, self._run, next((row for _, row in self._rows), None), _silence(self._update))
        forgotten = self._run.process.status == "unknown" and self._update is not None
        return self._run.process.ended or forgotten


def _draw_run(display: Display, run: "Run", row: "Row | None", note: str) -> None:
    from ..api.logs import end_of_stderr
    from ..display import in_words

    process, connection = _counted_on(run.process, row), run.connection
    below = end_of_stderr(run) if process.status == "failed" else note
    doing = "" if process.ended or row is None else in_words.doing_in_words(row.progress, row.left, row.last)
    displays = _shown_below(run) if process.ended else []
    state = in_words.run_in_words(process, connection)
    if not process.ended:
        doing = " · ".join(filter(None, [doing, f"as of {datetime.now():%H:%M:%S}"]))
    line = in_words.run_line(process, connection, doing=doing, given=run.given, below=below, displays=displays)
    display.show({"text/plain": f"<Run {state}{doing and f' · {doing}'}>", "text/html": line})


def _counted_on(process: "Process", row: "Row | None") -> "Process":
    """The process with the time for which it has been running by now."""
    import msgspec

    if process.status != "running" or row is None or row.began is None:
        return process
    return msgspec.structs.replace(process, execution_time=max(0.0, time.time() - row.began))


def _silence(update: "Update | None") -> str:
    if update is None or update.error is None or update.failing_since is None:
        return ""
    silence = time.monotonic() - update.failing_since
    return "the agent does not answer, retrying" if silence > SILENT_AFTER else ""


def _shown_below(run: "Run") -> "list[dict[str, Any]]":
    """What the cell displayed, as far as there is room below it for that; an error is there already."""
    from ..errors import HopxError

    try:
        outputs = [output for output in run.displays if output["output_type"] != "error"]
    except HopxError:  # the agent has no displays, or is out of reach
        return []
    shown, left = [], SHOWN_BELOW
    for output in outputs:
        left -= sum(len(str(value)) for value in (output.get("data") or {}).values())
        if left < 0:
            break
        shown.append(output)
    return shown


class _Clock:
    """Calls those who show a time each second, on one thread, which ends when there is nobody left."""

    def __init__(self) -> None:
        self._calls: dict[int, Callable[[], None]] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def call(self, tick: "Callable[[], None]") -> "Callable[[], None]":
        """Calls `tick` each second from now on; the result ends this."""
        with self._lock:
            self._number += 1
            number = self._number
            self._calls[number] = tick
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="hopx lines below cells", daemon=True)
                self._thread.start()
        return lambda: self._end(number)

    def _end(self, number: int) -> None:
        with self._lock:
            self._calls.pop(number, None)

    def _run(self) -> None:
        while True:
            time.sleep(1.0)
            with self._lock:
                calls = list(self._calls.items())
                if not calls:
                    self._thread = None
                    return
            for number, tick in calls:
                try:
                    tick()
                except Exception:  # one line that can't be drawn must not stop the others
                    self._end(number)


_CLOCK = _Clock()
