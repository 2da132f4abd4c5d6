"""What all pictures have in common: their size and ground, colours seen on light and dark, and labels of values."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import HopxError
from ..output.oneline import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FRONT = "#7b7b7b"
"""Of words and lines on a ground that may be light or dark: it is as far from white as from JupyterLab's black."""

_WIDTH = 9.0  # inches, as are the others
_LABEL, _AROUND = 0.17, 1.1
_LOWEST, _HIGHEST = 2.0, 11.0

LONGEST_LABEL = 40


def check_matplotlib() -> None:
    """Raises HopxError when matplotlib is not installed."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError:
        raise HopxError("drawing needs matplotlib", hint="pip install 'hopx_magics[plot]'") from None


def axes_for(ax: "Axes | None", height: float) -> "Axes":
    """The given one, or one of a new figure that is so high, within reason."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgba

    size = _WIDTH, min(max(height + _AROUND, _LOWEST), _HIGHEST)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    if to_rgba(plt.rcParams["text.color"]) == to_rgba("black"):  # otherwise somebody has chosen a style
        for ground in (figure.patch, ax.patch):
            ground.set_facecolor("none")
        _tint(ax)
    return ax


def _tint(ax: "Axes") -> None:
    """Has words and lines in a colour that is seen on light and on dark."""
    ax.tick_params(colors=_FRONT)
    ax.spines[:].set_color(_FRONT)
    ax.title.set_color(_FRONT)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_color(_FRONT)
        axis.get_offset_text().set_color(_FRONT)


def saying(ax: "Axes", text: str) -> "Axes":
    """Says in place of a picture why there is none."""
    front = ax.xaxis.label.get_color()
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=front)
    ax.set(xticks=[], yticks=[])
    finish(ax)
    return ax


def finish_rows(ax: "Axes", labels: Sequence[str]) -> None:
    """Rows downwards; as many of them have their labels as there is room for."""
    ax.set_ylim(len(labels) - 0.4, -0.6)
    room = max(1, int(ax.get_window_extent().height / ax.figure.dpi / _LABEL))
    step = math.ceil(len(labels) / room)
    ax.set_yticks(range(0, len(labels), step), labels[::step], parse_math=False)
    finish(ax)


def finish(ax: "Axes") -> None:
    """Leaves of frame and ticks what helps to read."""
    ax.spines[["top", "left", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=True, axis="x", alpha=0.25)
    ax.set_axisbelow(True)


def text_of(value: Any) -> str:
    """A param, or another value, in a label."""
    label = label_of(value)
    return "missing" if label is None else label


def label_of(value: Any) -> str | None:
    """A value in a label; None where it is missing."""
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    return f"{value:.10g}" if isinstance(value, float) else plain(str(value))


def plain(text: str) -> str:
    """The text on one line, as much of it as a label has room for."""
    line = printable(text, LONGEST_LABEL + 1)
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"
