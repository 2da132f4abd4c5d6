"""Whether there is memory for forks: each copies the page tables of this program, and has some of its own, also while
it waits for its turn."""

import contextlib
from pathlib import Path

from ..errors import LaunchError
from ..words import size_in_words

OWN = 20_000_000
"""Bytes that a fork and its keeper have of their own when they have done nothing yet: 16 to 19 MB, as measured."""

_SHARE = 0.5
"""The part of what is free that forks may take: they are there to do something."""

_CGROUP = Path("/sys/fs/cgroup")


def check_room(count: int = 1) -> None:
    """Raises LaunchError where the memory that is free would not do for so many forks."""
    tables, free = _told_of("/proc/self/status").get("VmPTE", 0), free_memory()
    each = tables + OWN
    fitting = int(free * _SHARE / each)
    if count > fitting:
        what = "a fork of this kernel takes" if count == 1 else f"{count:,} forks of this kernel take"
        of_tables = f" and {size_in_words(tables)} for page tables" if tables >= OWN / 10 else ""
        raise LaunchError(
            f"{what} {size_in_words(count * each)} before any of them does anything, and {size_in_words(free)} are "
            f"free: each has {size_in_words(OWN)} of its own{of_tables}, also while it is queued",
            hint=f"{_fewer(fitting, count)} without --fork: then what is queued takes no memory.",
        )


def _fewer(fitting: int, count: int) -> str:
    return f"Launch {fitting:,} at most at a time, or" if 0 < fitting < count else "Free some, or launch"


def free_memory() -> int:
    """The bytes of memory that can be had, of this machine, or of what its container may have."""
    free = [_told_of("/proc/meminfo").get("MemAvailable", 0)]
    with contextlib.suppress(OSError, ValueError):  # there is no limit
        most, taken = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        free.append(most - taken + _told_of(str(_CGROUP / "memory.stat")).get("inactive_file", 0))
    return min(free)


def _told_of(path: str) -> dict[str, int]:
    """What the system tells in lines of a name and a number, in bytes."""
    told = {}
    for line in Path(path).read_text().splitlines():
        name, *rest = line.replace(":", " ").split()
        if rest and rest[0].isdecimal():
            told[name] = int(rest[0]) * (1024 if rest[1:] == ["kB"] else 1)
    return told
