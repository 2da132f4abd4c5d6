"""Launch a notebook cell as a background process, and follow, stop and analyse such processes without leaving it.

In a notebook: `%load_ext hopx_magics`, then `%%hopx_bg` on a cell, `%hopx_ps`, `%hopx_watch`, `%hopx_logs`,
`%hopx_wait`, `%hopx_kill`, and `%hopx_history` of all runs. The same from plain Python: `launch`, `sweep`, `ps`,
`watch`, `wait`, `kill`, `history`, and the `Run` that `launch` returns.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .api import attach as attach
    from .api import connect as connect
    from .api import create as create
    from .api import diff as diff
    from .api import disconnect as disconnect
    from .api import extend as extend
    from .api import get as get
    from .api import history as history
    from .api import kill as kill
    from .api import launch as launch
    from .api import launch_on_each as launch_on_each
    from .api import ls as ls
    from .api import prune as prune
    from .api import ps as ps
    from .api import put as put
    from .api import rerun as rerun
    from .api import run_command as run_command
    from .api import sandboxes as sandboxes
    from .api import show as show
    from .api import sweep as sweep
    from .api import wait as wait
    from .api import watch as watch
    from .callbacks import verify_callback as verify_callback
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
    "diff": "api",
    "history": "api",
    "kill": "api",
    "launch": "api",
    "prune": "api",
    "ps": "api",
    "rerun": "api",
    "show": "api",
    "sweep": "api",
    "create": "api",
    "disconnect": "api",
    "extend": "api",
    "get": "api",
    "ls": "api",
    "put": "api",
    "sandboxes": "api",
    "launch_on_each": "api",
    "run_command": "api",
    "verify_callback": "callbacks",
    "wait": "api",
    "watch": "api",
}

__all__ = [
    "STATUSES",
    "HopxError",
    "Run",
    "__version__",
    "attach",
    "connect",
    "create",
    "diff",
    "disconnect",
    "extend",
    "get",
    "history",
    "kill",
    "launch",
    "launch_on_each",
    "ls",
    "prune",
    "ps",
    "put",
    "rerun",
    "run_command",
    "sandboxes",
    "show",
    "sweep",
    "verify_callback",
    "wait",
    "watch",
]


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
