"""The pages of a live table: which are there, what one is told that comes or is loaded again, and the heartbeat."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .following import Following
from .messages import Beat, Initial, Reset
from .rows import Rows
from .viewers import Viewers
from .widget import TableWidget

GONE_AFTER = 150.0
"""Seconds after which a page that says nothing counts as gone. It speaks every 30 s; a hidden tab each minute."""

BEAT = 30.0
"""Seconds of silence after which the pages are told that the kernel lives."""

CONFIRM = 3.0
"""Seconds of silence after which the pages get one more message: by its number they see whether they missed any."""

LONGEST_VIEW = 100_000
"""Bytes of what a page wants to be kept, at most."""

MAKER = "maker"
"""Stands among the pages for the one who made the table, or asked for its rows, and may show it soon."""


class Pages:
    """The pages that show one table. The agents are followed as long as there are any, or somebody `stays`.

    `lock` is around the rows, and what is told of them.
    """

    def __init__(
        self,
        widget: TableWidget,
        rows: Rows,
        viewers: Viewers,
        following: Following,
        lock: threading.RLock,
        *,
        connections: Sequence[str],
        initial: Initial,
        notify: bool,
    ) -> None:
        self._widget = widget
        self._rows = rows
        self._viewers = viewers
        self._following = following
        self._lock = lock
        self._connections = list(connections)
        self.initial = initial
        """How a page begins that was told nothing else."""
        self._notify = notify
        self._early: list[str] | None = []
        self._view: dict[str, Any] | None = None
        self._heard: dict[str, float] = {}  # when each was last heard of
        self.stays = False
        """Whether the agents are followed also while no page shows the table, as a terminal wants it."""

    @property
    def shown(self) -> bool:
        """Whether a page shows the table."""
        return bool(self._heard.keys() - {MAKER})

    @property
    def view(self) -> Mapping[str, Any]:
        """How the last page shows the table, or how it begins."""
        return self._view or {"sort": self.initial.sort}

    def begin(self, initial: Initial) -> None:
        """It is known how a page begins: those that have come early are told."""
        with self._lock:
            self.initial = initial
            early, self._early = self._early or [], None
            for page in early:
                self.hello(page)

    def keep(self, view: dict[str, Any]) -> None:
        """Remembers how a page shows the table, for the next one."""
        if len(msgspec.json.encode(view)) <= LONGEST_VIEW:
            self._view = view

    def heard(self, page: str) -> None:
        """A page is there: the agents are followed."""
        with self._lock:
            self._heard[page] = time.monotonic()
            self._following.begin()

    def hello(self, page: str) -> None:
        """A page has come, or was loaded again, or has missed something: it is told everything, once it is known how
        the table begins."""
        with self._lock:
            if self._early is not None:
                self._early.append(page)
                return
            self._heard.pop(MAKER, None)
            reset = Reset(
                to=page,
                count=len(self._rows),
                view=self._view,
                initial=self.initial,
                notify=self._notify,
                open=self._viewers.last_opened,
                connections=self._connections,
            )
            self._widget.tell(reset, [self._rows.packed()])

    def bye(self, page: str) -> None:
        """A page is gone, and its panes with it."""
        with self._lock:
            self._heard.pop(page, None)
            self._viewers.forget(page)
            if not self._heard and not self.stays:
                self._following.end()

    def leave(self) -> None:
        """Nobody looks any more, also none who stayed."""
        with self._lock:
            self.stays = False
            self._heard.clear()
        self._following.end()

    def look(self) -> None:
        """Tells the pages that the kernel lives, if they were long told nothing, and forgets those that are silent."""
        with self._lock:
            for page, heard in list(self._heard.items()):
                if time.monotonic() - heard > GONE_AFTER:
                    self.bye(page)
        if self.shown and self._widget.silence > (BEAT if self._widget.confirmed else CONFIRM):
            self._widget.tell(Beat())
