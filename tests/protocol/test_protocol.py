"""Replies of every dialect, and of none, as bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopx_magics.errors import BadReply, NotSupported
from hopx_magics.models import Launch, Listing, Process, ProcessId, RunId
from hopx_magics.protocol.listing import decode_listing
from hopx_magics.protocol.replies import check_kill_reply, decode_error, decode_launched
from hopx_magics.protocol.requests import UNLIMITED, launch_body, marked_name
from hopx_magics.words import STATUSES

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

SEED_PAGE = b"""
{
  "processes": [
    {"process_id": "proc_abc123", "execution_id": "exec_xyz789", "name": "data-processing", "status": "running",
     "language": "python", "started_at": "2025-01-28T00:00:00Z", "completed_at": null,
     "stdout": "Processing step 1/10\\nProcessing step 2/10\\n", "stderr": "", "exit_code": null,
     "execution_time": 15.5},
    {"process_id": "proc_def456", "execution_id": "exec_uvw012", "name": "model-training", "status": "completed",
     "language": "python", "started_at": "2025-01-27T23:00:00Z", "completed_at": "2025-01-27T23:30:00Z",
     "stdout": "Training complete! Accuracy: 0.95\\n", "stderr": "", "exit_code": 0, "execution_time": 1800.3}
  ],
  "count": 2
}
"""


def decoded(body: bytes | str | Any) -> Listing:
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    return decode_listing(body, agent="agent 'x'", received_at=NOW)


def only(row: Any) -> Process:
    (process,) = decoded({"processes": [row]}).processes
    return process


DIGITS = "9" * 5000


def test_the_seed_pages_example() -> None:
    running, completed = decoded(SEED_PAGE).processes
    assert running == Process(
        process_id=running.process_id,
        execution_id="exec_xyz789",
        name="data-processing",
        status="running",
        language="python",
        started_at=datetime(2025, 1, 28, tzinfo=UTC),
        stdout="Processing step 1/10\nProcessing step 2/10\n",
        stderr="",
        execution_time=15.5,
    )
    assert (completed.exit_code, completed.execution_time, completed.ended) == (0, 1800.3, True)


def test_openapi_dialect_and_a_mixture_of_both() -> None:
    process = only(
        {
            "process_id": "bg_1764207249251575793",
            "status": "killed",
            "start_time": "2025-11-27T01:34:09.251575793Z",
            "end_time": "2025-11-27T02:34:10+01:00",
            "started_at": "",
            "duration": 0.7,
            "exit_code": 137,
            "pid": 4711,
            "cpu_percent": 3,
        }
    )
    assert process.started_at == datetime(2025, 11, 27, 1, 34, 9, 251575, tzinfo=UTC)
    assert process.completed_at == datetime(2025, 11, 27, 1, 34, 10, tzinfo=UTC)
    assert (process.execution_time, process.pid, process.exit_code) == (0.7, 4711, 137)
    assert process.stdout is None


@pytest.mark.parametrize(
    "body",
    ['{"processes": null}', "{}", "[]", '{"processes": []}', '{"processes": [], "count": 7}', '\ufeff{"count": 0}'],
)
def test_no_processes(body: str) -> None:
    assert decoded(body).processes == ()


def test_a_bare_list_and_a_wrong_count() -> None:
    assert len(decoded([{"process_id": "a"}, {"process_id": "b"}]).processes) == 2
    assert len(decoded({"processes": [{"process_id": "a"}], "count": "many"}).processes) == 1


@pytest.mark.parametrize("digits", range(10))
@pytest.mark.parametrize("offset", ["Z", "z", "+00:00", "-09:30", "+0530", "+14", ""])
def test_times_with_any_fraction_and_offset(digits: int, offset: str) -> None:
    fraction = "." + "123456789"[:digits] if digits else ""
    micros = int("123456789"[: min(digits, 6)].ljust(6, "0")) if digits else 0
    hours = {"-09:30": -9.5, "+0530": 5.5, "+14": 14.0}.get(offset, 0.0)
    process = only({"process_id": "a", "start_time": f"2025-06-01T12:30:45{fraction}{offset}"})
    assert process.started_at == datetime(2025, 6, 1, 12, 30, 45, micros, timezone(timedelta(hours=hours)))


@pytest.mark.parametrize(
    "value",
    [None, "", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00", "yesterday", 17, {}, "2025-13-01T00:00:00Z"],
)
@pytest.mark.parametrize("key", ["started_at", "start_time"])
def test_times_that_are_none(key: str, value: Any) -> None:
    for extra in ({}, {"extra": 1}):  # both ways of decoding
        process = only({"process_id": "a", "status": "running", key: value, **extra})
        assert (process.started_at, process.execution_time) == (None, None)


@pytest.mark.parametrize(
    ("word", "status", "detail"),
    [
        *((status, status, None) for status in STATUSES),
        ("pending", "queued", "pending"),
        ("terminated", "killed", "terminated"),
        ("stopped", "killed", "stopped"),
        ("timeout", "failed", "timeout"),
        ("error", "failed", "error"),
        ("RUNNING", "running", "RUNNING"),
        ("hibernating", "unknown", "hibernating"),
        (None, "unknown", None),
        ("", "unknown", None),
        (3, "unknown", "3"),
    ],
)
def test_statuses(word: Any, status: str, detail: str | None) -> None:
    process = only({"process_id": "a", "status": word})
    assert (process.status, process.status_detail) == (status, detail)


def test_the_agents_reason_is_the_status_detail() -> None:
    assert only({"process_id": "a", "status": "failed", "message": "timed out"}).status_detail == "timed out"


@pytest.mark.parametrize(
    ("value", "code"),
    [(1, 1), ("1", 1), (1.0, 1), (-9, -9), (True, None), ("boom", None), ([], None), (1.5, None), (10**30, None)],
)
def test_exit_codes_of_any_type(value: Any, code: int | None) -> None:
    assert only({"process_id": "a", "status": "failed", "exit_code": value}).exit_code == code


@pytest.mark.parametrize("status", ["queued", "running", "unknown"])
def test_an_exit_code_before_the_end_means_nothing(status: str) -> None:
    assert only({"process_id": "a", "status": status, "exit_code": 0}).exit_code is None


@pytest.mark.parametrize("row", [None, 7, "text", [], {}, {"process_id": None}, {"process_id": {"a": 1}}])
def test_a_row_that_is_not_understood_costs_no_other_row(row: Any) -> None:
    processes = decoded({"processes": [{"process_id": "a", "status": "running"}, row, {"process_id": "b"}]}).processes
    assert [process.process_id for process in processes if process.process_id in ("a", "b")] == ["a", "b"]
    assert len(processes) == 3
    assert processes[1].status == "unknown"


def test_ids_under_other_names() -> None:
    assert only({"id": "x"}).process_id == "x"
    assert only({"process_id": "", "execution_id": "exec_1"}).process_id == "exec_1"


def test_all_rows_of_an_id_that_comes_twice() -> None:
    rows = [
        {"process_id": "a", "status": "running"},
        {"process_id": "b", "message": "alone"},
        {"process_id": "a", "status": "killed"},
        {"process_id": "a", "status": "exited"},
    ]
    listing = decoded({"processes": rows})
    assert [(process.process_id, process.status, process.status_detail) for process in listing.processes] == [
        ("a", "running", "shares its id with 2 others"),
        ("b", "unknown", "alone"),
        ("a", "killed", "shares its id with 2 others"),
        ("a", "unknown", "exited (shares its id with 2 others)"),
    ]
    assert listing.shared_ids == {"a": 3}
    assert listing.find("a") is not listing.processes[2], "it has not ended"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("execution_time", 1e308),
        ("execution_time", -1),
        ("duration", 1e300),
        ("exit_code", 2**60),
        ("pid", -4),
        ("stdout_bytes", -1),
        ("stderr_bytes", 2**63 - 1),
        ("exit_code", DIGITS),
        ("execution_time", DIGITS),
        ("execution_id", DIGITS),
    ],
)
def test_a_number_out_of_all_bounds_costs_that_field_alone(field: str, value: Any) -> None:
    odd = {"process_id": "a", "status": "failed", "name": "n", field: value}
    first, second = decoded(
        json.dumps({"processes": [odd, {"process_id": "b", "pid": 7}]}).replace(f'"{DIGITS}"', DIGITS).encode()
    ).processes
    assert first == Process(process_id=ProcessId("a"), status="failed", name="n", status_detail=first.status_detail)
    assert second.pid == 7


def test_elapsed_time_when_the_agent_gives_none() -> None:
    assert only({"process_id": "a", "status": "running", "start_time": "2026-01-01T11:59:00Z"}).execution_time == 60
    ended = {
        "process_id": "a",
        "status": "failed",
        "start_time": "2026-01-01T11:00:00Z",
        "end_time": "2026-01-01T11:00:05Z",
    }
    assert only(ended).execution_time == 5
    assert only({"process_id": "a", "status": "running", "duration": -1}).execution_time is None


def test_bytes_that_are_no_utf8_surrogates_nan_and_control_characters() -> None:
    row = b'{"process_id": "a", "name": "\xff\xfe", "stdout": "\\ud800 \\u0000 \\u001b[31m", "duration": NaN}'
    body = b'{"processes": [' + row + b"]}"
    (process,) = decoded(body).processes
    assert process.name == "\ufffd\ufffd"
    assert process.stdout == "\ufffd \0 \x1b[31m"
    assert process.execution_time is None
    assert json.dumps(process.stdout).encode()


def test_a_surrogate_pair_is_one_character() -> None:
    assert only({"process_id": "a", "stdout": "\U0001f600", "extra": 1}).stdout == "\U0001f600"


def test_the_mark_of_a_launch_is_taken_off_its_name() -> None:
    mark = RunId("0123456789abcdef")
    for extra in ({}, {"extra": 1}):  # both ways of decoding
        process = only({"process_id": "a", "name": marked_name("my [name]", mark), **extra})
        assert (process.name, process.run_id) == ("my [name]", mark)
        unnamed = only({"process_id": "a", "name": marked_name(None, mark), **extra})
        assert (unnamed.name, unnamed.run_id) == (None, mark)
    assert only({"process_id": "a", "name": "job [hopx:short]"}).name == "job [hopx:short]"


CATCH_ALL = {
    "agent": "HopX VM Agent (Go)",
    "status": "running",
    "version": "3.2.8",
    "vm_id": "x",
    "message": "success",
    "timestamp": "2025-11-16T23:25:45Z",
}


def test_the_catch_all_reply_is_not_taken_for_an_answer() -> None:
    with pytest.raises(NotSupported, match=r"agent 'x': .*does not support GET /execute/processes"):
        decoded(CATCH_ALL)
    with pytest.raises(NotSupported):
        decode_launched(json.dumps(CATCH_ALL).encode(), agent="x", endpoint="POST /execute/background")
    with pytest.raises(NotSupported):
        check_kill_reply(json.dumps(CATCH_ALL).encode(), agent="x", endpoint="POST /execute/kill")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "no JSON"),
        (b"not json", "not json"),
        (SEED_PAGE[:300], "cut short"),
        (b"<!DOCTYPE html><html><title>Login</title>", "web page"),
        (b"<html>\x1b]0;evil\x07", "web page"),
        (b'"text"', "no listing"),
        (b'{"error": "x"}', "no listing"),
        (b'{"processes": {"a": 1}}', "no listing"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_what_is_no_listing_says_so(body: bytes, shown: str) -> None:
    with pytest.raises(BadReply) as caught:
        decoded(body)
    text = str(caught.value)
    assert shown in text
    assert "agent 'x'" in text
    assert text.isprintable() or "\n" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) <= 3


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_crash_the_decoder(body: bytes) -> None:
    try:
        listing = decoded(body)
    except (BadReply, NotSupported):
        return
    assert isinstance(listing, Listing)


_FIELDS = st.sampled_from(
    ["process_id", "name", "status", "message", "started_at", "end_time", "stdout", "exit_code", "duration", "pid", "x"]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("2025-01-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(_FIELDS, _VALUES, max_size=8), max_size=4))
@settings(max_examples=300, deadline=None)
def test_rows_of_anything_become_processes_of_the_right_types(rows: list[dict[str, Any]]) -> None:
    for process in decoded({"processes": rows}).processes:
        assert process.status in STATUSES
        assert process.process_id is None or isinstance(process.process_id, str)
        for text in (process.name, process.stdout, process.language, process.status_detail):
            assert text is None or text.encode() is not None
        for number in (process.exit_code, process.pid):
            assert number is None or abs(number) < 2**53
        for moment in (process.started_at, process.completed_at):
            assert moment is None or moment.tzinfo is not None


def test_launch_body() -> None:
    launch = Launch(code="print(1)", run_id=RunId("0" * 16), name="n", env={"A": "1"}, workdir="/w", timeout=None)
    body = json.loads(launch_body(launch))
    assert body == {
        "code": "print(1)",
        "language": "python",
        "timeout": UNLIMITED,
        "name": "n [hopx:0000000000000000]",
        "env": {"A": "1"},
        "workdir": "/w",
        "working_dir": "/w",
    }


def test_a_launch_of_a_sweep_is_sent_with_its_limit() -> None:
    launch = Launch(code="print(1)", run_id=RunId("0" * 16), sweep_id="3f2a9c01", limit=4)
    body = json.loads(launch_body(launch))
    assert (body["sweep"], body["sweep_limit"]) == ("3f2a9c01", 4)
    for fields in ({"sweep_id": "3f2a9c01"}, {"limit": 4}):
        body = json.loads(launch_body(Launch(code="print(1)", run_id=RunId("0" * 16), **fields)))
        assert body.get("sweep") == fields.get("sweep_id")  # so that it can be given a limit later
        assert "sweep_limit" not in body


def test_the_code_of_a_launch_is_sent_with_its_params() -> None:
    launch = Launch(code="print(lr)", run_id=RunId("0" * 16), params={"lr": 0.5})
    sent = json.loads(launch_body(launch))["code"]
    assert "lr = 0.5" in sent
    assert sent.endswith("print(lr)")


@pytest.mark.parametrize(("value", "limit"), [(4, 4), (None, None), ("many", None), (True, None), ([4], None)])
def test_the_limit_that_an_agent_keeps(value: Any, limit: int | None) -> None:
    reply = json.dumps({"process_id": "a", "status": "queued", "sweep_limit": value}).encode()
    assert decode_launched(reply, agent="x", endpoint="POST /execute/background").sweep_limit == limit


def test_an_agent_that_keeps_no_limit() -> None:
    reply = b'{"process_id": "a", "status": "running"}'
    assert decode_launched(reply, agent="x", endpoint="POST /execute/background").sweep_limit is None


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (
            {"error": "no such", "code": "PROCESS_NOT_FOUND", "request_id": "r"},
            {},
            ("no such", "PROCESS_NOT_FOUND", None),
        ),
        (
            {"error": {"message": "slow down", "code": "X", "details": {"retry_after_seconds": 7}}},
            {},
            ("slow down", "X", 7),
        ),
        ({"error": "NOT_INITIALIZED", "message": "not yet"}, {}, ("not yet", "NOT_INITIALIZED", None)),
        ({"error": "just text", "retry_after": 2}, {"retry-after": "3"}, ("just text", None, 3)),
        ({"message": "only this"}, {}, ("only this", None, None)),
    ],
)
def test_error_envelopes(body: Any, headers: dict[str, str], expected: tuple[Any, ...]) -> None:
    said = decode_error(json.dumps(body).encode(), headers)
    assert (said.message, said.code, said.retry_after) == expected


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway", b"[1]", b'{"error": {"details": 3}}', b'{"code": 5}'])
def test_error_replies_that_are_no_envelope(body: bytes) -> None:
    assert isinstance(decode_error(body, {"retry-after": "soon"}).message, str)


def test_retry_after_as_a_date() -> None:
    said = decode_error(b"", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert said.retry_after == 0
