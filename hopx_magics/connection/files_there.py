"""What a cell has left on an agent elsewhere, read through its files."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..client.files import Files
from ..client.sent_runner import folder_of
from ..errors import AgentRefused, BadReply, NotSupported, ResultError, UnknownProcess
from ..models import Process
from ..results import KeptFiles, mapped_parts

MOST_DISPLAYS = 100_000_000
"""Bytes of displays, from the first one on, that are read."""

SEEN_FOR = 10.0
"""Seconds for which the folder of a run counts as being there: several things in it are asked for, one by one."""


def has_left_something(files: Files, folder: str) -> bool | None:
    """Whether the cell has left something whose run has this folder; None when that is not there. Raises AgentError."""
    try:
        return any(file.name == "out" for file in files.list(folder))
    except AgentRefused as error:
        if error.status == 404:
            return None
        raise
    except (NotSupported, BadReply):  # or it has no word for a folder that isn't there
        return files.exists(f"{folder}/cell.py") or None


class FilesThere:
    """The folder of an agent elsewhere with what a cell has left. All raise AgentError.

    `place` is the agent's name; None for one that is trusted like this machine.
    """

    def __init__(
        self, files: Files, folder: str, place: str, *, is_empty: bool = False, is_trusted: bool = False
    ) -> None:
        self._is_empty = is_empty
        self._files = files
        self._folder = folder
        self._name = place
        self.place = None if is_trusted else place

    def read(self, name: str, *, start: int = 0, most: int) -> bytes | None:
        """What a file has from byte `start` on, at most so many bytes; None when there is no such file."""
        if start and not self._is_longer(name, start):
            return b""
        if self._is_empty:
            return None
        content = self._files.content(f"{self._folder}/{name}", most=min(start + most, MOST_DISPLAYS))
        return None if content is None else content[start:]

    def _is_longer(self, name: str, size: int) -> bool:
        """Whether a file may have more bytes: agents give files from their beginning only, which takes its time."""
        sizes = [file.size for file in self._files.list(self._folder) if file.name == name]
        return not sizes or sizes[0] is None or sizes[0] > size

    def parts(self, name: str, sizes: Sequence[int]) -> list[memoryview]:
        """A file in its parts, copied to this machine. Raises ResultError when it's another one, or has no room."""
        total = sum(sizes)
        with tempfile.TemporaryDirectory(prefix="hopx-") as folder:
            if total > shutil.disk_usage(folder).free:
                raise ResultError(f"it has {total / 1e6:,.0f} MB, for which there is no room in {folder}")
            copy = self._files.get(f"{self._folder}/{name}", Path(folder) / "value", most=total)
            if copy.stat().st_size != total or not total:
                raise ResultError(f"its file on {self._name} is not as long as it should be")
            return mapped_parts(copy, sizes)


class LeftThere:
    """The files of what the cells of one agent leave: displays and values."""

    def __init__(self, files: Files, place: str) -> None:
        self._files = files
        self._name = place
        self._seen: dict[str, tuple[float, bool | None]] = {}

    def of(self, process: Process, *, is_trusted: bool) -> KeptFiles:
        """Those of one process; one that `is_trusted` is loaded like what is left here.

        Raises ResultError where there can be none, UnknownProcess when the agent no longer has them, AgentError.
        """
        label = process.name or process.process_id
        folder = folder_of(process)
        if folder is None:
            raise ResultError(f"{label} was not launched from here, and leaves its output only")
        has_left = self._has_left(folder) if process.ended else True
        if has_left is None:
            raise UnknownProcess(f"{self._name}: there is nothing of {label} (any more)")
        return FilesThere(self._files, f"{folder}/out", self._name, is_empty=not has_left, is_trusted=is_trusted)

    def _has_left(self, folder: str) -> bool | None:
        """Whether the run of a folder has left something; None when that is not there. Raises ResultError."""
        seen, has_left = self._seen.get(folder, (-SEEN_FOR, None))
        if time.monotonic() - seen > SEEN_FOR:
            try:
                has_left = has_left_something(self._files, folder)
            except NotSupported as error:
                raise ResultError(f"cells on {self._name} leave their output only: it serves no files") from error
            self._seen = {folder: (time.monotonic(), has_left)}
        return has_left
