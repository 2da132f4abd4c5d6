"""The pictures of sweeps: what is drawn of which runs, and what is said where nothing can be."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from hopx_magics.display import accessor
from hopx_magics.errors import UnknownColumn

accessor.register()


def runs_of(metric: str = "loss", **params: Sequence[Any]) -> pd.DataFrame:
    """A run for each combination, whose last loss is the sum of its numbers, after twice and thrice as much."""
    rows = []
    for number, values in enumerate(itertools.product(*params.values())):
        last = sum(value for value in values if isinstance(value, (int, float)))
        stdout = "".join(f"{metric}: {factor * last:.6g}\n" for factor in (3, 2, 1))
        given = {f"param.{name}": value for name, value in zip(params, values, strict=True)}
        rows.append({"run_id": f"{number:016x}", "name": "fit", "status": "completed", "stdout": stdout, **given})
    return pd.DataFrame(rows)


def labels(ax: Axes) -> tuple[str, str]:
    return ax.get_xlabel(), ax.get_ylabel()


def points(line: Any) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def texts(ax: Axes) -> list[str]:
    return [child.get_text() for child in ax.get_children() if isinstance(child, Text) and child.get_text()]


def test_one_param_is_a_curve_of_the_means_with_the_spread_over_repeated_runs() -> None:
    ax = runs_of(lr=[1, 2], seed=[10, 20, 60]).hopx.sweep("loss")
    assert labels(ax) == ("lr", "loss")
    assert points(ax.lines[0]) == [(1, 31), (2, 32)]
    band, dots = ax.collections
    assert band.get_paths()[0].get_extents().extents.tolist() == [1, 11, 2, 62]
    assert len(dots.get_offsets()) == 6
    assert ax.get_xscale() == "linear"


def test_an_axis_over_decades_is_logarithmic() -> None:
    assert runs_of(lr=[0.001, 0.01, 0.1]).hopx.sweep("loss").get_xscale() == "log"


def test_words_stand_beside_each_other() -> None:
    ax = runs_of(opt=["sgd", "adam"], seed=[1, 3]).hopx.sweep("loss", "opt")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["sgd", "adam"]
    assert not ax.lines


def test_two_params_are_a_heat_map_whose_missing_cells_are_empty() -> None:
    frame = runs_of(lr=[1, 2], depth=[10, 20, 30])
    ax = frame[frame["param.lr"].eq(1) | frame["param.depth"].ne(20)].hopx.sweep("loss")
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array().filled(math.nan), [[11, 21, 31], [12, math.nan, 32]])
    assert labels(ax) == ("depth", "lr")
    assert sorted(texts(ax)) == ["11", "12", "21", "31", "32"]


def test_what_is_not_chosen_is_averaged_over() -> None:
    ax = runs_of(lr=[1, 2], depth=[10, 20, 30]).hopx.sweep("loss", "lr")
    assert points(ax.lines[0]) == [(1, 21), (2, 22)]


def test_three_params_are_parallel_coordinates() -> None:
    ax = runs_of(lr=[1, 2], depth=[10, 20], opt=["sgd", "adam"]).hopx.sweep("loss")
    (lines,) = (each for each in ax.collections if isinstance(each, LineCollection))
    assert lines.get_segments()[0].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]
    assert lines.get_segments()[-1].tolist() == [[0, 1], [1, 1], [2, 1], [3, 1]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["lr", "depth", "opt", "loss"]


def test_a_column_is_a_metric_as_well() -> None:
    frame = runs_of(lr=[1, 2]).assign(execution_time=[5.0, 7.0])
    assert points(frame.hopx.sweep("execution_time").lines[0]) == [(1, 5), (2, 7)]
    metrics = frame.hopx.metrics()
    assert points(metrics.hopx.sweep("loss").lines[0]) == [(1, 1), (2, 2)]


def test_curves_of_one_value_have_their_mean_and_one_colour() -> None:
    ax = runs_of(lr=[1, 2], seed=[10, 20]).hopx.curves("loss")
    named = {line.get_label(): points(line) for line in ax.lines if not str(line.get_label()).startswith("_")}
    assert named == {"1": [(1, 48), (2, 32), (3, 16)], "2": [(1, 51), (2, 34), (3, 17)]}
    assert len(ax.lines) == 6
    assert len({line.get_color() for line in ax.lines}) == 2
    assert ax.get_legend().get_title().get_text() == "lr"


def test_curves_without_params_are_one_a_run_of_any_length() -> None:
    frame = runs_of(lr=[1, 1]).assign(stdout=["loss: 1\nloss: 2\n", "loss: 3\n"])
    ax = frame.hopx.curves("loss")
    assert [points(line) for line in ax.lines] == [[(1, 1), (2, 2)], [(1, 3)]]


@pytest.mark.parametrize("metric", ["$x^2", "\N{BULLET} \N{LATIN SMALL LETTER A WITH DIAERESIS}"])
def test_names_are_shown_as_they_are(metric: str) -> None:
    frame = runs_of(lr=[1, 2], seed=["$a$", "b\n$"]).assign(**{metric: [1.0, 2.0, 3.0, 4.0]})
    ax = frame.hopx.sweep(metric, "lr", "seed")
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["$a$", "b $"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda df: df.hopx.sweep("los"), "Did you mean 'loss'"),
        (lambda df: df.hopx.curves("los"), "Did you mean 'loss'"),
        (lambda df: df.hopx.sweep("zzz"), "there are loss"),
        (lambda df: df.hopx.sweep("loss", "lrr"), "Did you mean 'param.lr'"),
        (lambda df: df.drop(columns="stdout").hopx.sweep("loss"), "--output"),
        (lambda df: df.drop(columns="stdout").hopx.curves("loss"), "no output"),
    ],
)
def test_what_there_is_not_is_refused_with_the_nearest(ask: Any, said: str) -> None:
    with pytest.raises(UnknownColumn) as refused:
        ask(runs_of(lr=[1, 2]))
    assert said in f"{refused.value} {refused.value.hint}"


def test_no_runs_are_said() -> None:
    frame = runs_of(lr=[1, 2])[:0]
    assert texts(frame.hopx.sweep("loss")) == ["no run has a value of loss"]
    assert texts(frame.hopx.curves("loss")) == ["no run has a value of loss"]
