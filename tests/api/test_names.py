"""What a name means that several runs have: to wait and kill, and to what takes one run."""

import re
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hopx_magics import api
from hopx_magics.errors import HistoryWarning, NameWarning, RunFailed, UnknownProcess
from hopx_magics.launches import checked_launch
from hopx_magics.models import Place
from hopx_magics.run_history import writing
from hopx_magics.run_history.entries import begun
from hopx_magics.run_history.origin import Origin
from hopx_magics.settings import Settings
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE, wait_until

FOREVER = "import time; time.sleep(1000)"

Fleet = Callable[..., list[Settings]]


def test_a_sweep_is_waited_for_as_a_whole(hopx: Any) -> None:
    sweep = hopx.sweep("if a < 3: raise SystemExit(f'no {a}')", {"a": [1, 2, 3]}, name="fit").wait()
    assert [run.run_id for run in hopx.wait("fit")] == [run.run_id for run in sweep]
    with pytest.raises(RunFailed) as raised:
        hopx.wait("fit", check=True)
    first, second = sweep.failed
    assert re.sub(r"after .*?,", "after a moment,", str(raised.value)).splitlines() == [
        "2 of 3 failed or were killed",
        f"fit  a=1 ({first.process_id}) failed after a moment, exit 1",
        "  no 1",
        f"fit  a=2 ({second.process_id}) failed after a moment, exit 1",
        "  no 2",
    ]


def test_of_many_failures_the_first_three_are_told(hopx: Any) -> None:
    sweep = hopx.sweep("raise SystemExit(f'no {a}')", {"a": range(5)}, name="fit")
    with pytest.raises(RunFailed) as raised:
        hopx.wait(sweep, check=True)
    said = str(raised.value)
    assert said.startswith("5 of 5 failed or were killed\n")
    assert said.count("exit 1") == 3
    assert said.endswith(f"and 2 more: {sweep[3].process_id}, {sweep[4].process_id}")


def test_kill_means_all_that_goes_on(hopx: Any) -> None:
    ended = hopx.launch("raise SystemExit(1)", name="fit").wait()
    others = [hopx.launch(FOREVER, name="fit") for _ in range(2)]
    assert list(hopx.kill("fit")["process_id"]) == [run.process_id for run in others]
    assert list(hopx.kill("fit")["process_id"]) == [others[-1].process_id], "when all have ended, the newest"
    assert hopx.wait("fit")[0].process_id == others[-1].process_id
    assert hopx.kill(ended.process_id).loc[0, "result"] == "already finished"


def test_the_last_sweep_is_meant_and_what_goes_on_of_earlier_ones(hopx: Any) -> None:
    old = hopx.sweep("import time; time.sleep(1000 if a == 1 else 0)", {"a": [0, 1]}, name="fit")
    old[0].wait()
    new = hopx.sweep("pass", {"a": [3, 4]}, name="fit").wait()
    killed = hopx.kill("fit")
    assert list(killed["process_id"]) == [run.process_id for run in (old[1], *new)]
    assert list(killed["result"]) == ["killed", "already finished", "already finished"]


def test_what_takes_one_run_takes_the_newest_and_says_so(hopx: Any) -> None:
    old = hopx.launch("print('old')", name="fit").wait()
    assert hopx.logs("fit") == "old", "there is nothing to say where there is no other"
    hopx.launch("print('new')", name="fit").wait()
    for _ in range(2):  # it is said each time
        with pytest.warns(NameWarning, match="^the newest of 2 named fit$"):
            assert hopx.logs("fit") == "new"
    with pytest.warns(NameWarning, match="of 2 named fit"):
        assert hopx.attach("fit").stdout == "new\n"
    with pytest.warns(NameWarning, match="of 2 named fit"):
        assert "print('new')" in str(hopx.show("fit"))
    with pytest.warns(NameWarning, match="of 2 named fit"):
        hopx.diff("fit", old)
    with pytest.warns(NameWarning, match="of 2 named fit") as told:
        assert hopx.rerun("fit").wait().stdout == "new\n"
    assert {Path(each.filename).name for each in told} == {"test_names.py"}, "the line of whoever asked"
    for reference in (old.run_id, old.process_id, old.process_id[:10], old):
        assert str(old.run_id) in str(hopx.show(reference))


def test_the_newest_may_be_on_another_connection(hopx: Any, fleet: Fleet) -> None:
    fleet("a", "b")
    hopx.launch("print('old')", name="fit", on="b").wait()
    hopx.launch("print('new')", name="fit", on="a").wait()
    with pytest.warns(NameWarning, match="of 2 named fit"):
        assert hopx.logs("fit") == "new"
    with pytest.warns(NameWarning, match="of 2 named fit"):
        assert hopx.logs("fit", on="b") == "old"


def test_runs_on_all_connections_are_meant_or_those_of_one(hopx: Any, fleet: Fleet) -> None:
    fleet("a", "b")
    for _ in range(2):
        hopx.launch(FOREVER, name="fit", on="a")
        hopx.launch(FOREVER, name="fit", on="b")
    first = hopx.kill("fit", on="a")
    assert list(first["result"]) == ["killed"] * 2, first.to_string()
    rest = hopx.kill("fit")
    assert list(rest["connection"]) == ["b", "b"], rest.to_string()


def test_what_waits_to_be_handed_out_is_taken_back(hopx: Any, fleet: Fleet) -> None:
    fleet("a", "b")
    sweep = hopx.sweep(FOREVER, {"a": range(6)}, name="fit", per=1, on="a,b")
    killed = hopx.kill("fit")
    assert list(killed["result"]) == ["killed"] * 6
    assert [run.process.status for run in sweep.wait()] == ["killed"] * 6
    again = hopx.sweep(FOREVER, {"a": range(6)}, per=1, on="a,b")
    hopx.kill(status=("queued", "running"))
    hopx.kill(status="running", on="all")
    assert [run.process.status for run in again.wait()] == ["killed"] * 6


def test_what_waits_to_be_handed_out_is_waited_for(hopx: Any, fleet: Fleet) -> None:
    fleet("a", "b")
    sweep = hopx.sweep("print(a)", {"a": range(6)}, name="fit", per=1, on="a,b")
    assert [run.run_id for run in hopx.wait("fit")] == [run.run_id for run in sweep]
    assert [run.status for run in sweep] == ["completed"] * 6
    sweep = hopx.sweep("print(a)", {"a": range(6)}, per=1, on="a,b")
    assert {run.run_id for run in hopx.wait()} >= {run.run_id for run in sweep[2:]}
    assert [run.status for run in sweep] == ["completed"] * 6


def test_what_nobody_here_can_reach_is_told_of(hopx: Any) -> None:
    launch = checked_launch("pass", name="fit")
    api.session().history.write(writing.begin, begun([launch], Place("far", "http://far"), Origin()))
    with pytest.raises(UnknownProcess, match=r"was last seen queued\nThere is no connection to its agent \(far\)"):
        hopx.kill("fit")
    here = hopx.launch(FOREVER, name="fit")
    with pytest.warns(NameWarning, match=r"^1 more named fit can't be reached from here: last seen queued on far$"):
        assert list(hopx.kill("fit")["process_id"]) == [here.process_id]


def test_without_the_history_a_name_means_what_is_listed(hopx: Any, state: Settings) -> None:
    runs = [hopx.launch(FOREVER, name="fit") for _ in range(2)]
    api.session().history.close()
    state.history_file.unlink()
    state.history_file.mkdir()
    assert set(hopx.kill("fit")["process_id"]) == {run.process_id for run in runs}
    with pytest.warns(HistoryWarning, match="the run history"):
        hopx.ps()


def test_what_its_agent_has_forgotten_is_still_the_newest(
    hopx: Any, odd_agent: Callable[[Answer], OddAgent], state: Settings
) -> None:
    run = hopx.launch("raise SystemExit('gone')", name="fit").wait()
    hopx.history()
    with sqlite3.connect(state.history_file) as db:
        db.execute("UPDATE runs SET process_id = 'proc_gone' WHERE run_id = ?", [run.run_id])
    db.close()
    hopx.connect(odd_agent(lambda asked: asked.reply({"processes": []})).url, name="empty")
    with pytest.raises(RunFailed, match=r"fit \(proc_\w+\) failed"):
        hopx.wait("fit", check=True)


class SlowToReply:
    """An agent that lists what it has launched before it answers that, which it does when `replies` is set."""

    def __init__(self) -> None:
        self.replies = threading.Event()
        self.rows: list[dict[str, Any]] = []
        self.kills = 0

    def __call__(self, asked: Asked) -> None:
        if asked.method == "GET" and asked.path.endswith("/processes"):
            asked.reply({"processes": self.rows})
        elif asked.path.endswith("/execute/background"):
            self.rows.append({"process_id": "proc_1", "name": asked.content["name"], "status": "running"})
            self.replies.wait(DEADLINE)
            asked.reply({"process_id": "proc_1", "status": "running"})
        elif "proc_1" in f"{asked.path}{asked.query}{asked.body!r}":
            self.kills += 1
            self.rows[0]["status"] = "killed"
            asked.reply({"success": True})
        else:
            asked.reply({"error": "not found"}, 404)


def test_a_run_that_is_listed_before_its_launch_is_answered_is_one(
    hopx: Any, odd_agent: Callable[[Answer], OddAgent]
) -> None:
    agent = SlowToReply()
    hopx.connect(odd_agent(agent).url, name="slow")
    with ThreadPoolExecutor(1) as pool:
        launched = pool.submit(hopx.launch, "pass", name="fit")
        try:
            wait_until(lambda: agent.rows, "the agent has it")
            killed = hopx.kill("fit")
        finally:
            agent.replies.set()
    assert list(killed["result"]) == ["killed"], killed.to_string()
    assert agent.kills == 1
    assert launched.result().refresh().status == "killed"
    assert list(hopx.history().loc[:, "status"]) == ["killed"]


def test_what_an_agent_has_no_word_for_does_not_count_as_going_on(
    hopx: Any, odd_agent: Callable[[Answer], OddAgent]
) -> None:
    rows = [
        {"process_id": "proc_1", "name": "fit", "status": "exited"},
        {"process_id": "proc_2", "name": "fit", "status": "completed"},
    ]
    hopx.connect(odd_agent(lambda asked: asked.reply({"processes": rows})).url, name="far")
    assert [run.process_id for run in hopx.wait("fit")] == ["proc_2"], "or it would be waited for in vain"


def test_the_beginning_of_an_id_means_one_run(hopx: Any, fleet: Fleet) -> None:
    fleet("a", "b")
    for connection in "ab":
        hopx.launch(FOREVER, on=connection)
    assert list(hopx.kill("proc_")["connection"]) == ["b"], "that of the current connection"
    hopx.connect("local")
    with pytest.raises(UnknownProcess, match=r"'proc_' is on several connections: a, b\nSay which one with --on"):
        hopx.kill("proc_")


def test_ids_of_runs_are_references(hopx: Any) -> None:
    run = hopx.launch(FOREVER)
    assert list(hopx.ps(run.run_id)["process_id"]) == [run.process_id]
    assert hopx.attach(run.run_id).process_id == run.process_id
    assert list(hopx.kill(run.run_id)["result"]) == ["killed"]
    assert hopx.wait(run.run_id)[0].status == "killed"
