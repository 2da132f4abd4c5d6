"""The live table: follows its connections, tells its pages what changed, and does what they ask for."""

import contextlib
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from ..connection.watcher import Update
from ..display import frames
from ..errors import HistoryError, LaunchError
from ..models import KeptRun, Stream
from ..run import Run
from ..session import Connection, Session
from . import facts, order, text
from .freshness import ConnectionFreshness
from .intents import Bye, Chunk, Details, Hello, Intent, Keep, Kill, PaneIntent, Ping, Rerun, Selected, View
from .messages import (
    Accepted,
    Answer,
    Beat,
    Changes,
    ChunkAnswer,
    DetailsAnswer,
    Done,
    Freshness,
    Initial,
    KillAnswer,
    Pong,
    RerunAnswer,
    Reset,
    reason,
)
from .panes import Read
from .rows import Choose, Rows
from .viewers import Viewers
from .widget import TableWidget

if TYPE_CHECKING:
    import pandas as pd

TAIL = 2_000
"""Bytes of each stream that the table looks at for progress and the last line."""

FIRST_LISTING_WITHIN = 2.0
"""Seconds for which a new table waits for its first listing, so that it is not shown empty."""

PAGE_GONE_AFTER = 150.0
"""Seconds after which a page that says nothing counts as gone. It speaks every 30 s; a hidden tab each minute."""

BEAT = 30.0
"""Seconds of silence after which the pages are told that the kernel lives."""

CONFIRM = 3.0
"""Seconds of silence after which the pages get one more message: by its number they see whether they missed any."""

CHUNK = 1_000_000
"""Bytes of output that one message of a download has, before they are deflated."""

LONGEST_VIEW = 100_000
"""Bytes of what a page wants to be kept, at most."""

_MAKER = ""
"""Stands among the pages for the one who made the table, or asked for its rows, and may show it soon."""

_PANE_INTENTS = get_args(PaneIntent)


class LiveTable(TableWidget):
    """A live table of processes, with viewers of their output. It is an ipywidget, and can be put into others.

    `selected` are the runs that are selected in the notebook, `frame()` the shown rows as a DataFrame, and `close()`
    ends it. The table follows the agents as long as a page shows it.
    """

    def __init__(
        self,
        session: Session,
        connections: Sequence[Connection],
        choose: Choose,
        *,
        sort: str | None = None,
        group: str | None = None,
        limit: int | None = None,
        interval: float | None = None,
        notify: bool = False,
    ) -> None:
        super().__init__(self._take_intent)
        self._session = session
        self._connections = {connection.name: connection for connection in connections}
        self._rows = Rows(choose, limit)
        self._initial = Initial(sort=sort, group=group)
        self._interval = interval
        self._notify = notify
        self._view: dict[str, Any] | None = None
        self._selected: list[int] = []
        self._pages = {_MAKER: time.monotonic()}  # when each was last heard of
        self._lock = threading.RLock()  # around the rows, and what is told of them
        self._freshness = {name: ConnectionFreshness(name) for name in self._connections}
        self._viewers = Viewers(self._rows.process, self._reader, self.tell)
        self._stops: list[Callable[[], None]] = []
        self._ended = threading.Event()
        self._known = threading.Event()
        """Whether each connection has said something since it is followed."""
        self._awaited = set(self._connections)
        self._listeners: list[Callable[[], None]] = []
        self._keepers: list[Callable[[], None]] = []
        self.stays = False
        """Whether the agents are followed also while no page shows the table, as a terminal wants it."""
        self._attach()
        self._known.wait(FIRST_LISTING_WITHIN)
        threading.Thread(target=self._look_after, name="hopx-table", daemon=True).start()

    # ------------------------------------------------------------ for the user

    @property
    def selected(self) -> list[Run]:
        """The runs of the rows that are selected in the notebook."""
        self._catch_up()
        with self._lock:
            return [self._run(slot) for slot in self._selected if slot in self._rows.processes]

    def frame(self) -> "pd.DataFrame":
        """The rows as they are shown, filtered and sorted, as a DataFrame like that of `%hopx_ps`.

        `stdout` and `stderr` are the last 2 kB of each stream.
        """
        self._catch_up()
        with self._lock:
            shown = order.shown(self._rows, self._view or {"sort": self._initial.sort}, time.time())
            places = {name: connection.place for name, connection in self._connections.items()}
            rows = [
                ((name := self._rows.key(slot)[0]), places[name].sandbox, self._rows.process(slot)) for slot in shown
            ]
        return frames.rows_frame(rows)

    def close(self) -> None:
        """Ends the table: it follows no agent any more, and is no longer shown. Processes go on."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._detach()
        self._viewers.close()
        self._tell_freshness()
        for told in (*self._listeners, *self._keepers):
            told()
        super().close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._ended.is_set()

    @property
    def settled(self) -> bool:
        """Whether nothing is queued or running."""
        with self._lock:
            return all(row.status not in ("queued", "running") for _, row in self._rows)

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls `listener`, on another thread, after anything that is shown has changed."""
        self._listeners.append(listener)

    def on_keep(self, keeper: Callable[[], None]) -> None:
        """Calls `keeper` when nobody is using the table, so that what the notebook keeps of it can be renewed."""
        self._keepers.append(keeper)

    def pause(self) -> None:
        """Follows no agent until a page shows the table again, or until it is asked for its rows."""
        with self._lock:
            self.stays = False
            self._pages.clear()
        self._detach()

    def state(self) -> text.State:
        """What there is to show, for those who show it as text."""
        with self._lock:
            shown = order.shown(self._rows, self._view or {"sort": self._initial.sort}, time.time())
            rows = dict(self._rows)
            return text.State(
                rows=[rows[slot] for slot in shown],
                notes=[
                    note
                    for name, freshness in self._freshness.items()
                    for note in (freshness.in_words(), self._connections[name].note())
                    if note
                ],
                several=len(self._connections) > 1,
                at=time.time(),
            )

    def bundle(self, *, clickable: bool = True) -> dict[str, Any]:
        """What a notebook is given to show: HTML and text that stay readable, and the widget where one can click."""
        state = self.state()
        shown: dict[str, Any] = {"text/plain": text.as_text(state), "text/html": text.as_html(state)}
        return shown | self.view_bundle() if clickable and not self.closed else shown

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.bundle(), {}

    # ------------------------------------------------------------ following the agents

    def _attach(self) -> None:
        """Follows all connections from now on."""
        with self._lock:
            if self._stops or self._ended.is_set():
                return
            self._stops = [
                connection.watcher.listen(self._listener(name), tail=TAIL, interval=self._interval)
                for name, connection in self._connections.items()
            ]

    def _detach(self) -> None:
        with self._lock:
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def _listener(self, connection: str) -> Callable[[Update], None]:
        waits = self._connections[connection].agent

        def take(update: Update) -> None:
            with self._lock:
                told = self._freshness[connection].take(update, waits=waits.waits, interval=self._interval)
                if update.error is None and update.listing is not None:
                    self._rows.update(connection, update.listing, update.changed, update.gone)
                    self._tell_changes()
                if told:
                    self._tell_freshness()
            self._awaited.discard(connection)
            if not self._awaited:
                self._known.set()
            self._viewers.grow()
            self._tell_listeners()

        return take

    def _tell_listeners(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _catch_up(self) -> None:
        """Follows the agents again, for a while, if that had ended; returns when the rows are those of now."""
        with self._lock:
            following = bool(self._stops) or self.closed
            if not following:
                self._known.clear()
                self._awaited = set(self._connections)
                self._heard(_MAKER)
        if not following:
            self._known.wait(FIRST_LISTING_WITHIN)

    def _tell_changes(self) -> None:
        if not self._pages.keys() - {_MAKER}:
            return  # each page begins with the whole
        changes = self._rows.take_changes()
        if changes.rows or changes.gone:
            self.tell(Changes(rows=changes.rows, gone=changes.gone))

    def _tell_freshness(self) -> None:
        states = [
            freshness.state(expiry.at() if (expiry := self._connections[name].expiry) else None)
            for name, freshness in self._freshness.items()
        ]
        self.tell(Freshness(connections=states, closed=self._ended.is_set()))

    def _look_after(self) -> None:
        """Tells the pages that the kernel lives, and follows no agent for pages that are gone."""
        while not self._ended.wait(CONFIRM):
            with self._lock:
                for page, heard in list(self._pages.items()):
                    if time.monotonic() - heard > PAGE_GONE_AFTER:
                        self._forget_page(page)
            if self._pages.keys() - {_MAKER} and self.silence > (BEAT if self.confirmed else CONFIRM):
                self.tell(Beat())

    def _forget_page(self, page: str) -> None:
        self._pages.pop(page, None)
        self._viewers.forget(page)
        if not self._pages and not self.stays:
            self._detach()

    # ------------------------------------------------------------ what the pages ask for

    def _take_intent(self, intent: Intent) -> None:
        """Does what a page asks for; what takes longer, on another thread."""
        if self._ended.is_set():
            return
        if intent.page and not isinstance(intent, Bye):
            self._heard(intent.page)
        if isinstance(intent, (*_PANE_INTENTS, Kill, Rerun, Details, Chunk)):
            self.tell(Accepted(request=intent.request))
        if isinstance(intent, _PANE_INTENTS):
            self._viewers.carry_out(intent)
            return
        match intent:
            case Hello():
                self._welcome(intent.page)
            case Bye():
                with self._lock:
                    self._forget_page(intent.page)
            case Ping():
                self.tell(Pong(page=intent.page))
            case View():
                if len(msgspec.json.encode(intent.view)) <= LONGEST_VIEW:
                    self._view = intent.view
            case Keep():
                for keeper in self._keepers:
                    keeper()
            case Selected():
                self._selected = intent.slots
            case Kill() | Rerun() | Details() | Chunk():
                threading.Thread(target=self._serve, args=(intent,), name="hopx-intent", daemon=True).start()

    def _heard(self, page: str) -> None:
        with self._lock:
            self._pages[page] = time.monotonic()
            self._attach()

    def _welcome(self, page: str) -> None:
        with self._lock:
            self._pages.pop(_MAKER, None)
            reset = Reset(
                to=page,
                count=len(self._rows),
                view=self._view,
                initial=self._initial,
                notify=self._notify,
                open=self._viewers.last_opened,
                connections=list(self._connections),
            )
            self.tell(reset, [self._rows.packed()])
            self._tell_freshness()

    def _serve(self, intent: Kill | Rerun | Details | Chunk) -> None:
        error, answer, buffers = None, None, list[bytes]()
        try:
            answer, buffers = self._do(intent)
        except Exception as failure:  # the page waits for an answer, whatever has happened
            error = reason(failure)
        if intent.request:
            self.tell(Done(request=intent.request, error=error, answer=answer), buffers)

    def _do(self, intent: Kill | Rerun | Details | Chunk) -> tuple[Answer, list[bytes]]:
        match intent:
            case Kill():
                return self._kill(intent.slot), []
            case Rerun():
                return self._rerun(intent.slot), []
            case Details():
                return self._details(intent.slot), []
            case Chunk():
                return self._chunk(intent)

    def _kill(self, slot: int) -> KillAnswer:
        connection, process_id = self._rows.key(slot)
        (killed,) = self._session.kill([process_id], on=connection)
        return KillAnswer(result=killed.result)

    def _rerun(self, slot: int) -> RerunAnswer:
        kept = self._kept(slot)
        if kept is None:
            raise LaunchError("its code is not in the history of this machine")
        process, _ = self._session.rerun(kept, on=self._rows.key(slot)[0])
        return RerunAnswer(launched=process.process_id)

    def _details(self, slot: int) -> DetailsAnswer:
        connection, _ = self._rows.key(slot)
        process, kept = self._rows.process(slot), self._kept(slot)
        return DetailsAnswer(
            fields=facts.fields(process, connection, kept),
            code=kept.code if kept else None,
            language=process.language,
        )

    def _kept(self, slot: int) -> KeptRun | None:
        connection, process_id = self._rows.key(slot)
        with contextlib.suppress(HistoryError):
            return self._session.books.history.of_process(self._connections[connection].place, process_id)
        return None

    def _chunk(self, intent: Chunk) -> tuple[ChunkAnswer, list[bytes]]:
        part = self._reader(intent.slot, intent.stream)(intent.offset, intent.offset + CHUNK)
        last = part.start + len(part.data) >= part.size
        return ChunkAnswer(offset=part.start, size=part.size, last=last), [zlib.compress(part.data, 1)]

    def _reader(self, slot: int, stream: Stream) -> Read:
        connection, process_id = self._rows.key(slot)

        def read(start: int, stop: int | None = None) -> Any:
            return self._session.output_part(process_id, stream, start=start, stop=stop, on=connection)

        return read

    def _run(self, slot: int) -> Run:
        return Run(self._session, self._rows.process(slot), self._rows.key(slot)[0])
