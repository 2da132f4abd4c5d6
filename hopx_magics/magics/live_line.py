"""What changes in place below a cell: the state of a sweep, and how far waiting and copying have come.

Threads never print: a print would land in whichever cell runs. They update a display by its id.
"""

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..display.document import Document
    from ..run import Sweep

SILENT_AFTER = 5.0
"""Seconds without an answer after which the line says so."""


def has_live_display(shell: "InteractiveShell") -> bool:
    """Whether what was shown can be changed: in a kernel's front ends, not in a terminal."""
    return getattr(shell, "kernel", None) is not None


SHOW_EVERY = 0.2
"""Seconds between two states of a bar."""


class Display:
    """A display below a cell that can be changed, also from a thread."""

    def __init__(self) -> None:
        self._shown: dict[str, Any] = {}
        self._handle: Any = None

    def show(self, bundle: dict[str, Any]) -> None:
        """Shows a mimebundle, in the place where the first one was shown."""
        import IPython.display as ipython

        if bundle == self._shown:
            return
        self._shown = bundle
        if self._handle is None:
            display: Any = ipython.display
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def show_sweep(sweep: "Sweep") -> None:
    """Shows a sweep as one line that follows how many of its runs have ended, until all have."""
    _Following(partial(_update_sweep, Display(), sweep), sweep.listen)


def show_document(document: "Document") -> None:
    """Prints it, with colours where there is a terminal to show them."""
    print(document.as_terminal() if sys.stdout.isatty() else str(document))  # noqa: T201


class _Following:
    """Shows a state, and after all that is heard a new one, until `update` says that this was the last."""

    def __init__(self, update: "Callable[..., bool]", listen: "Callable[[Any], Callable[[], None]]") -> None:
        self._update = update
        self._stop: Callable[[], None] | None = None
        if not update():
            self._stop = listen(self._take)

    def _take(self, *told: Any) -> None:
        if self._update(*told) and self._stop is not None:
            self._stop()


def _update_sweep(display: Display, sweep: "Sweep") -> bool:
    from ..display import in_words

    statuses = [run.process.status for run in sweep]
    display.show({"text/plain": repr(sweep), "text/html": in_words.sweep_line(sweep.sweep_id, statuses)})
    return all(run.process.ended or run.process.status == "unknown" for run in sweep)


class StateLine:
    """One line that says how far something has come: below the cell, or in a terminal, where it is wiped at the end."""

    def __init__(self, shell: "InteractiveShell") -> None:
        self._live = has_live_display(shell)
        self._display = Display()
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._shown:
            self._write("")

    def __call__(self, text: str) -> None:
        """Shows this text instead of the one before."""
        if text == self._shown:
            return
        self._shown = text
        if self._live:
            self._display.show({"text/plain": text})
        else:
            self._write(text)

    def _write(self, text: str) -> None:
        if not self._live and sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()


class TransferLine(StateLine):
    """How far the copying of files to or from the agent, the `way`, has come."""

    def __init__(self, shell: "InteractiveShell", way: str) -> None:
        super().__init__(shell)
        self._way = way
        self._due = 0.0

    def show_copied(self, name: str, done: int, total: int | None) -> None:
        """Shows a bar, now and then and at the end, as a `progress` of `hopx_magics.put` and `get`."""
        from ..display import in_words

        if time.monotonic() < self._due and done != total:
            return
        self._due = time.monotonic() + SHOW_EVERY
        self(in_words.transfer_in_words(name, self._way, done, total))
