"""Processes that are stopped by what they print."""

import os
import signal
from pathlib import Path

import pytest

from tests.waiting import is_running, wait_until

from .conftest import Agent, StartAgent, refused

REST = "sleep 1000 & echo $! >&2; wait"


def test_it_is_stopped_with_all_that_it_started(agent: Agent) -> None:
    code = "sleep 1000 & echo $! >&2; echo loss: 9; echo loss: 12.5; wait"
    process_id = agent.launch(code, stop_when=["acc>=0.9", "loss > 10"])
    row = agent.ended(process_id)
    assert (row["status"], row["message"]) == ("killed", "stopped when loss>10: loss was 12.5")
    assert row["stopped_when"] == "loss>10"
    assert not is_running(int(row["stderr"]))


def test_it_is_asked_before_it_is_forced(patient_agent: Agent) -> None:
    code = "import time\ntry: print('loss nan', flush=True); time.sleep(1000)\nfinally: print('saved')"
    row = patient_agent.ended(patient_agent.launch(code, "python", stop_when=["loss>10"]))
    assert (row["stdout"], row["message"]) == ("loss nan\nsaved\n", "stopped when loss>10: loss was nan")


def test_what_ends_by_itself_is_as_it_ended(agent: Agent) -> None:
    row = agent.ended(agent.launch("echo loss: 9; exit 3", stop_when=["loss>10"]))
    assert (row["status"], row["exit_code"]) == ("failed", 3)
    assert "stopped_when" not in row


def test_of_very_much_output_the_end_is_read(agent: Agent) -> None:
    code = f"yes 'nothing to see here' | head -c 20000000; echo; echo 'val loss: 3'; {REST}"
    row = agent.ended(agent.launch(code, stop_when=["val loss<4"]))
    assert row["message"] == "stopped when val loss<4: val loss was 3"


def test_the_next_agent_reads_on(start_agent: StartAgent, tmp_path: Path) -> None:
    first = start_agent()
    os.mkfifo(tmp_path / "gate")
    process_id = first.launch(f"read x < {tmp_path}/gate; echo $x; {REST}", stop_when=["loss>10"])
    first.running(process_id)
    first.end(signal.SIGKILL)
    (tmp_path / "gate").write_text("loss=11\n")
    stderr = first.process_folder(process_id) / "stderr"
    wait_until(stderr.read_text, "it has printed that")
    second = start_agent()
    assert second.ended(process_id)["message"] == "stopped when loss>10: loss was 11"
    second.end()
    row = start_agent().row(process_id)
    assert (row["status"], row["stopped_when"]) == ("killed", "loss>10")


@pytest.mark.parametrize("bounds", [["loss"], [">10"], ["loss>10"] * 21])
def test_what_is_no_bound_is_refused(agent: Agent, bounds: list[str]) -> None:
    reply = agent.post("/execute/background", code="pass", stop_when=bounds)
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert reply.json()["error"].startswith("stop_when")
