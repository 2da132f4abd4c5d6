"""Copies a folder of this machine to another one by ssh: what git would keep of it, and only what differs there."""

import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import HopxError
from ..output.oneline import printable
from ..words import size_in_words
from .ssh import remote_command

_ALWAYS_LEFT_OUT = frozenset({".git", "__pycache__", ".ipynb_checkpoints"})
"""What programs write beside a user's files, and write again."""


class Copied(NamedTuple):
    """The files of a folder that are to be copied, by their paths in it, and how many bytes they have."""

    folder: Path
    files: list[str]
    size: int


def to_copy(folder: Path) -> Copied:
    """What of a folder is to be copied: all files but what its `.gitignore` leaves out.

    Raises ValueError for a folder that is no project, HopxError when it can't be told what is left out.
    """
    if folder in (Path.home(), Path("/")):
        raise ValueError(f"{folder} as a whole is not copied: go to the folder of a project with %cd")
    names = _names_by_git(folder) if shutil.which("git") else list(_all_names(folder))
    files = [name for name in names if _is_file(folder / name) and _ALWAYS_LEFT_OUT.isdisjoint(name.split("/"))]
    return Copied(folder, files, sum((folder / name).lstat().st_size for name in files))


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _names_by_git(folder: Path) -> list[str]:
    """The files that git would keep, also where there is no repository."""
    git = ["git", "-C", str(folder)]
    with tempfile.TemporaryDirectory() as empty:
        if subprocess.run([*git, "rev-parse", "--is-inside-work-tree"], capture_output=True).stdout != b"true\n":
            subprocess.run(["git", "init", "--quiet", "--bare", empty], capture_output=True)
            git += ["--git-dir", empty, "--work-tree", str(folder)]
        listed = subprocess.run([*git, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True)
    if listed.returncode:
        why = printable(listed.stderr.decode(errors="replace").strip(), 300)
        raise HopxError(f"git can't tell what .gitignore leaves out of {folder}: {why}")
    return sorted({os.fsdecode(name) for name in listed.stdout.split(b"\0") if name})


def _all_names(folder: Path) -> Iterator[str]:
    for path, folders, files in os.walk(folder):
        if ".gitignore" in files:
            raise HopxError(f"{path}/.gitignore leaves out some files, and git, which could tell which, is not here")
        folders[:] = sorted({*folders} - _ALWAYS_LEFT_OUT)
        yield from (os.path.relpath(os.path.join(path, name), folder) for name in sorted(files))


def copy(copied: Copied, ssh: Sequence[str], target: str, *, has_rsync: bool, say: Callable[[str], None]) -> None:
    """Copies them into the folder `target` of the machine to which the words of `ssh` lead. Raises HopxError.

    By rsync, where both sides have it; otherwise all of them. `say` is told how much that is. Nothing there is deleted.
    """
    count = f"{len(copied.files):,} {'file' if len(copied.files) == 1 else 'files'}"
    say(f"copying {count}, {size_in_words(copied.size)}, to {target}")
    if not copied.files:
        return
    if has_rsync and shutil.which("rsync"):
        _by_rsync(copied, ssh, target)
    else:
        _by_tar(copied, ssh, target)


def _by_rsync(copied: Copied, ssh: Sequence[str], target: str) -> None:
    *words, host = ssh
    rsync = ["rsync", "-lptz", "-s", "--from0", "--files-from=-", "-e", shlex.join(words), "./", f"{host}:{target}/"]
    names = b"\0".join(os.fsencode(name) for name in copied.files)
    done = subprocess.run(rsync, cwd=copied.folder, input=names, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise _failed(copied, "rsync", done.stderr)


def _by_tar(copied: Copied, ssh: Sequence[str], target: str) -> None:
    words = [*ssh, remote_command(f"exec tar -xzf - -C {shlex.quote(target)}")]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors) as process:
            try:
                with tarfile.open(fileobj=process.stdin, mode="w|gz") as archive:
                    for name in copied.files:
                        archive.add(copied.folder / name, name, recursive=False)
            except BrokenPipeError:
                pass  # it says itself why it takes no more
            except BaseException:
                process.kill()
                raise
        errors.seek(0)
        if process.returncode:
            raise _failed(copied, "tar", errors.read())


def _failed(copied: Copied, what: str, said: bytes) -> HopxError:
    lines = said.decode(errors="replace").strip().splitlines()
    return HopxError(
        f"{copied.folder} could not be copied: {what}: {printable(lines[-1] if lines else 'it failed', 300)}",
        hint="What has arrived is there. Copy again: what is the same is not sent again, where rsync is on both sides.",
    )
