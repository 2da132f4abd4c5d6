"""Runs a Python cell as if it were the program: `python -P runner.py CELL`. Only imports what is there anyway.

The cell is `__main__`, as it would be by `python -P CELL`: with its file, arguments and search path, with the same
tracebacks and exit codes, and so that processes which it starts find it in the same way. What a cell has beyond a
program: SIGTERM raises in its main thread, so that its `finally` clauses and `atexit` functions run before the signal
ends it. A handler of its own wins, and a second SIGTERM ends it at once; its forked children have none of this.

It is run by its path, compiled where that is possible, and imports nothing of the package. It has to work with
Python 3.8.
"""

import atexit
import builtins
import os
import sys
from _frozen_importlib_external import SourceFileLoader
from _signal import SIG_DFL, SIGTERM, getsignal, signal  # type: ignore[import-not-found]  # signal imports much more

TYPE_CHECKING = False  # as that of typing, which would have to be imported
if TYPE_CHECKING:
    from types import ModuleType, TracebackType


class Terminated(SystemExit):
    """SIGTERM has come. A subclass of SystemExit, which event loops and executors pass on."""


class Termination:
    """From SIGTERM to the end of this process by it."""

    def __init__(self) -> None:
        self._is_over = False
        self._ends_by_signal = False

    def begin(self) -> None:
        """From now on SIGTERM raises in the main thread."""
        atexit.register(self._end)  # before the cell's own, so that it is called behind them
        signal(SIGTERM, self._raise)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def take(self, error: "BaseException | None") -> None:
        """Takes note of what the cell has ended with, None for nothing: the signal ends the process, too."""
        self._is_over = True
        self._ends_by_signal = isinstance(error, Terminated)

    def _raise(self, number: int, frame: object) -> None:
        signal(SIGTERM, SIG_DFL)
        if self._is_over:  # Python waits for the cell's threads: this ends that, and would only be remarked upon
            self._ends_by_signal = True
            remark = sys.unraisablehook
            sys.unraisablehook = lambda raised: None if raised.exc_type is Terminated else remark(raised)
        raise Terminated(128 + number)

    def _forget(self) -> None:
        self._ends_by_signal = False
        if getsignal(SIGTERM) == self._raise:
            signal(SIGTERM, SIG_DFL)

    def _end(self) -> None:
        if not self._ends_by_signal:
            return
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # it may be closed, broken, or anything that the cell has put in its place
                continue
        signal(SIGTERM, SIG_DFL)
        os.kill(os.getpid(), SIGTERM)


def main_module(path: str) -> "ModuleType":
    """The module that the cell is: in its place in `sys.modules`, where pickle and multiprocessing look for it."""
    module = type(sys)("__main__")
    loader = SourceFileLoader("__main__", path)
    module.__dict__.update(__file__=path, __builtins__=builtins, __loader__=loader, __annotations__={}, __cached__=None)
    sys.modules["hopx_runner"] = sys.modules["__main__"]  # its functions need it for as long as they may be called
    sys.modules["__main__"] = module
    return module


def run(path: str) -> None:
    """Runs the cell in the file `path`. What it raises is shown without any frame of this file."""
    sys.argv = [path, *sys.argv[2:]]
    termination = Termination()
    try:
        with open(path, "rb") as file:
            source = file.read()
        module = main_module(path)
        code = compile(source, path, "exec", dont_inherit=True)
        termination.begin()
        exec(code, module.__dict__)
        termination.take(None)
    except BaseException as error:
        termination.take(error)
        show_without_runner()
        raise


def show_without_runner() -> None:
    """Lets whatever shows an error show it without the frames of this file."""
    show = sys.excepthook

    def show_cell(kind: "type[BaseException]", error: BaseException, trace: "TracebackType | None") -> None:
        while trace is not None and trace.tb_frame.f_code.co_filename == run.__code__.co_filename:
            trace = trace.tb_next
        show(kind, error.with_traceback(trace), trace)

    sys.excepthook = show_cell


run(sys.argv[1])
