"""Runs as pictures, drawn with matplotlib: when they waited and ran, and how long they took."""

import heapq
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..output.oneline import printable
from ..words import ENDED, STATUSES, Status
from .figures import LONGEST_LABEL, axes_for, check_matplotlib, finish, finish_rows, label_of, plain, saying, text_of
from .run_name import LONGEST_VALUE, cut_in_middle, told_apart

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from pandas.core.groupby import DataFrameGroupBy

# Okabe and Ito's, which people with any kind of colour vision tell apart; they are seen on white and on black.
COLOURS: dict[Status, str] = {
    "queued": "#999999",
    "running": "#56b4e9",
    "completed": "#009e73",
    "failed": "#d55e00",
    "killed": "#cc79a7",
    "unknown": "#e69f00",
}
_PALE = 0.4
_ROW, _GROUP = 0.26, 0.36  # inches

_BOX_FROM = 5
_MOST_BOXES = 100
_GOLDEN = 0.618  # its multiples are spread evenly, however many there are
_CALENDAR = (datetime(1900, 1, 1), datetime(2200, 1, 1))
_SECOND = 1 / 86400  # matplotlib counts days
_SHORT = 3600.0  # seconds of a picture that tells times since its beginning, and not by the clock
_UNITS = {"s": "seconds", "min": "minutes"}
_GAP, _WIDE = 0.003, 0.01  # parts of a picture: what is between bars that touch, and bars that have room for it


def timeline(frame: "pd.DataFrame", ax: "Axes | None" = None, *, packed: bool = False) -> "Axes":
    """Each run as a bar: pale while it waited, then in the colour of its status. What never started ends with a mark.

    The oldest is on top. Times are since the first launch, or by the clock where that is long ago. A new figure has no
    ground of its own, so that it fits light and dark pages, unless matplotlib has been given a style.

    `frame` has `status`, `started_at` and `completed_at`, and better also `launched_at`, `seen_at`, `name` and an id.
    What still runs goes on until now. `packed` has only what did start, in as few rows as possible.

    Raises HopxError when matplotlib is not installed.
    """
    check_matplotlib()
    spans = _spans(frame)
    if packed:
        spans = spans[spans["start"].notna()]
        spans = _in_order(spans.assign(begin=spans["start"]))
    lanes = _lanes(spans["begin"], spans["end"]) if packed else list(range(len(spans)))
    ax = axes_for(ax, _ROW * len(set(lanes)))
    if spans.empty:
        return saying(ax, "no runs" if frame.empty else "no runs that have started")
    _draw_spans(ax, (_parted(spans) if packed else spans).assign(lane=lanes))
    left_out = len(frame) - len(spans)
    note = f"{left_out} of {len(frame)} have not started and are left out" if left_out else ""
    ax.set_xlabel("; ".join(filter(None, (_finish_times(ax, spans), note))))
    if packed:
        _finish_lanes(ax, max(lanes))
    else:
        finish_rows(ax, _labels(frame.iloc[spans["row"]]))
    return ax


def durations(frame: "pd.DataFrame", groups: "pd.Series", ax: "Axes | None" = None) -> "Axes":
    """The execution times of those that have ended: a point for each, in a row for each value of `groups`.

    Groups of five and more also have a box from quartile to quartile. `frame` has `status` and `execution_time`.

    Raises HopxError when matplotlib is not installed.
    """
    import pandas as pd

    check_matplotlib()
    runs = pd.DataFrame({"status": frame["status"], "time": frame["execution_time"], "group": groups})
    runs = runs[runs["status"].isin(ENDED) & runs["time"].between(0, math.inf, inclusive="left")]
    size, unit = _unit(runs["time"].max())
    grouped = runs.assign(time=runs["time"] / size).groupby("group", dropna=False, observed=True)
    found = list(grouped["time"])
    ax = axes_for(ax, _GROUP * len(found))
    if not found:
        return saying(ax, "no runs that have ended")
    if len(found) <= _MOST_BOXES:
        _draw_boxes(ax, [times for _, times in found])
    _draw_points(ax, grouped)
    finish_rows(ax, [text_of(value) for value, _ in found])
    ax.set_xlim(left=0)
    ax.set_xlabel(f"execution time ({unit})")
    ax.set_ylabel(plain(str(groups.name).removeprefix("param.").removeprefix("tag.")), parse_math=False)
    return ax


# ---------------------------------------------------------------- when


def _spans(frame: "pd.DataFrame") -> "pd.DataFrame":
    """When each run begins, starts and ends, in days as matplotlib counts them, in the order of their beginnings.

    `row` is its place in `frame`. It begins with its launch as far as that is known. What has no time is left out.
    """
    import numpy as np
    import pandas as pd

    launched, started, completed, seen = (
        _days(frame.get(name), len(frame)) for name in ("launched_at", "started_at", "completed_at", "seen_at")
    )
    status = frame["status"].astype("object").to_numpy()
    now = _days(pd.Series([pd.Timestamp.now("UTC")]), 1)
    # The launch is told by this machine's clock and the rest by the agent's: each may be before the other.
    begin = np.fmin(launched, started)
    begin = np.where(np.isnan(begin), completed, begin)
    end = np.where(np.isin(status, ("queued", "running")), now, completed)
    end = np.where((status == "unknown") & np.isnan(end), seen, end)
    end = np.fmax(np.fmax(end, started), begin)
    spans = pd.DataFrame({"row": range(len(frame)), "status": status, "begin": begin, "start": started, "end": end})
    return _in_order(spans.dropna(subset="begin"))


def _in_order(spans: "pd.DataFrame") -> "pd.DataFrame":
    """The oldest first; those of a sweep, which are launched at one moment, as they started."""
    return spans.sort_values(["begin", "start", "end"], kind="stable")


def _days(moments: "pd.Series | None", count: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Moments as matplotlib counts them. What no calendar of people's runs has is moved to its nearest end."""
    import numpy as np
    import pandas as pd
    from matplotlib.dates import date2num

    if moments is None:
        return np.full(count, np.nan)
    times = pd.to_datetime(moments, utc=True, errors="coerce").dt.tz_localize(None).to_numpy()
    days: np.ndarray[Any, np.dtype[np.float64]] = date2num(times)  # type: ignore[no-untyped-call]
    return np.clip(days, *date2num(_CALENDAR))  # type: ignore[no-untyped-call]


def _lanes(begins: Iterable[float], ends: Iterable[float]) -> list[int]:
    """For each span the first lane that is free, from 1; the spans come in the order of their beginnings."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    lanes = []
    for begin, end in zip(begins, ends, strict=True):
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy) + 1
        heapq.heappush(busy, (end, lane))
        lanes.append(lane)
    return lanes


def _draw_spans(ax: "Axes", spans: "pd.DataFrame") -> None:
    pale = (COLOURS["queued"], _PALE)
    until = spans["start"].fillna(spans["end"])
    waited = until > spans["begin"]
    _draw_bars(ax, spans["begin"][waited], until[waited], spans["lane"][waited], pale)
    shown: dict[Status, Any] = {"queued": pale} if waited.any() else {}
    for status in STATUSES:
        runs = spans[spans["status"] == status]
        if status != "queued" and len(runs):
            _draw_bars(ax, runs["start"].fillna(runs["end"]), runs["end"], runs["lane"], COLOURS[status])
            shown[status] = COLOURS[status]
    _draw_legend(ax, shown)


def _draw_bars(ax: "Axes", begin: "pd.Series", end: "pd.Series", lane: "pd.Series", colour: Any) -> None:
    """One collection for all bars: ten thousand patches take seconds."""
    import numpy as np
    from matplotlib.collections import PolyCollection

    left, right, low, high = begin.to_numpy(), end.to_numpy(), lane.to_numpy() - 0.38, lane.to_numpy() + 0.38
    corners = np.array([[left, low], [left, high], [right, high], [right, low]]).transpose(2, 0, 1)
    # With its edge, what is shorter than a pixel is still seen.
    ax.add_collection(PolyCollection(list(corners), facecolors=[colour], edgecolors=[colour], linewidths=0.8))


def _parted(spans: "pd.DataFrame") -> "pd.DataFrame":
    """With a gap before each bar that is wide enough for one, as those of one lane may touch."""
    whole = spans["end"].max() - spans["begin"].min()
    begin = (spans["begin"] + _GAP * whole).where(spans["end"] - spans["begin"] > _WIDE * whole, spans["begin"])
    return spans.assign(begin=begin, start=begin)


def _finish_times(ax: "Axes", spans: "pd.DataFrame") -> str:
    """What stands below the axis."""
    first, last = spans["begin"].min(), max(spans["end"].max(), spans["begin"].min() + _SECOND)
    ax.set_xlim(first - 0.01 * (last - first), last + 0.01 * (last - first))
    if (length := (last - first) / _SECOND) < _SHORT:
        return _count_times(ax, first, length)
    _tell_times(ax)
    return ""


def _count_times(ax: "Axes", first: float, length: float) -> str:
    from dateutil.tz import tzlocal  # type: ignore[import-untyped]
    from matplotlib.dates import num2date
    from matplotlib.ticker import MaxNLocator

    size, unit = _unit(length)
    ticks = MaxNLocator(nbins=8, steps=[1, 2, 5, 10]).tick_values(0, length / size)
    ticks = [tick for tick in ticks if 0 <= tick <= length / size]
    ax.set_xticks([first + tick * size * _SECOND for tick in ticks], [f"{tick:g}" for tick in ticks])
    begun = num2date(first, tzlocal())  # type: ignore[no-untyped-call]
    return f"{_UNITS[unit]} since {begun:%Y-%m-%d %H:%M:%S}"


def _tell_times(ax: "Axes") -> None:
    from dateutil.tz import tzlocal
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    here = tzlocal()
    locator = AutoDateLocator(tz=here)  # type: ignore[no-untyped-call]
    ax.xaxis_date(here)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=here))  # type: ignore[no-untyped-call]


def _finish_lanes(ax: "Axes", count: int) -> None:
    """Lanes upwards: the highest is how many ran at once."""
    from matplotlib.ticker import MaxNLocator

    ax.set_ylim(0.4, count + 0.6)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.set_ylabel("runs at once")
    finish(ax)


# ---------------------------------------------------------------- how long


def _unit(longest: float) -> tuple[float, str]:
    """What to divide seconds by, and the unit that they are in then."""
    if longest >= 7200:
        return 3600.0, "h"
    return (60.0, "min") if longest >= 120 else (1.0, "s")


def _draw_boxes(ax: "Axes", groups: Sequence["pd.Series"]) -> None:
    boxed = [(row, times) for row, times in enumerate(groups) if len(times) >= _BOX_FROM]
    if not boxed:
        return
    grey, front = COLOURS["queued"], ax.xaxis.label.get_color()
    ax.boxplot(
        [times.to_numpy() for _, times in boxed],
        positions=[row for row, _ in boxed],
        orientation="horizontal",
        widths=0.62,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": "none", "edgecolor": grey},
        whiskerprops={"color": grey},
        capprops={"color": grey},
        medianprops={"color": front, "linewidth": 1.5},
        zorder=1,
    )


def _draw_points(ax: "Axes", grouped: "DataFrameGroupBy[Any, Any]") -> None:
    """Each run in the colour of its status; those of one row are a little apart, the same way each time."""
    runs = grouped.obj
    large = grouped["time"].transform("size") >= _BOX_FROM
    apart = (grouped.cumcount() * _GOLDEN % 1 - 0.5).where(large, 0.0)
    rows = grouped.ngroup() + 0.45 * apart
    size = 30 if len(runs) < 200 else 12
    shown = {status: COLOURS[status] for status in STATUSES if (runs["status"] == status).any()}
    for status, colour in shown.items():
        chosen = runs["status"] == status
        ax.scatter(runs["time"][chosen], rows[chosen], s=size, color=colour, alpha=0.8, linewidths=0, zorder=2)
    if len(shown) > 1:
        _draw_legend(ax, shown)


def _draw_legend(ax: "Axes", shown: dict[Status, Any]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=status) for status, colour in shown.items()]
    ax.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(handles),
        frameon=False,
        handlelength=1,
        handleheight=1,
        labelcolor=ax.xaxis.label.get_color(),
    )


# ---------------------------------------------------------------- labels


def _labels(frame: "pd.DataFrame") -> list[str]:
    """The names, or the beginnings of the ids, with what the runs were given: first that in which they differ."""
    ids = next((frame[name] for name in ("run_id", "process_id") if name in frame.columns), frame.index)
    names = frame["name"] if "name" in frame.columns else ids
    called = (name if isinstance(name, str) and name else str(id_)[:12] for name, id_ in zip(names, ids, strict=True))
    titles = map(told_apart, map(_short, called), _given(frame))
    return [cut_in_middle(title, LONGEST_LABEL) for title in titles]


def _short(text: str) -> str:
    return cut_in_middle(printable(text, LONGEST_VALUE), LONGEST_LABEL)


def _given(frame: "pd.DataFrame") -> list[dict[str, str]]:
    """The params of each run, without those that it has not."""
    columns = [column for column in map(str, frame.columns) if column.startswith("param.")]
    texts = {column: list(map(label_of, frame[column])) for column in columns}
    columns.sort(key=lambda column: len(set(texts[column])) < 2)
    names = {column: printable(column.removeprefix("param."), LONGEST_LABEL) for column in columns}
    rows = zip(*(texts[column] for column in columns), strict=True) if columns else [()] * len(frame)
    return [{names[column]: text for column, text in zip(columns, row, strict=True) if text} for row in rows]
