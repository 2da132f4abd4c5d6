"""A history in a folder of the test's own, and what is written into it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.models import Launch, Place, ProcessId, RunId
from hopx_magics.run_history import entries, reading, writing
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.entries import Became
from hopx_magics.run_history.origin import Origin
from hopx_magics.run_history.reading import Wanted
from hopx_magics.run_history.writing import Seen
from hopx_magics.words import STATUSES, Status

HERE = Place("local", "agent of this machine")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture
def history(file: Path) -> Any:
    history = Database(file)
    yield history
    history.close()


def launch(run_id: str, **facts: Any) -> Launch:
    return Launch(**{"code": "print(1)", "run_id": RunId(run_id), **facts})


def seen(process_id: str, status: Status = "running", **facts: Any) -> Seen:
    unknown = dict.fromkeys(Seen._fields)
    return Seen(**{**unknown, "leftovers": "[]", "process_id": ProcessId(process_id), "status": status, **facts})


def begun(history: Database, *run_ids: str, place: Place = HERE, **facts: Any) -> None:
    """Launches whose processes are called like the runs."""
    history.write(writing.begin, entries.begun([launch(run_id, **facts) for run_id in run_ids], place, Origin()))
    for run_id in run_ids:
        became(history, run_id, f"proc_{run_id}")


def became(history: Database, run_id: str, process_id: str) -> None:
    history.write(writing.launched, Became(RunId(run_id), ProcessId(process_id), None, "running"))


def forget_lost(history: Database, listed: list[ProcessId], at: datetime, listed_after: float) -> None:
    history.write(writing.forget, history.read(writing.lost, HERE, listed, at, listed_after), at)


def statuses(history: Database) -> dict[str, str]:
    columns = history.read(reading.columns, Wanted())
    return {run_id: STATUSES[status] for run_id, status in zip(columns["run_id"], columns["status"], strict=True)}
