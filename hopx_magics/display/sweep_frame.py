"""From the runs of a sweep to pandas: what each was given, and what has come of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UnknownColumn
from ..kept import KeptOutput
from ..models import Process, RunId
from ..output.oneline import instead_of, printable
from ..words import STREAMS, Stream
from . import accessor, arrays

if TYPE_CHECKING:
    import pandas as pd


def sweep_frame(
    processes: Sequence[Process],
    params: Mapping[RunId, Mapping[str, Any]],
    outputs: Sequence[Mapping[Stream, KeptOutput]],
) -> "pd.DataFrame":
    """One row a run, in this order: see `Sweep.frame`. Dtypes are those of the history's DataFrame."""
    import pandas as pd

    given = [params.get(process.run_id or RunId(""), {}) for process in processes]
    names = dict.fromkeys(name for each in given for name in each)
    columns: dict[str, Any] = {
        "run_id": arrays.texts([process.run_id for process in processes]),
        "name": arrays.texts([process.name for process in processes]),
        "status": arrays.statuses([process.status for process in processes]),
    }
    for name in names:
        columns[f"param.{name}"] = arrays.plain_values([each.get(name, arrays.ABSENT) for each in given])
    printed = {stream: arrays.texts([_text(output, stream) for output in outputs]) for stream in STREAMS}
    metrics = accessor.HopxAccessor(pd.DataFrame(columns | printed)).metrics()
    ends: dict[str, Any] = {
        "started_at": arrays.times([process.started_at for process in processes]),
        "execution_time": arrays.floats([process.execution_time for process in processes]),
        "exit_code": arrays.integers([process.exit_code for process in processes]),
    }
    taken = {*columns, *ends}
    for metric, values in metrics.iloc[:, len(names) + 2 :].items():  # behind run_id, name, and the parameters
        columns[f"metric.{metric}" if metric in taken else str(metric)] = values
    return pd.DataFrame(columns | ends)


def metric_of(frame: "pd.DataFrame", name: str) -> "pd.Series":
    """A metric of such a DataFrame. Raises UnknownColumn, which names the nearest, where no run has a value of it."""
    columns = list(map(str, frame.columns))
    between = columns[columns.index("status") + 1 : columns.index("started_at")]
    metrics = [column for column in between if not column.startswith("param.")]
    found = next((column for column in (name, f"metric.{name}") if column in metrics), None)
    if found is not None and frame[found].isna().all():
        raise UnknownColumn(f"no run has a best {printable(name, 60)!r}: all that they have printed of it is nan")
    if found is not None:
        return frame[found]
    raise UnknownColumn(
        f"no run has printed a metric {printable(name, 60)!r}",
        hint=instead_of(name, metrics) if metrics else "What is printed as `loss: 0.3` or `loss=0.3` is one.",
    )


def _text(output: Mapping[Stream, KeptOutput], stream: Stream) -> str | None:
    return output[stream].text if stream in output else None
