"""Sweeps with a limit: how many run at once, in which order, and beside whom. The processes themselves keep the log."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopx_magics.local_agent.active import Active
from hopx_magics.local_agent.queue import Queue
from hopx_magics.local_agent.store import Folder
from tests.waiting import TICK, wait_until

from .conftest import Agent, StartAgent, launched, refused


class Log:
    """A file to which processes write when they begin and when they end."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log"
        self._gate = folder / "gate"

    def code(self, name: object = "", *, until: int = 1, gate: bool = False) -> str:
        """A process that ends when `until` have begun, and with `gate` not before that is opened."""
        waits = [f"until [ $(grep -c begin {self._path}) -ge {until} ]; do sleep 0.01; done"]
        if gate:
            waits.append(f"until [ -e {self._gate} ]; do sleep 0.01; done")
        return "\n".join(
            [f"echo begin {name} >> {self._path}", *waits, "sleep 0.05", f"echo end {name} >> {self._path}"]
        )

    def open_gate(self) -> None:
        self._gate.touch()

    @property
    def lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []

    def wait_for(self, begun: int) -> None:
        """Returns as soon as so many have begun."""
        wait_until(lambda: sum(line.startswith("begin") for line in self.lines) >= begun, f"{begun} have begun")

    def most_at_once(self, name: str = "") -> int:
        """How many ran at once, at most; only those of that name, if one is given."""
        running = most = 0
        for line in self.lines:
            if name in line:
                running += 1 if line.startswith("begin") else -1
                most = max(most, running)
        return most


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def all_ended(agent: Agent, ids: list[str]) -> list[str]:
    """The statuses of these processes, when all of them have ended."""
    return [agent.ended(process_id)["status"] for process_id in ids]


def statuses(agent: Agent, ids: list[str]) -> list[str]:
    return [agent.row(process_id)["status"] for process_id in ids]


def test_no_more_than_the_limit_run_at_once(agent: Agent, log: Log) -> None:
    ids = [agent.launch(log.code(until=2), sweep="at-most-2", sweep_limit=2) for _ in range(6)]
    assert all_ended(agent, ids) == ["completed"] * 6
    assert log.most_at_once() == 2


def reasons(agent: Agent, ids: list[str]) -> list[str | None]:
    return [agent.row(process_id).get("message") for process_id in ids]


def test_what_is_queued_says_why(start_agent: StartAgent, log: Log) -> None:
    agent = start_agent("--max-running", "2")
    swept = [agent.launch(log.code("swept", gate=True), sweep="s", sweep_limit=1) for _ in range(2)]
    log.wait_for(begun=1)
    assert reasons(agent, swept) == [None, "limit 1 of its sweep"]
    others = [agent.launch(log.code(gate=True)) for _ in range(2)]
    log.wait_for(begun=2)
    assert reasons(agent, others) == [None, "2 of 2 running on this machine"]
    assert reasons(agent, swept)[1] == "limit 1 of its sweep"
    log.open_gate()
    assert set(all_ended(agent, swept + others)) == {"completed"}
    assert reasons(agent, swept + others) == [None] * 4


def test_another_reason_is_told_as_a_change() -> None:
    running: dict[str, Active] = {}
    queue = Queue(running, 2)
    first, second, other = queued(1, "s", 1), queued(2, "s", 1), queued(3, None, None)
    running |= {"x": other, "y": other}
    queue.add(first)
    assert queue.renew_reasons() == [], "what was just launched is told anyway"
    assert queue.reason(first) == ("slot", "2 of 2 running on this machine")
    queue.add(second)
    running["y"] = first
    queue.remove(first)
    assert queue.renew_reasons() == ["proc_2"]
    assert queue.reason(second) == ("limit", "limit 1 of its sweep")
    assert queue.renew_reasons() == []


def test_a_limit_of_1_is_one_after_the_other(agent: Agent, log: Log) -> None:
    ids = [agent.launch(log.code(i), sweep="one-by-one", sweep_limit=1) for i in range(5)]
    assert all_ended(agent, ids) == ["completed"] * 5
    assert log.lines == [f"{word} {i}" for i in range(5) for word in ("begin", "end")]


def test_500_launches_of_one_sweep(start_agent: StartAgent, log: Log) -> None:
    agent = start_agent("--max-running", "12")
    with ThreadPoolExecutor(50) as pool:
        ids = list(pool.map(lambda _: agent.launch(log.code(until=6), sweep="s", sweep_limit=6), range(500)))
    wait_until(lambda: {row["status"] for row in agent.listing(tail=0)} == {"completed"}, "all have ended")
    assert len(set(ids)) == 500
    assert len(log.lines) == 1000
    assert log.most_at_once() == 6


def test_a_sweep_that_waits_holds_up_nobody_else(agent: Agent, log: Log) -> None:
    ids = [agent.launch(log.code(gate=True), sweep="waits", sweep_limit=1) for _ in range(3)]
    others = [agent.launch("true"), agent.launch("true", sweep="other", sweep_limit=1), agent.launch("true", sweep="x")]
    assert all_ended(agent, others) == ["completed"] * 3
    assert statuses(agent, ids) == ["running", "queued", "queued"]
    log.open_gate()
    assert all_ended(agent, ids) == ["completed"] * 3
    assert log.most_at_once() == 1


def test_the_agents_own_limit_holds_beside(start_agent: StartAgent, log: Log) -> None:
    agent = start_agent("--max-running", "3")
    ids = []
    for _ in range(5):
        ids.append(agent.launch(log.code("wide", until=3), sweep="wide", sweep_limit=5))
        ids.append(agent.launch(log.code("narrow", until=3), sweep="narrow", sweep_limit=1))
        ids.append(agent.launch(log.code("alone", until=3)))
    assert all_ended(agent, ids) == ["completed"] * 15
    assert log.most_at_once() == 3
    assert log.most_at_once("narrow") == 1


def test_the_first_that_may_start_is_next(start_agent: StartAgent, log: Log) -> None:
    agent = start_agent("--max-running", "2")
    held = [agent.launch(log.code(gate=True), sweep="s", sweep_limit=1) for _ in range(2)]
    blocker = agent.launch("sleep 1000")
    later = [agent.launch(log.code(i)) for i in range(3)]
    assert statuses(agent, [*held, blocker, *later]) == ["running", "queued", "running", *["queued"] * 3]
    agent.kill(blocker)
    assert all_ended(agent, later) == ["completed"] * 3
    assert log.lines[1:] == [f"{word} {i}" for i in range(3) for word in ("begin", "end")]
    assert statuses(agent, held) == ["running", "queued"]
    log.open_gate()
    assert all_ended(agent, held) == ["completed"] * 2


def test_the_room_of_a_killed_one_is_given_on(agent: Agent) -> None:
    ids = [agent.launch("sleep 1000", sweep="kills", sweep_limit=1) for _ in range(4)]
    assert agent.kill(ids[1]).json()["status"] == "killed"
    assert agent.row(ids[1])["started_at"] is None
    assert statuses(agent, ids) == ["running", "killed", "queued", "queued"]
    agent.kill(ids[0])
    agent.running(ids[2])
    assert statuses(agent, ids) == ["killed", "killed", "running", "queued"]
    agent.kill(ids[3])
    agent.kill(ids[2])
    assert statuses(agent, ids) == ["killed"] * 4


def test_time_limits_count_from_the_start_and_give_room(agent: Agent) -> None:
    first, second = (agent.launch("sleep 1000", timeout=limit, sweep="timed", sweep_limit=1) for limit in (0.6, 0.5))
    assert agent.ended(first)["message"] == "timed out after 0.6 s"
    assert agent.ended(second)["execution_time"] >= 0.5 - TICK, "it has all of its time"


def test_one_that_can_not_start_takes_no_room(agent: Agent, log: Log) -> None:
    first = agent.launch(log.code(gate=True), sweep="broken", sweep_limit=1)
    broken = agent.launch("true", env={"A": "x" * 5_000_000}, sweep="broken", sweep_limit=1)
    last = agent.launch("true", sweep="broken", sweep_limit=1)
    log.open_gate()
    assert all_ended(agent, [first, broken, last]) == ["completed", "failed", "completed"]
    assert agent.row(broken)["message"].startswith("could not start")


def test_each_launch_has_its_own_limit(agent: Agent, log: Log) -> None:
    """What has no limit counts for those that have one, and waits for nobody."""
    limits = {"none": None, "also none": None, "1": 1, "2": 2, "3": 3}
    ids = {
        name: agent.launch(log.code(name, gate=True), sweep="mixed", sweep_limit=limit)
        for name, limit in limits.items()
    }
    assert statuses(agent, list(ids.values())) == ["running", "running", "queued", "queued", "running"]
    agent.kill(ids["also none"])
    assert statuses(agent, [ids["1"], ids["2"]]) == ["queued", "queued"]
    agent.kill(ids["3"])
    assert statuses(agent, [ids["1"], ids["2"]]) == ["queued", "running"]
    log.open_gate()
    assert all_ended(agent, [ids[name] for name in ("none", "1", "2")]) == ["completed"] * 3
    assert log.lines[-2:] == ["begin 1", "end 1"]


def test_the_limit_outlives_the_agent(start_agent: StartAgent, log: Log) -> None:
    agent = start_agent("--max-running", "8")
    ids = [agent.launch(log.code(i, gate=True), sweep="s", sweep_limit=2) for i in range(6)]
    other = agent.launch("true")
    agent.ended(other)
    log.wait_for(2)
    agent.end(signal.SIGKILL)
    agent = start_agent("--max-running", "8")
    assert statuses(agent, ids) == ["running"] * 2 + ["queued"] * 4
    assert agent.ended(agent.launch("true"))["status"] == "completed"
    log.open_gate()
    for begun in (3, 5):
        log.wait_for(begun)
        agent.end(signal.SIGKILL)
        agent = start_agent("--max-running", "8")
    assert all_ended(agent, ids) == ["completed"] * 6
    assert Counter(log.lines) == {f"{word} {i}": 1 for word in ("begin", "end") for i in range(6)}
    assert log.most_at_once() == 2


def test_the_order_outlives_the_agent(start_agent: StartAgent, log: Log) -> None:
    first = start_agent()
    ids = [first.launch(log.code(i, gate=True), sweep="s", sweep_limit=1) for i in range(4)]
    first.end(signal.SIGKILL)
    log.open_gate()
    second = start_agent()
    assert all_ended(second, ids) == ["completed"] * 4
    assert log.lines == [f"{word} {i}" for i in range(4) for word in ("begin", "end")]


def test_the_reply_says_that_the_limit_is_kept_and_is_the_same_again(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "8")
    body = {"code": "true", "language": "bash", "sweep": "s", "sweep_limit": 1}
    blocker = agent.post("/execute/background", **{**body, "code": "sleep 1000"}).json()
    assert (blocker["status"], blocker["sweep_limit"]) == ("running", 1)
    headers = {"Idempotency-Key": "k"}
    reply = agent.http.post("/execute/background", json=body, headers=headers)
    assert (reply.json()["status"], reply.json()["sweep_limit"]) == ("queued", 1)
    agent.kill(blocker["process_id"])
    assert agent.ended(reply.json()["process_id"])["status"] == "completed"
    assert agent.http.post("/execute/background", json=body, headers=headers).content == reply.content
    agent.end(signal.SIGKILL)
    agent = start_agent("--max-running", "8")
    assert agent.http.post("/execute/background", json=body, headers=headers).content == reply.content
    other = agent.http.post("/execute/background", json={**body, "sweep_limit": 2}, headers=headers)
    assert refused(other) == (409, "CONFLICT")


def test_a_reply_without_a_limit_speaks_of_none(agent: Agent) -> None:
    for fields in ({}, {"sweep": "s"}, {"sweep": None, "sweep_limit": None}):
        reply = agent.post("/execute/background", code="pass", **fields)
        assert (reply.status_code, reply.json()["status"]) == (200, "running")
        assert "sweep_limit" not in reply.json()
    assert "sweep-limit" in agent.http.get("/info").json()["features"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sweep_limit": 2}, "sweep must say"),
        ({"sweep": None, "sweep_limit": 2}, "sweep must say"),
        ({"sweep": "s", "sweep_limit": 0}, "1 or more, not 0"),
        ({"sweep": "s", "sweep_limit": -1}, "1 or more, not -1"),
        ({"sweep": "s", "sweep_limit": 1.5}, "sweep_limit"),
        ({"sweep": "s", "sweep_limit": "2"}, "sweep_limit"),
        ({"sweep": "s", "sweep_limit": True}, "sweep_limit"),
        ({"sweep": ""}, "1 to 64"),
        ({"sweep": "s" * 65}, "1 to 64"),
        ({"sweep": "a b"}, "'a b'"),
        ({"sweep": "s\n"}, "'s\\n'"),
        ({"sweep": "ä", "sweep_limit": 1}, "'ä'"),
        ({"sweep": "../s", "sweep_limit": 1}, "'../s'"),
        ({"sweep": 7, "sweep_limit": 1}, "sweep"),
    ],
)
def test_sweeps_that_can_not_be(agent: Agent, fields: dict[str, Any], says: str) -> None:
    before = len(agent.listing())
    reply = agent.post("/execute/background", code="pass", **fields)
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert says in reply.json()["error"]
    assert len(agent.listing()) == before


def test_ids_and_limits_of_any_size(agent: Agent) -> None:
    for sweep, limit in (("s" * 64, 1), ("aZ09_-", 10**30)):
        reply = agent.post("/execute/background", code="pass", sweep=sweep, sweep_limit=limit)
        assert reply.json()["sweep_limit"] == limit
        assert agent.ended(reply.json()["process_id"])["status"] == "completed"


# ---------------------------------------------------------------- the queue


def queued(number: int, sweep: str | None, limit: int | None) -> Active:
    record = launched(process_id=f"proc_{number}", sequence=number, sweep=sweep, sweep_limit=limit)
    return Active(record, Folder(Path(os.devnull)))


LIMITS = st.sampled_from([(None, None), ("a", None), ("a", 1), ("a", 2), ("b", 1), ("b", 3)])


@settings(deadline=None)
@given(st.data())
def test_the_queue_gives_the_first_that_may_start(data: st.DataObject) -> None:
    """As does a list that is searched from its beginning."""
    waiting: list[Active] = []
    running: dict[str, Active] = {}
    queue = Queue(running, most=5)
    for number in range(data.draw(st.integers(1, 40))):
        step = data.draw(st.sampled_from(["launch", "launch", "start", "end", "kill"]))
        if step == "launch":
            waiting.append(queued(number, *data.draw(LIMITS)))
            queue.add(waiting[-1])
        elif step == "end" and running:
            del running[data.draw(st.sampled_from(sorted(running)))]
        elif step == "kill" and waiting:
            killed = data.draw(st.sampled_from(waiting))
            waiting.remove(killed)
            queue.remove(killed)
        elif step == "start":
            expected = next((active for active in waiting if may_start(active, running)), None)
            assert queue.take_next() is expected
            if expected is not None:
                waiting.remove(expected)
                running[expected.process_id] = expected
        assert bool(queue) == bool(waiting)


def may_start(active: Active, running: dict[str, Active]) -> bool:
    sweep, limit = active.launched.sweep, active.launched.sweep_limit
    of_sweep = [other for other in running.values() if other.launched.sweep == sweep]
    return len(running) < 5 and (limit is None or len(of_sweep) < limit)
