"""What a terminal would show of a process's output, how far the process says it is, and the numbers it names. Pure.

Output is other people's bytes. Of its control sequences only colours and styles (SGR) reach a terminal or a page;
what moves the cursor is carried out here, and the rest (titles, clipboard, links, queries) is dropped.
"""

from typing import TYPE_CHECKING, Any

from .oneline import printable

if TYPE_CHECKING:
    from .metrics import Metric, metrics_in
    from .progress import Progress, may_tell_progress, newest_progress, progress_in
    from .screen import CUT, TAB, WIDTH_LIMIT, Line, Screen
    from .sequences import StreamFilter
    from .shown import as_plain, as_shown, last_line, last_lines
    from .style import PLAIN, Style

# Everybody needs `printable`, and few the others, whose patterns take 10 ms to compile.
_HOMES = {
    "CUT": "screen",
    "PLAIN": "style",
    "TAB": "screen",
    "WIDTH_LIMIT": "screen",
    "Line": "screen",
    "Metric": "metrics",
    "Progress": "progress",
    "Screen": "screen",
    "StreamFilter": "sequences",
    "Style": "style",
    "as_plain": "shown",
    "as_shown": "shown",
    "last_line": "shown",
    "last_lines": "shown",
    "may_tell_progress": "progress",
    "metrics_in": "metrics",
    "newest_progress": "progress",
    "progress_in": "progress",
}

__all__ = [
    "CUT",
    "PLAIN",
    "TAB",
    "WIDTH_LIMIT",
    "Line",
    "Metric",
    "Progress",
    "Screen",
    "StreamFilter",
    "Style",
    "as_plain",
    "as_shown",
    "last_line",
    "last_lines",
    "may_tell_progress",
    "metrics_in",
    "newest_progress",
    "printable",
    "progress_in",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value
