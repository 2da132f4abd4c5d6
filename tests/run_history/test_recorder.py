"""What listings leave in the history: what is new in them, once."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hopx_magics.display.history_frame import runs_frame
from hopx_magics.models import Change, Listing, Process, ProcessId, Usage
from hopx_magics.run_history import reading
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.listings import ListingRecorder
from hopx_magics.run_history.recorder import Recorder
from hopx_magics.settings import read_settings
from hopx_magics.words import STATUSES, Status

from .conftest import HERE, launch


def change(status: Status, etag: str | None, tail: int | None = None) -> Change:
    process = Process(process_id=ProcessId("p"), status=status)
    return Change(Listing(told=(process,), agent="a", received_at=datetime.now(UTC), etag=etag, tail=tail))


def listings_into(history: Database) -> ListingRecorder:
    return Recorder(history, read_settings({})).listings_of(HERE, lambda process_ids: {})


def status_in(history: Database) -> Status:
    (code,) = history.read(reading.columns, reading.Wanted())["status"]
    return STATUSES[code]


@pytest.mark.parametrize(
    ("etag", "tail", "written"),
    [("2", None, "completed"), ("1", 0, "completed"), (None, None, "completed"), ("1", None, "running")],
    ids=["another", "of another address", "none", "the same"],
)
def test_a_listing_with_the_etag_of_the_last_one_is_that_one(
    tmp_path: Path, etag: str | None, tail: int | None, written: Status
) -> None:
    history = Database(tmp_path / "history.sqlite")
    recorder = listings_into(history)
    recorder.take(change("running", "1"))
    recorder.take(change("completed", etag, tail))
    assert status_in(history) == written
    history.close()


def test_what_it_took_of_gpus_at_most_is_kept(tmp_path: Path) -> None:
    history = Database(tmp_path / "history.sqlite")
    usage = Usage(cpu_seconds=1.0, peak_gpu_memory_bytes=5)
    ended = Process(process_id=ProcessId("p"), status="completed", usage=usage)
    listings_into(history).take(Change(Listing(told=(ended,), agent="a", received_at=datetime.now(UTC))))
    frame = runs_frame(history.read(reading.columns, reading.Wanted()))
    assert list(frame["peak_gpu_memory_bytes"]) == [5]
    kept = history.read(reading.of_process, HERE, ProcessId("p"))
    assert kept is not None
    assert kept.usage == usage
    history.close()


def test_a_file_that_was_taken_away_begins_with_the_listing_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    history = Database(file)
    recorder = listings_into(history)
    recorder.take(change("running", "1"))
    assert status_in(history) == "running"
    history.close()
    file.unlink()
    recorder.begin_anew()
    recorder.take(change("running", "1"))
    assert status_in(history) == "running"
    history.close()


def test_a_notebook_whose_name_is_no_text_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", os.fsdecode(b"caf\xe9.ipynb"))
    history = Database(tmp_path / "history.sqlite")
    recorder = Recorder(history, read_settings({}))
    recorder.begin([launch("r1")], HERE)
    assert history.read(reading.find, "r1").notebook == "caf?.ipynb"
    recorder.close()
    history.close()
