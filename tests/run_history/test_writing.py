"""What the history is told of runs, and what becomes of their rows."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.models import Place, ProcessId, RunId
from hopx_magics.run_history import reading, writing
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.entries import begun as begun_now
from hopx_magics.run_history.origin import Origin
from hopx_magics.run_history.reading import Wanted

from .conftest import HERE, NOW, became, begun, forget_lost, launch, seen, statuses


def test_a_launch_is_written_down_before_it_is_sent(history: Database) -> None:
    history.write(
        writing.begin,
        begun_now(
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
        ),
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
    history.write(writing.begin, begun_now([launch("r1", name="train")], HERE, Origin()))
    history.write(writing.record, HERE, [seen("p7", run_id=RunId("r1"), name="train")], NOW)
    run = history.read(reading.find, "r1")
    assert (run.process_id, run.status, run.launched_here) == ("p7", "running", True)


def test_an_agent_that_drops_the_mark_lists_before_it_replies(history: Database) -> None:
    history.write(writing.begin, begun_now([launch("r1", name="train")], HERE, Origin()))
    history.write(writing.record, HERE, [seen("p7", "completed", exit_code=0)], NOW)
    became(history, "r1", "p7")
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
    history.write(writing.begin, begun_now([launch("r1")], HERE, Origin()))
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
    assert [run.process_id for run in [history.read(reading.find, "old")]] == ["old"]
