"""From this program to a fork of it that waits for its turn, and its keeper.

    this program ── forks the keeper ── forks the cell

The keeper comes first, since it has to be the cell's parent to learn how that ends. It becomes a program of its own as
soon as it knows the folder of the run, so that it holds nothing of this program's memory.
"""

import contextlib
import errno
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ..errors import LaunchError
from . import keeper
from .cell import Plan, be_cell
from .refusing import check
from .room import check_room
from .threads import end_openmp, no_blas

LOCKED_WITHIN = 1.0
"""Seconds for which a fork waits, at most, until another thread has left what would be locked for ever in the child."""

_IGNORED = (*("SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGPIPE"),)

_one_at_a_time = threading.Lock()
_reins: set[int] = set()
"""The descriptors by which forks that wait for their folders hang on this program: no other fork may hold them."""


class Fork(NamedTuple):
    """A fork of this program that waits for the folder of its run. `pid` is its keeper's."""

    pid: int
    rein: int

    def begin(self, folder: Path) -> None:
        """Lets it wait for its turn in that folder. One that has died meanwhile its agent will find dead."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.rein, os.fsencode(folder))


@contextlib.contextmanager
def fork(plan: Plan, locks: Iterable[Any] = ()) -> Iterator[Fork]:
    """Forks this program. A fork that has no folder at the end of the context ends, too, also by an interrupt.

    `locks` are held at the fork, so that no other thread is within what they guard. Raises LaunchError where that can't
    be done, or would not do.
    """
    check()
    check_room()
    end, rein = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, rein)
        stack.callback(_reins.discard, rein)
        with os.fdopen(end, "rb"), _one_at_a_time:
            end_openmp()
            pid = _with_keeper(plan, [*locks, *_locks_of(plan.shell)], end, rein)
        yield Fork(pid, rein)


def _with_keeper(plan: Plan, locks: Iterable[Any], end: int, rein: int) -> int:
    """Forks the keeper, and returns its pid as soon as that has forked the cell."""
    told, tell = os.pipe()
    with os.fdopen(told, "rb") as answer:
        with os.fdopen(tell, "wb"), _nowhere_else():
            try:
                pid = _forked(no_blas(), _held(locks))
            except OSError as error:
                raise _refusal(error) from None
            if pid == 0:
                _last(lambda: _be_keeper(plan, end, tell, (rein, told, *_reins)))
            _reins.add(rein)
            threading.Thread(target=_reap, args=(pid,), name=f"hopx-fork-{pid}", daemon=True).start()
        code = answer.read()
    if code != b"0":
        raise _refusal(OSError(int(code or errno.EAGAIN), ""))
    return pid


def _refusal(error: OSError) -> LaunchError:
    reason = os.strerror(error.errno or 0)
    return LaunchError(
        f"this kernel can't be forked: {reason}",
        hint="A fork needs free memory for what it may change: free some, or launch without --fork."
        if error.errno == errno.ENOMEM
        else "There may be too many processes: ulimit -u tells how many you may have.",
    )


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # the user's own code waits for all children, perhaps
        os.waitpid(pid, 0)


def _forked(*around: AbstractContextManager[None]) -> int:
    """Forks within these contexts, and leaves all in the child as it was: Python would seed random, and warn.

    What interrupts the kernel reaches its whole group: SIGINT is blocked in the child until that has left it.
    """
    state, here = random.getstate(), os.getpid()
    with ExitStack() as stack:
        for each in (*around, warnings.catch_warnings()):
            stack.enter_context(each)
        warnings.simplefilter("ignore", DeprecationWarning)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            pid = os.fork()
        finally:
            if os.getpid() == here:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if pid == 0:
        random.setstate(state)
    return pid


def _locks_of(shell: Any) -> Iterator[Any]:
    """Those around what a notebook writes into its history: SQLite's own locks must not be held at a fork."""
    for name in ("db_input_cache_lock", "db_output_cache_lock"):
        lock = getattr(getattr(shell, "history_manager", None), name, None)
        if lock is not None:
            yield lock


@contextlib.contextmanager
def _held(locks: Iterable[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for lock in locks:
            if lock.acquire(timeout=LOCKED_WITHIN):
                stack.callback(lock.release)
        yield


@contextlib.contextmanager
def _nowhere_else() -> Iterator[None]:
    """Whatever happens within in a fork of this process is its end: it would go on as a second kernel."""
    here = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != here:
            os._exit(keeper.NOT_BEGUN)


def _last(work: Callable[[], None]) -> NoReturn:
    """Does the last that this process does: nothing of the program that was forked goes on here."""
    try:
        work()
    finally:
        os._exit(keeper.NOT_BEGUN)


def _be_keeper(plan: Plan, end: int, tell: int, not_ours: Iterable[int]) -> None:
    """Makes this process the keeper of a cell, which it forks; `end` is where it reads the folder."""
    os.setsid()
    for descriptor in not_ours:
        os.close(descriptor)
    cells_end, cells_rein = os.pipe()
    try:
        pid = _forked()
    except OSError as error:
        os.write(tell, b"%d" % (error.errno or errno.EAGAIN))
        return
    if pid == 0:
        for descriptor in (end, tell, cells_rein):
            os.close(descriptor)
        _last(lambda: be_cell(plan, cells_end))
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.write(tell, b"0")
    os.close(tell)
    folder = os.read(end, 65536)
    if folder:
        lock = keeper.lock(os.fsdecode(folder))
        os.write(cells_rein, folder)
        _be_program(lock, os.fsdecode(folder), pid)


def _be_program(lock: int, folder: str, pid: int) -> None:
    """Becomes the program that keeps the cell; where that can't be, it is kept by this process as it is."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream, descriptor in enumerate((lock, nothing, nothing)):
        os.dup2(descriptor, stream)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, "-I", "-S", keeper.__file__, folder, str(pid)])
    keeper.keep(folder, pid)
