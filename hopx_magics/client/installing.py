"""Installs this package on another machine by ssh, as it runs here: a wheel of it, into an environment of its own."""

import base64
import hashlib
import importlib.metadata
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from hopx_magics import __version__

from ..errors import SshError
from ..output.oneline import printable
from . import ssh
from .reading import Lines, last_line
from .tunnel import Way, start

PATIENCE = 300.0
"""Seconds that the other side may say nothing."""

_PACKAGE = Path(__file__).parents[1]
_WHEEL = "Wheel-Version: 1.0\nGenerator: hopx_magics\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_ALWAYS = (1980, 1, 1, 0, 0, 0)


class Wheel(NamedTuple):
    """A wheel: the name of its file, and what is in it."""

    name: str
    content: bytes


def wheel_of_this() -> Wheel:
    """A wheel of the package that runs here. Raises PackageNotFoundError where nothing is known of what it needs."""
    about = f"hopx_magics-{__version__}.dist-info"
    files = {
        f"hopx_magics/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    metadata = importlib.metadata.distribution("hopx_magics").read_text("METADATA") or ""  # of when it was installed
    metadata = re.sub(r"^Version: .*$", f"Version: {__version__}", metadata, count=1, flags=re.M)
    files[f"{about}/METADATA"] = metadata.encode()
    files[f"{about}/WHEEL"] = _WHEEL.encode()
    records = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()]
    files[f"{about}/RECORD"] = "".join([*records, f"{about}/RECORD,,\n"]).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(name, _ALWAYS), content, zipfile.ZIP_DEFLATED)
    return Wheel(f"hopx_magics-{__version__}-py3-none-any.whl", archive.getvalue())


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def install(way: Way, python: str, say: Callable[[str], None]) -> None:
    """Installs this package there, in an environment that `python` makes. `say` is told how far that has come.

    What looks for a Python there finds it first. Raises SshError.
    """
    host = way.address.host
    label = f"ssh to {host}"
    try:
        wheel = wheel_of_this()
    except importlib.metadata.PackageNotFoundError:
        raise SshError("this package is not installed here, so it can't be there", agent=label) from None
    lines = Lines()
    arguments = (lines.mark, wheel.name, str(len(wheel.content)))
    script = ssh.in_login_shell(ssh.with_python(_INSTALL, arguments, python), way.setup)
    words = [*way.ssh, *ssh.connection_options(None), *way.address.words, ssh.remote_command(script)]
    with tempfile.TemporaryFile() as errors, start(words, errors, agent=label) as process:
        try:
            assert process.stdin
            assert process.stdout
            say(f"sending hopx_magics {__version__} to {host}")
            process.stdin.write(wheel.content)
            process.stdin.flush()
            failure = None
            for line in lines.of(process.stdout, PATIENCE, label):
                told = _decoded(line)
                failure = told.error or failure
                say(f"{host}: {printable(told.step, 100)}")
            code = process.wait()
        except BrokenPipeError:
            code, failure = process.wait(), None
        finally:
            process.terminate()
        if code:
            raise SshError(
                f"hopx_magics could not be installed: {printable(failure or last_line(errors) or str(code), 500)}",
                agent=label,
                hint=f"Install it there by hand ({way.address.by_hand}), and name its Python with --python PATH.",
            )


class _Told(msgspec.Struct, frozen=True):
    step: str = ""
    error: str | None = None


def _decoded(line: bytes) -> _Told:
    try:
        return msgspec.json.decode(line, type=_Told)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Told()


_INSTALL = """\
import sys
sys.path[:] = [path for path in sys.path if path]
import json, os, subprocess, tempfile
mark, name, size = sys.argv[1:]
def say(**told):
    sys.stdout.write(mark + json.dumps(told) + "\\n")
    sys.stdout.flush()
def run(*words):
    ran = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in ran.stdout:
        lines.append(line.strip())
        if line.startswith(("Collecting", "Downloading", "Installing")):
            say(step=line.strip())
    if ran.wait():
        errors = [line for line in lines if line.startswith("ERROR")]
        say(step="failed", error=errors[-1] if errors else " ".join(lines[-8:]))
        sys.exit(1)
with tempfile.TemporaryDirectory() as folder:
    wheel = os.path.join(folder, name)
    with open(wheel, "wb") as file:
        file.write(sys.stdin.buffer.read(int(size)))
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    venv = os.path.join(data, "hopx_magics", "ssh", "venv")
    python = os.path.join(venv, "bin", "python")
    works = [python, "-I", "-m", "pip", "--version"]
    if not os.path.exists(python) or subprocess.call(works, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        say(step="making an environment in " + venv)
        run(sys.executable, "-I", "-m", "venv", "--clear", venv)
    pip = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    run(*pip, wheel)
    run(*pip, "--force-reinstall", "--no-deps", wheel)
    say(step="installed")
"""
