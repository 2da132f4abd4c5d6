"""How a cell begins on a machine to which the runner was sent along: with its files in their places."""

import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, NoReturn

KEPT_BYTES = 5_000_000_000
"""Bytes of values that runs which have ended keep, so that they can be launched again: those of the newest ones."""

KEPT_FOR = 3600.0
"""Seconds for which a file is kept that no run has: a launch may be about to need it."""

CANT_BEGIN = 126


def arrive(launch: "dict[str, Any]", home: str, runner: str) -> "NoReturn":
    """Becomes the process of the cell: with its folder, its values, and its working directory.

    `launch` is what `client/sent_runner.py` tells of it, `home` the folder of all that was sent here.
    """
    sent, run = os.path.join(home, launch["sent"]), _own_folder(os.path.join(home, "runs"), launch["run_id"])
    workspace = os.path.dirname(home)
    try:
        os.makedirs(run, 0o700, exist_ok=True)
        cell = os.path.join(run, "cell.py")
        with open(cell + ".new", "w", encoding="utf-8", newline="") as file:
            file.write(launch["cell"])
        os.replace(cell + ".new", cell)
        values = _linked(launch["values"], sent, os.path.join(run, "in"))
    except OSError as error:
        _refuse(f"the cell can't begin here: {error}")
    with contextlib.suppress(OSError):  # another run does so, too
        _remove_unneeded(sent, os.path.dirname(run))
    _enter(_directory(launch["workdir"], workspace))
    _set_environment(values, launch["environment"])
    os.execv(sys.executable or "python3", [sys.executable or "python3", runner, cell])


def _own_folder(runs: str, run_id: str) -> str:
    """The folder of this run: of one that an agent launches anew, as often as it fails, that of its process."""
    first, process = os.path.join(runs, run_id), os.environ.get("HOPX_PROCESS_ID")
    return os.path.join(runs, process) if process and os.path.exists(os.path.join(first, "cell.py")) else first


def _refuse(why: str) -> "NoReturn":
    sys.stderr.write(f"hopx: {why}\n")
    sys.exit(CANT_BEGIN)


def _linked(names: "Sequence[str]", sent: str, folder: str) -> str:
    """Gives the run its values as files of its own: the path of the manifest, empty where it has none."""
    if not names:
        return ""
    os.makedirs(folder, 0o700, exist_ok=True)
    for name in names:
        source, own = os.path.join(sent, name), os.path.join(folder, name)
        if not _is_whole(source):
            _refuse("the values of this cell were sent here, and are gone: launch it again")
        os.utime(source)
        try:
            os.link(source, own)
        except FileExistsError:
            continue
        except OSError:  # there are file systems without such links
            import shutil

            shutil.copyfile(source, own)
    for own, content in (("pid", str(os.getpid())), ("manifest", names[0])):
        with open(os.path.join(folder, own), "w", encoding="utf-8") as file:
            file.write(content)
    return os.path.join(folder, names[0])


def _is_whole(path: str) -> bool:
    try:
        return path.endswith(f"-{os.path.getsize(path)}")
    except OSError:
        return False


def _directory(wanted: str, workspace: str) -> str:
    """The directory that is meant: `/workspace` is the agent's own, whatever its real path is."""
    if wanted == "/workspace" or wanted.startswith("/workspace/"):
        wanted = "." + wanted[len("/workspace") :]
    return os.path.normpath(os.path.join(workspace, os.path.expanduser(wanted))) if wanted else ""


def _enter(directory: str) -> None:
    try:
        os.chdir(directory or os.curdir)
    except OSError:
        _refuse(f"the working directory {directory} does not exist, or can't be entered")


def _set_environment(values: str, told: "Mapping[str, str]") -> None:
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = [os.getcwd(), *(each for each in path if each and each != os.getcwd())]
    os.environ["PYTHONPATH"] = os.pathsep.join(own)  # modules beside the user's files can be imported
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    for name in ("HOPX_SWEEP_INDEX", "HOPX_VALUES"):  # it may itself be begun by a cell
        os.environ.pop(name, None)
    os.environ.update(told, HOPX_KEEP="plain", **({"HOPX_VALUES": values} if values else {}))


# ------------------------------------------------------------ making room


def _remove_unneeded(sent: str, runs: str) -> None:
    """Removes the values of old runs that have ended when there are many, and what was sent that no run has."""
    import shutil
    import time

    left, counted = KEPT_BYTES, set()
    for folder in _newest_first(runs):
        for entry in _files(folder):
            found = entry.stat()
            left -= 0 if found.st_ino in counted else found.st_size
            counted.add(found.st_ino)
        if left < 0 and not _goes_on(folder):
            shutil.rmtree(folder, ignore_errors=True)
    for entry in _files(sent):
        found = entry.stat()
        is_runner = entry.name.startswith("runner-")
        if found.st_nlink == 1 and time.time() - found.st_mtime > KEPT_FOR and not is_runner:
            os.unlink(entry.path)


def _newest_first(runs: str) -> "list[str]":
    folders = [os.path.join(entry.path, "in") for entry in os.scandir(runs)]
    return sorted(filter(os.path.isdir, folders), key=os.path.getmtime, reverse=True)


def _files(folder: str) -> "Iterator[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))


def _goes_on(folder: str) -> bool:
    """Whether the process lives that has these values."""
    try:
        with open(os.path.join(folder, "pid"), encoding="utf-8") as file:
            os.kill(int(file.read()), 0)
    except (OSError, ValueError):
        return False
    return True
