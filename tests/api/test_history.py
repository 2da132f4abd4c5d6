"""The run history from plain Python, on real processes of a real local agent."""

import os
import signal
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hopx_magics import api
from hopx_magics.display.history_frame import COLUMNS
from hopx_magics.errors import AgentWarning, HistoryWarning, LaunchError, UnknownConnection, UnknownProcess, UnknownRun
from hopx_magics.settings import Settings
from hopx_magics.sources import HistorySource
from hopx_magics.words import STATUSES
from tests.conftest import OddAgent, stop_agent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE, is_running, wait_until


def test_every_run_is_in_the_history(hopx: Any, tmp_path: Path) -> None:
    done = hopx.launch("print('hello')", name="train", tags={"exp": "first"}, params={"lr": 0.1}, timeout="1h")
    bad = hopx.launch("import sys; print('no', file=sys.stderr); sys.exit(3)", name="broken")
    going = hopx.launch("import time; time.sleep(1000)", name="slow", env={"KEY": "secret-value"})
    hopx.wait(done, bad)
    frame = hopx.history(code=True, output=True)
    assert list(frame["name"]) == ["slow", "broken", "train"]
    assert list(frame["status"]) == ["running", "failed", "completed"]
    last = frame.iloc[2]
    assert (last["exit_code"], last["connection"], last["language"], last["timeout"]) == (0, "local", "python", 3600)
    assert (last["process_id"], last["run_id"]) == (done.process_id, done.run_id)
    assert (last["code"], last["stdout"], last["stderr"]) == ("print('hello')", "hello\n", "")
    assert (last["param.lr"], last["tag.exp"]) == (0.1, "first")
    assert last["workdir"] == os.getcwd()
    assert last["launched_at"] <= last["started_at"] <= last["completed_at"]
    assert 0 < last["execution_time"] < DEADLINE
    assert frame.loc[1, "stderr"] == "no\n"
    assert frame.loc[0, "env_names"] == "KEY"
    assert frame["launched_here"].all()
    going.kill()
    assert list(hopx.history(name="slow")["status"]) == ["killed"]


def test_columns_and_dtypes_are_fixed_also_when_it_is_empty(hopx: Any) -> None:
    empty = hopx.history(code=True, output=True)
    hopx.launch("pass", params={"n": 1}).wait()
    frame = hopx.history(code=True, output=True)
    assert list(empty.columns) == [*COLUMNS, "code", "stdout", "stderr"]
    assert list(frame.columns) == [*empty.columns, "param.n"]
    pd.testing.assert_series_equal(frame.dtypes[: len(empty.columns)], empty.dtypes)
    assert list(frame["status"].cat.categories) == list(STATUSES)
    for column in ("launched_at", "started_at", "completed_at", "seen_at"):
        assert str(frame[column].dtype) == "datetime64[us, UTC]"
    assert [str(frame[column].dtype) for column in ("exit_code", "timeout", "execution_time", "name")] == [
        *("Int64", "Int64", "float64", "str")
    ]


def test_numbers_stay_numbers(hopx: Any) -> None:
    nan = float("nan")
    first = {"n": 1, "x": 0.5, "s": "a", "b": True, "l": [1, 2], "m": 1, "none": None, "nan": nan}
    hopx.launch("pass", params=first)
    hopx.launch("pass", params={"n": 2, "x": 1, "s": "b", "m": "text"})
    frame = hopx.history()
    dtypes = {name: str(frame[f"param.{name}"].dtype) for name in ("n", "x", "s", "b", "l", "m", "nan")}
    assert dtypes == {
        "n": "Int64",
        "x": "float64",
        "s": "str",
        "b": "boolean",
        "l": "object",
        "m": "object",
        "nan": "float64",
    }
    assert list(frame["param.n"]) == [2, 1]
    assert frame.loc[1, "param.l"] == (1, 2)
    assert frame["param.none"].isna().all()
    assert frame["param.b"].isna().tolist() == [True, False]


def test_parameters_of_any_kind_can_be_grouped_pivoted_and_compared(hopx: Any) -> None:
    values = [[32, 64], [64], 64, {"a": [1]}, "text", [9], None]
    sweep = hopx.sweep("pass", {"x": values, "y": [1, 2]}).wait()
    hopx.launch("pass", params={"y": 1}).wait()
    frame = hopx.history()
    column = frame["param.x"]
    assert (column == (32, 64)).sum() == 2
    assert (column == {"a": (1,)}).sum() == 2
    assert column.isin([(64,)]).sum() == 2
    assert list(frame.groupby("param.x")["param.y"].sum()) == [3] * 6
    lists = frame[column.map(lambda value: isinstance(value, tuple))]
    assert list(lists.groupby("param.x", dropna=False).size().index) == [(9,), (32, 64), (64,)]
    assert list(lists.sort_values("param.x")["param.x"].unique()) == [(9,), (32, 64), (64,)]
    pivoted = lists.pivot_table(index="param.x", columns="param.y", values="exit_code", aggfunc="count")
    assert pivoted.shape == (3, 2)
    assert frame.hopx.by("x").loc["(32, 64)", "count"] == 2
    assert sweep[0].params["x"] == [32, 64]


def test_none_is_not_what_is_absent(hopx: Any) -> None:
    hopx.sweep("pass", {"dropout": [None, 0.1]}).wait()
    hopx.launch("pass").wait()
    frame = hopx.history()
    absent, number, none = frame["param.dropout"]
    assert (absent is pd.NA, number, none) == (True, 0.1, None)
    counts = frame.hopx.by("param.dropout")["count"]
    assert counts[counts.index.notna()].to_dict() == {0.1: 1, "None": 1}
    assert counts[counts.index.isna()].tolist() == [1]
    assert frame["param.dropout"].mean() == 0.1


def test_filters(hopx: Any) -> None:
    hopx.launch("pass", name="train-a", tags={"exp": "1"}).wait()
    hopx.launch("exit 1", name="train-b", language="bash").wait()
    assert list(hopx.history(name="train-*", limit=1)["name"]) == ["train-b"]
    assert list(hopx.history(tags={"exp": "1"})["name"]) == ["train-a"]
    assert list(hopx.history(status="failed")["name"]) == ["train-b"]
    assert list(hopx.history(language="sh")["name"]) == ["train-b"]
    assert len(hopx.history(since="1h")) == 2
    assert len(hopx.history(since=0)) == 0
    with pytest.raises(ValueError, match=r"'broken' is no status: use queued"):
        hopx.history(status="broken")
    with pytest.raises(ValueError, match=r"'soon' is no span of time"):
        hopx.history(since="soon")


def test_what_others_launched_is_there_too(hopx: Any, state: Settings) -> None:
    other = {**os.environ, "HOPX_HISTORY": str(state.history_file.with_name("other.sqlite"))}
    code = "import hopx_magics as hopx; print(hopx.launch('pass', name='theirs').wait().process_id)"
    theirs = subprocess.run([sys.executable, "-c", code], env=other, capture_output=True, text=True, check=True)
    hopx.ps()
    (row,) = hopx.history().to_dict("records")
    assert (row["name"], row["process_id"]) == ("theirs", theirs.stdout.strip())
    assert not row["launched_here"]
    with pytest.raises(LaunchError, match=r"the code of \w+ is not known"):
        hopx.rerun("theirs")


# ---------------------------------------------------------------- programs that die


def run_in_another_program(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_killed_between_row_and_launch(hopx: Any, state: Settings) -> None:
    died = run_in_another_program(
        "import os, hopx_magics as hopx\n"
        "from hopx_magics.client.agent import Agent\n"
        "Agent.launch = lambda *args: os.kill(os.getpid(), 9)\n"
        "hopx.launch('print(1)', name='lost')"
    )
    assert died.returncode == -signal.SIGKILL
    assert list(hopx.history()["status"]) == ["queued"], "its launch may still be on its way"
    with sqlite3.connect(state.history_file) as db:  # two minutes pass
        db.execute("UPDATE runs SET launched_at = launched_at - 120000000")
    db.close()
    api.session().close()
    frame = hopx.history(code=True)
    assert list(frame["status"]) == ["unknown"]
    assert frame.loc[0, "code"] == "print(1)"
    assert hopx.rerun("lost").wait().stdout == "1\n"


def test_killed_between_launch_and_reply(hopx: Any) -> None:
    died = run_in_another_program(
        "import os, hopx_magics as hopx\n"
        "from hopx_magics.client import agent\n"
        "agent.decode_launched = lambda *args, **kwargs: os.kill(os.getpid(), 9)\n"
        "hopx.launch('print(1)', name='found')"
    )
    assert died.returncode == -signal.SIGKILL
    run = hopx.attach("found")
    assert run.wait().exit_code == 0
    frame = hopx.history(output=True)
    assert list(frame["status"]) == ["completed"]
    assert list(frame["stdout"]) == ["1\n"]
    assert frame["launched_here"].all()
    assert frame["run_id"].iloc[0] == run.run_id


def test_the_next_program_sees_the_end_and_keeps_the_output(hopx: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run_in_another_program(
        f"import hopx_magics as hopx\nhopx.launch('''import os, time\nwhile not os.path.exists({str(go)!r}):\n"
        "    time.sleep(0.02)\nprint('after')''', name='survivor')"
    )
    assert list(hopx.history()["status"]) == ["running"]
    go.touch()
    hopx.wait("survivor")
    assert list(hopx.history(output=True)["stdout"]) == ["after\n"]


def test_a_program_that_ends_at_once_has_kept_the_output(hopx: Any, state: Settings) -> None:
    run_in_another_program("import hopx_magics as hopx\nhopx.launch('print(1)', name='quick').wait()")
    stop_agent(state)
    with sqlite3.connect(state.history_file) as db:
        assert db.execute("SELECT head FROM outputs WHERE stream = 'stdout'").fetchall() == [(b"1\n",)]
    db.close()


# ---------------------------------------------------------------- attach


def test_attaching_to_what_is_gone(hopx: Any, state: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run = hopx.launch("print('kept')", name="old").wait()
    hopx.history()
    api.session().close()
    stop_agent(state)
    for folder in (state.agent_folder / "processes").iterdir():
        subprocess.run(["rm", "-r", folder], check=True)
    (state.agent_folder / "finished.jsonl").unlink()
    api.session.cache_clear()
    past = hopx.attach("old")
    assert isinstance(past.source, HistorySource)
    assert (past.process_id, past.status, past.exit_code) == (run.process_id, "completed", 0)
    assert past.stdout == "kept\n"
    assert past.logs(tail=1) == "kept"
    assert past.end_of("stdout", 3).text == "pt\n"
    assert list(past.follow()) == [("stdout", "kept\n")]
    assert past.wait() is past
    assert hopx.wait(past) == [past]
    assert past.kill() == "already finished"
    assert "completed" in repr(past)
    assert "from the history" in repr(past)
    with pytest.raises(UnknownProcess, match="no process 'older'"):
        hopx.attach("older")


def test_what_the_agent_forgot_becomes_unknown(hopx: Any, state: Settings) -> None:
    hopx.launch("import time; time.sleep(1000)", name="lost")
    hopx.ps()
    with sqlite3.connect(state.history_file) as db:  # it has been running for a while
        db.execute("UPDATE runs SET launched_at = launched_at - 120000000")
    db.close()
    api.session().close()
    pid = int(wait_until(lambda: list(hopx.ps()["pid"].dropna()), "it runs")[0])
    stop_agent(state, signal.SIGKILL)
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    wait_until(lambda: not is_running(pid), "it is dead")
    subprocess.run(["rm", "-r", state.agent_folder / "processes"], check=True)
    assert list(hopx.history()["status"]) == ["unknown"]
    past = hopx.attach("lost")
    assert isinstance(past.source, HistorySource)
    assert past.status == "unknown"
    with pytest.raises(UnknownProcess, match=r"was last seen unknown\nIts agent no longer has it"):
        past.wait()


def test_an_agent_that_cant_be_reached_leaves_the_last_state(
    hopx: Any, odd_agent: Callable[[Answer], OddAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(asked: Asked) -> None:
        if asked.method == "POST":
            asked.reply({"process_id": "p1", "status": "running"})
        else:
            row = {"process_id": "p1", "status": "running", "started_at": "2026-01-01T00:00:00Z"}
            asked.reply({"processes": [row] if len(agent.asked) > 1 else []})

    monkeypatch.setenv("HOPX_RETRY_SECONDS", "0.2")
    agent = odd_agent(answer)
    hopx.connect(agent.url, name="far")
    run = hopx.launch("pass", name="there")
    assert run.status == "running"
    agent.close()
    assert run.process.status == "running", "nobody has seen its end"
    (row,) = hopx.history().to_dict("records")
    assert (row["status"], row["connection"]) == ("running", "far")
    assert row["seen_at"] >= row["launched_at"]

    api.session().close()
    api.session.cache_clear()
    past = hopx.attach("there")
    assert isinstance(past.source, HistorySource), "there is no connection to it in this session"
    assert (past.status, past.connection) == ("running", "far")
    assert "last seen" in repr(past)
    with pytest.raises(UnknownProcess, match=r"no connection to its agent \(far\)"):
        past.kill()
    with pytest.raises(UnknownConnection, match=r"launched on 'far'(?s:.*)--here"):
        hopx.rerun("there")
    with pytest.warns(AgentWarning, match="runs of an earlier kernel may go on on far"):
        assert hopx.rerun("there", on="local").wait().exit_code == 0


# ---------------------------------------------------------------- again, and in what it differs


def test_launching_again(hopx: Any, tmp_path: Path) -> None:
    first = hopx.launch(
        "print(lr, seed)", name="train", params={"lr": 0.1, "seed": 1}, tags={"exp": "a"}, workdir=str(tmp_path)
    ).wait()
    again = hopx.rerun(first, params={"lr": 0.2}).wait()
    assert again.stdout == "0.2 1\n"
    frame = hopx.history(code=True)
    assert list(frame["rerun_of"].dropna()) == [first.run_id]
    assert list(frame["param.lr"]) == [0.2, 0.1]
    assert list(frame["tag.exp"]) == ["a", "a"]
    assert frame["code"].nunique() == frame["code_hash"].nunique() == 1
    assert (frame["workdir"] == str(tmp_path)).all()


def test_an_environment_is_given_again(hopx: Any) -> None:
    first = hopx.launch("import os; print(os.environ['KEY'])", name="keyed", env={"KEY": "one"}).wait()
    assert hopx.rerun(first).wait().stdout == "one\n", "this program knows what it launched"
    api.session().close()
    api.session.cache_clear()
    with pytest.raises(LaunchError, match=r"environment KEY, whose(?s:.*)Give them again: --env KEY="):
        hopx.rerun(first.run_id)
    assert hopx.rerun(first.run_id, env={"KEY": "two"}).wait().stdout == "two\n"


def test_showing_and_comparing(hopx: Any) -> None:
    a = hopx.launch("print('accuracy', lr)", name="a", params={"lr": 0.1}).wait()
    b = hopx.launch("print('accuracy:', lr)", name="b", params={"lr": 0.2}).wait()
    shown = str(hopx.show(a))
    assert "print('accuracy', lr)" in shown
    assert "accuracy 0.1" in shown
    assert "0.1" in shown
    differences = str(hopx.diff(a, "b"))
    assert "-print('accuracy', lr)" in differences
    assert "+print('accuracy:', lr)" in differences
    assert "0.2" in differences
    going = hopx.launch("import time\nprint('so far', flush=True)\ntime.sleep(1000)")
    wait_until(lambda: going.stdout, "it has printed")
    assert "so far" in str(hopx.show(going))
    with pytest.raises(UnknownRun, match="There is"):
        hopx.show("nothing")
    assert b.exit_code == 0


# ---------------------------------------------------------------- sweeps


def test_a_sweep(hopx: Any) -> None:
    sweep = hopx.sweep("print(lr * seed)", {"lr": [0.5, 2], "seed": [1, 2, 3]}, name="grid", params={"extra": "x"})
    assert [run.name for run in sweep] == ["grid"] * 6
    assert sweep.wait() is sweep
    assert sweep.in_words() == "6 of 6 completed"
    frame = hopx.history(sweep=sweep.sweep_id, output=True)
    assert len(frame) == 6
    assert (frame["param.lr"] * frame["param.seed"]).tolist() == [float(text) for text in frame["stdout"]]
    assert (frame["param.extra"] == "x").all()
    assert frame["param.seed"].tolist() == [3, 2, 1, 3, 2, 1]
    with pytest.raises(ValueError, match="limit of 0"):
        hopx.sweep("pass", {"a": [1]}, limit=0)


def test_five_hundred_with_a_limit_of_two(hopx: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"echo + >> {log}\nsleep 0.0$((n % 3))\necho - >> {log}"
    sweep = hopx.sweep(code, {"n": list(range(500))}, limit=2, language="bash")
    assert len(sweep) == 500
    hopx.wait(sweep)
    running = most = 0
    for line in log.read_text().split():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert running == 0
    assert most == 2
    assert (hopx.history(sweep=sweep.sweep_id)["status"] == "completed").all()


def test_what_was_seen_to_end_can_be_waited_for_when_it_is_forgotten(
    hopx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPX_KEEP_FINISHED", "1")
    monkeypatch.setenv("HOPX_HOLD_SECONDS", "0")
    runs = [hopx.launch("print(1)", name=f"n{number}").wait() for number in range(3)]
    assert len(hopx.ps()) == 1
    again = [hopx.attach(f"n{number}") for number in range(3)]
    assert [run.status for run in hopx.wait(again)] == ["completed"] * 3
    assert list(hopx.frame_of(again)["status"]) == ["completed"] * 3
    assert list(hopx.kill("n0")["result"]) == ["already finished"]
    assert [run.exit_code for run in hopx.wait("n0")] == [0]
    assert runs[0].params == {}


def test_a_sweep_that_cant_be_launched_is_on_record(hopx: Any, state: Settings) -> None:
    (state.agent_folder.parent).mkdir(parents=True)
    state.agent_folder.write_text("in the way")
    with pytest.raises(Exception, match="local agent"):
        hopx.sweep("pass", {"n": [1, 2]}, name="never")
    state.agent_folder.unlink()
    frame = hopx.history()
    assert list(frame["status"]) == ["failed"], "the second one was never sent"
    assert frame["status_detail"].str.startswith("not launched").all()


# ---------------------------------------------------------------- what must not happen


def test_a_history_that_cant_be_written_is_one_warning(hopx: Any, state: Settings) -> None:
    api.session().recorder.move(Path("/proc/history.sqlite"))
    with pytest.warns(HistoryWarning, match=r"/proc/history.sqlite can't be used") as caught:
        run = hopx.launch("print(1)").wait()
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hopx.launch("print(2)").wait().stdout == "2\n"
        assert len(hopx.ps()) == 2
    assert run.stdout == "1\n"


def test_a_damaged_history_is_said_and_begun_anew(hopx: Any, state: Settings) -> None:
    state.history_file.write_bytes(b"rubbish" * 1000)
    with pytest.warns(HistoryWarning, match=r"was damaged(?s:.*)a fresh one has begun"):
        hopx.launch("print(1)", name="first").wait()
    assert list(hopx.history()["name"]) == ["first"]


def test_no_secret_is_kept(hopx: Any, state: Settings) -> None:
    endpoint = hopx.launch("pass", env={"KEY": "env-value-4711"}) and api.session().connection().agent.transport
    hopx.launch("import os; os.environ['KEY'];", name="x", env={"KEY": "env-value-4711"}).wait()
    hopx.history(output=True)
    token = endpoint._endpoint.token
    api.session().close()
    files = list(state.history_file.parent.glob("history.sqlite*"))
    content = b"".join(path.read_bytes() for path in files)
    assert b"KEY" in content
    assert b"env-value-4711" not in content
    assert token.encode() not in content


def test_pruning(hopx: Any) -> None:
    hopx.launch("print(1)", name="old").wait()
    hopx.launch("print(2)", name="new").wait()
    hopx.history()
    assert list(hopx.prune()["name"]) == []
    gone = hopx.prune(name="old")
    assert gone.to_dict("records")[0]["goes"] == "run and output"
    assert len(hopx.history()) == 2
    hopx.prune(name="old", really=True)
    assert list(hopx.history()["name"]) == ["new"]


def test_output_beyond_the_limit_is_kept_from_both_ends(
    hopx: Any, monkeypatch: pytest.MonkeyPatch, state: Settings
) -> None:
    api.session().close()
    monkeypatch.setenv("HOPX_HISTORY_STREAM_MB", "0.001")
    api.session.cache_clear()
    hopx.launch("print('begin'); print('x' * 5000); print('end')", name="long").wait()
    (text,) = hopx.history(output=True)["stdout"]
    assert text.startswith("begin\nxxx")
    assert text.endswith("xxx\nend\n")
    assert "4,011 bytes are left out" in text
