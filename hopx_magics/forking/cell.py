"""The fork that is a cell: from the copy of a kernel to the process of a run, and to its end."""

import atexit
import builtins
import contextlib
import json
import os
import select
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from ..runner.hopx_runner.cell import Cell, no_input
from ..runner.hopx_runner.errors import show_warnings
from ..runner.hopx_runner.signals import Termination, flush
from ..runner.hopx_runner.values import Given, drawn_apart
from . import keeper
from .leaving import leave, show_bars_as_text, write_to
from .threads import limit_threads


class Plan(NamedTuple):
    """What a fork is to be.

    `shell` is the notebook's, None where there is none, and `namespace` its variables, beside which are those of
    `beside`. `title` is what tracebacks call the cell. OpenMP has so many `threads` in it, None for as many as it had.
    `place` is that in a sweep. `ours` are the paths of this package's own sockets and files, which the fork leaves to
    its parent.
    """

    shell: Any
    namespace: dict[str, Any]
    beside: Mapping[str, Any]
    title: str
    keep: Sequence[str]
    env: Mapping[str, str]
    workdir: str
    threads: int | None
    place: int | None
    ours: Sequence[str]


def present_shell() -> Any:
    """The shell of the notebook, None in a program that has none."""
    shells: Any = sys.modules.get("IPython.core.interactiveshell")
    return shells and shells.InteractiveShell._instance


def be_cell(plan: Plan, end: int) -> None:
    """Makes this process, which was forked from a kernel, that of a cell; `end` is where it reads its folder."""
    leave(plan.shell, plan.namespace, plan.ours)
    folder = os.fsdecode(os.read(end, 65536))
    os.close(end)
    env = _turn(folder) if folder else None
    if env is not None:
        os.environ.update({**plan.env, **env})
        os._exit(_run(plan, folder))


def _turn(folder: str) -> dict[str, str] | None:
    """Waits until it is this process's turn, and returns what its environment has then; None if that never comes."""
    gate = os.open(os.path.join(folder, "gate"), os.O_RDONLY | os.O_NONBLOCK)
    if keeper.read(folder, "intent"):  # from now on whoever wants its end closes the gate
        return None
    waiting = select.poll()
    waiting.register(gate, select.POLLIN)
    waiting.poll()
    told = b""
    while not told.endswith(b"\n"):
        part = os.read(gate, 65536)
        if not part:
            return None
        told += part
    os.close(gate)
    env: dict[str, str] = json.loads(told.splitlines()[0])["env"]
    return env


def _run(plan: Plan, folder: str) -> int:
    """Runs the cell, and returns its exit code."""
    parent = os.getppid()
    write_to(os.path.join(folder, "stdout"), os.path.join(folder, "stderr"), os.path.join(folder, "stacks"))
    keeper.write_start(folder, parent)
    code = _ended(ForkedCell(os.path.join(folder, "cell.py"), plan), plan)
    if os.getppid() != parent:  # then nobody else will
        keeper.write_exit(folder, code)
    return code


def _ended(cell: "ForkedCell", plan: Plan) -> int:
    """Runs the cell as Python runs a program, up to and with the end of its threads, and returns the exit code."""
    termination = Termination()
    code = 0
    atexit._clear()  # those of the kernel; what the cell registers from now on is its own
    _begin_multiprocessing()
    termination.begin()
    try:
        limit_threads(plan.threads)
        os.chdir(plan.workdir)
        cell.run()
        termination.take(None)
    except BaseException as error:
        termination.take(error)
        code = _code_of(error)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # what Python does at its end: waits for threads
    atexit._run_exitfuncs()
    flush()
    return code


def _code_of(error: BaseException) -> int:
    """The exit code of a program that has ended with this error, which is shown as Python shows it."""
    if not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def _begin_multiprocessing() -> None:
    """Lets multiprocessing, if it is there, and what builds on it, know nothing of the parent's children."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._finalizer_registry.clear()
        util._run_after_forkers()
        sys.modules["multiprocessing.process"]._children = set()  # type: ignore[attr-defined]
        atexit.register(util._exit_function)
    for name in ("joblib.externals.loky.reusable_executor", "loky.reusable_executor"):
        if name in sys.modules:  # its threads are the parent's
            sys.modules[name]._executor = None  # type: ignore[attr-defined]


def own_frames(stacks: str) -> str:
    """What faulthandler has written of a fork, without the frames of the kernel below those of the cell."""
    lines: list[str] = []
    is_own = True
    for line in stacks.splitlines():
        is_own = (is_own or not line.startswith("  File")) and __file__ not in line
        if is_own and not line.startswith("Extension modules:"):
            lines.append(line)
    return "\n".join(lines)


class ForkedCell(Cell):
    """A cell whose namespace is the notebook's own."""

    def __init__(self, path: str, plan: Plan) -> None:
        super().__init__(path, plan.namespace)
        self._plan = plan

    def prepare(self) -> None:
        """Gives the cell what a notebook has, which all is there: what speaks to the kernel's user is taken from it."""
        plan, shell = self._plan, self._plan.shell
        self.titles[self.path] = plan.title
        if shell is None:
            super().prepare()
        self.given = _given(plan)
        self.namespace.update(plan.beside)
        if shell is not None:
            from ..runner.hopx_runner.shell import keep_displays

            keep_displays(shell, self.kept)
            self.titles.update((file, _title(number)) for file, number in shell.compile._filename_map.items())
            self.shell = shell
            quitters = {name: _quitter(name) for name in ("exit", "quit")}
            self.namespace.update(quitters)
            shell.user_ns_hidden.update(quitters)
            self.watch.then("tqdm.notebook", show_bars_as_text)
            sys.meta_path.insert(0, self.watch)
        builtins.input = no_input
        if "getpass" in sys.modules:
            sys.modules["getpass"].getpass = no_input  # type: ignore[attr-defined]
        if os.environ.get("HOPX_FORMER"):
            from ..runner.hopx_runner.former import former_runs

            self.namespace.update(former_runs(os.environ["HOPX_FORMER"]))
        if plan.place is not None:
            _draw_apart(plan.place)
        import warnings

        show_warnings(warnings, self.titles)


def _given(plan: Plan) -> Given:
    """What the cell would have got, had it been given the notebook."""
    given = Given()
    given.wanted = plan.keep
    given.types = {
        name: value
        for name, value in plan.namespace.items()
        if isinstance(value, (type, FunctionType)) and value.__module__ == "__main__"
    }
    if plan.shell is not None:
        import __future__

        futures = (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
        given.flags = plan.shell.compile.flags & sum(set(futures))
        given.showing = {"interactivity": plan.shell.ast_node_interactivity}
    return given


def _title(number: Any) -> str:
    return f"Cell [{number}]" if isinstance(number, int) else str(number)


def _quitter(name: str) -> Any:
    from _sitebuiltins import Quitter

    return Quitter(name, "Ctrl-D")


def _draw_apart(index: int) -> None:
    """Lets each run of a sweep draw other random numbers."""
    os.environ["HOPX_SWEEP_INDEX"] = str(index)
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            drawn_apart(sys.modules[name])
