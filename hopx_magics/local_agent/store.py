"""One folder per process on disk, from which any later agent learns what became of the process.

| file | holds |
|---|---|
| launch.json | what was launched; written once |
| env.json | the environment, if one was asked for; gone once the process has started, since it may hold secrets, or \
once it has ended where it may be tried again |
| in | links to the files of the values that a cell gets |
| out | what a cell shows beside its output, and what is kept of it: see `runner` |
| cell.* | the code |
| start | the shell's pid, which is the process group, the process's own pid, and where the system tells it for how \
many seconds the machine had been up, and of a fork its own start; its mtime is the \
start time. `failed` in place of the last says that the \
process's program could not be run |
| intent | why the process was asked to end, `killed` or another word below, written before it was asked; locked \
(flock) by the shell that runs the process, for exactly as long as that lives |
| alive | nothing: it is what the shell locks in folders of an older version of this program, which alone have it |
| exit | the exit code, 128 + N for a signal N, as shells have it, the seconds of uptime or `-`, and `asked` when the \
intent was there by then; its mtime is the end time |
| strays | pids and starts of descendants that left the process's session; only where there are some |
| former | where a cell finds what those have kept that it comes after; only of what comes after some |
| gpus | which GPUs it got; only of what got some |
| gate | a FIFO at which a fork waits for its turn, when it is told what it gets: see `forks`; closed with nothing \
written to it when its turn never comes |
| stacks | where all threads of a fork are, whenever it was asked by SIGUSR1 |
| pauses | for how long it was paused, and since when it is now; only of what was ever paused |
| stdout, stderr | the output |

`start`, `intent` and `exit` exist from the beginning, filled with blanks, and are overwritten in place: that needs no
room on a full disk. A pid found on disk is believed only while that lock is held: until then nobody else can have it.
No file is made that is not needed: to make files is what costs most in a launch, on some file systems.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..models import ProcessId
from ..words import Stream
from .family import Member, is_marked, lives
from .records import Evidence, Exit, Launched, Pauses, Record, Start

RECORD_SIZE = 64
GATE = "gate"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 10

KILLED = "killed"
"""The intent of those who kill a process. Others are that of its time limit, or begin with one of the words below."""

TIMED_OUT = "timed out"

OVER_MEMORY = "memory"
"""How the intent begins that a process ends since it took more memory than it may: how much, in bytes, follows."""

STOPPED = "bound"
"""How the intent begins that a process ends since a metric met a bound: the number of that, and the value follow."""

NOT_BEST = "half"
"""How the intent begins that a process ends since at half time it was not among the best of its sweep: the value of the
metric follows."""

DEPENDENCY = "dependency"
"""How the intent begins that a process ends before it starts, since one that it comes after has not completed: its id
and its status follow."""


def new_id(kind: str) -> str:
    """A new identifier that needs no quoting anywhere, such as `proc_k3v5q2m7xa`."""
    number = secrets.randbits(5 * _ID_LENGTH)
    return f"{kind}_{''.join(_ALPHABET[number >> 5 * place & 31] for place in range(_ID_LENGTH))}"


class Folder:
    """The folder of one process."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def output(self, stream: Stream) -> str:
        """The file that the process's stream is written to."""
        return self._file(stream)

    def _file(self, name: str) -> str:
        return f"{self.path}/{name}"  # as a Path it would take many times as long, many times for each process

    def command_elsewhere(self, command: Sequence[str], other: "Folder") -> list[str]:
        """A command with the files of another folder in place of those of this one."""
        return [f"{other.path}/{name}" if (name := self._name_in(word)) else word for word in command]

    def code_file(self, command: Sequence[str]) -> str | None:
        """The name of the file with the code that a command runs, None where it runs no code."""
        return next((name for word in command if (name := self._name_in(word))), None)

    def _name_in(self, word: str) -> str | None:
        return word.removeprefix(f"{self.path}/") if word.startswith(f"{self.path}/") else None

    def read_launch(self) -> Launched:
        """What was launched; when that can't be read any more, what the folder's name tells, and `damaged` says why."""
        try:
            return msgspec.json.decode(_content(self._file("launch.json")), type=Launched)
        except (OSError, msgspec.MsgspecError) as error:
            return Launched(
                process_id=ProcessId(self.path.name),
                execution_id=self.path.name.replace("proc_", "exec_", 1),
                sequence=self._written_at("intent"),  # that of the launch, until somebody wants an end
                name=None,
                language=None,
                command=[],
                workdir="",
                timeout=None,
                at_once=True,
                damaged=f"the record of its launch can't be read: {type(error).__name__}",
            )

    def last_sign(self) -> int:
        """When something in the folder was last written to, in nanoseconds: the process's last sign of life."""
        return max(map(self._written_at, ("stdout", "stderr", "start", "intent"))) or time.time_ns()

    def _written_at(self, name: str) -> int:
        try:
            return os.stat(self._file(name)).st_mtime_ns
        except OSError:
            return 0

    def read_env(self) -> dict[str, str]:
        """The environment that was asked for. Raises OSError or ValueError when it can't be read."""
        content = _content(self._file("env.json"))
        try:
            return msgspec.json.decode(content, type=dict[str, str])
        except msgspec.MsgspecError as error:
            raise ValueError(f"its environment can't be read: {error}") from None

    def drop_env(self) -> None:
        """Takes the environment from the disk: the process has it now."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file("env.json"))

    @contextlib.contextmanager
    def locked(self, how: int) -> Iterator[BinaryIO]:
        """The file whose lock tells that the process lives, with that lock (of `fcntl.flock`). Raises OSError."""
        old = self._file("alive")
        with open(old if os.path.exists(old) else self._file("intent"), "a+b", buffering=0, opener=private) as file:
            fcntl.flock(file, how)
            yield file

    def is_alive(self) -> bool:
        """Whether the process lives: the shell that runs it, or where that was killed, itself."""
        return self.has_shell() or self.runs_without_shell()

    def values_size(self) -> int:
        """The bytes of what a cell got and left. Of a file that several have, each counts its share."""
        total = 0
        for name in ("in", "out"):
            with contextlib.suppress(OSError), os.scandir(self._file(name)) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    total += found.st_size // max(1, found.st_nlink - 1)
        return total

    def runs_without_shell(self) -> bool:
        """Whether the process lives on although its shell, which has ended, has not told of its end."""
        start = self.read_start()
        if start is None or self.read_exit() is not None:
            return False
        if start.born is None:
            return is_marked(start.pid, self.path.name)
        return lives(Member(start.pid, start.born))

    def has_shell(self) -> bool:
        """Whether the shell that runs the process lives."""
        try:
            with self.locked(fcntl.LOCK_SH | fcntl.LOCK_NB):
                return False
        except OSError as error:
            return isinstance(error, BlockingIOError)

    def read_evidence(self) -> Evidence:
        """What the folder tells now. Once `alive` is False nothing of it changes any more."""
        alive = self.is_alive()
        return Evidence(alive, self.read_start(), self._read("intent"), self.read_exit())

    def read_start(self) -> Start | None:
        """How the process began, or None when it did not get that far yet."""
        text, written = self._read("start")
        words = text.split()
        try:
            group, pid = map(int, words[:2])
        except ValueError:
            return None
        if group <= 1 or pid <= 1:
            return None
        born = int(words[3]) if len(words) > 3 and words[3].isdecimal() else None
        return Start(group, pid, written, "failed" in words, _seconds(words[2:]), born)

    def read_exit(self) -> Exit | None:
        """How the process ended, or None when nobody has written that."""
        text, written = self._read("exit")
        code, *more = text.split() or [""]
        if not code:
            return None
        return Exit(int(code) if code.isdecimal() else None, written, _seconds(more), not more or "asked" in more)

    def read_strays(self) -> list[tuple[int, int]]:
        """Pids and starts of descendants that have left the process's session, as far as they were seen."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(_content(self._file("strays")), type=list[tuple[int, int]])
        return []

    def write_strays(self, strays: Iterable[tuple[int, int]]) -> None:
        """Records them; a disk without room for that is no error."""
        with contextlib.suppress(OSError):
            replace_file(self.path / "strays", msgspec.json.encode(sorted(strays)))

    def read_gpus(self) -> tuple[str, ...]:
        """The GPUs that it got."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(_content(self._file("gpus")), type=tuple[str, ...])
        return ()

    def write_gpus(self, gpus: Sequence[str]) -> None:
        """Records the GPUs that it got. Raises OSError."""
        replace_file(self.path / "gpus", msgspec.json.encode(gpus))

    def write_former(self, former: Mapping[str, Sequence[str]]) -> str:
        """Records where a cell finds what others have kept; the path of that file. Raises OSError."""
        replace_file(self.path / "former", msgspec.json.encode(former))
        return self._file("former")

    def open_gate(self, told: bytes) -> bool:
        """Tells a fork that waits at its gate; nothing tells it to end. False where none is there (yet)."""
        try:
            gate = os.open(self._file(GATE), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(gate, told)
        except OSError:
            return False
        finally:
            os.close(gate)
        return True

    def read_pauses(self) -> Pauses:
        """For how long it was paused."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(_content(self._file("pauses")), type=Pauses)
        return Pauses()

    def write_pauses(self, pauses: Pauses) -> None:
        """Records for how long it was paused. Raises OSError."""
        replace_file(self.path / "pauses", msgspec.json.encode(pauses))

    def write_intent(self, intent: str) -> None:
        """Records why the process is about to be asked to end. Raises OSError."""
        self._write("intent", intent)

    def write_start(self, start: Start) -> None:
        """Records how a process began in place of the shell whose record is gone. Raises OSError."""
        self._write("start", f"{start.group} {start.pid} {start.uptime or ''}")
        os.utime(self._file("start"), ns=(start.time, start.time))

    def write_exit(self, code: int) -> None:
        """Records the exit code in place of the shell that could not. Raises OSError."""
        self._write("exit", str(code))

    def _read(self, record: str) -> Record:
        try:
            with open(self._file(record), "rb", buffering=0) as file:
                text = file.read(RECORD_SIZE).decode("ascii", "replace").strip()
                return Record(text, os.fstat(file.fileno()).st_mtime_ns)
        except OSError:
            return Record("", 0)

    def _write(self, record: str, text: str) -> None:
        descriptor = os.open(self._file(record), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, _padded(text), 0)
        finally:
            os.close(descriptor)


def _seconds(words: list[str]) -> float | None:
    """The first of these words as a span, if it is one."""
    return float(words[0]) if words and _SECONDS.fullmatch(words[0]) else None


_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)


def _padded(text: str) -> bytes:
    return text.encode("ascii", "replace")[: RECORD_SIZE - 1].ljust(RECORD_SIZE - 1) + b"\n"


class Store:
    """The folders of all processes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def folder(self, process_id: str) -> Folder:
        """The folder of that process, whether or not it is there."""
        return Folder(self._root / process_id)

    def create(
        self,
        launched: Launched,
        env: Mapping[str, str],
        code_file: str | None,
        code: str,
        values: Sequence[Path] = (),
    ) -> Folder:
        """The new folder of a process, all of it or nothing. Raises OSError, for one when the disk is full."""
        files = {
            "launch.json": msgspec.json.encode(launched),
            **({"env.json": msgspec.json.encode(dict(env))} if launched.has_env else {}),
            "stdout": b"",
            "stderr": b"",
            **dict.fromkeys(("start", "intent", "exit"), _padded("")),
            **({code_file: code.encode()} if code_file else {}),
        }
        unfinished = self._root / f".new-{launched.process_id}"
        folder = self.folder(launched.process_id)
        try:
            unfinished.mkdir(mode=0o700)
            for name, content in files.items():
                _write_new(f"{unfinished}/{name}", content)
            if values:
                _link(values, unfinished / "in")
            if launched.keeper:
                os.mkfifo(unfinished / GATE, 0o600)
            unfinished.rename(folder.path)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return folder

    def copy(self, folder: Folder, old: Launched, launched: Launched) -> Folder:
        """The new folder of a process that is launched once more. Raises OSError and ValueError."""
        env = folder.read_env() if launched.has_env else {}
        name = folder.code_file(old.command)
        code = _content(str(folder.path / name)).decode() if name else ""
        values = sorted((folder.path / "in").iterdir()) if launched.values else ()
        return self.create(launched, env, name, code, values)

    def take_out(self, process_id: str) -> Path:
        """Makes a folder disappear at once; what is returned is still to be deleted. Raises OSError."""
        gone = self._root / f".gone-{process_id}"
        self.folder(process_id).path.rename(gone)
        return gone

    def folders(self) -> Iterator[Folder]:
        """All folders of processes, in no order."""
        with os.scandir(self._root) as entries:
            for entry in entries:
                if entry.name.startswith("proc_") and entry.is_dir(follow_symlinks=False):
                    yield self.folder(entry.name)

    def leftovers(self) -> list[Path]:
        """What is still to be deleted: folders that an agent had no time to finish or to delete."""
        return [*self._root.glob(".new-*"), *self._root.glob(".gone-*")]


def private(path: str, flags: int) -> int:
    """An opener of files that only the user can read."""
    return os.open(path, flags, 0o600)


def replace_file(path: Path, content: bytes) -> None:
    """Replaces a file, as a whole or not at all, by one that only the user can read. Raises OSError."""
    fresh = path.with_suffix(".new")
    with open(fresh, "wb", opener=private) as file:
        file.write(content)
    fresh.replace(path)


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _link(files: Sequence[Path], into: Path) -> None:
    into.mkdir(mode=0o700)
    for file in files:
        os.link(file, into / file.name)


def _write_new(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def emptied(folder: Path) -> None:
    """Makes a folder, or empties the one that is there, which needs no room on a full disk. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def delete(paths: list[Path]) -> None:
    """Deletes folders with all that is in them; what can't be deleted stays for the next start."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
