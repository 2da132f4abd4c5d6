"""How a run begins and ends as a job of Ray: `python -m hopx_runner.on_ray RUN_ID`, from the packages that Ray unpacks.

Ray has one log for a job, in which both streams are mixed with its own lines, and serves files of its log folder only
whole. So this process hands on what the run writes, into files of `SEGMENT` bytes in a folder of that log folder.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUNS = "hopx/runs"
"""The folder with those of the runs, in the log folder of a node."""

SEGMENT = 262_144
"""The bytes of each file of a stream but the last one."""

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL when the time is over."""

DRAIN = 1.0
"""Seconds in which what was written is handed on when the run has ended and others hold its streams open."""

TIMED_OUT = 124
CANT_BEGIN = 126

_COMMANDS = {"bash": ["bash"], "javascript": ["node"], "go": ["go", "run"]}
_ENDINGS = {"python": "py", "bash": "sh", "javascript": "js", "go": "go"}


def main(run_id: str) -> int:
    """Runs what was sent, and returns its exit code: 128 + n after signal n."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray tells all of the run at once, and waits for this one, too
    with open(_found(f"{run_id}.json"), encoding="utf-8") as file:
        launch = json.load(file)
    logs = _log_folder()
    folder = os.path.join(logs or "/tmp", *RUNS.split("/"), run_id)
    try:
        command, environment, directory = _prepared(launch, folder)
    except OSError as error:
        sys.stderr.write(f"hopx: the run can't begin here: {error}\n")
        return CANT_BEGIN
    return _run(command, environment, directory, launch["timeout"], folder if logs else None)


def _found(name: str) -> str:
    """A file in one of the packages, which are all in the import path."""
    for folder in sys.path:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(f"{name} was sent here, and is gone: launch it again")


def _log_folder() -> "str | None":
    """The log folder of this node: the one of the file into which Ray has this process write."""
    try:
        if sys.platform == "darwin":
            import fcntl

            path = fcntl.fcntl(1, fcntl.F_GETPATH, b"\0" * 1024).rstrip(b"\0").decode()
        else:
            path = os.readlink("/proc/self/fd/1")
    except OSError:
        return None
    return os.path.dirname(path) if os.path.isfile(path) else None


def _prepared(launch: "dict[str, Any]", folder: str) -> "tuple[list[str], dict[str, str], str]":
    """The command, its environment and its directory, with all that it needs in the folder of the run."""
    work = os.path.join(folder, "work")
    os.makedirs(work, 0o700, exist_ok=True)
    language = launch["language"]
    cell = os.path.join(folder, f"cell.{_ENDINGS[language]}")
    with open(cell, "w", encoding="utf-8", newline="") as file:
        file.write(launch["code"])
    directory = os.path.normpath(os.path.join(work, os.path.expanduser(launch["workdir"])))
    if not os.path.isdir(directory):
        raise NotADirectoryError(f"the working directory {directory} does not exist")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TTY_COMPATIBLE": "1", "HOPX_KEEP": "plain"}
    for name in ("HOPX_SWEEP_INDEX", "HOPX_VALUES"):  # it may itself be begun by a cell
        environment.pop(name, None)
    environment.update(launch["environment"])
    if language != "python":
        return [*_COMMANDS[language], cell], environment, directory
    paths = [directory, *(path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path)]
    environment["PYTHONPATH"] = os.pathsep.join(paths)  # modules beside the user's files can be imported
    if launch["values"]:
        environment["HOPX_VALUES"] = _linked(launch["values"], os.path.join(folder, "in"))
    runner = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, runner, cell], environment, directory


def _linked(names: "list[str]", folder: str) -> str:
    """Puts the values of the run side by side: the path of the manifest."""
    os.makedirs(folder, 0o700, exist_ok=True)
    for name in names:
        os.symlink(_found(name), os.path.join(folder, name))
    with open(os.path.join(folder, "manifest"), "w", encoding="utf-8") as file:
        file.write(names[0])
    return os.path.join(folder, names[0])


# ------------------------------------------------------------ the run


def _run(command: "list[str]", environment: "dict[str, str]", directory: str, limit: float, folder: "str|None") -> int:
    _adopt_orphans()
    own = None if folder is None else subprocess.PIPE
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=own,
            stderr=own,
            env=environment,
            cwd=directory,
            preexec_fn=_hear_signals,
        )
    except OSError as error:
        sys.stderr.write(f"hopx: {command[0]} can't be started here: {error.strerror}\n")
        return CANT_BEGIN
    readers = []
    if folder is not None:
        for stream in ("stdout", "stderr"):
            arguments = (getattr(process, stream).fileno(), os.path.join(folder, stream))
            readers.append(threading.Thread(target=_hand_on, args=arguments, daemon=True))
            readers[-1].start()
    code = _waited(process, limit)
    until = time.monotonic() + DRAIN
    for reader in readers:
        reader.join(max(0.0, until - time.monotonic()))
    return code


def _adopt_orphans() -> None:
    """Lets what the run starts stay below this process, where Ray finds it that ends all of a job."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _hear_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _waited(process: "subprocess.Popen[bytes]", limit: float) -> int:
    """The exit code of the run, as a shell tells it, when it has ended or its time is over."""
    try:
        code = process.wait(limit)
        return 128 - code if code < 0 else code
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return TIMED_OUT


def _hand_on(source: int, path: str) -> None:
    """Writes what comes into files of equal sizes, whose names are numbered: what is read of one never changes."""
    number = 0
    data = os.read(source, SEGMENT)
    while data:
        with open(f"{path}-{number:06d}", "wb", buffering=0) as file:
            number, room = number + 1, SEGMENT
            while data and room:
                written = file.write(data[:room])
                room -= written
                data = data[written:] or os.read(source, SEGMENT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
