"""One cell on its way through its process: what it gets, runs, shows and leaves."""

import os
import sys

from .displays import bundle_of, figures, has_ipython, needs_shell, show_as_notebook
from .kept import Kept
from .source import AWAIT, COROUTINE, TREE, in_parts
from .watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .source import Part
    from .values import Given


_IN_LOOP = {"create_task", "ensure_future", "get_running_loop"}
"""What a cell can only do while a loop of events runs, as one does in a notebook."""


class Cell:
    """One cell on its way through this process: what it gets, runs, shows and leaves."""

    def __init__(self, path: str, namespace: "dict[str, Any]") -> None:
        self.path = path
        self.namespace = namespace
        self.kept = Kept(os.path.join(os.path.dirname(path), "out"))
        self.shell: Any = None
        self.given: Given | None = None
        self.titles: dict[str, str] = {}
        """What tracebacks and warnings call cells, by the names that they have as files."""
        self.watch = Watch()
        self._process = os.getpid()

    def run(self) -> None:
        """Runs the cell, and keeps what is to be kept. Raises what it raises, and lets that be shown as its own."""
        try:
            self.prepare()
            result = self.execute(self.compile())
            self._show_figures()
        except BaseException as error:
            self._fail(error)
            raise
        self._keep(result)

    def prepare(self) -> None:
        """Gives the cell what a notebook has: what is built into it, and its values."""
        import builtins

        builtins.input = no_input
        self.namespace["display"] = self._display
        self.namespace["get_ipython"] = self.get_shell
        if os.environ.get("HOPX_CELL_TITLE"):
            self.titles[self.path] = os.environ["HOPX_CELL_TITLE"]
        watch = self.watch
        watch.then("IPython.core.interactiveshell", self._make_shell_when_asked)
        watch.then("multiprocessing.spawn", self._lead_children)
        watch.then("getpass", lambda getpass: setattr(getpass, "getpass", no_input))
        show_as_notebook(watch)
        sys.meta_path.insert(0, watch)
        if os.environ.get("HOPX_VALUES"):
            from .values import Given, load_values

            self.given = Given()
            load_values(os.environ["HOPX_VALUES"], self.given, self.namespace, watch)
            if self.shell:  # what was imported with them has asked for one
                self.given.add_magics(self.shell)
            self.titles.update(self.given.titles)
        if os.environ.get("HOPX_FORMER"):
            from .former import former_runs

            self.namespace.update(former_runs(os.environ["HOPX_FORMER"]))
        if self.titles:
            watch.then("warnings", self._show_warnings)

    def compile(self) -> "list[Part]":
        """The code of the cell in its parts."""
        with open(self.path, "rb") as file:
            source: Any = file.read()
        flags = AWAIT | (self.given.flags if self.given else 0)
        try:
            tree = compile(source, self.path, "exec", TREE | flags, dont_inherit=True)
        except SyntaxError as error:
            from .source import decoded, remember_source, with_magics

            source = with_magics(decoded(source), self.get_shell, flags)
            if source is None:
                raise error from None
            tree = compile(source, self.path, "exec", TREE | flags, dont_inherit=True)
            remember_source(self.path, source)
        interactivity = self._showing().get("interactivity", "last_expr")
        return in_parts(tree, source, self.path, flags, interactivity)

    def execute(self, parts: "list[Part]") -> "Any":
        """Runs the cell, and returns the value of its last expression."""
        awaits = any(code.co_flags & COROUTINE for code, _ in parts)
        if awaits or any(_IN_LOOP.intersection(code.co_names) for code, _ in parts):
            import asyncio

            return asyncio.run(self._execute_async(parts, awaits))
        value = None
        for code, is_shown in parts:
            got = eval(code, self.namespace)
            value = self._show(got) if is_shown else None
        return value

    async def _execute_async(self, parts: "list[Part]", awaits: bool) -> "Any":
        value = None
        for code, is_shown in parts:
            got = eval(code, self.namespace)
            if code.co_flags & COROUTINE:
                got = await got
            value = self._show(got) if is_shown else None
        if not awaits:  # nothing else lets the tasks run that it has made
            import asyncio

            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*tasks, return_exceptions=True)
        return value

    def _showing(self) -> "dict[str, Any]":
        """How the notebook shows values."""
        return self.given.showing if self.given else {}

    def _lead_children(self, spawn: "ModuleType") -> None:
        """Lets children that import the cell get there by the runner: the cell alone is not all they need."""
        plain = spawn.get_preparation_data

        def get_preparation_data(name: str) -> "dict[str, Any]":
            data: dict[str, Any] = plain(name)
            if data.get("init_main_from_path") == os.path.normpath(self.path):
                data["init_main_from_path"] = os.path.dirname(os.path.dirname(__file__))
            return data

        spawn.get_preparation_data = get_preparation_data  # type: ignore[attr-defined]

    # ------------------------------------------------------------ what it shows

    def _show(self, value: "Any") -> "Any":
        """Shows the value of the last expression: on stdout, as a terminal's Python does, and as a display."""
        if value is None or os.getpid() != self._process:
            return value
        if type(value).__name__ == "Quitter":  # `exit` alone does in a notebook what `exit()` does
            value()
        if self.shell or needs_shell(value) or self._is_shown_otherwise(value):
            data, metadata = self.get_shell().display_formatter.format(value)
        else:
            data, metadata = bundle_of(value), {}
        if type(value).__name__ == "coroutine":
            value.close()  # that it was never awaited is said when it is seen to be dropped, which is never here
        if not data:  # it has shown itself
            return value
        print(data.get("text/plain", ""))  # noqa: T201
        self.kept.display({"output_type": "execute_result", "data": data, "metadata": metadata})
        return value

    def _is_shown_otherwise(self, value: "Any") -> bool:
        showing = self._showing()
        printed = {printer[:2] for printer in showing.get("printers", ())}
        kinds = type(value).__mro__ if printed else ()
        is_printed = any((kind.__module__, kind.__qualname__) in printed for kind in kinds)
        return is_printed or "PlainTextFormatter" in showing.get("settings", {})

    def _display(self, *values: "Any", **options: "Any") -> "Any":
        """Shows values as a notebook does: see `IPython.display.display`."""
        if not has_ipython():
            for value in values:
                self.kept.publish(bundle_of(value), None, None, update=False)
            return None
        self.get_shell()
        from IPython.display import display

        return display(*values, **options)  # type: ignore[no-untyped-call]

    def _show_figures(self) -> None:
        if self.shell:
            self.shell.events.trigger("post_execute")
        elif "matplotlib.pyplot" in sys.modules and not has_ipython():
            for figure in figures():
                self.kept.publish(figure, None, None, update=False)

    def get_shell(self) -> "Any":
        """IPython's shell, made when something asks for it."""
        if self.shell is None:
            from .shell import new_shell

            self.shell = new_shell(self.namespace, self.kept, self._showing())
            if self.given:
                self.given.add_magics(self.shell)
            self.shell.events.trigger("pre_execute")
        return self.shell

    def _make_shell_when_asked(self, interactiveshell: "ModuleType") -> None:
        """Lets all who ask IPython whether there is a shell find one, which is made then."""
        kind = interactiveshell.InteractiveShell

        def initialized() -> bool:
            del kind.initialized
            self.get_shell()
            return True

        kind.initialized = staticmethod(initialized)

    def _show_warnings(self, warnings: "ModuleType") -> None:
        from .errors import show_warnings

        show_warnings(warnings, self.titles)

    # ------------------------------------------------------------ how it ends

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, SystemExit):
            self._keep()
            return
        from .errors import as_display, show_own_frames

        if os.getpid() == self._process:
            self.kept.display(as_display(error, self.path, self.titles))
        self._keep(error=error)
        show_own_frames(self.path, self.titles)

    def _keep(self, result: "Any" = None, error: "BaseException | None" = None) -> None:
        if os.getpid() != self._process:  # a forked child that got as far as this
            return
        wanted, types = (self.given.wanted, self.given.types) if self.given else ((), {})
        self.kept.keep(self.namespace, wanted, types, result, error)


def no_input(prompt: object = "") -> str:
    """What stands for `input` where nobody can answer."""
    raise EOFError("input(): nobody can answer a background cell; give it a value by --param, or by a variable")
