"""What is known of values without having them: names, types, sizes and hashes. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ..words import size_in_words

LONGEST = 200
"""Characters of a name, a type or a reason that are kept."""

MOST = 1000
"""Values of one cell of which something is kept."""


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """One value: its name, its `type` (for what is imported, from where), its `size` in bytes, and its content's hash.

    What is not known is None. `refused` says why a value that was to be kept is not there.
    """

    name: str
    type: str
    size: int | None = None
    hash: str | None = None
    refused: str | None = None

    @property
    def is_imported(self) -> bool:
        """Whether it is a module, or something that a module holds."""
        return self.type.startswith(("module ", "import "))

    @property
    def is_defined(self) -> bool:
        """Whether it went by the source that defines it."""
        return self.type in ("function", "class")

    def in_words(self) -> str:
        """What it is: `pandas.DataFrame, 94 MB`."""
        return ", ".join(filter(None, [self.type, "" if self.size is None else size_in_words(self.size), self.refused]))


class Left(NamedTuple):
    """What a cell has left: its last value, the variables that were to be kept, and those of them never set."""

    result: Fact | None = None
    values: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()


def type_name(module: str, qualified: str) -> str:
    """A type in words: `dict`, `pandas.DataFrame`."""
    if module in ("builtins", "__main__"):
        return qualified
    return f"{module.partition('.')[0].removeprefix('_')}.{qualified}"


def names_in_words(facts: Iterable[Fact]) -> str:
    """What they are, the large ones with their size: `df (94 MB), clean(), pd`."""
    return ", ".join(_name_in_words(fact) for fact in facts)


def _name_in_words(fact: Fact) -> str:
    if fact.type == "function":
        return f"{fact.name}()"
    size = 0 if fact.is_imported else fact.size or 0
    return f"{fact.name} ({size_in_words(size)})" if size >= 1e6 else fact.name
