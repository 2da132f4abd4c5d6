"""Values on the disk: each file is named by its content, so that equal ones are there once.

A launch's values are found by the file of their `Manifest`, as JSON, which names the other ones.
"""

import __future__

import contextlib
import os
import pickle
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from .packed import Cell, Definition, Import, Packed, Showing, content_hash
from .state import after_of, pickled

Content = bytes | memoryview

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell gets, after what its `base` gives it, and what is to be kept of it. The runner reads it."""

    base: str | None
    imports: list[Import]
    definitions: list[Definition]
    cells: list[Cell]
    state: str | None
    showing: str | None
    data: list[str]
    stream: str | None
    buffers: list[str]
    futures: list[str]
    """What the notebook has imported from `__future__`: the compiler's flags are others in each Python."""
    magics: list[tuple[str, str, str]]
    extensions: list[str]
    keep: list[str]
    python: str
    """The Python that has written them: bytecode is for it alone."""

    @property
    def files(self) -> set[str]:
        """The files that it names."""
        return {*self.buffers, *filter(None, [self.state, self.showing, self.stream])}


def store(folder: Path, packed: Packed, keep: Iterable[str], base: Sequence[str] = ()) -> tuple[str, ...]:
    """Writes values into a folder, and returns the names of their files, that of the manifest first. Raises OSError.

    `base` are the names of the files with what they stand on, which are there already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return lay_out(packed, keep, partial(_store, folder), base)


def lay_out(
    packed: Packed, keep: Iterable[str], put: Callable[[Content, str | None], str], base: Sequence[str] = ()
) -> tuple[str, ...]:
    """Makes files of values, as `store`: `put` takes a content, with its hash if that is known, and names its file."""
    state = [(after_of(call), content) for call in packed.state if (content := pickled(call)) is not None]
    manifest = Manifest(
        base=base[0] if base else None,
        imports=list(packed.imports),
        definitions=list(packed.definitions),
        cells=list(packed.cells),
        state=put(pickle.dumps(state, protocol=5), None) if state else None,
        showing=put(pickle.dumps(_plain(packed.showing), protocol=5), None) if packed.showing else None,
        data=[datum.name for datum in packed.data],
        stream=put(packed.stream, None) if packed.data else None,
        buffers=[put(*each) for each in zip(packed.buffers, packed.hashes, strict=True)],
        futures=[name for name in __future__.all_feature_names if _flag_of(name) & packed.flags],
        magics=list(packed.magics),
        extensions=list(packed.extensions),
        keep=list(keep),
        python=PYTHON,
    )
    return put(msgspec.json.encode(manifest), None), *sorted({*base, *manifest.files})


def _flag_of(future: str) -> int:
    return int(getattr(__future__, future).compiler_flag)


def _plain(showing: Showing) -> dict[str, Any]:
    """It without our types, which the process does not know."""
    return {**showing._asdict(), "printers": [tuple(printer) for printer in showing.printers]}


def restore(kept: Path, folder: Path) -> tuple[str, ...]:
    """Puts values that a process still has back into a folder: the names of their files, nothing where it has none.

    Raises OSError.
    """
    if not kept.is_dir():
        return ()
    files = sorted(kept.iterdir(), key=_rank)
    for file in files:
        with contextlib.suppress(FileExistsError):
            os.link(file, folder / file.name)
    return tuple(file.name for file in files)


def _rank(file: Path) -> int:
    """0 for the manifest of what stands on something else, 1 for another one, 2 for what is none."""
    with open(file, "rb") as content, contextlib.suppress(msgspec.MsgspecError):
        if content.read(1) == b"{":
            manifest = msgspec.json.decode(b"{" + content.read(), type=Manifest)
            return 0 if manifest.base else 1
    return 2


def _store(folder: Path, content: Content, name: str | None = None) -> str:
    """Writes a content under its hash, unless it is there."""
    name = name or content_hash(content)
    path = folder / name
    try:
        os.utime(path)  # it is needed now: see local_agent/values.py
    except FileNotFoundError:
        fresh = folder / f".{secrets.token_hex(8)}"
        try:
            _write(fresh, content)
            fresh.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
    return name


def _write(path: Path, content: Content) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content).cast("B")
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
