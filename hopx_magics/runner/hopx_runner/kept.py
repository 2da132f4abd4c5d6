"""What a cell leaves: its displays as they come, and at its end its values."""

import os
import sys

from . import PYTHON
from .signals import flush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

LONGEST_DISPLAY = 10_000_000
"""Bytes of one display; of a longer one the text alone is kept."""

MOST_DISPLAYED = 200_000_000
"""Bytes of all displays of a cell."""

LONGEST_RESULT = 500_000_000
"""Bytes of a last value that nobody asked to keep."""

OUT_OF_BAND = 64_000
"""Bytes from which a buffer is written as it is, behind the pickle that it belongs to."""


class Kept:
    """The folder of what a cell leaves: its displays as they come, and at its end its values."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._displays: int | None = None
        self._left = MOST_DISPLAYED
        self._files = 0
        self._told = False
        self.is_muted = False
        """Whether nothing is kept for now."""
        self._is_torn = False
        """Whether the last display is there in part only."""
        self._types: Mapping[str, Any] = {}

    def publish(self, data: "Mapping[str, Any]", metadata: "Any", transient: "Any", update: bool) -> None:
        """Keeps a display, or what has become of an earlier one."""
        kind = "update_display_data" if update else "display_data"
        if not update and "text/plain" in data:
            print(data["text/plain"])  # noqa: T201
        self.display({"output_type": kind, "data": data, "metadata": metadata or {}, "transient": transient or {}})

    def display(self, record: "dict[str, Any]") -> None:
        """Keeps one display with the place in stdout and stderr where it belongs."""
        if self.is_muted:
            return
        flush()
        record["at"] = [_size_of(1), _size_of(2)]
        size = _least_size(record)
        line = _line(record) if size <= LONGEST_DISPLAY else b""
        if max(size, len(line)) > min(LONGEST_DISPLAY, self._left):
            text = str(record.get("data", {}).get("text/plain", ""))[:10_000]
            size = max(size, len(line))
            record["data"] = {"text/plain": f"{text}\n[a display of {size:,} bytes is too large to be kept]"}
            line = _line(record)
        if len(line) <= self._left:
            self._left -= len(line)
            try:
                self._append(line)
            except OSError as error:
                self._tell(error)

    def _make_folder(self) -> None:
        try:
            os.mkdir(self._folder, 0o700)
        except FileExistsError:
            return

    def _append(self, line: bytes) -> None:
        file = self._opened()
        view = memoryview(b"\n" + line if self._is_torn else line)
        self._is_torn = True
        while view:
            view = view[os.write(file, view) :]
        self._is_torn = False

    def _tell(self, error: OSError) -> None:
        """Says once that there is no room for what the cell leaves: its own work is not to fail for that."""
        if not self._told:
            self._told = True
            sys.stderr.write(f"what this cell shows and leaves can't be kept: {error.strerror}\n")

    def _opened(self) -> int:
        if self._displays is None:
            self._make_folder()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._displays = os.open(os.path.join(self._folder, "displays"), flags, 0o600)
        return self._displays

    def keep(
        self,
        namespace: "Mapping[str, Any]",
        wanted: "Sequence[str]",
        types: "Mapping[str, Any]",
        result: "Any",
        error: "BaseException | None",
    ) -> None:
        """Keeps the last value, the error, and the variables that are wanted as far as there are any.

        `types` are the functions and classes that the notebook has, too: they are kept by their names.
        """
        if result is None and error is None and not wanted:
            return
        import json

        self._types = types
        try:
            self._make_folder()
            kept: dict[str, Any] = {"missing": [name for name in wanted if name not in namespace]}
            kept["values"] = {name: self._write(namespace[name]) for name in wanted if name in namespace}
            kept["result"] = None if result is None else self._write(result, LONGEST_RESULT)
            kept["error"] = None if error is None else self._write(error, LONGEST_RESULT)
            self._write_index(json.dumps(kept))
        except OSError as problem:
            self._tell(problem)

    def _write_index(self, index: str) -> None:
        """Writes what is kept, whole or not at all: then an empty file, which takes no room, says so."""
        path = os.path.join(self._folder, "kept")
        try:
            with open(path + ".new", "w", encoding="utf-8", opener=_private) as file:
                file.write(index)
            os.replace(path + ".new", path)
        except OSError:
            open(path, "w", opener=_private).close()
            _remove(path + ".new")
            raise

    def _write(self, value: "Any", limit: "int | None" = None) -> "dict[str, Any]":
        """Writes a value into a file of its own, and returns what there is to know of it."""
        kind = type(value)
        told: dict[str, Any] = {"type": kind.__qualname__, "module": kind.__module__}
        try:
            parts, told["form"] = self._parts(value, told)
        except Exception as error:
            return {**told, "refused": f"{type(error).__name__}: {str(error)[:200]}"}
        if told["form"] == "cloudpickle":
            told["python"] = PYTHON
        told["parts"] = [memoryview(part).nbytes for part in parts]
        told["size"] = sum(told["parts"])
        if limit and told["size"] > limit:
            return {**told, "refused": f"it has {told['size']:,} bytes: --out with a name keeps that much"}
        name = f"value{self._files}"
        self._files += 1
        path = os.path.join(self._folder, name)
        try:
            with open(path, "wb", opener=_private) as file:
                for part in parts:
                    file.write(part)
        except OSError as problem:
            _remove(path)
            self._tell(problem)
            return {**told, "refused": problem.strerror}
        return {**told, "file": name}

    def _parts(self, value: "Any", told: "dict[str, Any]") -> "tuple[list[Any], str]":
        """A value as it is written, and in which form: the plain one, where it is wanted and there is one.

        For the want of which is `told`.
        """
        if os.environ.get("HOPX_KEEP") == "plain":
            from .plain import NotPlainError, plain_parts

            try:
                return plain_parts(value), "plain"
            except NotPlainError as error:
                told["not_plain"] = str(error)[:200]
        return _pickled(value, self._types)


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def _least_size(record: "Mapping[str, Any]") -> int:
    """The bytes that a display takes at least, found out without any work: it may be endless."""
    return sum(len(part) for part in record.get("data", {}).values() if isinstance(part, (str, bytes)))


def _line(record: "dict[str, Any]") -> bytes:
    import json

    return json.dumps(record, default=_as_json).encode() + b"\n"


def _as_json(value: "Any") -> str:
    """What JSON can't hold: bytes become base64, as in notebooks."""
    if isinstance(value, (bytes, bytearray)):
        import base64

        return base64.b64encode(value).decode()
    return str(value)


def _pickled(value: "Any", types: "Mapping[str, Any]") -> "tuple[list[Any], str]":
    """A value as a pickle and the buffers behind it, and whether it is cloudpickle's."""
    import pickle

    try:
        return _dumped(pickle.Pickler, value, types), "pickle"
    except Exception:
        try:
            import cloudpickle  # type: ignore[import-untyped]
        except ImportError:
            cloudpickle = None
        if cloudpickle is None:
            raise
    return _dumped(cloudpickle.Pickler, value, types), "cloudpickle"


def _dumped(kind: "Any", value: "Any", types: "Mapping[str, Any]") -> "list[Any]":
    """The pickle by such a pickler, and the large buffers behind it.

    What the notebook has defined is named, so that it is the notebook's own there; what this cell has defined goes by
    value, which plain pickle can't.
    """
    import io
    import pickle
    from types import FunctionType

    buffers: list[Any] = []

    def take(buffer: "Any") -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # it is in pieces
            return True
        if raw.nbytes < OUT_OF_BAND:
            return True
        buffers.append(raw)
        return False

    class Pickler(kind):  # type: ignore[misc]
        def reducer_override(self, value: "Any") -> "Any":
            is_of_main = isinstance(value, (type, FunctionType)) and value.__module__ == "__main__"
            if is_of_main and types.get(value.__name__) is value:
                return NotImplemented
            if is_of_main and kind is pickle.Pickler:
                raise pickle.PicklingError("only this cell has it")
            return super().reducer_override(value) if hasattr(kind, "reducer_override") else NotImplemented

    stream = io.BytesIO()
    Pickler(stream, protocol=5, buffer_callback=take).dump(value)
    return [stream.getvalue(), *buffers]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _size_of(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_size
    except OSError:
        return 0
