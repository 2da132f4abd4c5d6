"""What a cell has left on an agent elsewhere, read through its files."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..client.files import Files
from ..errors import AgentRefused, BadReply, NotSupported, ResultError
from ..results import mapped_parts

MOST_DISPLAYS = 100_000_000
"""Bytes of displays, from the first one on, that are read."""


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
