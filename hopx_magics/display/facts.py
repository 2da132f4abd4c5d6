"""What is known of a process and of its run, one line each: the labels, and what stands behind them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..durations import format_counting, format_duration
from ..kept import KeptRun
from ..models import Process, Usage
from ..output.oneline import printable
from ..values.facts import Left, names_in_words
from ..words import signal_name, size_in_words
from .frames import Place

Fact = tuple[str, str]
"""A label and a text, which may hold other people's characters."""


def facts_of(process: Process, place: Place, run: KeptRun | None = None, *, as_last_seen: bool = False) -> list[Fact]:
    """What is known of a process, and of its run if the history keeps that, but for name, state, params and tags.

    With `as_last_seen` the process may have changed since the history has seen it. Of the environment only the names
    are told.
    """
    is_past = as_last_seen and not process.ended
    launched_at = run.launched_at if run else None
    told: list[tuple[str, object]] = [
        ("run id", process.run_id),
        ("process id", process.process_id),
        ("execution id", process.execution_id),
        ("pid", process.pid),
        ("connection", _place_in_words(*place)),
        ("launched", _moment(launched_at)),
        ("queued for", _queued_for(launched_at, process.started_at)),
        ("started", _moment(process.started_at)),
        ("ended", _moment(process.completed_at)),
        ("last seen", _moment(run.seen_at) if run and is_past else None),
        ("running time", _running_time(process, is_past)),
        ("exit code", _exit_code(process.exit_code)),
        ("GPUs", ", ".join(process.gpus)),
        ("left running", _pids(process.leftovers)),
        ("memory", _memory(process.usage)),
        ("processor time", _processor_time(process.usage)),
        ("memory of GPUs", _memory_of_gpus(process.usage)),
        ("stdout", _size(process.stdout_bytes)),
        ("stderr", _size(process.stderr_bytes)),
        ("notice", process.notice and printable(process.notice)),
        ("language", process.language),
        *(_circumstances(run) if run else ()),
    ]
    return [(label, str(value)) for label, value in told if value not in (None, "")]


def _circumstances(run: KeptRun) -> list[tuple[str, object]]:
    return [
        ("folder", run.workdir),
        ("time limit", None if run.timeout is None else format_duration(run.timeout)),
        ("environment", ", ".join(run.env_names)),
        ("notebook", run.notebook),
        ("cell", run.cell),
        ("version", f"hopx_magics {run.version}" if run.version else None),
        ("sweep", run.sweep_id),
        ("rerun of", run.rerun_of),
    ]


def facts_of_run(run: KeptRun) -> list[Fact]:
    """What the history keeps of a run, but for name, state, params and tags."""
    return facts_of(run.process, (run.connection, run.sandbox), run, as_last_seen=True)


def all_facts_of(process: Process, place: Place, run: KeptRun | None = None) -> list[Fact]:
    """All that is known of a process as it is now, each on one line in which nothing acts."""
    told = [
        ("name", process.name),
        ("status", process.status),
        ("reason", process.status_detail),
        *facts_of(process, place, run),
        *((f"parameter {name}", value_in_words(value)) for name, value in (run.params.items() if run else ())),
        *((f"tag {name}", value) for name, value in (run.tags.items() if run else ())),
        *(_values(run) if run else ()),
    ]
    return [(printable(label, 100), printable(text, 500)) for label, text in told if text is not None]


def _values(run: KeptRun) -> list[Fact]:
    """The variables that a cell got and has kept, and what else it has left."""
    left = run.left or Left()
    missing = [f"{name} (never set)" for name in left.missing]
    told = [
        ("values in", names_in_words(run.values_in)),
        ("values out", ", ".join(filter(None, [names_in_words(left.values), *missing]))),
        ("result", left.result.in_words() if left.result else ""),
        ("displays", str(run.displays or "")),
    ]
    return [(label, text) for label, text in told if text]


def value_in_words(value: Any) -> str:
    """The value of a parameter, so that `0.1` and the text `"0.1"` are not the same."""
    return json.dumps(value, ensure_ascii=False)


def _place_in_words(connection: str | None, sandbox: str | None) -> str | None:
    return f"{connection} (sandbox {sandbox})" if sandbox else connection


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _queued_for(launched_at: datetime | None, started_at: datetime | None) -> str | None:
    if launched_at is None or started_at is None:
        return None
    seconds = (started_at - launched_at).total_seconds()
    return format_duration(seconds) if seconds >= 0 else None  # two machines' clocks may differ


def _running_time(process: Process, is_past: bool) -> str | None:
    if process.execution_time is None:
        return None
    if process.ended:
        return format_duration(process.execution_time)
    return format_counting(process.execution_time) + (" when last seen" if is_past else "")


def _exit_code(code: int | None) -> str | None:
    signal = signal_name(code)
    return None if code is None else f"{code} ({signal})" if signal else str(code)


def _pids(pids: Sequence[int], limit: int = 10) -> str | None:
    more = f" and {len(pids) - limit:,} more" if len(pids) > limit else ""
    return f"pid {', '.join(map(str, pids[:limit]))}{more}" if pids else None


def _memory(usage: Usage | None) -> str | None:
    if usage is None or usage.peak_memory_bytes is None:
        return None
    now = f"{size_in_words(usage.memory_bytes)}, " if usage.memory_bytes is not None else ""
    return f"{now}{size_in_words(usage.peak_memory_bytes)} at most"


def _memory_of_gpus(usage: Usage | None) -> str | None:
    if usage is None or usage.peak_gpu_memory_bytes is None:
        return None
    now = f"{size_in_words(usage.gpu_memory_bytes)}, " if usage.gpu_memory_bytes is not None else ""
    used = f", {usage.gpu_percent:.0f} % of a GPU now" if usage.gpu_percent is not None else ""
    return f"{now}{size_in_words(usage.peak_gpu_memory_bytes)} at most{used}"


def _processor_time(usage: Usage | None) -> str | None:
    if usage is None or usage.cpu_seconds is None:
        return None
    now = f", {usage.cpu_percent:.0f} % of a core now" if usage.cpu_percent is not None else ""
    return format_duration(usage.cpu_seconds) + now


def _size(size: int | None) -> str | None:
    return None if size is None else f"{size:,} bytes"
