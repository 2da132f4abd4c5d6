"""Launch notebook cells as background processes, and follow, stop and analyse them without leaving the notebook.

In a notebook: `%load_ext hopx_magics`, then `%%hopx_bg` on a cell, `%hopx_ps`, `%hopx_watch`, `%hopx_logs`,
`%hopx_wait`, `%hopx_kill`, and `%hopx_history` of all runs. The same from plain Python: `launch`, `sweep`, `ps`,
`watch`, `wait`, `kill`, `history`, and the `Run` that `launch` returns; `map` and `Executor` call functions.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Loading the extension must cost nothing: each name is imported from its module when it is first asked for.
_PUBLIC = {
    "api.launch": "launch launch_on_each rerun sweep",
    "api.calls": "map",
    "api.optimize": "optimize",
    "api.executor": "Executor RunFuture",
    "api.ps": "frame_of ps",
    "api.watch": "watch",
    "api.logs": "logs",
    "api.grep": "grep",
    "api.wait": "wait",
    "api.kill": "kill",
    "api.pause": "pause resume",
    "api.queue": "queue",
    "api.doctor": "doctor",
    "api.find": "attach",
    "api.history": "diff history prune show use_history",
    "api.connect": "connect connections create disconnect extend forget sandboxes",
    "api.shell": "get ls put run_command",
    "launches": "LaunchOptions",
    "api.filters": "ProcessFilters RunFilters",
    "callbacks": "verify_callback",
    "run": "Run",
    "sweeps": "Sweep",
    "live.table": "LiveTable",
    "connection.connection": "Connection",
    "connection.watcher": "Update",
    "display.run_page": "Shown",
    "display.cell_output": "CellOutput",
    "results": "KeptValue",
    "display.diff_page": "Differences",
    "words": "FEATURES STATUSES",
    "models": "Callback CommandResult Listing Output Process",
    "errors": (
        "HopxError AgentError AgentUnreachable SshError AgentRefused Unauthorized BadReply NotSupported "
        "LocalAgentError ControlPlaneError SandboxError SandboxGone SandboxNotReady NotYours CredentialsError "
        "InsecureConnection CodeError LaunchError UnknownProcess UnknownRun HistoryError UnknownConnection "
        "UnknownColumn WaitTimeout RunFailed ResultError ValueRefused WaitInterrupted LaunchInterrupted "
        "AgentWarning HistoryWarning NameWarning"
    ),
}
_HOMES = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = ["__version__", *(name for name in _HOMES if name != "map")]  # which no `import *` is to replace


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
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
