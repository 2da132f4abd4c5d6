"""Values in a form that is read without running code: a tree in JSON, and buffers. `plain_values.py` reads it.

In the tree a list is a list, and an object with one key is a value of the kind that the key names. `{"ref": 3}` is the
value of the third list or object that was complete before, counted from 0.
"""

import math
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LONGEST_TREE = 100_000_000
"""Bytes of a tree, at most: arrays and tables are buffers."""

_EXACT = {type(None), bool, int, str}
_FACTORIES = (list, dict, set, int, float, str)
_IMAGES = ("1", "L", "LA", "P", "RGB", "RGBA")


class NotPlainError(Exception):
    """There is no such form of this value, for what the message names."""


def plain_parts(value: "Any") -> "list[Any]":
    """The tree of a value in bytes, and the buffers that it names. Raises NotPlainError for what takes a pickle."""
    import json

    writer = _Writer()
    try:
        tree = json.dumps(writer.tree(value), allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise NotPlainError("what holds itself") from None
    except ValueError as error:  # a number of thousands of digits, say
        raise NotPlainError(f"{error}") from None
    if len(tree) > LONGEST_TREE:
        raise NotPlainError("so many parts")
    return [tree + b" " * (-len(tree) % 64), *writer.buffers]  # so that what lies behind it can be used in its place


class _Writer:
    """One value on its way into a tree and its `buffers`."""

    def __init__(self) -> None:
        self.buffers: list[Any] = []
        self._complete: dict[int, int] = {}
        self._alive: list[Any] = []

    def tree(self, value: "Any") -> "Any":
        """The value as what JSON can hold. Raises NotPlainError, and RecursionError for what holds itself."""
        kind = type(value)
        if kind in _EXACT or (kind is float and math.isfinite(value)):
            return value
        if id(value) in self._complete:
            return {"ref": self._complete[id(value)]}
        written = self._written(value, kind)
        self._complete[id(value)] = len(self._complete)
        self._alive.append(value)  # or its id could be that of another
        return written

    def _written(self, value: "Any", kind: type) -> "Any":
        if kind is list:
            return self._items(value)
        if kind in (tuple, set, frozenset):
            return {kind.__name__: self._items(value)}
        library = kind.__module__.partition(".")[0]
        if kind is dict or (library == "collections" and kind.__name__ in ("Counter", "OrderedDict")):
            return {kind.__name__: [self._items(value), self._items(value.values())]}
        if library == "collections" and kind.__name__ == "defaultdict" and value.default_factory in _FACTORIES:
            return {"defaultdict": [value.default_factory.__name__, self._items(value), self._items(value.values())]}
        if library == "builtins":
            return self._builtin(value, kind)
        write = {"numpy": self._numpy, "pandas": self._pandas, "PIL": self._image}.get(library, _of_library)
        return write(value, kind)

    def _items(self, values: "Iterable[Any]") -> "list[Any]":
        items = list(values)
        kinds = set(map(type, items))
        if kinds <= _EXACT or (kinds <= {float} and all(map(math.isfinite, items))):
            return items
        return [self.tree(item) for item in items]

    def _builtin(self, value: "Any", kind: type) -> "Any":
        if kind in (bytes, bytearray):
            return {kind.__name__: self._buffer(value)}
        if kind is float:
            return {"float": repr(value)}
        if kind is complex:
            return {"complex": [self.tree(value.real), self.tree(value.imag)]}
        if kind in (range, slice):
            return {kind.__name__: self._items([value.start, value.stop, value.step])}
        if issubclass(kind, BaseException) and not vars(value):
            return {"error": [kind.__name__, self._items(value.args)]}
        raise NotPlainError(_name(kind))

    def _buffer(self, content: "Any") -> int:
        self.buffers.append(content)
        return len(self.buffers) - 1

    # ------------------------------------------------------------ NumPy

    def _numpy(self, value: "Any", kind: type) -> "Any":
        numpy = sys.modules["numpy"]
        if kind is numpy.ndarray:
            return self._array(value)
        if isinstance(value, numpy.generic) and _is_simple(value.dtype):
            return {"scalar": [value.dtype.str, value.tobytes().hex()]}
        raise NotPlainError(_name(kind))

    def _array(self, value: "Any") -> "Any":
        if value.dtype.kind == "O":
            return {"objects": [list(value.shape), self._items(value.ravel().tolist())]}
        if not _is_simple(value.dtype):
            raise NotPlainError(str(value.dtype))
        order = "F" if value.ndim > 1 and value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        flat = value.ravel(order)
        return {"array": [value.dtype.str, list(value.shape), order, self._buffer(memoryview(flat.view("u1")))]}

    # ------------------------------------------------------------ pandas

    def _pandas(self, value: "Any", kind: type) -> "Any":
        pandas = sys.modules["pandas"]
        if kind is pandas.DataFrame:
            return {"frame": [self._table(value), self._index(value.index), self._index(value.columns)]}
        if kind is pandas.Series:
            return {"series": [self._column(value), self._index(value.index), self.tree(value.name)]}
        if isinstance(value, pandas.Index):
            return self._index(value)
        if kind is pandas.Timestamp:
            return {"timestamp": [value.asm8.dtype.str, int(value.asm8.view("i8")), _zone(value.tz)]}
        if kind is pandas.Timedelta:
            return {"duration": [value.asm8.dtype.str, int(value.asm8.view("i8"))]}
        if value is pandas.NaT or value is pandas.NA:
            return {"missing": str(value)}
        raise NotPlainError(_name(kind))

    def _table(self, frame: "Any") -> "Any":
        """All in one where it is of one kind, else by columns."""
        kinds = set(frame.dtypes)
        if len(kinds) == 1 and _is_simple(next(iter(kinds))):
            return self._array(frame.to_numpy())
        return [self._column(frame.iloc[:, place]) for place in range(frame.shape[1])]

    def _column(self, column: "Any") -> "Any":
        """The values of a Series or of an Index."""
        pandas = sys.modules["pandas"]
        dtype, array = column.dtype, column.array
        if isinstance(dtype, sys.modules["numpy"].dtype):
            return self._array(column.to_numpy())
        if isinstance(dtype, pandas.CategoricalDtype):
            return {"category": [self._array(array.codes), self._index(array.categories), bool(array.ordered)]}
        if isinstance(dtype, pandas.DatetimeTZDtype):
            return {"zoned": [self._array(array.tz_convert(None).to_numpy()), _zone(dtype.tz)]}
        if isinstance(dtype, pandas.StringDtype):
            return {"text": [str(dtype), [each if isinstance(each, str) else None for each in array.tolist()]]}
        if isinstance(dtype, pandas.PeriodDtype):
            return {"period": [self._array(array.asi8), str(dtype)[len("period[") : -1]]}
        if isinstance(dtype, pandas.IntervalDtype):
            return {"interval": [self._index(array.left), self._index(array.right), array.closed]}
        if type(array).__name__ in ("IntegerArray", "FloatingArray", "BooleanArray"):
            values = array.to_numpy(dtype.numpy_dtype, na_value=0)
            return {"nullable": [self._array(values), self._array(array.isna())]}
        raise NotPlainError(str(dtype))

    def _index(self, index: "Any") -> "Any":
        pandas = sys.modules["pandas"]
        names = self._items(index.names)
        if type(index) is pandas.RangeIndex:
            return {"steps": [index.start, index.stop, index.step, names]}
        if type(index) is pandas.MultiIndex:
            levels = [self._column(index.get_level_values(place)) for place in range(index.nlevels)]
            return {"levels": [levels, names]}
        return {"index": [self._column(index), names, getattr(index, "freqstr", None)]}

    # ------------------------------------------------------------ pictures

    def _image(self, value: "Any", kind: type) -> "Any":
        import io

        from PIL import Image

        if not isinstance(value, Image.Image) or value.mode not in _IMAGES:
            raise NotPlainError(_name(kind))
        content = io.BytesIO()
        value.save(content, "PNG")
        return {"image": self._buffer(content.getvalue())}


def _is_simple(dtype: "Any") -> bool:
    return getattr(dtype, "kind", "O") in "biufcSUmM" and isinstance(dtype.str, str) and dtype.itemsize > 0


def _zone(zone: "Any") -> "str | None":
    """The name of a time zone by which it is found again. Raises NotPlainError for one that has none."""
    name = None if zone is None else str(zone)
    if name is not None and (name.startswith("tz") or "<" in name or " " in name):  # what it is said to be by its repr
        raise NotPlainError(name)
    return name


def _name(kind: type) -> str:
    return f"{kind.__module__.lstrip('_')}.{kind.__qualname__}"


def _of_library(value: "Any", kind: type) -> "Any":
    """What the standard library has in the way of values."""
    from datetime import timezone

    name = _name(kind)
    if name == "datetime.timedelta":
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    if name in ("datetime.date", "datetime.time", "datetime.datetime"):
        if getattr(value, "tzinfo", None) is None or type(value.tzinfo) is timezone:
            return {kind.__name__: value.isoformat()}
    elif name in ("decimal.Decimal", "uuid.UUID"):
        return {kind.__name__: str(value)}
    elif name == "fractions.Fraction":
        return {"Fraction": [value.numerator, value.denominator]}
    elif name.startswith("pathlib.") and kind.__name__ in ("PosixPath", "PurePosixPath"):
        return {kind.__name__: str(value)}
    raise NotPlainError(name)
