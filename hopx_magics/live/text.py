"""The live table where no page shows it: as text in a terminal, as HTML in a saved notebook."""

import html
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..display.in_words import COLOURS, ICONS, counts_in_words, status_in_words
from ..display.run_name import cut_in_middle, told_apart
from ..durations import format_counting, format_duration, format_roughly
from ..output.oneline import printable
from ..words import size_in_words
from .columns import TABLE_COLUMNS, Column, column_of
from .row import Row
from .search import value_in

if TYPE_CHECKING:
    from rich.console import RenderableType

HTML_ROWS = 200
"""Rows in a saved notebook, at most: more would make it large, and nobody reads them there."""

WIDTH = 110
"""Characters in a line where nobody says how many there are."""

SHORT_NAME = 20
"""Characters of a name that are seen where there is little room, and those of a last line."""

GIVE_WAY = ("language", "started", "exit_code", "metric", "param", "id", "progress")
"""Columns, and kinds of them, that leave where there is no room."""

LONGEST_NAME = 40
"""Characters of a name with what its run was given."""

METRICS = 2
"""Metrics that are shown without being asked for."""

NAMED = 3
"""Runs that are named, at most, as having displays."""

_STYLES = {"running": "blue", "completed": "green", "failed": "red", "killed": "yellow"}


class State(NamedTuple):
    """A table at the moment `at`, in seconds since 1970; `notes` say which connections don't answer.

    The detail of a queued row has its place in the queue; `nothing` says why there are no rows, and `columns` are those
    that were asked for.
    """

    rows: Sequence[Row]
    columns: Sequence[str] | None
    notes: Sequence[str]
    nothing: str
    several: bool
    at: float


def as_text(state: State, *, most: int | None = 50) -> str:
    """The table as plain text, with `most` rows."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_jupyter=False)
    with console.capture() as captured:
        console.print(renderable(state, most=most))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def renderable(state: State, *, most: int | None = None, width: int = WIDTH) -> "RenderableType":
    """The table for a console of the library `rich` of so many columns, with at most so many rows."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns = _columns(state, without=("language", "last"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = state.rows[:most]
    told = [{column.name: _cell(column, row, state.at, clock=_clock) for column in columns} for row in rows]
    fitting = _fitting(columns, told, width)
    columns = [column for column in columns if column.name in fitting]
    for column in columns:
        right = column.kind in ("span", "moment", "number", "metric")
        most_wide = fitting[column.name]
        table.add_column(column.label.lower(), no_wrap=True, justify="right" if right else "left", max_width=most_wide)
    for row, cells in zip(rows, told, strict=True):
        styles = {"status": _STYLES.get(row.status, ""), "id": "dim"}
        cells["name"] = cut_in_middle(cells["name"], fitting["name"])
        table.add_row(*(Text(cells[column.name], styles.get(column.name, "")) for column in columns))
    parts: list[RenderableType] = [table] if state.rows else []
    hidden = len(state.rows) - len(rows)
    if hidden:
        parts.append(Text(f"and {hidden:,} more", "dim"))
    displays = _displays_in_words(state)
    parts += [Text(_summary(state), "bold"), *([Text(displays, "dim")] if displays else [])]
    return Group(*parts, *(Text(note, "red") for note in state.notes))


def as_html(state: State) -> str:
    """The table as HTML that needs no scripts and no style sheet, for saved and exported notebooks."""
    columns = _columns(state, without=("last",))
    head = "".join(f'<th style="text-align:left">{column.label.lower()}</th>' for column in columns)
    body = "".join(_html_row(row, columns, state.at) for row in state.rows[:HTML_ROWS])
    hidden = len(state.rows) - HTML_ROWS
    more = f"<div>and {hidden:,} more</div>" if hidden > 0 else ""
    notes = "".join(f'<div style="color:{COLOURS["failed"]}">{_escaped(note, 400)}</div>' for note in state.notes)
    displays = f"<div>{_escaped(shown, 400)}</div>" if (shown := _displays_in_words(state)) else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if state.rows else ""
    at = f"{datetime.fromtimestamp(state.at).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    return (
        f'<div class="hopx-static">{table}{more}<div><b>{_summary(state)}</b>, as of {at}</div>{displays}{notes}</div>'
    )


def _html_row(row: Row, columns: Sequence[Column], now: float) -> str:
    cells = {column.name: _escaped(_cell(column, row, now), 400) for column in columns}
    cells["status"] = f'<span style="color:{COLOURS[row.status]};font-weight:600">{cells["status"]}</span>'
    if "id" in cells:
        cells["id"] = f"<code>{cells['id']}</code>"
    told = "".join(f'<td style="text-align:left;white-space:nowrap">{cell}</td>' for cell in cells.values())
    return f"<tr>{told}</tr>"


def _escaped(text: str, limit: int = 200) -> str:
    return html.escape(printable(text, limit))


def _columns(state: State, without: Sequence[str]) -> list[Column]:
    """The columns that are shown: those that were asked for, else the usual ones with the first metrics."""
    if state.columns is not None:
        names = dict.fromkeys(("status", "name", *state.columns))
        return [column for name in names if (column := column_of(name))]
    left_out = {*without, "cpu", "memory", "gpu", "gpu_memory", *(() if state.several else ("connection",))}
    metrics = list(dict.fromkeys(name for row in state.rows for name in row.metrics))[:METRICS]
    own = [column for name in metrics if (column := column_of(f"metric.{name}"))]
    left_out |= {"started"} if own else set()
    usual = [column for column in TABLE_COLUMNS if column.name not in left_out]
    return [*usual[:2], *own, *usual[2:]]


def _fitting(columns: Sequence[Column], told: Sequence[Mapping[str, str]], room: int) -> dict[str, int]:
    """The names of the columns for which there is room, and how wide each may be: names are cut first."""
    widths = {one.name: max(map(len, [one.label, *(cells[one.name] for cells in told)])) for one in columns}
    longest_name = widths.get("name", 0)

    def too_wide() -> int:
        return sum(widths.values()) + 3 * len(widths) - 1 - room

    for flexible in ("last", "name"):
        if flexible in widths and (excess := too_wide()) > 0:
            widths[flexible] -= max(0, min(excess, widths[flexible] - SHORT_NAME))
    for word in GIVE_WAY:
        for column in reversed(columns):
            if word in (column.name, column.kind) and column.name in widths and too_wide() > 0:
                del widths[column.name]
    if "name" in widths:
        widths["name"] = min(longest_name, widths["name"] + max(0, -too_wide()))
    return widths


def _cell(column: Column, row: Row, now: float, *, clock: Callable[[Row, float], str] | None = None) -> str:
    if column.name == "name":
        return _WORDS["name"](row, now)
    if column.name == "started" and clock:
        return clock(row, now)
    if column.kind in ("param", "tag", "metric"):
        value = value_in(column, row, now)
        return format_number(value) if isinstance(value, float) else printable(str(value or ""), 60)
    most = 40 if column.name == "last" else 60
    return printable(_WORDS[column.name](row, now), most if clock else 200)


def format_number(value: float) -> str:
    """A number as one reads it in a table: four digits, large ones whole."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def progress_in_words(row: Row) -> str:
    """`37 %, 2 min left`, or of what prints nothing of that `usually 4 min`, or nothing."""
    if row.progress is None:
        return row.usual if row.status == "running" else ""
    left = f", {format_roughly(row.left)} left" if row.left is not None and row.status == "running" else ""
    return f"{math.floor(row.progress * 100 + 1e-9)} %{left}"


def elapsed_in_words(row: Row, now: float) -> str:
    """How long it has been running, or has run."""
    if row.began is not None:
        return format_counting(now - row.began)
    in_words = format_counting if row.status == "running" else format_duration
    return "" if row.elapsed is None else in_words(row.elapsed)


def _summary(state: State) -> str:
    return counts_in_words(row.status for row in state.rows) or state.nothing


def _displays_in_words(state: State) -> str:
    """Which of them have displays, and how these are seen; nothing where none has."""
    names = list(dict.fromkeys(printable(row.name or row.id, 60) for row in state.rows if row.displays))
    if not names:
        return ""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more} {'has' if len(names) == 1 else 'have'} displays: %hopx_show {names[0]}"


def _clock(row: Row, now: float) -> str:
    if row.started is None:
        return ""
    form = "%H:%M:%S" if now - row.started < 20 * 3600 else "%Y-%m-%d"
    return time.strftime(form, time.localtime(row.started))


_WORDS: dict[str, Callable[[Row, float], str]] = {
    "status": lambda row, now: f"{ICONS[row.status]} {status_in_words(row.status, row.leftovers, paused=row.paused)}",
    "name": lambda row, now: cut_in_middle(told_apart(row.name or "", row.params), LONGEST_NAME),
    "progress": lambda row, now: row.detail or "" if row.status == "queued" else progress_in_words(row),
    "elapsed": elapsed_in_words,
    "started": lambda row, now: (
        "" if row.started is None else f"{datetime.fromtimestamp(row.started):%Y-%m-%d %H:%M:%S}"
    ),
    "exit_code": lambda row, now: "" if row.exit_code is None else str(row.exit_code),
    "language": lambda row, now: row.language or "",
    "cpu": lambda row, now: "" if row.cpu is None else f"{row.cpu:,} %",
    "memory": lambda row, now: "" if row.memory is None else size_in_words(row.memory),
    "gpu": lambda row, now: "" if row.gpu is None else f"{row.gpu:,} %",
    "gpu_memory": lambda row, now: "" if row.gpu_memory is None else size_in_words(row.gpu_memory),
    "id": lambda row, now: row.id,
    "connection": lambda row, now: row.connection,
    "last": lambda row, now: row.last,
}
"""What the cells of a column say."""
