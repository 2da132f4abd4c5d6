"""The processes of a run: all that its program started, wherever they went; found, signalled, and seen to be gone.

A process belongs to a run when it is in the session that was made for the run, when it was started by one that belongs
to it, or when its environment has the run's id. None of these lasts: a child may begin a session of its own, its parent
may end, and it may be started without that variable. So who was seen to belong once is remembered, by its pid and its
start, which together never come to mean another process; and a signal goes through a pidfd where there is one.

The agent is where the children of the dead go (`PR_SET_CHILD_SUBREAPER`, on Linux): one that has just lost its parent,
and can't be told by anything else, belongs to the run that has just ended. The agent itself is never one of a run's
processes, nor is what it starts: a process of a run may have been what started it.

Where there is no `/proc`, `ps` tells the same but for environments.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

MARK = "HOPX_PROCESS_ID"
"""The variable that tells a process and all its descendants the id under which the agent lists it."""

_PR_SET_CHILD_SUBREAPER = 36
_KEPT_CODES = 1000
_PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
"""In how many of its steps the system counts a second."""


class Member(NamedTuple):
    """One process. `started` is when, in a unit of the system's own."""

    pid: int
    started: int


class Entry(NamedTuple):
    """What the system says of a living process.

    `ticks` is the processor time of its own and of the children that it has waited for, `memory` what of it is in the
    machine's memory, in bytes; what several processes share counts for each.
    """

    parent: int
    group: int
    session: int
    started: int
    ticks: int = 0
    memory: int = 0


Table = Mapping[int, Entry]


def read_table() -> Table:
    """All living processes by their pids, without zombies. It takes a few milliseconds."""
    if sys.platform != "linux":
        return dict(_entries_of_ps())
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return {pid: entry for pid in pids if (entry := read_entry(pid))}


def read_entry(pid: int) -> Entry | None:
    """What the system says of that process, or None when there is none, or only a zombie."""
    if sys.platform != "linux":
        return next((entry for _, entry in _entries_of_ps("-p", str(pid))), None)
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            state, *fields = file.read(1024).rpartition(b")")[2].split()
        parent, group, session = map(int, fields[:3])
        started, memory = int(fields[18]), int(fields[20]) * _PAGE
        ticks = sum(map(int, fields[10:14]))
    except (OSError, ValueError, IndexError):
        return None
    return None if state in (b"Z", b"X") else Entry(parent, group, session, started, ticks, memory)


def own_memory(pid: int) -> int:
    """The memory that a process takes, in bytes, with its share of what several have; else as `Entry` has it."""
    with (
        contextlib.suppress(OSError, ValueError, IndexError),
        open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file,
    ):
        return int(file.read().partition(b"\nPss:")[2].split()[0]) * 1024
    entry = read_entry(pid)
    return entry.memory if entry else 0


def unshared_memory(pid: int) -> int:
    """The memory, in bytes, that a process shares with nobody: of a fork what is not still its parent's, too."""
    with (
        contextlib.suppress(OSError, ValueError, IndexError),
        open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file,
    ):
        lines = (line.split() for line in file.read().splitlines())
        return sum(int(words[1]) * 1024 for words in lines if words[0] in (b"Private_Clean:", b"Private_Dirty:"))
    entry = read_entry(pid)
    return entry.memory if entry else 0


def _entries_of_ps(*which: str) -> Iterator[tuple[int, Entry]]:
    form = "pid=,ppid=,pgid=,stat=,rss=,time=,lstart="
    shown = subprocess.run(
        ["ps", *(which or ("-A",)), "-o", form], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    for line in shown.stdout.splitlines():
        with contextlib.suppress(ValueError):
            pid, parent, group, state, memory, spent, started = line.split(None, 6)
            if not state.startswith("Z"):
                moment = datetime.strptime(" ".join(started.split()), "%a %b %d %H:%M:%S %Y")
                ids = int(parent), int(group), int(group), int(moment.timestamp())
                yield int(pid), Entry(*ids, _ticks_of_ps(spent), int(memory) * 1024)


def _ticks_of_ps(spent: str) -> int:
    """From `[[days-]hours:]minutes:seconds`."""
    days, _, clock = spent.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = 60 * seconds + float(part)
    return round((86400 * int(days or 0) + seconds) * TICKS)


def see_all() -> tuple[Table, Mapping[int, str]]:
    """All living processes, and the runs to which they belong as far as their environments say."""
    table = read_table()
    return table, marks(table)


def is_marked(pid: int, process_id: str) -> bool:
    """Whether the environment of a process says that it belongs to this run. That of others can't be read."""
    return _mark(pid) == process_id


def marks(pids: Iterable[int]) -> dict[int, str]:
    """To which run these processes belong, as far as their environments say."""
    return {pid: mark for pid in pids if (mark := _mark(pid))}


def _mark(pid: int) -> str | None:
    if sys.platform != "linux":
        return None
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environment = b"\0" + file.read()
    except OSError:
        return None
    return environment.partition(f"\0{MARK}=".encode())[2].partition(b"\0")[0].decode("ascii", "replace") or None


def uptime() -> float | None:
    """For how many seconds the machine has been up, as the shells of processes read it; None where it isn't told."""
    try:
        with open("/proc/uptime", "rb", buffering=0) as file:
            return float(file.read(64).split()[0])
    except (OSError, ValueError, IndexError):
        return None


def clock() -> float:
    """What goes on by the second whatever becomes of the time of day, where the system has such a thing."""
    now = uptime()
    return time.time() if now is None else now


class Family:
    """The processes of one run.

    `process_id` is the run's, `session` its shell's pid, which is that of its process group, too, and None where only
    those count who are `known`: who were seen to belong to it and may live. `began` and `ended` are in seconds of
    uptime. Once the shell has ended, its number may be given to another session, whose members start later.
    """

    def __init__(
        self,
        process_id: str,
        session: int | None,
        known: Iterable[Member] = (),
        *,
        began: float | None = None,
        ended: float | None = None,
    ) -> None:
        self.process_id = process_id
        self.known = set(known)
        self._session = session
        self._first = 0.0 if began is None else began * TICKS - 1
        self._last = float("inf") if ended is None else (ended + 1) * TICKS
        self._lock = threading.Lock()

    def look(self, table: Table | None = None, marked: Mapping[int, str] | None = None) -> set[Member]:
        """Those who live now, as `known` is from now on. Without a table, the system is asked for all there is."""
        if table is None:
            table, marked = see_all()
        with self._lock:
            roots = {pid for pid, started in self.known if pid in table and table[pid].started == started}
            roots.update(pid for pid, entry in table.items() if self._is_in_session(entry))
            roots.update(pid for pid, process_id in (marked or {}).items() if process_id == self.process_id)
            found = {Member(pid, table[pid].started) for pid in _with_descendants(table, roots)}
            self.known = found | {member for member in self.known - found if lives(member)}
            return self.known

    def _is_in_session(self, entry: Entry) -> bool:
        return entry.session == self._session and entry.started <= self._last

    def adopt(self, orphans: Iterable[int], table: Table) -> None:
        """Takes in those of these processes that are no older than the run, with their descendants."""
        with self._lock:
            taken = [pid for pid in orphans if pid in table and table[pid].started >= self._first]
            self.known |= {Member(pid, table[pid].started) for pid in _with_descendants(table, taken)}

    def has_living(self) -> bool:
        """Whether one of those who are known lives."""
        return any(lives(member) for member in self.known)

    def strays(self, table: Table) -> set[Member]:
        """The known ones that are no longer in the session."""
        return {member for member in self.known if (entry := table.get(member.pid)) and entry.session != self._session}

    def signal(
        self, number: signal.Signals, table: Table | None = None, marked: Mapping[int, str] | None = None
    ) -> None:
        """Signals each that lives once: those in the group together, so that none of them slips away.

        What is known of all processes may be given, as to `look`.
        """
        members = self.look(table, marked)
        in_group = {member for member in members if (entry := read_entry(member.pid)) and entry.group == self._session}
        if in_group and self._session:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._session, number)
        for member in members - in_group:
            send(member, number)

    def stop(self) -> None:
        """Stops all of them until somebody continues them, also those that are started meanwhile."""
        stopped: set[Member] = set()
        while self.look() - stopped:
            self.signal(signal.SIGSTOP)
            stopped |= self.known


def _with_descendants(table: Table, roots: Iterable[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, entry in table.items():
        children.setdefault(entry.parent, []).append(pid)
    found, left = set[int](), [pid for pid in roots if pid != os.getpid()]
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left.extend(child for child in children.get(pid, ()) if child != os.getpid())
    return found


def lives(member: Member) -> bool:
    """Whether that very process lives."""
    entry = read_entry(member.pid)
    return entry is not None and entry.started == member.started


def send(member: Member, number: signal.Signals) -> None:
    """Signals that very process, if it lives."""
    with contextlib.suppress(OSError):
        if not hasattr(os, "pidfd_open"):
            if lives(member):
                os.kill(member.pid, number)
            return
        descriptor = os.pidfd_open(member.pid)
        try:
            if lives(member):  # still, now that the descriptor holds it
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


class Orphans:
    """The children of the dead, where the system gives them to the agent; and whose exit only it can take.

    `own` are the children that the agent started itself, whose exits others take. While some are `starting`, whose pids
    are not among them yet, nobody's exit is taken here. Used on the event loop's thread alone.
    """

    def __init__(self) -> None:
        self.own: set[int] = set()
        self.starting = 0
        self.come_here = _become_subreaper()
        self._seen: set[int] = set()
        self._codes: OrderedDict[int, int] = OrderedDict()

    def look(self) -> set[int] | None:
        """The pids of all living ones; None where the system doesn't tell. The dead among them are laid to rest."""
        children = _children() if self.come_here and not self.starting else None
        if children is None:
            return None
        return {pid for pid in children - self.own if not self._has_ended(pid)}

    def new(self) -> set[int]:
        """The living ones that have come since the last time that this was asked."""
        orphans = self.look()
        if orphans is None:
            return set()
        fresh, self._seen = orphans - self._seen, orphans
        return fresh

    def lives(self, pid: int) -> bool:
        """Whether it is an orphan that has not ended yet, be it on its way to that."""
        return not self._has_ended(pid)

    def exit_code(self, pid: int) -> int | None:
        """How an orphan has ended, 128 + N for a signal N; None for what was no orphan, or is too long ago."""
        self._has_ended(pid)
        return self._codes.pop(pid, None)

    def _has_ended(self, pid: int) -> bool:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if ended:
            code = os.waitstatus_to_exitcode(status)
            self._codes[pid] = code if code >= 0 else 128 - code
            while len(self._codes) > _KEPT_CODES:
                self._codes.popitem(last=False)
        return bool(ended)


def _become_subreaper() -> bool:
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    return False


def _children() -> set[int] | None:
    """The children of this process, whichever of its threads started or inherited them."""
    found: set[int] = set()
    try:
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children", "rb", buffering=0) as file:
                found.update(map(int, file.readall().split()))
    except ProcessLookupError:  # a thread has ended
        return _children()
    except FileNotFoundError:
        return _children() if os.path.exists(f"/proc/self/task/{os.getpid()}/children") else None
    except OSError:
        return None
    return found
