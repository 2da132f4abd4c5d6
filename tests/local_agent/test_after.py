"""Processes that come after others: when they start, when they never do, and who is told so by which agent."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import is_running, wait_until

from .conftest import Agent, StartAgent, refused


class Gates:
    """Files for which processes wait, each with the exit code that it ends with then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def code(self, name: str) -> str:
        gate = self._folder / name
        return f"until [ -s {gate} ]; do sleep 0.01; done; exit $(cat {gate})"

    def open(self, name: str, code: int = 0) -> None:
        ready = self._folder / f"{name}.new"
        ready.write_text(str(code))
        ready.rename(self._folder / name)


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


def waits(agent: Agent, process_id: str) -> tuple[str, str | None, str | None]:
    row = agent.row(process_id)
    return row["status"], row.get("waits_for"), row.get("message")


def told(row: dict[str, Any]) -> tuple[str, str | None, int | None]:
    return row["status"], row.get("message"), row["exit_code"]


def test_it_starts_when_all_have_completed(agent: Agent, gates: Gates) -> None:
    a, b = (agent.launch(gates.code(name), name=f"{name} [hopx:0123456789abcdef]") for name in "ab")
    after = agent.launch("echo ran", after=[a, b])
    assert waits(agent, after) in [("queued", "after", f"after {name} and 1 more") for name in "ab"]
    gates.open("a")
    agent.ended(a)
    assert waits(agent, after) == ("queued", "after", "after b")
    gates.open("b")
    assert agent.ended(after)["stdout"] == "ran\n"
    late = agent.launch("echo late", after=[a, b])
    assert agent.ended(late)["stdout"] == "late\n", "there is nothing to wait for"


def test_it_never_starts_when_one_has_not(agent: Agent, gates: Gates) -> None:
    fit = agent.launch(gates.code("fit"), name="fit [hopx:0123456789abcdef]")
    chain = [agent.launch("touch /nonexistent/ran", after=[fit], name="second")]
    for _ in range(30):
        chain.append(agent.launch("exit 0", after=[chain[-1]], name="next"))
    any_way = agent.launch("echo ran", after_any=[fit, chain[-1]])
    gates.open("fit", 3)
    assert told(agent.ended(chain[0])) == ("failed", "dependency fit failed", None)
    assert told(agent.ended(chain[1])) == ("failed", "dependency second failed", None)
    assert told(agent.ended(chain[-1])) == ("failed", "dependency next failed", None)
    assert agent.ended(any_way)["stdout"] == "ran\n"


def test_what_is_killed_has_not_completed(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "1")
    running = agent.launch("sleep 1000")
    queued = agent.launch("exit 0", name="queued")
    after, any_way = agent.launch("exit 0", after=[queued]), agent.launch("echo ran", after_any=[queued])
    agent.kill(queued)
    assert told(agent.ended(after)) == ("failed", "dependency queued killed", None)
    assert waits(agent, any_way)[1] == "slot"
    agent.kill(running)
    assert agent.ended(any_way)["stdout"] == "ran\n"


@pytest.mark.parametrize("code", [0, 1])
def test_the_next_agent_knows_who_comes_after_whom(start_agent: StartAgent, gates: Gates, code: int) -> None:
    first = start_agent()
    before, still = first.launch(gates.code("a"), name="a"), first.launch(gates.code("b"), name="b")
    after, both = first.launch("echo ran", after=[before]), first.launch("echo ran", after=[before, still])
    last = first.launch("exit 0", after=[both], name="last")
    pid = first.running(before)["pid"]
    first.end(signal.SIGKILL)
    gates.open("a", code)
    wait_until(lambda: not is_running(pid), "it ends while there is no agent")
    second = start_agent("--keep-finished", "1")
    if code:
        assert told(second.ended(last))[0] == "failed"
        return
    assert second.ended(after)["stdout"] == "ran\n"
    assert waits(second, both) == ("queued", "after", "after b")
    gates.open("b")
    assert second.ended(last)["status"] == "completed"


def test_what_somebody_needs_is_not_forgotten(start_agent: StartAgent, gates: Gates) -> None:
    agent = start_agent("--keep-finished", "1", env={"HOPX_HOLD_SECONDS": "0"})
    prep, other = agent.launch("exit 0", name="prep"), agent.launch(gates.code("other"))
    agent.ended(prep)
    after = agent.launch("cat $HOPX_FORMER", after=[prep, other], former={"prep": [prep]})
    for _ in range(3):
        agent.ended(agent.launch("exit 0"))
    gates.open("other")
    assert agent.ended(after)["stdout"] == f'{{"prep":["{agent.process_folder(prep)}/out"]}}'
    agent.ended(agent.launch("exit 0"))
    assert prep not in [row["process_id"] for row in agent.listing()]
    assert refused(agent.post("/execute/background", code="pass", former={"prep": [prep]}))[0] == 404


def test_what_can_not_be_waited_for(agent: Agent) -> None:
    failed = agent.launch("exit 1", name="prep")
    agent.ended(failed)
    before = len(agent.listing())
    reply = agent.post("/execute/background", code="pass", after=[failed])
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert reply.json()["error"] == f"after: prep ({failed}) has not completed: failed"
    for field in ("after", "after_any"):
        assert refused(agent.post("/execute/background", code="pass", **{field: ["proc_no"]})) == (
            404,
            "PROCESS_NOT_FOUND",
        )
        assert refused(agent.post("/execute/background", code="pass", **{field: "x"})) == (400, "INVALID_REQUEST")
    assert len(agent.listing()) == before
    assert agent.ended(agent.launch("echo ran", after_any=[failed]))["stdout"] == "ran\n"
