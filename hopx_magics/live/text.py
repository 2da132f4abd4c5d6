"""The live table where no page shows it: as text in a terminal, as HTML in a saved notebook."""

import io
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..display.in_words import COLOURS, ICONS
from ..durations import format_duration
from ..output import printable
from .facts import counts_in_words, escaped
from .rows import Row

if TYPE_CHECKING:
    from rich.console import RenderableType

HTML_ROWS = 200
"""Rows in a saved notebook, at most: more would make it large, and nobody reads them there."""

_STYLES = {"running": "blue", "completed": "green", "failed": "red", "killed": "yellow"}


class State(NamedTuple):
    """A table at the moment `at`, in seconds since 1970; `notes` say which connections don't answer."""

    rows: Sequence[Row]
    notes: Sequence[str]
    several: bool
    at: float


def as_text(state: State, *, width: int = 110, most: int | None = 50) -> str:
    """The table as plain text, with `most` rows."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, force_jupyter=False)
    with console.capture() as captured:
        console.print(renderable(state, most=most))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def renderable(state: State, *, most: int | None = None) -> "RenderableType":
    """The table for a console of the library `rich`, with at most so many rows."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("status", "name", "progress"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for column in ("elapsed", "started", "exit"):
        table.add_column(column, no_wrap=True, justify="right")
    table.add_column("process id", no_wrap=True, overflow="ellipsis")
    if state.several:
        table.add_column("connection", no_wrap=True, overflow="ellipsis")
    for row in state.rows[:most]:
        cells = [
            Text(f"{ICONS[row.status]} {row.status}", _STYLES.get(row.status, "")),
            Text(printable(row.name or "", 60)),
            Text(progress_in_words(row)),
            Text(elapsed_in_words(row, state.at)),
            Text(_clock(row.started, state.at)),
            Text("" if row.exit_code is None else str(row.exit_code)),
            Text(printable(row.id, 60), "dim"),
        ]
        table.add_row(*cells, *([Text(printable(row.connection, 40))] if state.several else []))
    parts: list[RenderableType] = [table] if state.rows else []
    hidden = len(state.rows) - len(state.rows[:most])
    if hidden:
        parts.append(Text(f"and {hidden:,} more", "dim"))
    return Group(*parts, Text(_summary(state), "bold"), *(Text(note, "red") for note in state.notes))


def as_html(state: State) -> str:
    """The table as HTML that needs no scripts and no style sheet, for saved and exported notebooks."""
    columns = ["status", "name", "progress", "elapsed", "started", "exit code", "language", "process id"]
    columns += ["connection"] if state.several else []
    head = "".join(f'<th style="text-align:left">{column}</th>' for column in columns)
    body = "".join(_html_row(row, state) for row in state.rows[:HTML_ROWS])
    hidden = len(state.rows) - HTML_ROWS
    more = f"<div>and {hidden:,} more</div>" if hidden > 0 else ""
    notes = "".join(f'<div style="color:{COLOURS["failed"]}">{escaped(note, 400)}</div>' for note in state.notes)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if state.rows else ""
    at = f"{datetime.fromtimestamp(state.at).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    return f'<div class="hopx-static">{table}{more}<div><b>{_summary(state)}</b>, as of {at}</div>{notes}</div>'


def _html_row(row: Row, state: State) -> str:
    status = f'<span style="color:{COLOURS[row.status]};font-weight:600">{ICONS[row.status]} {row.status}</span>'
    texts = [
        escaped(row.name or ""),
        progress_in_words(row),
        elapsed_in_words(row, state.at),
        "" if row.started is None else f"{datetime.fromtimestamp(row.started):%Y-%m-%d %H:%M:%S}",
        "" if row.exit_code is None else str(row.exit_code),
        escaped(row.language or ""),
        f"<code>{escaped(row.id, 80)}</code>",
        *([escaped(row.connection)] if state.several else []),
    ]
    cells = "".join(f'<td style="text-align:left;white-space:nowrap">{text}</td>' for text in (status, *texts))
    return f"<tr>{cells}</tr>"


def progress_in_words(row: Row) -> str:
    """`37 %, 2 min left`, or nothing."""
    if row.progress is None:
        return ""
    left = f", {format_duration(row.left)} left" if row.left is not None and row.status == "running" else ""
    return f"{row.progress:.0%}".replace("%", " %") + left


def elapsed_in_words(row: Row, now: float) -> str:
    """How long it has been running, or has run."""
    if row.began is not None:
        return format_duration(max(0.0, now - row.began))
    return "" if row.elapsed is None else format_duration(row.elapsed)


def _summary(state: State) -> str:
    return counts_in_words(state.rows) or "no processes"


def _clock(moment: float | None, now: float) -> str:
    if moment is None:
        return ""
    form = "%H:%M:%S" if now - moment < 20 * 3600 else "%Y-%m-%d"
    return time.strftime(form, time.localtime(moment))
