"""The form in which variables of a notebook travel. Pure."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .facts import Fact, names_in_words


class Import(NamedTuple):
    """A name that is a module, or what a module holds under `attribute`."""

    name: str
    module: str
    attribute: str | None


class Definition(NamedTuple):
    """The source that defines `name`, and where it stands: the cell as tracebacks call it, and its first line there."""

    name: str
    source: str
    file: str
    line: int

    @property
    def is_class(self) -> bool:
        """Whether it defines a class, and no function."""
        return re.search(r"^class ", self.source, re.MULTILINE) is not None


class Cell(NamedTuple):
    """A cell of the notebook from which functions come: its name for a file, its title, and its source if needed."""

    file: str
    title: str
    source: str = ""


class Datum(NamedTuple):
    """A name whose value is pickled, its type, its size in bytes, and the hash of its pickle where that is known."""

    name: str
    type: str
    size: int
    hash: str | None = None


class Call(NamedTuple):
    """What is called in the process: a function of a module, by its dotted path there, with arguments.

    It is called once `after` is imported, by default `module`; at once when that is empty.
    """

    module: str
    function: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = {}
    after: str | None = None


class Printer(NamedTuple):
    """By what values of a type, which `module` has as `name`, are shown in one format: both pickled as `content`."""

    module: str
    name: str
    mimetype: str
    content: bytes


class Showing(NamedTuple):
    """How a notebook shows values: of which expressions, by which settings of IPython's classes, by which printers."""

    interactivity: str = "last_expr"
    settings: Mapping[str, Mapping[str, Any]] = {}
    printers: tuple[Printer, ...] = ()


class Packed(NamedTuple):
    """What a cell gets. `stream` holds the pickles of `data` one after the other, with one memo and `buffers`.

    `hashes` are those of the buffers.
    """

    imports: tuple[Import, ...] = ()
    """Those without a name are modules within others, which are there once they are imported."""
    definitions: tuple[Definition, ...] = ()
    data: tuple[Datum, ...] = ()
    stream: bytes = b""
    buffers: tuple[memoryview, ...] = ()
    hashes: tuple[str, ...] = ()
    state: tuple[Call, ...] = ()
    showing: Showing | None = None
    flags: int = 0
    """What the notebook has imported from `__future__`, as the compiler's flags."""
    magics: tuple[tuple[str, str, str], ...] = ()
    """Those that the notebook has made itself: line or cell, their names, and the names of their functions."""
    extensions: tuple[str, ...] = ()
    """Those of IPython that bring magics which the cell uses."""
    is_named: bool = False
    """Whether somebody has named them, so that they have to go."""
    cells: tuple[Cell, ...] = ()
    """Those from which functions and classes come that travel."""
    base: "Packed | None" = None
    """What is there before them, and is the same for many launches."""

    @property
    def names(self) -> list[str]:
        """The names that they have in the process."""
        named = [*(one.name for one in self.imports), *(one.name for one in self.definitions)]
        return [name for name in [*named, *(datum.name for datum in self.data)] if name]

    def in_words(self) -> str:
        """What they are, the large ones with their size: `df (94 MB), clean(), pd`."""
        return names_in_words(self.facts())

    def facts(self) -> list[Fact]:
        """What is known of each: data first, then functions and classes, then what is imported."""
        data = [Fact(datum.name, datum.type, datum.size, datum.hash) for datum in self.data]
        defined = [
            Fact(one.name, "class" if one.is_class else "function", hash=content_hash(one.source.encode())[:16])
            for one in self.definitions
        ]
        imports = [Fact(one.name, _origin(one)) for one in self.imports if one.name]
        return [*data, *defined, *imports, *(self.base.facts() if self.base else ())]


def _origin(imported: Import) -> str:
    if imported.attribute is None:
        return f"module {imported.module}"
    return f"import {imported.module}.{imported.attribute}"


def content_hash(*parts: bytes | memoryview) -> str:
    """By what a content is known: no adversary makes contents here, so a fast hash will do."""
    from xxhash import xxh3_128

    found = xxh3_128()
    for part in parts:
        found.update(part)
    return str(found.hexdigest())
