"""One list of columns: the page, the rows and the DataFrame have the same."""

import re
from pathlib import Path

import pytest

import hopx_magics
from hopx_magics.display.frames import processes_frame
from hopx_magics.live.choosing import Chosen, chosen_in, meant, meant_group, unseen
from hopx_magics.live.columns import COLUMN_NAMES, TABLE_COLUMNS, TABLE_GROUPS, TABLE_SORTS
from hopx_magics.live.row import FIELDS
from hopx_magics.models import Process, ProcessId, Usage

PAGE = (Path(hopx_magics.__file__).parent / "live" / "page" / "columns.js").read_text()


def test_the_page_has_the_same_columns_and_groups() -> None:
    told = re.findall(r'\{ key: "(\w+)", label: "([^"]+)", kind: "(\w+)"', PAGE)
    assert told == [(column.name, column.label, column.kind) for column in TABLE_COLUMNS]
    (groups,) = re.findall(r"GROUPS = \[(.*)\]", PAGE)
    assert groups.split(", ") == [f'"{group}"' for group in TABLE_GROUPS]


def test_a_column_is_a_field_of_rows_and_a_column_of_the_frame() -> None:
    assert set(COLUMN_NAMES) <= set(FIELDS)
    frame = processes_frame([ON_GPU], [("local", None)])
    assert {column.frame for column in TABLE_COLUMNS if column.frame} <= set(frame.columns)
    assert "gpu_percent" not in processes_frame([], []), "nothing of GPUs where none was seen on one"


ON_GPU = Process(process_id=ProcessId("a"), usage=Usage(gpu_percent=50.0, peak_gpu_memory_bytes=1))
NAMES = {"param": ["lr", "seed", "status"], "tag": ["exp"], "metric": ["loss", "val loss", "lr"]}


def test_a_word_means_a_column_by_any_of_its_names() -> None:
    of_frame = {"started_at", "execution_time", "process_id", "cpu_percent", "memory_bytes"}
    assert {*COLUMN_NAMES, *of_frame, "gpu_percent", "gpu_memory_bytes"} == set(TABLE_SORTS)
    words = {
        "started_at": "started", "process_id": "id", "exit": "exit_code", "lr": "param.lr", "metric.lr": "metric.lr",
        "val loss": "metric.val loss", "status": "status", "param.status": "param.status", "exp": "tag.exp",
        "metric.later": "metric.later",
    }  # fmt: skip
    assert {word: meant(word, NAMES, "column") for word in words} == words
    assert [meant_group(word, NAMES) for word in ("name", "lr", "tag.exp")] == ["name", "param.lr", "tag.exp"]


def test_a_word_that_means_nothing_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"no column 'los': did you mean 'loss'.* or metric\.los where no run has it yet"
    ):
        meant("los", NAMES, "column")
    with pytest.raises(ValueError, match="no column 'zzz': use lr, seed"):
        meant("zzz", NAMES, "column")
    with pytest.raises(ValueError, match="can't be grouped by 'loss'"):
        meant_group("loss", NAMES)


def test_a_metric_that_may_still_come_is_no_slip_unless_it_looks_much_like_one() -> None:
    names = {**NAMES, "metric": ["loss"]}
    told = {
        (column, may_come): bool(unseen(column, names, may_come=may_come))
        for column in ("metric.val_loss", "metric.los", "param.sed", "metric.loss", "status", "")
        for may_come in (True, False)
    }
    assert [key for key, is_told in told.items() if is_told] == [
        *(("metric.val_loss", False), ("metric.los", True), ("metric.los", False)),
        *(("param.sed", True), ("param.sed", False)),
    ]


def test_what_a_page_has_chosen_is_taken_over_as_far_as_it_can_be_used() -> None:
    view = {"only": ["status", 7, "nonsense", "param.lr"], "columns": {"metric.loss": True, "x": True, "id": 1}}
    assert chosen_in(view) == Chosen(["status", "param.lr"], {"metric.loss": True, "id": False})
    assert chosen_in({"only": "all", "columns": []}) == Chosen()
