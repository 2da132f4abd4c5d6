"""From the history to pandas: the DataFrame of runs."""

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from ..kept import Pruned
from ..values.facts import Fact
from . import accessor, arrays
from .frames import FOUND_BY, seen_now

if TYPE_CHECKING:
    import pandas as pd

    from ..run_history.searching import Found

COLUMNS = (
    *("run_id", "process_id", "execution_id", "name", "status", "status_detail", "language"),
    *("launched_at", "started_at", "completed_at", "seen_at", "execution_time", "exit_code"),
    *("connection", "sandbox", "sweep_id", "rerun_of", "workdir", "timeout", "env_names"),
    *("notebook", "cell", "version", "code_hash", "launched_here", "values_in", "values_out", "displays"),
    *("stdout_bytes", "stderr_bytes", "leftovers", "peak_memory_bytes", "cpu_seconds"),
)
"""The columns of every DataFrame of runs, in this order, also when it is empty; params and tags come behind them."""


def _names(values: list[str]) -> Any:
    return arrays.texts([", ".join(json.loads(value)) if value != "[]" else None for value in values])


def _names_of_values(values: list[str | None]) -> Any:
    """The names in each list of facts; many runs have the same one."""
    found: dict[str | None, tuple[str, ...]] = {None: ()}
    for text in values:
        if text is not None and text not in found:
            found[text] = tuple(fact.name for fact in msgspec.json.decode(text, type=list[Fact]))
    return arrays.objects([found[text] for text in values])


_ARRAYS: dict[str, Callable[[list[Any]], Any]] = {
    "status": arrays.statuses_from_codes,
    **dict.fromkeys(("launched_at", "started_at", "completed_at", "seen_at"), arrays.times_from_microseconds),
    **dict.fromkeys(("exit_code", "timeout"), arrays.integers),
    **dict.fromkeys(("stdout_bytes", "stderr_bytes", "displays", "leftovers", "peak_memory_bytes"), arrays.integers),
    **dict.fromkeys(("execution_time", "cpu_seconds"), arrays.floats),
    "launched_here": arrays.truths,
    "env_names": _names,
    **dict.fromkeys(("values_in", "values_out"), _names_of_values),
}
"""What makes a column that is not of texts."""

_OUTPUTS = ("code", "stdout", "stderr")


def runs_frame(columns: Mapping[str, Sequence[Any]]) -> "pd.DataFrame":
    """One row a run, in the order of the columns, which are as the history has them.

    `status` is an ordered categorical of all statuses, times are `datetime64[us, UTC]`, whole numbers are `Int64`,
    `execution_time` and `timeout` are seconds, texts are `str`. `seen_at` is when that state was last seen. A parameter
    is a column `param.NAME` of `Int64`, float, `str` or `boolean`, or of objects where they are mixed or one is None:
    there a list is a tuple, and `pd.NA` stands for a run without that parameter. A tag is a column `tag.NAME` of `str`.
    `values_in` and `values_out` are tuples of names, of the variables that a cell got and has kept, and `displays` is
    how many displays it had. Where a run was seen on a GPU there is `peak_gpu_memory_bytes`.
    With them asked for, `code`, `stdout` and `stderr` stand between.
    """
    import pandas as pd

    accessor.register()
    made = {name: _ARRAYS.get(name, arrays.texts)(list(columns[name])) for name in COLUMNS}
    if any(size is not None for size in columns["peak_gpu_memory_bytes"]):
        made["peak_gpu_memory_bytes"] = arrays.integers(list(columns["peak_gpu_memory_bytes"]))
    made |= {name: arrays.texts(list(columns[name])) for name in _OUTPUTS if name in columns}
    for kind in ("param", "tag"):
        made |= {f"{kind}.{name}": values for name, values in _spread(list(columns[f"{kind}s"])).items()}
    return seen_now(pd.DataFrame(made, copy=False))


def _spread(texts: list[str]) -> dict[str, Any]:
    """A column for each name in the JSON objects, in the order in which the names first appear."""
    if texts.count("{}") == len(texts):
        return {}
    rows = _decoded(texts)
    names = dict.fromkeys(itertools.chain.from_iterable(dict.fromkeys(map(tuple, rows))))  # which most have in common
    return {name: arrays.plain_values(_values_of(rows, name)) for name in names}


def _values_of(rows: list[dict[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:  # some have none
        return [row.get(name, arrays.ABSENT) for row in rows]


def _decoded(texts: list[str]) -> list[dict[str, Any]]:
    array = f"[{','.join(texts)}]"
    try:
        return msgspec.json.decode(array, type=list[dict[str, Any]])
    except msgspec.DecodeError:  # NaN and Infinity, which JSON proper has not
        decoded: list[dict[str, Any]] = json.loads(array)
        return decoded


def lines_frame(lines: Sequence["Found"], pattern: re.Pattern[str]) -> "pd.DataFrame":
    """One row a line in which the pattern was found in an output, in this order."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "run_id": arrays.texts([found.run.run_id for found in lines]),
            "name": arrays.texts([found.run.name for found in lines]),
            "status": arrays.statuses([found.run.status for found in lines]),
            "stream": arrays.texts([found.stream for found in lines]),
            "line": arrays.integers([found.number for found in lines]),
            "text": arrays.texts([found.text for found in lines]),
        }
    )
    frame.attrs[FOUND_BY] = (pattern.pattern, bool(pattern.flags & re.IGNORECASE))
    return seen_now(frame)


def pruned_frame(pruned: Sequence[Pruned]) -> "pd.DataFrame":
    """One row a run that goes, or whose output goes: `goes` says which, `output_mb` how much output that is."""
    import pandas as pd

    return pd.DataFrame(
        {
            "run_id": arrays.texts([run.run_id for run in pruned]),
            "name": arrays.texts([run.name for run in pruned]),
            "status": arrays.statuses([run.status for run in pruned]),
            "launched_at": arrays.times([run.launched_at for run in pruned]),
            "goes": arrays.texts(["run and output" if run.whole else "output" for run in pruned]),
            "output_mb": arrays.floats([run.bytes / 1e6 for run in pruned]),
        }
    )
