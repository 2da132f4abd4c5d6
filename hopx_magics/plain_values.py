"""Values as runners elsewhere write them: read without running code, whoever has written them. Pure.

The form is told in `runner/hopx_runner/plain.py`. Nothing here makes more than there are bytes for, or calls what it is
told to: it knows the kinds of values that there are, and raises NotAValue for all else.
"""

import builtins
import io
import json
import math
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LONGEST_TREE = 100_000_000
"""Bytes of a tree: the runner writes none that is longer."""

MOST_PARTS = 20_000_000
"""Lists and objects in a value, counted as often as they are to be seen in it: a few of them can name each other."""

MOST_PIXELS = 200_000_000

_DTYPE = re.compile(
    r"[<>|=]?(?:b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|[SU][1-9]\d{0,8}|[mM]8(?:\[\d{0,9}[a-zA-Z]{1,2}\])?)"
)
_ZONE = re.compile(r"[A-Za-z0-9_+\-/:]{1,64}")
_FREQUENCY = re.compile(r"[A-Za-z0-9\-]{1,32}")


class NotAValue(ValueError):
    """These bytes are no value, or none that can be read so."""


def read_plain(parts: Sequence[memoryview]) -> Any:
    """The value that is written in these parts, whose buffers it uses in their place.

    Raises NotAValue, and ImportError where it takes a library that is not installed.
    """
    if not parts or len(parts[0]) > LONGEST_TREE + 64:
        raise NotAValue("its tree is too large")
    try:
        return _Reader(parts[1:]).value(json.loads(bytes(parts[0])))
    except ImportError:
        raise
    except (NotAValue, RecursionError) as error:
        raise NotAValue(str(error) or "it is nested too deeply") from None
    except Exception as error:  # whatever a library says of what it was given
        raise NotAValue(f"{type(error).__name__}: {error}") from None


_Read = Callable[[Any], Any]
"""Makes a value of the content of an object."""


class _Reader:
    """One value on its way out of a tree and its buffers."""

    def __init__(self, buffers: Sequence[memoryview]) -> None:
        self._buffers = buffers
        self._complete: list[tuple[Any, int]] = []
        """The values of lists and objects, each with how many of them are in it."""
        self._count = 0
        arrays: dict[str, _Read] = {"array": self._array, "objects": self._objects}
        self._columns: dict[str, _Read] = {
            **arrays,
            "category": self._category,
            "zoned": lambda content: _in_zone(self._one(self._columns, content[0]), content[1]),
            "text": self._text,
            "period": lambda content: _periods(self._column(content[0]), content[1]),
            "interval": self._intervals,
            "nullable": lambda content: _nullable(*[self._one(self._columns, each) for each in content]),
        }
        self._indexes: dict[str, _Read] = {"index": self._index, "steps": self._steps, "levels": self._levels}
        self._kinds: dict[str, _Read] = {
            **_SMALL,
            **arrays,
            **self._indexes,
            "tuple": lambda content: tuple(self._items(content)),
            "set": lambda content: set(self._items(content)),
            "frozenset": lambda content: frozenset(self._items(content)),
            "dict": self._dict,
            "Counter": lambda content: Counter(self._dict(content)),
            "defaultdict": lambda content: defaultdict(_FACTORIES[content[0]], self._dict(content[1:])),
            "OrderedDict": lambda content: OrderedDict(self._dict(content)),
            "bytes": lambda content: bytes(self._buffer(content)),
            "bytearray": lambda content: bytearray(self._buffer(content)),
            "slice": lambda content: slice(*self._items(content)),
            "complex": lambda content: complex(*self._items(content)),
            "error": self._error,
            "image": lambda content: _image(self._buffer(content)),
            "frame": self._frame,
            "series": self._series,
        }

    def value(self, tree: Any) -> Any:
        """The value of a tree."""
        if not isinstance(tree, list | dict):
            return tree
        if isinstance(tree, dict) and "ref" in tree:
            value, size = self._complete[_integer(tree["ref"])]
            self._add(size)
            return value
        before = self._count
        self._add(1)
        value = self._items(tree) if isinstance(tree, list) else self._one(self._kinds, tree)
        self._complete.append((value, self._count - before))
        return value

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MOST_PARTS:
            raise NotAValue("it has too many parts")

    def _one(self, kinds: Mapping[str, _Read], tree: Any) -> Any:
        """The value of an object that is of one of these kinds."""
        ((name, content),) = tree.items()
        if name not in kinds:
            raise NotAValue(f"{name[:40]!r} is none of the kinds that there are")
        return kinds[name](content)

    def _items(self, trees: Any) -> list[Any]:
        if not isinstance(trees, list):
            raise NotAValue("there is no list where one must be")
        if not {list, dict} & set(map(type, trees)):
            return trees
        return [self.value(tree) if isinstance(tree, list | dict) else tree for tree in trees]

    def _dict(self, content: Any) -> dict[Any, Any]:
        keys, values = content
        return dict(zip(self._items(keys), self._items(values), strict=True))

    def _buffer(self, number: Any) -> memoryview:
        return self._buffers[_integer(number)]

    def _error(self, content: Any) -> BaseException:
        name, args = content
        kind = getattr(builtins, str(name), None)
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise NotAValue(f"{str(name)[:40]!r} is no error of Python")
        return kind(*self._items(args))

    # ------------------------------------------------------------ NumPy

    def _array(self, content: Any) -> "np.ndarray[Any, Any]":
        import numpy as np

        name, sizes, order, number = content
        dtype, shape, buffer = _dtype(name), _shape(sizes), self._buffer(number)
        if math.prod(shape) * dtype.itemsize != len(buffer):
            raise NotAValue("an array has not as many bytes as its shape says")
        if not len(buffer):
            return np.empty(shape, dtype)
        return np.frombuffer(buffer, dtype).reshape(shape, order="F" if order == "F" else "C")

    def _objects(self, content: Any) -> "np.ndarray[Any, Any]":
        import numpy as np

        shape, items = _shape(content[0]), self._items(content[1])
        if math.prod(shape) != len(items):
            raise NotAValue("an array has not as many values as its shape says")
        array = np.empty(len(items), object)
        for place, item in enumerate(items):  # not all at once: lists would become more dimensions
            array[place] = item
        return array.reshape(shape)

    # ------------------------------------------------------------ pandas

    def _column(self, tree: Any) -> Any:
        return self._one(self._columns, tree)

    def _category(self, content: Any) -> Any:
        import pandas as pd

        codes, categories, ordered = content
        index = self._one(self._indexes, categories)
        return pd.Categorical.from_codes(self._column(codes), categories=index, ordered=ordered is True)

    def _text(self, content: Any) -> Any:
        import pandas as pd

        dtype, texts = content
        if dtype not in ("str", "string") or not set(map(type, texts)) <= {str, type(None)}:
            raise NotAValue("there is no text where it must be")
        return pd.array(texts, dtype=dtype)

    def _intervals(self, content: Any) -> Any:
        import pandas as pd

        left, right, closed = content
        first, last = (self._one(self._indexes, each) for each in (left, right))
        return pd.arrays.IntervalArray.from_arrays(first, last, closed=closed)

    def _index(self, content: Any) -> Any:
        import pandas as pd

        column, names, frequency = content
        (name,) = self._items(names)
        index = pd.Index(self._column(column), name=name)
        if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) and frequency is not None:
            return type(index)(index, freq=_matching(_FREQUENCY, frequency), name=name)
        return index

    def _steps(self, content: Any) -> Any:
        import pandas as pd

        start, stop, step, names = content
        (name,) = self._items(names)
        return pd.RangeIndex(_integer(start), _integer(stop), _integer(step), name=name)

    def _levels(self, content: Any) -> Any:
        import pandas as pd

        levels, names = content
        return pd.MultiIndex.from_arrays([self._column(level) for level in levels], names=self._items(names))

    def _frame(self, content: Any) -> "pd.DataFrame":
        import pandas as pd

        table = content[0]
        columns = self._column(table) if isinstance(table, dict) else [self._column(column) for column in table]
        index, names = (self._one(self._indexes, tree) for tree in content[1:])
        if not isinstance(columns, list):
            return pd.DataFrame(columns, index=index, columns=names)
        if any(len(column) != len(index) for column in columns):
            raise NotAValue("the columns of a table are not as long as its index")
        frame = pd.DataFrame(dict(enumerate(columns)), index=index)
        frame.columns = names
        return frame

    def _series(self, content: Any) -> "pd.Series[Any]":
        import pandas as pd

        column, index, name = content
        return pd.Series(self._column(column), index=self._one(self._indexes, index), name=self.value(name))


def _integer(number: Any) -> int:
    if type(number) is not int:
        raise NotAValue("there is no whole number where one must be")
    return number


def _shape(sizes: Any) -> list[int]:
    shape = [_integer(size) for size in sizes]
    if any(size < 0 for size in shape):
        raise NotAValue("an array has a shape that can't be")
    return shape


def _matching(pattern: re.Pattern[str], text: Any) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise NotAValue(f"{str(text)[:40]!r} is not what must be there")
    return text


def _dtype(name: Any) -> "np.dtype[Any]":
    import numpy as np

    return np.dtype(_matching(_DTYPE, name))


def _scalar(content: Any) -> Any:
    import numpy as np

    name, digits = content
    dtype, raw = _dtype(name), bytearray.fromhex(digits)
    if len(raw) != dtype.itemsize:
        raise NotAValue("a number has not as many bytes as its type says")
    return np.frombuffer(raw, dtype)[0]


def _in_zone(moments: Any, zone: Any) -> Any:
    import pandas as pd

    return pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(_matching(_ZONE, zone))


def _periods(ordinals: Any, frequency: Any) -> Any:
    import pandas as pd

    return pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(_matching(_FREQUENCY, frequency)))


def _nullable(values: Any, mask: Any) -> Any:
    import pandas as pd

    kinds: dict[str, Any] = {
        "b": pd.arrays.BooleanArray,
        "f": pd.arrays.FloatingArray,
        **dict.fromkeys("iu", pd.arrays.IntegerArray),
    }
    return kinds[values.dtype.kind](values, mask)


def _timestamp(content: Any) -> Any:
    import pandas as pd

    dtype, number, zone = content
    moment = pd.Timestamp(_moment(dtype, number))
    return moment if zone is None else moment.tz_localize("UTC").tz_convert(_matching(_ZONE, zone))


def _duration(content: Any) -> Any:
    import pandas as pd

    return pd.Timedelta(_moment(*content))


def _moment(dtype: Any, number: Any) -> Any:
    import numpy as np

    return np.array(_integer(number), "i8").view(_dtype(dtype))[()]


def _missing(name: Any) -> Any:
    import pandas as pd

    return {"NaT": pd.NaT, "<NA>": pd.NA}[name]


def _image(content: memoryview) -> Any:
    from PIL import Image

    image = Image.open(io.BytesIO(content), formats=("PNG",))
    if math.prod(image.size) > MOST_PIXELS:
        raise NotAValue(f"it has {math.prod(image.size):,} pixels")
    image.load()
    return image


_FACTORIES: dict[str, type] = {kind.__name__: kind for kind in (list, dict, set, int, float, str)}
_SMALL: dict[str, _Read] = {
    "float": float,
    "range": lambda content: range(*map(_integer, content)),
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "datetime": datetime.fromisoformat,
    "timedelta": lambda content: timedelta(*map(_integer, content)),
    "Decimal": Decimal,
    "UUID": UUID,
    "Fraction": lambda content: Fraction(*map(_integer, content)),
    "PosixPath": lambda content: Path(str(content)),
    "PurePosixPath": PurePosixPath,
    "scalar": _scalar,
    "timestamp": _timestamp,
    "duration": _duration,
    "missing": _missing,
}
