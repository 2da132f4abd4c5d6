"""What a cell has left besides its output: its result, its variables, its displays, and the error that ended it."""

import mmap
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import msgspec

from .errors import HopxError, ResultError
from .output.oneline import printable
from .plain_values import read_plain

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""The Python that runs this."""

LARGEST_INDEX = 10_000_000
"""Bytes of what tells which values are kept."""

DISPLAYS_AT_ONCE = 50_000_000
"""Bytes of displays that are read at once: more than any one of them has."""

SHOWN = ("display_data", "execute_result", "error")
"""The types of displays; others change those that there are."""

CLEARED = "clear_output"

_Count = Annotated[int, msgspec.Meta(ge=0)]


class KeptFiles(Protocol):
    """The files of what a cell has left, wherever they are. Where an agent has them, all may raise AgentError."""

    @property
    def place(self) -> str | None:
        """Where they were written; None for this machine, by this user. What is written elsewhere may be anything."""

    def read(self, name: str, *, start: int = 0, most: int) -> bytes | None:
        """What a file has from byte `start` on, at most so many bytes; None when there is no such file."""

    def parts(self, name: str, sizes: Sequence[int]) -> list[memoryview]:
        """A file in its parts, which may be changed here without changing the file. Raises OSError."""


class FolderHere:
    """A folder of this machine, in which another program of this user has written what a cell has left."""

    place = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str, *, start: int = 0, most: int) -> bytes | None:
        """What a file has from byte `start` on, at most so many bytes; None when there is no such file."""
        try:
            with open(self.path / name, "rb") as file:
                file.seek(start)
                return file.read(most)
        except FileNotFoundError:
            return None

    def parts(self, name: str, sizes: Sequence[int]) -> list[memoryview]:
        """A file in its parts, which may be changed here without changing the file. Raises OSError."""
        return mapped_parts(self.path / name, sizes)


def mapped_parts(path: Path, sizes: Sequence[int]) -> list[memoryview]:
    """The parts of a file, mapped into memory so that changes stay here. Raises OSError, and ValueError if it's empty.

    They are valid also when the file is deleted.
    """
    with open(path, "rb") as file:
        return parts_of(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), sizes)


def parts_of(content: "bytearray | mmap.mmap", sizes: Sequence[int]) -> list[memoryview]:
    """The parts of a file, from all of it."""
    view = memoryview(content)
    return [view[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]


class KeptValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value that a cell has left: its `type`, and its `size` in bytes; `refused` says why it is not there."""

    type: str
    module: str
    size: int | None = None
    refused: str | None = None
    file: str | None = None
    parts: list[_Count] = []
    form: Literal["pickle", "cloudpickle", "plain"] = "pickle"
    python: str = PYTHON
    """The Python that can load it, where not any can."""
    not_plain: str | None = None
    """What in it can't be written but as a pickle."""

    def __repr__(self) -> str:
        known = self.refused or (f"{self.size:,} bytes" if self.size is not None else "")
        return f"<{printable(self.type, 100)}: {printable(known, 300)}>"


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What `kept` holds: see `runner/hopx_runner/kept.py`."""

    values: dict[str, KeptValue] = {}
    missing: list[str] = []
    result: KeptValue | None = None
    error: KeptValue | None = None


class Results:
    """What a cell has left, read from its files. All raise AgentError where an agent has them."""

    def __init__(self, files: KeptFiles, label: str) -> None:
        self._files = files
        self._label = label

    @property
    def values(self) -> dict[str, KeptValue]:
        """The variables that were to be kept and were set, without loading them."""
        return self.index().values

    @property
    def missing(self) -> list[str]:
        """The variables that were to be kept and were never set."""
        return self.index().missing

    def result(self, *, trust: bool = False) -> Any:
        """The value of the last expression, None if it has none. Raises ResultError when it can't be loaded.

        With `trust` it is also loaded where that may run code of whoever has written it.
        """
        kept = self.index().result
        return None if kept is None else self._load("its result", kept, trust)

    def error(self, *, trust: bool = False) -> BaseException | None:
        """The exception that ended it, as far as it was kept and can be loaded."""
        kept = self.index().error
        if kept is None:
            return None
        try:
            loaded = self._load("its error", kept, trust)
        except ResultError:
            return None
        return loaded if isinstance(loaded, BaseException) else None

    def load(self, name: str, *, trust: bool = False) -> Any:
        """The value of a variable. Raises KeyError for one that is not kept, ResultError when it can't be loaded."""
        return self._load(printable(name, 100), self.values[name], trust)

    @property
    def are_here(self) -> bool:
        """Whether they are files of this machine, which another program of this user has written."""
        return isinstance(self._files, FolderHere)

    @property
    def are_trusted(self) -> bool:
        """Whether they are loaded like those of this machine, wherever they are."""
        return self._files.place is None

    def parts(self, kept: KeptValue) -> list[memoryview]:
        """A value as it is written, without loading it. Raises OSError, ValueError."""
        return self._files.parts(Path(kept.file or "").name, kept.parts)

    def displays(self) -> list[dict[str, Any]]:
        """What it has displayed so far, as the outputs of a notebook, in their order. Each tells where it belongs."""
        return [display for display, _ in self.displayed()]

    def displayed(self, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
        """What it has displayed from the byte `start` on, one by one, each with the byte behind it."""
        is_all = False
        while not is_all:
            content = self._read_displays(start)
            is_all = len(content) < DISPLAYS_AT_ONCE or b"\n" not in content
            *lines, _ = content.split(b"\n")  # the last one may be half written
            for line in lines:
                start += len(line) + 1
                if (display := decoded(line)) is not None:
                    yield display, start

    def _read_displays(self, start: int) -> bytes:
        try:
            return self._files.read("displays", start=start, most=DISPLAYS_AT_ONCE) or b""
        except OSError:
            return b""

    def index(self) -> Index:
        """What is kept, without loading it. Raises ResultError when that can't be read."""
        try:
            content = self._files.read("kept", most=LARGEST_INDEX)
            if content == b"":
                raise ResultError(f"what {self._label} has left is not kept: there was no room for it")
            return Index() if content is None else msgspec.json.decode(content, type=Index)
        except (OSError, msgspec.MsgspecError) as error:
            raise ResultError(f"what is kept of {self._label} can't be read: {error}") from error

    def _load(self, what: str, kept: KeptValue, trust: bool) -> Any:
        what = f"{what} of {self._label}, a {printable(kept.type, 100)}"
        if kept.file is None:
            size = f" of {kept.size:,} bytes" if kept.size is not None else ""
            raise ResultError(f"{what}{size}, is not kept: {printable(kept.refused or '', 300)}")
        if kept.form != "plain" and self._files.place is not None and not trust:
            why = f", for want of another one for {printable(kept.not_plain, 100)}" if kept.not_plain else ""
            raise ResultError(
                f"{what}, was written on {self._files.place} in a form that may run any code when it is loaded "
                f"here{why}",
                hint="If you trust what runs there: run.result(trust=True), run.load(NAME, trust=True), %hopx_pull "
                "--trust. Without: numbers, texts, lists and dicts of them, arrays, DataFrames and images.",
            )
        if kept.python != PYTHON:
            raise ResultError(
                f"{what}, has functions or classes of a cell in it that ran in Python {printable(kept.python, 10)}, "
                f"and here is {PYTHON}",
                hint="Let the cell keep what is made of data alone, or define them in the notebook.",
            )
        try:
            parts = self._files.parts(Path(kept.file).name, kept.parts)
            return read_plain(parts) if kept.form == "plain" else pickle.loads(parts[0], buffers=parts[1:])
        except HopxError:
            raise
        except ImportError as error:
            module = (error.name or "").partition(".")[0]
            raise ResultError(
                f"{what} of {printable(kept.module, 100)}, can't be loaded here: {printable(str(error))}",
                hint=f"Install {module} in the notebook's environment." if module else None,
            ) from error
        except AttributeError as error:  # a class or function that is no longer there
            raise ResultError(
                f"{what}, can't be loaded: {error}",
                hint="Run the cell of the notebook that defines it, and try again.",
            ) from error
        except Exception as error:
            raise ResultError(f"{what}, can't be loaded: {printable(str(error), 300)}") from error


class _Display(msgspec.Struct, frozen=True):
    """What a display is made of, as far as that has to be so."""

    output_type: str
    at: tuple[_Count, _Count]
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    transient: dict[str, Any] = {}
    traceback: list[Any] = []
    printed: str = ""


def decoded(line: bytes) -> dict[str, Any] | None:
    """A display from its line; None for what is none, which a full disk may have cut off."""
    try:
        msgspec.json.decode(line, type=_Display)
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def as_outputs(streams: Mapping[str, bytes], displays: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output of a cell as a notebook has it: pieces of the streams, and between them what was displayed there.

    Text that a display has written to stdout, too, is not there twice.
    """
    outputs: list[dict[str, Any]] = []
    done = {"stdout": 0, "stderr": 0}
    for display in displays:
        for name, end in zip(("stdout", "stderr"), display.get("at", (0, 0)), strict=True):
            if end > done[name]:
                _clear_if_told(outputs)
            text = streams.get(name, b"")[done[name] : end].decode("utf-8", "replace")
            done[name] = max(done[name], end)
            written = _own_text(display) if name == "stdout" else ""
            _add_stream(outputs, name, text.removesuffix(written) if written else text)
        _add_display(outputs, display)
    for name, content in streams.items():
        written = _own_trace(displays) if name == "stderr" else ""
        _add_stream(outputs, name, content[done[name] :].decode("utf-8", "replace").removeprefix(written))
    return [output for output in outputs if output is not _CLEARS]


def _own_trace(displays: list[dict[str, Any]]) -> str:
    """What the error that ended a cell has written to stderr, too."""
    lines = displays[-1].get("traceback") if displays else None
    return "".join(f"{line}\n" for line in lines or ())


def identity_of(display: Mapping[str, Any]) -> str | None:
    """By what later ones change a display."""
    identity = (display.get("transient") or {}).get("display_id")
    return identity if isinstance(identity, str) else None


def _own_text(display: Mapping[str, Any]) -> str:
    """What it has written to stdout, too: its text, or what that was when it was displayed first."""
    text = display.get("printed", text_of(display))
    return f"{text}\n" if text and display["output_type"] in SHOWN else ""


def text_of(display: Mapping[str, Any]) -> str:
    """The text of a display, as a terminal shows it."""
    text = (display.get("data") or {}).get("text/plain")
    return text if isinstance(text, str) else ""


_CLEARS: dict[str, Any] = {}
"""Stands behind outputs that the next one clears away."""


def _clear_if_told(outputs: list[dict[str, Any]]) -> None:
    if outputs and outputs[-1] is _CLEARS:
        outputs.clear()


def _add(outputs: list[dict[str, Any]], output: dict[str, Any]) -> None:
    _clear_if_told(outputs)
    outputs.append(output)


def _add_stream(outputs: list[dict[str, Any]], name: str, text: str) -> None:
    last = outputs[-1] if outputs else _CLEARS
    if text and last.get("name") == name:
        last["text"] += text
    elif text:
        _add(outputs, {"output_type": "stream", "name": name, "text": text})


def _add_display(outputs: list[dict[str, Any]], display: dict[str, Any]) -> None:
    kind = display.get("output_type")
    output = {key: value for key, value in display.items() if key not in ("at", "transient", "printed")}
    identity = identity_of(display)
    if kind == CLEARED and display.get("wait"):
        outputs.append(_CLEARS)
    elif kind == CLEARED:
        outputs.clear()
    elif kind == "update_display_data":
        for other in outputs:
            if identity is not None and other.get("display_id") == identity:
                other.update(data=display.get("data", {}), metadata=display.get("metadata", {}))
    elif kind in SHOWN:
        _add(outputs, {**output, **({"display_id": identity} if identity else {})})
