"""Sweeps as pictures, drawn with matplotlib: a metric over what was varied, and how it went on in each run."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .figures import axes_for, check_matplotlib, plain, saying, text_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_DISTINCT = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
"""Okabe and Ito's, which people with any kind of colour vision tell apart."""

_ORDERED = "viridis"
_HEIGHT, _CELL = 3.4, 0.42  # inches
_MOST_NAMED = 12
_MOST_WRITTEN = 144
"""Cells of a heat map whose numbers are written into them."""

_DECADES = 1.5
"""Powers of ten that positive numbers span before their axis becomes logarithmic."""


def sweep(values: "pd.Series", params: "pd.DataFrame", ax: "Axes | None" = None) -> "Axes":
    """The metric `values` of each run over its params: of one a curve, of two a heat map, of more parallel coordinates.

    Runs of equal params are one point, their mean; a band goes from the least to the greatest of them. Raises HopxError
    when matplotlib is not installed.
    """
    check_matplotlib()
    known = values.notna()
    values, params = values[known].astype("float64"), params[known]
    if values.empty:
        return saying(axes_for(ax, 0), f"no run has a value of {plain(str(values.name))}")
    if params.shape[1] <= 1:
        return _draw_curve(values, params, ax)
    return _draw_map(values, params, ax) if params.shape[1] == 2 else _draw_parallels(values, params, ax)


def curves(series: Sequence["pd.Series"], groups: "pd.Series", what: str, ax: "Axes | None" = None) -> "Axes":
    """How a metric went on in each run: `series` are its values in the order in which they were printed.

    Runs of the same value in `groups` have one colour, and two and more of them their mean as a line, with a band from
    the least to the greatest. Raises HopxError when matplotlib is not installed.
    """
    check_matplotlib()
    shown = [(one, key) for one, key in zip(series, groups, strict=True) if len(one)]
    ax = axes_for(ax, _HEIGHT)
    if not shown:
        return saying(ax, f"no run has a value of {plain(what)}")
    scale = _Scale.of([key for _, key in shown])
    for number in range(len(scale.labels)):
        _draw_group(ax, [one for one, key in shown if scale.place(key) == number], scale, number)
    _count(ax)
    _label(ax.set_xlabel, "value printed, counted from 1")
    _label(ax.set_ylabel, what)
    _finish(ax)
    scale.explain(ax, str(groups.name))
    return ax


# ---------------------------------------------------------------- one parameter, or none


def _draw_curve(values: "pd.Series", params: "pd.DataFrame", ax: "Axes | None") -> "Axes":
    import numpy as np

    ax = axes_for(ax, _HEIGHT)
    keys = list(params.iloc[:, 0] if params.shape[1] else range(len(values)))
    scale = _Scale.of(keys)
    places = np.array([scale.at(key) for key in keys])
    at = np.unique(places)
    groups = [values.to_numpy()[places == place] for place in at]
    means, front = [group.mean() for group in groups], _DISTINCT[0]
    if scale.is_number and len(at) > 1 and params.shape[1]:
        least, most = zip(*((group.min(), group.max()) for group in groups), strict=True)
        ax.fill_between(at, least, most, color=front, alpha=0.18, linewidth=0)
        ax.plot(at, means, color=front, linewidth=1.6)
    else:
        ax.hlines(means, at - 0.2, at + 0.2, color=front)
    ax.scatter(places, values, s=22, color=front, alpha=0.75, linewidths=0, zorder=2)
    _finish_places(ax, scale)
    _label(ax.set_xlabel, _short(params.columns[0]) if params.shape[1] else "run")
    _label(ax.set_ylabel, str(values.name))
    _finish(ax)
    return ax


def _finish_places(ax: "Axes", scale: "_Scale") -> None:
    if not scale.is_number:
        ax.set_xticks(range(len(scale.labels)), scale.labels, parse_math=False)
        ax.set_xlim(-0.6, len(scale.labels) - 0.4)
    elif _is_wide(scale.values):
        ax.set_xscale("log")
    elif all(float(value).is_integer() for value in scale.values):
        _count(ax)


# ---------------------------------------------------------------- two parameters


def _draw_map(values: "pd.Series", params: "pd.DataFrame", ax: "Axes | None") -> "Axes":
    """Rows are the first param and columns the second; what no run has is empty."""
    import numpy as np

    down, across = (_Scale.of(list(params[name])) for name in params.columns)
    rows = [down.place(value) for value in params.iloc[:, 0]]
    places = [across.place(value) for value in params.iloc[:, 1]]
    sums, counts = np.zeros((2, len(down.labels), len(across.labels)))
    np.add.at(sums, (rows, places), values.to_numpy())
    np.add.at(counts, (rows, places), 1)
    cells = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    ax = axes_for(ax, max(_HEIGHT, _CELL * len(down.labels)))
    image = ax.imshow(cells, cmap=_ORDERED, aspect="auto", interpolation="nearest")
    if cells.size <= _MOST_WRITTEN:
        _write_cells(ax, cells, image.cmap, image.norm)
    ax.set_xticks(range(len(across.labels)), across.labels, parse_math=False)
    ax.set_yticks(range(len(down.labels)), down.labels, parse_math=False)
    _label(ax.set_ylabel, _short(params.columns[0]))
    _label(ax.set_xlabel, _short(params.columns[1]))
    ax.spines[:].set_visible(False)
    _add_bar(ax, image, str(values.name))
    return ax


def _write_cells(ax: "Axes", cells: "np.ndarray[Any, Any]", colours: "Colormap", norm: Any) -> None:
    import numpy as np

    for (row, column), value in np.ndenumerate(cells):
        if not math.isnan(value):
            red, green, blue, _ = colours(norm(value))
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
            ax.text(column, row, f"{value:.3g}", ha="center", va="center", color=ink, fontsize="small")


# ---------------------------------------------------------------- more parameters


def _draw_parallels(values: "pd.Series", params: "pd.DataFrame", ax: "Axes | None") -> "Axes":
    """An axis for each param and a last one for the metric, which also colours the line of each run."""
    import numpy as np
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    ax = axes_for(ax, _HEIGHT)
    scales = [_Scale.of(list(params[name])) for name in params.columns] + [_Scale.of(list(values))]
    columns = [*(params[name] for name in params.columns), values]
    heights = np.array(
        [[scale.share(value) for value in column] for scale, column in zip(scales, columns, strict=True)]
    )
    colours = ScalarMappable(Normalize(values.min(), values.max()), _ORDERED)
    lines = [np.column_stack([range(len(scales)), heights[:, run]]) for run in range(len(values))]
    ax.add_collection(LineCollection(lines, colors=colours.to_rgba(values.to_numpy()), linewidths=1.4, alpha=0.6))
    front = ax.xaxis.label.get_color()
    for place, scale in enumerate(scales):
        ax.axvline(place, color=front, linewidth=0.8, alpha=0.6)
        for label, height in scale.ticks():
            ax.text(place + 0.02, height, label, va="center", fontsize="small", color=front, parse_math=False)
    names = [*map(_short, params.columns), plain(str(values.name))]
    ax.set_xticks(range(len(names)), names, parse_math=False)
    ax.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.1, len(names) - 0.6))
    ax.spines[:].set_visible(False)
    _add_bar(ax, colours, str(values.name))
    return ax


# ---------------------------------------------------------------- curves


def _draw_group(ax: "Axes", group: Sequence["pd.Series"], scale: "_Scale", number: int) -> None:
    import pandas as pd

    colour = scale.colour(number)
    if len(group) == 1:
        ax.plot(range(1, len(group[0]) + 1), group[0], color=colour, linewidth=1.5, label=scale.labels[number])
        return
    for one in group:
        ax.plot(range(1, len(one) + 1), one, color=colour, linewidth=0.7, alpha=0.4)
    table = pd.concat([one.reset_index(drop=True) for one in group], axis=1)
    steps = table.index + 1
    ax.fill_between(steps, table.min(axis=1), table.max(axis=1), color=colour, alpha=0.15, linewidth=0)
    ax.plot(steps, table.mean(axis=1), color=colour, linewidth=2, label=scale.labels[number])


# ---------------------------------------------------------------- values in a picture


class _Scale(NamedTuple):
    """The distinct values of a param in their order, as places, as colours and as labels."""

    values: list[Any]
    labels: list[str]
    is_number: bool

    @classmethod
    def of(cls, given: Sequence[Any]) -> "_Scale":
        """The scale of these values: numbers in their order, others as they come, each once."""
        import pandas as pd

        distinct = {text_of(value): value for value in given}
        is_number = all(
            (isinstance(value, (int, float)) and not isinstance(value, bool)) or pd.api.types.is_number(value)
            for value in distinct.values()
        ) and not any(pd.isna(value) for value in distinct.values())
        values = sorted(distinct.values()) if is_number else list(distinct.values())
        return cls(values, [text_of(value) for value in values], is_number)

    def place(self, value: Any) -> int:
        """The number of a value among all, from 0."""
        return self.labels.index(text_of(value))

    def at(self, value: Any) -> float:
        """Where it is on an axis of its own: a number at itself, others one after the other."""
        return float(value) if self.is_number else float(self.place(value))

    def share(self, value: Any) -> float:
        """Where it is between the first and the last, from 0 to 1."""
        ends = [self._level(end) for end in (self.values[0], self.values[-1])]
        return 0.5 if ends[0] == ends[1] else (self._level(value) - ends[0]) / (ends[1] - ends[0])

    def ticks(self) -> list[tuple[str, float]]:
        """Labels and where they are: all values if they are few, else the ends."""
        chosen = self.values if len(self.values) <= _MOST_NAMED else [self.values[0], self.values[-1]]
        return [(f"{value:.4g}" if self.is_number else text_of(value), self.share(value)) for value in chosen]

    def colour(self, number: int) -> Any:
        """Of few values colours that differ, of more and of numbers a row of them."""
        import matplotlib as mpl

        if not self.is_number and len(self.values) <= len(_DISTINCT):
            return _DISTINCT[number]
        share = self.share(self.values[number]) if self.is_number else number / (len(self.values) - 1)
        return mpl.colormaps[_ORDERED](0.15 + 0.75 * share)  # neither end is seen on both white and black

    def explain(self, ax: "Axes", name: str) -> None:
        """Tells which colour means what, where there is more than one."""
        if len(self.values) > 1:
            handles, labels = ax.get_legend_handles_labels()
            step = math.ceil(len(handles) / _MOST_NAMED)
            front = ax.xaxis.label.get_color()
            legend = ax.legend(handles[::step], labels[::step], title=_short(name), frameon=False, labelcolor=front)
            legend.get_title().set_color(front)

    def _level(self, value: Any) -> float:
        at = self.at(value)
        return math.log10(at) if self.is_number and _is_wide(self.values) else at


def _is_wide(numbers: Sequence[float]) -> bool:
    least, most = min(numbers), max(numbers)
    return least > 0 and math.isfinite(most) and math.log10(most / least) >= _DECADES


def _short(column: object) -> str:
    return plain(str(column).removeprefix("param.").removeprefix("tag."))


def _label(setter: Any, text: str) -> None:
    setter(plain(text), parse_math=False)


def _add_bar(ax: "Axes", colours: Any, name: str) -> None:
    front = ax.xaxis.label.get_color()
    bar = ax.figure.colorbar(colours, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=front)
    bar.set_label(plain(name), color=front)


def _count(ax: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _finish(ax: "Axes") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, alpha=0.25)
    ax.set_axisbelow(True)
