"""How a live table is shown: as a widget, as HTML where nobody can click, and as text in a terminal.

A notebook keeps what a cell has shown. So beside the widget, which is nothing without its kernel, the cell holds the
table's last settled state as HTML and as text: that is what an exported notebook shows.
"""

import sys
import threading
import time
from typing import TYPE_CHECKING

from .live_line import Display, has_clicks, has_live_display

if TYPE_CHECKING:
    from ..live.table import LiveTable

STATIC_INTERVAL = 2.0
"""Seconds between two states of a table that is shown as HTML."""

TERMINAL_INTERVAL = 1.0
"""Seconds after which running times are counted up in a terminal."""

_MARGIN = 6
"""Lines of a terminal that the rows of a table leave free."""


def show_table(table: "LiveTable") -> None:
    """Shows a table in whatever this is running in."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None and has_live_display(shell):
        _Shown(table, clickable=has_clicks(shell)).show()
    elif sys.stdout.isatty():
        _refresh_in_place(table)
    else:
        from ..live import text

        print(text.as_text(table.state(), most=None))  # noqa: T201
        table.pause()


class _Shown:
    """One place where a table is shown."""

    def __init__(self, table: "LiveTable", *, clickable: bool) -> None:
        self._table = table
        self._clickable = clickable
        self._display = Display()
        self._settled = table.settled
        self._updated = 0.0
        self._due: threading.Timer | None = None
        self._lock = threading.Lock()

    def show(self) -> None:
        """Shows it, and renews what the notebook keeps of it.

        JupyterLab draws a widget anew when what stands beside it changes, so that is done only when its page says that
        nobody is using it.
        """
        self._update()
        if self._clickable:
            self._table.on_keep(self._update)
        else:
            self._table.stay()
            self._table.listen(self._take_note)

    def _take_note(self) -> None:
        """Called on a watcher's thread after every change."""
        settled, before = self._table.settled, self._settled
        self._settled = settled
        if (settled and not before) or self._table.closed:
            self._update()
        else:
            self._update_when_due()

    def _update_when_due(self) -> None:
        wait = self._updated + STATIC_INTERVAL - time.monotonic()
        if wait <= 0:
            self._update()
            return
        with self._lock:
            if self._due is None:
                self._due = threading.Timer(wait, self._update)
                self._due.daemon = True
                self._due.start()

    def _update(self) -> None:
        with self._lock:
            self._due = None
            self._updated = time.monotonic()
        self._display.show(self._table.bundle(clickable=self._clickable))


def _refresh_in_place(table: "LiveTable") -> None:
    """Shows the table until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    from ..live import text

    console = Console()
    changed = threading.Event()
    table.stay()
    table.listen(changed.set)
    try:
        with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
            while not table.closed:
                most = max(1, console.height - _MARGIN)
                live.update(text.renderable(table.state(), most=most, width=console.width), refresh=True)
                changed.wait(TERMINAL_INTERVAL)
                changed.clear()
    except KeyboardInterrupt:
        pass
    finally:
        table.pause()
