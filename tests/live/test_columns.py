"""One list of columns: the page, the rows and the DataFrame have the same."""

import re
from pathlib import Path

import hopx_magics
from hopx_magics.display.frames import processes_frame
from hopx_magics.live.columns import COLUMN_NAMES, TABLE_COLUMNS, TABLE_GROUPS, TABLE_SORTS, own_sort
from hopx_magics.live.row import FIELDS

PAGE = (Path(hopx_magics.__file__).parent / "live" / "page" / "columns.js").read_text()


def test_the_page_has_the_same_columns_and_groups() -> None:
    told = re.findall(r'\{ key: "(\w+)", label: "([^"]+)", kind: "(\w+)"', PAGE)
    assert told == [(column.name, column.label, column.kind) for column in TABLE_COLUMNS]
    (groups,) = re.findall(r"GROUPS = \[(.*)\]", PAGE)
    assert groups.split(", ") == [f'"{group}"' for group in TABLE_GROUPS]


def test_a_column_is_a_field_of_rows_and_a_column_of_the_frame() -> None:
    assert set(COLUMN_NAMES) <= set(FIELDS)
    assert {column.frame for column in TABLE_COLUMNS if column.frame} <= {*processes_frame([], []).columns, "progress"}


def test_it_can_be_sorted_by_both_names() -> None:
    assert {*COLUMN_NAMES, "started_at", "execution_time", "process_id"} == set(TABLE_SORTS)
    assert [own_sort(sort) for sort in ("-started_at", "process_id", "-name")] == ["-started", "id", "-name"]
