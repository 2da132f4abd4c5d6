"""The history's file: what is written, by how many at once, what becomes of a damaged one, and what is read back."""

import json
import multiprocessing
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.errors import HistoryError, UnknownRun
from hopx_magics.models import KeptOutput, Launch, Place, ProcessId, RunId
from hopx_magics.run_history import pruning, reading, writing
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.migrations import MIGRATIONS
from hopx_magics.run_history.origin import Origin
from hopx_magics.run_history.pruning import Limits
from hopx_magics.run_history.reading import Wanted
from hopx_magics.run_history.recorder import prune
from hopx_magics.run_history.writing import Seen
from hopx_magics.words import STATUSES, Status

HERE = Place("local", "agent of this machine")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture
def history(file: Path) -> Any:
    history = Database(file)
    yield history
    history.close()


def launch(run_id: str, **facts: Any) -> Launch:
    return Launch(**{"code": "print(1)", "run_id": RunId(run_id), **facts})


def seen(process_id: str, status: Status = "running", **facts: Any) -> Seen:
    unknown = dict.fromkeys(Seen._fields)
    return Seen(**{**unknown, "process_id": ProcessId(process_id), "status": status, **facts})


def begun(history: Database, *run_ids: str, place: Place = HERE, **facts: Any) -> None:
    """Launches whose processes are called like the runs."""
    history.write(writing.begin, [launch(run_id, **facts) for run_id in run_ids], place, Origin())
    for run_id in run_ids:
        history.write(writing.launched, RunId(run_id), ProcessId(f"proc_{run_id}"), None, "running")


def forget_lost(history: Database, listed: list[ProcessId], at: datetime, listed_after: float) -> None:
    history.write(writing.forget, history.read(writing.lost, HERE, listed, at, listed_after), at)


def statuses(history: Database) -> dict[str, str]:
    columns = history.read(reading.columns, Wanted())
    return {run_id: STATUSES[status] for run_id, status in zip(columns["run_id"], columns["status"], strict=True)}


# ---------------------------------------------------------------- rows


def test_a_launch_is_written_down_before_it_is_sent(history: Database) -> None:
    history.write(
        writing.begin,
        [
            launch(
                "r1",
                name="train",
                language="bash",
                timeout=60,
                env={"TOKEN": "s3cret", "A": "1"},
                workdir="/work",
                params={"lr": 0.1},
                tags={"exp": "first"},
                sweep_id="s1",
                rerun_of=RunId("r0"),
            )
        ],
        Place("gpu", "https://agent", "sandbox_1"),
        Origin("train.ipynb", "cell-3"),
        "1.2.3",
    )
    run = history.read(reading.find, "r1")
    assert (run.status, run.process_id, run.launched_here) == ("queued", None, True)
    assert (run.name, run.language, run.timeout, run.workdir, run.code) == ("train", "bash", 60, "/work", "print(1)")
    assert (run.params, run.tags, run.sweep_id, run.rerun_of) == ({"lr": 0.1}, {"exp": "first"}, "s1", "r0")
    assert (run.connection, run.agent, run.sandbox) == ("gpu", "https://agent", "sandbox_1")
    assert (run.notebook, run.cell, run.version) == ("train.ipynb", "cell-3", "1.2.3")
    assert run.env_names == ("A", "TOKEN")
    assert run.launched_at is not None
    assert abs(datetime.now(UTC) - run.launched_at) < timedelta(minutes=1)


def test_values_of_the_environment_are_not_kept(history: Database, file: Path) -> None:
    begun(history, "r1", env={"TOKEN": "s3cret-value"})
    history.close()
    assert b"TOKEN" in file.read_bytes()
    assert b"s3cret-value" not in file.read_bytes()


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        7,
        -0.0,
        2**70,
        True,
        None,
        "",
        'it\'s "quoted"',
        "two\nlines",
        "ünï🙂",
        "\u2028",
        [1, [2, None]],
        {"a": {"b": []}},
    ],
)
def test_a_parameter_comes_back_as_it_was(history: Database, value: Any) -> None:
    begun(history, "r1", params={"x": value})
    found = history.read(reading.find, "r1").params["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_so_do_numbers_that_json_has_not(history: Database, value: Any) -> None:
    begun(history, "r1", params={"x": value})
    assert repr(history.read(reading.find, "r1").params) == repr({"x": value})


def test_a_run_goes_on_as_it_is_listed(history: Database) -> None:
    begun(history, "r1")
    history.write(writing.record, HERE, [seen("proc_r1", started_at=10**15, pid=7)], NOW)
    run = history.read(reading.find, "r1")
    assert (run.status, run.pid, run.seen_at) == ("running", 7, run.launched_at)
    history.write(
        writing.record,
        HERE,
        [seen("proc_r1", "failed", started_at=10**15, completed_at=10**15 + 5, exit_code=3, execution_time=2.5)],
        NOW + timedelta(minutes=1),
    )
    run = history.read(reading.find, "r1")
    assert (run.status, run.exit_code, run.execution_time, run.seen_at) == (
        "failed",
        3,
        2.5,
        NOW + timedelta(minutes=1),
    )
    assert run.process.ended


def test_an_end_that_was_seen_is_final(history: Database) -> None:
    begun(history, "r1")
    history.write(writing.record, HERE, [seen("proc_r1", "completed", exit_code=0)], NOW)
    history.write(writing.record, HERE, [seen("proc_r1", "running")], NOW - timedelta(seconds=1))
    assert statuses(history) == {"r1": "completed"}


def test_what_was_launched_elsewhere_is_written_down_too(history: Database) -> None:
    history.write(writing.record, HERE, [seen("p1", name="theirs", language="go")], NOW)
    history.write(writing.record, HERE, [seen("p1", "completed", exit_code=0)], NOW)
    run = history.read(reading.find, "p1")
    assert (run.launched_here, run.name, run.status, run.code) == (False, "theirs", "completed", None)
    assert len(statuses(history)) == 1


def test_the_same_process_id_of_two_agents_is_two_runs(history: Database) -> None:
    history.write(writing.record, HERE, [seen("p1")], NOW)
    history.write(writing.record, Place("other", "another"), [seen("p1", "failed")], NOW)
    assert sorted(statuses(history).values()) == ["failed", "running"]


def test_a_lost_reply_is_made_good_by_the_mark(history: Database) -> None:
    history.write(writing.begin, [launch("r1", name="train")], HERE, Origin())
    history.write(writing.record, HERE, [seen("p7", run_id=RunId("r1"), name="train")], NOW)
    run = history.read(reading.find, "r1")
    assert (run.process_id, run.status, run.launched_here) == ("p7", "running", True)


def test_an_agent_that_drops_the_mark_lists_before_it_replies(history: Database) -> None:
    history.write(writing.begin, [launch("r1", name="train")], HERE, Origin())
    history.write(writing.record, HERE, [seen("p7", "completed", exit_code=0)], NOW)
    history.write(writing.launched, RunId("r1"), ProcessId("p7"), "exec_1", "running")
    assert statuses(history) == {"r1": "completed"}
    assert history.read(reading.find, "p7").exit_code == 0


def test_what_an_agent_forgot_is_unknown_and_not_ended(history: Database) -> None:
    begun(history, "r1", "r2")
    later = datetime.now(UTC) + timedelta(seconds=30)
    forget_lost(history, [ProcessId("proc_r2")], later, 60)
    assert statuses(history) == {"r2": "running", "r1": "running"}, "it may not be listed yet"
    forget_lost(history, [ProcessId("proc_r2")], later, 10)
    assert statuses(history) == {"r2": "running", "r1": "unknown"}
    assert history.read(reading.find, "r1").status_detail == "the agent no longer lists it"
    history.write(writing.record, HERE, [seen("proc_r1", "completed")], later)
    assert statuses(history)["r1"] == "completed", "it was there after all"


def test_a_launch_that_never_arrived_is_unknown_after_a_while(history: Database) -> None:
    history.write(writing.begin, [launch("r1")], HERE, Origin())
    forget_lost(history, [], datetime.now(UTC) + timedelta(seconds=30), 10)
    assert statuses(history) == {"r1": "queued"}, "its reply may still come"
    forget_lost(history, [], datetime.now(UTC) + timedelta(seconds=90), 10)
    assert statuses(history) == {"r1": "unknown"}
    assert "did not reach the agent" in str(history.read(reading.find, "r1").status_detail)


def test_what_goes_on_is_as_old_as_its_agents_last_answer(history: Database) -> None:
    begun(history, "r1")
    later = datetime.now(UTC) + timedelta(hours=1)
    history.write(writing.answered, HERE, later)
    assert history.read(reading.find, "r1").seen_at == later
    history.write(writing.answered, HERE, later - timedelta(hours=3))  # a clock that was put back
    assert history.read(reading.find, "r1").seen_at == later


def test_a_clock_that_goes_back_costs_no_run(history: Database) -> None:
    begun(history, "r1")
    begun(history, "r2")
    with sqlite3.connect(history.file) as db:
        db.execute("UPDATE runs SET launched_at = 5 WHERE run_id = 'r2'")
    db.close()
    assert list(statuses(history)) == ["r1", "r2"]
    assert history.read(reading.find, "r2").seen_at is not None


def test_the_newest_is_what_was_launched_last_and_not_what_was_listed_last(history: Database) -> None:
    begun(history, "new", name="train")
    history.write(writing.record, HERE, [seen("old", "completed", name="train", started_at=10**15)], NOW)
    assert list(history.read(reading.columns, Wanted(), code=True)["code"]) == ["print(1)", None]
    assert history.read(reading.find, "train").run_id == "new"
    assert history.read(reading.find, "old").process_id == "old"


# ---------------------------------------------------------------- finding and choosing


def test_a_run_is_found_by_ids_their_beginnings_and_its_name(history: Database) -> None:
    begun(history, "aa11", name="train")
    begun(history, "aa22", name="train")
    begun(history, "bb33", name="*")
    assert history.read(reading.find, "train").run_id == "aa22"
    assert history.read(reading.find, "proc_aa11").run_id == "aa11"
    assert history.read(reading.find, "bb").run_id == "bb33"
    assert history.read(reading.find, "*").run_id == "bb33"
    with pytest.raises(UnknownRun, match=r"several runs .*'aa'(?s:.*)Which one\? aa22 \(train\), aa11 \(train\)"):
        history.read(reading.find, "aa")
    with pytest.raises(UnknownRun, match=r"no run 'trian'(?s:.*)There is aa22 \(train\)"):
        history.read(reading.find, "trian")
    with pytest.raises(UnknownRun):
        history.read(reading.find, "")


def test_an_empty_history(history: Database) -> None:
    columns = history.read(reading.columns, Wanted(), code=True, output=True)
    assert all(values == [] for values in columns.values())
    with pytest.raises(UnknownRun, match="The history is empty"):
        history.read(reading.find, "x")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(name="train-*"), "a b"),
        (Wanted(name="train-[!a]"), "b"),
        (Wanted(statuses=("completed", "failed")), "c"),
        (Wanted(language="bash"), "b"),
        (Wanted(tags={"exp": "1"}), "a b"),
        (Wanted(tags={"exp": "1", "by": "me; DROP"}), "b"),
        (Wanted(tags={"nothing": "1"}), ""),
        (Wanted(sweep_id="s1"), "a"),
        (Wanted(limit=2), "c b"),
        (Wanted(limit=0), ""),
        (Wanted(since=0), "c b a"),
        (Wanted(since=2**52), ""),
        (Wanted(name="train-*", limit=1), "b"),
    ],
)
def test_choosing(history: Database, wanted: Wanted, found: str) -> None:
    begun(history, "a", name="train-a", tags={"exp": "1"}, sweep_id="s1")
    begun(history, "b", name="train-b", tags={"exp": "1", "by": "me; DROP"}, language="bash")
    begun(history, "c", name="other")
    history.write(writing.record, HERE, [seen("proc_c", "failed")], NOW)
    assert set(history.read(reading.columns, wanted)["run_id"]) == set(found.split())


def test_code_and_output_come_when_they_are_asked_for(history: Database) -> None:
    begun(history, "a", code="print('a')")
    begun(history, "b", code="print('b')")
    history.write(writing.record, HERE, [seen("proc_a", "completed")], NOW)
    (due,) = history.read(reading.outputs_due, HERE)
    assert due.process_id == "proc_a"
    history.write(
        writing.keep_output,
        due.number,
        {
            "stdout": KeptOutput(head=b"first \xff", tail=b"last", size=1_000_010),
            "stderr": KeptOutput(head=b"", tail=b"", size=0),
        },
    )
    assert history.read(reading.outputs_due, HERE) == []
    columns = history.read(reading.columns, Wanted(), code=True, output=True)
    assert columns["code"] == ["print('b')", "print('a')"]
    assert columns["stderr"] == [None, ""]
    assert columns["stdout"][0] is None
    assert columns["stdout"][1].splitlines()[0] == "first �"
    assert "999,999 bytes are left out" in columns["stdout"][1]
    assert columns["stdout_bytes"] == [None, 1_000_010]
    assert history.read(reading.output, RunId("a"))["stdout"].tail == b"last"


def test_a_hundred_thousand_runs(history: Database) -> None:
    history.write(writing.begin, [launch(f"r{n}", params={"n": n}) for n in range(100_000)], HERE, Origin())
    columns = history.read(reading.columns, Wanted())
    assert len(columns["run_id"]) == 100_000
    assert json.loads(columns["params"][0]) == {"n": 99_999}
    assert history.read(reading.columns, Wanted(limit=2))["run_id"] == ["r99999", "r99998"]


# ---------------------------------------------------------------- the last look


def test_what_happened_since_the_last_look(history: Database) -> None:
    history.write(writing.begin, [launch("r1"), launch("r2")], HERE, Origin("a.ipynb"))
    history.write(writing.begin, [launch("r3")], HERE, Origin("b.ipynb"))
    for run_id in ("r1", "r2", "r3"):
        history.write(writing.launched, RunId(run_id), ProcessId(run_id), None, "running")
    history.write(writing.looked, "a.ipynb")
    now = datetime.now(UTC) + timedelta(seconds=1)
    history.write(
        writing.record,
        HERE,
        [seen("r1", "failed", completed_at=round(now.timestamp() * 1e6)), seen("r3", "failed")],
        now,
    )
    recent = history.read(reading.recent, "a.ipynb", "/")
    assert (recent.going, recent.failed, recent.completed) == (1, 1, 0)


# ---------------------------------------------------------------- limits


def ended(history: Database, *run_ids: str, size: int = 0) -> None:
    begun(history, *run_ids)
    history.write(writing.record, HERE, [seen(f"proc_{run_id}", "completed") for run_id in run_ids], NOW)
    for due in history.read(reading.outputs_due, HERE):
        history.write(writing.keep_output, due.number, {"stdout": KeptOutput(head=b"x" * size, tail=b"", size=size)})


def test_what_is_beyond_the_limits_goes_the_oldest_first(file: Path) -> None:
    history = Database(file)
    limits = Limits(runs=3, output=2_500, stream=1_000)
    begun(history, "going")
    ended(history, "a", "b", "c", "d", size=1000)
    gone = history.read(pruning.over_limits, limits)
    assert [(run.run_id, run.whole, run.bytes) for run in gone] == [("a", True, 1000), ("b", True, 1000)]
    assert history.read(pruning.over_limits, limits, 2.0) == []
    assert len(statuses(history)) == 5, "nothing went yet"
    prune(history, gone)
    assert sorted(statuses(history)) == ["c", "d", "going"]
    assert history.read(reading.output, RunId("c"))["stdout"].size == 1000
    assert history.read(pruning.over_limits, limits) == []
    history.close()


def test_outputs_go_before_the_runs_do(file: Path) -> None:
    history = Database(file)
    limits = Limits(runs=100, output=2_500, stream=1_000)
    ended(history, "a", "b", "c", "d", size=1000)
    gone = history.read(pruning.over_limits, limits)
    assert [(run.run_id, run.whole) for run in gone] == [("a", False), ("b", False)]
    prune(history, gone)
    assert len(statuses(history)) == 4
    assert history.read(reading.output, RunId("a")) == {}
    assert history.read(reading.output, RunId("c"))["stdout"].head == b"x" * 1000
    history.close()


def test_what_is_chosen_goes_but_nothing_that_goes_on(history: Database, file: Path) -> None:
    ended(history, "a", "b", size=100_000)
    begun(history, "c")
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    before = file.stat().st_size
    prune(history, history.read(pruning.chosen, Wanted()))
    assert list(statuses(history)) == ["c"]
    history.close()
    assert file.stat().st_size < before - 150_000, "the disk has its room back"


def test_what_was_removed_does_not_come_back(history: Database) -> None:
    ended(history, "a", "b")
    prune(history, history.read(pruning.chosen, Wanted(run_ids=(RunId("a"),))))
    history.write(writing.record, HERE, [seen("proc_a", "completed"), seen("proc_b", "completed")], NOW)
    assert list(statuses(history)) == ["b"]


# ---------------------------------------------------------------- the file


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
    assert tables == {"migrations", "codes", "runs", "agents", "outputs", "looks", "removed", "waiting"}
    assert made == ["codes", "runs", "agents", "outputs", "order", "removed", "looks", "waiting"]
    assert columns == [
        *("number", "run_id", "process_id", "execution_id", "connection", "agent", "sandbox", "name", "tags", "params"),
        *("sweep_id", "rerun_of", "language", "code_hash", "workdir", "timeout", "env_names", "notebook", "cell"),
        *("version", "launched_here", "launched_at", "started_at", "completed_at", "seen_at", "status"),
        *("status_detail", "exit_code", "execution_time", "pid", "stdout_bytes", "stderr_bytes", "output_due"),
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


def _write_many(file: Path, name: str, count: int, ready: Any) -> None:
    history = Database(file)
    ready.wait()
    for n in range(count):
        begun(history, f"{name}{n}")
        history.write(writing.record, HERE, [seen(f"proc_{name}{n}", "completed"), seen("common", "running")], NOW)
    history.close()


def test_two_programs_write_two_thousand_rows_each(file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    writers = [context.Process(target=_write_many, args=(file, name, 2000, ready)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
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
