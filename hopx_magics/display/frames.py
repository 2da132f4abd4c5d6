"""From listings to pandas: the DataFrame of processes, its order, and its groups."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..models import Killed, Process, Turned, Usage
from ..output.oneline import instead_of
from ..output.progress import fraction_at_end, may_tell_progress, newest_progress
from ..words import Status
from . import accessor, arrays

if TYPE_CHECKING:
    import pandas as pd

_UNKNOWN = Usage()

Place = tuple[str | None, str | None]
"""Where a process is: the name of its connection, if it has one yet, and the HopX id of its sandbox."""

SEEN = "hopx_seen"
"""The attribute (`df.attrs`) of our DataFrames: when they were made, in ISO 8601. What is filtered from one has it."""

FOUND_BY = "hopx_found_by"
"""The attribute of a DataFrame of lines that were found: the regular expression, and whether it ignores case."""

WHY_EMPTY = "hopx_empty"
"""The attribute of such a DataFrame that is empty: why."""


def processes_frame(processes: Sequence[Process], places: Sequence[Place]) -> "pd.DataFrame":
    """One row a process, in this order, with the place of each.

    `status` is an ordered categorical of all statuses, `status_detail` the reason for it where one is told. Times are
    `datetime64[us, UTC]`, `exit_code` and `pid` are `Int64`, `execution_time` is float seconds, and texts are `str`;
    what the agent did not say is missing. `leftovers` is how many processes an ended one has left running, missing for
    none. `cpu_percent`, `memory_bytes`, `peak_memory_bytes` and `cpu_seconds` are as in `models.Usage`, and
    where one was seen on a GPU there are `gpu_percent`, `gpu_memory_bytes` and `peak_gpu_memory_bytes`. `progress` is
    float, 0 to 1, as far as the outputs here tell one: 1 for what completed, and never 1 for what failed or was killed.
    Control characters in texts, which would act on a terminal, stand as their symbols (`␛`); `Run.stdout` has them as
    they are.
    """
    import pandas as pd

    accessor.register()
    count = len(processes)
    moments = arrays.times([row.started_at for row in processes] + [row.completed_at for row in processes])
    outputs, errors = [row.stdout for row in processes], [row.stderr for row in processes]
    columns: dict[str, Any] = {
        "process_id": arrays.texts([row.process_id for row in processes]),
        "execution_id": arrays.texts([row.execution_id for row in processes]),
        "name": arrays.texts([row.name for row in processes]),
        "status": arrays.statuses([row.status for row in processes]),
        "status_detail": arrays.texts([row.status_detail for row in processes]),
        "language": arrays.texts([row.language for row in processes]),
        "started_at": moments[:count],
        "completed_at": moments[count:],
        "stdout": _outputs(outputs, [row.stdout_bytes for row in processes]),
        "stderr": _outputs(errors, [row.stderr_bytes for row in processes]),
        "exit_code": arrays.integers([row.exit_code for row in processes]),
        "execution_time": arrays.floats([row.execution_time for row in processes]),
        "progress": _progress(processes, outputs, errors),
        "pid": arrays.integers([row.pid for row in processes]),
        "leftovers": arrays.integers([len(row.leftovers) or None for row in processes]),
        **_usages([row.usage or _UNKNOWN for row in processes]),
        **_places(places),
    }
    return seen_now(pd.DataFrame(columns, index=pd.RangeIndex(count), copy=False))


def _usages(usages: Sequence[Usage]) -> dict[str, Any]:
    of_gpus = {
        "gpu_percent": arrays.floats([usage.gpu_percent for usage in usages]),
        "gpu_memory_bytes": arrays.integers([usage.gpu_memory_bytes for usage in usages]),
        "peak_gpu_memory_bytes": arrays.integers([usage.peak_gpu_memory_bytes for usage in usages]),
    }
    on_gpus = any(usage.peak_gpu_memory_bytes is not None for usage in usages)
    return {
        "cpu_percent": arrays.floats([usage.cpu_percent for usage in usages]),
        "memory_bytes": arrays.integers([usage.memory_bytes for usage in usages]),
        "peak_memory_bytes": arrays.integers([usage.peak_memory_bytes for usage in usages]),
        "cpu_seconds": arrays.floats([usage.cpu_seconds for usage in usages]),
        **(of_gpus if on_gpus else {}),
    }


def seen_now(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The same DataFrame, with a note that it was made now."""
    frame.attrs[SEEN] = datetime.now(UTC).isoformat(timespec="seconds")
    return frame


def empty_because(frame: "pd.DataFrame", why: str) -> "pd.DataFrame":
    """The same DataFrame, which says why it is empty, if it is."""
    if frame.empty:
        frame.attrs[WHY_EMPTY] = why
    return frame


def _places(places: Sequence[Place]) -> dict[str, Any]:
    if places and places.count(places[0]) == len(places):  # of one agent, as nearly always
        connection, sandbox = (arrays.texts([text]).repeat(len(places)) for text in places[0])
    else:
        connection = arrays.texts([connection for connection, _ in places])
        sandbox = arrays.texts([sandbox for _, sandbox in places])
    return {"connection": connection, "sandbox": sandbox}


def _outputs(texts: list[str | None], sizes: list[int | None]) -> Any:
    if sizes.count(None) < len(sizes):
        texts = [_with_cut(text, size) for text, size in zip(texts, sizes, strict=True)]
    return arrays.texts(texts)


def _with_cut(text: str | None, size: int | None) -> str | None:
    """The text, and where it is only the end of a stream, a first line that says so."""
    if not text or size is None or size <= len(text) or (missing := size - len(text.encode())) <= 0:
        return text
    return f"[{missing:,} bytes before this are left out: --output full has them]\n{text}"


def _progress(rows: Sequence[Process], outputs: list[str | None], errors: list[str | None]) -> Any:
    import numpy as np

    progress = np.full(len(rows), np.nan)
    if any(map(may_tell_progress, arrays.joined(outputs))) or any(map(may_tell_progress, arrays.joined(errors))):
        for number, (row, stdout, stderr) in enumerate(zip(rows, outputs, errors, strict=True)):
            if (found := newest_progress(stdout, stderr)) is not None:
                progress[number] = fraction_at_end(found.fraction, row.status)
    return progress


def killed_frame(rows: Sequence[tuple[str | None, Killed]]) -> "pd.DataFrame":
    """One row a process that was to be killed: `process_id`, `name`, `result`, `status`, `leftovers`, `connection`.

    `leftovers` is how many processes were killed that it had left running when it ended.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "process_id": arrays.texts([row.process_id for _, row in rows]),
            "name": arrays.texts([row.name for _, row in rows]),
            "result": arrays.texts([row.result for _, row in rows]),
            "status": arrays.statuses([row.status for _, row in rows]),
            "leftovers": arrays.integers([row.leftovers for _, row in rows]),
            "connection": arrays.texts([connection for connection, _ in rows]),
        }
    )


def turned_frame(rows: Sequence[tuple[str | None, Turned]]) -> "pd.DataFrame":
    """One row for what was to be paused or to go on: `process_id`, `name`, `result`, `status`, `connection`.

    What has no id is the queue of a connection.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "process_id": arrays.texts([row.process_id for _, row in rows]),
            "name": arrays.texts([row.name for _, row in rows]),
            "result": arrays.texts([row.result for _, row in rows]),
            "status": arrays.known_statuses([row.status for _, row in rows]),
            "connection": arrays.texts([connection for connection, _ in rows]),
        }
    )


class Waits(NamedTuple):
    """A process that waits, with its place in the queue of its connection, and when its turn is expected."""

    place: int | None
    process: Process
    connection: str | None
    expected: datetime | None


QUEUE_COLUMNS = ("place", "name", "process_id", "waits_for", "why", "expected_start", "connection")
"""The columns of what is queued."""


def queue_frame(rows: Sequence[Waits], *, elsewhere: str) -> "pd.DataFrame":
    """One row for what waits: `place`, `name`, `process_id`, `waits_for`, `why`, `expected_start`, `connection`.

    `elsewhere` is why something waits that no agent has yet.
    """
    import pandas as pd

    frame = pd.DataFrame(
        {
            "place": arrays.integers([row.place for row in rows]),
            "name": arrays.texts([row.process.name for row in rows]),
            "process_id": arrays.texts([row.process.process_id for row in rows]),
            "waits_for": arrays.texts([row.process.waits_for for row in rows]),
            "why": arrays.texts([row.process.status_detail if row.connection else elsewhere for row in rows]),
            "expected_start": arrays.times([row.expected for row in rows]),
            "connection": arrays.texts([row.connection for row in rows]),
        },
        columns=list(QUEUE_COLUMNS),
    )
    return empty_because(seen_now(frame), "nothing is queued")


# ---------------------------------------------------------------- order and groups

Standing = tuple[int, float]


def standing(status: Status, moment: float | None, *, first: bool = False) -> Standing:
    """By this processes stand in their default order: what runs, then what waits by its turn, then what has ended.

    What runs and what has ended, the newest first by its `moment`, in seconds: its start, or without one its end.
    """
    if status == "queued":
        return 1, -1.0 if first else 0.0
    return 0 if status == "running" else 2, math.inf if moment is None else -moment


def standing_of(process: Process) -> Standing:
    """The `standing` of a process."""
    moment = process.started_at or process.completed_at
    return standing(process.status, moment.timestamp() if moment else None, first=process.first)


def in_default_order(processes: Sequence[Process]) -> list[int]:
    """The numbers of the processes in their default order."""
    standings = [standing_of(process) for process in processes]
    return sorted(range(len(processes)), key=standings.__getitem__)


def sorted_frame(frame: "pd.DataFrame", column: str, *, ignore_index: bool = True) -> "pd.DataFrame":
    """The rows by a column, `-column` for downwards, numbered anew or not. Raises ValueError that names the columns."""
    plain = column.lstrip("-")
    _check_column(frame, plain)
    return frame.sort_values(plain, ascending=plain == column, kind="stable", ignore_index=ignore_index)


def grouped_frame(frame: "pd.DataFrame", column: str, sort: str | None = None) -> "pd.DataFrame":
    """One row a group: `count`, the `execution_time` as `sum`, `mean` and `max` in seconds, and the last start.

    Sorted by the group, or by the column `sort`, `-sort` for downwards.

    Raises ValueError that names the columns.
    """
    _check_column(frame, column)
    groups = frame.groupby(column, observed=True, dropna=False).agg(
        count=("process_id", "size"),
        execution_time_sum=("execution_time", "sum"),
        execution_time_mean=("execution_time", "mean"),
        execution_time_max=("execution_time", "max"),
        last_started_at=("started_at", "max"),
    )
    return groups if sort is None else sorted_frame(groups, sort, ignore_index=False)


def _check_column(frame: "pd.DataFrame", column: str) -> None:
    if column not in frame.columns:
        raise ValueError(f"there is no column {column!r}: {instead_of(column, frame.columns)}")
