"""Many launches with one request, each of them once; and many ends."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from .conftest import Agent, StartAgent, refused

MANY = "/execute/many"


def bodies(count: int) -> list[dict[str, Any]]:
    return [{"code": f"echo {number}", "language": "bash"} for number in range(count)]


def ids(reply: Any) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [each["process_id"] for each in reply.json()["results"]]


def test_they_are_launched_in_their_order(agent: Agent) -> None:
    before = len(agent.listing())
    launched = ids(agent.post(MANY, launches=bodies(5)))
    assert [row["process_id"] for row in agent.listing()][before:] == launched
    assert [agent.ended(process_id)["stdout"] for process_id in launched] == [f"{number}\n" for number in range(5)]
    assert "many" in agent.http.get("/info").json()["features"]


def test_each_is_launched_once_with_its_key_also_by_itself_and_by_another_agent(start_agent: StartAgent) -> None:
    agent = start_agent()
    launches = [json.dumps(body).encode() for body in bodies(4)]
    keys = [f"key-{number}" for number in range(4)]
    alone = agent.http.post("/execute/background", content=launches[1], headers={"Idempotency-Key": keys[1]})
    many = b'{"launches": [%s], "idempotency_keys": %s}' % (b", ".join(launches), json.dumps(keys).encode())
    first = agent.http.post(MANY, content=many)
    assert first.json()["results"][1] == alone.json()
    assert agent.http.post(MANY, content=many).content == first.content
    agent.end(signal.SIGKILL)
    agent = start_agent()
    assert agent.http.post(MANY, content=many).content == first.content
    assert sorted(row["process_id"] for row in agent.listing()) == sorted(ids(first))


def test_those_ahead_of_one_that_is_refused_are_launched(agent: Agent) -> None:
    wanted = [*bodies(2), {"code": "true", "language": "cobol"}, *bodies(1)]
    alone = agent.post("/execute/background", **wanted[2])
    before = len(agent.listing())
    reply = agent.post(MANY, launches=wanted)
    assert len(ids(reply)) == 2
    status, code = refused(alone)
    assert reply.json()["error"] == {"status": status, "code": code, "message": alone.json()["error"]}
    assert len(agent.listing()) == before + 2
    body = {"launches": bodies(1), "idempotency_keys": ["taken"]}
    assert ids(agent.post(MANY, **body)) == ids(agent.post(MANY, **body))
    other = agent.post(MANY, launches=[{"code": "another", "language": "bash"}], idempotency_keys=["taken"])
    assert (other.json()["results"], other.json()["error"]["code"]) == ([], "CONFLICT")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "launches"),
        ({"launches": {}}, "array"),
        ({"launches": bodies(2), "idempotency_keys": ["one"]}, "2 launches can't have 1"),
        ({"launches": bodies(1), "idempotency_keys": ["k" * 256]}, "255"),
        ({"launches": bodies(1) * 1001}, "1,001 are too many"),
    ],
)
def test_what_can_not_be_many_launches(agent: Agent, body: dict[str, Any], says: str) -> None:
    before = len(agent.listing())
    reply = agent.post(MANY, **body)
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert says in reply.json()["error"]
    assert len(agent.listing()) == before


def test_a_queue_of_many_keeps_its_order_and_its_limit(agent: Agent) -> None:
    blocker = agent.launch("sleep 1000", sweep="many", sweep_limit=1)
    launched = ids(agent.post(MANY, launches=[{**each, "sweep": "many", "sweep_limit": 1} for each in bodies(3)]))
    assert {agent.row(process_id)["status"] for process_id in launched} == {"queued"}
    agent.kill(blocker)
    rows = [agent.ended(process_id) for process_id in launched]
    assert [row["started_at"] for row in rows] == sorted(row["started_at"] for row in rows)


def test_many_are_killed_and_nothing_is_started_for_that(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--max-running", "1")
    over = agent.launch("echo over")
    agent.ended(over)
    left = agent.launch("sleep 1000 & echo $!")
    assert agent.ended(left)["leftovers"]
    running = agent.launch("echo on; sleep 1000")
    agent.wrote(running, "on")
    mark = {"code": f"touch {tmp_path}/started", "language": "bash"}
    queued = ids(agent.post(MANY, launches=[mark] * 20))
    after = agent.launch(mark["code"], after_any=[queued[0]])
    wanted = [running, *queued, after, over, left, "proc_nobody", running]
    reply = agent.post(f"{MANY}/kill", process_ids=wanted)
    assert reply.json()["results"] == {
        **dict.fromkeys([running, *queued, after], "killed"),
        over: "already finished",
        left: "leftovers killed",
        "proc_nobody": "unknown id",
    }
    assert {agent.row(process_id)["status"] for process_id in [running, *queued, after]} == {"killed"}
    assert not (tmp_path / "started").exists()
    assert agent.ended(agent.launch("echo next"))["stdout"] == "next\n"


def test_many_that_are_deaf_are_killed_at_the_same_time(agent: Agent) -> None:
    code = "trap '' TERM; echo deaf; while :; do sleep 1; done"
    deaf = ids(agent.post(MANY, launches=[{"code": code, "language": "bash"}] * 10))
    for process_id in deaf:
        agent.wrote(process_id, "deaf")
    assert set(agent.post(f"{MANY}/kill", process_ids=deaf).json()["results"].values()) == {"killed"}


def test_too_many_can_not_be_killed_at_once(agent: Agent) -> None:
    reply = agent.post(f"{MANY}/kill", process_ids=["proc_nobody"] * 1001)
    assert refused(reply) == (400, "INVALID_REQUEST")
