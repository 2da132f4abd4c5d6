"""The agent's work folders as its files API has them: nothing outside of it can be named, links and `..` included.

A path is resolved first, so that links within the folder work. What it leads to is then opened step by step from the
folder on, without following any link: one that is put in the way meanwhile leads nowhere. All of this blocks, and is
to be called in a thread.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..protocol.files import WORK, WORKSPACE
from .answers import Refused
from .endings import utc
from .store import emptied

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe without a writer would block for ever

Parts = tuple[str, ...]
"""A path within the work folder, without links."""

_REFUSALS = {
    errno.ENOENT: (404, "DIRECTORY_NOT_FOUND", "there is no such directory"),
    errno.ENOTDIR: (400, "INVALID_PATH", "this is no directory"),
    errno.EISDIR: (400, "INVALID_PATH", "this is a directory"),
    errno.EEXIST: (409, "FILE_ALREADY_EXISTS", "this exists already"),
    errno.ELOOP: (403, "PATH_NOT_ALLOWED", "this leads out of the work folder"),
    errno.EACCES: (403, "PERMISSION_DENIED", "this is not permitted"),
    errno.EPERM: (403, "PERMISSION_DENIED", "this is not permitted"),
    errno.EINVAL: (400, "INVALID_PATH", "this can't be a path, or is being changed"),
    errno.ENAMETOOLONG: (400, "INVALID_PATH", "this is too long for a path"),
    errno.ENOSPC: (507, "INSUFFICIENT_STORAGE", "nothing was written: the disk is full"),
    errno.EDQUOT: (507, "INSUFFICIENT_STORAGE", "nothing was written: the disk quota is used up"),
}


def _refused(status: int, code: str, words: str, wanted: str) -> Refused:
    return Refused(status, code, f"{words}: {wanted[:200]}", {"path": wanted[:200]})


@contextlib.contextmanager
def explained(wanted: str, *, is_file: bool = False) -> Iterator[None]:
    """Turns what the system says of the path `wanted`, which may be that of a file, into Refused."""
    try:
        yield
    except OSError as error:
        if is_file and error.errno == errno.ENOENT:
            raise _refused(404, "FILE_NOT_FOUND", "there is no such file", wanted) from None
        if error.errno not in _REFUSALS:
            raise
        raise _refused(*_REFUSALS[error.errno], wanted) from None


class Workspace:
    """The folder `root`, which clients know as `name`, and where relative paths are.

    Files on their way into it are kept in `staging`, which has to be on the same file system.
    """

    def __init__(self, root: Path, staging: Path, name: str = WORKSPACE) -> None:
        self._name = name
        self._root = Path(os.path.realpath(root))
        self._staging = staging
        emptied(staging)

    @property
    def free(self) -> int:
        """The bytes for which there is room."""
        return shutil.disk_usage(self._staging).free

    # ------------------------------------------------------------ looking

    def list(self, wanted: str) -> tuple[dict[str, Any], ...]:
        """What is in a directory, by name. Raises Refused."""
        parts = self._parts(wanted)
        with explained(wanted), self._directory(parts) as directory:
            rows = (self._row(directory, parts, name) for name in sorted(os.listdir(directory)))
            return tuple(row for row in rows if row)

    def _row(self, directory: int, parts: Parts, name: str) -> dict[str, Any] | None:
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:  # meanwhile
            return None
        return {
            "name": _shown(name),
            "path": _shown(self._path_of((*parts, name))),
            "size": found.st_size,
            "is_directory": stat.S_ISDIR(found.st_mode),
            "permissions": stat.filemode(found.st_mode),
            "modified_time": utc(found.st_mtime_ns),
        }

    def exists(self, wanted: str) -> bool:
        """Whether there is a file or directory. Raises Refused."""
        parts = self._parts(wanted)
        with explained(wanted):
            try:
                with self._directory(parts[:-1]) as directory:
                    os.stat(_name(parts), dir_fd=directory, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def open(self, wanted: str) -> BinaryIO:
        """A file to read from. Raises Refused, also for what is no regular file."""
        parts = self._parts(wanted)
        with explained(wanted, is_file=True), self._directory(parts[:-1]) as directory:
            descriptor = os.open(_name(parts), _FILE, dir_fd=directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _refused(400, "INVALID_PATH", "this is no file", wanted)
        return open(descriptor, "rb")

    # ------------------------------------------------------------ changing

    @contextlib.contextmanager
    def incoming(self) -> Iterator[BinaryIO]:
        """A new file, to be filled and then installed; otherwise it is gone afterwards."""
        path = self._staging / secrets.token_hex(8)
        file = path.open("xb")
        try:
            yield file
        finally:
            with contextlib.suppress(OSError):  # what is still in its buffer has no room
                file.close()
            path.unlink(missing_ok=True)

    def install(
        self, file: BinaryIO, wanted: str, *, mode: int | None = None, overwrite: bool = True, parents: bool = False
    ) -> str:
        """Puts an incoming file where it belongs, at once and as a whole, and returns its path. Raises Refused.

        Without `mode` it gets the one of the file that it replaces. `parents` makes the directories that are missing.
        """
        parts = self._parts(wanted)
        with explained(wanted):
            file.flush()
            if not parts:
                raise IsADirectoryError(errno.EISDIR, "", wanted)
            with self._directory(parts[:-1], make=parents) as directory:
                if mode is None:
                    with contextlib.suppress(FileNotFoundError):
                        mode = stat.S_IMODE(os.stat(parts[-1], dir_fd=directory, follow_symlinks=False).st_mode)
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                put = os.replace if overwrite else os.link  # which does not replace
                put(file.name, parts[-1], dst_dir_fd=directory)
        return self._path_of(parts)

    def mkdir(self, wanted: str) -> str:
        """Makes a directory, and those above it that are missing, and returns its path. Raises Refused."""
        parts = self._parts(wanted)
        with explained(wanted), self._directory(parts, make=True):
            return self._path_of(parts)

    def remove(self, wanted: str) -> str:
        """Deletes a file, a link, or a directory with all that is in it, and returns its path. Raises Refused."""
        parts = self._parts(wanted, follow_last=False)
        if not parts:
            raise _refused(403, "PATH_NOT_ALLOWED", "the work folder itself has to stay", wanted)
        with explained(wanted, is_file=True), self._directory(parts[:-1]) as directory:
            if stat.S_ISDIR(os.stat(parts[-1], dir_fd=directory, follow_symlinks=False).st_mode):
                shutil.rmtree(parts[-1], dir_fd=directory)
            else:
                os.unlink(parts[-1], dir_fd=directory)
        return self._path_of(parts)

    # ------------------------------------------------------------ paths

    def _parts(self, wanted: str, *, follow_last: bool = True) -> Parts:
        """Where `wanted` leads to; `/workspace` is the work folder, and relative paths are in it. Raises Refused."""
        if "\0" in wanted:
            raise _refused(400, "INVALID_PATH", "a path can't hold the character NUL", wanted.replace("\0", "\\0"))
        path = Path(wanted)
        path = self._root / (path.relative_to(self._name) if path.is_relative_to(self._name) else path)
        last = "" if follow_last or path == self._root or path.name == ".." else path.name
        with explained(wanted):
            real = Path(os.path.realpath(path.parent if last else path), last)
        if not real.is_relative_to(self._root):
            raise _refused(403, "PATH_NOT_ALLOWED", f"only {self._name} and what is in it can be asked for", wanted)
        return real.relative_to(self._root).parts

    def _path_of(self, parts: Parts) -> str:
        """The path as clients of the agent know it."""
        return "/".join((self._name, *parts))

    @contextlib.contextmanager
    def _directory(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        """A descriptor of a directory. Raises OSError when it isn't there, or a link is in the way."""
        descriptor = os.open(self._root, _DIRECTORY)
        try:
            for name in parts:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                inner = os.open(name, _DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)


class Workspaces:
    """All folders that an agent serves: its work folder, and the one of connections by ssh, when it is there."""

    def __init__(self, root: Path, staging: Path) -> None:
        self._own = Workspace(root, staging)
        self._shared = Path(WORK).expanduser()
        self._staging = self._shared / f".incoming-{root.parent.name}"
        self._of_ssh: Workspace | None = None

    def of(self, wanted: str) -> Workspace:
        """The one in which a path is, or would be."""
        if not Path(wanted).is_relative_to(self._shared) or not self._shared.is_dir():
            return self._own
        if self._of_ssh is None:
            self._of_ssh = Workspace(self._shared, self._staging, str(self._shared))
        return self._of_ssh


def _name(parts: Parts) -> str:
    return parts[-1] if parts else "."


def _shown(name: str) -> str:
    """A name that can be encoded; one that is no UTF-8 can be shown, but not asked for."""
    return os.fsencode(name).decode("utf-8", "replace")
