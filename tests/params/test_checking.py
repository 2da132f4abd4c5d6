"""What may be a parameter, and what not."""

import math
from collections import OrderedDict, namedtuple
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hopx_magics.params import checked_params, with_params
from hopx_magics.words import Language

from .conftest import INSERTED, same


class Text(str):
    def __str__(self) -> str:
        return "something else"

    __repr__ = __str__


Pair = namedtuple("Pair", "one other")


@pytest.mark.parametrize(
    ("given_value", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(5), 5),
        (pd.Series([1.5, 2.5]), [1.5, 2.5]),
        ((1, (2, 3)), [1, [2, 3]]),
        (Pair(1, 2), [1, 2]),
        (OrderedDict(a=np.float32(0.5)), {"a": 0.5}),
        ({np.str_("a"): 1}, {"a": 1}),
        (Text("a"), "a"),
        (math.nan, math.nan),
        (2**128, 2**128),
    ],
)
def test_values_become_plain(given_value: Any, plain: Any) -> None:
    assert same(checked_params({"x": given_value}, "python"), {"x": plain})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
NO_JSON = "a parameter is a number, a string, or JSON"


@pytest.mark.parametrize(
    ("language", "params", "message"),
    [
        ("python", {"x": pd.DataFrame()}, f"the value of 'x' is a DataFrame: {NO_JSON}"),
        ("python", {"x": [object()]}, f"the value of 'x' is a object: {NO_JSON}"),
        ("python", {"x": {"a": b"a"}}, f"the value of 'x' is a bytes: {NO_JSON}"),
        ("python", {"x": Path("a")}, f"the value of 'x' is a {type(Path('a')).__name__}: {NO_JSON}"),
        ("python", {"x": Decimal(1)}, f"the value of 'x' is a Decimal: {NO_JSON}"),
        ("python", {"x": {1}}, f"the value of 'x' is a set: {NO_JSON}"),
        ("python", {"x": np.ndarray}, f"the value of 'x' is a type: {NO_JSON}"),
        ("python", {"x": np.array([object()])}, f"the value of 'x' is a object: {NO_JSON}"),
        ("python", {"x": np.datetime64("2024-01-01")}, f"the value of 'x' is a datetime64: {NO_JSON}"),
        ("python", {"x": {1: 2}}, "the value of 'x' has a key of type int: keys are strings"),
        ("python", {"x": nested(21)}, "the value of 'x' is nested deeper than 20 lists or dicts"),
        ("python", {"x": ENDLESS}, "the value of 'x' is nested deeper than 20 lists or dicts"),
        ("python", {"x": "\ud800"}, "the value of 'x' has half of a surrogate pair, which is no character"),
        ("python", {"x": [{"\udfff": 1}]}, "the value of 'x' has half of a surrogate pair, which is no character"),
        ("python", {"x": 10**300}, "the value of 'x' has more than 300 digits"),
        ("python", {"x": "a" * 1_000_000}, "the parameters are longer than 1,000,000 characters: write them to a file"),
        ("python", {"my lr": 1}, "'my lr' can't be the name of a parameter in python: use letters, digits and _"),
        ("python", {5: 1}, "'5' can't be the name of a parameter in python: use letters, digits and _"),
        ("python", {"class": 1}, "'class' can't be the name of a parameter: it means something else in python"),
        ("python", {"__debug__": 1}, "'__debug__' can't be the name of a parameter: it means something else in python"),
        ("python", {"fi": 1, "ﬁ": 1}, "the parameter 'fi' is given twice"),
        ("bash", {"é": 1}, "'é' can't be the name of a parameter in bash: use the letters a to z, digits and _"),
        ("bash", {"x\n": 1}, "'x\\n' can't be the name of a parameter in bash: use the letters a to z, digits and _"),
        ("bash", {"UID": 1}, "'UID' can't be the name of a parameter: it means something else in bash"),
        ("bash", {"then": 1}, "'then' can't be the name of a parameter: it means something else in bash"),
        ("bash", {"BASH_FUNC_x": 1}, "'BASH_FUNC_x' can't be the name of a parameter: it means something else in bash"),
        ("bash", {"x": "a\0b"}, "the value of 'x' has a NUL character, which bash can't hold"),
        (
            "javascript",
            {"é": 1},
            "'é' can't be the name of a parameter in javascript: use the letters a to z, digits and",
        ),
        (
            "javascript",
            {"$x": 1},
            "'$x' can't be the name of a parameter in javascript: use the letters a to z, digits",
        ),
        ("javascript", {"let": 1}, "'let' can't be the name of a parameter: it means something else in javascript"),
        ("javascript", {"NaN": 1}, "'NaN' can't be the name of a parameter: it means something else in javascript"),
        (
            "javascript",
            {"require": 1},
            "'require' can't be the name of a parameter: it means something else in javascript",
        ),
        (
            "javascript",
            {"x": [{"a": 2**53}]},
            "the value of 'x' is larger than JavaScript's whole numbers: give it as a string",
        ),
        ("go", {"x": 1}, "parameters are not for go cells: use --env"),
    ],
)
def test_what_can_not_be_a_parameter(language: Language, params: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        checked_params(params, language)
    assert str(raised.value).startswith(message)


def test_what_may_be_a_parameter_after_all() -> None:
    assert checked_params({"match": 1, "größe": 2}, "python") == {"match": 1, "größe": 2}
    assert checked_params({"x": nested(20)}, "python") == {"x": nested(20)}
    assert checked_params({"x": ["a\0b"], "PATH": "/bin"}, "bash") == {"x": ["a\0b"], "PATH": "/bin"}
    assert checked_params({"x": 2**53 - 1, "of": 1}, "javascript") == {"x": 2**53 - 1, "of": 1}
    assert checked_params({}, "go") == {}


def test_python_means_the_same_variable_by_both_spellings() -> None:
    assert with_params("μ = 1\n", "python", checked_params({"µ": 2}, "python")) == f"μ = 1; μ = 2{INSERTED}\n"
