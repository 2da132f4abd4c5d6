"""What is shown of lines that were found in outputs, and that nothing of them acts."""

import html
import re
from collections.abc import Collection
from typing import Any

import pandas as pd

from hopx_magics.display.found_view import LONGEST_TEXT, view_of
from hopx_magics.display.frame_view import View, as_html, as_text
from hopx_magics.display.history_frame import lines_frame
from hopx_magics.models import ProcessId, RunId
from hopx_magics.run_history.searching import Found, Searched
from hopx_magics.words import Status

HOSTILE = "</pre><script>alert(1)</script> \x1b[31m\u202e evil <b>loss</b> " + "z" * 3000


def found(run: str, text: str, number: int | None = 7, status: Status = "completed") -> Found:
    return Found(Searched(0, RunId(run), "fit", status, "agent", ProcessId("p")), "stdout", number, text)


def frame_of(*lines: Found, pattern: str = "loss", flags: int = 0) -> pd.DataFrame:
    return lines_frame(lines, re.compile(pattern, flags))


def given(run_ids: Collection[str]) -> dict[str, dict[str, str]]:
    return {run_id: {"lr": f"0.{number}"} for number, run_id in enumerate(sorted(run_ids), 1)}


def view(frame: pd.DataFrame) -> View:
    shown = view_of(frame, given)
    assert shown is not None
    return shown


def column(frame: pd.DataFrame, label: str) -> list[Any]:
    (wanted,) = [each for each in view(frame).columns if each.label == label]
    return wanted.cells


def test_a_line_is_told_with_its_run_and_what_was_found_is_marked() -> None:
    frame = frame_of(found("a", "epoch 3 Loss: 0.5"), found("b", "no loss"), pattern="LOSS", flags=re.IGNORECASE)
    assert [cell.text for cell in column(frame, "name")] == ["fit  lr=0.1", "fit  lr=0.2"]
    assert [cell.text for cell in column(frame, "text")] == ["epoch 3 Loss: 0.5", "no loss"]
    shown = as_html(view(frame))
    assert "epoch 3 <mark>Loss</mark>: 0.5" in shown
    assert 'data-run="a" data-stream="stdout" data-line="7" data-text="Loss">7</span>' in shown
    assert re.search(r'^<hopx-found name="[0-9a-f]{16}" ', shown)
    assert shown.count("<td style") == 2 * 6
    lines = as_text(view(frame), 80).splitlines()
    assert lines[1].split() == [
        "0",
        "✓",
        "completed",
        "fit",
        "lr=0.1",
        "stdout",
        "7",
        "epoch",
        "3",
        "Loss:",
        "0.5",
        "a",
    ]
    assert lines[-1] == "2 lines in 2 runs"


def test_what_is_filtered_has_it_and_what_is_empty_says_why() -> None:
    frame = frame_of(*(found("a" if number < 50 else "b", f"loss {number}", number) for number in range(1, 101)))
    assert len(column(frame, "line")) == 10
    assert view(frame).note == "100 lines in 2 runs"
    assert as_text(view(frame[frame.run_id == "a"].head(1)), 80).endswith("1 line in 1 run")
    assert as_text(view(frame[frame.run_id == "c"]), 80) == "no lines"
    assert view_of(frame[["name", "text"]]) is None
    assert view_of(frame.groupby("run_id").size().to_frame()) is None
    assert view_of(pd.DataFrame(dict(frame.items()))) is None


def test_lines_of_others_are_bounded_and_do_nothing() -> None:
    frame = frame_of(found("a", HOSTILE), found('"><img src=x onerror=alert(1)>', "y" * 2000 + "loss", None))
    shown = as_html(view(frame))
    assert not re.search("<script|<img|<b>", shown)
    assert not re.search("\x1b|\u202e", shown + as_text(view(frame), 200))
    assert "&lt;b&gt;<mark>loss</mark>&lt;/b&gt;" in shown
    assert max(len(cell.text) for cell in column(frame, "text")) == LONGEST_TEXT + 2
    assert "y<mark>loss</mark></span>" in shown
    assert [cell.text for cell in column(frame, "line")] == ["7", "…"]
    assert f'data-run="{html.escape(str(frame.run_id[1]))}"' in shown


def test_what_was_found_may_be_nothing() -> None:
    frame = frame_of(found("a", "x" * 500), pattern="^")
    assert "<mark>" not in as_html(view(frame))
    assert column(frame, "line")[0].place.text == "x" * 200
    frame.loc[0, "text"] = None
    assert column(frame, "line")[0].place is None
    assert "<hopx-found" not in as_html(view(frame))
