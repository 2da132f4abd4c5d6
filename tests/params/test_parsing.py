"""Parameters and sweeps as they are written after a magic: what is read from a text, and what is refused."""

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.params import combinations, parse_assignment, parse_sweep

from .conftest import PLAIN, same

# ---------------------------------------------------------------- --param


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=0.1", 0.1),
        ("x=1e-3", 0.001),
        ("x=1E5", 1e5),
        ("x=.5", 0.5),
        ("x=-.5e2", -50.0),
        ("x=5.", 5.0),
        ("x=5", 5),
        ("x=-5", -5),
        ("x=340282366920938463463374607431768211456", 2**128),
        ("x=true", True),
        ("x=null", None),
        ("x=NaN", math.nan),
        ("x=-Infinity", -math.inf),
        ("x=[1, NaN, null]", [1, math.nan, None]),
        ('x={"a": [1, {"b": false}]}', {"a": [1, {"b": False}]}),
        ('x="5"', "5"),
        (r'x="a\nb"', "a\nb"),
        ("x=True", True),
        ("x=False", False),
        ("x=None", None),
        ("x=nan", math.nan),
        ("x=-inf", -math.inf),
        ("x=[True, None, 'a', nan, -inf]", [True, None, "a", math.nan, -math.inf]),
        ("x=(1, (2, 'b'))", [1, [2, "b"]]),
        ("x={'a': (1, 2)}", {"a": [1, 2]}),
        ("x='it\\'s'", "it's"),
        ("x=relu", "relu"),
        ("x=2024-01-01", "2024-01-01"),
        ("x=007", "007"),
        ("x=2024_01", "2024_01"),
        ("x=+49123", "+49123"),
        ("x=0x10", "0x10"),
        ("x=1.2.3", "1.2.3"),
        ("x=\uff11\uff12", "\uff11\uff12"),
        ("x=a=b", "a=b"),
        ("x=a,b", "a,b"),
        ("x=1:5", "1:5"),
        ("x=", ""),
        (" x = 0.1 ", 0.1),
        ("x= two words ", "two words"),
        ("x='tis", "'tis"),
        ("x=[relu", "[relu"),
        ("x=[relu]", "[relu]"),
        ("x={lr}", "{lr}"),
        ("x={[1]: 2}", "{[1]: 2}"),
        ("x=(1+x)", "(1+x)"),
        ("x=f'{y}'", "f'{y}'"),
        (r"x='\d'", r"\d"),
        ("x=__import__('os').system('false')", "__import__('os').system('false')"),
        ("x=[__import__('os')]", "[__import__('os')]"),
        ("x=" + "[" * 100_000, "[" * 100_000),
        ("x=" + "9" * 10_000, "9" * 10_000),
    ],
)
def test_value_of_a_parameter(text: str, value: Any) -> None:
    name, read = parse_assignment(text)
    assert name == "x"
    assert same(read, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "'lr' is no parameter: use NAME=VALUE"),
        ("", "'' is no parameter: use NAME=VALUE"),
        ("a\x1b" * 100, f"'{'a' + chr(92) + 'x1b'}"),
        ("=1", "'' can't be the name of a parameter: use letters, digits and _"),
        ("2x=1", "'2x' can't be the name of a parameter: use letters, digits and _"),
        ("my-lr=1", "'my-lr' can't be the name of a parameter: use letters, digits and _"),
        ("x={1, 2}", "the value of 'x' is a set: a parameter is a number, a string, or JSON"),
        ("x=[b'']", "the value of 'x' is a bytes: a parameter is a number, a string, or JSON"),
        ("x=[1j]", "the value of 'x' is a complex: a parameter is a number, a string, or JSON"),
        ("x={1: 2}", "the value of 'x' has a key of type int: keys are strings"),
        ("x=(" + "(" * 30 + "1" + ",)" * 30 + ",)", "the value of 'x' is nested deeper than 20 lists or dicts"),
    ],
)
@pytest.mark.parametrize("parse", [parse_assignment, parse_sweep])
def test_what_is_no_parameter(parse: Any, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse(text)
    assert str(raised.value).startswith(message)
    assert len(str(raised.value)) < 600
    assert str(raised.value).isprintable()


# ---------------------------------------------------------------- --sweep


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x=0.1,0.01", [0.1, 0.01]),
        ("x=0.1, 0.01 ", [0.1, 0.01]),
        ("x=5", [5]),
        ("x=relu,None,true,[1,2],(3, 4)", ["relu", None, True, [1, 2], [3, 4]]),
        ('x="a,b",c', ["a,b", "c"]),
        (r'x="a\",b",c', ['a",b', "c"]),
        ("x='a,b',c", ["a,b", "c"]),
        ('x="",a', ["", "a"]),
        ("x=it's,that's", ["it's", "that's"]),
        ('x={"a": 1, "b": [1, 2]},{"a": 2}', [{"a": 1, "b": [1, 2]}, {"a": 2}]),
        ('x=["],", 1],2', [["],", 1], 2]),
        ("x=f(a,b),g", ["f(a,b)", "g"]),
        ("x=a),b", ["a)", "b"]),
        ("x=[0.1, 0.01]", [0.1, 0.01]),
        ("x=(0.1, 0.01)", [0.1, 0.01]),
        ("x=['relu', 'tanh']", ["relu", "tanh"]),
        ("x=[[1],[2,3]]", [[1], [2, 3]]),
        ("x=[1],[2,3]", [[1], [2, 3]]),
        ("x=[true],[2]", [[True], [2]]),
        (r'x=[],["\ud83d\ude00"]', [[], ["\U0001f600"]]),
        ("x=1:5", [1, 2, 3, 4, 5]),
        ("x=1:10:3", [1, 4, 7, 10]),
        ("x=1:9:3", [1, 4, 7]),
        ("x=5:1", [5, 4, 3, 2, 1]),
        ("x=5:1:-2", [5, 3, 1]),
        ("x=3:3", [3]),
        ("x=-1:+1", [-1, 0, 1]),
        ("x=0:1:0.25", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("x=0.1:0.5:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("x=0.3:0:-.1", [0.3, 0.2, 0.1, 0.0]),
        ("x=1e-3:3e-3:1e-3", [0.001, 0.002, 0.003]),
        ("x=0:1.0", [0.0, 1.0]),
        ("x=1:3,10,20:21", [1, 2, 3, 10, 20, 21]),
        ("x=host:port", ["host:port"]),
        ("x=1:b", ["1:b"]),
        ("x=1:2:3:4", ["1:2:3:4"]),
        ('x="1:5"', ["1:5"]),
        ("x=1:1e999999999", ["1:1e999999999"]),
    ],
)
def test_values_of_a_sweep(text: str, values: list[Any]) -> None:
    name, read = parse_sweep(text)
    assert name == "x"
    assert same(read, values)


def test_a_range_may_be_long() -> None:
    assert parse_sweep("seed=1:100000")[1] == list(range(1, 100_001))
    assert parse_sweep("x=0.0001:10:0.0001")[1] == [number / 10_000 for number in range(1, 100_001)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x=", "a value of 'x' is empty: write \"\" for an empty text"),
        ("x=1,", "a value of 'x' is empty: write \"\" for an empty text"),
        ("x=1,,2", "a value of 'x' is empty: write \"\" for an empty text"),
        ("x=[]", "there are no values for 'x'"),
        ("x=()", "there are no values for 'x'"),
        ("x=1:5:0", "'1:5:0' has a step that does not lead to its end; quote it if 'x' is a text"),
        ("x=1:5:-1", "'1:5:-1' has a step that does not lead to its end; quote it if 'x' is a text"),
        ("x=12:30:00", "'12:30:00' has a step that does not lead to its end; quote it if 'x' is a text"),
        ("x=5:1:1", "'5:1:1' has a step that does not lead to its end; quote it if 'x' is a text"),
        ("x=1:1000000000", "there are too many values for 'x': use 100,000 at most"),
        ("x=0:1:1e-99", "there are too many values for 'x': use 100,000 at most"),
        ("x=1:99999,1:99999", "there are too many values for 'x': use 100,000 at most"),
        ("x=" + "1," * 100_000 + "1", "there are too many values for 'x': use 100,000 at most"),
        ("x=[" + "1," * 100_000 + "1]", "there are too many values for 'x': use 100,000 at most"),
        ("x=[relu,tanh]", "'[relu,tanh]' is no list of values for 'x': quote its texts, or leave out the brackets"),
        ("x=[1:5]", "'[1:5]' is no list of values for 'x': quote its texts, or leave out the brackets"),
        ("x=[np.float64(0.1)]", "'[np.float64(0.1)]' is no list of values for 'x': quote its texts, or leave out"),
        ("x=[1,2", "a bracket or a quote is not closed in the values of 'x': '[1,2'"),
        ("x='tis,so", "a bracket or a quote is not closed in the values of 'x': \"'tis,so\""),
    ],
)
def test_what_is_no_sweep(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_sweep(text)
    assert str(raised.value).startswith(message)


@given(PLAIN)
def test_reads_what_json_writes(value: Any) -> None:
    assert same(parse_assignment(f"x={json.dumps(value)}")[1], value)


@given(PLAIN.filter(lambda value: not isinstance(value, str)))
def test_reads_what_python_writes(value: Any) -> None:
    assert same(parse_assignment(f"x={value!r}")[1], value)


@given(st.lists(PLAIN, min_size=2))
def test_a_list_is_the_same_with_and_without_its_brackets(values: list[Any]) -> None:
    assert same(parse_sweep(f"x={json.dumps(values)}")[1], values)
    assert same(parse_sweep(f"x={','.join(map(json.dumps, values))}")[1], values)


@given(st.text())
def test_no_text_fails_but_with_a_clear_error(text: str) -> None:
    for parse in (parse_assignment, parse_sweep):
        try:
            parse(f"x={text}")
        except ValueError as error:
            assert "'x'" in str(error)  # noqa: PT017


# ---------------------------------------------------------------- combinations


def test_combinations_vary_the_first_slowest() -> None:
    assert combinations({"lr": [0.1, 0.01], "seed": [1, 2]}, {"model": "a"}) == [
        {"model": "a", "lr": 0.1, "seed": 1},
        {"model": "a", "lr": 0.1, "seed": 2},
        {"model": "a", "lr": 0.01, "seed": 1},
        {"model": "a", "lr": 0.01, "seed": 2},
    ]


def test_combinations_take_whatever_has_values() -> None:
    assert combinations({"x": range(2)}, {}) == [{"x": 0}, {"x": 1}]
    assert combinations({"x": np.array([1, 2])}, {}) == [{"x": 1}, {"x": 2}]
    assert combinations({"x": (number for number in (1, 2))}, {}) == [{"x": 1}, {"x": 2}]


def test_combinations_do_not_share_a_dict() -> None:
    params = {"model": "a"}
    one, other = combinations({"lr": [1, 2]}, params)
    one["more"] = 1
    assert "more" not in other
    assert params == {"model": "a"}


def endless() -> Iterable[int]:
    while True:
        yield 1


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        ({"lr": [1], "model": [2]}, "'model' is both a parameter and swept over: give it once"),
        ({"lr": []}, "there are no values for 'lr'"),
        ({"lr": "abc"}, "the values of 'lr' are a str: use a list"),
        ({"lr": {"a": 1}}, "the values of 'lr' are a dict: use a list"),
        ({"lr": 0.1}, "the values of 'lr' are a float: use a list"),
        ({"lr": endless()}, "there are too many values for 'lr': use 100,000 at most"),
        ({"lr": range(1000), "seed": range(101)}, "there are too many combinations: use 100,000 at most"),
    ],
)
def test_what_can_not_be_combined(sweeps: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        combinations(sweeps, {"model": "a"})
    assert str(raised.value) == message
