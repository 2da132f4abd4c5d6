"""From which notebook and cell something is launched, as far as that can be known."""

import os
import sys
from typing import Any, NamedTuple


class Origin(NamedTuple):
    """From where something was launched, as far as that is known."""

    notebook: str | None = None
    cell: str | None = None


def find_origin() -> Origin:
    """The notebook, which Jupyter's server and VS Code tell in ways of their own, and the cell that is running."""
    ipython = sys.modules.get("IPython")  # a program without it has no cells
    shell: Any = ipython.get_ipython() if ipython else None
    if shell is None:
        return Origin(_text(os.environ.get("JPY_SESSION_NAME")))
    notebook = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    kernel = getattr(shell, "kernel", None)
    parent = kernel.get_parent("shell") if kernel is not None else None
    cell = (parent or {}).get("metadata", {}).get("cellId")
    return Origin(_text(notebook), _text(cell) or f"In [{number_of_cell(shell)}]")


def number_of_cell(shell: Any) -> int:
    """The number of the cell that is running: newer versions of IPython count on before it runs."""
    running = shell.displayhook.exec_result
    return int((running and running.execution_count) or shell.execution_count)


def _text(name: object) -> str | None:
    """A name as a text that can be written down: that of a file may be no text."""
    return str(name).encode("utf-8", "replace").decode() if name else None


def find_folder() -> str | None:
    """The folder in which this program works; None when it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
