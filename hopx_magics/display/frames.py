"""From listings to pandas: the DataFrame of processes, its filters, and its groups."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..models import Killed, Listing, Process
from ..output import may_tell_progress, newest_progress, printable
from . import accessor, arrays

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "process_id",
    "execution_id",
    "name",
    "status",
    "language",
    "started_at",
    "completed_at",
    "stdout",
    "stderr",
    "exit_code",
    "execution_time",
    "progress",
    "pid",
    "connection",
    "sandbox",
)
"""The columns of every DataFrame of processes, in this order, also when it is empty."""


def processes_frame(listing: Listing, connection: str, sandbox: str | None = None) -> "pd.DataFrame":
    """One row a process, in the listing's order.

    `status` is an ordered categorical of all statuses, times are `datetime64[us, UTC]`, `exit_code` and `pid` are
    `Int64`, `execution_time` is float seconds, and texts are `str`; what the agent did not say is missing. `progress`
    is float, 0 to 1, as far as the outputs here tell one, and never 1 for what failed or was killed. Control characters
    in texts, which would act on a terminal, stand as their symbols (`␛`); `Run.stdout` has them as they are.
    """
    import numpy as np
    import pandas as pd

    accessor.register()
    rows = listing.processes
    outputs, errors = [row.stdout for row in rows], [row.stderr for row in rows]
    columns: dict[str, Any] = {
        "process_id": arrays.texts([row.process_id for row in rows]),
        "execution_id": arrays.texts([row.execution_id for row in rows]),
        "name": arrays.texts([row.name for row in rows]),
        "status": arrays.statuses([row.status for row in rows]),
        "language": arrays.texts([row.language for row in rows]),
        "started_at": arrays.times([row.started_at for row in rows]),
        "completed_at": arrays.times([row.completed_at for row in rows]),
        "stdout": _outputs(outputs, [row.stdout_bytes for row in rows]),
        "stderr": _outputs(errors, [row.stderr_bytes for row in rows]),
        "exit_code": arrays.integers([row.exit_code for row in rows]),
        "execution_time": arrays.floats([row.execution_time for row in rows]),
        "progress": _progress(rows, outputs, errors),
        "pid": arrays.integers([row.pid for row in rows]),
        "connection": pd.array(np.full(len(rows), connection, dtype=object), dtype="str"),
        "sandbox": pd.array(np.full(len(rows), sandbox, dtype=object), dtype="str"),
    }
    return pd.DataFrame(columns, copy=False)


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
                progress[number] = min(found.fraction, 0.99 if row.status in ("failed", "killed") else 1.0)
    return progress


def rows_frame(rows: Sequence[tuple[str | None, str | None, Process]]) -> "pd.DataFrame":
    """One row a process, each with its connection and sandbox, in this order; else as `processes_frame`."""
    processes = tuple(process for *_, process in rows)
    frame = processes_frame(Listing(processes=processes, agent="", received_at=datetime.now(UTC)), "")
    return frame.assign(
        connection=arrays.texts([connection for connection, *_ in rows]),
        sandbox=arrays.texts([sandbox for _, sandbox, _ in rows]),
    )


def killed_frame(rows: Sequence[tuple[str | None, Killed]]) -> "pd.DataFrame":
    """One row a process that was to be killed: `process_id`, `name`, `result`, `status`, `connection`."""
    import pandas as pd

    return pd.DataFrame(
        {
            "process_id": arrays.texts([row.process_id for _, row in rows]),
            "name": arrays.texts([row.name for _, row in rows]),
            "result": arrays.texts([row.result for _, row in rows]),
            "status": arrays.statuses([row.status for _, row in rows]),
            "connection": arrays.texts([connection for connection, _ in rows]),
        }
    )


# ---------------------------------------------------------------- choosing rows


def chooser(
    *,
    references: Iterable[str] = (),
    statuses: Iterable[str] = (),
    language: str | None = None,
    name: str | None = None,
    since: float | None = None,
) -> Callable[[Process], bool]:
    """Tells of a process whether it is wanted. What is not given restricts nothing.

    `references` are ids, beginnings of ids, or names; `name` is a pattern such as `train-*`; `since` is in seconds:
    only what started within them, or has not started yet.
    """
    wanted, states = tuple(references), frozenset(statuses)
    earliest = None if since is None else datetime.now(UTC) - timedelta(seconds=since)

    def choose(process: Process) -> bool:
        return (
            (not states or process.status in states)
            and (language is None or process.language == language)
            and (name is None or fnmatchcase(process.name or "", name))
            and (earliest is None or _since(process, earliest))
            and (not wanted or any(is_meant(process, reference) for reference in wanted))
        )

    return choose


def _since(process: Process, earliest: datetime) -> bool:
    moment = process.started_at or process.completed_at  # one that could not start only has its end
    return moment is None or moment >= earliest


def is_meant(process: Process, reference: str) -> bool:
    """Whether `reference` is the process's name, its id, or the beginning of its id."""
    is_name = process.name is not None and process.name == printable(reference)
    is_id = process.process_id is not None and process.process_id.startswith(reference)
    return is_name or (reference != "" and is_id)


def sorted_frame(frame: "pd.DataFrame", column: str | None) -> "pd.DataFrame":
    """The rows by a column, `-column` for downwards; by default the newest first, those that wait to start on top.

    Raises ValueError that names the columns.
    """
    if column is None:
        moments = frame["started_at"].fillna(frame["completed_at"])  # one that could not start only has its end
        newest_first = moments.sort_values(ascending=False, na_position="first", kind="stable").index
        return frame.loc[newest_first].reset_index(drop=True)
    plain = column.lstrip("-")
    _check_column(frame, plain)
    return frame.sort_values(plain, ascending=plain == column, kind="stable", ignore_index=True)


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
    if sort is None:
        return groups
    _check_column(groups, sort.lstrip("-"))
    return groups.sort_values(sort.lstrip("-"), ascending=not sort.startswith("-"), kind="stable")


def _check_column(frame: "pd.DataFrame", column: str) -> None:
    if column not in frame.columns:
        raise ValueError(f"there is no column {column!r}: use {', '.join(frame.columns)}")
