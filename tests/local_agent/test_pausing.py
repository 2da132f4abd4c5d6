"""Processes that stand still, and queues that do: whoever dies meanwhile, and whatever is asked for then."""

import signal
from pathlib import Path

import httpx
import psutil
import pytest

from hopx_magics.local_agent.family import clock
from hopx_magics.local_agent.records import Pauses
from hopx_magics.local_agent.store import Folder
from tests.waiting import wait_until

from .conftest import Agent, StartAgent, refused


def turn(agent: Agent, verb: str, *process_ids: str) -> list[str]:
    """What has become of processes that are to pause or resume."""
    reply = agent.post(f"/execute/{verb}", process_ids=process_ids)
    assert reply.status_code == 200, reply.text
    results: dict[str, str] = reply.json()["results"]
    assert list(results) == list(process_ids)
    return list(results.values())


def wait_until_standing(pids: list[int]) -> None:
    """The system stops them in a moment; one that is just starting another waits for that, which is stopped."""
    still = (psutil.STATUS_STOPPED, psutil.STATUS_DISK_SLEEP)
    wait_until(lambda: all(psutil.Process(pid).status() in still for pid in pids), "all stand still")


def wait_until_going(pids: list[int]) -> None:
    wait_until(lambda: all(psutil.Process(pid).status() != psutil.STATUS_STOPPED for pid in pids), "all go on")


def pids_in(agent: Agent, process_id: str, count: int) -> list[int]:
    """The pids that a process has written to its output, so many of them."""
    return wait_until(
        lambda: len(pids := [int(word) for word in agent.row(process_id)["stdout"].split()]) == count and pids,
        f"there are {count} pids",
    )


FAMILY = """
echo $$
sh -c 'echo $$; while :; do sleep 0.01; done' &
setsid sh -c 'echo $$; while :; do sleep 0.01; done' &
wait
"""


def test_all_of_a_run_stand_still_and_go_on(agent: Agent) -> None:
    process_id = agent.launch(FAMILY)
    pids = pids_in(agent, process_id, 3)
    assert turn(agent, "pause", process_id) == ["paused"]
    wait_until_standing(pids)  # also what has begun a session of its own
    rows = [agent.row(process_id) for _ in range(2)]
    assert [(row["status"], row["message"], row["paused"]) for row in rows] == [("running", "paused", True)] * 2
    assert rows[0]["execution_time"] == rows[1]["execution_time"]
    assert turn(agent, "pause", process_id, "proc_no") == ["already paused", "unknown id"]
    assert turn(agent, "resume", process_id, "proc_no") == ["resumed", "unknown id"]
    wait_until_going(pids)
    row = agent.row(process_id)
    assert (row["status"], "message" in row, "paused" in row) == ("running", False, False)
    assert turn(agent, "resume", process_id) == ["not paused"]
    agent.kill(process_id)
    assert turn(agent, "pause", process_id) == turn(agent, "resume", process_id) == ["already finished"]


def paused_in_time(agent: Agent) -> tuple[str, float]:
    """A process that was paused before its time was over, and its time limit."""
    limit = 0.5
    while turn(agent, "pause", paused := agent.launch("sleep 1000", timeout=limit)) != ["paused"]:
        limit *= 3
    return paused, limit


def test_a_pause_is_no_running_time(agent: Agent) -> None:
    paused, limit = paused_in_time(agent)
    assert agent.ended(agent.launch("sleep 1000", timeout=limit))["message"] == f"timed out after {limit:g} s"
    assert agent.row(paused)["status"] == "running", "its time limit stands still, too"
    before = agent.row(paused)["execution_time"]
    assert before < limit
    turn(agent, "resume", paused)
    ended = agent.ended(paused)
    assert (ended["status"], ended["message"]) == ("failed", f"timed out after {limit:g} s")
    assert ended["execution_time"] > before


def test_a_paused_run_can_be_killed_and_hears_of_it(patient_agent: Agent, tmp_path: Path) -> None:
    agent = patient_agent
    heard = tmp_path / "heard"
    process_id = agent.launch(f"trap 'touch {heard}; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
    agent.wrote(process_id, "ready")
    turn(agent, "pause", process_id)
    assert agent.kill(process_id).status_code == 200
    assert heard.exists(), "the request to end came before the force"
    row = agent.row(process_id)
    assert (row["status"], "paused" in row) == ("killed", False)


def test_what_is_paused_is_so_for_the_next_agent(start_agent: StartAgent) -> None:
    first = start_agent()
    process_id = first.launch(FAMILY)
    pids = pids_in(first, process_id, 3)
    turn(first, "pause", process_id)
    before = first.row(process_id)
    first.end(signal.SIGKILL)
    wait_until_standing(pids)
    second = start_agent()
    after = second.row(process_id)
    for row in (before, after):
        row.pop("usage", None)  # which is looked at now and then
    assert after == {**before, "execution_time": pytest.approx(before["execution_time"])}
    assert turn(second, "resume", process_id) == ["resumed"]
    wait_until_going(pids)


def test_an_agent_that_died_between_record_and_deed(start_agent: StartAgent) -> None:
    first = start_agent()
    process_id = first.launch(FAMILY)
    pids = pids_in(first, process_id, 3)
    first.end(signal.SIGKILL)
    Folder(first.process_folder(process_id)).write_pauses(Pauses(0.0, clock()))
    second = start_agent()
    wait_until_standing(pids)
    assert second.row(process_id)["paused"] is True
    second.kill(process_id)


def test_what_is_queued_and_paused_lets_others_by(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "1")
    running = agent.launch("sleep 1000")
    held, other = agent.launch("echo held"), agent.launch("echo other")
    assert turn(agent, "pause", held) == ["paused"]
    assert (agent.row(held)["status"], agent.row(held)["message"]) == ("queued", "paused")
    agent.end(signal.SIGKILL)
    agent = start_agent("--max-running", "1")
    agent.kill(running)
    assert agent.ended(other)["stdout"] == "other\n"
    assert agent.row(held)["status"] == "queued"
    assert turn(agent, "resume", held) == ["resumed"]
    assert agent.ended(held)["stdout"] == "held\n"


def test_a_paused_queue_starts_nothing(start_agent: StartAgent) -> None:
    agent = start_agent()
    running = agent.launch("read x", env={})
    assert agent.post("/execute/queue", paused=True).json()["paused"] is True
    reply = agent.post("/execute/background", code="echo ran", language="bash").json()
    assert reply["status"] == "queued"
    waiting = reply["process_id"]
    assert agent.ended(running)["status"] == "failed", "what runs goes on"
    agent.end(signal.SIGKILL)
    agent = start_agent()
    state = agent.http.get("/execute/queue").json()
    assert [state[field] for field in ("paused", "running", "queued")] == [True, 0, 1]
    assert (agent.row(waiting)["status"], agent.row(waiting)["message"]) == ("queued", "the queue is paused")
    agent.post("/execute/queue", paused=False)
    assert agent.ended(waiting)["stdout"] == "ran\n"


def test_slots_and_limits_change_while_it_goes_on(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "1")
    ids = [agent.launch("sleep 1000", sweep="s", sweep_limit=1) for _ in range(3)]
    ids += [agent.launch("sleep 1000") for _ in range(2)]

    def running() -> list[bool]:
        return [agent.row(process_id)["status"] == "running" for process_id in ids]

    assert running() == [True, False, False, False, False]
    assert agent.post("/execute/queue", max_running=2).json()["max_running"] == 2
    assert running() == [True, False, False, True, False]
    agent.end(signal.SIGKILL)
    agent = start_agent("--max-running", "1")
    agent.post("/execute/queue", sweep="s", sweep_limit=2)
    assert agent.row(ids[1])["message"] == "2 of 2 running on this machine"
    agent.post("/execute/queue", max_running=4)
    assert running() == [True, True, False, True, True]
    assert agent.row(ids[2])["message"] == "limit 2 of its sweep"
    agent.post("/execute/queue", sweep="s", sweep_limit=0, max_running=5)
    assert all(running())
    assert agent.post("/execute/queue", max_running=0).json()["max_running"] == 1


def test_what_is_first_is_ahead_of_what_is_not(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "1")
    running = agent.launch("sleep 1000")
    order = agent.folder / "order"
    names = [("a", False), ("b", False), ("c", True), ("d", True)]
    ids = [agent.launch(f"echo {name} >> {order}", first=first) for name, first in names]
    assert [agent.row(process_id).get("first") for process_id in ids] == [None, None, True, True]
    agent.kill(running)
    assert {agent.ended(process_id)["status"] for process_id in ids} == {"completed"}
    assert order.read_text().split() == ["c", "d", "a", "b"]


def test_what_can_not_be_done_to_a_queue(agent: Agent) -> None:
    def said(**body: object) -> tuple[str, str]:
        reply: httpx.Response = agent.post("/execute/queue", **body)
        assert refused(reply)[0] == 400
        return refused(reply)[1], reply.json()["error"]

    assert said(max_running=-1) == ("INVALID_REQUEST", "max_running must be 0 or more, not -1")
    assert said(sweep="none", sweep_limit=2)[1] == "nothing of the sweep none is queued or running"
    assert said(sweep_limit=2)[1].startswith("sweep_limit is the limit of a sweep")
    assert said(paused="yes")[0] == "INVALID_REQUEST"
    assert refused(agent.post("/execute/pause")) == (400, "MISSING_PARAMETER")
