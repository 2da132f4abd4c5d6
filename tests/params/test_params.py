"""Parameters and sweeps: what is read from a text, what is refused, and what real programs get of it."""

import ast
import json
import math
import os
import subprocess
import sys
import time
from collections import OrderedDict, namedtuple
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hopx_magics.params import checked_params, combinations, parse_assignment, parse_sweep, with_params
from hopx_magics.words import Language

INSERTED = "  # parameters of this run"


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type, too, with nan equal to nan."""
    return repr(one) == repr(other)


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


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["'; touch x; '", "$(touch x)", "`touch x`", "${HOME}", "*/ /* //", "\\", "\\'", "__proto__", "\r"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["__proto__", "constructor"]), inner, max_size=4)
    ),
    max_leaves=8,
)


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


# ---------------------------------------------------------------- what may be a parameter


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
        ("python", {"x": np.datetime64("2024-01-01")}, f"the value of 'x' is a date: {NO_JSON}"),
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
    assert with_params("μ = 1\n", "python", checked_params({"µ": 2}, "python")) == f"μ = 1\nμ = 2{INSERTED}\n"


# ---------------------------------------------------------------- what real programs get


def output_of(command: list[str], code: str, folder: Path) -> bytes:
    file = folder / "cell"
    file.write_bytes(code.encode())
    env = {"PATH": os.environ["PATH"]}
    return subprocess.run([*command, str(file)], capture_output=True, check=True, env=env, cwd=folder).stdout


def from_python(code: str, folder: Path) -> bytes:
    return output_of([sys.executable, "-W", "error"], code, folder)


def named(values: list[Any]) -> dict[str, Any]:
    return {f"p{number}": value for number, value in enumerate(values)}


MANY = st.lists(PLAIN, min_size=30, max_size=60)
FEW_PROGRAMS = settings(max_examples=15, deadline=None)
NASTY = [
    "'; touch x #",
    '"; touch x #',
    "$(touch x)",
    "`touch x`",
    "${HOME} $HOME",
    "*/ // <!-- --> </script>",
    "a\nb\r\nc\rd\te",
    "\\n \\' \\",
    "~ * ? [a] {a,b} !x",
    "\u2028\u2029\x85\x0c\x7f\x1b[31m",
    "𝄞 é ﬁ \u202e",
    "-n",
    "",
    {"__proto__": {"x": 1, "y": math.nan}, "constructor": 1},
    [math.nan, math.inf, -math.inf, -0.0, 1e22, 5e-324, 2**53 - 1],
    True,
    None,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cells")


@FEW_PROGRAMS
@given(values=MANY)
@example(values=NASTY)
def test_python_gets_the_values(values: list[Any], folder: Path) -> None:
    params = checked_params(named(values), "python")
    code = with_params(f"import json; print(json.dumps([{', '.join(params)}]))", "python", params)
    assert same(json.loads(from_python(code, folder)), values)
    assert sorted(os.listdir(folder)) == ["cell"]


@FEW_PROGRAMS
@given(values=MANY)
@example(values=NASTY)
def test_bash_gets_the_values(values: list[Any], folder: Path) -> None:
    values = [value.replace("\0", "") if isinstance(value, str) else value for value in values]
    params = checked_params(named(values), "bash")
    words = " ".join(f'"${name}"' for name in params)
    parts = output_of(["bash"], with_params(rf"printf '%s\0' {words}", "bash", params), folder).split(b"\0")[:-1]
    for part, value in zip(parts, values, strict=True):
        if isinstance(value, str):
            assert part == value.encode()
        elif value is None:
            assert part == b""
        elif isinstance(value, float):
            assert same(float(part), value)
        else:
            assert same(json.loads(part), value)
    assert sorted(os.listdir(folder)) == ["cell"]


AS_JSON = """
const marked = (_, value) =>
    typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0)) ? ["number", String(value)] : value;
process.stdout.write(JSON.stringify([VALUES], marked));
"""


def as_node_marks(value: Any) -> Any:
    """What node prints for a value: JSON has no nan, no infinity, and node would write -0.0 as 0."""
    if isinstance(value, list):
        return [as_node_marks(item) for item in value]
    if isinstance(value, dict):
        return {key: as_node_marks(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return ["number", "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"]
    return ["number", "0"] if value == 0 and isinstance(value, float) and math.copysign(1, value) < 0 else value


@FEW_PROGRAMS
@given(values=MANY)
@example(values=NASTY)
def test_node_gets_the_values(values: list[Any], folder: Path) -> None:
    params = checked_params(named(values), "javascript")
    code = with_params(AS_JSON.replace("VALUES", ", ".join(params)), "javascript", params)
    assert json.loads(output_of(["node"], code, folder), parse_int=float) == as_node_marks(values)
    assert sorted(os.listdir(folder)) == ["cell"]


def test_each_variable_of_bash_holds_the_value_or_is_refused(folder: Path) -> None:
    known = output_of(["bash"], "compgen -v; compgen -k", folder).decode().split()
    params: dict[str, Any] = {}
    for name in [*known, "COPROC", "MAPFILE", "REPLY", "PIPESTATUS", "SRANDOM", "FUNCNAME"]:
        try:
            params |= checked_params({name: "7"}, "bash")
        except ValueError:
            continue
    code = with_params("".join(f'echo "${name}"\n' for name in params), "bash", params)
    assert output_of(["bash"], code, folder).split() == [b"7"] * len(params)
    assert {"IFS", "PATH", "HOSTNAME"} <= params.keys() < set(known) | {"COPROC", "MAPFILE", "REPLY"}


def test_javascript_names_of_every_kind_work(folder: Path) -> None:
    names = [
        "x",
        "X1",
        "_",
        "__",
        "of",
        "async",
        "get",
        "set",
        "type",
        "as",
        "from",
        "global",
        "window",
        "Object",
        "JSON",
    ]
    params = checked_params(dict.fromkeys(names, 7), "javascript")
    code = with_params(f"process.stdout.write(String({' + '.join(names)}))", "javascript", params)
    assert output_of(["node"], code, folder) == str(7 * len(names)).encode()


# ---------------------------------------------------------------- where they stand in Python


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        # Nothing in the cell says where: ahead, in one line.
        ("print(lr)\n", "<lr, seed>print(lr)\n"),
        ("", "<lr, seed>"),
        ("\n\nprint(lr)", "<lr, seed>\n\nprint(lr)"),
        ("@f\ndef g(): ...\n", "<lr, seed>@f\ndef g(): ...\n"),
        ("if True:\n    lr = 1\n", "<lr, seed>if True:\n    lr = 1\n"),
        ("def f():\n    lr = 1\n", "<lr, seed>def f():\n    lr = 1\n"),
        ("(lr := 1)\nlr += 1\nlr: int\n", "<lr, seed>(lr := 1)\nlr += 1\nlr: int\n"),
        ("x[lr] = 1\nlr.x = 1\n", "<lr, seed>x[lr] = 1\nlr.x = 1\n"),
        # What has to stay in front.
        ('"""doc"""\nprint(1)\n', '"""doc"""\n<lr, seed>print(1)\n'),
        ('"""doc\n# parameters\nlr = 1\n"""', '"""doc\n# parameters\nlr = 1\n"""\n<lr, seed>'),
        (
            '# a\n"""doc\n"""\nfrom __future__ import annotations\nfrom __future__ import (\n    division,\n)\nf()\n',
            '# a\n"""doc\n"""\nfrom __future__ import annotations\nfrom __future__ import (\n    division,\n)\n'
            "<lr, seed>f()\n",
        ),
        ("from __future__ import division; x = [\n1]\n", "from __future__ import division; x = [\n1]\n<lr, seed>"),
        ("print(1)\n'no docstring'\n", "<lr, seed>print(1)\n'no docstring'\n"),
        ("#!/usr/bin/python\nprint(1)\n", "#!/usr/bin/python\n<lr, seed>print(1)\n"),
        ("# coding: latin-1\nprint(1)\n", "# coding: latin-1\n<lr, seed>print(1)\n"),
        ("#!/a\n# -*- coding: utf-8 -*-\nprint(1)\n", "#!/a\n# -*- coding: utf-8 -*-\n<lr, seed>print(1)\n"),
        ("x = 1\n# coding: utf-8\n", "<lr, seed>x = 1\n# coding: utf-8\n"),
        # The cell assigns it: behind its first assignment.
        ("import a\nlr = 1\nlr = 2\n", "<seed>import a\nlr = 1\n<lr>lr = 2\n"),
        ("lr: float = 1\n", "<seed>lr: float = 1\n<lr>"),
        ("lr = 1", "<seed>lr = 1\n<lr>"),
        ("lr = 1; print(lr)\nx\n", "<seed>lr = 1; print(lr)\n<lr>x\n"),
        ("lr = 1; x = [\n  2,\n]\n", "<seed>lr = 1; x = [\n  2,\n]\n<lr>"),
        ("lr = 1 \\\n; x = 2\n", "<seed>lr = 1 \\\n; x = 2\n<lr>"),
        ("lr = 1 + \\\n    2\nx\n", "<seed>lr = 1 + \\\n    2\n<lr>x\n"),
        ("lr = (\n    1  # one\n)  # all\nx\n", "<seed>lr = (\n    1  # one\n)  # all\n<lr>x\n"),
        ("lr = '''\nlr = 2\n'''\n", "<seed>lr = '''\nlr = 2\n'''\n<lr>"),
        ("lr = seed = 1\nx\n", "lr = seed = 1\n<lr, seed>x\n"),
        ("lr, (seed, *x) = 1, (2, 3)\nx\n", "lr, (seed, *x) = 1, (2, 3)\n<lr, seed>x\n"),
        ("seed = 1\nx\nlr = 2\n", "seed = 1\n<seed>x\nlr = 2\n<lr>"),
        ("'''doc'''\nlr = 1\n", "'''doc'''\n<seed>lr = 1\n<lr>"),
        ("lr = 1\r\nx = 2\r\n", "<seed>lr = 1\r\n<lr>x = 2\r\n"),
        ("lr = 1\rx = 2\r", "<seed>lr = 1\r<lr>x = 2\r"),
        ("x = '\x0c\u2028'\nlr = 1\nx\n", "<seed>x = '\x0c\u2028'\nlr = 1\n<lr>x\n"),
        # The line `# parameters`: behind the assignments that follow it.
        (
            "x = 1\n# parameters\nlr = 1\nseed: int = 2\nx()\n",
            "x = 1\n# parameters\nlr = 1\nseed: int = 2\n<lr, seed>x()\n",
        ),
        ("# Parameters  \n\nlr = 1\n\n# why\nx: int\ny = 1\n\nx()\n", None),
        ("lr = 0\n# parameters\nx()\nlr = 1\n", "lr = 0\n# parameters\n<lr, seed>x()\nlr = 1\n"),
        ("x()\n# parameters", "x()\n# parameters\n<lr, seed>"),
        ("# parameters\na, lr = 1, 2\nx()\n", "# parameters\na, lr = 1, 2\n<lr, seed>x()\n"),
        ("# parameters\nlr = 1; x()\ny = 1\n", "# parameters\nlr = 1; x()\n<lr, seed>y = 1\n"),
        ("# parameters\nx()\n# parameters\nlr = 1\n", "# parameters\n<lr, seed>x()\n# parameters\nlr = 1\n"),
        (
            "# parameters\n'''doc'''\nfrom __future__ import division\nx()\n",
            "# parameters\n'''doc'''\nfrom __future__ import division\n<lr, seed>x()\n",
        ),
        ("# parameters\n# coding: utf-8\nx()\n", "# parameters\n# coding: utf-8\n<lr, seed>x()\n"),
        # What only looks like that line.
        ("x = '''\n# parameters\nlr = 1\n'''\n", "<lr, seed>x = '''\n# parameters\nlr = 1\n'''\n"),
        ("x = [\n# parameters\n1]\n", "<lr, seed>x = [\n# parameters\n1]\n"),
        ("def f():\n    x\n# parameters\n    y\n", "<lr, seed>def f():\n    x\n# parameters\n    y\n"),
        ("if 1:\n    x\n# parameters\nelse:\n    y\n", "<lr, seed>if 1:\n    x\n# parameters\nelse:\n    y\n"),
        ("@f\n# parameters\ndef g(): ...\n", "<lr, seed>@f\n# parameters\ndef g(): ...\n"),
        ("x()  # parameters\n", "<lr, seed>x()  # parameters\n"),
        ("# parameters of the model\nx()\n", "<lr, seed># parameters of the model\nx()\n"),
        ("if 1:\n    # parameters\n    x\n", "<lr, seed>if 1:\n    # parameters\n    x\n"),
        # What this Python can't parse.
        ("#!/a\nlr = = 1\n", "#!/a\n<lr, seed>lr = = 1\n"),
        ("lr = '\0'\n", "<lr, seed>lr = '\0'\n"),
        ("lr = 1\nx = '''\n", "<lr, seed>lr = 1\nx = '''\n"),
    ],
)
def test_place_in_python(code: str, sent: str | None) -> None:
    if sent is None:
        sent = code.replace("y = 1\n", "y = 1\n<lr, seed>")
    assignments = {"<lr, seed>": "lr = 0.1; seed = 3", "<lr>": "lr = 0.1", "<seed>": "seed = 3"}
    for place, text in assignments.items():
        sent = sent.replace(place, f"{text}{INSERTED}\n")
    assert with_params(code, "python", {"lr": 0.1, "seed": 3}) == sent


PIECES = st.sampled_from(
    [
        "lr = 1",
        "lr: float = 1",
        "seed = lr = 1; x = 2",
        "lr = [\n    1,\n# parameters\n]; x = '''\n'''",
        "seed = 1 + \\\n    2",
        "# parameters",
        "# PARAMETERS",
        "",
        "    ",
        "x = f'''\n# parameters\nlr = {1}\n'''",
        "@f\n# parameters\n@f\nasync def g():\n    '''doc\n    '''\n# parameters\n    lr = 1\n",
        "for lr in 1, 2:\n\tseed = 3\n# parameters\nelse:\n\tpass",
        "class lr:\n    # parameters\n    seed = 1; lr = 2",
        "'''text\n'''",
        "x = '\x0c\x1c\u2028'",
        "\\\nlr = 2",
    ]
)
HEAD = st.sampled_from(
    ["", "#!/a\n", "# coding: utf-8\n", "'''doc'''\n", "'''doc'''; from __future__ import division\n"]
)


@given(HEAD, st.lists(PIECES), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_a_cell_stays_what_it_is(head: str, pieces: list[str], newline: str, has_end: bool) -> None:
    code = (head + "\n".join(pieces) + ("\n" if has_end else "")).replace("\n", newline)
    sent = with_params(code, "python", {"lr": 0.1, "seed": 3})
    added = ("lr = 0.1; seed = 3", "lr = 0.1", "seed = 3")
    rows = sent.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rest = [row for row in rows if row not in [text + INSERTED for text in added]]
    assert "\n".join(rest).rstrip("\n") == "\n".join([head + "\n".join(pieces)]).rstrip("\n")

    def statements(source: str) -> list[str]:
        return [ast.dump(statement) for statement in ast.parse(source).body]

    kept = iter(statements(sent))
    assert all(statement in kept for statement in statements(code))  # in this order
    assert len(statements(sent)) == len(statements(code)) + 2


def test_a_param_takes_effect_where_the_cell_has_its_default() -> None:
    cell = "'''doc'''\nfrom __future__ import annotations\nlr: float = 1.0\nhalf = lr / 2\n"
    variables: dict[str, Any] = {}
    exec(with_params(cell, "python", {"lr": 0.5}), variables)
    assert variables["half"] == 0.25


def test_a_declared_encoding_does_not_change_the_values(folder: Path) -> None:
    code = with_params("# coding: latin-1\nprint(ascii(x))\n", "python", {"x": {"é": "ß𝄞"}})
    assert ast.literal_eval(from_python(code, folder).decode()) == {"é": "ß𝄞"}


def test_a_long_cell_is_no_trouble() -> None:
    code = "".join(f"x{number} = {number}\n" for number in range(20_000))
    started = time.perf_counter()
    assert with_params(code, "python", {"x19999": 1}) == f"{code}x19999 = 1{INSERTED}\n"
    assert time.perf_counter() - started < 5


# ---------------------------------------------------------------- where they stand in the others


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        ("echo $lr\n", "<>echo $lr\n"),
        ("#!/bin/bash\necho $lr\n", "#!/bin/bash\n<>echo $lr\n"),
        ("#!/bin/bash", "#!/bin/bash\n<>"),
        ("# a comment\n", "<># a comment\n"),
    ],
)
def test_place_in_bash(code: str, sent: str) -> None:
    sent = sent.replace("<>", f"lr=0.1; name='a b'{INSERTED}\n")
    assert with_params(code, "bash", {"lr": 0.1, "name": "a b"}) == sent


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        ("f()\n", "<>f()\n"),
        ("// a\nf()\n", "<>// a\nf()\n"),
        ("#!/usr/bin/node\nf()\n", "#!/usr/bin/node\n<>f()\n"),
        ("#!/usr/bin/node", "#!/usr/bin/node\n<>"),
        ("'use strict'\nf()\n", "'use strict'\n<>f()\n"),
        ('"use strict";\r\nf()\r\n', '"use strict";\r\n<>f()\r\n'),
        ('"use strict"; f()\n', '"use strict";\n<> f()\n'),
        ('"use strict"', '"use strict"\n<>'),
        (
            "#!/a\n// a\n/* b\n */ 'use strict';\n'use asm'\n\nf()\n",
            "#!/a\n// a\n/* b\n */ 'use strict';\n'use asm'\n<>\nf()\n",
        ),
        ("'use strict'.length\n", "<>'use strict'.length\n"),
        ("/**/" * 10_000 + "f()", "<>" + "/**/" * 10_000 + "f()"),
    ],
)
def test_place_in_javascript(code: str, sent: str) -> None:
    sent = sent.replace("<>", 'const lr = 0.1; const name = "a b";  // parameters of this run\n')
    assert with_params(code, "javascript", {"lr": 0.1, "name": "a b"}) == sent


def test_strict_code_stays_strict(folder: Path) -> None:
    code = "// a\n'use strict'\nprocess.stdout.write(String((function () { return this })()))"
    assert output_of(["node"], with_params(code, "javascript", {"x": 1}), folder) == b"undefined"


def test_no_value_sets_a_prototype(folder: Path) -> None:
    code = with_params("process.stdout.write(String(x.stolen))", "javascript", {"x": {"__proto__": {"stolen": 1}}})
    assert output_of(["node"], code, folder) == b"undefined"


@pytest.mark.parametrize("language", ["python", "bash", "javascript", "go"])
def test_without_params_the_code_is_as_it_was(language: Language) -> None:
    code = "\r\n'use strict'\r# parameters\x0c"
    assert with_params(code, language, {}) is code


def test_no_params_for_go() -> None:
    with pytest.raises(ValueError, match=r"^parameters are not for go cells: use --env$"):
        with_params("package main", "go", {"x": 1})
