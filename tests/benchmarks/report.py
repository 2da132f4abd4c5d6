"""What was measured: rows, as a Markdown table and as lines of JSON, and two runs side by side."""

from collections.abc import Iterable
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was measured.

    `value` and `other` are in `unit`; `other` is that of what it is measured `beside`. `result` says how they compare,
    `goal` what it should be at most, `note` what else there is to know.
    """

    part: str = ""
    what: str
    value: float | None = None
    unit: str = "ms"
    beside: str = ""
    other: float | None = None
    result: str = ""
    goal: str = ""
    note: str = ""


def took(what: str, seconds: float, goal: str = "", note: str = "") -> Row:
    """A time that is compared with nothing."""
    return Row(what=what, value=1000 * seconds, goal=goal, note=note)


def ratio(what: str, ours: float, beside: str, theirs: float, goal: str = "", note: str = "") -> Row:
    """Two times in seconds, by the ratio of ours to theirs."""
    return Row(
        what=what,
        value=1000 * ours,
        beside=beside,
        other=1000 * theirs,
        result=f"{ours / theirs:.2f} times",
        goal=goal,
        note=note,
    )


def surplus(what: str, ours: float, beside: str, theirs: float, goal: str = "", note: str = "") -> Row:
    """Two times in seconds, by what ours takes more than theirs."""
    return Row(
        what=what,
        value=1000 * ours,
        beside=beside,
        other=1000 * theirs,
        result=f"{1000 * (ours - theirs):+.1f} ms",
        goal=goal,
        note=note,
    )


HEAD = "| part | what | ours | beside | result | goal | note |\n|---|---|---|---|---|---|---|"


def line(row: Row) -> str:
    """The row as a line of the table."""
    beside = f"{row.beside} {_number(row.other, row.unit)}" if row.beside else ""
    cells = (row.part, row.what, _number(row.value, row.unit), beside, row.result, row.goal, row.note)
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def read(file: Path) -> list[Row]:
    """The rows of a run, as `--json` wrote them."""
    return [msgspec.json.decode(text, type=Row) for text in file.read_bytes().splitlines()]


def compared(before: Iterable[Row], after: Iterable[Row]) -> Iterable[str]:
    """The lines of one table of two runs. Where something was measured twice in a run, its last one counts."""
    old, new = ({(row.part, row.what): row for row in rows} for rows in (before, after))
    yield "| part | what | before | after | after / before | result before | result after | goal |"
    yield "|---|---|---|---|---|---|---|---|"
    for key in old | new:
        yield _side_by_side(old.get(key), new.get(key))


def _side_by_side(before: Row | None, after: Row | None) -> str:
    either = after or before
    assert either is not None
    values = [None if row is None else row.value for row in (before, after)]
    both = f"{values[1] / values[0]:.2f}" if values[0] and values[1] is not None else ""
    results = [row.result if row else "" for row in (before, after)]
    cells = (either.part, either.what, *(_number(value, either.unit) for value in values), both, *results, either.goal)
    return f"| {' | '.join(cells)} |"
