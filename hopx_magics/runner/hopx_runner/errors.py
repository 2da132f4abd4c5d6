"""What is said of an error: as Python does, with the cell's own frames."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from traceback import TracebackException
    from types import TracebackType
    from typing import Any

LONGEST_MESSAGE = 10_000


def show_own_frames(path: str, titles: "Mapping[str, str]") -> None:
    """Lets whatever shows an error from now on show it from the cell's first frame on, with its `titles` for files."""
    show = sys.excepthook

    def show_cell(kind: "type[BaseException]", error: BaseException, trace: "TracebackType | None") -> None:
        own = _own(trace, path)
        if show is sys.__excepthook__:
            sys.stderr.write(_in_words(error, own, titles))
        else:
            show(kind, error.with_traceback(own), own)

    sys.excepthook = show_cell


def as_display(error: BaseException, path: str, titles: "Mapping[str, str]") -> "dict[str, Any]":
    """The error as a notebook keeps it."""
    lines = _in_words(error, _own(error.__traceback__, path), titles).splitlines()
    message = str(error)[:LONGEST_MESSAGE]
    return {"output_type": "error", "ename": type(error).__name__, "evalue": message, "traceback": lines}


def _own(trace: "TracebackType | None", path: str) -> "TracebackType | None":
    """A trace from the cell's first frame on; None when it has none, as when it doesn't compile."""
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return trace


def _in_words(error: BaseException, trace: "TracebackType | None", titles: "Mapping[str, str]") -> str:
    """What Python says of an error, without the runner's own frames, and with cells by their titles."""
    import traceback

    if type(error).__name__ == "UsageError" and type(error).__module__ == "IPython.core.error":
        return f"UsageError: {error}\n"  # a magic that was used wrongly
    told = traceback.TracebackException(type(error), error, trace)
    _drop_own_frames(told)
    text = "".join(told.format())
    for file, title in titles.items():
        text = text.replace(f'File "{file}", line', f"{title}, line")
    return text


def show_warnings(warnings: "Any", titles: "Mapping[str, str]") -> None:
    """Lets warnings name cells by their titles."""
    plain = warnings.formatwarning

    def formatwarning(message: "Any", category: "Any", file: str, number: int, line: "str | None" = None) -> str:
        if file in titles and line is None:
            import linecache

            line = linecache.getline(file, number)
        told: str = plain(message, category, titles.get(file, file), number, line)
        return told

    warnings.formatwarning = formatwarning


def _drop_own_frames(told: "TracebackException | None") -> None:
    here = os.path.dirname(_drop_own_frames.__code__.co_filename)
    while told is not None:
        told.stack[:] = [frame for frame in told.stack if os.path.dirname(frame.filename) != here]
        told = told.__cause__ or told.__context__
