"""A history in a folder of the test's own, and what is written into it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.history import History, Limits, Origin, Place, Seen, Wanted
from hopx_magics.models import STATUSES, Launch, ProcessId, RunId, Status

HERE = Place("local", "agent of this machine")
LIMITS = Limits(runs=1_000_000, output=5_000_000_000, stream=1_000_000)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture
def history(file: Path) -> Any:
    history = History(file, LIMITS, version="1.2.3")
    yield history
    history.close()


def launch(run_id: str, **facts: Any) -> Launch:
    return Launch(**{"code": "print(1)", "run_id": RunId(run_id), **facts})


def seen(process_id: str, status: Status = "running", **facts: Any) -> Seen:
    unknown = dict.fromkeys(Seen._fields)
    return Seen(**{**unknown, "process_id": ProcessId(process_id), "status": status, **facts})


def begun(history: History, *run_ids: str, place: Place = HERE, **facts: Any) -> None:
    """Launches whose processes are called like the runs."""
    history.begin([launch(run_id, **facts) for run_id in run_ids], place, Origin())
    for run_id in run_ids:
        history.launched(RunId(run_id), ProcessId(f"proc_{run_id}"), None, "running")


def statuses(history: History) -> dict[str, str]:
    columns = history.columns(Wanted())
    return {run_id: STATUSES[status] for run_id, status in zip(columns["run_id"], columns["status"], strict=True)}
