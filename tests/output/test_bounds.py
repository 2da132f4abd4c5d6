"""Bounds of metrics, and when what a program prints meets one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.output.bounds import Met, Watch
from hopx_magics.output.conditions import Bound, parse_bound
from hopx_magics.output.metrics import metrics_in
from tests.growth import grows_like_its_input


@pytest.mark.parametrize(
    ("text", "bound", "told"),
    [
        ("loss>10", Bound("loss", ">", 10.0), "loss>10"),
        (" loss < 1e-2 ", Bound("loss", "<", 0.01), "loss<0.01"),
        ("val loss>=0.123456789", Bound("val loss", ">=", 0.123456789), "val loss>=0.123456789"),
        ('"val loss" == 3', Bound("val loss", "=", 3.0), "val loss=3"),
        ("Loss/train!=-.5", Bound("Loss/train", "!=", -0.5), "Loss/train!=-0.5"),
        ("loss>inf", Bound("loss", ">", math.inf), "loss>inf"),
    ],
)
def test_bounds_are_read(text: str, bound: Bound, told: str) -> None:
    assert (parse_bound(text), bound.text) == (bound, told)


@pytest.mark.parametrize(
    "text", ["", "loss", "loss>", ">3", "loss>high", "1<loss<2", "loss=>3", "loss>1_0", "x" * 300 + ">1"]
)
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no bound of a metric: use its name as it is printed"):
        parse_bound(text)


def test_what_is_no_number_is_larger_than_all() -> None:
    met = {sign for sign in ("<", "<=", ">", ">=", "=", "!=") if parse_bound(f"loss{sign}10").is_met_by(math.nan)}
    assert met == {">", ">=", "!="}
    assert parse_bound("loss=nan").is_met_by(math.nan)
    assert not parse_bound("loss=nan").is_met_by(math.inf)
    assert parse_bound("loss>10").is_met_by(math.inf)


def met_in(*portions: str, bound: str = "loss>10") -> list[float]:
    watch = Watch([parse_bound(bound)])
    return [met.value for portion in portions for met in watch.take(portion)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("loss: 9.9\nloss: 12.5\nloss: 13\n", [12.5]),
        ("train_loss: 12\nval loss: 12\nlosses: 12\n", []),
        ("a loss of 12 is a lot\nloss 12 times\n", []),
        ('{"step": 3, "loss": 11}\n', [11.0]),
        ("  epoch    loss\n-------  ------\n    1    2.2\n    2   22.5\n", [22.5]),
        ("| loss | 12 |\n", [12.0]),
        ("Traceback (most recent call last):\n  File x\n    loss = 12\nValueError: loss = 13\n", []),
        ("\x1b[31mloss\x1b[0m: \x1b[1m12.5\x1b[0m\n", [12.5]),
        ("10%|#  | 1/10 loss=11\r20%|#  | 1/10 loss=1\r", [11.0]),
        ("loss: nan\n", [math.nan]),
    ],
)
def test_the_first_value_that_meets_a_bound_is_found(text: str, values: list[float]) -> None:
    assert met_in(text) == pytest.approx(values, nan_ok=True)


def test_what_comes_in_portions_is_one_text() -> None:
    assert met_in("Traceback (most recent call last):\n  File x\n", "    loss = 12\n", "loss: 11\n") == []
    assert met_in("epoch  loss\n-----  ----\n", "1  2.5\n", "2  12.5\n") == [12.5]
    assert met_in("loss: 11\n", "loss: 12\n") == [11.0]  # once


def test_each_of_several_bounds_is_met_once() -> None:
    watch = Watch(bounds := [parse_bound(text) for text in ("loss>10", "acc>=0.9", "eval.loss<1")])
    assert list(watch.take('loss=11 acc=0.95\n{"eval": {"loss": 0.5}}\nloss=12 acc=0.99\n')) == [
        Met(bounds[0], 11.0),
        Met(bounds[1], 0.95),
        Met(bounds[2], 0.5),
    ]


LINES = st.sampled_from(
    [
        "loss: {}",
        "step loss={}, acc={}",
        "val loss {}",
        "{{'loss': {}, 'eval': {{'loss': {}}}}}",
        "epoch  loss  acc",
        "1  {}  {}",
        "| loss | {} |",
        "Traceback (most recent call last):",
        "    loss = {}",
        "ValueError: loss = {}",
        "INFO done with loss {}",
        "",
        "nothing to see",
    ]
)
NUMBERS = st.sampled_from(["0.5", "9", "10", "10.5", "1e3", "nan", "-inf", "12,000", "12ms", "3/20"])


@given(st.lists(st.builds(lambda line, one, two: line.format(one, two), LINES, NUMBERS, NUMBERS), max_size=12))
def test_it_finds_what_a_reader_of_all_metrics_finds(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    for bound in (parse_bound("loss>10"), parse_bound("eval.loss>10"), parse_bound("val loss<10")):
        every = [each.value for each in metrics_in(text) if each.name == bound.metric and bound.is_met_by(each.value)]
        assert met_in(text, bound=bound.text) == pytest.approx(every[:1], nan_ok=True)


@pytest.mark.parametrize("piece", ["loss ", "loss: ", "loss\n", "loss: 11", "\x1b[", "loss = 12 Warning\n", "\r"])
def test_hostile_output_takes_no_longer_than_its_length(piece: str) -> None:
    assert grows_like_its_input(met_in, piece, 200_000)
