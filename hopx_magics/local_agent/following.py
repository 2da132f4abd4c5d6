"""Follows what runs: until it ends, for no longer than it may, and so that it writes no more than it may."""

import asyncio
import contextlib
import fcntl
import os
import threading

from ..words import STREAMS
from .active import Active
from .family import Orphans, own_memory, read_table, unshared_memory
from .killing import Killing
from .limiting import cut, is_over
from .processes import Processes
from .store import OVER_MEMORY, TIMED_OUT

CHECK_EVERY = 0.1
"""Seconds between two looks at the sizes of what running processes write."""

LOOK_AT_MEMORY_EVERY = 0.25
"""Seconds between two looks at the memory of running processes that have a limit of it."""

CHECK_AGAIN = 0.02
"""Seconds until the next look when something has outgrown its limit: who writes fast goes on."""


async def follow(active: Active, killing: Killing, orphans: Orphans) -> None:
    """Returns when a running process has ended, which it is made to when its time is over."""
    if not active.ended.is_set():
        _watch(active, asyncio.get_running_loop(), orphans)
    if not await _ends_in_time(active):
        await asyncio.wait((killing.stop(active, TIMED_OUT),))
        await active.ended.wait()
    if active.stop is not None:
        await asyncio.wait((active.stop,))


async def _ends_in_time(active: Active) -> bool:
    """Whether a process ends before its time is over, which stands still while it is paused."""
    if active.launched.timeout is None:
        await active.ended.wait()
    while not active.ended.is_set():
        left = _time_left(active)
        if left == 0:
            return False
        events = [asyncio.ensure_future(event.wait()) for event in (active.ended, active.turned)]
        try:
            await asyncio.wait(events, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event in events:
                event.cancel()
    return True


def _time_left(active: Active) -> float | None:
    if active.launched.timeout is None or active.started_at is None or active.is_paused:
        return None  # for now
    return max(0.0, active.launched.timeout - active.running_time)


def _watch(active: Active, loop: asyncio.AbstractEventLoop, orphans: Orphans) -> None:
    """Sees to it that the end of the process's shell will be noticed.

    That is when the lock of its folder is free, whoever's child it was. A thread waits for it, where the system has no
    descriptor that tells of the end of a child.
    """
    descriptor = _pidfd(active.child.pid) if active.child is not None else None
    if descriptor is None:
        _watch_lock(active, loop, orphans)
    else:
        loop.add_reader(descriptor, _take_end, active, loop, orphans, descriptor)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _watch_lock(active: Active, loop: asyncio.AbstractEventLoop, orphans: Orphans) -> None:
    threading.Thread(target=_await_end, args=(active, loop, orphans), name=active.process_id, daemon=True).start()


def _take_end(active: Active, loop: asyncio.AbstractEventLoop, orphans: Orphans, descriptor: int) -> None:
    loop.remove_reader(descriptor)
    os.close(descriptor)
    if active.folder.has_shell():  # it was killed in the moment in which it began its command
        _watch_lock(active, loop, orphans)
    else:
        _shell_has_ended(active, loop, orphans)


def _await_end(active: Active, loop: asyncio.AbstractEventLoop, orphans: Orphans) -> None:
    with contextlib.suppress(OSError), active.folder.locked(fcntl.LOCK_SH):
        pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: the next agent will see it
        loop.call_soon_threadsafe(_shell_has_ended, active, loop, orphans)


def _shell_has_ended(active: Active, loop: asyncio.AbstractEventLoop, orphans: Orphans) -> None:
    if active.child is not None:
        active.meter.await_end(active.child)
        orphans.own.discard(active.child.pid)
    start = active.read_start()
    descriptor = _pidfd(start.pid) if start and _lives_without_shell(active, orphans, start.pid) else None
    if start is None or descriptor is None:
        _take_end_without_shell(active, orphans)
    elif not _lives_without_shell(active, orphans, start.pid):  # the descriptor may be that of another process by then
        os.close(descriptor)
        _take_end_without_shell(active, orphans)
    else:
        loop.add_reader(descriptor, _take_end_of_orphan, active, loop, orphans, descriptor)


def _lives_without_shell(active: Active, orphans: Orphans, pid: int) -> bool:
    """Whether the process goes on, or is on its way to its end, whose code can be had when it is there."""
    return active.folder.runs_without_shell() or (active.folder.read_exit() is None and orphans.lives(pid))


def _take_end_of_orphan(active: Active, loop: asyncio.AbstractEventLoop, orphans: Orphans, descriptor: int) -> None:
    loop.remove_reader(descriptor)
    os.close(descriptor)
    _take_end_without_shell(active, orphans)


def _take_end_without_shell(active: Active, orphans: Orphans) -> None:
    """Tells of the end of a process in place of its shell, where that was killed and the agent has inherited it."""
    start = active.read_start()
    if start is not None and active.folder.read_exit() is None:
        code = orphans.exit_code(start.pid)
        if code is not None:
            with contextlib.suppress(OSError):
                active.folder.write_exit(code)
    active.ended.set()


async def bound_memory(processes: Processes, killing: Killing) -> None:
    """Ends running processes that take more memory than they may, for ever."""
    while True:
        await asyncio.sleep(LOOK_AT_MEMORY_EVERY)
        limited = [active for active in processes.running.values() if active.launched.memory and active.stop is None]
        if limited:
            for active, taken in (await asyncio.to_thread(_over_limit, limited)).items():
                killing.stop(active, f"{OVER_MEMORY} {taken}")


def _over_limit(limited: list[Active]) -> dict[Active, int]:
    """Those that take more memory than they may, and how much, in bytes."""
    table, over = read_table(), dict[Active, int]()
    for active in limited:
        if (family := active.family) is None:
            continue
        members = [member.pid for member in family.look(table) if member.pid in table]
        if sum(table[pid].memory for pid in members) > active.launched.memory:
            taken = sum(map(unshared_memory if active.launched.keeper else own_memory, members))
            if taken > active.launched.memory:
                over[active] = taken
    return over


async def cut_outputs(processes: Processes) -> None:
    """Cuts what running processes write beyond the limit of a stream, for ever."""
    limit, pause = processes.settings.output_limit, CHECK_EVERY
    while True:
        await asyncio.sleep(pause)
        paths = (active.folder.output(stream) for active in processes.running.values() for stream in STREAMS)
        large = [path for path in paths if is_over(path, limit)]
        for path in large:
            await asyncio.to_thread(cut, path, limit)
        pause = CHECK_AGAIN if large else CHECK_EVERY
