"""`df.hopx`: sums, metrics and pictures of the DataFrames of processes and of runs."""

import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from ..errors import NameWarning, UnknownColumn
from ..output.oneline import printable
from ..words import ENDED, STATUSES, STREAMS, Stream
from . import arrays, figures, sweep_pictures, timeline

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from ..output.metrics import Metric

NAMED = 12
"""How many columns an error names."""

_PREFIXES = ("param.", "tag.")
_REPEATS = frozenset({"seed", "random_state", "fold", "trial"})
"""Params that make several runs of the same, over which a picture shows the spread."""

_AS_WRITTEN = {0x2400 + code: code for code in range(0x20)} | {0x2421: 0x7F}
"""From the symbols (`␛`) that a DataFrame holds in place of control characters back to these."""


def register() -> None:
    """Gives all DataFrames the attribute `hopx`. To call it again does no harm."""
    import pandas as pd

    if getattr(pd.DataFrame, "hopx", None) is not HopxAccessor:
        pd.api.extensions.register_dataframe_accessor("hopx")(HopxAccessor)


class HopxAccessor:
    """What `df.hopx` is: for the DataFrames of `%hopx_ps` and `%hopx_history`, whole or a part of their rows.

    A method that needs a column which is not there raises UnknownColumn, a ValueError. The pictures need matplotlib:
    without it they raise HopxError.
    """

    def __init__(self, frame: "pd.DataFrame") -> None:
        self._frame = frame

    def __repr__(self) -> str:
        return (
            "df.hopx has by_status(), by(column), metrics(), timeline(), durations(), sweep(metric), curves(metric); "
            "help(df.hopx) tells more"
        )

    def by_status(self) -> "pd.DataFrame":
        """One row a status, all of them: `count`, and `median_time` and `max_time`, the execution time in seconds.

        Of running ones, as far as it is known, it is their time so far.
        """
        import pandas as pd

        made = pd.DataFrame({"status": self._statuses(), "time": self._column("execution_time")})
        return made.groupby("status", observed=False).agg(
            count=("status", "size"), median_time=("time", "median"), max_time=("time", "max")
        )

    def by(self, column: str) -> "pd.DataFrame":
        """One row a value of `column`, also for a missing one: `count`, and how many `completed` and `failed`.

        None is a value of its own, which pandas' `groupby` takes for missing.

        `median_time` and `max_time` are the execution time of those that have ended, in seconds. `lr` means `param.lr`
        or `tag.lr` where no column is called so. Values that can't be compared, such as lists, go by their texts.
        """
        import pandas as pd

        statuses, keys = self._statuses(), self._keys(column)
        made = pd.DataFrame(
            {
                "completed": statuses == "completed",
                "failed": statuses == "failed",
                "time": self._column("execution_time").where(statuses.isin(ENDED)),
            }
        )
        return made.groupby(keys, dropna=False, observed=True).agg(
            count=("completed", "size"),
            completed=("completed", "sum"),
            failed=("failed", "sum"),
            median_time=("time", "median"),
            max_time=("time", "max"),
        )

    def metrics(self, pattern: str | None = None, *, all: bool = False) -> "pd.DataFrame":  # noqa: A002
        """The numbers that the runs name in their output, beside what tells the runs apart.

        One row a run, in this DataFrame's order and with its index: its id, name, params and tags, and a float64 column
        for each metric with its last value, where stdout counts more than stderr. A metric whose name is that of
        another column becomes `metric.NAME`, and that of a param which is a number is none: it was printed to be read.
        Without a `pattern` that are the first 100 of each run, and a warning tells where there are more.

        With `all` one row a value: the `stream`, the `line` in it, `metric` and `value`, behind the same columns.

        `hopx_magics.output.metrics_in` says what is a metric, and what `pattern` may be: a regular expression that
        finds other ones. Raises ValueError for a bad one.
        """
        from ..output.metrics import MOST_METRICS

        found = self._found(pattern)
        about = self._frame[self._telling_apart()]
        if all:
            return _every_value(about, found)
        bounded = found if pattern else _first_metrics(found, MOST_METRICS)
        if len(bounded) < len(found):
            warnings.warn(
                f"only the first {MOST_METRICS} metrics of each run are columns, some have more: metrics(pattern) has "
                "all that a pattern finds, and metrics(all=True) all values as rows",
                NameWarning,
                stacklevel=2,
            )
        return _last_values(about, bounded)

    def timeline(self, ax: "Axes | None" = None, *, packed: bool = False) -> "Axes":
        """A picture of when the runs waited and ran, in local time: a row for each, in `ax` or a new figure.

        `packed` puts runs into one row that did not run at the same time, so that the height is how many ran at once;
        how long they waited is left out then.
        """
        for name in ("started_at", "completed_at"):
            self._column(name)
        return timeline.timeline(self._frame.assign(status=self._statuses()), ax, packed=packed)

    def durations(self, by: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """A picture of how long those that have ended took, in `ax` or a new figure: a point for each, a row a group.

        They are grouped by the column `by`, `lr` being short for `param.lr`, or by name. Five and more have a box.
        """
        self._column("execution_time")
        keys = self._keys("name" if by is None else by)
        return timeline.durations(self._frame.assign(status=self._statuses()), keys, ax)

    def sweep(self, metric: str, *params: str, ax: "Axes | None" = None) -> "Axes":
        """A picture of a metric over the params that were varied, in `ax` or a new figure.

        Of one param a curve, with a band from the least to the greatest where several runs have its value; of two a
        heat map; of more, parallel coordinates. `params` chooses among them, the others are averaged over; without it
        all that vary count but `seed`, `random_state`, `fold` and `trial`, which only repeat.

        `metric` is a column, or one that `metrics` finds in the output: its last value.
        """
        values = self._metric(metric)
        return sweep_pictures.sweep(values.rename(metric), self._params(params), ax)

    def curves(self, metric: str, by: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """A picture of how a metric went on in each run, in `ax` or a new figure: all values that it printed.

        Runs of one value of the column `by`, `lr` being short for `param.lr`, have one colour, and their mean a line
        with a band from the least to the greatest. Without `by` that is the first param that varies, else each run has
        its own colour.
        """
        found = [each for each in self._found(None) if each.metric.name == metric]
        self._check_metric(metric, bool(found))
        stream = "stdout" if any(each.stream == "stdout" for each in found) else "stderr"
        values: dict[int, list[float]] = {row: [] for row in range(len(self._frame))}
        for each in found:
            if each.stream == stream:
                values[each.row].append(each.metric.value)
        return sweep_pictures.curves(list(map(_as_series, values.values())), self._groups(by), metric, ax)

    def _metric(self, name: str) -> "pd.Series":
        """The metric as a column of this DataFrame, or as the last value that the runs have printed."""
        if name in self._frame.columns:
            return self._numbers(name)
        if not set(STREAMS) & set(self._frame.columns):
            found = self._frame
        else:
            printed = [each for each in self._found(None) if each.metric.name == name]
            found = _last_values(self._frame[self._telling_apart()], printed)
        column = name if name in found.columns else f"metric.{name}"
        self._check_metric(name, column in found.columns)
        return found.get(column, _as_series([]))

    def _numbers(self, name: str) -> "pd.Series":
        import pandas as pd

        values = pd.to_numeric(self._frame[name], errors="coerce").astype("float64")
        self._check_metric(name, self._frame.empty or bool(values.notna().any()))
        return values

    def _check_metric(self, name: str, is_there: bool) -> None:
        if is_there or self._frame.empty:
            return
        if not set(STREAMS) & set(self._frame.columns):
            raise UnknownColumn(
                f"this DataFrame has no column {printable(name, 60)!r} and no output",
                hint="Use that of %hopx_history --output, or of %hopx_ps.",
            )
        names = list(dict.fromkeys(each.metric.name for each in self._found(None)))
        near = get_close_matches(name, names, n=1)
        there = f"there are {', '.join(printable(each, 40) for each in names[:NAMED])}" if names else "none has any"
        raise UnknownColumn(
            f"no run has printed a metric {printable(name, 60)!r}",
            hint=f"Did you mean {near[0]!r}?" if near else f"Of metrics, {there}.",
        )

    def _params(self, names: Sequence[str]) -> "pd.DataFrame":
        """The params of that name, or those that vary and are no mere repetition."""
        import pandas as pd

        if names:
            keys = [self._keys(name) for name in names]
            return pd.concat(keys, axis=1) if len(self._frame) else self._frame[[str(key.name) for key in keys]]
        varied = [
            name
            for name in map(str, self._frame.columns)
            if name.startswith("param.") and len(set(map(figures.text_of, self._frame[name]))) > 1
        ]
        return self._frame[[name for name in varied if name.removeprefix("param.") not in _REPEATS]]

    def _groups(self, by: str | None) -> "pd.Series":
        """What tells the colours of runs apart."""
        if by is not None:
            return self._keys(by)
        varied = self._params(())
        if varied.shape[1]:
            return varied.iloc[:, 0]
        labels = self._frame[self._telling_apart()[0]] if self._telling_apart() else self._frame.index.to_series()
        return labels.astype(str).rename("run")

    def _column(self, name: str) -> "pd.Series":
        if name not in self._frame.columns:
            raise UnknownColumn(
                f"this DataFrame has no column {name!r}",
                hint=".hopx is for the DataFrames of %hopx_ps and %hopx_history.",
            )
        return self._frame[name]

    def _statuses(self) -> "pd.Series":
        """The statuses as `%hopx_ps` has them, also when the DataFrame has gone through a file since."""
        import pandas as pd

        texts = self._column("status").astype("object")
        known = texts.where(texts.isin(STATUSES), "unknown")
        return known.astype(pd.CategoricalDtype(list(STATUSES), ordered=True))

    def _keys(self, column: str) -> "pd.Series":
        """The values of a column, or of a param or tag of that name, such that they can be compared."""
        columns = self._frame.columns
        named = [name for name in (column, *(prefix + column for prefix in _PREFIXES)) if name in columns]
        if not named:
            raise UnknownColumn(
                f"there is no column {printable(str(column), 60)!r}", hint=_columns_hint(column, columns)
            )
        keys = self._frame[named[0]]
        return _comparable(keys) if keys.dtype == "object" else keys

    def _telling_apart(self) -> list[str]:
        columns = list(map(str, self._frame.columns))
        ids = [name for name in ("run_id", "process_id") if name in columns][:1]
        return [*ids, *(name for name in columns if name == "name" or name.startswith(_PREFIXES))]

    def _found(self, pattern: str | None) -> list["_Found"]:
        from ..output.metrics import metrics_in  # its patterns take milliseconds to compile

        known = () if pattern else self._numeric_params()
        streams = [stream for stream in STREAMS if stream in self._frame.columns]
        if not streams:
            raise UnknownColumn(
                "this DataFrame has no output", hint="Use that of %hopx_history --output, or of %hopx_ps."
            )
        metrics_in("", pattern)  # tells of a bad pattern also where there is no output
        return [
            _Found(row, stream, metric)
            for stream in streams
            for row, text in enumerate(self._frame[stream])
            if isinstance(text, str)
            for metric in metrics_in(text if text.isascii() else text.translate(_AS_WRITTEN), pattern)
            if metric.name not in known
        ]

    def _numeric_params(self) -> set[str]:
        names = [name for name in map(str, self._frame.columns) if name.startswith("param.")]
        return {name.removeprefix("param.") for name in names if any(map(_is_number, self._frame[name]))}


def _columns_hint(column: str, columns: "pd.Index") -> str:
    """The column that was meant, or those that there are: params and tags first."""
    names = sorted(map(str, columns), key=lambda name: not name.startswith(_PREFIXES))
    short = {name.removeprefix("param.").removeprefix("tag."): name for name in reversed(names)}
    near = get_close_matches(str(column), [*short, *names], n=1)
    if near:
        return f"Did you mean {short.get(near[0], near[0])!r}?"
    more = f" and {len(names) - NAMED} more: df.columns has all" if len(names) > NAMED else ""
    return f"There are {', '.join(printable(name, 40) for name in names[:NAMED])}{more}."


def _as_series(values: Sequence[float]) -> "pd.Series":
    import pandas as pd

    return pd.Series(values, dtype="float64")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and value == value


class _Found(NamedTuple):
    row: int
    stream: Stream
    metric: "Metric"


def _comparable(values: "pd.Series") -> "pd.Series":
    """Texts instead of lists, and of values of several kinds, which have no order; True would also equal 1.

    None, which pandas takes for missing, has its word.
    """
    import pandas as pd

    kinds = set(map(type, values.dropna()))
    as_they_are = kinds <= {int, float} or (len(kinds) == 1 and kinds <= {str, bool})
    labels = [
        "None" if value is None else value if missing or as_they_are else str(value)
        for value, missing in zip(values, values.isna(), strict=True)
    ]
    return pd.Series(labels, index=values.index, name=values.name, dtype="object")


def _first_metrics(found: list[_Found], most: int) -> list[_Found]:
    """Of each run what it has printed of its first metrics, at most so many."""
    names: dict[int, set[str]] = {}
    for each in found:
        of_run = names.setdefault(each.row, set())
        if len(of_run) < most:
            of_run.add(each.metric.name)
    return [each for each in found if each.metric.name in names[each.row]]


def _last_values(about: "pd.DataFrame", found: list[_Found]) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    columns = {name: np.full(len(about), np.nan) for name in dict.fromkeys(each.metric.name for each in found)}
    for row, _, metric in sorted(found, key=lambda each: each.stream == "stdout"):
        columns[metric.name][row] = metric.value
    named = {f"metric.{name}" if name in about.columns else name: values for name, values in columns.items()}
    return pd.concat([about, pd.DataFrame(named, index=about.index)], axis=1)


def _every_value(about: "pd.DataFrame", found: list[_Found]) -> "pd.DataFrame":
    import pandas as pd

    values = {
        "stream": arrays.texts([each.stream for each in found]),
        "line": arrays.integers([each.metric.line for each in found]),
        "metric": arrays.texts([each.metric.name for each in found]),
        "value": arrays.floats([each.metric.value for each in found]),
    }
    rows = about.iloc[[each.row for each in found]].reset_index(drop=True)
    return pd.concat([rows, pd.DataFrame(values)], axis=1)
