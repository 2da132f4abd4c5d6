"""The output of opened processes: their panes, kept up to date by one thread, in the order of what happens."""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from ..errors import HopxError
from ..models import Process
from ..words import STREAMS, Stream
from .charts import ChartViewers
from .displays import DisplayViewers
from .intents import Around, Close, Find, Follow, Hold, More, Open, Page, PaneIntent, Show
from .messages import Anew, FindAnswer, Message, OpenViewer, Output, Part, Sized, attempted
from .panes import Pane, Read

_log = logging.getLogger(__name__)


_NOTHING = Anew(lines=[], first=0, begin=0, end=0, size=0, following=True, match=None, ended=False)


class Opened(msgspec.Struct):
    """A process that a page shows: by which streams, and with which panes, or by its displays, or by its metrics.

    `sizes` are those of the streams that it doesn't show, as last told.
    """

    streams: list[Stream]
    displays: bool = False
    metrics: bool = False
    pinned: bool = False
    panes: dict[Stream, Pane] = {}
    sizes: dict[Stream, Sized] = {}


class Viewers:
    """All panes of one table, those of each page on their own.

    The methods return at once; the work is done by a thread that lives until `close`. `process_of` gives the process
    of a slot as last listed, `reader_of` reads one of its streams, and `tell` sends a message to the pages. Displays
    are left to `displays`, and curves to `charts`.
    """

    def __init__(
        self,
        process_of: Callable[[int], Process],
        reader_of: Callable[[int, Stream], Read],
        tell: Callable[[Message], None],
        displays: DisplayViewers,
        charts: ChartViewers,
    ) -> None:
        self._charts = charts
        self._displays = displays
        self._process_of = process_of
        self._reader_of = reader_of
        self._tell = tell
        self._pages: dict[str, dict[int, Opened]] = {}
        self.last_opened: list[OpenViewer] = []
        """What the page that opened or closed something last shows, for a new page to open."""
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._growing = threading.Event()  # set while a look at all panes is due and queued
        self._thread: threading.Thread | None = None

    def carry_out(self, intent: PaneIntent) -> None:
        """Does what a page asks for, after all that came before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hopx-viewers", daemon=True)
            self._thread.start()
        self._work.put(partial(self._serve, intent))

    def grow(self) -> None:
        """There may be new output: shows it. Called again before that has begun, it is done once."""
        if self._pages and not self._growing.is_set():
            self._growing.set()
            self._work.put(self._grow_all)
        self._charts.grow()

    def forget(self, page: str) -> None:
        """The page is gone, and its panes with it."""
        self._pages.pop(page, None)
        self._displays.forget(page)
        self._charts.forget(page)

    def close(self) -> None:
        """Forgets all panes and ends the thread."""
        self._pages.clear()
        self._displays.close()
        self._charts.close()
        if self._thread is not None:
            self._work.put(None)

    # ------------------------------------------------------------ on the thread

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:  # whatever it was, the next page must find the thread alive
                _log.exception("what a page asked for could not be told")

    def _serve(self, intent: PaneIntent) -> None:
        done = attempted(intent.request, partial(self._do, intent))
        if intent.request:
            self._tell(done)

    def _do(self, intent: PaneIntent) -> FindAnswer | None:
        match intent:
            case Open():
                self._show(intent, intent.streams, pinned=intent.pinned)
            case Show():
                self._show(intent, intent.streams)
            case More():
                self._displays.more(intent.page, intent.slot)
            case Close():
                self._pages.get(intent.page, {}).pop(intent.slot, None)
                self._displays.hide(intent.page, intent.slot)
                self._charts.hide(intent.page, intent.slot)
                self._note_opened(intent.page)
            case Follow():
                with self._noting(intent, [intent.stream]):
                    self._pane(intent, intent.stream).follow(ended=self._process_of(intent.slot).ended)
            case Hold():
                self._pane(intent, intent.stream).hold()
            case Page():
                self._pane(intent, intent.stream).page(intent.direction, intent.offset)
            case Find():
                return self._pane(intent, intent.stream).find(intent.text, intent.start, intent.direction)
            case Around():
                return self._pane(intent, intent.stream).show_line(intent.line)
        return None

    def _show(self, intent: Open | Show, streams: list[Stream], *, pinned: bool | None = None) -> None:
        process = self._process_of(intent.slot)
        opened = self._pages.setdefault(intent.page, {}).setdefault(intent.slot, Opened(streams))
        opened.streams, opened.displays, opened.metrics = streams, intent.displays, bool(intent.curves)
        opened.pinned = opened.pinned if pinned is None else pinned
        opened.panes = {stream: pane for stream, pane in opened.panes.items() if stream in streams}
        self._note_opened(intent.page)
        (self._displays.show if intent.displays else self._displays.hide)(intent.page, intent.slot)
        if intent.curves:
            self._charts.show(intent.page, intent.slot, intent.curves, anew=isinstance(intent, Open))
        else:
            self._charts.hide(intent.page, intent.slot)
        with self._noting(intent, streams):
            for stream in streams:
                pane = self._pane(intent, stream)
                if pane.following:
                    pane.follow(ended=process.ended)
        opened.sizes.clear()
        for stream in STREAMS:
            if stream not in streams:
                with contextlib.suppress(HopxError):
                    self._tell_size(intent.page, intent.slot, stream, opened)

    def _tell_size(self, page: str, slot: int, stream: Stream, opened: Opened) -> None:
        """Tells how large a stream is that is not shown, if that is known and new."""
        process = self._process_of(slot)
        size = process.stdout_bytes if stream == "stdout" else process.stderr_bytes
        if size is None and stream not in opened.sizes:
            size = self._reader_of(slot, stream)(-1).size
        if size is None or opened.sizes.get(stream) == (sized := Sized(size=size, ended=process.ended)):
            return
        opened.sizes[stream] = sized
        self._tell_part(page, slot, stream, sized)

    def _note_opened(self, page: str) -> None:
        self.last_opened = [
            OpenViewer(
                slot=slot,
                streams=opened.streams,
                displays=opened.displays,
                metrics=opened.metrics,
                pinned=opened.pinned,
            )
            for slot, opened in self._pages.get(page, {}).items()
        ]

    def _pane(self, intent: PaneIntent, stream: Stream) -> Pane:
        opened = self._pages[intent.page][intent.slot]
        if stream not in opened.panes:
            tell = partial(self._tell_part, intent.page, intent.slot, stream)
            opened.panes[stream] = Pane(self._reader_of(intent.slot, stream), tell)
        return opened.panes[stream]

    def _tell_part(self, page: str, slot: int, stream: Stream, part: Part, note: str | None = None) -> None:
        self._tell(Output(to=page, slot=slot, stream=stream, note=note, part=part))

    def _grow_all(self) -> None:
        self._growing.clear()
        for page, opened_by_slot in list(self._pages.items()):
            for slot, opened in list(opened_by_slot.items()):
                for stream in STREAMS:
                    self._grow(page, slot, stream, opened)

    def _grow(self, page: str, slot: int, stream: Stream, opened: Opened) -> None:
        try:
            process, pane = self._process_of(slot), opened.panes.get(stream)
            if pane is None:
                self._tell_size(page, slot, stream, opened)
            else:
                pane.grow(process.stdout_bytes if stream == "stdout" else process.stderr_bytes, ended=process.ended)
        except (HopxError, LookupError) as error:  # shown already by the table, which follows the agent
            _log.debug("no new output of %s: %s", slot, error)
        except Exception:  # whatever it was, the next pane must find the thread alive
            _log.exception("a pane failed")

    @contextlib.contextmanager
    def _noting(self, intent: PaneIntent, streams: Sequence[Stream]) -> Iterator[None]:
        """An error is said in the panes themselves, too: there is nothing else to see in them."""
        try:
            yield
        except HopxError as error:
            for stream in streams:
                self._tell_part(intent.page, intent.slot, stream, _NOTHING, str(error))
            raise
