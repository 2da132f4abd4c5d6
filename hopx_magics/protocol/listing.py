"""The listing, in either dialect."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, get_args

import msgspec

from ..errors import BadReply
from ..models import Listing, Process, ProcessId, Usage
from ..words import ENDED, Status, WaitsFor
from .fields import Body, first, read_count, read_integer, read_seconds, read_status, read_text, read_time
from .replies import excerpt, read_json, reject_catch_all
from .requests import PROCESSES

FORGOTTEN_AFTER = 10.0
"""Seconds after which a process that the agent doesn't list counts as forgotten: new ones may be listed late."""


class _Listing(msgspec.Struct):
    processes: list[Process]


_set = msgspec.structs.force_setattr
_decode_strictly = msgspec.json.Decoder(_Listing).decode


def decode_listing(
    body: Body, *, agent: str, received_at: datetime, etag: str | None = None, tail: int | None = None
) -> Listing:
    """The listing in the reply to `GET /execute/processes`.

    Raises BadReply when it is no listing at all, and NotSupported when the agent doesn't have the endpoint.
    """
    processes = decode_rows(body, agent=agent, received_at=received_at)
    listing = Listing(told=processes, agent=agent, received_at=received_at, etag=etag, tail=tail)
    if shared := listing.shared_ids:
        for process in processes:
            _tell_shared(process, shared.get(process.process_id or ProcessId(""), 1) - 1)
    return listing


def _tell_shared(process: Process, others: int) -> None:
    if others:
        said = f"shares its id with {others} other{'s' if others > 1 else ''}"
        detail = process.status_detail
        _set(process, "status_detail", f"{detail} ({said})" if detail else said)


def decode_rows(body: Body, *, agent: str, received_at: datetime) -> tuple[Process, ...]:
    """The processes in a listing or a part of one. Raises as `decode_listing`."""
    try:
        processes: Sequence[Process] = _decode_strictly(body).processes
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        processes = [_read_process(row, received_at) for row in _read_rows(body, agent)]
    _tidy(processes)
    return tuple(processes)


def _tidy(processes: Iterable[Process]) -> None:
    """Takes the marks off the names, and drops values that only look known.

    The processes are changed in place, which nobody has seen yet: copies would double the time of a large listing.
    """
    for process in processes:
        if (name := process.name) is not None and name[-23:-17] == "[hopx:":  # see marked_name
            _set(process, "name", name[:-24] or None)
            _set(process, "run_id", name[-17:-1])
        if process.exit_code is not None and process.status not in ENDED:
            _set(process, "exit_code", None)  # Go's default of 0 says nothing about a process that runs
        if (moment := process.started_at) and not 1 < moment.year < 9999:
            _set(process, "started_at", None)  # Go's zero time; and both ends overflow when brought to UTC
        if (moment := process.completed_at) and not 1 < moment.year < 9999:
            _set(process, "completed_at", None)


def _read_rows(body: Body, agent: str) -> Sequence[Any]:
    content = read_json(body, agent=agent)
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        reject_catch_all(content, "processes", agent=agent, endpoint=f"GET {PROCESSES}")
        rows = content.get("processes") or []
        if isinstance(rows, list) and ("processes" in content or "error" not in content):
            return rows
    raise BadReply(f"its reply is no listing: {excerpt(body)}", agent=agent)


def _read_process(row: Any, received_at: datetime) -> Process:
    if not isinstance(row, dict):
        return Process(process_id=None, status_detail=f"not understood: {json.dumps(row)[:80]}")
    status, detail = read_status(row.get("status"))
    started_at = first(read_time, row, "started_at", "start_time")
    completed_at = first(read_time, row, "completed_at", "end_time")
    return Process(
        process_id=_id(first(read_text, row, "process_id", "id", "execution_id")),
        execution_id=first(read_text, row, "execution_id"),
        name=first(read_text, row, "name"),
        status=status,
        status_detail=detail or first(read_text, row, "message"),
        language=first(read_text, row, "language"),
        started_at=started_at,
        completed_at=completed_at,
        stdout=read_text(row.get("stdout")),
        stderr=read_text(row.get("stderr")),
        exit_code=read_integer(row.get("exit_code")),
        execution_time=first(read_seconds, row, "execution_time", "duration")
        or _elapsed(status, started_at, completed_at, received_at),
        pid=read_count(row.get("pid")) or None,
        stdout_bytes=read_count(row.get("stdout_bytes")),
        stderr_bytes=read_count(row.get("stderr_bytes")),
        leftovers=_read_pids(row.get("leftovers")),
        paused=row.get("paused") is True,
        first=row.get("first") is True,
        gpus=_read_texts(row.get("gpus")),
        retry_of=_id(read_text(row.get("retry_of"))),
        retried_as=_id(read_text(row.get("retried_as"))),
        stopped_when=read_text(row.get("stopped_when")),
        notice=read_text(row.get("notice")),
        waits_for=row["waits_for"] if row.get("waits_for") in get_args(WaitsFor) else None,
        usage=_read_usage(row.get("usage")),
    )


def _read_pids(value: Any) -> tuple[int, ...]:
    return tuple(pid for each in value if (pid := read_count(each))) if isinstance(value, list) else ()


def _read_usage(value: Any) -> Usage | None:
    if not isinstance(value, dict):
        return None
    return Usage(
        cpu_percent=read_seconds(value.get("cpu_percent")),
        memory_bytes=read_count(value.get("memory_bytes")),
        peak_memory_bytes=read_count(value.get("peak_memory_bytes")),
        cpu_seconds=read_seconds(value.get("cpu_seconds")),
        gpu_percent=read_seconds(value.get("gpu_percent")),
        gpu_memory_bytes=read_count(value.get("gpu_memory_bytes")),
        peak_gpu_memory_bytes=read_count(value.get("peak_gpu_memory_bytes")),
    )


def _read_texts(value: Any) -> tuple[str, ...]:
    return tuple(text for each in value if (text := read_text(each))) if isinstance(value, list) else ()


def _id(text: str | None) -> ProcessId | None:
    return ProcessId(text) if text else None


def _elapsed(status: Status, started_at: datetime | None, completed_at: datetime | None, now: datetime) -> float | None:
    end = completed_at if status in ENDED else now
    if started_at is None or end is None or status not in (*ENDED, "running"):
        return None
    return read_seconds(max(0.0, (end - started_at).total_seconds()))
