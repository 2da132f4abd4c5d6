"""What changes in place below a cell: the state of a run, and how far waiting has come.

Threads never print: a print would land in whichever cell runs. They update a display by its id.
"""

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..connection.watcher import Update
    from ..display.document import Document
    from ..models import Process
    from ..run import Run, Sweep

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


def show_run(run: "Run") -> None:
    """Shows a run as one line that follows its state until it has ended, as far as there is an agent to tell it."""
    if run.source.connection is None:
        Display().show(run._repr_mimebundle_())
    else:
        _RunLine(run).show()


def show_document(document: "Document") -> None:
    """Prints it, with colours where there is a terminal to show them."""
    print(document.as_terminal() if sys.stdout.isatty() else str(document))  # noqa: T201


def show_sweep(sweep: "Sweep") -> None:
    """Shows a sweep as one line that follows how many of its runs have ended, until all have."""
    _SweepLine(sweep).show()


class _SweepLine:
    def __init__(self, sweep: "Sweep") -> None:
        self._sweep = sweep
        self._display = Display()
        self._stop: Callable[[], None] | None = None

    def show(self) -> None:
        self._update()
        if not self._ended:
            self._stop = self._sweep.listen(self._take)

    @property
    def _ended(self) -> bool:
        return all(run.process.ended or run.process.status == "unknown" for run in self._sweep)

    def _take(self) -> None:
        """Called on other threads whenever something may have become of a run."""
        self._update()
        if self._ended and self._stop is not None:
            self._stop()

    def _update(self) -> None:
        from ..display import in_words

        statuses = [run.process.status for run in self._sweep]
        self._display.show(
            {"text/plain": repr(self._sweep), "text/html": in_words.sweep_line(self._sweep.sweep_id, statuses)}
        )


class _RunLine:
    def __init__(self, run: "Run") -> None:
        self._run = run
        self._display = Display()
        self._stop: Callable[[], None] | None = None

    def show(self) -> None:
        self._display.show(self._bundle(self._run.process))
        if not self._run.process.ended:
            self._stop = self._run.listen(self._take)

    def _take(self, update: "Update") -> None:
        """Called on the watcher's thread with all that it hears of the agent."""
        listing = update.listing
        forgotten = False
        if listing is not None and update.error is None:
            listed = listing.find(self._run.process_id)
            self._run.see(listed)
            forgotten = listed is None and self._run.process.status == "unknown"
        note = ""
        if update.error is not None and update.failing_since is not None:
            silence = time.monotonic() - update.failing_since
            note = "the agent does not answer, retrying" if silence > SILENT_AFTER else ""
        age = 0.0 if listing is None else (datetime.now(UTC) - listing.received_at).total_seconds()
        self._display.show(self._bundle(_aged(self._run.process, age), note))
        if (self._run.process.ended or forgotten) and self._stop is not None:
            self._stop()

    def _bundle(self, process: "Process", note: str = "") -> dict[str, str]:
        from ..api.logs import end_of_stderr
        from ..display import in_words

        stderr = end_of_stderr(self._run) if process.status == "failed" else ""
        return {
            "text/plain": f"<Run {in_words.run_in_words(process, self._run.connection)}>",
            "text/html": in_words.run_line(process, self._run.connection, below=stderr or note),
        }


def _aged(process: "Process", seconds: float) -> "Process":
    """A running process as it is now, `seconds` after it was listed."""
    import msgspec

    if process.status != "running" or process.execution_time is None:
        return process
    return msgspec.structs.replace(process, execution_time=process.execution_time + seconds)


class StateLine:
    """One line that says how far something has come: below the cell, or in a terminal, where it is wiped at the end."""

    def __init__(self, shell: "InteractiveShell") -> None:
        self._live = has_live_display(shell)
        self._display = Display()
        self._shown = ""

    def __call__(self, text: str) -> None:
        """Shows this text instead of the one before."""
        if text == self._shown:
            return
        self._shown = text
        if self._live:
            self._display.show({"text/plain": text})
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def close(self) -> None:
        """Wipes the line from a terminal."""
        if self._shown and not self._live and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class ProgressLine(StateLine):
    """How far waiting has come, as a `progress` of `hopx_magics.wait`."""

    def __call__(self, processes: "list[Process]", total: int) -> None:  # type: ignore[override]
        """Shows the state of the processes."""
        from ..display import in_words

        super().__call__(in_words.counts_in_words(processes, total))


class TransferLine:
    """How far the copying of files has come, as a `progress` of `hopx_magics.put` and `get`."""

    def __init__(self, shell: "InteractiveShell", way: str) -> None:
        self._line = StateLine(shell)
        self._way = way
        self._due = 0.0

    def __enter__(self) -> "TransferLine":
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.close()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Shows a bar, now and then and at the end."""
        from ..display import in_words

        if time.monotonic() < self._due and done != total:
            return
        self._due = time.monotonic() + SHOW_EVERY
        self._line(in_words.transfer_in_words(name, self._way, done, total))
