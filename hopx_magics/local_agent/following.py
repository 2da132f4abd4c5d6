"""Follows what runs: until it ends, for no longer than it may, and so that it writes no more than it may."""

import asyncio
import contextlib
import fcntl
import os
import threading
import time

from ..words import STREAMS
from . import outputs
from .active import Active
from .killing import Killing
from .processes import Processes
from .store import TIMED_OUT

CHECK_EVERY = 1.0
"""Seconds between two looks at the sizes of what running processes write."""


async def follow(active: Active, killing: Killing) -> None:
    """Returns when a running process has ended, which it is made to when its time is over."""
    if not active.ended.is_set():
        _watch(active, asyncio.get_running_loop())
    try:
        await asyncio.wait_for(active.ended.wait(), _time_left(active))
    except TimeoutError:
        await asyncio.wait((killing.stop(active, TIMED_OUT),))
        await active.ended.wait()
    if active.stop is not None:
        await asyncio.wait((active.stop,))


def _time_left(active: Active) -> float | None:
    if active.launched.timeout is None or active.started_at is None:
        return None
    return max(0.0, active.launched.timeout - (time.time_ns() - active.started_at) / 1e9)


def _watch(active: Active, loop: asyncio.AbstractEventLoop) -> None:
    """Sees to it that the end of the process's shell will be noticed.

    That is when the lock of its folder is free, whoever's child it was. A thread waits for it, where the system has no
    descriptor that tells of the end of a child.
    """
    try:
        descriptor = os.pidfd_open(active.child.pid) if active.child is not None else None
    except (AttributeError, OSError):
        descriptor = None
    if descriptor is None:
        threading.Thread(target=_await_end, args=(active, loop), name=active.process_id, daemon=True).start()
    else:
        loop.add_reader(descriptor, _take_end, active, loop, descriptor)


def _take_end(active: Active, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    loop.remove_reader(descriptor)
    os.close(descriptor)
    if active.folder.is_alive():  # the shell was killed in the moment in which it began its command
        threading.Thread(target=_await_end, args=(active, loop), name=active.process_id, daemon=True).start()
        return
    _reap(active)
    active.ended.set()


def _await_end(active: Active, loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(OSError), active.folder.locked(fcntl.LOCK_SH):
        pass
    _reap(active)
    with contextlib.suppress(RuntimeError):  # the loop is closed: the next agent will see it
        loop.call_soon_threadsafe(active.ended.set)


def _reap(active: Active) -> None:
    if active.child is not None:
        active.child.wait()


async def cut_outputs(processes: Processes) -> None:
    """Cuts what running processes write beyond the limit of a stream, for ever."""
    while True:
        await asyncio.sleep(CHECK_EVERY)
        for active in processes.running.values():
            for stream in STREAMS:
                outputs.cut(active.folder.output(stream), processes.settings.output_limit)
