"""What runs have kept that a cell comes after, by the names under which it knows them: `prep["table"]`."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class Former:
    """What one run has kept (`--out`), by the names of its variables. Each is loaded when it is asked for."""

    def __init__(self, name: str, folder: str) -> None:
        self._name = name
        self._folder = folder

    def __getitem__(self, name: str) -> "Any":
        """The value of a variable. Raises KeyError for one that is not kept."""
        kept = self._index()["values"]
        if name not in kept:
            raise KeyError(f"{name} is not kept of {self._name}: {', '.join(kept) or 'nothing'} is")
        return self._load(name, kept[name])

    def result(self) -> "Any":
        """The value of its last expression, None if it has none."""
        kept = self._index()["result"]
        return None if kept is None else self._load("the last value", kept)

    def __iter__(self) -> "Iterator[str]":
        return iter(self._index()["values"])

    def __len__(self) -> int:
        return len(self._index()["values"])

    def keys(self) -> "list[str]":
        """The names of the variables."""
        return list(self)

    def __repr__(self) -> str:
        return f"<{self._name}: {', '.join(self) or 'nothing kept'}>"

    def _index(self) -> "Mapping[str, Any]":
        import json

        try:
            with open(os.path.join(self._folder, "kept"), encoding="utf-8") as file:
                index: Mapping[str, Any] = json.load(file)
                return index
        except FileNotFoundError:
            return {"values": {}, "result": None}

    def _load(self, what: str, kept: "Mapping[str, Any]") -> "Any":
        import mmap
        import pickle

        if kept.get("file") is None:
            raise KeyError(f"{what} of {self._name} is not kept: {kept.get('refused')}")
        with open(os.path.join(self._folder, os.path.basename(kept["file"])), "rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        parts, start = [], 0
        for size in kept["parts"]:
            parts.append(view[start : start + size])
            start += size
        if kept.get("form") == "plain":
            return _read_plain(what, parts)
        return pickle.loads(parts[0], buffers=parts[1:])


def _read_plain(what: str, parts: "list[memoryview]") -> "Any":
    """The value in the form in which runners write that were sent along, as the reader is that comes with them."""
    import importlib

    try:
        reader = importlib.import_module("hopx_runner.plain_values")
    except ImportError:
        raise KeyError(f"{what} was written by a cell that was launched from elsewhere, as this one was not") from None
    return reader.read_plain(parts)


def former_runs(path: str) -> "dict[str, Former | list[Former]]":
    """Those runs by their names in the cell; several of one name, such as those of a sweep, are a list."""
    import json

    found: dict[str, Former | list[Former]] = {}
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    for name, folders in told.items():
        runs = [Former(name, folder) for folder in folders]
        found[name] = runs[0] if len(runs) == 1 else runs
    return found
