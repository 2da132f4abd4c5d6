"""Several agents at once: one table of all, launches on each, sweeps spread over them, and one of them dying."""

import signal
import socket
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hopx_magics import api
from hopx_magics.connection.connection import Connection
from hopx_magics.errors import AgentRefused, AgentWarning, UnknownConnection, UnknownProcess, WaitTimeout
from hopx_magics.protocol.requests import EXECUTE_BACKGROUND
from hopx_magics.session import gathering
from hopx_magics.session.session import Session
from hopx_magics.settings import Settings
from tests.conftest import OddAgent, stop_agent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE, wait_until

FOREVER = "import time; time.sleep(1000)"


@pytest.fixture
def hopx(monkeypatch: pytest.MonkeyPatch, hopx: Any) -> Any:
    """The package with a client that soon gives up."""
    monkeypatch.setenv("HOPX_RETRY_SECONDS", "0.5")
    api.session.cache_clear()
    return hopx


def test_one_table_of_all(hopx: Any, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    hopx.launch("print('on a')", name="one", on="a").wait()
    hopx.launch("print('on b')", name="two", on="b").wait()
    frame = hopx.ps(on="all")
    assert dict(zip(frame["name"], frame["connection"], strict=True)) == {"one": "a", "two": "b"}
    assert list(hopx.ps(on="a,b", by="connection").index) == ["a", "b"]
    assert list(hopx.ps("one", on=["a", "b"])["stdout"]) == ["on a\n"]
    assert list(hopx.ps(on="a")["name"]) == ["one"]
    assert frame["sandbox"].isna().all()
    with pytest.raises(UnknownConnection, match="'c'"):
        hopx.ps(on="a,c")
    with pytest.raises(UnknownProcess, match="no process 'three'"):
        hopx.ps("three", on="all")


def test_names_and_ids_work_across_connections(hopx: Any, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    hopx.launch(FOREVER, name="same", on="a")
    other = hopx.launch(FOREVER, name="same", on="b")
    hopx.launch("print('there')", name="there", on="a")
    hopx.connect("b")
    assert list(hopx.kill("same", on="b")["connection"]) == ["b"]
    assert hopx.wait("there")[0].connection == "a"
    assert hopx.wait(other)[0].status == "killed"
    hopx.connect("local")
    assert list(hopx.kill("same")["connection"]) == ["a"], "what goes on, wherever it does"
    assert len(hopx.kill(status="running", on="all")) == 0


def test_an_agent_that_does_not_answer_is_a_warning_beside_the_others(hopx: Any, fleet: Callable[..., Any]) -> None:
    _, b = fleet("a", "b")
    hopx.launch("pass", name="one", on="a").wait()
    hopx.launch("pass", name="two", on="b").wait()
    assert len(hopx.ps(on="all")) == 2
    stop_agent(b, signal.SIGKILL)
    with pytest.warns(AgentWarning, match=r"agent 'b' at (?s:.*)The processes of b are as of \d{4}-") as told:
        frame = hopx.ps(on="all")
    assert len(told) == 1
    assert sorted(frame["name"]) == ["one", "two"], "the last known state of it"


def test_that_processes_share_an_id_is_said(hopx: Any, odd_agent: Callable[[Answer], OddAgent]) -> None:
    rows = [{"process_id": process_id, "status": "completed"} for process_id in ("ax", "ay", "bz", "ay")]
    hopx.connect(odd_agent(lambda asked: asked.reply({"processes": rows})).url, name="odd")
    with pytest.warns(AgentWarning, match=r"odd: several processes share an id \(2 have the id 'ay'\)"):
        assert sorted(hopx.ps()["process_id"]) == ["ax", "ay", "ay", "bz"]


def test_a_hanging_agent_adds_no_more_than_its_time(
    hopx: Any, fleet: Callable[..., Any], odd_agent: Callable[[Answer], OddAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet("a")
    hopx.launch("pass", name="one", on="a").wait()
    hung = odd_agent(lambda asked: asked.reply({"processes": []}) if len(hung.asked) == 1 else hung.hang(asked))
    hopx.connect(hung.url, name="hung")
    monkeypatch.setattr(gathering, "PATIENCE", 0.5)
    with pytest.warns(AgentWarning, match="did not answer in time"):
        assert list(hopx.ps(on="all")["name"]) == ["one"]
    hung.released.set()


@pytest.mark.timeout(DEADLINE)
@pytest.mark.parametrize("references", [["one"], []])
def test_a_time_limit_counts_from_the_call(
    hopx: Any, odd_agent: Callable[[Answer], OddAgent], monkeypatch: pytest.MonkeyPatch, references: list[str]
) -> None:
    rows = [{"process_id": "a", "name": "one", "status": "running"}]
    hung = odd_agent(lambda asked: asked.reply({"processes": rows}) if len(hung.asked) == 1 else hung.hang(asked))
    hopx.connect(hung.url, name="hung")
    monkeypatch.setattr(gathering, "PATIENCE", 2 * DEADLINE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AgentWarning)
        with pytest.raises(WaitTimeout, match=r"still going on after 0\.5 s: a"):
            hopx.wait(*references, timeout=0.5)


def test_launching_on_each(hopx: Any, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    runs = hopx.launch_on_each("import os; print(os.getcwd())", on="all", name="each")
    assert [run.connection for run in runs] == ["a", "b"]
    assert [run.exit_code for run in runs.wait()] == [0, 0]
    frame = hopx.history(sweep=runs.sweep_id)
    assert sorted(frame["connection"]) == ["a", "b"]
    assert (frame["status"] == "completed").all()


def test_launching_on_each_where_one_is_gone(hopx: Any, fleet: Callable[..., Any]) -> None:
    _, b = fleet("a", "b")
    stop_agent(b, signal.SIGKILL)
    with pytest.warns(AgentWarning, match="agent 'b'"):
        runs = hopx.launch_on_each("pass", on=["a", "b"])
    assert runs[0].wait().exit_code == 0
    assert (runs[1].process.status, runs[1].process_id) == ("failed", None)
    assert runs.in_words() == "1 of 2 completed, 1 failed"
    assert sorted(hopx.history()["status"]) == ["completed", "failed"]
    with pytest.raises(Exception, match="agent 'b'"):
        hopx.launch_on_each("pass", on="b")


def most_at_once(log: Path) -> dict[str, int]:
    """How many ran at once at most, by what they themselves have written, of each place and of all."""
    running: dict[str, int] = {}
    most: dict[str, int] = {}
    for line in log.read_text().splitlines():
        sign, place = line.split()
        for key in (place, "all"):
            running[key] = running.get(key, 0) + (1 if sign == "+" else -1)
            most[key] = max(most.get(key, 0), running[key])
    assert not any(running.values())
    return most


def held(log: Path, go: Path) -> str:
    """Bash that writes down its beginning and its end, which it comes to when there is a file `go`."""
    return f'echo "+ $X" >> {log}; while [ ! -e {go} ]; do sleep 0.01; done; echo "- $X" >> {log}'


def test_a_sweep_is_spread(hopx: Any, fleet: Callable[..., Any], tmp_path: Path) -> None:
    fleet("a", "b", "c")
    log, go = tmp_path / "log", tmp_path / "go"
    runs = hopx.sweep(held(log, go), {"n": list(range(20))}, per=2, on="all", language="bash", env={"X": "x"})
    assert len(runs) == 20
    wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 6, "two run on each")

    def counts() -> dict[str, int]:
        return {name: sum(run.connection == name for run in runs) for name in "abc"}

    wait_until(lambda: counts() == {"a": 2, "b": 2, "c": 2}, "their launches have been answered")
    go.touch()
    hopx.wait(runs)
    assert runs.in_words() == "20 of 20 completed"
    assert most_at_once(log)["all"] == 6
    frame = hopx.history(sweep=runs.sweep_id)
    assert (frame["status"] == "completed").all()
    assert frame["connection"].value_counts().to_dict() == counts()
    assert sorted(frame["param.n"]) == list(range(20))


def test_a_limit_holds_over_all(hopx: Any, fleet: Callable[..., Any], tmp_path: Path) -> None:
    fleet("a", "b")
    log, go = tmp_path / "log", tmp_path / "go"
    runs = hopx.sweep(held(log, go), {"n": list(range(12))}, limit=3, on="a,b", language="bash", env={"X": "x"})
    wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 3, "three run")
    go.touch()
    hopx.wait(runs)
    assert most_at_once(log)["all"] == 3


def test_what_was_not_launched_moves_away_from_an_agent_that_died(
    hopx: Any, fleet: Callable[..., Any], tmp_path: Path
) -> None:
    _, b = fleet("a", "b")
    go, log = tmp_path / "go", tmp_path / "log"
    code = f"echo $n >> {log}; while [ ! -e {go} ]; do sleep 0.02; done"
    runs = hopx.sweep(code, {"n": list(range(8))}, per=1, on="all", language="bash")
    wait_until(lambda: log.exists() and len(log.read_text().split()) == 2, "one runs on each")
    stop_agent(b, signal.SIGKILL)
    go.touch()
    wait_until(lambda: len(log.read_text().split()) == 8, "all others ran on the other one")
    on_b = [run for run in runs if run.connection == "b"]
    assert len(on_b) == 1, "what was running stays attributed"
    assert sorted(int(word) for word in log.read_text().split()) == list(range(8)), "nothing was launched twice"
    others = [run for run in runs if run.connection == "a"]
    wait_until(lambda: all(run.process.status == "completed" for run in others), "they have ended")
    assert on_b[0].process.status == "running", "nobody has seen its end"


def test_a_refusal_is_no_reason_to_try_it_elsewhere(
    hopx: Any, fleet: Callable[..., Any], odd_agent: Callable[[Answer], OddAgent]
) -> None:
    def answer(asked: Asked) -> None:
        if asked.method == "POST":
            asked.reply({"error": "no such language", "code": "INVALID_REQUEST"}, 400)
        else:
            asked.reply({"processes": []})

    one, two = odd_agent(answer), odd_agent(answer)
    hopx.connect(one.url, name="one")
    hopx.connect(two.url, name="two")
    runs = hopx.sweep("pass", {"n": [1, 2, 3]}, on="one,two")
    assert [run.status for run in runs.wait()] == ["failed"] * 3
    assert sum(asked.path == EXECUTE_BACKGROUND for agent in (one, two) for asked in agent.asked) == 3
    assert hopx.history()["status_detail"].str.contains("no such language").all()
    with pytest.raises(AgentRefused):
        hopx.launch("pass", on="one")


def test_a_launch_that_fails_oddly_holds_up_no_other(
    hopx: Any, fleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, send = [RecursionError("deep")], Connection.launch_assigned
    monkeypatch.setattr(Connection, "launch_assigned", lambda *given: _raise(faults) or send(*given))
    fleet("a", "b")
    runs = hopx.sweep("pass", {"n": [1, 2, 3, 4]}, per=1, on="a,b")
    wait_until(lambda: sum(run.process.status == "completed" for run in runs) == 3, "the others have completed")
    (odd,) = [run for run in runs if run.process.status != "completed"]
    assert (odd.process.status, odd.process_id) == ("unknown", None)
    assert odd.process.status_detail == "not known whether it was launched: RecursionError"


def _raise(faults: list[Exception]) -> None:
    if faults:
        raise faults.pop()


def test_waiting_ones_can_be_taken_back(hopx: Any, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    runs = hopx.sweep(FOREVER, {"n": [1, 2, 3, 4]}, per=1, on="a,b")
    wait_until(lambda: sum(bool(run.process_id) for run in runs) == 2, "one runs on each")
    waiting = [run for run in runs if not run.process_id]
    assert [run.status for run in waiting] == ["queued", "queued"]
    assert [run.stdout for run in waiting] == ["", ""]
    with pytest.raises(Exception, match="still waits to be launched"):
        waiting[0].wait(0.05)
    killed = hopx.kill(runs)
    assert list(killed["result"]) == ["killed"] * 4
    assert sorted(run.status for run in runs) == ["killed"] * 4
    assert (hopx.history()["status"] == "killed").all()


def test_a_sweep_limit_that_an_agent_cant_keep_is_kept_here(hopx: Any, odd_agent: Callable[[Answer], OddAgent]) -> None:
    rows: list[dict[str, Any]] = []

    def answer(asked: Asked) -> None:
        if asked.path == EXECUTE_BACKGROUND:
            rows.append({"process_id": f"p{len(rows)}", "status": "running"})
            asked.reply(rows[-1])
        elif asked.path == "/info":
            asked.reply({"agent": "x", "features": []})
        else:
            asked.reply({"processes": rows})

    agent = odd_agent(answer)
    hopx.connect(agent.url, name="plain")
    runs = hopx.sweep("pass", {"n": [1, 2, 3]}, limit=1, on="plain")
    for count in (1, 2, 3):
        wait_until(lambda count=count: len(rows) == count, f"{count} were launched")
        assert sum(row["status"] == "running" for row in rows) == 1
        rows[-1]["status"] = "completed"
    assert runs.wait().in_words() == "3 of 3 completed"


def test_a_notebook_that_ends_leaves_word_of_what_it_did_not_launch(hopx: Any, state: Settings) -> None:
    from hopx_magics.launches import checked_launch, checked_sweep
    from hopx_magics.run_history import writing
    from hopx_magics.run_history.entries import NOWHERE, Waiter, begun
    from hopx_magics.run_history.origin import Origin

    session = Session(state)
    launches = list(checked_sweep(checked_launch("pass", name="late"), {"n": [1, 2]}).launches)
    gone = subprocess.Popen(["true"])
    gone.wait()
    waiter = Waiter(socket.gethostname(), gone.pid)
    session.history.write(writing.begin, begun(launches, NOWHERE, Origin(), waiter=waiter))
    session.close()
    frame = hopx.history()
    assert list(frame["status"]) == ["unknown", "unknown"]
    assert frame["status_detail"].str.startswith("never launched").all()
    assert hopx.rerun(launches[0].run_id, on="local").wait().exit_code == 0


def test_no_warning_when_all_answer(hopx: Any, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(hopx.ps(on="all")) == 0
