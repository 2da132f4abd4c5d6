"""The form in which variables of a notebook travel. Pure."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple


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


class Datum(NamedTuple):
    """A name whose value is pickled, its type, and its size in bytes."""

    name: str
    type: str
    size: int


class Call(NamedTuple):
    """What is called once `module` is imported: its `function`, by its dotted path there, with arguments."""

    module: str
    function: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = {}


class Packed(NamedTuple):
    """What a cell gets. `stream` holds the pickles of `data` one after the other, with one memo and `buffers`."""

    imports: tuple[Import, ...] = ()
    """Those without a name are modules within others, which are there once they are imported."""
    definitions: tuple[Definition, ...] = ()
    data: tuple[Datum, ...] = ()
    stream: bytes = b""
    buffers: tuple[memoryview, ...] = ()
    state: tuple[Call, ...] = ()
    flags: int = 0
    """What the notebook has imported from `__future__`, as the compiler's flags."""
    is_named: bool = False
    """Whether somebody has named them, so that they have to go."""
    base: "Packed | None" = None
    """What is there before them, and is the same for many launches."""

    @property
    def names(self) -> list[str]:
        """The names that they have in the process."""
        named = [*(one.name for one in self.imports), *(one.name for one in self.definitions)]
        return [name for name in [*named, *(datum.name for datum in self.data)] if name]

    def in_words(self) -> str:
        """What they are, the large ones with their size: `df (94 MB), clean(), pd`."""
        large = {datum.name: f"{datum.name} ({datum.size / 1e6:,.0f} MB)" for datum in self.data if datum.size >= 1e6}
        data = [large.get(datum.name, datum.name) for datum in self.data]
        defined = [definition.name + ("" if definition.is_class else "()") for definition in self.definitions]
        imported = [one.name for one in self.imports if one.name]
        return ", ".join(filter(None, [*data, *defined, *imported, self.base.in_words() if self.base else ""]))
