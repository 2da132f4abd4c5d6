"""What is run for a piece of code or a command: the program, its arguments, its directory, its environment."""

import functools
import os
import py_compile
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..protocol.files import WORKSPACE
from ..words import LANGUAGE_ALIASES, LANGUAGES, Language
from .requests import invalid, missing_parameter
from .store import replace_file

_SECRET = ("HOPX_AGENT_TOKEN", "HOPX_API_KEY")
"""Variables that are for a client of agents, should this agent have been started from a shell that has them."""


class Program(NamedTuple):
    """What to run, once its code is in the file `code_file` of the process's folder: `{}` stands for that file."""

    command: tuple[str, ...]
    language: str | None
    code_file: str | None = None
    code: str = ""

    def command_in(self, folder: Path) -> list[str]:
        """The command with its arguments."""
        path = str(folder / self.code_file) if self.code_file else ""
        return [path if self.code_file and word == "{}" else word for word in self.command]


SHIM = Path(__file__).with_name("shim.sh")
RUNNER = Path(__file__).parents[1] / "runner"


class Tools(NamedTuple):
    """Where our own programs are that run what is launched: the shell script around each, and the runner of Python."""

    shim: str
    runner: str


def install_tools(folder: Path) -> Tools:
    """Copies them into a folder, so that they are there when the package is removed or upgraded under the agent.

    Where that has no room for them, they are those of the package.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        replace_file(folder / SHIM.name, SHIM.read_bytes())
        for source in sorted(RUNNER.rglob("*.py")):
            copy = folder / source.relative_to(RUNNER.parent)
            (copy.parent / "__pycache__").mkdir(mode=0o700, parents=True, exist_ok=True)
            copy.parent.chmod(0o700)
            replace_file(copy, source.read_bytes())
            py_compile.compile(str(copy), doraise=True)
        return Tools(str(folder / SHIM.name), str(folder / RUNNER.name / _START))
    except (OSError, py_compile.PyCompileError):
        return Tools(str(SHIM), str(RUNNER / _START))


VALUES = "HOPX_VALUES"
"""The variable in which the runner finds the manifest of the values that a cell gets."""

FORMER = "HOPX_FORMER"
"""The variable in which the runner finds where the runs have kept something that a cell comes after: see `former`."""

_START = "__main__.py"
_RUNNER = "{runner}"

_COMMANDS: dict[Language, tuple[tuple[str, ...], str]] = {
    "python": ((sys.executable, "-P", _RUNNER, "{}"), "cell.py"),
    "bash": (("bash", "{}"), "cell.sh"),
    "javascript": (("node", "{}"), "cell.js"),
    "go": (("go", "run", "{}"), "cell.go"),
}


def installed_languages() -> list[Language]:
    """The languages that code can be written in on this machine."""
    return [language for language in LANGUAGES if shutil.which(_COMMANDS[language][0][0])]


def code_program(code: str, language: str | None, tools: Tools) -> Program:
    """The program that runs `code`. Raises Refused for no code, and a language that isn't known or not installed."""
    if not code.strip():
        raise missing_parameter("code")
    word = (language or "python").strip().lower()
    known = next((name for name in LANGUAGES if name == LANGUAGE_ALIASES.get(word, word)), None)
    if known is None or not (executable := shutil.which(_COMMANDS[known][0][0])):
        what = f"language {word[:80]!r} is {'not installed here' if known else 'unknown'}"
        raise invalid(f"{what}; there are: {', '.join(installed_languages())}")
    command, file = _COMMANDS[known]
    words = (tools.runner if word == _RUNNER else word for word in command[1:])
    return Program((executable, *words), known, file, code)


def command_program(command: str, args: list[str] | None) -> Program:
    """The program that is `command` with `args`, or, without `args`, the shell that runs the line `command`.

    Raises Refused for what can't be a command.
    """
    if not command.strip():
        raise missing_parameter("command")
    if any("\0" in word for word in (command, *(args or ()))):
        raise invalid("a command can't hold the character NUL")
    if args is None:
        return Program(("/bin/sh", "-c", command), "bash")
    is_shell = os.path.basename(command) in ("bash", "sh")
    return Program((command, *args), "bash" if is_shell else None)


def working_directory(wanted: str | None, workspace: Path) -> Path:
    """The directory that is meant: `/workspace` is the agent's own work folder, and relative paths are inside it.

    Raises Refused when there is none.
    """
    path = Path(wanted or WORKSPACE)
    if path.is_relative_to(WORKSPACE):
        path = Path(os.path.normpath(workspace / path.relative_to(WORKSPACE)))
        if not path.is_relative_to(workspace):
            raise invalid(f"the working directory {wanted!r} is outside of {WORKSPACE}")
    else:
        path = workspace / os.path.expanduser(path)
    if not os.path.isdir(path):
        raise invalid(f"the working directory {wanted!r} does not exist")
    return path


_RICH_DRAWS = {"TTY_COMPATIBLE": "1"}  # its bars, also without a terminal; FORCE_COLOR would be read by many others


def environment(
    wanted: Mapping[str, str], language: str | None, workdir: str, *, is_whole: bool = False
) -> dict[str, str]:
    """The agent's own environment, unless `wanted` is the whole one, with `wanted` on top.

    Modules beside the user's files can be imported.
    """
    env = {**_RICH_DRAWS, **({} if is_whole else _inherited()), "PYTHONUNBUFFERED": "1", **wanted}
    if language == "python":
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (workdir, env.get("PYTHONPATH"))))
    return env


def chosen(gpus: Sequence[str]) -> dict[str, str]:
    """The variables by which a process sees these GPUs alone."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if gpus else {}


@functools.cache
def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _SECRET}
