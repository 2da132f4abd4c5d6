"""Processes that are launched anew when they fail: how often, when, as what, and by which agent."""

import os
import signal
from pathlib import Path

from tests.waiting import is_running, wait_until

from .conftest import Agent, StartAgent, refused


def chain(agent: Agent, process_id: str) -> list[str]:
    """The ids of a process and of all its tries, when the last one has ended."""
    ids = [process_id]
    while again := agent.ended(ids[-1]).get("retried_as"):
        ids.append(again)
    return ids


def test_it_is_tried_again_until_it_completes(agent: Agent, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    code = f"echo $SECRET >> {tries}; [ $(wc -l < {tries}) -ge 3 ]"
    first = agent.launch(code, name="fit [hopx:0123456789abcdef]", env={"SECRET": "s"}, retries=5)
    ids = chain(agent, first)
    rows = [agent.row(process_id) for process_id in ids]
    assert [row["status"] for row in rows] == ["failed", "failed", "completed"]
    assert [row.get("retry_of") for row in rows] == [None, *ids[:2]]
    assert [row.get("message") for row in rows] == ["tried again", "tried again", None]
    names = {row["name"] for row in rows}
    assert len(names) == 3, "each has a mark of its own"
    assert all(name.startswith("fit [hopx:") and len(name) == 27 for name in names)
    assert tries.read_text() == "s\ns\ns\n"
    assert not list(agent.folder.glob("processes/*/env.json")), "no secret is left on the disk"


def test_it_is_tried_no_more_often_than_it_may(agent: Agent) -> None:
    for fields in ({"retries": 2}, {"retries": 2, "timeout": 0.2}):
        code = "exit 3" if "timeout" not in fields else "sleep 1000"
        ids = chain(agent, agent.launch(code, **fields))
        assert len(ids) == 3
        assert {agent.row(process_id)["status"] for process_id in ids} == {"failed"}


def test_what_was_killed_or_never_ran_is_not_tried_again(agent: Agent) -> None:
    killed = agent.launch("sleep 1000", retries=3)
    agent.running(killed)
    agent.kill(killed)
    assert "retried_as" not in agent.row(killed)
    failed = agent.launch("exit 1")
    waiting = agent.launch("sleep 1000; exit 1", retries=1)
    after = agent.launch("exit 0", after=[waiting], retries=3)
    agent.kill(waiting)
    assert agent.ended(after)["message"].startswith("dependency ")
    assert "retried_as" not in agent.row(after)
    assert agent.ended(failed)["status"] == "failed"


def test_it_waits_before_it_is_tried_again(agent: Agent) -> None:
    first = agent.launch("exit 1", retries=1, retry_delay=1000)
    again = agent.row(agent.ended(first)["retried_as"])
    assert (again["status"], again["waits_for"]) == ("queued", "retry")
    assert again["message"] == "1000 s until it is tried again"
    assert agent.kill(again["process_id"]).status_code == 200
    soon = agent.launch("exit 1", retries=1, retry_delay=0.05)
    assert len(chain(agent, soon)) == 2


def test_what_comes_after_waits_for_the_last_try(agent: Agent, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    prep = agent.launch(f"read x < {gate}; exit $x", name="prep", retries=2)
    fit, mail = agent.launch("echo ran", after=[prep]), agent.launch("echo sent", after_any=[prep])
    gate.write_text("1\n")
    again = agent.ended(prep)["retried_as"]
    assert agent.row(fit)["message"] == agent.row(mail)["message"] == "after prep"
    late = agent.launch("echo late", after_any=[prep])
    assert agent.row(late)["status"] == "queued"
    gate.write_text("0\n")
    assert agent.ended(again)["status"] == "completed"
    assert [agent.ended(process_id)["stdout"] for process_id in (fit, mail, late)] == ["ran\n", "sent\n", "late\n"]
    doomed = agent.launch(f"read x < {gate}; exit $x", name="doomed", retries=1)
    never = agent.launch("echo ran", after=[doomed])
    gate.write_text("1\n")
    agent.running(agent.ended(doomed)["retried_as"])
    gate.write_text("1\n")
    assert agent.ended(never)["message"] == "dependency doomed failed"


def test_the_next_agent_tries_it_again_once(start_agent: StartAgent, tmp_path: Path) -> None:
    tries, gate = tmp_path / "tries", tmp_path / "gate"
    os.mkfifo(gate)
    agent = start_agent()
    first = agent.launch(f"echo $X >> {tries}; read x < {gate}; exit $x", env={"X": "x"}, retries=2)
    pid = agent.running(first)["pid"]
    agent.end(signal.SIGKILL)
    gate.write_text("1\n")
    wait_until(lambda: not is_running(pid), "it fails while there is no agent")
    for _ in range(2):
        agent = start_agent()
        again = agent.ended(first)["retried_as"]
        agent.running(again)
        agent.end(signal.SIGKILL)
    (agent.folder / "finished.jsonl").unlink()  # as if the agent had died before it put that on record
    agent = start_agent()
    assert agent.ended(first)["retried_as"] == again
    gate.write_text("0\n")
    assert agent.ended(again)["status"] == "completed"
    assert tries.read_text() == "x\nx\n"
    assert len(agent.listing()) == 2


def test_what_can_not_be_tried_again(agent: Agent) -> None:
    for fields in ({"retries": -1}, {"retries": 1.5}, {"retry_delay": -1}, {"retry_delay": 1e12}):
        assert refused(agent.post("/execute/background", code="pass", **fields)) == (400, "INVALID_REQUEST")
