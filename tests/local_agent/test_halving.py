"""Runs of a sweep that end at half time since they are not among the best."""

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import wait_until

from .conftest import Agent, StartAgent, refused

Launch = Callable[..., str]


def prints(*lines: str, then: str = "sleep 1000") -> str:
    return "".join(f"echo '{line}'\n" for line in lines) + then


@pytest.fixture
def launch(agent: Agent) -> Launch:
    """Launches a run of a sweep, of which the best one is kept."""
    sweep = secrets.token_hex(4)  # the agent may be that of other tests, too
    return lambda code, **fields: agent.launch(code, **{"sweep": sweep, "keep_best": "1 loss", **fields})


def test_the_best_at_half_time_goes_on(agent: Agent, launch: Launch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    early = launch(prints("epoch 4/10 loss: 9"))
    best = launch(prints("epoch 5/10 loss: 1", "epoch 6/10 loss: 7", then=f"read x < {tmp_path}/gate"))
    other = launch(prints("epoch 5/10 loss: 2", "epoch 6/10 loss: 0.5"))
    row = agent.ended(other)
    assert (row["status"], row["message"]) == ("killed", "not among the best 1 by loss: 2 at half time")
    assert row["stopped_when"] == "not among the best 1 by loss"
    assert agent.row(early)["status"] == agent.row(best)["status"] == "running", "one is not at half time yet"
    (tmp_path / "gate").write_text("go\n")
    assert agent.ended(best)["status"] == "completed"
    better = launch(prints("epoch 5/10 loss: 0.9"))
    worse = launch(prints("epoch 5/10 loss: 1.1"))
    assert agent.ended(worse)["message"].endswith("1.1 at half time"), "what has completed counts"
    assert agent.row(better)["status"] == "running"


def test_without_progress_half_time_is_half_of_the_values_of_one_that_has_completed(
    agent: Agent, launch: Launch, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    worse = launch(prints("loss: 1", "loss: 6", "loss: 5"))
    better = launch(prints("loss: 9", "loss: 4", "loss: 8"))
    early = launch(prints("loss: 99"))
    for process_id in (worse, better, early):
        wait_until(lambda process_id=process_id: agent.row(process_id)["stdout"], "it has printed")
    assert agent.ended(launch(prints(*["loss: 5"] * 4, then="exit 0")))["status"] == "completed"
    assert agent.ended(worse)["message"] == "not among the best 1 by loss: 6 at half time"
    assert agent.row(better)["status"] == agent.row(early)["status"] == "running"


def test_a_bar_may_be_on_the_other_stream(agent: Agent, launch: Launch) -> None:
    code = "printf ' 60%%|######    | 6/10 [00:01<00:01]\r' >&2; echo accuracy=0.{}; sleep 1000"
    rule = {"keep_best": "1 max accuracy"}
    best, other = (launch(code.format(digit), **rule) for digit in (7, 5))
    assert agent.ended(other)["message"] == "not among the best 1 by accuracy: 0.5 at half time"
    assert agent.row(best)["status"] == "running"


def test_what_is_no_number_is_the_worst_and_what_prints_nothing_goes_on(agent: Agent, launch: Launch) -> None:
    silent = launch(prints("epoch 8/10 acc: 3"))
    assert agent.ended(launch(prints("epoch 9/10 loss: 0", then="exit 1")))["status"] == "failed"
    first = launch(prints("epoch 5/10 loss: 7"))
    equal = launch(prints("epoch 5/10 loss: 7"))
    assert agent.ended(equal)["message"].endswith("7 at half time"), "the one that was launched first goes on"
    assert agent.ended(launch(prints("epoch 5/10 loss: nan")))["message"].endswith("nan at half time")
    rows = {"silent": agent.row(silent), "first": agent.row(first)}
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(rows, "running"), rows


def test_of_no_more_than_are_kept_none_is_ended(agent: Agent, launch: Launch) -> None:
    sweep = secrets.token_hex(4)
    few = [launch(prints(f"epoch 9/10 loss: {loss}"), sweep=sweep, keep_best="2 loss") for loss in (8, 9)]
    for process_id in few:
        wait_until(lambda process_id=process_id: agent.row(process_id)["stdout"], "it has printed")
    launch(prints("epoch 9/10 loss: 1"))
    agent.ended(launch(prints("epoch 9/10 loss: 2")))  # by then the others were looked at, too
    assert {agent.row(process_id)["status"] for process_id in few} == {"running"}


def test_the_next_agent_knows_of_those_that_have_ended(start_agent: StartAgent, tmp_path: Path) -> None:
    first, rule = start_agent(), {"sweep": "s", "keep_best": "1 loss"}
    os.mkfifo(tmp_path / "gate")
    done = first.launch(prints("epoch 5/10 loss: 1", then="exit 0"), **rule)
    assert first.ended(done)["status"] == "completed"
    process_id = first.launch(f"read x < {tmp_path}/gate; {prints('epoch 5/10 loss: 2')}", **rule)
    first.running(process_id)
    first.end(signal.SIGKILL)
    second = start_agent()
    (tmp_path / "gate").write_text("go\n")
    assert second.ended(process_id)["message"] == "not among the best 1 by loss: 2 at half time"
    second.end()
    assert start_agent().row(process_id)["status"] == "killed"


@pytest.mark.parametrize("fields", [{"keep_best": "3 loss"}, {"keep_best": "loss", "sweep": "s"}])
def test_what_is_no_rule_is_refused(agent: Agent, fields: dict[str, str]) -> None:
    reply = agent.post("/execute/background", code="pass", **fields)
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert reply.json()["error"].startswith("keep_best")
