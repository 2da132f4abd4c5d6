"""What this machine tells of folders, processes and locks, as far as it does: on Linux most of it is in /proc."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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


class Room(NamedTuple):
    """The room in a folder, or in that in which it would be made: bytes `free` of `total`, and whether files fit in.

    `disk` tells which disk it is, and `shared` its file system, if several machines may share that.
    """

    folder: str
    disk: int
    writable: bool
    free: int
    total: int
    takes_files: bool
    shared: str | None


def look_at_folder(check: str, folder: Path, *, variable: str) -> Iterator[Finding]:
    """Room and file system of a folder that `variable` chooses, or of that in which it would be made."""
    yield from look_at_room(check, room_in(folder), choose=f"set {variable} to")


def look_at_room(check: str, room: Room, *, choose: str) -> Iterator[Finding]:
    """Room and file system of a folder of any machine; `choose` begins the advice by which another one is taken."""
    yield _room(check, room, choose)
    if room.writable and room.shared:
        means = "Locks and sockets are not sure to work on a file system that other machines share."
        found = f"{room.folder} is on {room.shared}"
        yield attention(f"{check}: file system", found, means, f"{_begun(choose)} a local disk.")


def room_in(folder: Path) -> Room:
    """The room in a folder of this machine."""
    there = existing(folder)
    usage, inodes = shutil.disk_usage(there), os.statvfs(there)
    return Room(
        folder=str(there),
        disk=there.stat().st_dev,
        writable=os.access(there, os.W_OK | os.X_OK),
        free=usage.free,
        total=usage.total,
        takes_files=not inodes.f_files or inodes.f_favail > 0,
        shared=networked(there),
    )


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that there is."""
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))


def _room(check: str, room: Room, choose: str) -> Finding:
    told = f"{size_in_words(room.free)} free of {size_in_words(room.total)} in {room.folder}"
    advice = f"Make room there, or {choose} another disk."
    if not room.writable:
        means, advice = "Nothing can be written there.", f"{_begun(choose)} a place that you can write to."
        return broken(check, f"{room.folder} can't be written", means, advice)
    if not room.takes_files:
        return broken(check, f"no more files fit in {room.folder}", "Nothing can be written there.", advice)
    if room.free < NEXT_TO_NOTHING:
        return broken(check, told, "Output of runs, or the history, can't be written.", advice)
    if room.free < LITTLE:
        return attention(check, told, "It may be full soon, and output be lost then.", advice)
    return ok(check, told)


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


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
