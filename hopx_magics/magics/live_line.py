"""What changes in place below a cell: displays that can be changed, and how far waiting and copying have come.

Threads never print: a print would land in whichever cell runs. They update a display by its id.
"""

import sys
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..display.document import Document


def has_live_display(shell: "InteractiveShell") -> bool:
    """Whether what was shown can be changed: in a kernel's front ends, not in a terminal."""
    return getattr(shell, "kernel", None) is not None


def has_clicks(shell: Any) -> bool:
    """Whether a person may be at the other end: who runs a notebook as a job says that nobody answers questions."""
    request = shell.kernel.get_parent("shell") or {}
    return bool(request.get("content", {}).get("allow_stdin", True))


SHOW_EVERY = 0.2
"""Seconds between two states of a bar."""


class Display:
    """A display below a cell that can be changed, also from a thread."""

    def __init__(self) -> None:
        self._shown: object = None
        self._handle: Any = None

    def show(self, bundle: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Shows a mimebundle, in the place where the first one was shown."""
        import IPython.display as ipython

        if (bundle, metadata) == self._shown:
            return
        self._shown = bundle, metadata
        if self._handle is None:
            display: Any = ipython.display
            self._handle = display(bundle, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(bundle, metadata=metadata, raw=True)


def show_document(document: "Document") -> None:
    """Prints it, with colours where there is a terminal to show them."""
    print(document.as_terminal() if sys.stdout.isatty() else str(document))  # noqa: T201


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
