"""What this program launches anew when it fails or its agent is lost, since no agent does that by itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from hopx_magics import api
from hopx_magics.errors import AgentWarning, WaitTimeout
from hopx_magics.session import dispatcher
from tests.standins.server import Asked, Server
from tests.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::hopx_magics.errors.AgentWarning")


class Plain(Server):
    """An agent of the documented API alone, whose processes end as a test says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.processes: dict[str, dict[str, Any]] = {}
        self.is_dead = False
        super().__init__(self.answer_to)

    def answer_to(self, asked: Asked) -> None:
        if self.is_dead:
            asked.break_off()
        elif asked.method == "GET" and asked.path.endswith("/processes"):
            asked.reply({"processes": list(self.processes.values())})
        elif asked.method == "POST" and "name" in asked.content:
            process_id = f"{self.name}_{len(self.processes)}"
            row = {"process_id": process_id, "name": asked.content["name"], "status": "running", "stdout": ""}
            self.processes[process_id] = {**row, "stderr": ""}
            asked.reply({"process_id": process_id, "status": "running"})
        elif asked.method == "DELETE":
            self.end(asked.query.rpartition("=")[2], "killed")
            asked.reply({"message": "Process killed"})
        else:
            asked.reply({"error": "not found", "code": "NOT_FOUND"}, 404)

    def end(self, process_id: str, status: str = "failed") -> None:
        self.processes[process_id] |= {"status": status, "exit_code": 0 if status == "completed" else 1}

    def launched(self, count: int) -> None:
        wait_until(lambda: len(self.processes) == count, f"{self.name} has {count} processes")


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch, hopx: Any) -> Iterator[tuple[Plain, Plain]]:
    monkeypatch.setenv("HOPX_RETRY_SECONDS", "0.5")
    api.session.cache_clear()
    agents = Plain("a"), Plain("b")
    for agent in agents:
        hopx.connect(agent.url, name=agent.name)
    yield agents
    for agent in agents:
        hopx.disconnect(agent.name)
        agent.close()


def launch(hopx: Any, **options: Any) -> Any:
    return hopx.launch("exit 1", on="a", language="bash", capture="agent", name="fit", **options)


def test_what_fails_is_launched_anew_and_the_run_is_the_last_try(hopx: Any, agents: tuple[Plain, Plain]) -> None:
    agent = agents[0]
    with pytest.warns(AgentWarning, match="this Python process launches anew what fails on a: when it ends, nobody"):
        run = launch(hopx, retry=2)
    first = run.run_id
    assert run.process_id == "a_0"
    agent.end("a_0")
    agent.launched(2)
    wait_until(lambda: run.process_id == "a_1", "the run is the second try")
    assert run.status == "running"
    with pytest.raises(WaitTimeout, match="is still going on after"):
        run.wait(0.01)
    with pytest.raises(WaitTimeout):
        hopx.wait("fit", timeout=0.01)
    agent.end("a_1")
    agent.launched(3)
    agent.end("a_2", "completed")
    assert run.wait().status == "completed"
    frame = hopx.history().set_index("process_id").sort_index()
    assert frame["status"].tolist() == ["failed", "failed", "completed"]
    assert frame["rerun_of"].fillna("").tolist() == ["", first, frame.loc["a_1", "run_id"]]
    with pytest.warns(AgentWarning, match="this Python process launches anew what fails on a"):
        again = hopx.rerun(first)
    agent.end("a_3")
    agent.launched(5)
    agent.end("a_4", "completed")
    assert (again.wait().status, again.process_id) == ("completed", "a_4"), "what is launched again is, too"


def test_it_is_tried_no_more_often_than_it_may_and_not_when_it_was_killed(hopx: Any, agents: Any) -> None:
    agent = agents[0]
    run = launch(hopx, retry=1)
    agent.end("a_0")
    agent.launched(2)
    agent.end("a_1")
    assert run.wait().status == "failed"
    other = launch(hopx, retry=5)
    assert other.kill() == "killed"
    assert other.wait().status == "killed"
    assert len(agent.processes) == 3


def test_what_waits_for_its_next_try_is_taken_back(hopx: Any, agents: Any) -> None:
    run = launch(hopx, retry=3, retry_delay=1000)
    agents[0].end("a_0")
    wait_until(lambda: run.process.status == "queued", "it waits")
    assert run.process_id is None
    assert run.kill() == "killed"
    assert run.wait().status == "killed"
    assert len(agents[0].processes) == 1


def test_what_a_dead_agent_had_is_tried_on_another(
    hopx: Any, agents: tuple[Plain, Plain], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOST_AFTER", 0.2)
    monkeypatch.setattr(dispatcher, "DEAD_AFTER", 0.1)
    options = {"language": "bash", "capture": "agent", "on": ["a", "b"], "per": 1, "name": "fit"}
    runs = hopx.sweep("exit 1", {"x": [1, 2, 3]}, retry=1, **options)
    a, b = agents
    a.launched(1)
    b.launched(1)
    (lost,) = wait_until(lambda: [run for run in runs if run.connection == "a"], "it is told who has which")
    before = lost.run_id
    a.is_dead = True
    b.end("b_0", "completed")
    b.launched(2)
    b.end("b_1", "completed")
    b.launched(3)
    wait_until(lambda: lost.connection == "b", "the lost one is tried again where there is an agent")
    b.end("b_2", "completed")
    assert [run.status for run in runs.wait()] == ["completed"] * 3
    (again,) = hopx.history(sweep=runs.sweep_id).query("rerun_of == rerun_of").to_dict("records")
    assert (again["rerun_of"], again["connection"]) == (before, "b")
    assert lost.run_id == again["run_id"]
