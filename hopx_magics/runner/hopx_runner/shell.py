"""IPython's shell, for what needs one: magics, `!`, displays, figures."""

import os
import sys

from .source import NO_IPYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .kept import Kept

INLINE_MODULE = "matplotlib_inline.backend_inline"
INLINE = f"module://{INLINE_MODULE}"


def new_shell(namespace: "dict[str, Any]", kept: "Kept", showing: "dict[str, Any]") -> "Any":
    """A shell of IPython whose displays are kept, which shows values as the notebook does, and has no history."""
    try:
        from IPython.core.formatters import DisplayFormatter
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config
    except ImportError:
        raise ImportError(NO_IPYTHON) from None

    formats = {mimetype for module, _, mimetype, _ in showing.get("printers", ()) if module.startswith("matplotlib.")}

    class Formatter(DisplayFormatter):
        printers = list(showing.get("printers", ()))

        def format(self, value: "Any", include: "Any" = None, exclude: "Any" = None) -> "Any":
            if type(value).__module__.startswith("matplotlib."):
                let_figures_be_shown()
            self.printers = [printer for printer in self.printers if not _take(self.formatters, printer, formats)]
            return super().format(value, include, exclude)  # type: ignore[no-untyped-call]

    class Shell(InteractiveShell):
        def init_sys_modules(self) -> None:
            """`__main__` is there already."""

        def _showtraceback(self, kind: "Any", error: "Any", lines: "list[str]") -> None:
            _show_error(kept, kind, error, lines)

        def enable_gui(self, gui: "Any" = None) -> None:
            """There is no loop of events to run."""

    config: Any = Config(showing.get("settings", {}))
    config.HistoryManager.enabled = False
    hooks = sys.excepthook, sys.displayhook
    if "initialized" in vars(InteractiveShell):
        del InteractiveShell.initialized
    shell = Shell.instance(config=config, user_module=sys.modules["__main__"], user_ns=namespace)
    shell.display_pub = _publisher(shell, kept)
    shell.display_formatter = Formatter(parent=shell)
    sys.excepthook, sys.displayhook = hooks
    return shell


def keep_displays(shell: "Any", kept: "Kept") -> None:
    """Lets a notebook's own shell, in a fork of its kernel, keep what it shows, and show nothing to anybody."""
    from IPython.core.displayhook import DisplayHook

    shell.display_pub = _with_displays_of_others(_publisher(shell, kept))
    shell.displayhook = shell.display_trap.hook = DisplayHook(parent=shell, shell=shell)  # type: ignore[no-untyped-call]
    sys.displayhook = sys.__displayhook__
    shell._showtraceback = lambda kind, error, lines: _show_error(kept, kind, error, lines)
    shell.set_hook("show_in_pager", _show_page, priority=0)


def _show_page(shell: "Any", data: "Any", start: int, screen_lines: int) -> None:
    print(data["text/plain"] if isinstance(data, dict) else data)  # noqa: T201


def _publisher(shell: "Any", kept: "Kept") -> "Any":
    from IPython.core.displaypub import DisplayPublisher

    class Publisher(DisplayPublisher):
        def publish(self, data: "Any", metadata: "Any" = None, source: "Any" = None, **others: "Any") -> None:
            kept.publish(data, metadata, others.get("transient"), others.get("update", False))

        def clear_output(self, wait: bool = False) -> None:
            kept.display({"output_type": "clear_output", "wait": bool(wait)})

    return Publisher(parent=shell)  # type: ignore[no-untyped-call]


def _with_displays_of_others(publisher: "Any") -> "Any":
    """Shows a display of the notebook, which a fork has a handle of, as one of its own when it is updated first."""
    known: set[Any] = set()
    publish = publisher.publish

    def publish_or_update(*args: "Any", update: bool = False, **others: "Any") -> None:
        shown = (others.get("transient") or {}).get("display_id")
        publish(*args, update=update and shown in known, **others)
        known.add(shown)

    publisher.publish = publish_or_update
    return publisher


def _show_error(kept: "Kept", kind: "Any", error: "Any", lines: "list[str]") -> None:
    """Shows an error after which the cell goes on: that of a `_repr_html_`, or of what `%%time` has run."""
    sys.stderr.write("\n".join(lines) + "\n")
    name = getattr(kind, "__name__", str(kind))
    kept.display({"output_type": "error", "ename": name, "evalue": str(error), "traceback": lines})


def prefer_inline() -> None:
    """Figures become displays, as in a notebook, where there is the backend for it and nothing else is asked for."""
    from importlib.util import find_spec

    if "MPLBACKEND" not in os.environ and find_spec("matplotlib_inline") and find_spec("IPython"):
        os.environ["MPLBACKEND"] = INLINE


def let_figures_be_shown() -> None:
    """Loads matplotlib's backend, from which the shell learns of figures, unless something has chosen one."""
    if INLINE_MODULE not in sys.modules:
        import matplotlib.pyplot

        matplotlib.pyplot.switch_backend(os.environ.get("MPLBACKEND", INLINE))


def _take(formatters: "Any", printer: "tuple[str, str, str, bytes]", of_figures: "set[str]") -> bool:
    """Lets a printer of the notebook print a type; False while the module is not there that has the type.

    `of_figures` are the formats in which figures are shown there.
    """
    import pickle

    module, _, mimetype, content = printer
    root = module.partition(".")[0]
    if (INLINE_MODULE if root == "matplotlib" else root) not in sys.modules:
        return False
    try:
        kind, function = pickle.loads(content)
        if root == "matplotlib" and "image/png" not in of_figures:
            formatters["image/png"].pop(kind, None)
        formatters[mimetype].for_type(kind, function)
    except Exception:  # another version of the library, say
        return True
    return True
