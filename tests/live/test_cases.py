"""What the page does as well: tests/page/cases.test.js holds it to the same cases."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hopx_magics
from hopx_magics.display.in_words import (
    ICONS,
    counts_in_words,
    nothing_in_words,
    queued_in_words,
    state_in_words,
)
from hopx_magics.display.line import as_html
from hopx_magics.durations import format_counting, format_duration, format_roughly
from hopx_magics.live.messages import packed_changes
from hopx_magics.live.order import shown
from hopx_magics.live.row import Row
from hopx_magics.live.text import elapsed_in_words, progress_in_words
from hopx_magics.models import Process, ProcessId
from hopx_magics.words import STATUSES, size_in_words

NOW = 1_000_000.0
NOTHING: dict[str, Any] = dict.fromkeys(Row.__struct_fields__) | {
    "id": "proc_1",
    "connection": "local",
    "last": "",
    "params": {},
    "tags": {},
    "metrics": {},
}


def cases(name: str) -> Any:
    return json.loads((Path(__file__).parent.parent / "cases" / f"{name}.json").read_text())


def row_of(**fields: Any) -> Row:
    return Row(**NOTHING | fields)


@pytest.mark.parametrize("case", cases("boxes"), ids=lambda case: case["line"])
def test_boxes(case: dict[str, str]) -> None:
    assert as_html(case["line"], case["head"], case["below"]) == case["html"]


@pytest.mark.parametrize("case", cases("durations"), ids=lambda case: case["seconds"])
def test_durations(case: dict[str, Any]) -> None:
    written = [form(case["seconds"]) for form in (format_duration, format_counting, format_roughly)]
    assert written == [case["over"], case["counting"], case["roughly"]]


@pytest.mark.parametrize("case", cases("sizes"), ids=lambda case: case["words"])
def test_sizes(case: dict[str, Any]) -> None:
    assert size_in_words(case["size"]) == case["words"]


@pytest.mark.parametrize("case", cases("counts"), ids=lambda case: case["words"])
def test_counts(case: dict[str, Any]) -> None:
    assert counts_in_words(Counter(case["counts"]).elements()) == case["words"]


@pytest.mark.parametrize("case", cases("nothing"), ids=lambda case: case["words"])
def test_why_there_is_nothing(case: dict[str, Any]) -> None:
    assert nothing_in_words(case["asked"], case["listed"], case["filters"]) == case["words"]


@pytest.mark.parametrize("case", cases("queued"), ids=lambda case: case["words"])
def test_why_something_is_queued(case: dict[str, Any]) -> None:
    assert queued_in_words(case["place"], case["reason"]) == case["words"]


@pytest.mark.parametrize("case", cases("states"), ids=lambda case: case["state"])
def test_states_in_words(case: dict[str, Any]) -> None:
    fields = {field: case[field] for field in ("status", "exit_code", "detail", "progress", "left", "leftovers")}
    seconds, paused = case["seconds"], case.get("paused", False)
    runs = case["status"] == "running" and not paused
    row = row_of(
        **fields,
        usual=case.get("usual", ""),
        paused=paused,
        began=NOW - seconds if runs and seconds is not None else None,
        elapsed=None if runs else seconds,
    )
    process = Process(
        process_id=ProcessId("proc_1"),
        status=row.status,
        status_detail=row.detail,
        exit_code=row.exit_code,
        leftovers=tuple(range(1, row.leftovers + 1)),
        execution_time=seconds,
        paused=paused,
    )
    assert state_in_words(process) == case["state"]
    assert (elapsed_in_words(row, NOW), progress_in_words(row)) == (case["elapsed_in_words"], case["progress_in_words"])


def test_the_signs_of_the_statuses() -> None:
    page = (Path(hopx_magics.__file__).parent / "live" / "page" / "format.js").read_text()
    (signs,) = re.findall(r"ICONS = \{(.*)\}", page)
    assert re.findall(r'(\w+): "(.)"', signs) == list(ICONS.items())
    (statuses,) = re.findall(r"STATUSES = \[(.*)\]", page)
    assert re.findall(r"\w+", statuses) == list(STATUSES)


def metrics_of(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.get("metrics", {}).items()}


@pytest.mark.parametrize("case", cases("order")["views"], ids=lambda case: json.dumps(case["view"]))
def test_order(case: dict[str, Any]) -> None:
    given = cases("order")
    rows = [row_of(**row | {"metrics": metrics_of(row)}) for row in given["rows"]]
    assert [rows[slot].id for slot in shown(enumerate(rows), case["view"], given["now"])] == case["ids"]


def test_what_is_told_of_rows_that_are_told_alike() -> None:
    given = cases("changes")
    assert json.loads(packed_changes({int(slot): fields for slot, fields in given["told"].items()})) == given["packed"]
