"""The mender: the one widget of a kernel that keeps the lines below cells true in all pages; nobody ever displays it.

A page says which lines its notebook holds, and is told how they are: those of runs of this kernel, of kernels before,
and of other programs, as agents and the history know them. Then it draws them and puts them into the notebook's model.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from ..connection.connection import Connection
from ..display.line import Line, lost_line
from ..run import Run
from ..sweeps import Sweep
from ..words import KillResult, Status
from . import intents
from .bundle import program, script, styles
from .charts import ChartViewers
from .deeds import Deeds
from .displays import DisplayViewers
from .drawing import RunLine, SweepLine
from .intents import HeldLine
from .lines import Drawn, Lines
from .messages import Accepted, Call, Changes, Done, KillAnswer, LineState, Pong, SlotsAnswer, attempted, packed_changes
from .messages import Lines as Told
from .pages import GONE_AFTER
from .viewers import Viewers
from .widget import TableWidget

ANSWERED_TOGETHER = 50
"""Lines of which a page that has come is told in one message."""

CALL_EVERY = 0.3
"""Seconds after which pages that have not answered a call are called again."""

Find = Callable[[Iterable[HeldLine]], Mapping[str, Run | Sweep]]
"""Finds the runs and sweeps of lines, as agents and the history know them."""

Kill = Callable[[Run | Sweep], KillResult]
"""Kills what is meant, and tells what has become of it."""

_log = logging.getLogger(__name__)


class Mender(TableWidget):
    """Tells pages of the lines below cells, and does what is asked for there."""

    _esm = script("mender.js")
    _css = styles("lines.css")

    def __init__(self, lines: Lines, connections: Mapping[str, Connection], find: Find, kill: Kill) -> None:
        super().__init__(self._take_intent)
        self._lines = lines
        self._find = find
        self._kill = kill
        self._heard: dict[str, float] = {}
        self._held: dict[str, set[str]] = {}
        self._below: dict[str, str] = {}
        self._items: dict[str, Run | Sweep] = {}
        self._opened: dict[str, set[int]] = {}
        self.made_at = time.monotonic()
        """When it was made: pages need a moment to load it."""
        self._calls = 0
        self._missed: dict[str, int] = {}
        self._answered = threading.Condition()
        self._deeds = Deeds(connections, lines.rows, self)
        displays = DisplayViewers(lines.rows.process, self._deeds.displays_reader, self.tell)
        charts = ChartViewers(lines.rows.process, lines.rows.growth, self._deeds.reader, self.tell)
        self._viewers = Viewers(lines.rows.process, self._deeds.reader, self.tell, displays, charts)
        lines.tell, lines.held, lines.listed = self._tell_drawn, self._is_held, self._tell_listed

    def close(self) -> None:
        """Ends it: pages show the lines as they are."""
        self._lines.held = lambda line_id: False
        self._heard.clear()
        self._viewers.close()
        layout = self.layout
        super().close()
        layout.close()

    # ------------------------------------------------------------ what pages are told

    def call(self, seconds: float) -> dict[str, int]:
        """Calls all pages, and waits for those that are known, or so long; the messages that each answering one missed.

        Not to be called by two threads at once.
        """
        deadline = time.monotonic() + seconds
        self._calls += 1
        self._missed = {}
        with self._answered:
            while time.monotonic() < deadline and not self._has_answers():
                self.tell(Call(call=self._calls))  # again: a page that loads has no ears yet
                self._answered.wait_for(self._has_answers, min(CALL_EVERY, max(0.0, deadline - time.monotonic())))
            return dict(self._missed)

    def _has_answers(self) -> bool:
        return bool(self._missed) and self._missed.keys() >= set(self._pages())

    def _take_answer(self, here: intents.Here) -> None:
        with self._answered:
            if here.call == self._calls:
                self._missed[here.page] = here.missed
                self._answered.notify_all()

    def _is_held(self, line_id: str) -> bool:
        return any(line_id in self._held.get(page, ()) for page in self._pages())

    def _pages(self) -> list[str]:
        """The pages that are there."""
        now = time.monotonic()
        return [page for page, heard in list(self._heard.items()) if now - heard < GONE_AFTER]

    def _tell_drawn(self, drawn: Sequence[Drawn]) -> None:
        if self._pages():
            self.tell(Told(to=None, lines=[self._state_of(each.line.what, each.drawn) for each in drawn]))

    def _state_of(self, what: RunLine | SweepLine, drawn: Line, *, whole: bool = False) -> LineState:
        is_new = whole or not what.going or self._below.get(what.id) != drawn.below
        self._below[what.id] = drawn.below if what.going else ""
        self._items[what.id] = what.run
        return LineState(
            line=what.id,
            slot=self._slot_of(what.run),
            status=drawn.status,
            ended=not what.going,
            head=drawn.head,
            below=drawn.below if is_new else None,
            text=drawn.text,
        )

    def _slot_of(self, item: Run | Sweep) -> int | None:
        return self._lines.list_run(item) if isinstance(item, Run) else None

    def _tell_listed(self) -> None:
        """Tells pages with viewers what their agents have told of the runs in them."""
        changes = self._lines.rows.take_changes()
        opened = set().union(*self._opened.values())
        if told := {slot: fields for slot, fields in changes.rows.items() if slot in opened}:
            self.tell(Changes(gone=[]), [packed_changes(told)])
        self._viewers.grow()

    def _tell_row(self, slot: int) -> None:
        self.tell(Changes(gone=[]), [packed_changes({slot: self._lines.rows.told(slot)})])

    # ------------------------------------------------------------ what pages ask for

    def _take_intent(self, intent: intents.Intent) -> None:
        if isinstance(intent, intents.Bye):
            self._forget(intent.page)
            return
        if isinstance(intent, intents.Here):
            self._take_answer(intent)
            return
        self._heard[intent.page] = time.monotonic()
        match intent:
            case intents.Ping():
                self.tell(Pong(page=intent.page))
            case intents.Holds():
                self._held.setdefault(intent.page, set()).update(held.line for held in intent.lines)
                self._aside(partial(self._answer, intent.page, intent.lines))
            case intents.Stop():
                self._accept(intent.request)
                self._aside(lambda: self.tell(attempted(intent.request, partial(self._stop, intent.line))))
            case intents.Slots():
                self._accept(intent.request)
                self._aside(lambda: self.tell(attempted(intent.request, partial(self._slots, intent.runs))))
            case intents.Program():
                self.tell(Done(request=intent.request), [program(intent.name)])
            case intents.Details() | intents.Chunk():
                self._accept(intent.request)
                self._deeds.carry_out(intent)
            case _ if isinstance(intent, intents.PaneIntent):
                self._open(intent)
            case _ if intent.request and not isinstance(intent, intents.Hello):
                self.tell(Done(request=intent.request, error="only a live table can do that"))

    def _accept(self, request: int) -> None:
        self.tell(Accepted(request=request))

    def _aside(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="hopx-mender", daemon=True).start()

    def _forget(self, page: str) -> None:
        self._heard.pop(page, None)
        self._held.pop(page, None)
        self._opened.pop(page, None)
        self._viewers.forget(page)

    def _open(self, intent: intents.PaneIntent) -> None:
        self._accept(intent.request)
        opened = self._opened.setdefault(intent.page, set())
        if isinstance(intent, intents.Close):
            opened.discard(intent.slot)
        elif isinstance(intent, intents.Open) and intent.slot not in opened:
            with contextlib.suppress(LookupError):  # of which the viewers tell
                self._tell_row(intent.slot)
                opened.add(intent.slot)
        self._viewers.carry_out(intent)

    def _stop(self, line_id: str) -> KillAnswer:
        return KillAnswer(result=self._kill(self._items[line_id]))

    def _slots(self, runs: Sequence[str]) -> SlotsAnswer:
        found = self._find([HeldLine(line=run) for run in runs])
        return SlotsAnswer(slots=[self._slot_of(found[run]) if run in found else None for run in runs])

    def _answer(self, page: str, asked: Sequence[HeldLine]) -> None:
        """Tells a page how the lines are that its notebook holds."""
        try:
            unknown = [held for held in asked if self._lines.followed(held.line) is None]
            found = self._find(unknown) if unknown else {}
            for start in range(0, len(asked), ANSWERED_TOGETHER):
                part = asked[start : start + ANSWERED_TOGETHER]
                states = [state for held in part if (state := self._state_for(held, found.get(held.line)))]
                self.tell(Told(to=page, lines=states))
        except Exception:  # the page shows of when its lines are
            _log.exception("a page could not be told of its lines")

    def _state_for(self, held: HeldLine, found: Run | Sweep | None) -> LineState | None:
        followed = self._lines.followed(held.line)
        if followed is None and found is not None:
            followed = self._lines.follow(found)
        if followed is None:
            return None if held.ended else _lost(held)
        what = followed.what
        if what.going:
            return self._state_of(what, followed.drawn or what.draw(), whole=True)
        if held.ended:  # the notebook has all of it, maybe more than anybody else has by now
            self._items[what.id] = what.run
            status: Status = what.run.process.status if isinstance(what, RunLine) else "completed"
            return LineState(line=what.id, slot=self._slot_of(what.run), status=status, ended=True)
        return self._state_of(what, what.finish(), whole=True)


def _lost(held: HeldLine) -> LineState:
    drawn = lost_line(held.name, held.line, held.connection)
    return LineState(
        line=held.line, slot=None, status="unknown", ended=True, head=drawn.head, below="", text=drawn.text
    )
