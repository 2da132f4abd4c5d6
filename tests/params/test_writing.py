"""What real programs get of the values."""

import json
import math
import os
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hopx_magics.params import checked_params, with_params

from .conftest import PLAIN, from_python, output_of, same


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
