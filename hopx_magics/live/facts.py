"""What is told of a table beyond its rows: how many there are of each status, and all of one process."""

import html
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..durations import format_counting, format_duration
from ..models import STATUSES, KeptRun, Process
from ..output import printable
from .rows import Row


def counts_in_words(rows: Iterable[Row]) -> str:
    """How many there are of each status: `2 running, 1 failed`."""
    statuses = [row.status for row in rows]
    return ", ".join(f"{statuses.count(status):,} {status}" for status in STATUSES if status in statuses)


def fields(process: Process, connection: str, kept: KeptRun | None = None) -> list[tuple[str, str]]:
    """All that is known of a process, as labels and texts. Of the environment only the names are told."""
    told: list[tuple[str, Any]] = [
        ("name", process.name),
        ("process id", process.process_id),
        ("execution id", process.execution_id),
        ("connection", connection),
        ("status", process.status),
        ("reason", process.status_detail),
        ("exit code", process.exit_code),
        ("language", process.language),
        ("started", _moment(process.started_at)),
        ("ended", _moment(process.completed_at)),
        ("running time", _running_time(process)),
        ("pid", process.pid),
        ("stdout", _size(process.stdout_bytes)),
        ("stderr", _size(process.stderr_bytes)),
    ]
    if kept is not None:
        told += [
            *((f"parameter {name}", json.dumps(value)) for name, value in kept.params.items()),
            *((f"tag {name}", value) for name, value in kept.tags.items()),
            ("sweep", kept.sweep_id),
            ("rerun of", kept.rerun_of),
            ("folder", kept.workdir),
            ("time limit", None if kept.timeout is None else format_duration(kept.timeout)),
            ("environment", ", ".join(kept.env_names) or None),
        ]
    return [(label, printable(str(value), 500)) for label, value in told if value is not None]


def _running_time(process: Process) -> str | None:
    if process.execution_time is None:
        return None
    return format_duration(process.execution_time) if process.ended else format_counting(process.execution_time)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _size(size: int | None) -> str | None:
    return None if size is None else f"{size:,} bytes"


def escaped(value: str, limit: int = 200) -> str:
    """A text of somebody else's as HTML, on one line."""
    return html.escape(printable(value, limit))
