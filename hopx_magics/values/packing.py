"""From the variables of a notebook to what travels to the process of a cell: imports, definitions, and pickled data."""

import functools
import io
import pickle
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from ..errors import ValueRefused
from .anew import made_anew
from .definitions import cell_of, definition_of, is_defined_there
from .facts import type_name
from .packed import Cell, Datum, Definition, Import, Packed, content_hash
from .reading import Transform, names_mentioned, names_perhaps_read, names_read

OUT_OF_BAND = 64_000
"""Bytes from which a buffer travels on its own, so that it is neither copied nor sent twice."""

HASHED_AGAIN = 2_000_000
"""Bytes of a pickle that is made once more to be hashed, since what went before it shows in it."""

NAMED_FROM = 2_000_000_000
"""Bytes of a value that only goes when it is named."""

_RESULT = re.compile(r"_{1,3}|_\d+")
"""The names under which IPython keeps the values of earlier cells."""

_OF_IPYTHON = re.compile(r"_i{1,3}|_i\d+|_[iod]h|__\w+__")
"""Names under which it keeps other things."""

_OUT = re.compile(r"\bOut\s*\[\s*(\d{1,6})\s*\]")


class Notebook(NamedTuple):
    """Whose variables they are: the namespace, what of it is nobody's variable, and what makes Python of a cell."""

    namespace: Mapping[str, Any]
    hidden: frozenset[str] = frozenset()
    transform: Transform = str
    flags: int = 0
    main: Mapping[str, Any] | None = None
    """The globals of the notebook's functions, if that isn't the namespace."""

    def has(self, name: str) -> bool:
        """Whether it is a variable of the notebook, and not one of its own tools."""
        if name not in self.namespace or _OF_IPYTHON.fullmatch(name):
            return False
        return name not in self.hidden or _RESULT.fullmatch(name) is not None


def pack_needed(code: str, notebook: Notebook, also: Iterable[str] = ()) -> Packed:
    """What `code` needs of the notebook, and `also` these variables.

    Raises ValueRefused for what it needs and can't travel, SyntaxError.
    """
    notebook = _with_results(code, notebook)
    read = names_read(code, notebook.transform)
    if "Out" in read and "Out" in notebook.hidden:
        raise ValueRefused("Out holds the values of all earlier cells", hint="Name the one that is needed, as Out[3].")
    needed = dict.fromkeys(name for name in (*read, *also) if notebook.has(name))
    for name in sorted(names_mentioned(notebook.transform(code))):
        if notebook.has(name) and _is_light(notebook.namespace[name]):
            needed[name] = None
    perhaps = names_perhaps_read(code, notebook.transform)
    return _pack(needed, notebook, code, limit=NAMED_FROM, perhaps=perhaps)


def pack_named(names: Iterable[str], notebook: Notebook) -> Packed:
    """These variables of the notebook. Raises ValueRefused for one that it does not have or that can't travel."""
    names = list(names)
    for name in names:
        if name not in notebook.namespace:
            raise ValueRefused(f"{name} is no variable of this notebook", hint="%who lists those that there are.")
    return _pack(names, notebook, "", limit=None)._replace(is_named=True)


def pack_beside(base: Packed, values: Mapping[str, Any], notebook: Notebook) -> Packed:
    """More values for a process that has `base` already. Raises ValueRefused for one that can't travel."""
    beside = notebook._replace(namespace={**notebook.namespace, **values})
    return _pack(values, beside, "", limit=None, base=base)._replace(is_named=True)


def _with_results(code: str, notebook: Notebook) -> Notebook:
    """The notebook in which `Out` has the values of those earlier cells alone that the code names."""
    results = notebook.namespace.get("Out")
    named = {int(number) for number in _OUT.findall(code)}
    if not named or not isinstance(results, dict):
        return notebook
    only = {number: results[number] for number in named if number in results}
    namespace = {**notebook.namespace, "Out": only}
    return notebook._replace(namespace=namespace, hidden=notebook.hidden - {"Out"}, main=notebook.namespace)


def _is_light(value: object) -> bool:
    return isinstance(value, (ModuleType, FunctionType, type))


def _pack(
    names: Iterable[str],
    notebook: Notebook,
    code: str,
    *,
    limit: int | None,
    perhaps: Collection[str] = (),
    base: Packed | None = None,
) -> Packed:
    sorting = _Sorting(notebook, there=base.names if base else ())
    for name in names:
        sorting.take(name)
    while True:
        try:
            packed = _pickled(sorting, limit)
        except _CantTravel as error:
            if error.name not in perhaps:
                raise ValueRefused(error.message, hint=error.hint) from error.__cause__
            del sorting.data[error.name]  # the code most likely sets it itself
        else:
            within = sorting.modules_within([code, *(one.source for one in packed.definitions)])
            return packed._replace(imports=(*packed.imports, *within), flags=notebook.flags, base=base)


class _CantTravel(ValueRefused):
    """The value of `name` can't be pickled."""

    def __init__(self, name: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.name = name


class _Sorting:
    """Which names travel in which way; definitions bring along what they need themselves."""

    def __init__(self, notebook: Notebook, there: Iterable[str] = ()) -> None:
        self._notebook = notebook
        self.main = notebook.main if notebook.main is not None else notebook.namespace
        """The globals of the notebook's functions."""
        self.imports: dict[str, Import] = {}
        self.definitions: dict[str, Definition] = {}
        self.data: dict[str, Any] = {}
        self.used_by: dict[str, str] = {}
        self.by_value: dict[str, None] = {}
        """The files of functions that are pickled, other than by their source."""
        self._of_classes: set[str] = set()
        self._taken = set(there)

    def take(self, name: str, used_by: str = "") -> None:
        """Takes a name of the notebook, with all that its definition needs."""
        if name in self._taken:
            return
        self._taken.add(name)
        value = self._notebook.namespace[name]
        self.used_by[name] = used_by
        if found := _import_of(name, value):
            self.imports[name] = found
        elif (definition := definition_of(value)) and definition.name == name:
            self._define(definition)
        else:
            self.data[name] = value

    def _define(self, definition: Definition) -> None:
        """Takes a definition, behind those that it needs."""
        for name in names_read(definition.source):
            if self._notebook.has(name):
                self.take(name, used_by=definition.name)
                self._of_classes.update({name} if definition.is_class else ())
        self.definitions[definition.name] = definition

    def put_in_order(self) -> list[str]:
        """Puts the data ahead that classes are made with, and returns the names of all in their order."""
        self.data = dict(sorted(self.data.items(), key=lambda datum: datum[0] not in self._of_classes))
        return list(self.data)

    def by_name(self, value: Any) -> bool:
        """Whether a function or class of the notebook is there by its definition; it goes by that if it can."""
        name = getattr(value, "__name__", "")
        if self._notebook.namespace.get(name) is not value:
            return False
        self.take(name)
        return name in self._taken and name not in self.data

    def cells(self) -> tuple[Cell, ...]:
        """The cells from which functions come: whole for those whose source doesn't travel by itself."""
        files = dict.fromkeys((one.file for one in self.definitions.values()), False)
        files.update(dict.fromkeys(self.by_value, True))
        return tuple(cell for file, whole in files.items() if (cell := cell_of(file, whole=whole)))

    def modules_within(self, texts: Iterable[str]) -> list[Import]:
        """The modules within imported packages that these texts use: an import of the package alone lacks them."""
        found: dict[str, Import] = {}
        tops = {one.name: one.module for one in self.imports.values() if one.attribute is None}
        for chain in (chain for text in texts for chain in _CHAIN.findall(text)):
            first, *rest = chain.split(".")
            module = tops.get(first)
            for part in rest:
                module = f"{module}.{part}"
                if module in sys.modules:
                    found[module] = Import("", module, None)
        return list(found.values())


_CHAIN = re.compile(r"\b[^\W\d]\w*(?:\.[^\W\d]\w*)+")


def _import_of(name: str, value: Any) -> Import | None:
    """How a module, or what a module holds, is imported; None for what isn't."""
    if isinstance(value, ModuleType):
        return Import(name, value.__name__, None) if getattr(value, "__spec__", None) else None
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module == "__main__" or "." in path:
        return None
    found = getattr(sys.modules.get(module), path, None)
    return Import(name, module, path) if found is value else None


# ------------------------------------------------------------ pickling


def _pickled(sorting: _Sorting, limit: int | None) -> Packed:
    """All data in one go, by pickle, or by cloudpickle where that can't."""
    try:
        return _dumped(sorting, limit, _PlainPickler)
    except ValueRefused:
        pass
    return _dumped(sorting, limit, _cloud_pickler)


def _dumped(sorting: _Sorting, limit: int | None, make: "_MakePickler") -> Packed:
    """All data, those ahead that classes of the others need; of some that is found on the way."""
    while True:
        sorting.put_in_order()
        packed = _dumped_in_order(sorting, limit, make)
        if [datum.name for datum in packed.data] == sorting.put_in_order():
            return packed


def _dumped_in_order(sorting: _Sorting, limit: int | None, make: "_MakePickler") -> Packed:
    dumping = _Dumping(sorting, make)
    done: list[Datum] = []
    while len(done) < len(sorting.data):  # what is pickled may need definitions that need more data
        done.append(dumping.dump(list(sorting.data)[len(done)], limit))
    return Packed(
        imports=tuple(sorting.imports.values()),
        definitions=tuple(sorting.definitions.values()),
        cells=sorting.cells(),
        data=tuple(done),
        stream=dumping.stream.getvalue(),
        buffers=tuple(dumping.buffers.kept),
        hashes=tuple(dumping.buffers.hashes),
    )


class _Dumping:
    """Pickles values one behind the other, with one memo."""

    def __init__(self, sorting: _Sorting, make: "_MakePickler") -> None:
        self.stream, self.buffers = io.BytesIO(), _Buffers()
        self._sorting = sorting
        self._make = make
        self._pickler = make(self.stream, self.buffers, sorting)

    def dump(self, name: str, limit: int | None) -> Datum:
        value, start, first = self._sorting.data[name], self.stream.tell(), len(self.buffers.kept)
        try:
            _refuse_what_stays(value)
            self._pickler.dump(value)
        except Exception as error:
            raise _refused(name, value, self._sorting.used_by.get(name, ""), error) from error
        size = self.stream.tell() - start + sum(buffer.nbytes for buffer in self.buffers.kept[first:])
        if limit is not None and size > limit:
            raise ValueRefused(
                f"{name} is {size / 1e9:.1f} GB: that much only goes when it is named",
                hint=f"--in {name} sends it all the same; or write it to a file, and read that in the cell.",
            )
        return Datum(name, _type_name(value), size, self._hash(value, start, first))

    def _hash(self, value: Any, start: int, first: int) -> str | None:
        """The hash of what was dumped last, whatever went before it; None where finding it would take too long."""
        stream = self.stream
        if start:
            if stream.tell() - start > HASHED_AGAIN:
                return None
            stream = io.BytesIO()
            self._make(stream, lambda buffer: _large(buffer) is None, self._sorting).dump(value)
        return content_hash(stream.getvalue(), *map(str.encode, self.buffers.hashes[first:]))[:16]


class _Buffers:
    """Takes the buffers that a pickler meets: large ones are kept apart, small ones stay in the stream."""

    def __init__(self) -> None:
        self.kept: list[memoryview] = []
        self.hashes: list[str] = []

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        raw = _large(buffer)
        if raw is not None:
            self.kept.append(raw)
            self.hashes.append(content_hash(raw))
        return raw is None


def _large(buffer: pickle.PickleBuffer) -> memoryview | None:
    try:
        raw = buffer.raw()
    except BufferError:  # it is in pieces
        return None
    return raw if raw.nbytes >= OUT_OF_BAND else None


_Callback = Callable[[pickle.PickleBuffer], bool]
"""Told of each buffer, and tells whether it is to be in the pickle."""

_MakePickler = Callable[[io.BytesIO, _Callback, _Sorting], Any]


class _PlainPickler(pickle.Pickler):
    """Pickles what pickle can, and functions and classes of the notebook that are there by their definitions."""

    def __init__(self, stream: io.BytesIO, buffers: _Callback, sorting: _Sorting) -> None:
        super().__init__(stream, protocol=5, buffer_callback=buffers)
        self._by_name = sorting.by_name

    def reducer_override(self, value: Any) -> Any:
        if (reduced := made_anew(value)) is not None:
            return reduced
        if is_defined_there(value) and not self._by_name(value):
            raise pickle.PicklingError("only cloudpickle can pickle it")
        return NotImplemented


@functools.cache
def _cloud_pickler_type() -> type:
    """Such a one of cloudpickle, made once: a class is only freed when the garbage is collected."""
    import cloudpickle  # type: ignore[import-untyped]

    class CloudPickler(cloudpickle.Pickler):  # type: ignore[misc]
        sorting: _Sorting

        def reducer_override(self, value: Any) -> Any:
            if (reduced := made_anew(value)) is not None:
                return reduced
            if is_defined_there(value) and self.sorting.by_name(value):
                return NotImplemented
            if isinstance(value, CodeType):  # which would lose the name of its file, and its source with it
                self.sorting.by_value[value.co_filename] = None
                make, parts = self.dispatch_table[CodeType](value)
                return make, tuple(value.co_filename if part == "<dynamic-code>" else part for part in parts)
            return super().reducer_override(value)

    return CloudPickler


def _cloud_pickler(stream: io.BytesIO, buffers: _Callback, sorting: _Sorting) -> Any:
    pickler: Any = _cloud_pickler_type()(stream, protocol=5, buffer_callback=buffers)
    pickler.sorting = sorting
    pickler.globals_ref[id(sorting.main)] = _Main(filled=True)
    return pickler


class _Main(dict[str, bool]):
    """Stands for the globals of the notebook's functions: those of the cell take their place.

    Not empty, since cloudpickle would fill it then.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("vars(__import__('__main__'))",)


# ------------------------------------------------------------ refusing


def _refuse_what_stays(value: Any) -> None:
    """Raises TypeError for what pickle would take along although its other half stays in the notebook."""
    if isinstance(value, io.IOBase) and not isinstance(value, (io.StringIO, io.BytesIO)):
        raise TypeError("an open file")
    if any(kind.__module__.startswith(("ipywidgets", "anywidget")) for kind in type(value).__mro__):
        raise TypeError("a widget")


def _refused(name: str, value: Any, used_by: str, error: Exception) -> ValueRefused:
    where = f", which {used_by} uses," if used_by else ""
    why = "" if isinstance(error, TypeError) and len(str(error)) > 200 else f" ({_short(error)})"
    return _CantTravel(
        name,
        f"{name}{where} is {_article(_type_name(value))}, which can't travel{why}",
        hint="Make it in the cell, or launch with --in none and without it.",
    )


def _short(error: Exception) -> str:
    return str(error).partition("\n")[0][:120]


def _type_name(value: Any) -> str:
    return type_name(type(value).__module__, type(value).__qualname__)


def _article(word: str) -> str:
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
