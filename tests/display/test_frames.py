"""The DataFrame: columns, dtypes, order, groups, and what hostile texts become."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from hopx_magics.display import frames
from hopx_magics.models import Killed, Process, ProcessId
from hopx_magics.words import OFFERED_COLUMNS, STATUSES, Status

NOW = datetime.now(UTC).replace(microsecond=123456)


def frame_of(*processes: Process) -> pd.DataFrame:
    return frames.processes_frame(processes, [("local", None)] * len(processes))


def process(process_id: str = "p", **fields: object) -> Process:
    return Process(process_id=ProcessId(process_id), **fields)  # type: ignore[arg-type]


DTYPES = {
    "process_id": "str",
    "execution_id": "str",
    "name": "str",
    "language": "str",
    "started_at": "datetime64[us, UTC]",
    "completed_at": "datetime64[us, UTC]",
    "stdout": "str",
    "stderr": "str",
    "exit_code": "Int64",
    "execution_time": "float64",
    "progress": "float64",
    "pid": "Int64",
    "leftovers": "Int64",
    "connection": "str",
}

FULL = process(
    execution_id="e",
    name="n",
    status="completed",
    language="python",
    started_at=NOW,
    completed_at=NOW,
    stdout="step 10/10",
    stderr="err",
    exit_code=0,
    execution_time=1.5,
    pid=7,
)


COLUMNS = (
    *("process_id", "execution_id", "name", "status", "status_detail", "language", "started_at", "completed_at"),
    *("stdout", "stderr"),
    *("exit_code", "execution_time", "progress", "pid", "leftovers"),
    *("cpu_percent", "memory_bytes", "peak_memory_bytes", "cpu_seconds", "connection", "sandbox"),
)


@pytest.mark.parametrize(
    "rows", [(), (FULL,), (process(),), (FULL, process("q"))], ids=["empty", "full", "bare", "both"]
)
def test_columns_and_dtypes_are_always_the_same(rows: tuple[Process, ...]) -> None:
    frame = frame_of(*rows)
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == len(rows)
    assert {name: str(frame[name].dtype) for name in DTYPES} == DTYPES
    assert frame["status"].dtype == pd.CategoricalDtype(list(STATUSES), ordered=True)


@pytest.mark.parametrize(
    ("status", "progress"), [("running", 0.8), ("completed", 1.0), ("failed", 0.8), ("killed", 0.8), ("unknown", 0.8)]
)
def test_what_has_completed_is_not_at_eighty_percent(status: Status, progress: float) -> None:
    (row,) = frame_of(process(status=status, stderr=" 80%|########  | 8/10")).to_dict("records")
    assert row["progress"] == progress


def test_what_tab_offers_are_columns() -> None:
    assert set(OFFERED_COLUMNS) <= set(COLUMNS)


def test_values() -> None:
    (row,) = frame_of(FULL).to_dict("records")
    assert row["started_at"] == pd.Timestamp(NOW)
    assert (row["exit_code"], row["pid"], row["execution_time"], row["stdout"]) == (0, 7, 1.5, "step 10/10")
    assert row["progress"] == 1
    (bare,) = frame_of(process()).to_dict("records")
    assert all(pd.isna(bare[name]) for name in ("name", "started_at", "exit_code", "execution_time", "stdout", "pid"))
    assert pd.isna(bare["progress"])


def test_progress_is_whole_only_of_what_may_have_got_there() -> None:
    statuses = ("running", "completed", "failed", "killed", "unknown")
    frame = frame_of(
        *(process(status, status=status, stderr="100%|####| 4/4 [00:01<00:00]") for status in statuses),
        process("early", status="failed", stdout="step 1/4"),
        process("silent", status="completed", stdout="done", stderr=""),
    )
    progress = frame.set_index("process_id")["progress"].to_dict()
    assert {name: progress[name] for name in statuses} == dict(zip(statuses, (1, 1, 0.99, 0.99, 1), strict=True))
    assert progress["early"] == 0.25
    assert pd.isna(progress["silent"])
    assert frame_of(process(stdout="no", stderr="37%"))["progress"][0] == 0.37
    assert frame_of(process(stdout="37%"))["progress"][0] == 0.37


def test_times_with_different_offsets_are_in_utc() -> None:
    moment = datetime(2025, 1, 1, 10, tzinfo=timezone(timedelta(hours=2)))
    frame = frame_of(process(started_at=moment), process("q", started_at=NOW), process("r"))
    assert frame["started_at"][0] == pd.Timestamp("2025-01-01T08:00:00Z")


def test_an_output_that_was_cut_says_so() -> None:
    frame = frame_of(process(stdout="end", stdout_bytes=1003), process("q", stdout="é", stdout_bytes=2))
    assert frame["stdout"][0] == "[1,000 bytes before this are left out: --output full has them]\nend"
    assert frame["stdout"][1] == "é"


def test_control_characters_act_on_no_terminal() -> None:
    frame = frame_of(process(name="\x1b]0;evil\x07", stdout="\x1b[31mred\x1b[0m\r\nnext\ttab \x9b5m"))
    assert frame["name"][0] == "␛]0;evil␇"
    assert frame["stdout"][0] == "␛[31mred␛[0m\r\nnext\ttab \ufffd5m"
    assert "\x1b" not in repr(frame)


def test_html_is_escaped() -> None:
    page = frame_of(process(name="<img src=x onerror=alert(1)>"))._repr_html_()
    assert "<img" not in page
    assert "&lt;img" in page


def test_each_process_is_where_it_is() -> None:
    rows = [process("a"), process("b"), process("c")]
    frame = frames.processes_frame(rows, [("gpu", "176"), ("local", None), ("evil\x1b", "177")])
    assert list(frame["connection"]) == ["gpu", "local", "evil␛"]
    assert list(frame["sandbox"].fillna("none")) == ["176", "none", "177"]
    frame = frames.processes_frame(rows, [("gpu\x1b", "176")] * 3)
    assert list(frame["connection"]) == ["gpu␛"] * 3
    assert list(frame["sandbox"]) == ["176"] * 3


def test_what_runs_then_what_waits_in_its_order_then_what_has_ended() -> None:
    rows = [
        process("old", status="failed", started_at=NOW - timedelta(hours=1)),
        process("new", status="completed", started_at=NOW),
        process("queued", status="queued"),
        process("nobody knows"),
        process("as new", status="killed", started_at=NOW.astimezone(timezone(timedelta(hours=2)))),
        process("runs for long", status="running", started_at=NOW - timedelta(hours=2)),
        process("never started", status="killed", completed_at=NOW - timedelta(minutes=1)),
        process("queued, too", status="queued"),
        process("runs", status="running", started_at=NOW - timedelta(hours=1)),
    ]
    assert [rows[number].process_id for number in frames.in_default_order(rows)] == [
        *("runs", "runs for long", "queued", "queued, too", "new", "as new", "never started", "old", "nobody knows"),
    ]
    assert frames.in_default_order([]) == []


def test_sorting_by_a_column() -> None:
    frame = frame_of(process("a", execution_time=2.0), process("b", execution_time=9.0), process("c"))
    assert list(frames.sorted_frame(frame, "execution_time")["process_id"]) == ["a", "b", "c"]
    assert list(frames.sorted_frame(frame, "-execution_time")["process_id"]) == ["b", "a", "c"]
    with pytest.raises(ValueError, match="there is no column 'age': use process_id, "):
        frames.sorted_frame(frame, "age")


def test_groups() -> None:
    grouped = frames.grouped_frame(
        frame_of(
            process("a", status="completed", execution_time=1.0, started_at=NOW),
            process("b", status="completed", execution_time=3.0, started_at=NOW - timedelta(1)),
            process("c", status="running", execution_time=5.0, started_at=NOW),
        ),
        "status",
    )
    assert list(grouped.index) == ["running", "completed"]
    row = grouped.loc["completed"]
    assert (row["count"], row["execution_time_sum"], row["execution_time_mean"], row["execution_time_max"]) == (
        2,
        4,
        2,
        3,
    )
    assert row["last_started_at"] == pd.Timestamp(NOW)
    assert list(frames.grouped_frame(frame_of(), "status").columns) == list(grouped.columns)
    with pytest.raises(ValueError, match="no column"):
        frames.grouped_frame(frame_of(), "age")


def test_frame_of_kill_results() -> None:
    killed = Killed(process_id=ProcessId("p"), name=None, result="killed", status="killed")
    frame = frames.killed_frame([("local", killed)])
    assert frame.to_dict("records")[0]["result"] == "killed"
    assert list(frame.columns) == list(frames.killed_frame([]).columns)
