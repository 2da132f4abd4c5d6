"""IPython's shell, for what needs one: magics, `!`, displays, figures."""

import os
import sys

from .source import NO_IPYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .kept import Kept

INLINE = "module://matplotlib_inline.backend_inline"


def new_shell(namespace: "dict[str, Any]", kept: "Kept") -> "Any":
    """A shell of IPython whose displays are kept, and which reads and writes no history."""
    try:
        from IPython.core.displaypub import DisplayPublisher
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config
    except ImportError:
        raise ImportError(NO_IPYTHON) from None

    class Publisher(DisplayPublisher):
        def publish(self, data: "Any", metadata: "Any" = None, source: "Any" = None, **others: "Any") -> None:
            kept.publish(data, metadata, others.get("transient"), others.get("update", False))

        def clear_output(self, wait: bool = False) -> None:
            kept.display({"output_type": "clear_output", "wait": bool(wait)})

    class Shell(InteractiveShell):
        def init_sys_modules(self) -> None:
            """`__main__` is there already."""

        def enable_gui(self, gui: "Any" = None) -> None:
            """There is no loop of events to run."""

    config: Any = Config()
    config.HistoryManager.enabled = False
    hooks = sys.excepthook, sys.displayhook
    if "initialized" in vars(InteractiveShell):
        del InteractiveShell.initialized
    shell = Shell.instance(config=config, user_module=sys.modules["__main__"], user_ns=namespace)
    shell.display_pub = Publisher(parent=shell)  # type: ignore[no-untyped-call]
    sys.excepthook, sys.displayhook = hooks
    return shell


def prefer_inline() -> None:
    """Figures become displays, as in a notebook, where there is the backend for it and nothing else is asked for."""
    from importlib.util import find_spec

    if "MPLBACKEND" not in os.environ and find_spec("matplotlib_inline") and find_spec("IPython"):
        os.environ["MPLBACKEND"] = INLINE


def formatted(shell: "Any", value: "Any") -> "tuple[dict[str, Any], dict[str, Any]]":
    """The data and metadata by which a value is shown; none when it shows itself."""
    if type(value).__module__.startswith("matplotlib."):
        import matplotlib.pyplot

        matplotlib.pyplot.switch_backend(os.environ.get("MPLBACKEND", INLINE))  # from it the shell learns of figures
    data, metadata = shell.display_formatter.format(value)
    return data, metadata
