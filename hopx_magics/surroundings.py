"""What a program of this machine hands to those that it launches here: its environment, its umask, its import path."""

import functools
import os
import sys
from pathlib import Path

import msgspec

_OF_KERNELS = ("JPY_", "IPY_", "PYDEVD_", "HOPX_CELL", "HOPX_VALUES", "HOPX_PROCESS")
"""Beginnings of the names of variables that are a kernel's own, or ours: they mean nothing to what it launches."""

_SET_BY_KERNELS = {
    "CLICOLOR": "1",
    "CLICOLOR_FORCE": "1",
    "FORCE_COLOR": "1",
    "GIT_PAGER": "cat",
    "PAGER": "cat",
    "TERM": "xterm-color",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
"""What a kernel sets for its own display; with other values they are the user's."""


class Surroundings(msgspec.Struct, frozen=True):
    """The whole `environment`, with the additions to `sys.path` in its PYTHONPATH, and the `umask` if it is known."""

    environment: dict[str, str]
    umask: int | None

    def __repr__(self) -> str:  # values of an environment are nobody's business
        return f"Surroundings({len(self.environment)} variables)"


def present_surroundings() -> Surroundings:
    """Those of this program at this moment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OF_KERNELS) and _SET_BY_KERNELS.get(name) != value
    }
    if additions := _additions(tuple(sys.path)):
        environment["PYTHONPATH"] = os.pathsep.join(additions)
    return Surroundings(environment, _umask())


@functools.lru_cache(maxsize=8)
def _additions(entries: tuple[str, ...]) -> list[str]:
    """The entries of `sys.path` that a new Python of this environment would not have by itself, in their order."""
    import sysconfig

    own = {os.path.realpath(path) for path in sysconfig.get_paths().values()}
    own.add(os.path.realpath(os.path.join(sysconfig.get_path("stdlib"), "lib-dynload")))
    return [path for path in entries if os.path.isdir(path) and os.path.realpath(path) not in own]


def _umask() -> int | None:
    """The umask, where it can be read without being changed for a moment."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith("Umask:")), None)
    return int(line.split()[1], 8) if line else None
