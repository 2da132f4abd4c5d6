"""What a cell has left when it has ended, as much of it as the history keeps: names, types, sizes, and its displays."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from ..errors import AgentRefused, BadReply, ResultError
from ..kept import KeptCell, KeptOutput
from ..results import CLEARED, SHOWN, Index, KeptValue, Results, identity_of, text_of
from ..values.facts import LONGEST, MOST, Fact, Left, type_name
from ..values.packed import content_hash
from ..words import STREAMS, Stream, size_in_words

HASHED = 100_000_000
"""Bytes of a value of this machine that is hashed, at most."""

SMALL = 64_000
"""Bytes of a value that is kept, at most: scores, summaries, small tables."""

MOST_SMALL = 20
"""Values of one cell that are kept, at most."""

HELD = 4
"""How many times the room for displays they may take until they are brought into it."""

MOST_TEXT = 1000
"""Characters that are kept of the text of a display for which there is no room."""

_FILE = re.compile(r"value[0-9]{1,6}")

Record = dict[str, Any]

MakeSeal = Callable[[Mapping[str, bytes]], bytes]
"""Seals files. Raises OSError."""


def cell_to_keep(results: Results, streams: Mapping[Stream, KeptOutput], limit: int, seal: MakeSeal) -> KeptCell:
    """What is kept of a cell whose `streams` are kept so: displays of `limit` bytes at most, and small values.

    Displays then tell their place in the text that is kept. Values that this user's own programs have left are sealed.
    Raises what reading them does.
    """
    index = results.index()
    values = _Values(results)
    left = Left(
        values.fact("", index.result) if index.result else None,
        tuple(values.fact(name, index.values[name]) for name in _names(index.values)),
        tuple(_names(index.missing)),
    )
    displays = _Displays(limit)
    for display, _ in results.displayed():
        displays.add(_placed(display, streams))
    displays.end([streams[name].place(streams[name].size) if name in streams else 0 for name in STREAMS])
    files = values.files_of(index)
    if files and results.are_trusted:
        with contextlib.suppress(OSError):  # then they are loaded by who trusts them
            files["seal"] = seal(files)
    if content := displays.content():
        files["displays"] = content
    return KeptCell(left=left, displays=displays.count, files=files)


class _Values:
    """The values of a cell, each read once if it is small or to be hashed."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._small: dict[str, bytes] = {}

    def fact(self, name: str, value: KeptValue) -> Fact:
        """What is known of a value without having it."""
        refused = value.refused and f"not kept: {value.refused[:LONGEST]}"
        kind = type_name(value.module, value.type)[:LONGEST]
        return Fact(name, kind, value.size, self._hash(value), refused)

    def _hash(self, value: KeptValue) -> str | None:
        """The hash of a value that is small, or here and not so large that this takes long."""
        if value.file is None or not _FILE.fullmatch(value.file):
            return None
        size = sum(value.parts)  # what it says of itself may be less
        is_small = size <= SMALL and len(self._small) < MOST_SMALL
        if not is_small and not (self._results.are_here and size <= HASHED):
            return None
        try:
            parts = self._results.parts(value)
        except (OSError, ValueError, ResultError, BadReply, AgentRefused):
            return None
        if is_small:
            self._small[value.file] = b"".join(parts)
        return content_hash(*parts)[:16]

    def files_of(self, index: Index) -> dict[str, bytes]:
        """The small ones in their files, and the index of what there is and was; nothing if nothing is small."""
        if not self._small:
            return {}
        kept = Index(
            values={name: self._as_kept(index.values[name]) for name in _names(index.values)},
            missing=list(_names(index.missing)),
            result=index.result and self._as_kept(index.result),
        )
        return {"kept": msgspec.json.encode(kept), **self._small}

    def _as_kept(self, value: KeptValue) -> KeptValue:
        return value if value.file in self._small else msgspec.structs.replace(value, file=None)


def _names(names: Iterable[str]) -> Iterator[str]:
    """Those that can be names of variables: the others come from somebody who plays tricks."""
    return islice((name for name in names if name.isidentifier() and len(name) <= LONGEST), MOST)


def _placed(display: Record, streams: Mapping[Stream, KeptOutput]) -> Record:
    places = zip(STREAMS, display["at"], strict=True)
    return {**display, "at": [streams[name].place(at) if name in streams else at for name, at in places]}


class _Displays:
    """The displays of a cell as they have become, in `limit` bytes: for want of room the oldest are texts, or gone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begin()

    def _begin(self, *records: Record) -> None:
        """Begins anew, with nothing but what has cleared the others."""
        self._shown = list(records)
        self._by_id: dict[str | None, list[Record]] = {}
        self._size = self._dropped = 0
        self._waiting: Record | None = None
        """What clears them as soon as something comes."""

    @property
    def count(self) -> int:
        """How many there are, with those that are gone for want of room."""
        return self._dropped + len([record for record in self._shown if record["output_type"] != CLEARED])

    def content(self) -> bytes:
        """Those for which there is room, each in its line."""
        self._make_room()
        return b"".join(msgspec.json.encode(record) + b"\n" for record in self._shown)

    def add(self, record: Record) -> None:
        """Takes the next one, or what it changes.

        `printed` is what a changed one has written to stdout before.
        """
        kind, identity = record["output_type"], identity_of(record)
        if kind == CLEARED:
            self._clear(record)
        elif kind in SHOWN:
            if self._waiting:
                self._begin(self._waiting | {"wait": False})
            self._shown.append(record)
            self._by_id.setdefault(identity, []).append(record)
        elif kind == "update_display_data" and identity:
            for other in self._by_id.get(identity, ()):
                other.setdefault("printed", text_of(other))
                other.update(data=record.get("data", {}), metadata=record.get("metadata", {}))
        self._size += _size_of(record)
        if self._size > HELD * self._limit:
            self._make_room()

    def end(self, places: Sequence[int]) -> None:
        """No more will come, and so much is written to the streams."""
        if self._waiting and any(end > at for end, at in zip(places, self._waiting["at"], strict=True)):
            self._begin(self._waiting | {"wait": False})

    def _clear(self, record: Record) -> None:
        if not record.get("wait"):
            self._begin(record)
        elif self._waiting is None:
            self._shown.append(record)
            self._waiting = record
        elif self._waiting["at"] != record["at"]:  # there came text
            self._begin(self._waiting | {"wait": False}, record)
            self._waiting = record

    def _make_room(self) -> None:
        left, kept = self._limit, []
        for record in reversed(self._shown):
            if (size := _size_of(record)) > left:
                record.update(_named(record, size))
                size = _size_of(record)
            if size <= left or record["output_type"] == CLEARED:
                kept.append(record)
                left -= size
            else:
                self._dropped += 1
        self._shown, self._size = kept[::-1], self._limit - left


def _size_of(record: Record) -> int:
    return len(msgspec.json.encode(record)) + 1


def _named(record: Record, size: int) -> Record:
    """The text that stands for a display, and says so."""
    text = text_of(record)[:MOST_TEXT]
    note = f"[a display of {size_in_words(size)}, for which the history has no room]"
    return {"printed": text, "data": {"text/plain": f"{text}\n{note}"}, "metadata": {}}
