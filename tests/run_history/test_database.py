"""The file of the history: written by many at once, older, newer, damaged, gone."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hopx_magics.errors import HistoryError
from hopx_magics.run_history import reading
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.migrations import MIGRATIONS
from hopx_magics.run_history.reading import Wanted

from .conftest import begun, statuses


def test_a_file_that_is_taken_away_is_noticed(history: Database, file: Path) -> None:
    begun(history, "a")
    for path in file.parent.glob("history.sqlite*"):
        path.unlink()
    begun(history, "b")
    assert list(statuses(history)) == ["b"]
    assert file.exists()
    assert "was taken away" in history.notes[0]


def test_the_final_schema(history: Database, file: Path) -> None:
    history.read(reading.columns, Wanted())
    with sqlite3.connect(file) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(runs)")]
        made = [name for (name,) in db.execute("SELECT name FROM migrations ORDER BY made_at, rowid")]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    assert tables == {
        "migrations",
        "codes",
        "runs",
        "agents",
        "outputs",
        "kept",
        "looks",
        "removed",
        "waiting",
        "journals",
    }
    assert made == [
        "codes",
        "runs",
        "agents",
        "outputs",
        "order",
        "removed",
        "looks",
        "waiting",
        "first_line",
        "journals",
        "codes in use",
        "leftovers",
        "values",
        "usage",
        "bounds",
        "usual times",
        "usage of GPUs",
        "notices",
        "terms",
    ]
    assert columns == [
        *("number", "run_id", "process_id", "execution_id", "connection", "agent", "sandbox", "name", "tags", "params"),
        *("sweep_id", "rerun_of", "language", "code_hash", "workdir", "timeout", "env_names", "notebook", "cell"),
        *("version", "launched_here", "launched_at", "started_at", "completed_at", "seen_at", "status"),
        *(
            "status_detail",
            "exit_code",
            "execution_time",
            "pid",
            "stdout_bytes",
            "stderr_bytes",
            "output_due",
            "first_line",
            "leftovers",
            "kill_leftovers",
            "values_in",
            "keep",
            "sweep_index",
            "values_out",
            "displays",
            "peak_memory_bytes",
            "cpu_seconds",
            "stopped_when",
            "peak_gpu_memory_bytes",
            "notice",
        ),
        "terms",
    ]
    assert file.stat().st_mode & 0o077 == 0, "nobody else may read it"


def test_a_file_of_an_older_version_opens(file: Path) -> None:
    file.parent.mkdir()
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, made_at INTEGER NOT NULL)")
        for name in ("codes", "runs"):
            for statement in MIGRATIONS[name]:
                db.execute(statement)
            db.execute("INSERT INTO migrations VALUES (?, 0)", (name,))
        db.execute(
            "INSERT INTO runs (run_id, connection, agent, launched_here, status, output_due) "
            "VALUES ('old', 'local', 'agent of this machine', 1, 'completed', 0)"
        )
    db.close()
    history = Database(file)
    begun(history, "new")
    assert statuses(history) == {"new": "running", "old": "completed"}
    history.close()


def test_a_file_of_a_newer_version_is_left_alone(file: Path, history: Database) -> None:
    begun(history, "r1")
    history.close()
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO migrations VALUES ('something new', 0)")
    db.close()
    before = file.read_bytes()
    with pytest.raises(HistoryError, match=r"newer version(?s:.*)something new(?s:.*)HOPX_HISTORY"):
        history.read(reading.find, "r1")
    assert file.read_bytes() == before


@pytest.mark.parametrize("garbage", [b"not a database at all" * 100, b"SQLite format 3\0" + os.urandom(5000)])
def test_a_damaged_file_is_set_aside(file: Path, history: Database, garbage: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(garbage)
    begun(history, "r1")
    assert statuses(history) == {"r1": "running"}
    (aside,) = file.parent.glob("history.damaged-*.sqlite")
    assert aside.read_bytes() == garbage
    (note,) = history.notes
    assert "was damaged" in note
    assert str(aside) in note


def test_damage_in_the_middle_of_its_life(file: Path, history: Database) -> None:
    for n in range(50):
        begun(history, f"r{n}", code=f"# {n}\n" * 500)
    history.close()
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xa5" * (size - 8192))
    assert history.read(reading.columns, Wanted(), code=True)["run_id"] == []
    begun(history, "new")
    assert list(statuses(history)) == ["new"]
    assert len(list(file.parent.glob("history.damaged-*.sqlite"))) == 1


def test_a_folder_that_cant_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = Database(tmp_path / "file" / "history.sqlite")
    with pytest.raises(HistoryError, match=r"history\.sqlite can't be used: .*\n.*HOPX_HISTORY"):
        history.read(reading.columns, Wanted())


WRITE_MANY = """
import sys
from pathlib import Path
from hopx_magics.run_history import writing
from hopx_magics.run_history.database import Database
from tests.run_history.conftest import HERE, NOW, begun, seen

file, name = Path(sys.argv[1]), sys.argv[2]
history = Database(file)
print("ready", flush=True)
sys.stdin.readline()
for n in range(2000):
    begun(history, f"{name}{n}")
    history.write(writing.record, HERE, [seen(f"proc_{name}{n}", "completed"), seen("common", "running")], NOW)
history.close()
"""


def test_two_programs_write_two_thousand_rows_each(file: Path) -> None:
    with contextlib.ExitStack() as programs:
        command, root = [sys.executable, "-c", WRITE_MANY, str(file)], Path(__file__).parents[2]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        writers = [
            programs.enter_context(subprocess.Popen([*command, name], cwd=root, text=True, **pipes)) for name in "ab"
        ]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
    assert [writer.returncode for writer in writers] == [0, 0]
    history = Database(file)
    found = statuses(history)
    assert len(found) == 4001
    assert sorted(found.values()).count("completed") == 4000
    history.close()


def test_a_fork_goes_on_with_a_connection_of_its_own(history: Database) -> None:
    begun(history, "parent")
    child = os.fork()
    if child == 0:
        try:
            begun(history, "child")
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    begun(history, "after")
    assert set(statuses(history)) == {"parent", "child", "after"}
