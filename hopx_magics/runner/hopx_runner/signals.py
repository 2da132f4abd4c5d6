"""SIGTERM lets a cell clean up: its `finally` clauses and `atexit` functions run, and then the signal ends it."""

import atexit
import os
import sys
from _signal import (  # type: ignore[import-not-found]  # signal itself imports much more
    SIG_BLOCK,
    SIG_DFL,
    SIG_UNBLOCK,
    SIGTERM,
    getsignal,
    pthread_sigmask,
    signal,
)
from _thread import start_new_thread
from time import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from sys import UnraisableHookArgs

AGAIN_AFTER = 0.01
"""Seconds after which SIGTERM comes again where it could not raise."""


class Terminated(SystemExit):
    """SIGTERM has come. A subclass of SystemExit, which event loops and executors pass on."""


class Termination:
    """From SIGTERM to the end of this process by it.

    A handler of the cell's own wins, a second SIGTERM ends it at once, and forked children have none of this.
    """

    def __init__(self) -> None:
        self._is_over = False
        self._ends_by_signal = False

    def begin(self) -> None:
        """From now on SIGTERM raises in the main thread."""
        atexit.register(self._end)  # before the cell's own, so that it is called behind them
        signal(SIGTERM, self._raise)
        # A signal to a child that is not plain yet has to wait until it is: the handler would not run there.
        os.register_at_fork(before=_hold, after_in_parent=_let_through, after_in_child=self._forget)

    def take(self, error: "BaseException | None") -> None:
        """Takes note of what the cell has ended with, None for nothing: the signal ends the process, too."""
        self._is_over = True
        self._ends_by_signal = isinstance(error, Terminated)

    def _raise(self, number: int, frame: object) -> None:
        signal(SIGTERM, SIG_DFL)
        if self._is_over:  # Python waits for the cell's threads: this ends that
            self._ends_by_signal = True
        remark = sys.unraisablehook
        sys.unraisablehook = lambda raised: self._take_unraised(raised, remark)
        raise Terminated(128 + number)

    def _take_unraised(self, raised: "UnraisableHookArgs", remark: "Callable[[UnraisableHookArgs], object]") -> None:
        """Lets the signal come again where what it raised went no further: in `__del__`, or a callback of C code."""
        if raised.exc_type is not Terminated:
            remark(raised)
            return
        sys.unraisablehook = remark
        if not self._is_over:
            signal(SIGTERM, self._raise)
            start_new_thread(_come_again, ())  # here it would be ignored once more

    def _forget(self) -> None:
        self._ends_by_signal = False
        if getsignal(SIGTERM) == self._raise:
            signal(SIGTERM, SIG_DFL)
        _let_through()

    def _end(self) -> None:
        if self._ends_by_signal:
            flush()
            signal(SIGTERM, SIG_DFL)
            os.kill(os.getpid(), SIGTERM)


def _come_again() -> None:
    sleep(AGAIN_AFTER)
    os.kill(os.getpid(), SIGTERM)


def _hold() -> None:
    pthread_sigmask(SIG_BLOCK, [SIGTERM])


def _let_through() -> None:
    pthread_sigmask(SIG_UNBLOCK, [SIGTERM])


def flush() -> None:
    """Writes what is still to be written to stdout and stderr."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # it may be closed, broken, or anything that the cell has put in its place
            continue
