"""The lines below cells that say what becomes of runs and sweeps, and the mender that keeps them true in pages."""

import logging
import threading
from typing import TYPE_CHECKING

from .live_line import Display, has_clicks, has_live_display

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..live.mender import Mender
    from ..run import Run, Sweep

_log = logging.getLogger(__name__)


def show_line(item: "Run | Sweep") -> None:
    """Shows a run or a sweep as one line that follows it until it has ended, as far as somebody can tell of it."""
    from ..api.lines import lines

    lines().show(item, Display().show)


class Mending:
    """The mender of a kernel: made aside, since its imports take longer than loading may, and ended with `close`."""

    def __init__(self) -> None:
        self._mender: Mender | None = None
        self._closed = False
        self._lock = threading.Lock()

    def begin(self, shell: "InteractiveShell") -> None:
        """Makes the mender, if a page may show what this kernel displays."""
        if has_live_display(shell) and has_clicks(shell):
            threading.Thread(target=self._make, name="hopx-mender", daemon=True).start()

    def close(self) -> None:
        """Ends it, and all lines: they stay as they are."""
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
