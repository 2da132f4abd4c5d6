"""Whatever agents list: it is decoded, and shown by DataFrame, table, text and page, each row and in bounds."""

import json
import math
import re
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hopx_magics.display import frames
from hopx_magics.display.in_words import state_in_words
from hopx_magics.durations import LONGEST
from hopx_magics.live import order, text
from hopx_magics.live.rows import Row, Rows
from hopx_magics.models import Listing, Process, ProcessId
from hopx_magics.protocol.changes import aged, compare
from hopx_magics.protocol.listing import decode_listing
from tests.odd_listings import body_of, listings
from tests.page.node import HERE, run

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LONG_NUMBER = re.compile(r"\d{25}|\binf|\bnan", re.IGNORECASE)


def decoded(rows: list[Any], later: float = 0.0) -> Listing:
    return decode_listing(body_of(rows), agent="agent 'x'", received_at=NOW + timedelta(seconds=later))


def followed(all_listings: list[list[Any]]) -> tuple[Rows, Listing]:
    """The rows of a table that has followed an agent which listed all these."""
    rows, known = Rows(lambda process: True), None
    for number, listed in enumerate(all_listings):
        change = compare(known, decoded(listed, 5.0 * number))
        rows.update("x", change.listing, change.changed, change.gone)
        rows.take_changes()
        known = aged(change.listing, NOW + timedelta(seconds=5.0 * number + 3))
    assert known is not None
    return rows, known


def assert_in_bounds(row: Row) -> None:
    assert row.progress is None or 0 <= row.progress <= 1
    assert row.left is None or 0 <= row.left <= LONGEST
    assert row.elapsed is None or 0 <= row.elapsed <= LONGEST
    assert row.exit_code is None or abs(row.exit_code) < 2**53
    assert all(moment is None or math.isfinite(moment) for moment in (row.began, row.started, row.ended))


@given(st.lists(listings, min_size=1, max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_all_is_shown_and_in_bounds(all_listings: list[list[Any]]) -> None:
    rows, listing = followed(all_listings)
    assert len(rows) == len(listing.processes) == len(all_listings[-1])
    for _, row in rows:
        assert_in_bounds(row)
    json.loads(zlib.decompress(rows.packed()))
    now = NOW.timestamp()
    for sort in ("progress", "-elapsed", "started", "exit_code", "param.lr", "-metric.loss", "memory"):
        assert len(order.shown(rows, {"sort": sort}, now)) == len(rows)
    state = text.State(rows=[row for _, row in rows], columns=None, notes=[], nothing="x", several=True, at=now)
    for row in state.rows:
        told = text.progress_in_words(row) + text.elapsed_in_words(row, now)
        assert not LONG_NUMBER.search(told)
    assert text.as_text(state)
    assert text.as_html(state)


@given(listings)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_dataframe_has_all_rows(rows: list[Any]) -> None:
    processes = decoded(rows).processes
    frame = frames.processes_frame(processes, [("x", None)] * len(processes))
    assert len(frame) == len(rows)
    assert frame["execution_time"].dropna().between(0, LONGEST).all()
    assert frame["progress"].dropna().between(0, 1).all()
    assert len(frames.in_default_order(processes)) == len(rows)
    assert repr(frame)
    assert frame.to_html() is not None
    frames.grouped_frame(frame, "status")
    assert all(state_in_words(process) for process in processes)


@given(st.lists(listings, min_size=3, max_size=3))
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_page_shows_them_in_bounds(tmp_path_factory: pytest.TempPathFactory, all_listings: list[list[Any]]) -> None:
    rows, _ = followed(all_listings)
    path: Path = tmp_path_factory.mktemp("odd") / "rows.json"
    path.write_bytes(zlib.decompress(rows.packed()))
    run(HERE / "odd_rows.js", path, str(NOW.timestamp()))


def test_three_rows_with_one_id_have_each_a_row_of_the_table() -> None:
    def listed(*statuses: str) -> list[Any]:
        return [{"process_id": "a", "status": status} for status in statuses]

    rows, listing = followed([listed("running", "completed", "failed"), listed("killed", "completed", "failed")])
    assert [(slot, row.id, row.status) for slot, row in rows] == [
        (0, "a", "killed"),
        (1, "a", "completed"),
        (2, "a", "failed"),
    ]
    assert {row.detail for _, row in rows} == {"shares its id with 2 others"}
    change = compare(listing, decoded(listed("killed")))
    rows.update("x", change.listing, change.changed, change.gone)
    assert [(slot, row.detail) for slot, row in rows] == [(0, None)]


def test_rows_whose_id_can_not_be_read_have_each_a_row_of_the_table() -> None:
    rows, _ = followed([[{"status": "running"}, 5, {"status": "failed", "process_id": ""}]])
    assert [row.status for _, row in rows] == ["running", "unknown", "failed"]


def test_a_process_that_seems_to_take_for_ever() -> None:
    rows = Rows(lambda process: True)
    for seconds, digit in ((0, "1"), (5, "2")):
        process = Process(
            process_id=ProcessId("a"), status="running", execution_time=seconds, stdout=f"0.{'0' * 305}{digit}%"
        )
        rows.update("x", Listing(told=(process,), agent="x", received_at=NOW + timedelta(seconds=seconds)))
    ((_, row),) = rows
    assert (row.progress, row.left) == (0.0, None)
