"""The displays of opened processes: what a page shows of them, read as they come by a thread of its own."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from ..display.forms import Frame, Markup, Picture, Text, form_of
from ..errors import HopxError, NotSupported, ResultError, UnknownProcess
from ..models import Process
from ..output.screen import Line, Screen
from .messages import Displays, Form, FrameForm, MarkupForm, Message, PictureForm, TextForm

STEP = 50
"""Displays that are shown at first, and by which it gets more when a page asks for earlier ones."""

MOST_BYTES = 40_000_000
"""Bytes of all displays that a page shows of a process."""

LARGEST = 12_000_000
"""Bytes of one display; the runner keeps none that is larger."""

MESSAGE = 1_000_000
"""Bytes of displays after which a message is full."""

LONGEST_TEXT = 200_000
MOST_LINES = 2_000
"""Characters and lines of a text that are shown: more is no help to a reader."""

LOOK_EVERY = 0.2
"""Seconds between two looks at the displays of a process that runs."""

SHARE = 20
"""A look is followed by a pause of so many times as long: agents far away are asked less often."""

LONGEST_PAUSE = 10.0
"""Seconds until an agent is asked again, at most, also one that takes long to answer."""

_FINAL = (ResultError, UnknownProcess, NotSupported)
"""Errors after which it makes no sense to ask again, once the process has ended."""

_SHOWN = ("display_data", "execute_result", "error")

_log = logging.getLogger(__name__)

Record = Mapping[str, Any]
ReadDisplays = Callable[[int], Iterator[tuple[Record, int]]]
"""Reads what was displayed from a byte on, each with the byte behind it."""


class _Kept(NamedTuple):
    """A display that is shown: its `display_id`, its bytes, and where what it shows now was read."""

    identity: str | None
    size: int
    place: int


class DisplayPane:
    """The displays of one process, of which `tell` is given what is new. To be used from one thread at a time.

    Each has a number. What an update or `clear_output` has changed is told as it is in the end.
    """

    def __init__(self, read: ReadDisplays, tell: Callable[..., None]) -> None:
        self._read = read
        self._tell = tell
        self._most = STEP
        self._told: object = None  # what was last told beside displays
        self.ended = False
        """Whether nothing more will come, and all is told."""
        self._kept: dict[int, _Kept] = {}  # by number, the oldest first
        self._new: dict[int, Record] = {}
        self._begin_anew()

    def look(self, *, ended: bool) -> None:
        """Tells what is new."""
        try:
            for record, end in self._read(self._place):
                self._take(record, end)
        except HopxError as error:
            self._tell_rest(ended, note=str(error))
            self.ended = ended and isinstance(error, _FINAL)
        else:
            self._tell_new(ended)
            self.ended = ended

    def more(self) -> None:
        """Shows more of the earlier ones, too."""
        shown = self._kept
        self._most += STEP
        self._begin_anew()
        for record, end in self._read(0):
            self._take(record, end)
        for number, kept in self._kept.items():
            if shown.get(number) == kept:
                self._new.pop(number, None)
        self._tell_new(self.ended)

    # ------------------------------------------------------------ what there is

    def _begin_anew(self) -> None:
        self._place = 0
        self._count = 0
        self._earlier = 0
        self._size = 0
        self._clears = False  # with the next one
        self._kept, self._new = {}, {}

    def _take(self, record: Record, end: int) -> None:
        transient = record.get("transient")
        identity = transient.get("display_id") if isinstance(transient, Mapping) else None
        kept = _Kept(identity if isinstance(identity, str) else None, end - self._place, end)
        self._place = end
        kind = record.get("output_type")
        if kind == "update_display_data":
            self._update(kept, record)
        elif kind == "clear_output" and record.get("wait"):
            self._clears = True
        elif kind == "clear_output" or (kind in _SHOWN and self._clears):
            self._clear()
        if kind in _SHOWN:
            self._put(self._count, kept, record)
            self._count += 1

    def _update(self, kept: _Kept, record: Record) -> None:
        if kept.identity is None:
            return
        for number, other in list(self._kept.items()):
            if other.identity == kept.identity:
                self._put(number, kept, {**record, "output_type": "display_data"})

    def _put(self, number: int, kept: _Kept, record: Record) -> None:
        if number in self._kept:
            self._size -= self._kept[number].size
        self._kept[number], self._new[number] = kept, record
        self._size += kept.size
        while len(self._kept) > self._most or (self._size > MOST_BYTES and len(self._kept) > 1):
            self._drop(next(iter(self._kept)))

    def _drop(self, number: int) -> None:
        self._size -= self._kept.pop(number).size
        self._new.pop(number, None)
        self._earlier += 1

    def _clear(self) -> None:
        for number in list(self._kept):
            self._drop(number)
        self._earlier, self._clears = 0, False

    # ------------------------------------------------------------ what is told

    def _tell_new(self, ended: bool) -> None:
        shown: list[tuple[int, Form]] = []
        size = 0
        for number, record in sorted(self._new.items()):
            shown.append((number, _form(record, self._kept[number].size)))
            size += self._kept[number].size
            if size >= MESSAGE:
                self._tell_rest(ended, shown)
                shown, size = [], 0
        self._new = {}
        self._tell_rest(ended, shown)

    def _tell_rest(self, ended: bool, shown: list[tuple[int, Form]] | None = None, note: str | None = None) -> None:
        first = next(iter(self._kept), self._count)
        rest = {"first": first, "earlier": self._earlier, "ended": ended, "note": note}
        if shown or rest != self._told:
            self._tell(**rest, shown=shown or [])
            self._told = rest


class DisplayViewers:
    """The displays that the pages of one table show.

    The methods return at once; the work is done by a thread that lives until `close`. `process_of` gives the process of
    a slot as last listed, `reader_of` reads its displays, and `tell` sends a message to the pages.
    """

    def __init__(
        self,
        process_of: Callable[[int], Process],
        reader_of: Callable[[int], ReadDisplays],
        tell: Callable[[Message], None],
    ) -> None:
        self._process_of = process_of
        self._reader_of = reader_of
        self._tell = tell
        self._panes: dict[tuple[str, int], DisplayPane] = {}
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def show(self, page: str, slot: int) -> None:
        """Shows the displays of a process in a page, from now on as they come."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hopx-displays", daemon=True)
            self._thread.start()
        self._work.put(partial(self._show, page, slot))

    def more(self, page: str, slot: int) -> None:
        """Shows earlier ones, too."""
        self._work.put(partial(self._more, page, slot))

    def hide(self, page: str, slot: int) -> None:
        """The page shows them no longer."""
        if self._thread is not None:
            self._work.put(partial(self._hide, page, slot))

    def forget(self, page: str) -> None:
        """The page is gone."""
        for key in [key for key in list(self._panes) if key[0] == page]:
            self._panes.pop(key, None)

    def close(self) -> None:
        """Ends the thread."""
        self._panes.clear()
        if self._thread is not None:
            self._work.put(None)

    # ------------------------------------------------------------ on the thread

    def _run(self) -> None:
        pause: float | None = None
        while (work := self._next(pause)) is not None:
            begun = time.monotonic()
            try:
                work()
            except HopxError as error:  # shown already by the table, which follows the agent
                _log.debug("displays can't be read: %s", error)
            except Exception:  # whatever it was, the next page must find the thread alive
                _log.exception("displays could not be told")
            pause = min(max(LOOK_EVERY, SHARE * (time.monotonic() - begun)), LONGEST_PAUSE)
            if all(pane.ended for pane in list(self._panes.values())):
                pause = None

    def _next(self, pause: float | None) -> Callable[[], None] | None:
        try:
            return self._work.get(timeout=pause)
        except queue.Empty:
            return self._look_at_all

    def _show(self, page: str, slot: int) -> None:
        tell = partial(self._tell_page, page, slot)
        self._panes[page, slot] = pane = DisplayPane(self._reader_of(slot), tell)
        self._look(slot, pane)

    def _hide(self, page: str, slot: int) -> None:
        self._panes.pop((page, slot), None)

    def _more(self, page: str, slot: int) -> None:
        if (page, slot) in self._panes:
            self._panes[page, slot].more()

    def _tell_page(self, page: str, slot: int, **told: Any) -> None:
        self._tell(Displays(to=page, slot=slot, **told))

    def _look_at_all(self) -> None:
        for (_, slot), pane in list(self._panes.items()):
            if not pane.ended:
                self._look(slot, pane)

    def _look(self, slot: int, pane: DisplayPane) -> None:
        try:
            ended = self._process_of(slot).ended
        except LookupError:  # it is no longer listed
            ended = True
        pane.look(ended=ended)


# ---------------------------------------------------------------- forms


def _form(record: Record, size: int) -> Form:
    if size > LARGEST:
        return TextForm(lines=[f"[a display of {size:,} bytes is too large to be shown here]"])
    try:
        form = form_of(record)
    except Exception as error:  # anybody may have written it
        _log.debug("a display has no form: %s", error)
        return TextForm(lines=["[this display can't be read]"])
    match form:
        case Text(text):
            return TextForm(lines=_lines(text))
        case Picture(address, width, height):
            return PictureForm(address=address, width=width, height=height)
        case Markup(html):
            return MarkupForm(html=html)
        case Frame(document, height, scripts):
            return FrameForm(document=document, height=height, scripts=scripts)


def _lines(text: str) -> list[Line]:
    screen = Screen()
    screen.feed(text[:LONGEST_TEXT])
    lines = screen.rows(screen.first, screen.first + MOST_LINES)
    while lines and not lines[-1]:
        lines.pop()
    if len(text) > LONGEST_TEXT or screen.count - screen.first > MOST_LINES:
        lines.append("… and more")
    return lines
