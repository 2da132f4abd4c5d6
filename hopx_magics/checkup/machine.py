"""What this machine tells of folders, processes and locks, as far as it does: on Linux most of it is in /proc."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..findings import Finding, attention, broken, ok
from ..words import size_in_words

LITTLE = 1_000_000_000
NEXT_TO_NOTHING = 20_000_000
"""Bytes free on a disk from which on it needs attention, and from which on hardly anything can be written."""

LITTLE_MEMORY = 0.05
"""Share of the memory that is left when it needs attention."""

_NETWORKED = (
    *("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "ocfs2", "fuse.sshfs"),
    *("fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph", "davfs"),
)
"""Beginnings of the names of file systems that several machines may share."""


def look_at_folder(check: str, folder: Path, *, variable: str) -> Iterator[Finding]:
    """Room and file system of a folder that `variable` chooses, or of that in which it would be made."""
    there = existing(folder)
    if not os.access(there, os.W_OK | os.X_OK):
        means = "Nothing can be written there."
        yield broken(check, f"{there} can't be written", means, f"Set {variable} to a place that you can write to.")
        return
    yield _room(check, there, variable)
    if kind := networked(there):
        means = "Locks and sockets are not sure to work on a file system that other machines share."
        yield attention(f"{check}: file system", f"{there} is on {kind}", means, f"Set {variable} to a local disk.")


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that there is."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))


def _room(check: str, folder: Path, variable: str) -> Finding:
    usage, inodes = shutil.disk_usage(folder), os.statvfs(folder)
    told = f"{size_in_words(usage.free)} free of {size_in_words(usage.total)} in {folder}"
    advice = f"Make room there, or set {variable} to another disk."
    if inodes.f_files and not inodes.f_favail:
        return broken(check, f"no more files fit in {folder}", "Nothing can be written there.", advice)
    if usage.free < NEXT_TO_NOTHING:
        return broken(check, told, "Output of runs, or the history, can't be written.", advice)
    if usage.free < LITTLE:
        return attention(check, told, "It may be full soon, and output be lost then.", advice)
    return ok(check, told)


def networked(folder: Path) -> str | None:
    """The file system of a folder, where several machines may share it."""
    kinds = dict(_mounts())
    kind = next((kinds[str(path)] for path in (folder.resolve(), *folder.resolve().parents) if str(path) in kinds), "")
    return kind if kind.startswith(_NETWORKED) else None


def _mounts() -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
            words = line.split(" ")
            if len(words) > 2:
                yield words[1].replace("\\040", " "), words[2]


def look_at_memory() -> Iterator[Finding]:
    """How much memory is left, where that is told."""
    known: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            known[name] = int(rest.split()[0]) * 1024
    total, left = known.get("MemTotal"), known.get("MemAvailable")
    if not total or left is None:
        return
    told = f"{size_in_words(left)} of {size_in_words(total)} left"
    if left < LITTLE_MEMORY * total:
        means = "The system may end processes, also yours, to get some."
        yield attention("memory", told, means, "%hopx_ps --sort -memory_bytes shows which runs take most.")
    else:
        yield ok("memory", told)


def process_in_words(pid: int) -> str:
    """A process by its program and pid; nothing of its command line, which may have secrets."""
    with contextlib.suppress(OSError):
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (pid {pid})"
    return f"pid {pid}"


def is_stopped(pid: int) -> bool:
    """Whether a process stands still because of a signal, or of a debugger."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    return False


def lock_holders(*files: Path) -> list[int]:
    """The pids of processes that hold a lock for writing on one of these files, where the system tells that."""
    inodes = set()
    for file in files:
        with contextlib.suppress(OSError):
            inodes.add(str(file.stat().st_ino))
    holders = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = [word for word in line.split() if word != "->"]
            if len(words) > 5 and words[3] == "WRITE" and words[5].rpartition(":")[2] in inodes:
                holders.append(int(words[4]))
    return [pid for pid in dict.fromkeys(holders) if pid > 0]
