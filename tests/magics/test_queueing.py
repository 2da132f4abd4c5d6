"""The magics of the queue, in a real IPython with an agent of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from hopx_magics.connection.connection import Connection
from hopx_magics.errors import AgentRefused, LaunchError, NotSupported, RunFailed, UnknownProcess
from hopx_magics.launches import checked_launch, parse_size
from hopx_magics.models import ProcessId
from tests.conftest import OddAgent
from tests.standins.server import Answer, answering
from tests.waiting import wait_until

Cell = Callable[[str], Any]


def test_a_run_is_paused_and_goes_on(cell: Cell) -> None:
    run = cell("%%hopx_bg --name count --lang bash -o run\nwhile :; do echo .; sleep 0.01; done")
    wait_until(lambda: run.stdout, "it counts")
    paused = cell("%hopx_pause count")
    assert paused.to_dict("list") == {
        "process_id": [run.process_id],
        "name": ["count"],
        "result": ["paused"],
        "status": ["running"],
        "connection": ["local"],
    }
    cell("%hopx_ps")
    assert (run.status, run.process.status_detail) == ("running", "paused")
    assert "count" in repr(run)
    assert ": paused after " in repr(run)
    before = run.stdout
    assert run.stdout == before, "nothing comes any more"
    assert cell("%hopx_resume run").result[0] == "resumed"
    wait_until(lambda: len(run.stdout) > len(before), "it goes on")
    assert cell("%hopx_kill run").result[0] == "killed"
    assert cell("%hopx_pause run").result[0] == "already finished"


def test_the_queue_is_paused_and_goes_on(cell: Cell) -> None:
    assert cell("%hopx_pause --queue").result.tolist() == ["paused"]
    assert cell("%hopx_pause --queue").result.tolist() == ["already paused"]
    runs = cell("%%hopx_bg --name n --lang bash --sweep n=1,2 -o runs\necho $n")
    listed = cell("%hopx_ps")
    assert listed.status_detail.tolist() == ["place 1: the queue is paused", "place 2: the queue is paused"]
    assert cell("%hopx_resume --queue runs").result.tolist() == ["not paused", "not paused", "resumed"]
    assert [run.wait().status for run in runs] == ["completed", "completed"]


def test_what_comes_after_others(cell: Cell, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    waiting = f"until [ -e {gate} ]; do sleep 0.01; done"
    cell(f"%%hopx_bg --name prep --lang bash\n{waiting}")
    load = cell(f"%%hopx_bg --name load --lang bash -o load\n{waiting}; exit 3")
    fit = cell("%%hopx_bg --name fit --lang bash --after prep -o fit\necho fitted")
    report = cell("%%hopx_bg --name report --lang bash --after fit,load\necho reported")
    mail = cell("%%hopx_bg --name mail --lang bash --after prep --after-any load,{fit}\necho mailed")
    assert cell("%hopx_queue").waits_for.tolist() == ["after"] * 3
    assert fit.refresh().status_detail == "after prep"
    gate.touch()
    assert fit.wait().stdout == "fitted\n"
    assert mail.wait().stdout == "mailed\n"
    assert (report.wait().status, report.process.status_detail) == ("failed", "dependency load failed")
    with pytest.raises(RunFailed, match=r"report.*dependency load failed"):
        cell("%hopx_wait report")
    with pytest.raises(UsageError, match="after load: it has failed already"):
        cell("%%hopx_bg --after load\n1")
    with pytest.raises(UsageError, match="after load: it has failed already"):
        cell("%%hopx_bg --sweep a=1,2 --after load\n1")
    with pytest.raises(UnknownProcess, match="no process 'nobody'"):
        cell("%%hopx_bg --after nobody\n1")
    assert cell("%%hopx_bg --after-any load --lang bash\necho late").wait().status == "completed"
    assert load.process.status == "failed"


def test_a_cell_finds_what_those_have_kept_that_it_comes_after(cell: Cell) -> None:
    cell("%%hopx_bg --name prep --out table,names -o prep\ntable = list(range(100_000))\nnames = {'a': 1}\n42")
    fit = cell(
        "%%hopx_bg --after prep --out total -o fit\n"
        "print(prep)\ntotal = sum(prep['table']) + prep['names']['a']\nprep.result(), sorted(prep)"
    )
    assert fit.result() == (42, ["names", "table"])
    assert fit["total"] == sum(range(100_000)) + 1
    assert fit.stdout.startswith("<prep: table, names>\n")
    cell("%%hopx_bg --name part --sweep n=1,2,3 --out part -o parts\npart = n * 10")
    whole = cell("%%hopx_bg --after parts --after fit\n[part['part'] for part in parts], fit['total'] > 0")
    assert whole.result() == ([10, 20, 30], True)
    missing = cell("%%hopx_bg --after prep\nprep['tabel']")
    with pytest.raises(RunFailed, match="tabel is not kept of prep: table, names is"):
        missing.result()
    later = cell("import hopx_magics as hopx\nhopx.launch(\"x['names']\", after={'x': prep}).result()")
    assert later == {"a": 1}


def test_only_an_agent_with_a_queue_takes_what_is_for_one(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    agent = odd_agent(answering({"processes": []}))  # whatever it is asked
    connection = connection_of(agent)
    for option, says in (
        ({"first": True}, "--first"),
        ({"after": ["p"]}, "--after"),
        ({"after_any": ["p"]}, "--after-any"),
        ({"retry": 1}, "--retry"),
        ({"gpus": 0.5, "cpus": 1}, "--gpus and --cpus"),
        ({"memory": "1GB"}, "--memory"),
    ):
        with pytest.raises(LaunchError, match=f"has no queue in which {says} would mean something"):
            connection.launch(checked_launch("1", **option))
    assert {asked.path for asked in agent.asked} == {"/info"}


def test_what_is_wrong_is_said(cell: Cell) -> None:
    with pytest.raises(UsageError, match="%hopx_pause: say what: an id, a name, a variable with runs, or --queue"):
        cell("%hopx_pause")
    for options, says in (
        ("--gpus 1.5", "1.5 GPUs can't be: use a number of them, or a part of one such as 0.5"),
        ("--cpus -1", "-1 processors can't be: use a number of them"),
        ("--cpus many", "'many' is no number"),
        ("--memory much", "'much' is no amount of memory: use 512MB, 4GB, 1.5GiB, or bytes"),
        ("--retry-delay 30s", "--retry-delay is for --retry"),
        ("--retry 5000", "5000 times again can't be"),
    ):
        with pytest.raises(UsageError, match=says):
            cell(f"%%hopx_bg {options}\n1")
    with pytest.raises(AgentRefused, match="100000 processors wanted, and there are"):
        cell("%%hopx_bg --cpus 100000\n1")
    with pytest.raises(UsageError, match="--slots: 0 can't be: %hopx_pause --queue lets nothing new start, and none"):
        cell("%hopx_queue --slots 0")
    assert parse_size("1.5 GiB") == 1.5 * 2**30
    assert parse_size("4GB") == parse_size("4g") == 4 * 10**9


def test_agents_elsewhere_can_not_pause(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    catch_all = {"agent": "HopX VM Agent (Go)", "status": "running", "message": "success", "version": "3.2.8"}
    for answer in (answering(catch_all), answering({"error": "not found"}, 404)):
        connection = connection_of(odd_agent(answer))
        with pytest.raises(NotSupported):
            connection.pause([ProcessId("p")])
        with pytest.raises(NotSupported):
            connection.queue()
        with pytest.raises(NotSupported):
            connection.queue(paused=True)
