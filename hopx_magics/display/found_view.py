"""What a notebook shows of the lines that were found in outputs: each with its run, and what was found marked."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..words import STATUSES, Status
from .frame_view import LONGEST_NAME, Cell, Column, Place, View, cut, is_missing, shown, text_of
from .frames import FOUND_BY, WHY_EMPTY
from .in_words import ICONS, status_in_words
from .run_name import cut_in_middle, told_apart

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = frozenset(("run_id", "name", "status", "stream", "line", "text"))

LONGEST_TEXT = 100
BEFORE_FOUND = 30
"""Characters of a line that are shown, and of them those before what was found; on hover there are all."""

LONGEST_SOUGHT = 200
"""Characters of what was found by which a page finds it again."""

SHORT_ID = 13

Given = Callable[[Collection[str]], Mapping[str, Mapping[str, str]]]
"""Tells what runs were given, by their ids."""


def view_of(frame: "pd.DataFrame", given: Given = lambda run_ids: {}) -> View | None:
    """What is shown of a DataFrame of lines that were found; None for any other.

    What the runs were given is asked of `given`, for those that are shown.
    """
    if FOUND_BY not in frame.attrs or not frame.columns.is_unique or not set(frame.columns) >= COLUMNS:
        return None
    if frame.empty:
        return View([], None, frame.attrs.get(WHY_EMPTY, "no lines"))
    text, ignores_case = frame.attrs[FOUND_BY]
    pattern = re.compile(text, re.IGNORECASE if ignores_case else 0)
    labels, rows, gap = shown(frame)
    told = given({str(row["run_id"]) for row in rows})
    found = [_found(pattern, row) for row in rows]
    columns = [
        labels,
        Column("status", [_status(row) for row in rows], 0),
        Column("name", [_name(row, told) for row in rows], 0),
        Column("stream", [Cell(text_of(row["stream"])) for row in rows], 2),
        Column("line", [_number(*each) for each in zip(rows, found, strict=True)], 0, right=True),
        Column("text", [_line(*each) for each in found], 0),
        Column("run", [cut(text_of(row["run_id"]), SHORT_ID) for row in rows], 9),
    ]
    return View(columns, gap, _note(frame))


def _note(frame: "pd.DataFrame") -> str:
    lines, runs = len(frame), frame["run_id"].nunique()
    return f"{lines:,} line{'s' * (lines != 1)} in {runs:,} run{'s' * (runs != 1)}"


class Found(NamedTuple):
    """A line, and where in it is what was found."""

    text: str
    start: int
    end: int


def _found(pattern: re.Pattern[str], row: Mapping[str, Any]) -> Found:
    text = "" if is_missing(row["text"]) else str(row["text"])
    match = pattern.search(text)
    return Found(text, *(match.span() if match else (0, 0)))


def _status(row: Mapping[str, Any]) -> Cell:
    status: Status = row["status"] if row["status"] in STATUSES else "unknown"
    return Cell(f"{ICONS[status]} {status_in_words(status, 0)}", status=status)


def _name(row: Mapping[str, Any], given: Mapping[str, Mapping[str, str]]) -> Cell:
    whole = told_apart(text_of(row["name"]), given.get(str(row["run_id"]), {}))
    name = cut_in_middle(whole, LONGEST_NAME)
    return Cell(name, whole if name != whole else "")


def _number(row: Mapping[str, Any], found: Found) -> Cell:
    line = None if is_missing(row["line"]) else int(row["line"])
    sought = (found.text[found.start : found.end] or found.text)[:LONGEST_SOUGHT]
    place = Place(str(row["run_id"]), str(row["stream"]), line, sought) if sought else None
    if line is None:
        return Cell("…", "behind a part that is not kept", place=place)
    return Cell(str(line), place=place)


def _line(text: str, start: int, end: int) -> Cell:
    """The part around what was found, with a space for each character that would act or hide."""
    text = "".join(char if char.isprintable() else " " for char in text)
    begin = 0 if len(text) <= LONGEST_TEXT else max(0, min(start - BEFORE_FOUND, len(text) - LONGEST_TEXT))
    part = text[begin : begin + LONGEST_TEXT]
    before, after = "…" if begin else "", "…" if begin + LONGEST_TEXT < len(text) else ""
    shift = len(before) - begin
    marked = (start + shift, min(end + shift, len(before) + len(part))) if end > start else None
    return Cell(f"{before}{part}{after}", text if before or after else "", marked=marked)
