"""Process groups and who left them: signalling them, and seeing when nobody is left.

A group's number isn't given to anyone else as long as one member is left, so it is safe to signal a group while its
leader is known to live, or while members of it were seen all the time since. Callers see to that.

A child that began a session of its own is in no group of ours any more. It is known by the variable that all of a
process's descendants inherit, and is signalled through a pidfd, which can't come to mean another process. Only Linux
shows the environment of other processes.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path


def signal_group(group: int, number: signal.Signals) -> None:
    """Signals all members; that none is left is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def has_members(group: int) -> bool:
    """Whether somebody in the group lives. It may take some milliseconds to find out."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # macOS reports a group of nothing but zombies as the latter
        return False
    return sys.platform != "linux" or _has_living_members(group)


def _has_living_members(group: int) -> bool:
    """Leaves out zombies, which stay for as long as their new parent, the init process, doesn't look after them."""
    return any(_is_living_member(entry, group) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _is_living_member(entry: Path, group: int) -> bool:
    try:
        state, _parent, member_of = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(member_of) == group and state not in (b"Z", b"X")


MARK = "HOPX_PROCESS_ID"
"""The variable that tells a process and all its descendants the id under which the agent lists it."""


def signal_strays(process_id: str, number: signal.Signals) -> None:
    """Signals the descendants of a process wherever they are, as far as they can be found."""
    for pid in _strays(process_id):
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if _is_stray(pid, process_id):  # still, now that the descriptor holds it
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def has_strays(process_id: str) -> bool:
    """Whether a descendant of a process lives somewhere, as far as can be found."""
    return next(_strays(process_id), None) is not None


def _strays(process_id: str) -> Iterator[int]:
    if sys.platform != "linux":
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _is_stray(int(entry.name), process_id):
            yield int(entry.name)


def _is_stray(pid: int, process_id: str) -> bool:
    """A zombie has no environment, and that of others can't be read."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={process_id}".encode() in environment.split(b"\0")
