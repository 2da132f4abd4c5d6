"""Killing: whole trees, those who don't listen, several at once, and nobody else."""

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.waiting import wait_until

from .conftest import Agent, StartAgent

TREE = """
trap '' TERM
(trap '' TERM; sleep 1000 & echo pid $!; while :; do sleep 0.1; done) &
echo pid $!
echo ready
while :; do sleep 0.1; done
"""


def is_alive(pid: int) -> bool:
    """Whether it can still do something: it is no zombie, nor about to be one, which has no memory any more."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.memory_info().vms > 0
    except psutil.NoSuchProcess:
        return False


def pids(row: dict[str, str]) -> list[int]:
    return [int(line.split()[1]) for line in row["stdout"].splitlines() if line.startswith("pid")]


def test_kill(agent: Agent) -> None:
    process_id = agent.launch("sleep 100", "bash")
    pid = agent.running(process_id)["pid"]
    reply = agent.kill(process_id)
    assert reply.json() == {"process_id": process_id, "status": "killed", "message": "Process killed"}
    assert not is_alive(pid)
    row = agent.row(process_id)
    assert (row["status"], row["exit_code"]) == ("killed", 143)
    assert row["completed_at"] is not None
    assert "message" not in row


def test_a_tree_that_does_not_listen(agent: Agent) -> None:
    process_id = agent.launch(TREE)
    agent.wrote(process_id, "ready")
    row = wait_until(lambda: len(pids(row := agent.row(process_id))) == 2 and row, "all are there")
    assert agent.kill(process_id).status_code == 200
    assert not any(is_alive(pid) for pid in [row["pid"], *pids(row)])
    assert (agent.row(process_id)["status"], agent.row(process_id)["exit_code"]) == ("killed", 137)


def test_children_that_outlive_the_one_that_listened(agent: Agent) -> None:
    process_id = agent.launch("(trap '' TERM; echo ready; while :; do sleep 0.1; done) & echo pid $!; sleep 1000")
    row = agent.wrote(process_id, "ready")
    assert agent.kill(process_id).status_code == 200
    assert not any(is_alive(pid) for pid in [row["pid"], *pids(row)])
    assert (agent.row(process_id)["status"], agent.row(process_id)["exit_code"]) == ("killed", 143)


@pytest.mark.usefixtures("_nobody_reaps")
def test_the_dead_are_not_waited_for(start_agent: StartAgent) -> None:
    """Orphans stay as zombies until the init process looks after them, which may take it long."""
    agent = start_agent("--kill-grace-seconds", "1000")
    process_id = agent.launch("sleep 1000 & sleep 1000 & echo ready; sleep 1000")
    agent.wrote(process_id, "ready")
    assert agent.kill(process_id).status_code == 200


def test_a_process_may_clean_up(patient_agent: Agent) -> None:
    agent = patient_agent
    process_id = agent.launch("trap 'echo cleaned; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    agent.wrote(process_id, "ready")
    agent.kill(process_id)
    row = agent.row(process_id)
    assert (row["status"], row["exit_code"], row["stdout"]) == ("killed", 9, "ready\ncleaned\n")


def test_a_kill_right_after_the_launch(agent: Agent) -> None:
    for _ in range(20):
        process_id = agent.launch("sleep 1000")
        assert agent.kill(process_id).status_code == 200
        assert agent.row(process_id)["status"] == "killed"


def test_several_kills_at_once(agent: Agent) -> None:
    process_id = agent.launch("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    agent.wrote(process_id, "ready")
    with ThreadPoolExecutor(5) as pool:
        replies = list(pool.map(lambda _: agent.kill(process_id), range(5)))
    assert {reply.status_code for reply in replies} == {200}


@pytest.mark.parametrize("form", ["DELETE query", "DELETE body", "DELETE path", "POST body", "POST path", "POST query"])
def test_every_form_of_the_request(agent: Agent, form: str) -> None:
    process_id = agent.launch("sleep 100")
    method, place = form.split()
    path = f"/execute/kill/{process_id}" if place == "path" else "/execute/kill"
    params = {"process_id": process_id} if place == "query" else None
    body = {"process_id": process_id} if place == "body" else None
    reply = agent.http.request(method, path, params=params, json=body)
    assert (reply.status_code, reply.json()["status"]) == (200, "killed")


def test_kills_that_can_not_be(agent: Agent) -> None:
    reply = agent.kill("proc_nobody")
    assert (reply.status_code, reply.json()["code"]) == (404, "PROCESS_NOT_FOUND")
    assert reply.json()["details"] == {"process_id": "proc_nobody"}
    process_id = agent.launch("exit 3")
    agent.ended(process_id)
    reply = agent.kill(process_id)
    assert (reply.status_code, reply.json()["code"]) == (404, "RESOURCE_NOT_FOUND")
    assert "already ended: failed, exit code 3" in reply.json()["error"]
    assert agent.row(process_id)["status"] == "failed"
    for reply in (agent.http.delete("/execute/kill"), agent.http.post("/execute/kill", json={})):
        assert (reply.status_code, reply.json()["code"]) == (400, "MISSING_PARAMETER")


def test_a_kill_during_the_end_by_time_limit_says_so(agent: Agent) -> None:
    process_id = agent.launch("trap '' TERM; while :; do sleep 0.05; done", timeout=0.1)
    folder = agent.process_folder(process_id)
    wait_until(lambda: (folder / "intent").read_text().strip(), "its time is over")
    reply = agent.kill(process_id)
    assert reply.status_code == 404
    assert agent.row(process_id)["message"] == "timed out after 0.1 s"


def test_children_that_left_for_a_session_of_their_own(agent: Agent) -> None:
    code = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
print(os.getpid(), flush=True)
time.sleep(1000)
"""
    process_id = agent.launch(code, "python")
    row: dict[str, str] = wait_until(
        lambda: len((row := agent.row(process_id))["stdout"].split()) == 2 and row, "both are there"
    )
    assert agent.kill(process_id).status_code == 200
    # What has left all behind but its place in the system's table is dead, and may stand there for a moment.
    wait_until(lambda: not any(map(is_alive, map(int, row["stdout"].split()))), "they are dead")


def test_a_kill_that_the_agent_did_not_live_to_finish(start_agent: StartAgent) -> None:
    agent = start_agent("--kill-grace-seconds", "1000")
    stubborn = agent.launch("trap '' TERM; echo $$; while :; do sleep 0.1; done")
    row = agent.wrote(stubborn, "\n")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(agent.kill, stubborn)
        wait_until(lambda: (agent.process_folder(stubborn) / "intent").read_text().strip(), "the kill is under way")
        agent.program.send_signal(signal.SIGKILL)
        with pytest.raises(httpx.HTTPError):
            asked.result()
    next_agent = start_agent("--kill-grace-seconds", "0.2")
    ended = next_agent.ended(stubborn)
    assert (ended["status"], ended["exit_code"]) == ("killed", 137)
    assert not is_alive(row["pid"])
