"""Makes this process that of a cell."""

import builtins
import os
import sys
from _frozen_importlib_external import SourceFileLoader

from .cell import Cell
from .signals import Termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(path: str) -> None:
    """Runs the cell in that file as `__main__`. What it raises is shown without any frame of the runner."""
    sys.argv = [path, *sys.argv[2:]]
    os.environ["HOPX_CELL"] = path  # for children, which begin with the same values
    cell = Cell(path, _main_namespace(path))
    termination = Termination()
    termination.begin()
    try:
        cell.run()
        termination.take(None)
    except BaseException as error:
        termination.take(error)
        raise


def _main_namespace(path: str) -> "dict[str, Any]":
    """The namespace of a new module `__main__`, as a script at `path` has it.

    It is in its place in `sys.modules`, where pickle and multiprocessing look for it.
    """
    module = type(sys)("__main__")
    namespace = vars(module)
    loader = SourceFileLoader("__main__", path)
    namespace.update(__file__=path, __builtins__=builtins, __loader__=loader, __annotations__={}, __cached__=None)
    sys.modules["__main__"] = module
    return namespace


class _StartsProcessesError(BaseException):
    """A child that runs the cell has come to where the cell starts children."""


_STARTERS = ("multiprocessing.spawn", "joblib.externals.loky.backend.spawn", "loky.backend.spawn")
"""The modules that look whether a child that they are about to start would be one of a child that isn't there yet."""


def _let_stop(spawn: "Any") -> None:
    spawn._check_not_importing_main = _stop


def _stop() -> None:
    raise _StartsProcessesError


def be_child(namespace: "dict[str, Any]") -> None:
    """Makes a namespace that of the cell, in a child that multiprocessing has started anew (`spawn`)."""
    path = os.environ["HOPX_CELL"]
    for name in [name for name in namespace if not name.startswith("__")]:
        del namespace[name]  # what is the runner's own
    namespace["__file__"] = path
    started = sys.modules["__main__"]
    sys.modules["__main__"] = sys.modules[namespace["__name__"]]  # where pickles of the notebook look for its classes
    cell = Cell(path, namespace)
    cell.prepare()
    _run_above(cell)
    sys.modules["__main__"] = started


def _run_above(cell: Cell) -> None:
    """Runs the cell to where it starts children: above that is what the functions need that are called in them."""
    for name in _STARTERS:
        cell.watch.then(name, _let_stop)
    cell.kept.is_muted = True  # what it displays is there already
    try:
        cell.execute([part for part in cell.compile() if not part[1]])
    except _StartsProcessesError:
        return
    finally:
        cell.kept.is_muted = False
