"""The lines below cells that say what becomes of runs and sweeps, and the mender that keeps them true in pages."""

import logging
import sys
import threading
from typing import TYPE_CHECKING

from .live_line import Display, has_clicks, has_live_display

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..live.mender import Mender
    from ..run import Run
    from ..sweeps import Sweep

SETTLED_WITHIN = 3.0
"""Seconds for which a cell of a job waits, at most, until lines are as they will stay."""

_log = logging.getLogger(__name__)


_shown: set[str] = set()
"""The sweeps that were shown before."""


def show_line(item: "Run | Sweep") -> None:
    """Shows a run or a sweep as one line that follows it until it has ended, as far as somebody can tell of it."""
    from ..api.lines import lines

    lines().show(item, Display().show)


def show_sweep(sweep: "Sweep") -> None:
    """Shows a sweep as a line when it is launched, and as its table when it is looked at later."""
    if sweep.sweep_id not in _shown:
        _shown.add(sweep.sweep_id)
        show_line(sweep)
        return
    if any(not run.process.ended for run in sweep):
        show_line(sweep)
    Display().show(sweep._repr_mimebundle_())


def settle_lines(_: object) -> None:
    """Lets a cell end no sooner than the lines say so whose runs have ended: after the last cell a job reads none."""
    if "hopx_magics.api.lines" in sys.modules:
        from ..api.lines import lines

        lines().settle(SETTLED_WITHIN)


class Mending:
    """The mender of a kernel: made aside, since its imports take longer than loading may, and ended with `close`."""

    def __init__(self) -> None:
        self._mender: Mender | None = None
        self._closed = False
        self._lock = threading.Lock()

    def begin(self, shell: "InteractiveShell") -> None:
        """Makes the mender, if a page may show what this kernel displays."""
        if not has_live_display(shell):
            return
        if has_clicks(shell):
            threading.Thread(target=self._make, name="hopx-mender-made", daemon=True).start()
        else:
            shell.events.register("post_run_cell", settle_lines)

    def close(self, shell: "InteractiveShell") -> None:
        """Ends it, and all lines: they stay as they are."""
        if settle_lines in shell.events.callbacks["post_run_cell"]:
            shell.events.unregister("post_run_cell", settle_lines)
        with self._lock:
            self._closed = True
            if self._mender is not None:
                self._mender.close()
                self._mender = None
        from ..api.lines import lines

        lines().close()

    def _make(self) -> None:
        try:
            from ..api.lines import make_mender

            with self._lock:
                if not self._closed:
                    self._mender = make_mender()
        except Exception:  # the lines are what their displays show then, and say of when they are
            _log.exception("the lines below cells can't be kept true in pages")
