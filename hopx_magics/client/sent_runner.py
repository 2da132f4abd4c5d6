"""The runner as it is sent along to an agent elsewhere, and launches whose cells go through it there. Pure."""

import functools
import hashlib
import io
import re
import zipfile
from pathlib import Path

import msgspec

from ..models import Launch, Process, RunId
from ..protocol.files import WORKSPACE
from ..protocol.requests import RUNS, SWEEP_INDEX, TITLE, launch_fields

HOME = f"{WORKSPACE}/.hopx"
"""The folder of an agent elsewhere that has the runner, what cells get, and in `runs` what they leave."""

SENT = f"{HOME}/values"
"""The folder there with what is sent: the runner and values, each file named by its content and its size."""


def run_folder(run_id: RunId) -> str:
    """The folder there of a run: with `cell.py`, in `in` the values that it got, in `out` what it leaves.

    `in/manifest` has the name of the first file of its values.
    """
    return f"{RUNS}/{run_id}"


def folder_of(process: Process) -> str | None:
    """The folder there of the run that a process is; None for one that was not launched from here."""
    name = process.process_id if process.retry_of else process.run_id
    return f"{RUNS}/{name}" if name and _NAME.fullmatch(name) else None


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


RUNNER = "runner-"
"""What the name of the file with the runner begins with."""

_RUNNER = Path(__file__).parents[1] / "runner"
_READER = "hopx_runner/plain_values.py"
"""What reads values that others have left there; the package has it for its own use."""
_ALWAYS = (1980, 1, 1, 0, 0, 0)


def sent_name(digest: str, size: int, kind: str = "") -> str:
    """The name of a file that is sent, from which it can be told whether it is all there."""
    return f"{kind}{digest}-{size}"


@functools.cache
def runner_zip() -> tuple[str, bytes]:
    """The runner as one file that Python runs, and its name: always the same for the same runner."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for source in sorted(_RUNNER.rglob("*.py")):
            name = source.relative_to(_RUNNER).as_posix()
            if name != "__init__.py":
                archive.writestr(zipfile.ZipInfo(name, _ALWAYS), source.read_bytes())
        archive.writestr(zipfile.ZipInfo(_READER, _ALWAYS), (_RUNNER.parent / "plain_values.py").read_bytes())
    data = content.getvalue()
    return sent_name(hashlib.sha256(data).hexdigest()[:32], len(data), RUNNER), data


def through_runner(launch: Launch) -> Launch:
    """The launch of a Python cell as Python that has its `runner` run it, which is there, as its `values` are.

    The params are in the code then, and so is the working directory: a relative one is inside `/workspace`, and `~` is
    the home there.
    """
    told = {
        "runner": launch.runner,
        "home": HOME,
        "sent": SENT.removeprefix(f"{HOME}/"),
        "run_id": str(launch.run_id),
        "cell": str(launch_fields(launch)["code"]),
        "workdir": launch.workdir or "",
        "values": list(launch.values),
        "environment": {TITLE: launch.title, **({} if launch.index is None else {SWEEP_INDEX: str(launch.index)})},
    }
    code = _START.replace("LAUNCH", ascii(told))
    return msgspec.structs.replace(launch, code=code, first_line=1, workdir=None, params={}, values=())


# It must be Python of any version, for the sake of what it says to an old one.
_START = """\
# Written by hopx_magics: it has the cell below run by what was sent along.
import os, sys
launch = LAUNCH
if sys.version_info < (3, 8):
    sys.stderr.write("hopx: a cell needs Python 3.8 or newer, and here is %d.%d\\n" % sys.version_info[:2])
    sys.exit(126)
here = os.path.abspath(os.path.join(globals().get("__file__", ""), "..", "..", ".."))
for home in (here, launch["home"], os.path.join(os.getcwd(), os.path.basename(launch["home"]))):
    runner = os.path.join(home, launch["sent"], launch["runner"])
    if os.path.isfile(runner) and runner.endswith("-%d" % os.path.getsize(runner)):
        break
else:
    sys.stderr.write("hopx: what runs cells was sent here, and is gone: launch it again\\n")
    sys.exit(126)
sys.path.insert(0, runner)
from hopx_runner.arrival import arrive
arrive(launch, home, runner)
"""
