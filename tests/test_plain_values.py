"""Values in a form that is read without running code: each is read as it was written, and all else is refused."""

import collections
import contextlib
import datetime as dt
import decimal
import fractions
import json
import math
import pathlib
import sys
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hopx_magics.local_agent.programs import RUNNER
from hopx_magics.plain_values import NotAValue, read_plain

sys.path.insert(0, str(RUNNER))
from hopx_runner.plain import NotPlainError, plain_parts  # type: ignore[import-not-found]

sys.path.remove(str(RUNNER))


def there_and_back(value: Any) -> Any:
    return read_plain([memoryview(bytearray(part)) for part in plain_parts(value)])


VALUES = [
    *(
        None,
        True,
        -(10**50),
        1.5,
        math.inf,
        "ä\ud800",
        b"\0x",
        2j,
        (),
        {},
        [[], {}],
        {"a": 1, 2: {3}, (1,): frozenset("a")},
    ),
    *(
        range(3),
        slice(1, None),
        collections.Counter("aab"),
        collections.defaultdict(list, a=[1]),
        collections.OrderedDict(a=[1.0, 2.0]),
        bytearray(b"ab"),
    ),
    *(dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5, 6), dt.time(3), dt.timedelta(3, 4, 5)),
    dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
    *(decimal.Decimal("1.10"), fractions.Fraction(1, 3), uuid.UUID(int=7), pathlib.Path("/a")),
    *(np.float32(1.5), np.str_("xy"), np.datetime64("2020-01-01"), np.bool_(True), np.complex128(1j)),
    *(pd.Timestamp("2020-01-01", tz="Europe/Berlin"), pd.Timestamp(1), pd.Timedelta("1s")),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_what_it_was(value: Any) -> None:
    found = there_and_back(value)
    assert type(found) is type(value)
    assert found == value


def test_what_is_not_equal_to_itself() -> None:
    assert math.isnan(there_and_back(math.nan))
    assert there_and_back(pd.NaT) is pd.NaT
    assert there_and_back(pd.NA) is pd.NA
    shared: list[int] = []
    one, other = there_and_back([shared, (shared,)])
    assert other[0] is one
    error = there_and_back(ZeroDivisionError("by zero", 3))
    assert (type(error), error.args) == (ZeroDivisionError, ("by zero", 3))
    image = Image.new("RGB", (3, 2), "red")
    assert there_and_back(image).tobytes() == image.tobytes()


ARRAYS = [
    *(np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.zeros((0, 3)), np.array(5), np.arange(10)[::3]),
    *(
        np.array(["a", "bc"]),
        np.array([b"a"]),
        np.array(["2020"], "M8[D]"),
        np.arange(3, dtype=">i4"),
        np.array([True]),
    ),
    np.array([1, "x", None, [1]], dtype=object),
]


@pytest.mark.parametrize("array", ARRAYS, ids=repr)
def test_an_array_is_what_it_was_and_can_be_changed(array: "np.ndarray[Any, Any]") -> None:
    found = there_and_back(array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable


def frames() -> list[pd.DataFrame]:
    frame = pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [1.0, None, 2.0],
            "s": ["x", None, "y"],
            "o": [{"a": 1}, [1], (2,)],
            "c": pd.Categorical(["u", "v", "u"], ordered=True),
            "t": pd.date_range("2020", periods=3, tz="Europe/Berlin"),
            "d": pd.to_timedelta([1, 2, 3], unit="s"),
            "n": pd.array([1, None, 3], dtype="Int64"),
            "b": pd.array([True, None, False], dtype="boolean"),
            "x": pd.array([1.0, None, 2.0], dtype="Float32"),
            "st": pd.array(["a", None, "b"], dtype="string"),
        }
    )
    return [
        *(frame, frame.set_index("i"), frame.set_index(["i", "s"]), frame[["i", "d"]].iloc[:0], pd.DataFrame()),
        *(
            pd.DataFrame(np.zeros((3, 2))),
            pd.DataFrame(index=range(3)),
            frame.describe(),
            frame.pivot(index="i", columns="s", values="f"),
        ),
        pd.DataFrame({"v": range(3)}, index=pd.date_range("2020", periods=3, freq="h")),
        pd.DataFrame([[1, "a"]], columns=["same", "same"]),
        frame.groupby("c", observed=True)[["i"]].sum(),
        frame.groupby(pd.cut(frame.i, [0, 1, 3]), observed=False)[["f"]].sum(),
        pd.DataFrame(
            {"p": pd.period_range("2020", periods=2, freq="Q")}, index=pd.period_range("2020-03", periods=2, freq="M")
        ),
    ]


@pytest.mark.parametrize("number", range(len(frames())))
def test_a_table_is_what_it_was(number: int) -> None:
    frame = frames()[number]
    pd.testing.assert_frame_equal(there_and_back(frame), frame)
    for name in {*frame.columns}:
        pd.testing.assert_series_equal(there_and_back(frame[[name]].iloc[:, 0]), frame[[name]].iloc[:, 0])


class Named(tuple[int, ...]):
    """A tuple, and more than that."""


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), "builtins.object"),
        (len, "builtins.builtin_function_or_method"),
        (endless(), "what holds itself"),
        (Named((1,)), "test_plain_values.Named"),
        (np.zeros(2, "i4,i4"), "i4"),
        (pd.Series(pd.arrays.SparseArray([1])), "Sparse"),
        (10**5000, "digits"),
    ],
    ids=lambda each: str(each)[:20] if isinstance(each, str) else "",
)
def test_all_else_takes_a_pickle_and_is_named(value: Any, named: str) -> None:
    with pytest.raises(NotPlainError, match=named):
        plain_parts({"in": [value]})


# ---------------------------------------------------------------- bytes of others


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def doubling(times: int) -> str:
    """A few lists of which each has the one before it twice."""
    return "[[]," + ",".join(f'[{{"ref":{n}}},{{"ref":{n}}}]' for n in range(times)) + "]"


HOSTILE = [
    *(
        "",
        "{",
        "nul",
        "{}",
        '{"a":1,"b":2}',
        '{"eval":"1"}',
        '{"__class__":"os"}',
        '{"ref":0}',
        '{"ref":-1}',
        '{"tuple":"abc"}',
    ),
    *(nested(100_000), doubling(60), '{"dict":[[[1]],[1]]}', '{"dict":[[1,2],[1]]}', '{"bytes":1}', '{"bytes":-2}'),
    *('{"error":["eval",["1"]]}', '{"error":["__import__",["os"]]}', '{"error":["object",[]]}', '{"range":[0,1,0]}'),
    *(
        '{"array":["O",[1],"C",0]}',
        '{"array":["|V8",[1],"C",0]}',
        '{"array":["<f8",[2],"C",0]}',
        '{"array":["<f8",[-1],"C",0]}',
    ),
    *('{"array":["<f8",[9007199254740993],"C",0]}', '{"array":["i4,O",[1],"C",0]}', '{"array":[["a","O"],[1],"C",0]}'),
    *(
        '{"scalar":["<f8","00"]}',
        '{"scalar":["O","0000000000000000"]}',
        '{"objects":[[1000000000000],[]]}',
        '{"image":0}',
    ),
    *('{"frame":[[{"array":["<f8",[1],"C",0]}],{"steps":[0,9,1,[null]]},{"steps":[0,1,1,[null]]}]}', '{"float":[1]}'),
    *('{"timedelta":[10000000000000,0,0]}', '{"Fraction":[1,0]}', '{"complex":["1","2"]}', '{"Decimal":{}}'),
    *('{"series":[{"zoned":[{"array":["<M8[ns]",[1],"C",0]},"../../etc/passwd"]},{"steps":[0,1,1,[null]]},null]}',),
    *('{"series":[{"text":["object",["a"]]},{"steps":[0,1,1,[null]]},null]}', "1" * 5000),
]


@pytest.mark.parametrize("tree", HOSTILE, ids=lambda tree: tree[:60])
def test_what_is_no_value_is_refused(tree: str) -> None:
    with pytest.raises(NotAValue):
        read_plain([memoryview(tree.encode()), memoryview(bytes(8))])


KINDS = [
    *("ref", "tuple", "set", "dict", "bytes", "slice", "complex", "error", "array", "objects", "category", "zoned"),
    *(
        "text",
        "nullable",
        "period",
        "interval",
        "defaultdict",
        "index",
        "steps",
        "levels",
        "frame",
        "series",
        "scalar",
        "timestamp",
        "duration",
        "missing",
    ),
    *("range", "date", "datetime", "Decimal", "Fraction", "float", "image"),
]

ANY_TREE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["<f8", "C", "UTC", "h"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KINDS),
            inner,
            min_size=1,
            max_size=1,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY_TREE)
def test_whatever_is_written_is_a_value_or_refused(tree: Any) -> None:
    with contextlib.suppress(NotAValue):
        read_plain([memoryview(json.dumps(tree).encode()), memoryview(bytes(16))])
