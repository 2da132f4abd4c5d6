"""The pictures: what is drawn where, in which colour and with which words."""

import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.dates import date2num
from matplotlib.text import Text

from hopx_magics.display import accessor
from hopx_magics.display.timeline import COLOURS
from hopx_magics.errors import HopxError
from hopx_magics.words import STATUSES
from tests.contrast import Page

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
Bar = tuple[float, float, float, str]

accessor.register()


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOON + timedelta(seconds=seconds)


def run(status: str, *times: float | None, **others: Any) -> dict[str, Any]:
    """Launched, started and ended so many seconds after noon."""
    launched, started, ended = (*times, None, None, None)[:3]
    times_ = {"launched_at": at(launched), "started_at": at(started), "completed_at": at(ended)}
    lasted = None if started is None or ended is None else ended - started
    return {"status": status, "name": None, "execution_time": lasted, **times_, **others}


def frame_of(*runs: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame([{"run_id": f"0123456789abcdef{number}", **row} for number, row in enumerate(runs)])
    if frame.empty:
        frame = frame.reindex(columns=["run_id", *run("queued")])
    for name in ("launched_at", "started_at", "completed_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    frame["execution_time"] = frame["execution_time"].astype("float64")
    frame["status"] = pd.Categorical(frame["status"], list(STATUSES), ordered=True)
    return frame


def bars(ax: Axes) -> list[Bar]:
    """Row, begin and end in seconds after noon, and colour, from the first row to the last."""
    found = []
    for collection in ax.collections:
        if isinstance(collection, PolyCollection):
            for path in collection.get_paths():
                (left, low), (right, high) = path.vertices.min(axis=0), path.vertices.max(axis=0)
                noon = date2num(NOON)
                seconds = [round(float(side - noon) * 86400, 3) for side in (left, right)]
                found.append(((low + high) / 2, *seconds, to_hex(collection.get_facecolor()[0])))
    return sorted(found)


def words(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def legend(ax: Axes) -> list[str]:
    drawn = ax.get_legend()
    return [] if drawn is None else [text.get_text() for text in drawn.get_texts()]


def draw(ax: Axes) -> Axes:
    """For the warnings and errors that come only then."""
    ax.figure.canvas.draw()
    return ax


PALE = COLOURS["queued"]


def test_a_run_waits_and_then_runs() -> None:
    frame = frame_of(run("failed", 5, 10, 15, name="b"), run("completed", 0, 4, 20, name="a"))
    ax = draw(frame.hopx.timeline())
    assert bars(ax) == [
        (0, 0, 4, PALE),
        (0, 4, 20, COLOURS["completed"]),
        (1, 5, 10, PALE),
        (1, 10, 15, COLOURS["failed"]),
    ]
    assert words(ax) == ["a", "b"], "in the order of their launches"
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "downwards"
    assert legend(ax) == ["queued", "completed", "failed"]


def test_what_still_runs_or_waits_goes_on_until_now() -> None:
    noon = datetime.now(UTC) - NOON
    ax = draw(frame_of(run("running", 0, 5), run("queued", 1)).hopx.timeline())
    (_, _, _, waiting), running, queued = bars(ax)
    assert waiting == queued[3] == PALE
    assert running[3] == COLOURS["running"]
    assert running[2] == pytest.approx(noon.total_seconds(), abs=60) == queued[2]


def test_what_never_started_ends_with_a_mark() -> None:
    ax = draw(frame_of(run("killed", 0, None, 9), run("unknown", 1), run("failed", None, None, 5)).hopx.timeline())
    assert bars(ax) == [
        (0, 0, 9, PALE),
        (0, 9, 9, COLOURS["killed"]),
        (1, 1, 1, COLOURS["unknown"]),
        (2, 5, 5, COLOURS["failed"]),
    ]
    first, last = draw(frame_of(run("killed", 0)).hopx.timeline()).get_xlim()
    assert (last - first) * 86400 == pytest.approx(1, abs=0.1), "one mark alone has some time around it"


def test_unknown_ones_end_when_they_were_last_seen() -> None:
    frame = frame_of(run("unknown", 0, 0)).assign(seen_at=pd.to_datetime([at(7)]))
    assert bars(frame.hopx.timeline()) == [(0, 0, 7, COLOURS["unknown"])]


def test_clocks_that_differ() -> None:
    ax = draw(frame_of(run("completed", 5, 2, 9), run("completed", 5, 6, 4)).hopx.timeline())
    assert bars(ax) == [
        (0, 2, 9, COLOURS["completed"]),
        (1, 5, 6, PALE),
        (1, 6, 6, COLOURS["completed"]),
    ]
    assert ax.get_xlim()[0] < date2num(at(2))


def test_processes_have_no_launch() -> None:
    frame = frame_of(run("completed", None, 0, 5, name="a"), run("queued", name="b")).drop(columns="launched_at")
    ax = draw(frame.hopx.timeline())
    assert bars(ax) == [(0, 0, 5, COLOURS["completed"])]
    assert ax.get_xlabel() == f"seconds since {local(NOON)}; 1 of 2 have not started and are left out"


def test_packed_rows_show_how_many_ran_at_once() -> None:
    spans = [(0, 10), (1, 4), (2, 6), (4, 9), (7, 8), (20, 21)]
    frame = frame_of(*(run("completed", 0, *span) for span in spans), run("queued", 0)).sample(frac=1, random_state=1)
    ax = draw(frame.hopx.timeline(packed=True))
    shown = [(row, pytest.approx(begin, abs=0.1), end) for row, begin, end, _ in bars(ax)]
    assert shown == [(1, 0, 10), (1, 20, 21), (2, 1, 4), (2, 4, 9), (3, 2, 6), (3, 7, 8)]
    assert bars(ax)[3][1] > 4, "a gap between bars that touch"
    assert {"1", "2", "3"} <= set(words(ax))
    assert ax.get_ylim()[0] < ax.get_ylim()[1], "upwards"
    assert "1 of 7" in ax.get_xlabel()
    assert legend(ax) == ["completed"]


@pytest.fixture
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("lasted", "unit", "ticks"),
    [(2, "seconds", ["0", "0.5", "1", "1.5", "2"]), (600, "minutes", ["0", "2", "4", "6", "8", "10"])],
)
def test_short_times_are_counted_since_the_first_launch(lasted: float, unit: str, ticks: list[str]) -> None:
    ax = draw(frame_of(run("completed", 1, 1, 1 + lasted)).hopx.timeline())
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert set(ticks) <= set(shown)
    assert (date2num(at(1)), "0") == (pytest.approx(ax.get_xticks()[0]), shown[0])
    assert ax.get_xlabel() == f"{unit} since {local(NOON + timedelta(seconds=1))}"


def test_the_runs_of_a_sweep_are_in_the_order_in_which_they_started() -> None:
    newest_first = [run("completed", 0, start, 9, name=str(start)) for start in (3, 2, 1)]
    frame = frame_of(run("queued", 0, name="waits"), *newest_first)
    assert words(frame.hopx.timeline()) == ["1", "2", "3", "waits"]


@pytest.mark.usefixtures("_in_new_york")
def test_times_are_local() -> None:
    winter, summer = run("completed", 0, 0, 7200), run("completed", *(180 * 86400 + s for s in (0, 0, 7200)))
    for frame, begin in ((frame_of(winter), "07:00"), (frame_of(summer), "08:00")):
        ax = draw(frame.hopx.timeline())
        assert begin in [label.get_text() for label in ax.get_xticklabels()]


def test_labels_tell_runs_apart() -> None:
    rows = [{"param.act": act, "param.lr": lr, "param.seed": 1} for lr, act in ((0.1, "relu"), (0.01, "relu"))]
    same = frame_of(*(run("completed", number, number, 9, name="fit", **row) for number, row in enumerate(rows)))
    assert words(same.hopx.timeline()) == ["fit  lr=0.1 act=relu seed=1", "fit  lr=0.01 act=relu seed=1"]
    assert words(same.assign(name=None).iloc[:1].hopx.timeline()) == ["0123456789ab  act=relu lr=0.1 seed=1"]
    some = same.assign(**{"param.lr": [0.1, None], "name": ["a", "b"]})
    assert words(some.hopx.timeline()) == ["a  lr=0.1 act=relu seed=1", "b  act=relu seed=1"]
    (long,) = words(same.assign(**{"param.act": "x" * 90 + "end"}).iloc[:1].hopx.timeline())
    assert long.startswith("fit  act=xxxx")
    assert long.endswith(" lr=0.1 seed=1")
    assert "…" in long


HOSTILE = ["$x^$", "$", "\\frac{", "a\x1b[31mb\x00", "a\nb", "%s {x}", "\u202eabc", "x" * 300]


def test_names_are_only_text() -> None:
    frame = frame_of(*(run("completed", n, n, n + 1, name=name) for n, name in enumerate(HOSTILE)))
    unnamed = frame.hopx.timeline()
    frame["param.$y_"] = HOSTILE
    assert "$  $y_=$" in words(draw(frame.hopx.timeline()))
    for ax in (unnamed, frame.hopx.durations(), frame.hopx.durations("$y_")):
        shown = words(draw(ax))
        assert len(shown) == len(HOSTILE)
        assert {"$x^$", "$", "\\frac{", "%s {x}"} <= set(shown)
        assert all(text.isprintable() and len(text) <= 40 for text in shown)
    assert frame.hopx.durations("$y_").get_ylabel() == "$y_"


def test_hundreds_of_labels_are_thinned_out() -> None:
    frame = frame_of(*(run("completed", n, n, n + 9, name=f"run {n}") for n in range(300)))
    for ax in (frame.hopx.timeline(), frame.hopx.durations()):
        draw(ax)
        boxes = [label.get_window_extent() for label in ax.get_yticklabels() if label.get_text()]
        assert 20 < len(boxes) < 100
        assert all(above.y0 >= below.y1 for above, below in pairwise(boxes)), "none covers another"
        assert ax.figure.get_figheight() <= 12


def test_no_runs() -> None:
    empty = frame_of()
    for ax, text in (
        (empty.hopx.timeline(), "no runs"),
        (empty.hopx.timeline(packed=True), "no runs"),
        (empty.hopx.durations(), "no runs that have ended"),
        (frame_of(run("queued")).hopx.timeline(), "no runs that have started"),
        (frame_of(run("queued", 0)).hopx.timeline(packed=True), "no runs that have started"),
        (frame_of(run("running", 0, 0)).hopx.durations(), "no runs that have ended"),
    ):
        assert [shown.get_text() for shown in draw(ax).texts] == [text]


def test_a_figure_is_made_only_without_axes() -> None:
    frame = frame_of(run("completed", 0, 1, 2))
    _, (left, right) = plt.subplots(1, 2)
    assert frame.hopx.timeline(left) is left
    assert frame.hopx.durations(ax=right) is right
    assert len(plt.get_fignums()) == 1
    assert frame.hopx.timeline() is not left
    assert len(plt.get_fignums()) == 2


def points(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Time and row of all points of a colour."""
    return {
        to_hex(collection.get_facecolor()[0]): [
            (round(float(x), 3), round(float(y), 3)) for x, y in collection.get_offsets()
        ]
        for collection in ax.collections
    }


def test_durations_are_points_in_rows() -> None:
    frame = frame_of(
        run("completed", 0, 0, 30, name="b", **{"param.lr": 0.1}),
        run("failed", 0, 0, 10, name="a", **{"param.lr": 0.01}),
        run("completed", 0, 0, 20, name="a", **{"param.lr": 0.1}),
        run("running", 0, 0, name="a"),
        run("completed", 0, 0, 40),
    )
    by_name, by_param = draw(frame.hopx.durations()), draw(frame.hopx.durations("lr"))
    assert words(by_name) == ["a", "b", "missing"]
    assert words(by_param) == ["0.01", "0.1", "missing"]
    assert points(by_name) == {COLOURS["completed"]: [(30, 1), (20, 0), (40, 2)], COLOURS["failed"]: [(10, 0)]}
    assert points(by_param) == {COLOURS["completed"]: [(30, 1), (20, 1), (40, 2)], COLOURS["failed"]: [(10, 0)]}
    assert legend(by_name) == ["completed", "failed"]
    assert (by_name.get_ylabel(), by_param.get_ylabel()) == ("name", "lr")
    assert by_name.get_xlabel() == "execution time (s)"


@pytest.mark.parametrize(("longest", "unit", "shown"), [(119, "s", 119), (150, "min", 2.5), (9000, "h", 2.5)])
def test_units(longest: float, unit: str, shown: float) -> None:
    ax = frame_of(run("completed", 0, 0, longest)).hopx.durations()
    assert ax.get_xlabel() == f"execution time ({unit})"
    assert points(ax) == {COLOURS["completed"]: [(shown, 0)]}
    assert legend(ax) == []


def test_groups_of_five_have_a_box() -> None:
    def boxes(ax: Axes) -> list[tuple[float, float]]:
        extents = [patch.get_path().get_extents() for patch in ax.patches]
        return [(round(box.x0, 3), round(box.x1, 3)) for box in extents]

    runs = [run("completed", 0, 0, seconds, name="a") for seconds in (10, 20, 30, 40, 50)]
    five = frame_of(*runs).hopx.durations()
    assert boxes(five) == [(20, 40)]
    heights = [y for _, y in points(five)[COLOURS["completed"]]]
    assert len(set(heights)) == 5, "points of the same time would be on top of each other"
    assert all(abs(y) < 0.3 for y in heights)
    assert boxes(frame_of(*runs[1:]).hopx.durations()) == []


LIGHT_AND_DARK = ["#fff", "#111"]


@pytest.mark.parametrize(("style", "grounds"), [("default", LIGHT_AND_DARK), ("dark_background", ["#000"])])
def test_all_colours_are_seen(style: str, grounds: list[str]) -> None:
    """Graphics differ from the ground, what is pale a little less; words are between light and dark."""
    with plt.style.context(style):
        frame = frame_of(*(run(status, 0, 5, 9, name=status) for status in STATUSES if status != "queued"))
        for drawn in (frame.hopx.timeline(), frame.hopx.durations(), frame.iloc[:0].hopx.timeline()):
            ax = draw(drawn)
            for page in (Page({}, text=ground, ground=ground, is_dark=False) for ground in grounds):
                own = [to_hex(patch.get_facecolor(), keep_alpha=True) for patch in (ax.figure.patch, ax.patch)]
                for shape in ax.collections:
                    (colour, *_) = shape.get_facecolor()
                    is_pale = colour[3] < 0.5
                    assert page.contrast(to_hex(colour, keep_alpha=True), *own) > (1.3 if is_pale else 2)
                for text in filter(Text.get_text, ax.findobj(Text)):
                    assert page.contrast(to_hex(text.get_color()), *own) > 4


def test_a_style_of_the_user_s_is_kept() -> None:
    with plt.style.context("dark_background"):
        ax = frame_of(run("completed", 0, 1, 2)).hopx.timeline()
    assert to_hex(ax.get_facecolor()) == "#000000"
    _, given = plt.subplots()
    frame_of(run("completed", 0, 1, 2)).hopx.timeline(given)
    assert to_hex(given.get_facecolor(), keep_alpha=True) == "#ffffffff"
    assert given.xaxis.label.get_color() == "black"


def test_ten_thousand_runs_are_drawn_with_as_little_as_a_hundred() -> None:
    frame = frame_of(*(run("completed", n, n + 5, n + 50, name=f"run {n % 7}") for n in range(10_000)))
    for drawing in (
        lambda part: part.hopx.timeline(),
        lambda part: part.hopx.timeline(packed=True),
        lambda part: part.hopx.durations(),
    ):
        few, many = draw(drawing(frame.head(100))), draw(drawing(frame))
        assert len(many.get_children()) == len(few.get_children())
        assert len(many.get_yticks()) <= 50


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    frame = frame_of(run("completed", 0, 1, 2))
    for drawing in (frame.hopx.timeline, frame.hopx.durations):
        with pytest.raises(HopxError, match="drawing needs matplotlib") as caught:
            drawing()
        assert caught.value.hint == "pip install 'hopx_magics[plot]'"


@pytest.mark.parametrize("seconds", [0.0, 1e-9, -1.0, math.inf, math.nan, 1e300])
def test_odd_durations(seconds: float) -> None:
    frame = frame_of(run("completed", 0, 0, 1)).assign(execution_time=seconds)
    drawn = points(draw(frame.hopx.durations()))
    assert bool(drawn) == (0 <= seconds < math.inf)


MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STATUSES), MOMENTS, MOMENTS, MOMENTS), max_size=5), st.booleans())
def test_whatever_agents_say_there_is_a_picture(runs: list[tuple[Any, ...]], packed: bool) -> None:
    frame = frame_of(*(run(status) for status, *_ in runs))
    for column, name in enumerate(("launched_at", "started_at", "completed_at"), start=1):
        frame[name] = pd.DatetimeIndex([row[column] for row in runs], tz="UTC").as_unit("us")
    assert isinstance(draw(frame.hopx.timeline(packed=packed)), Axes)
    plt.close("all")
