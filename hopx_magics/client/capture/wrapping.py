"""From a launch to one that keeps its output in files. Pure."""

import base64
import functools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ...models import Launch, RunId
from ...protocol.files import WORKSPACE
from ...protocol.requests import launch_fields
from ...words import Language

ROOTS = (f"{WORKSPACE}/.hopx/runs", "/tmp/hopx-runs")
"""Where the folders of runs are, in the order in which they are tried: agents let files be read below these only."""

_PROGRAMS: dict[Language, tuple[str, str]] = {
    "python": ("python3", "cell.py"),
    "bash": ("bash", "cell.sh"),
    "javascript": ("node", "cell.js"),
    "go": ("go", "cell.go"),
}

_RUN_ID = re.compile(r"[0-9a-f]{16}")


def is_run_id(text: str) -> bool:
    """Whether it is a run id: one from a listing may be anything, and goes into paths and commands."""
    return _RUN_ID.fullmatch(text) is not None


def run_folders(run_id: RunId, roots: Sequence[str] = ROOTS) -> tuple[str, ...]:
    """The folders of which one has the files of the run.

    Raises ValueError for what is no run id.
    """
    if not is_run_id(run_id):
        raise ValueError(f"{run_id!r} is no run id: use one of 16 digits 0-9 a-f")
    return tuple(f"{root}/{run_id}" for root in roots)


def wrapped(launch: Launch, roots: Sequence[str] = ROOTS) -> Launch:
    """The same launch as bash code that keeps stdout, stderr, pid and exit code in files, and passes the output on.

    The params are in the code then, and the working directory too, since agents don't heed that of a request; a
    relative one is inside `/workspace`, and `~` is the home of the sandbox. The environment stays in `env`, since code
    may be visible in the list of processes. The cell ends when the agent kills the wrapper, however it does that. The
    exit code is that of the cell, 128+n after signal n; 126 when the cell can't be run, for want of its working
    directory or of room, and 127 for want of its language.

    `roots` are the folders to try for that of the run.
    """
    program, file = _PROGRAMS[launch.language]
    code = str(launch_fields(launch)["code"])
    settings = {
        "hopx_program": program,
        "hopx_file": file,
        "hopx_directory": _directory(launch.workdir),
        "hopx_folders": f"({shlex.join(run_folders(launch.run_id, roots))})",
        "hopx_code": f"'{base64.encodebytes(code.encode()).decode()}'",
    }
    head = "".join(f"{name}={value}\n" for name, value in settings.items())
    code = f"{head}\n{_wrapper()}"
    return msgspec.structs.replace(launch, code=code, first_line=1, language="bash", workdir=None, params={})


def _directory(workdir: str | None) -> str:
    if not workdir:
        return "."
    if workdir == "~" or workdir.startswith("~/"):
        return f'"$HOME"{shlex.quote(workdir[1:])}'
    return shlex.quote(workdir if workdir.startswith("/") else f"{WORKSPACE}/{workdir}")


@functools.cache
def _wrapper() -> str:
    return Path(__file__).with_name("wrapper.sh").read_text()
