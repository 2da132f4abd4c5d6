"""How a notebook shows the DataFrames of processes and runs. All other DataFrames are shown as they were before."""

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

if TYPE_CHECKING:
    import pandas as pd

    from ..display.frame_view import View

_DATAFRAME = ("pandas", "DataFrame")
_NAME = ".".join(_DATAFRAME)


class AsHtml:
    """Shows DataFrames as HTML: ours by their view, others by `before`, or else as they show themselves."""

    def __init__(self, before: Callable[..., Any] | None) -> None:
        self.before = before

    def __call__(self, frame: "pd.DataFrame") -> str | None:
        if view := _view_of(frame):
            from ..display.frame_view import as_html, wants_html

            return as_html(view) if wants_html() else None
        shown: str | None = self.before(frame) if self.before else frame._repr_html_()  # type: ignore[operator]
        return shown


class AsText:
    """Shows DataFrames as text: ours by their view, others by `before`, or else by their repr."""

    def __init__(self, before: Callable[..., Any] | None) -> None:
        self.before = before

    def __call__(self, frame: "pd.DataFrame", printer: Any, cycle: object) -> None:
        if view := _view_of(frame):
            from ..display.frame_view import as_text

            _write(printer, as_text(view, shutil.get_terminal_size().columns))
        elif self.before:
            self.before(frame, printer, cycle)
        else:
            _write(printer, repr(frame))


_SHOWN: dict[str, type[AsHtml | AsText]] = {"text/html": AsHtml, "text/plain": AsText}


def show_frames(shell: InteractiveShell) -> None:
    """Shows DataFrames of ours in their own way from now on. pandas need not be there yet."""
    for formatter, kind in _formatters(shell):
        formatter.for_type_by_name(*_DATAFRAME, kind(formatter.pop(_NAME, None)))


def show_frames_no_more(shell: InteractiveShell) -> None:
    """Leaves behind what was there before, or what others have put in place since."""
    for formatter, kind in _formatters(shell):
        now = formatter.pop(_NAME, None)
        kept = now.before if isinstance(now, kind) else now
        if kept is not None:
            formatter.for_type_by_name(*_DATAFRAME, kept)


def _formatters(shell: InteractiveShell) -> Iterator[tuple[Any, type[AsHtml | AsText]]]:
    known = shell.display_formatter.formatters if shell.display_formatter else {}
    return ((known[kind], shown) for kind, shown in _SHOWN.items() if kind in known)


def _view_of(frame: "pd.DataFrame") -> "View | None":
    """The view of a DataFrame; None where it has none, and where somebody has put into it what nobody expects."""
    if not frame.attrs:
        return None
    from ..api.grep import given_of_runs
    from ..api.ps import given_of
    from ..display import found_view, frame_view

    try:
        return found_view.view_of(frame, given_of_runs) or frame_view.view_of(frame, given_of)
    except Exception:  # pandas' own display shows whatever it is
        return None


def _write(printer: Any, text: str) -> None:
    """Writes lines as IPython writes a repr."""
    with printer.group():
        for number, line in enumerate(text.splitlines()):
            if number:
                printer.break_()
            printer.text(line)
