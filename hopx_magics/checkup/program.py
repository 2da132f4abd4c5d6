"""This program: its Python, and the libraries whose versions are known to matter."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from hopx_magics import __version__

from ..findings import Finding, attention, broken, ok

_UPGRADE = "pip install -U {} in the environment of this kernel, then restart the kernel."

_LEAST = {
    "ipython": ((9,), "Parts of the magics may fail."),
    "ipywidgets": ((8, 1), "The live table may not show."),
    "anywidget": ((0, 11), "The live table may not show."),
}
"""The oldest versions that work, and what is to be expected of older ones."""


def look_at_program(*, has_kernel: bool) -> Iterator[Finding]:
    """Python, and what the magics stand on; in a terminal nothing is asked of what shows pages."""
    yield ok("hopx_magics", f"{__version__} on {platform.platform(terse=True)}")
    yield _python()
    libraries = [_at_least(name, least, means) for name, (least, means) in _LEAST.items()]
    if has_kernel:
        libraries += [*_ipykernel(), *_jupyterlab()]
    yield from (found for found in libraries if found.state != "ok")
    if good := [f"{found.check} {found.found}" for found in libraries if found.state == "ok"]:
        yield ok("libraries", ", ".join(good))


def _python() -> Finding:
    found = f"{platform.python_version()}, {sys.executable}"
    if sys.flags.optimize:
        means = "Cells in the background run without assertions and docstrings, too."
        return attention("Python", f"{found}, optimized (-O)", means, "Unset PYTHONOPTIMIZE.")
    return ok("Python", found)


def _at_least(name: str, least: tuple[int, ...], means: str) -> Finding:
    found = _version(name)
    if found is None:
        return broken(name, "it is not installed", means, _UPGRADE.format(name))
    if _numbers(found) < least:
        wanted = ".".join(map(str, least))
        return attention(name, f"{found}, older than {wanted}", means, _UPGRADE.format(name))
    return ok(name, found)


def _ipykernel() -> Iterator[Finding]:
    found = _version("ipykernel")
    if found is None:
        return  # then the kernel is another one
    number = _numbers(found)
    if number[:3] == (7, 0, 0):
        means = "What a thread shows lands in the wrong cell: lines and tables stand still, or appear elsewhere."
        yield broken("ipykernel", found, means, _UPGRADE.format("ipykernel"))
    elif number < (7,):
        means = "Clicks in tables and lines wait until the cell that runs has ended."
        yield attention("ipykernel", found, means, _UPGRADE.format("'ipykernel>=7.0.1'"))
    elif number >= (7, 4) and not _lets_clicks_through():
        means = "Clicks in tables and lines may wait until the cell that runs has ended."
        yield attention("ipykernel", found, means, "Tell us of it in an issue.")
    else:
        yield ok("ipykernel", found)


def _lets_clicks_through() -> bool:
    """Whether this ipykernel can still be told which shell answers a page: see `live.widget.let_clicks_through`."""
    comm = sys.modules.get("ipykernel.comm.comm")
    return comm is None or hasattr(comm.BaseComm, "_reply_subshell_for")


def _jupyterlab() -> Iterator[Finding]:
    for name, least in {"jupyterlab": (4, 4), "notebook": (7, 4)}.items():
        found = _version(name)
        if found is None:
            continue  # or it is in the environment of the server, which nobody here can look at
        if _numbers(found) < least:
            means = "The table and the lines below cells were never tried with it."
            yield attention(name, found, means, f"pip install -U {name} where the Jupyter server runs.")
        else:
            yield ok(name, found)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of a version, up to the first part that is none: `7.0.0a1` is 7.0."""
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
