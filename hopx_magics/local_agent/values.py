"""Values that cells get: files that clients put into the work folder, and that each process has as links of its own."""

import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from ..protocol.files import WORKSPACE
from ..protocol.requests import VALUES
from .requests import invalid

KEPT_FOR = 3600.0
"""Seconds for which a file is kept that no process needs: a client may be about to launch one."""

_NAME = re.compile("[0-9a-f]{16,64}")


def values_folder(workspace: Path) -> Path:
    """Where clients put them."""
    return workspace / Path(VALUES).relative_to(WORKSPACE)


def checked_values(names: Sequence[str] | None, folder: Path) -> tuple[Path, ...]:
    """The files of these names, the manifest first. Raises Refused for one that isn't there."""
    for name in names or ():
        if not _NAME.fullmatch(name) or not (folder / name).is_file():
            raise invalid(f"values: there is no file {name[:80]!r} in {VALUES}: put it there before the launch")
    return tuple(folder / name for name in names or ())


def remove_unneeded(folder: Path) -> None:
    """Removes the files that no process has a link to any more."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if found.st_nlink == 1 and time.time() - found.st_mtime > KEPT_FOR:
                    os.unlink(entry.path)
