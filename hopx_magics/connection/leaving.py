"""What a cell has left when it has ended, as much of it as the history keeps: names, types, sizes, and its displays."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from ..models import KeptCell, KeptOutput
from ..results import CLEARED, SHOWN, KeptValue, Results, identity_of, text_of
from ..values.facts import LONGEST, MOST, Fact, Left, size_in_words, type_name
from ..values.packed import content_hash
from ..words import STREAMS, Stream

HASHED = 100_000_000
"""Bytes of a value that is hashed."""

MOST_TEXT = 1000
"""Characters that are kept of the text of a display for which there is no room."""

Record = dict[str, Any]


def cell_to_keep(results: Results, streams: Mapping[Stream, KeptOutput], limit: int) -> KeptCell:
    """What is kept of a cell whose `streams` are kept so: displays of `limit` bytes at most.

    Displays then tell their place in the text that is kept. Raises what reading them does.
    """
    index = results.index()
    left = Left(
        _fact("", index.result, results) if index.result else None,
        tuple(_fact(name, index.values[name], results) for name in _names(index.values)),
        tuple(_names(index.missing)),
    )
    final = in_the_end(_placed(display, streams) for display, _ in results.displayed())
    files = {"displays": b"".join(_fitting(final, limit))} if final else {}
    return KeptCell(left=left, displays=sum(record["output_type"] != CLEARED for record in final), files=files)


def _names(names: Iterable[str]) -> Iterator[str]:
    """Those that can be names of variables: the others come from somebody who plays tricks."""
    return islice((name for name in names if name.isidentifier() and len(name) <= LONGEST), MOST)


def _fact(name: str, value: KeptValue, results: Results) -> Fact:
    refused = value.refused and f"not kept: {value.refused[:LONGEST]}"
    return Fact(name, type_name(value.module, value.type)[:LONGEST], value.size, _hash(value, results), refused)


def _hash(value: KeptValue, results: Results) -> str | None:
    """The hash of a value that is here, if it is not so large that this takes long."""
    if value.size is None or value.size > HASHED:
        return None
    with contextlib.suppress(OSError, ValueError):
        if parts := results.parts_here(value):
            return content_hash(*parts)[:16]
    return None


def _placed(display: Record, streams: Mapping[Stream, KeptOutput]) -> Record:
    places = zip(STREAMS, display["at"], strict=True)
    return {**display, "at": [streams[name].place(at) if name in streams else at for name, at in places]}


def in_the_end(displays: Iterable[Record]) -> list[Record]:
    """The displays as they have become: what updates have changed is changed, and what was cleared is gone.

    `printed` is what a changed one has written to stdout before.
    """
    shown: list[Record] = []
    by_id: dict[str | None, list[Record]] = {}
    for record in displays:
        kind, identity = record.get("output_type"), identity_of(record)
        if kind == CLEARED:
            shown, by_id = [record], {}
        elif kind == "update_display_data":
            for other in by_id.get(identity, ()) if identity else ():
                other.setdefault("printed", text_of(other))
                other.update(data=record["data"], metadata=record["metadata"])
        elif kind in SHOWN:
            shown.append(record)
            by_id.setdefault(identity, []).append(record)
    return shown


def _fitting(displays: Sequence[Record], limit: int) -> list[bytes]:
    """As lines those for which there is room, the newest first of all; of others the text that says so."""
    lines: list[bytes] = []
    for record in reversed(displays):
        line = msgspec.json.encode(record)
        if len(line) > limit:
            line = msgspec.json.encode(_named(record, len(line)))
        if len(line) <= limit:
            limit -= len(line)
            lines.append(line + b"\n")
    return lines[::-1]


def _named(record: Record, size: int) -> Record:
    text = text_of(record)[:MOST_TEXT]
    note = f"[a display of {size_in_words(size)}, for which the history has no room]"
    return {**record, "printed": text, "data": {"text/plain": f"{text}\n{note}"}, "metadata": {}}
