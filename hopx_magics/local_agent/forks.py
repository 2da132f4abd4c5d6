"""Forks of clients, which wait for their turn at a gate; the agent looks after them without being their parent.

A client forks its keeper, which is to the cell what the shell is to a program: it holds the lock of the folder, waits
for the cell's end, and writes how that was. The cell itself waits at the folder's gate. What it is told there is one
object of JSON: `env` are variables of its environment that depend on its turn.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..words import STREAMS
from .active import Active
from .family import MARK, Entry, Member, lives, read_entry, send, unshared_memory
from .outputs import size_of
from .programs import FORMER, chosen

NEVER = b""
"""What is told at the gate when the turn never comes."""

_POLL = 0.002

LOOK_EVERY = 1.0
"""Seconds between two looks at forks that may wait for ever."""

HANGS_AFTER = 5
"""Looks in a row at which a fork has done nothing, after which that is told."""

HANGS = "may wait for a lock that was held at the fork: run it without --fork (%hopx_show tells where)"


class Told(msgspec.Struct, frozen=True):
    """What a fork is told when it is its turn."""

    env: dict[str, str]


async def let_begin(active: Active, former: Mapping[str, Sequence[str]]) -> None:
    """Lets a fork begin whose turn it is, and waits until it has. Raises ValueError when it has ended before."""
    folder, keeper = active.folder, active.launched.keeper
    env = {MARK: active.process_id, **chosen(active.gpus)}
    if former:
        env[FORMER] = folder.write_former(former)
    told = msgspec.json.encode(Told(env)) + b"\n"
    while keeper is not None and folder.read_start() is None:
        folder.open_gate(told)  # again and again does no harm: only the first word is heard
        if not lives(Member(*keeper)) and folder.read_start() is None:
            raise ValueError("its fork ended while it waited for its turn")
        await asyncio.sleep(_POLL)


def of_forks(entries: Sequence[Entry], pids: Sequence[int]) -> list[Entry]:
    """The processes of a fork with the memory that is theirs alone."""
    return [entry._replace(memory=unshared_memory(pid)) for entry, pid in zip(entries, pids, strict=True)]


class _Look(NamedTuple):
    """What a fork has done when it was looked at last, and for how many looks it has done nothing since."""

    signs: tuple[int, ...]
    idle: int = 0


async def watch_forks(running: Mapping[str, Active], tell: Callable[[str], None]) -> None:
    """Looks for ever whether forks wait for what will never come, notes that with them, and lets them say where."""
    looks: dict[str, _Look] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY)
        forks = {id_: active for id_, active in running.items() if active.launched.keeper and active.start}
        looks = {id_: _looked_at(active, looks.get(id_)) for id_, active in forks.items()}
        for process_id, active in forks.items():
            hangs = looks[process_id].idle >= HANGS_AFTER
            if hangs != active.hangs:
                active.hangs = hangs
                _ask_where(active)
                tell(process_id)


def _looked_at(active: Active, last: _Look | None) -> _Look:
    """It does something when it takes processor time or writes, has children, or waits for other than a lock."""
    pid = active.start.pid if active.start else 0
    entry, family = read_entry(pid), active.family
    ticks = entry.ticks if entry else 0
    signs = (ticks, *(size_of(active.folder.output(stream)) for stream in STREAMS))
    is_alone = family is not None and len(family.known) <= 2  # its keeper and it
    if active.is_paused or not is_alone or last is None or last.signs != signs or not _waits_for_locks(pid):
        return _Look(signs)
    return _Look(signs, last.idle + 1)


def _waits_for_locks(pid: int) -> bool:
    """Whether all threads of a process wait for locks, and for as long as it takes where the system tells that."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return bool(tasks) and all(map(_waits_for_lock, tasks))
    except OSError:
        return False


def _waits_for_lock(task: Path) -> bool:
    if not (task / "wchan").read_bytes().startswith(b"futex"):
        return False
    with contextlib.suppress(PermissionError):
        arguments = (task / "syscall").read_text().split()[1:]
        return len(arguments) > 3 and arguments[3] == "0x0"  # it has no time limit
    return True


def _ask_where(active: Active) -> None:
    """Lets a fork write where all of its threads are, unless it has another use for the signal."""
    if active.start is None or active.start.born is None:
        return
    with contextlib.suppress(OSError, StopIteration, ValueError):
        status = Path(f"/proc/{active.start.pid}/status").read_text().splitlines()
        caught = next(line for line in status if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1:
            send(Member(active.start.pid, active.start.born), signal.SIGUSR1)
