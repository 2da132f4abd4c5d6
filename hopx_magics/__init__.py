"""Launch a notebook cell as a background process, and follow, stop and analyse such processes without leaving it.

In a notebook: `%load_ext hopx_magics`, then `%%hopx_bg` on a cell, `%hopx_ps`, `%hopx_watch`, `%hopx_logs`,
`%hopx_wait` and `%hopx_kill`. The same from plain Python: `launch`, `ps`, `watch`, `wait`, `kill`, and the `Run` that
`launch` returns.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .api import attach as attach
    from .api import connect as connect
    from .api import kill as kill
    from .api import launch as launch
    from .api import ps as ps
    from .api import wait as wait
    from .api import watch as watch
    from .errors import HopxError as HopxError
    from .models import STATUSES as STATUSES
    from .run import Run as Run

# Loading the extension must cost nothing: each name is imported when it is first asked for.
_HOMES = {
    "STATUSES": "models",
    "HopxError": "errors",
    "Run": "run",
    "attach": "api",
    "connect": "api",
    "kill": "api",
    "launch": "api",
    "ps": "api",
    "wait": "api",
    "watch": "api",
}

__all__ = ["STATUSES", "HopxError", "Run", "__version__", "attach", "connect", "kill", "launch", "ps", "wait", "watch"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """What `%load_ext hopx_magics` calls: registers the magics, and nothing else happens."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """What `%unload_ext hopx_magics` calls: takes back all that loading did. Processes go on."""
    from .magics import unload

    unload(shell)
