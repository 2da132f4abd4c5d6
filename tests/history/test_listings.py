"""What listings leave in the history: what is new in them, once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hopx_magics.history import History, Limits, Place, Wanted
from hopx_magics.history.listings import Recorder
from hopx_magics.models import STATUSES, Change, Listing, Process, ProcessId, Status

HERE = Place("local", "agent of this machine")
LIMITS = Limits(runs=1_000_000, output=5_000_000_000, stream=1_000_000)


def change(status: Status, etag: str | None, tail: int | None = None) -> Change:
    process = Process(process_id=ProcessId("p"), status=status)
    return Change(Listing(processes=(process,), agent="a", received_at=datetime.now(UTC), etag=etag, tail=tail))


def status_in(history: History) -> Status:
    (code,) = history.columns(Wanted())["status"]
    return STATUSES[code]


@pytest.mark.parametrize(
    ("etag", "tail", "written"),
    [("2", None, "completed"), ("1", 0, "completed"), (None, None, "completed"), ("1", None, "running")],
    ids=["another", "of another address", "none", "the same"],
)
def test_a_listing_with_the_etag_of_the_last_one_is_that_one(
    tmp_path: Path, etag: str | None, tail: int | None, written: Status
) -> None:
    history = History(tmp_path / "history.sqlite", LIMITS)
    recorder = Recorder(history, HERE, lambda place: None, pytest.fail)
    recorder.take(change("running", "1"))
    recorder.take(change("completed", etag, tail))
    assert status_in(history) == written
    history.close()


def test_a_file_that_was_taken_away_begins_with_the_listing_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    history = History(file, LIMITS)
    recorder = Recorder(history, HERE, lambda place: None, pytest.fail)
    recorder.take(change("running", "1"))
    history.close()
    file.unlink()
    recorder.begin_anew()
    recorder.take(change("running", "1"))
    assert status_in(history) == "running"
    history.close()
