"""From lists to the columns of a DataFrame: texts, moments, numbers and statuses, with what is missing."""

import contextlib
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..words import STATUSES, Status

if TYPE_CHECKING:
    import pandas as pd

_CODES = {status: code for code, status in enumerate(STATUSES)}
_SHOWABLE = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}
_SHOWABLE |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_DANGEROUS = "\x1b\x08\x0e\x0f"  # begin a sequence, move back, change the character set
_DANGEROUS_BEYOND_ASCII = _DANGEROUS + "\x90\x9b\x9d"


def texts(values: list[Any]) -> Any:
    """An array of `str`. What would act on a terminal stands as its symbol (`␛`)."""
    import pandas as pd

    if any(map(_is_dangerous, joined(values))):
        values = [value.translate(_SHOWABLE) if value else value for value in values]
    return pd.array(objects(values), dtype=_text_type())


def objects(values: list[Any]) -> Any:
    """The values as they are; of a list pandas and numpy would first find out what it holds."""
    import numpy as np

    return np.fromiter(values, dtype=object, count=len(values))


@functools.cache
def _text_type() -> "pd.StringDtype":
    import numpy as np
    import pandas as pd

    return pd.StringDtype(na_value=np.nan)  # what "str" means, which pandas takes long to find out


def _is_dangerous(text: str) -> bool:
    chars = _DANGEROUS if text.isascii() else _DANGEROUS_BEYOND_ASCII
    return any(char in text for char in chars)


def joined(values: list[Any]) -> list[str]:
    """The texts, short ones put together: to search one text is faster, to copy long ones is not."""
    if values and len(values[0] or "") > 1000:
        return [value for value in values if value]
    try:
        return ["".join(values)]
    except TypeError:  # some are missing
        return ["".join(value for value in values if value)]


def statuses(values: Sequence[Status]) -> Any:
    """An ordered categorical of all statuses."""
    import numpy as np

    return statuses_from_codes(np.fromiter(map(_CODES.__getitem__, values), dtype="int8", count=len(values)))


def known_statuses(values: Sequence[Status | None]) -> Any:
    """The same, where some are missing."""
    return statuses_from_codes([-1 if value is None else _CODES[value] for value in values])


def statuses_from_codes(codes: Any) -> Any:
    """The same from numbers of the statuses in `STATUSES`."""
    import pandas as pd

    return pd.Categorical.from_codes(codes, dtype=_status_type())


@functools.cache
def _status_type() -> "pd.CategoricalDtype[str]":
    import pandas as pd

    return pd.CategoricalDtype(list(STATUSES), ordered=True)


def times(values: list[Any]) -> Any:
    """An array of aware moments as `datetime64[us, UTC]`."""
    import pandas as pd

    times = pd.to_datetime(objects(values), utc=True, cache=False)
    return times if times.unit == "us" else times.as_unit("us")


def times_from_microseconds(values: list[int | None]) -> Any:
    """The same from microseconds since 1970."""
    import numpy as np
    import pandas as pd

    numbers = floats(values)  # exact up to the year 2255
    missing = np.isnan(numbers)
    moments = np.where(missing, np.iinfo("int64").min, numbers).astype("int64").view("datetime64[us]")
    return pd.DatetimeIndex(moments, tz="UTC")


def integers(values: list[int | None]) -> Any:
    """An array of `Int64`."""
    import numpy as np
    import pandas as pd

    try:
        return pd.arrays.IntegerArray(np.array(values, dtype="int64"), np.zeros(len(values), dtype=bool))
    except TypeError:  # some are missing
        numbers = objects(values)
        missing = pd.isna(numbers)
        numbers[missing] = 0
        return pd.arrays.IntegerArray(numbers.astype("int64"), missing)


def floats(values: Sequence[float | None]) -> Any:
    """An array of float64."""
    import numpy as np

    return np.array(values, dtype="float64")  # None becomes NaN


def truths(values: Sequence[int]) -> Any:
    """An array of bool."""
    import numpy as np

    return np.array(values, dtype="bool")


ABSENT = object()
"""Stands for a value that there is not, which None may be one."""


def plain_values(values: list[Any]) -> Any:
    """An array of whatever JSON can hold: whole numbers, numbers, texts or truths where all are such, else objects.

    Lists and dicts become values that have a hash and an order, so that they can be grouped and pivoted. Where one is
    None, the array is one of objects, in which None is None, and what is absent `pd.NA`.
    """
    import pandas as pd

    kinds = set(map(type, values))
    if type(None) in kinds:
        return pd.array([pd.NA if value is ABSENT else hashable(value) for value in values], dtype="object")
    if object in kinds:
        values = [None if value is ABSENT else value for value in values]
    kinds.discard(object)
    if kinds == {int}:
        with contextlib.suppress(OverflowError):  # one is too large for that
            return integers(values)
    if kinds and kinds <= {int, float}:
        return floats(values)
    if kinds == {bool}:
        return pd.array(values, dtype="boolean")
    if kinds == {str} or not kinds:
        return texts(values)
    return pd.array([pd.NA if value is None else hashable(value) for value in values], dtype="object")


def hashable(value: Any) -> Any:
    """A value of JSON with a hash: a list as a tuple, a dict as one that must not be changed."""
    if isinstance(value, list):
        return FixedList(map(hashable, value))
    return FixedDict({name: hashable(item) for name, item in value.items()}) if isinstance(value, dict) else value


class _Ordered:
    """Has its place in an order of all values, which pandas needs to sort them: lists and dicts come last."""

    def __lt__(self, other: object) -> bool:
        return _place(self) < _place(other)

    def __gt__(self, other: object) -> bool:
        return _place(self) > _place(other)


def _place(value: object) -> tuple[int, list[tuple[int, float, str]], str]:
    if isinstance(value, FixedList):
        return 1, [_place_in_list(item) for item in value], ""
    return (2 if isinstance(value, FixedDict) else 0), [], repr(value)


def _place_in_list(item: Any) -> tuple[int, float, str]:
    """Numbers by their size, then texts and all others by how they are written."""
    if isinstance(item, int | float) and item == item:
        return 0, item, ""
    return 1, 0, item if isinstance(item, str) else repr(item)


class FixedList(_Ordered, tuple[Any, ...]):
    """A list among the values of a DataFrame: a tuple that can be compared with everything."""


class FixedDict(_Ordered, dict[str, Any]):
    """A dict among the values of a DataFrame, where it must not be changed: it has a hash."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))
