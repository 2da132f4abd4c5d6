"""A history that can't be written for a while: nobody waits for it, and nothing is lost."""

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hopx_magics import api
from hopx_magics.errors import HistoryWarning
from hopx_magics.settings import Settings
from tests.waiting import DEADLINE, wait_until


@contextlib.contextmanager
def held_by_another_program(file: Path) -> Iterator[None]:
    """Another program is in the middle of writing, and does not come to an end."""
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('BEGIN IMMEDIATE')"
    command = [sys.executable, "-c", f"{code}; print('held', flush=True); sys.stdin.read()", str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.kill()


def meanwhile(act: Callable[[], Any]) -> list[str]:
    """Does something that must not wait for what does not come; returns what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        thread.join(DEADLINE)
    assert not thread.is_alive(), "it waits for the history"
    return [str(warning.message) for warning in caught if issubclass(warning.category, HistoryWarning)]


def journals(file: Path) -> list[Path]:
    return list(file.parent.glob("history.sqlite.journal-*"))


def test_another_program_that_writes_for_long_keeps_nobody_waiting(hopx: Any, state: Settings) -> None:
    hopx.launch("pass", name="before").wait()

    def act() -> None:
        run = hopx.launch("print(lr)", name="held", params={"lr": 0.1}, tags={"exp": "first"}, env={"KEY": "s3cret"})
        assert list(hopx.ps("held")["process_id"]) == [run.process_id]
        hopx.sweep("pass", {"n": [1, 2, 3]}, name="grid").wait()
        assert run.wait().stdout == "0.1\n"

    def check() -> None:
        frame = hopx.history(code=True)
        assert list(frame["name"]) == ["grid", "grid", "grid", "held", "before"]
        assert set(frame["status"]) == {"completed"}
        assert list(frame["param.n"].dropna()) == [3, 2, 1]
        (held,) = frame[frame["name"] == "held"].to_dict("records")
        assert (held["code"], held["param.lr"], held["tag.exp"]) == ("print(lr)", 0.1, "first")
        assert frame["launched_here"].all()

    with held_by_another_program(state.history_file):
        notes = meanwhile(act)
        assert len(notes) == 1
        assert "database is locked" in notes[0]
        (journal,) = journals(state.history_file)
        assert str(journal) in notes[0]
        assert journal.stat().st_mode & 0o077 == 0
        assert "s3cret" not in journal.read_text()
        check()
        shown = str(hopx.show("held"))
        assert "print(lr)" in shown
        assert "0.1" in shown
        assert len(hopx.wait("grid")) == 3
    check()
    assert hopx.history(name="held", output=True)["stdout"][0] == "0.1\n"
    api.session().close()
    assert journals(state.history_file) == []


def test_each_time_that_it_cant_be_written_is_one_warning(hopx: Any, state: Settings) -> None:
    hopx.launch("pass").wait()
    for _ in range(2):
        with held_by_another_program(state.history_file):
            assert len(meanwhile(lambda: [hopx.launch("pass") for _ in range(3)])) == 1
        hopx.history()


DIES = """
import os, sys
import hopx_magics as hopx
run = hopx.launch("print(lr)", name="orphan", params={"lr": 0.1}, tags={"exp": "first"})
os.kill(os.getpid(), 9)
"""


def die_while_it_is_held(state: Settings) -> Path:
    """A program launches while the history is held, and dies; returns what it leaves."""
    with held_by_another_program(state.history_file):
        died = subprocess.run([sys.executable, "-W", "ignore", "-c", DIES], capture_output=True, text=True)
        assert died.returncode == -signal.SIGKILL, died.stderr
        (journal,) = journals(state.history_file)
        return journal


def test_the_death_of_a_program_loses_nothing(hopx: Any, state: Settings) -> None:
    hopx.history()
    die_while_it_is_held(state)
    hopx.wait("orphan")
    (row,) = hopx.history(code=True).to_dict("records")
    assert (row["name"], row["status"], row["code"]) == ("orphan", "completed", "print(lr)")
    assert (row["param.lr"], row["tag.exp"], row["launched_here"]) == (0.1, "first", True)
    assert journals(state.history_file) == []


def test_a_run_that_was_listed_first_gets_what_only_its_program_knew(hopx: Any, state: Settings) -> None:
    hopx.history()
    journal = die_while_it_is_held(state)
    aside = journal.rename(journal.with_suffix(".aside"))
    hopx.wait("orphan")
    assert not hopx.history()["launched_here"].any()
    aside.rename(journal)
    (row,) = hopx.history(code=True, output=True).to_dict("records")
    assert (row["status"], row["code"], row["param.lr"]) == ("completed", "print(lr)", 0.1)
    assert row["launched_here"]
    wait_until(lambda: list(hopx.history(output=True)["stdout"]) == ["0.1\n"], "its output is kept, too")


def test_what_is_made_good_is_made_good_once(hopx: Any, state: Settings) -> None:
    hopx.history()
    journal = die_while_it_is_held(state)
    again = shutil.copy(journal, journal.with_suffix(".again"))
    hopx.wait("orphan")
    assert list(hopx.history()["name"]) == ["orphan"]
    hopx.prune(name="orphan", really=True)
    with sqlite3.connect(state.history_file) as db:  # as if its file had not been removed any more
        db.execute(f"INSERT INTO journals VALUES ('{journal.stem.rpartition('-')[2]}', 2, 0)")
    db.close()
    Path(again).rename(journal)
    assert list(hopx.history()["name"]) == []
    assert journals(state.history_file) == []


def test_a_journal_that_was_cut_or_spoilt_costs_what_is_cut(hopx: Any, state: Settings) -> None:
    hopx.history()
    journal = die_while_it_is_held(state)
    first, begun, became = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + b"\xff\0[1]\n[7,{}]\n" + begun + became[:10])
    journal.with_name("history.sqlite.journal-0.jsonl").write_bytes(b"")
    journal.with_name("history.sqlite.journal-1.jsonl").write_bytes(
        b'{"journal":"1","host":"x","pid":1}\n[1,{"type":"No"}]\n'
    )
    hopx.wait("orphan")
    (row,) = hopx.history(code=True).to_dict("records")
    assert (row["name"], row["status"], row["code"]) == ("orphan", "completed", "print(lr)")


# ---------------------------------------------------------------- disks and locks


FILLED = """
import json, os, sqlite3, subprocess, sys, warnings
import hopx_magics as hopx
from hopx_magics import api

folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=True)
os.environ["HOPX_HISTORY"] = folder + "/history.sqlite"
hopx.launch("pass", name="before").wait()
hopx.history()
"""

FULL = """
def fill():
    with open(folder + "/filler", "wb", buffering=0) as stream:
        try:
            while stream.write(b"x" * 512): pass
        except OSError: pass
fill()
end = lambda: os.unlink(folder + "/filler")
"""

READ_ONLY_DISK = """
api.session().close()
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
end = lambda: subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
"""

READ_ONLY_FILE = """
import ctypes
api.session().close()
capabilities = (ctypes.c_uint32 * 6)()  # root may write what nobody may, until it gives that right away
header, libc = (ctypes.c_uint32 * 2)(0x20080522, 0), ctypes.CDLL(None)
assert libc.capget(header, capabilities) == 0
capabilities[0] &= ~0b110  # what it does by it, and what it may do
capabilities[1] &= ~0b110
assert libc.capset(header, capabilities) == 0
os.chmod(folder + "/history.sqlite", 0o444)
end = lambda: os.chmod(folder + "/history.sqlite", 0o600)
"""

NO_LOCKS = """
import ctypes, errno, _sqlite3

class VFS(ctypes.Structure):  # struct sqlite3_vfs, through which SQLite lets its own tests replace system calls
    _fields_ = [
        *[(name, ctypes.c_int) for name in ("version", "file_size", "longest_path")],
        *[(f"other{number}", ctypes.c_void_p) for number in range(16)],
        ("set_system_call", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
    ]

library = ctypes.CDLL(_sqlite3.__file__)
library.sqlite3_vfs_find.restype = ctypes.POINTER(VFS)
vfs = library.sqlite3_vfs_find(None)

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, use_errno=True)
def no_lock(fd, command, lock):
    ctypes.set_errno(errno.EOPNOTSUPP)
    return -1

def replace(function):
    assert vfs.contents.set_system_call(vfs, b"fcntl", function) == 0

api.session().close()
replace(no_lock)
end = lambda: replace(None)
"""

NO_ROOM = """
with open(folder + "/filler", "wb", buffering=0) as stream:
    stream.truncate()
    os.posix_fallocate(stream.fileno(), 0, os.statvfs(folder).f_bavail * os.statvfs(folder).f_bsize - 400_000)
runs = [hopx.launch(f"print('{letter}' * 900_000)", name=letter).wait() for letter in "ab"]
small = hopx.launch("print('small')", name="small").wait()
shown = {name: str(hopx.show(name)) for name in ("a", "small")}
rows = len(hopx.history())
os.unlink(folder + "/filler")
frame = hopx.history(output=True)
print(json.dumps({
    "rows": rows, "shown": shown, "later": str(hopx.show("a")),
    "kept": dict(zip(frame["name"], [len(text) for text in frame["stdout"]]))
}))
"""

GOES_ON = """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    runs = [hopx.launch("print(1)" + "#" * 50_000, name="during", params={"n": n}) for n in range(3)]
    outputs = [run.wait().stdout for run in runs]
    listed = len(hopx.ps())
end()
frame = hopx.history(code=True)
print(json.dumps({
    "notes": [str(each.message) for each in caught if issubclass(each.category, hopx.HistoryWarning)],
    "outputs": outputs, "listed": listed,
    "rows": [[name, status, len(code)] for name, status, code in zip(frame["name"], frame["status"], frame["code"])],
}))
"""


def in_a_place_of_its_own(code: str, folder: Path) -> Any:
    """What a program prints that may mount something on the folder."""
    folder.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    command = [*unshare, sys.executable, "-c", code, str(folder)]
    program = subprocess.run(command, capture_output=True, text=True, timeout=10 * DEADLINE)
    assert program.returncode == 0, program.stderr
    return json.loads(program.stdout)


IN_MEMORY, IN_JOURNAL = "only this program has it", "It is kept in"


@pytest.mark.parametrize(
    ("trouble", "reason", "kept"),
    [
        pytest.param(FULL, "full", IN_MEMORY, id="full disk"),
        pytest.param(READ_ONLY_DISK, "history.sqlite can't be written", IN_MEMORY, id="read-only disk"),
        pytest.param(READ_ONLY_FILE, "history.sqlite can't be written", IN_JOURNAL, id="read-only file"),
        pytest.param(NO_LOCKS, "error", IN_JOURNAL, id="no locks"),
    ],
)
def test_a_file_that_cant_be_written(
    hopx: Any, state: Settings, tmp_path: Path, trouble: str, reason: str, kept: str
) -> None:
    told = in_a_place_of_its_own(FILLED + trouble + GOES_ON, tmp_path / "disk")
    assert told["outputs"] == ["1\n"] * 3
    assert told["listed"] == 4
    assert len(told["notes"]) == 1
    assert reason in told["notes"][0]
    assert kept in told["notes"][0]
    assert told["rows"] == [["during", "completed", 50_008]] * 3 + [["before", "completed", 4]]


def test_an_output_that_has_no_room_is_kept_when_it_has(hopx: Any, state: Settings, tmp_path: Path) -> None:
    told = in_a_place_of_its_own(FILLED + NO_ROOM, tmp_path / "disk")
    assert told["rows"] == 4
    assert "its output is not in the history, and is kept when there is room" in told["shown"]["a"]
    assert "full" in told["shown"]["a"]
    assert "aaaa" in told["shown"]["a"], "its agent has it"
    assert "not in the history" not in told["shown"]["small"]
    assert "not in the history" not in told["later"]
    assert told["kept"] == {"before": 0, "small": 6, "a": 900_001, "b": 900_001}
