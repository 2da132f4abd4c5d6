"""The live table: what its connections tell goes into its rows, and from there to its pages."""

import logging
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..connection.connection import Connection
from ..connection.watcher import Update
from ..display import frames
from ..display.in_words import nothing_in_words, queued_in_words
from ..models import Process
from ..run import Run
from . import intents, order, text
from .bundle import program
from .charts import ChartViewers
from .choosing import Chosen, chosen_in, meant, meant_group, unseen
from .deeds import Deeds
from .displays import DisplayViewers
from .following import Following
from .freshness import ConnectionFreshness
from .knowing import Knowing
from .messages import Accepted, Changes, Done, Freshness, Initial, Pong, StaticAnswer, attempted, packed_changes
from .metrics import Best
from .pages import MAKER, Pages
from .row import Row
from .rows import Choose, Rows
from .search import names_of
from .viewers import Viewers
from .widget import TableWidget

if TYPE_CHECKING:
    import pandas as pd

LOOK_EVERY = 1.0
"""Seconds between two looks at what no agent and no page tells."""

_log = logging.getLogger(__name__)


class LiveTable(TableWidget):
    """A live table of processes, with viewers of their output. It is an ipywidget, and can be put into others.

    `selected` are the runs that are selected in the notebook, `frame()` the shown rows as a DataFrame, and `close()`
    ends it. The table follows the agents as long as a page shows it.
    """

    def __init__(
        self,
        connections: Sequence[Connection],
        choose: Choose,
        *,
        filters: str = "",
        limit: int | None = None,
        interval: float | None = None,
        notify: bool = False,
        best: Best | None = None,
    ) -> None:
        super().__init__(self._take_intent)
        self._connections = {connection.name: connection for connection in connections}
        self._freshness = {connection.name: ConnectionFreshness(connection, interval) for connection in connections}
        self._rows = Rows(choose, limit, self._has_displays, best)
        self._filters = filters
        self._selected: list[int] = []
        self._chosen_listener: Callable[[Chosen], None] = lambda chosen: None
        self._lock = threading.RLock()  # around the rows, and what is told of them
        self._ended = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._keepers: list[Callable[[], None]] = []
        self._deeds = Deeds(self._connections, self._rows, self)
        displays = DisplayViewers(self._rows.process, self._deeds.displays_reader, self.tell)
        charts = ChartViewers(self._rows.process, self._rows.growth, self._deeds.reader, self.tell)
        self._viewers = Viewers(self._rows.process, self._deeds.reader, self.tell, displays, charts)
        self._following = Following(connections, interval, self._take)
        self._pages = Pages(
            self,
            self._rows,
            self._viewers,
            self._following,
            self._lock,
            connections=list(self._connections),
            initial=Initial(sort=None, group=None, filters=filters, columns=None, chosen=None),
            notify=notify,
        )
        self._knowing = Knowing(self._connections, self._rows, self._lock, self._tell_changes)
        self._catch_up()
        self._knowing.catch_up()
        threading.Thread(target=self._look_after, name="hopx-table", daemon=True).start()

    def begin(self, *, sort: str | None, group: str | None, columns: Sequence[str] | None, chosen: Chosen) -> None:
        """How a page begins: with what words of the user mean for the rows that there are.

        Without columns it begins with those that were `chosen` in an earlier table. Raises ValueError for a word that
        means nothing, with the nearest that does.
        """
        with self._lock:
            names = names_of(row for _, row in self._rows)
        asked = None if columns is None else [meant(word, names, "column") for word in columns]
        initial = msgspec.structs.replace(
            self._pages.initial,
            sort=sort and ("-" if sort.startswith("-") else "") + meant(sort.lstrip("-"), names, "column"),
            group=group and meant_group(group, names),
            columns=chosen.only if asked is None else asked,
            chosen=chosen.by_hand if asked is None else None,
        )
        self._pages.begin(initial)

    def unseen(self, *more: str) -> list[str]:
        """What it begins with, and of `more` columns, no row has although what looks like it is there: in words."""
        initial = self._pages.initial
        asked = [(initial.sort or "").lstrip("-"), initial.group or "", *(initial.columns or ()), *more]
        with self._lock:
            names, may_come = names_of(row for _, row in self._rows), not self.settled
        return [note for column in dict.fromkeys(asked) if (note := unseen(column, names, may_come=may_come))]

    @property
    def columns(self) -> list[str] | None:
        """The columns that were asked for."""
        return self._pages.initial.columns

    def on_chosen(self, listener: Callable[[Chosen], None]) -> None:
        """Calls `listener` when a page has other columns than before."""
        self._chosen_listener = listener

    # ------------------------------------------------------------ for the user

    @property
    def selected(self) -> list[Run]:
        """The runs of the rows that are selected in the notebook."""
        self._catch_up()
        with self._lock:
            return [self._deeds.run(slot) for slot in self._selected if slot in self._rows.processes]

    def frame(self) -> "pd.DataFrame":
        """The rows as they are shown, filtered and sorted, as a DataFrame like that of `%hopx_ps`.

        `stdout` and `stderr` are the last 2 kB of each stream.
        """
        self._catch_up()
        with self._lock:
            shown = order.shown(self._rows, self._pages.view, time.time())
            processes = [self._deeds.process(slot) for slot in shown]
            names = [self._rows.connection(slot) for slot in shown]
        return frames.processes_frame(processes, [(name, self._connections[name].place.sandbox) for name in names])

    def close(self) -> None:
        """Ends the table: it follows no agent any more, and is no longer shown. Processes go on.

        It keeps its rows, without output.
        """
        if self._ended.is_set():
            return
        self._ended.set()
        self._following.close()
        self._viewers.close()
        self._knowing.close()
        self._tell_freshness()
        for told in (*self._listeners, *self._keepers):
            told()
        self._listeners.clear()
        self._keepers.clear()
        layout = self.layout
        super().close()
        layout.close()  # or its comm would stay open for as long as the kernel lives
        with self._lock:
            self._rows.settle()  # the notebook's Out may hold a closed table for ever

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

    def stay(self) -> None:
        """Follows the agents also while no page shows the table, as a terminal wants it."""
        self._pages.stays = True

    def pause(self) -> None:
        """Follows no agent until a page shows the table again, or until it is asked for its rows."""
        self._pages.leave()

    def state(self) -> text.State:
        """What there is to show, for those who show it as text."""
        with self._lock:
            now = time.time()
            rows = dict(self._rows)
            return text.State(
                rows=[self._with_place(slot, rows[slot]) for slot in order.shown(self._rows, self._pages.view, now)],
                columns=self.columns,
                nothing=self._nothing(),
                notes=[note for freshness in self._freshness.values() for note in freshness.notes()],
                several=len(self._connections) > 1,
                at=now,
            )

    def _with_place(self, slot: int, row: Row) -> Row:
        if row.status != "queued":
            return row
        return msgspec.structs.replace(row, detail=queued_in_words(self._rows.place(slot), row.detail) or None)

    def _has_displays(self, connection: str, process: Process) -> bool:
        return self._connections[connection].has_displays(process)

    def _nothing(self) -> str:
        states = self._freshness.items()
        asked = [name for name, freshness in states if freshness.listed is None]
        return nothing_in_words(asked, sum(freshness.listed or 0 for _, freshness in states), self._filters)

    def bundle(self, *, clickable: bool = True) -> dict[str, Any]:
        """What a notebook is given to show: HTML and text that stay readable, and the widget where one can click."""
        state = self.state()
        shown: dict[str, Any] = {"text/plain": text.as_text(state), "text/html": text.as_html(state)}
        return shown | self.view_bundle() if clickable and not self.closed else shown

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.bundle(), {}

    # ------------------------------------------------------------ what the agents tell

    def _catch_up(self) -> None:
        """Follows the agents again, for a while, if that had ended; returns when the rows are those of now."""
        if not (self._following.active or self.closed):
            self._pages.heard(MAKER)
            self._following.wait()

    def _take(self, connection: Connection, update: Update) -> None:
        """Takes what the agent of a connection tells, on the thread of its watcher."""
        with self._lock:
            told = self._freshness[connection.name].take(update)
            if update.error is None and update.listing is not None:
                self._rows.update(connection.name, update.listing, update.changed, update.gone)
                self._tell_changes()
                self._knowing.look()
            if told:
                self._tell_freshness()
        self._viewers.grow()
        for listener in list(self._listeners):
            listener()

    def _look_after(self) -> None:
        """Until the end looks after what nobody tells: agents that owe an answer, and pages that are gone."""
        while not self._ended.wait(LOOK_EVERY):
            try:
                overdue = [freshness for freshness in self._freshness.values() if freshness.look()]
                if overdue and self._following.active:
                    self._tell_freshness()
                    for listener in list(self._listeners):
                        listener()
                self._pages.look()
            except Exception:  # whatever it was, the next look may find it better
                _log.exception("looking after a table failed")

    def _tell_changes(self) -> None:
        if not self._pages.shown:
            return  # each page begins with the whole
        changes = self._rows.take_changes()
        if changes.rows or changes.gone:
            self.tell(Changes(gone=changes.gone), [packed_changes(changes.rows)])

    def _tell_freshness(self) -> None:
        states = [freshness.state() for freshness in self._freshness.values()]
        self.tell(Freshness(connections=states, closed=self._ended.is_set()))

    def _tell_static(self, request: int) -> None:
        bundles: list[bytes] = []

        def answer() -> StaticAnswer:
            bundles.append(zlib.compress(msgspec.json.encode(self.bundle(clickable=False)), 1))
            return StaticAnswer(model=self.model_id)

        done = attempted(request, answer)
        self.tell(done, bundles)

    # ------------------------------------------------------------ what the pages ask for

    def _take_intent(self, intent: intents.Intent) -> None:
        if self._ended.is_set():
            return
        if intent.page and not isinstance(intent, intents.Bye):
            self._pages.heard(intent.page)
        match intent:
            case intents.Bye():
                self._pages.bye(intent.page)
            case intents.Hello():
                with self._lock:
                    self._pages.hello(intent.page)
                    self._tell_freshness()
            case intents.Ping():
                self.tell(Pong(page=intent.page))
            case intents.View():
                self._pages.keep(intent.view)
                self._chosen_listener(chosen_in(intent.view))
            case intents.Keep():
                for keeper in self._keepers:
                    keeper()
            case intents.Static():
                self.tell(Accepted(request=intent.request))
                threading.Thread(
                    target=self._tell_static, args=(intent.request,), name="hopx-static", daemon=True
                ).start()
            case intents.Selected():
                self._selected = intent.slots
            case intents.Program():
                self.tell(Done(request=intent.request), [program(intent.name)])
            case intents.Here() | intents.Holds() | intents.Stop() | intents.Slots():
                pass  # what is asked of the mender
            case intents.Kill() | intents.Rerun() | intents.Details() | intents.Chunk() | intents.Grep():
                self.tell(Accepted(request=intent.request))
                self._deeds.carry_out(intent)
            case _:
                self.tell(Accepted(request=intent.request))
                self._viewers.carry_out(intent)
