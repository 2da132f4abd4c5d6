"""What a shell does, on an agent: commands in the foreground, and files."""

import posixpath
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..durations import parse_duration
from ..models import CommandResult
from ..session.session import session

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int | None], object]
"""Called with a file's name, the bytes that were copied so far, and all there are if that is known."""


def run_command(command: str, *, timeout: str | float = 30.0, on: str | None = None) -> CommandResult:
    """Runs one line of bash on an agent, in the foreground, and returns its output and exit code.

    Raises ValueError, NotSupported, AgentError.
    """
    return session().connection(on).run_command(command, timeout=parse_duration(timeout))


def put(
    local: Iterable[str | Path], remote: str, *, on: str | None = None, progress: Progress | None = None
) -> list[str]:
    """Copies files of this machine to an agent, and returns their paths there.

    `remote` is a folder if it ends in `/` or if there are several files. Raises ValueError, AgentError.
    """
    paths = [Path(path).expanduser() for path in local]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is no file: use the paths of files on this machine")
    folder = remote if remote.endswith("/") or len(paths) == 1 else f"{remote}/"
    files = session().connection(on).files
    return [files.put(path, folder, _told(progress, path.name)) for path in paths]


def get(remote: str, local: str | Path = ".", *, on: str | None = None, progress: Progress | None = None) -> Path:
    """Copies a file of an agent to this machine: whole, or not at all. Returns where it is.

    `local` may be a folder. Raises ValueError, AgentError, OSError when it can't be written here.
    """
    return (
        session()
        .connection(on)
        .files.get(remote, Path(local).expanduser(), _told(progress, posixpath.basename(remote)))
    )


def ls(path: str | None = None, *, on: str | None = None) -> "pd.DataFrame":
    """The files of a folder of an agent, by default its work folder: `name`, `size`, `is_directory`, `permissions`,
    `modified_at`, `path`.

    Raises ValueError, AgentError.
    """
    from ..display.connection_frames import files_frame

    files = session().connection(on).files
    return files_frame(files.list(path) if path else files.list())


def _told(progress: Progress | None, name: str) -> Callable[[int, int | None], object] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
