"""The rows of a live table: what a page is told, field by field."""

import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hopx_magics.live.row import FIELDS
from hopx_magics.live.rows import Rows
from hopx_magics.models import Listing, Process, ProcessId

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def process(number: int, **fields: Any) -> Process:
    started = NOW - timedelta(seconds=100 - number)
    given = {"status": "running", "started_at": started, "execution_time": 100.0 - number, **fields}
    return Process(process_id=ProcessId(f"proc_{number}"), **given)


def listing(*processes: Process, later: float = 0.0) -> Listing:
    return Listing(told=processes, agent="agent", received_at=NOW + timedelta(seconds=later))


def unpacked(rows: Rows) -> dict[int, dict[str, Any]]:
    columns = json.loads(zlib.decompress(rows.packed()))
    return {slot: {field: columns[field][place] for field in FIELDS} for place, slot in enumerate(columns.pop("slot"))}


def test_a_page_that_is_told_the_changes_knows_what_a_new_page_is_told() -> None:
    rows = Rows(lambda process: True)
    rows.update("a", listing(process(1), process(2)))
    page = unpacked(rows)
    assert rows.take_changes() == ({}, [])
    ended = process(2, status="failed", exit_code=1, execution_time=7.5, stderr="Traceback\nValueError: no\n")
    rows.update("a", listing(process(1, execution_time=104), ended, process(3), later=5))
    changes = rows.take_changes()
    assert changes.rows[1] == {
        "status": "failed", "began": None, "elapsed": 7.5, "exit_code": 1, "last": "ValueError: no",
    }  # fmt: skip
    assert 0 not in changes.rows, "that time goes by is no change"
    for slot, changed in changes.rows.items():
        page.setdefault(slot, {}).update(changed)
    assert page == unpacked(rows)


def test_what_is_gone_is_told_and_comes_back_whole() -> None:
    rows = Rows(lambda process: process.status == "running")
    rows.update("a", listing(process(1), process(2)))
    rows.update("b", listing(process(1)))
    rows.packed()
    rows.update("a", listing(process(1, status="completed"), process(2)), [process(1, status="completed")], ["proc_2"])
    assert rows.take_changes() == ({}, [0, 1])
    rows.update("a", listing(process(1)))
    ((slot, fields),) = rows.take_changes().rows.items()
    assert slot == 0
    assert set(fields) == set(FIELDS)
    assert [row.connection for _, row in rows] == ["b", "a"]


def test_progress_is_of_the_stream_that_grew_last_and_never_whole_for_a_failure() -> None:
    rows = Rows(lambda process: True)
    texts = {"stdout": "step 3/10\n", "stderr": " 90%|#########", "stdout_bytes": 10, "stderr_bytes": 10}
    rows.update("a", listing(process(1, **texts)))
    texts |= {"stdout": "step 3/10\nstep 4/10\n", "stdout_bytes": 20}
    rows.update("a", listing(process(1, **texts)))
    ((_, row),) = rows
    assert row.progress == 0.4
    assert row.last == "step 4/10"
    rows.update("a", listing(process(1, **texts | {"stdout": "", "stderr": "100%|##########", "status": "failed"})))
    ((_, row),) = rows
    assert row.progress == 0.99
    assert row.left is None


def test_what_has_completed_is_not_at_eighty_percent() -> None:
    rows = Rows(lambda process: True)
    rows.update("a", listing(process(1, stderr=" 80%|########  | 8/10", status="completed")))
    ((_, row),) = rows
    assert row.progress == 1


def test_nothing_but_the_whole_is_told_as_the_whole() -> None:
    rows = Rows(lambda process: True)
    rows.update("a", listing(process(1, stdout="step 9999/10000")))
    ((_, row),) = rows
    assert row.progress == 0.999
    rows.update("a", listing(process(1, stdout="step 10000/10000")))
    ((_, row),) = rows
    assert (row.progress, row.left) == (1.0, None)


def test_the_epoch_is_remembered_when_its_name_is_far_above() -> None:
    rows = Rows(lambda process: True)
    rows.update("a", listing(process(1, stdout="Epoch 2/4\n", stdout_bytes=10)))
    rows.update("a", listing(process(1, stdout="\r50/100 ━━━━ 12s", stdout_bytes=9000)))
    ((_, row),) = rows
    assert row.progress == 0.375
    rows.update("a", listing(process(1, stdout="\r50/100 ━━━━ 12s", stdout_bytes=9000, status="failed")))
    ((_, row),) = rows
    assert row.progress == 0.375


def test_progress_stays_while_a_running_process_tells_nothing_of_it() -> None:
    rows = Rows(lambda process: True)
    rows.update("a", listing(process(1, stdout="step 3/10\n", stdout_bytes=10)))
    rows.update("a", listing(process(1, stdout="a long traceback\n", stdout_bytes=30)))
    ((_, row),) = rows
    assert (row.progress, row.last) == (0.3, "a long traceback")
    rows.update("a", listing(process(1, stdout="over\n", stdout_bytes=40, status="failed")))
    ((_, row),) = rows
    assert row.progress is None


def test_the_time_left_is_estimated_from_the_rate() -> None:
    rows = Rows(lambda process: True)
    for seconds, step in ((0, 1), (10, 2), (20, 3)):
        running = process(0, execution_time=100.0 + seconds, stdout=f"step {step}/10", stdout_bytes=step)
        rows.update("a", listing(running, later=seconds))
    ((_, row),) = rows
    assert row.left == 70


@pytest.mark.parametrize("told", ["step 1/10", " 10%|#    | 1/10 [00:00<00:05]"])
def test_nothing_is_estimated_in_the_first_seconds(told: str) -> None:
    rows = Rows(lambda process: True)
    rows.update("a", listing(process(0, execution_time=0.3, stdout=told, stdout_bytes=9)))
    ((_, row),) = rows
    assert (row.progress, row.left) == (0.1, None)
    rows.update("a", listing(process(0, execution_time=3.3, stdout=told, stdout_bytes=9), later=3))
    ((_, row),) = rows
    assert row.left is not None


def names(rows: Rows) -> list[str]:
    return sorted(row["id"].removeprefix("proc_") for row in unpacked(rows).values())


def test_within_a_limit_what_runs_then_what_waits_then_what_has_ended_last() -> None:
    rows = Rows(lambda process: True, limit=2)
    never_started = [process(n, status="killed", started_at=None, completed_at=NOW - timedelta(1)) for n in (7, 8, 9)]
    ended = [process(n, status="completed") for n in (1, 2, 3)]
    rows.update("a", listing(*ended, *never_started))
    assert names(rows) == ["2", "3"]
    rows.update("a", listing(*ended, process(4), *never_started), [process(4)])
    assert names(rows) == ["3", "4"]
    rows.update("b", listing(process(5, status="queued", started_at=None)))
    assert names(rows) == ["4", "5"]
    failed = process(4, status="failed")
    rows.update("a", listing(*ended, failed), [failed], ["proc_7", "proc_8", "proc_9"])
    rows.update("b", listing(), [], ["proc_5"])
    assert names(rows) == ["3", "4"]


def test_a_limit_that_leaves_something_out_goes_on_telling_of_the_rest() -> None:
    rows = Rows(lambda process: True, limit=1)
    rows.update("a", listing(process(1), process(2)))
    rows.packed()
    printed = [process(number, stdout="a line", stdout_bytes=6) for number in (1, 2)]
    rows.update("a", listing(*printed), printed)
    ((_, told),) = rows.take_changes().rows.items()
    assert told == {"last": "a line"}
    assert names(rows) == ["2"]


def test_the_places_in_the_queue_where_only_some_of_it_is_shown() -> None:
    queue = [process(n, status="queued", started_at=None, name="mine" if n in (2, 5) else "other") for n in range(6)]
    rows = Rows(lambda process: process.name == "mine")
    rows.update("a", listing(*queue))
    told = {row["id"]: row["skipped"] for row in unpacked(rows).values()}
    assert told == {"proc_2": 2, "proc_5": 2}
    assert [rows.place(slot) for slot, _ in rows] == [3, 6]
    running = process(0, name="other")
    rows.update("a", listing(running, *queue[1:]), [running])
    assert rows.take_changes() == ({0: {"skipped": 1}}, []), "one row for one turn"
    assert [rows.place(slot) for slot, _ in rows] == [2, 5]
    rows.update("a", listing(running, *queue[1:5], msgspec.structs.replace(queue[5], first=True)))
    assert [rows.place(slot) for slot, _ in rows] == [3, 1], "what is first is ahead"
    paused = msgspec.structs.replace(queue[2], paused=True)
    rows.update("a", listing(running, queue[1], paused, *queue[3:]))
    assert [rows.place(slot) for slot, _ in rows] == [None, 4], "what is paused lets others by"


def test_names_and_details_are_one_printable_line() -> None:
    rows = Rows(lambda process: True)
    rows.update("a", listing(process(1, name="a\x1b[31m\nb\u202e", status_detail="x\ty")))
    ((_, row),) = rows
    assert row.name == "a [31m b"
    assert row.detail == "x y"
