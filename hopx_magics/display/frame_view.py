"""What a notebook shows of the DataFrames of processes, runs and the queue: a line each, made for reading.

The DataFrames stay as they are. Only those that are whole in their columns have such a view: whoever has chosen columns
sees these, as pandas shows them.
"""

import functools
import html
import math
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..durations import format_counting, format_duration, format_roughly
from ..models import ProcessId
from ..output.oneline import printable
from ..output.shown import last_line
from ..words import STATUSES, Status, signal_name, size_in_words
from .frames import QUEUE_COLUMNS, SEEN, WHY_EMPTY, processes_frame
from .history_frame import COLUMNS
from .in_words import COLOURS, ICONS, status_in_words
from .run_name import cut_in_middle, told_apart

if TYPE_CHECKING:
    import pandas as pd

MOST_VARIED = 6
"""Columns of params, tags, and of what the user has added, that are shown at most."""

SHORT_ID = 13
LONGEST_NAME = 40
LONGEST_LINE = 60
LONGEST_REASON = 20
"""Characters of an id, of a name or a value, of the last line, and of why; on hover there are all."""


class Place(NamedTuple):
    """A place in the output of a run: a line by its number from 1, if that is known, and the text there."""

    run_id: str
    stream: str
    line: int | None
    text: str


class Cell(NamedTuple):
    """What stands in a cell, what is told of it on hover, which status it says, which part of it is marked, and to
    which place it leads where a page can open that."""

    text: str
    title: str = ""
    status: Status | None = None
    marked: tuple[int, int] | None = None
    place: Place | None = None


class Column(NamedTuple):
    """A column of a view. Where there is little room, those with the lowest `rank` stay."""

    label: str
    cells: list[Cell]
    rank: int
    right: bool = False


class View(NamedTuple):
    """A table to be shown. Rows are left out behind the row number `gap`; `note` says what it is of, and it is told how
    many of the columns of a DataFrame, `of`, are shown."""

    columns: list[Column]
    gap: int | None
    note: str
    of: int | None = None

    def note_with(self, shown: int) -> str:
        """The note where so many columns are shown."""
        if self.of is None:
            return self.note
        return f"{self.note} · {self.of} columns" + (f", these {shown} shown" if shown else "")


Given = Callable[[str, Collection[ProcessId]], Mapping[ProcessId, Mapping[str, str]]]
"""Tells what processes of a connection were given."""


def view_of(frame: "pd.DataFrame", given: Given = lambda connection, process_ids: {}) -> View | None:
    """What is shown of a DataFrame of processes, runs, or what is queued; None for any other.

    A DataFrame of processes or of what is queued does not have what they were given: that is asked of `given`, for
    those that are shown.
    """
    if SEEN not in frame.attrs or not frame.columns.is_unique:
        return None
    names = set(frame.columns)
    if names >= (own := _of_processes()):
        return _view(frame, own, "process_id", "started_at", ("process", "processes"), given)
    if names >= set(QUEUE_COLUMNS):
        return _view_of_queue(frame, given)
    if names >= (own := _of_runs()):
        return _view(frame, own | {"code"}, "run_id", "launched_at", ("run", "runs"), lambda *_: {})
    return None


@functools.cache
def _of_processes() -> frozenset[str]:
    return frozenset(processes_frame([], []).columns)


@functools.cache
def _of_runs() -> frozenset[str]:
    return frozenset(COLUMNS)


def _view(
    frame: "pd.DataFrame", own: frozenset[str], key: str, began: str, words: tuple[str, str], given: Given
) -> View:
    seen = datetime.fromisoformat(frame.attrs[SEEN])
    labels, rows, gap = shown(frame)
    columns = [labels]

    def add(label: str, rank: int, cell: Callable[[Mapping[str, Any]], Cell], *, right: bool = False) -> None:
        cells = [cell(row) for row in rows]
        if rank == 0 or any(cell.text for cell in cells):
            columns.append(Column(label, cells, rank, right))

    add("status", 0, _status)
    add("name", 0, functools.partial(_name, _given_to(rows, key, given)))
    for name, label in _varied(frame, own):
        add(label, 2, functools.partial(_cut_text, name, LONGEST_NAME), right=_is_number(frame[name]))
    add("progress", 4, _progress, right=True)
    add("time", 0, _time, right=True)
    add(began.removesuffix("_at"), 3, lambda row: _ago(row[began], seen), right=True)
    add("exit", 0, _exit, right=True)
    add("memory", 6, _memory, right=True)
    add("displays", 8, _displays, right=True)
    add("last line", 5, _last_line)
    if _is_several(frame["connection"]):
        add("connection", 7, functools.partial(_cut_text, "connection", LONGEST_NAME))
    add("id", 9, functools.partial(_cut_text, key, SHORT_ID))
    return View(columns if rows else [], gap, _note(frame, words, seen), len(frame.columns))


def _view_of_queue(frame: "pd.DataFrame", given: Given) -> View:
    seen = datetime.fromisoformat(frame.attrs[SEEN])
    labels, rows, gap = shown(frame)
    name, why = functools.partial(_name, _given_to(rows, "process_id", given)), functools.partial(_cut_text, "why")
    columns = [
        labels,
        Column("place", [Cell(text_of(row["place"])) for row in rows], 0, right=True),
        Column("name", list(map(name, rows)), 0),
        Column("why", [why(LONGEST_LINE, row) for row in rows], 1),
        Column("expected start", [_expected(row["expected_start"], seen) for row in rows], 2, right=True),
    ]
    if _is_several(frame["connection"]):
        columns.append(Column("connection", [_cut_text("connection", LONGEST_NAME, row) for row in rows], 3))
    columns.append(Column("id", [_cut_text("process_id", SHORT_ID, row) for row in rows], 4))
    words = ("process waits", "processes wait")
    return View(columns if rows else [], gap, _note(frame, words, seen), len(frame.columns))


def shown(frame: "pd.DataFrame") -> tuple[Column, list[dict[str, Any]], int | None]:
    """The labels and values of the rows that are shown, and after how many of them some are left out."""
    numbers, gap = _shown_rows(len(frame))
    part = frame.iloc[numbers]
    rows = [dict(zip(part.columns, values, strict=True)) for values in part.itertuples(index=False, name=None)]
    return Column("", [Cell(text_of(label)) for label in part.index], 0, right=True), rows, gap


def _given_to(rows: Sequence[Mapping[str, Any]], key: str, given: Given) -> dict[tuple[str, str], Mapping[str, str]]:
    """What the process of each of these rows was given, by connection and id."""
    ids: dict[str, list[ProcessId]] = {}
    for row in rows:
        ids.setdefault(text_of(row["connection"]), []).append(row[key])
    return {(name, one): told for name, ones in ids.items() for one, told in given(name, ones).items()}


def _note(frame: "pd.DataFrame", words: tuple[str, str], seen: datetime) -> str:
    if frame.empty and WHY_EMPTY in frame.attrs:
        return str(frame.attrs[WHY_EMPTY])
    count = f"{len(frame):,} {words[0] if len(frame) == 1 else words[1]}" if len(frame) else f"no {words[1]}"
    return f"{count}, as of {seen.astimezone():%Y-%m-%d %H:%M:%S}"


def _shown_rows(count: int) -> tuple[list[int], int | None]:
    """The numbers of the rows that pandas shows, and after how many of them some are left out."""
    import pandas as pd

    most, few = pd.get_option("display.max_rows"), pd.get_option("display.min_rows")
    if not most or count <= most:
        return list(range(count)), None
    few = min(few or most, most)
    first = (few + 1) // 2
    return [*range(first), *range(count - few // 2, count)], first


def _varied(frame: "pd.DataFrame", own: frozenset[str]) -> list[tuple[str, str]]:
    """The columns in which the rows differ, or which the user has added, and what they are called."""
    others = [name for name in frame.columns if name not in own and name not in ("stdout", "stderr")]
    labels = {name: str(name).removeprefix("param.").removeprefix("tag.") for name in others}
    told = list(labels.values())
    shown = [name for name in others if not str(name).startswith(("param.", "tag.")) or _varies(frame[name])]
    return [(name, labels[name] if told.count(labels[name]) == 1 else str(name)) for name in shown[:MOST_VARIED]]


def _varies(values: "pd.Series") -> bool:
    return len(values) == 1 or _is_several(values)


def _is_several(values: "pd.Series") -> bool:
    try:
        return bool(values.nunique(dropna=False) > 1)
    except TypeError:  # some can't be compared
        return bool(values.astype(str).nunique() > 1)


def _is_number(values: "pd.Series") -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(values)


# ---------------------------------------------------------------- cells


def text_of(value: Any) -> str:
    return "" if is_missing(value) else printable(str(value))


def cut(text: str, most: int) -> Cell:
    return Cell(text) if len(text) <= most else Cell(f"{text[: most - 1]}…", text)


def _cut_text(name: str, most: int, row: Mapping[str, Any]) -> Cell:
    return cut(text_of(row[name]), most)


def _name(given: Mapping[tuple[str, str], Mapping[str, str]], row: Mapping[str, Any]) -> Cell:
    whole = told_apart(text_of(row["name"]), given.get((text_of(row["connection"]), row.get("process_id", "")), {}))
    shown = cut_in_middle(whole, LONGEST_NAME)
    return Cell(shown, whole if shown != whole else "")


def _displays(row: Mapping[str, Any]) -> Cell:
    count = row.get("displays")
    return Cell("" if is_missing(count) or not count else f"{count:,}")


def _memory(row: Mapping[str, Any]) -> Cell:
    size = row.get("peak_memory_bytes")
    return Cell("") if is_missing(size) else Cell(size_in_words(int(size or 0)), "the most that it had in memory")


def is_missing(value: Any) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _status(row: Mapping[str, Any]) -> Cell:
    status: Status = row["status"] if row["status"] in STATUSES else "unknown"
    leftovers = 0 if is_missing(row["leftovers"]) else int(row["leftovers"])
    detail = text_of(row["status_detail"])
    reason = f" ({cut(detail, LONGEST_REASON).text})" if detail and status == "running" else ""
    return Cell(f"{ICONS[status]} {status_in_words(status, leftovers)}{reason}", detail, status)


def _progress(row: Mapping[str, Any]) -> Cell:
    progress = row.get("progress")
    if is_missing(progress) or row["status"] == "completed":
        return Cell("")
    return Cell(f"{math.floor(float(progress or 0) * 100 + 1e-9)} %")


def _time(row: Mapping[str, Any]) -> Cell:
    seconds = row["execution_time"]
    if is_missing(seconds):
        return Cell("")
    return Cell((format_counting if row["status"] == "running" else format_duration)(seconds), f"{seconds:,.3f} s")


def _ago(moment: Any, seen: datetime) -> Cell:
    if is_missing(moment):
        return Cell("")
    seconds = (seen - moment).total_seconds()
    return Cell(f"{format_roughly(seconds)} ago" if seconds >= 1 else "now", _exactly(moment))


def _expected(moment: Any, seen: datetime) -> Cell:
    if is_missing(moment):
        return Cell("")
    seconds = (moment - seen).total_seconds()
    return Cell(f"in {format_roughly(seconds)}" if seconds >= 1 else "now", _exactly(moment))


def _exactly(moment: Any) -> str:
    return f"{moment.to_pydatetime().astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _exit(row: Mapping[str, Any]) -> Cell:
    if is_missing(row["exit_code"]):
        return Cell("")
    code = int(row["exit_code"])
    signal = signal_name(code) if row["status"] in ("failed", "killed") else None
    return Cell(signal or str(code), f"exit code {code}" if signal else "")


def _last_line(row: Mapping[str, Any]) -> Cell:
    if row["status"] == "queued":  # then why it waits is all there is to say
        return cut(text_of(row["status_detail"]), LONGEST_LINE)
    streams = ("stderr", "stdout") if row["status"] == "failed" else ("stdout", "stderr")
    texts = (str(row[name]) for name in streams if not is_missing(row.get(name)))
    printed = next(filter(None, map(last_line, texts)), "")
    return cut(printed or text_of(row["status_detail"]), LONGEST_LINE)  # why it ended, where it has printed nothing


# ---------------------------------------------------------------- as HTML, as text


def wants_html() -> bool:
    """Whether pandas is told to show HTML in notebooks, as it does by default."""
    import pandas as pd

    return bool(pd.get_option("display.notebook_repr_html"))


def as_html(view: View) -> str:
    """The view as a table that needs no style sheet of its own."""
    rows = [_row([column.cells[number] for column in view.columns], view.columns) for number in range(_count(view))]
    if view.gap is not None:
        rows.insert(view.gap, f"<tr>{'<td>…</td>' * len(view.columns)}</tr>")
    head = "".join(map(_heading, view.columns))
    table = f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    note = f'<div style="opacity:.7;font-size:90%">{html.escape(view.note_with(max(0, len(view.columns) - 1)))}</div>'
    shown = f'<div class="hopx-frame">{table if view.columns else ""}{note}</div>'
    leads = any(cell.place for column in view.columns for cell in column.cells)
    # By that name a page knows which notebook it is in, whose kernel is to open the places.
    return f'<hopx-found name="{secrets.token_hex(8)}" style="display:block">{shown}</hopx-found>' if leads else shown


def _count(view: View) -> int:
    return len(view.columns[0].cells) if view.columns else 0


def _row(cells: Sequence[Cell], columns: Sequence[Column]) -> str:
    label, *others = [_html(cell) for cell in cells]
    told = "".join(f"<td{_style(column)}>{cell}</td>" for cell, column in zip(others, columns[1:], strict=True))
    return f"<tr><th>{label}</th>{told}</tr>"


def _heading(column: Column) -> str:
    return f"<th{_style(column)}>{html.escape(column.label)}</th>" if column.label else "<td></td>"


def _style(column: Column) -> str:
    return f' style="white-space:nowrap;text-align:{"right" if column.right else "left"}"'


def _html(cell: Cell) -> str:
    title = f' title="{html.escape(cell.title)}"' if cell.title else ""
    style = f' style="color:{COLOURS[cell.status]};font-weight:600"' if cell.status else ""
    start, end = cell.marked or (0, 0)
    before, hit, after = (html.escape(part) for part in (cell.text[:start], cell.text[start:end], cell.text[end:]))
    text = f"{before}<mark>{hit}</mark>{after}" if hit else before + after
    place = _data(cell.place) if cell.place else ""
    return f"<span{title}{style}{place}>{text}</span>" if title or style or place else text


def _data(place: Place) -> str:
    """The place for `live/page/foundbox.js`."""
    told = {"run": place.run_id, "stream": place.stream, "line": place.line or "", "text": place.text}
    return "".join(f' data-{name}="{html.escape(str(value))}"' for name, value in told.items())


def as_text(view: View, width: int) -> str:
    """The view for a terminal of so many columns: what there is no room for is left out."""
    from rich.cells import cell_len

    if not view.columns:
        return view.note_with(0)
    widths = [
        max(cell_len(text) for text in (each.label, *(cell.text for cell in each.cells))) for each in view.columns
    ]
    chosen = _fitting(view.columns, widths, width)
    lines = [[view.columns[number].label for number in chosen]]
    lines += [[view.columns[number].cells[row].text for number in chosen] for row in range(_count(view))]
    if view.gap is not None:
        lines.insert(view.gap + 1, ["…"] * len(chosen))
    rights = [view.columns[number].right for number in chosen]
    shown = ("  ".join(map(_padded, line, chosen.values(), rights)).rstrip() for line in lines)
    return "\n".join((*shown, view.note_with(len(chosen) - 1)))


def _fitting(columns: Sequence[Column], widths: Sequence[int], room: int) -> dict[int, int]:
    """The numbers of the columns for which there is room, and how wide each is."""
    narrowest = {"name": 20, "last line": 16, "text": 20}
    least = [min(width, narrowest.get(column.label, width)) for column, width in zip(columns, widths, strict=True)]
    chosen: list[int] = []
    for number in sorted(range(len(columns)), key=lambda number: columns[number].rank):
        if columns[number].rank == 0 or sum(least[each] + 2 for each in (*chosen, number)) - 2 <= room:
            chosen.append(number)
    left = room - sum(least[each] + 2 for each in chosen) + 2
    fitted = {number: least[number] for number in sorted(chosen)}
    for number in chosen:
        grown = min(widths[number], least[number] + max(0, left))
        left -= grown - least[number]
        fitted[number] = grown
    return fitted


def _padded(text: str, width: int, right: bool) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width:
        text = f"{set_cell_size(text, max(0, width - 1))}…"
    room = " " * (width - cell_len(text))
    return room + text if right else text + room
