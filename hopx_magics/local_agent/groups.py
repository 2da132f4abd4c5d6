"""Process groups: signalling them, and seeing when nobody is left in them.

A group's number isn't given to anyone else as long as one member is left, so it is safe to signal a group while its
leader is known to live, or while members of it were seen all the time since. Callers see to that.
"""

import contextlib
import os
import signal
import sys
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
