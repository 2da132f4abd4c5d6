"""What runs leave behind: it is known, it is killed when that is asked for, and only then."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.local_agent.store import Folder
from tests.waiting import is_running, wait_until

from .conftest import MARK, Agent, StartAgent

POOL = """
import multiprocessing, os, time

def work(barrier):
    print(os.getpid(), flush=True)
    barrier.wait()
    time.sleep({seconds})

context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    barrier = context.Manager().Barrier(3)
    results = [pool.apply_async(work, [barrier]) for _ in range(2)]
    barrier.wait()
    {end}
"""

DAEMON = f"""
import os, subprocess
kept = {{"{MARK}": os.environ["{MARK}"]}}  # by which a test that fails finds it
print(subprocess.Popen(["sleep", "1000"], start_new_session=True, env=kept).pid, flush=True)
"""

DOUBLE_FORK = f"""
import os, time
kept = {{"{MARK}": os.environ["{MARK}"]}}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.execve("/bin/sleep", ["sleep", "1000"], kept)
    os._exit(0)
os.wait()
time.sleep(0.3)
"""


def printed(row: dict[str, Any]) -> list[int]:
    return [int(word) for word in row["stdout"].split()]


def are_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(is_running, pids)), "they are dead")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_workers_of_a_pool_whose_main_process_was_killed(agent: Agent, number: signal.Signals) -> None:
    process_id = agent.launch(POOL.format(seconds=1000, end=f"os.kill(os.getpid(), {int(number)})"), "python")
    row = agent.ended(process_id)
    workers = printed(row)
    assert (row["status"], row["exit_code"], len(workers)) == ("failed", 128 + number, 2)
    assert set(workers) <= set(row["leftovers"])
    assert agent.kill(process_id).status_code == 200
    are_gone(workers)
    row = agent.row(process_id)
    assert (row["status"], row["exit_code"]) == ("failed", 128 + number)
    assert "leftovers" not in row
    assert agent.kill(process_id).status_code == 404


def test_a_pool_that_ends_leaves_nothing(agent: Agent) -> None:
    row = agent.ended(agent.launch(POOL.format(seconds=0, end="[result.get() for result in results]"), "python"))
    assert row["status"] == "completed"
    assert "leftovers" not in row


@pytest.mark.parametrize("code", [DAEMON, DOUBLE_FORK])
def test_a_daemon_that_dropped_session_and_environment(agent: Agent, code: str) -> None:
    row = agent.ended(agent.launch(code, "python"))
    assert (row["status"], row["leftovers"]) == ("completed", printed(row))
    assert all(map(is_running, row["leftovers"]))
    assert agent.kill(row["process_id"]).json()["message"] == "1 of 1 processes killed that it had left running"
    are_gone(printed(row))


@pytest.mark.parametrize("code", [DAEMON, DOUBLE_FORK])
def test_a_kill_takes_who_dropped_session_and_environment(agent: Agent, code: str) -> None:
    process_id = agent.launch(code + "\nimport time; print(flush=True); time.sleep(1000)", "python")
    pids = printed(agent.wrote(process_id, "\n\n"))
    assert agent.kill(process_id).status_code == 200
    are_gone(pids)
    assert "leftovers" not in agent.row(process_id)


def test_a_time_limit_takes_who_dropped_session_and_environment(agent: Agent) -> None:
    row = agent.timed_out(DAEMON + "\nimport time; time.sleep(1000)", "python", ready="\n")
    are_gone(printed(row))


def test_the_end_takes_all_along_when_asked_to(agent: Agent) -> None:
    row = agent.ended(agent.launch(DAEMON, "python", kill_leftovers=True))
    assert (row["status"], row["exit_code"]) == ("completed", 0)
    assert "leftovers" not in row
    assert not any(map(is_running, printed(row)))


def test_what_was_left_and_ends_is_told_of(agent: Agent) -> None:
    row = agent.ended(agent.launch(DAEMON, "python"))
    os.kill(*row["leftovers"], signal.SIGKILL)
    wait_until(lambda: "leftovers" not in agent.row(row["process_id"]), "it is left no more")


def test_others_are_not_taken_for_leftovers(agent: Agent) -> None:
    """A run that goes on, with a daemon of its own, and one that leaves nothing."""
    goes_on = agent.launch(DOUBLE_FORK + "print(flush=True); time.sleep(1000)", "python")
    agent.wrote(goes_on, "\n\n")
    assert "leftovers" not in agent.ended(agent.launch("true"))
    agent.kill(goes_on)


@pytest.mark.parametrize("ends", ["before the agent", "without an agent"])
def test_an_agent_knows_what_was_left_before_it_came(start_agent: StartAgent, tmp_path: Path, ends: str) -> None:
    first = start_agent()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process_id = first.launch(DAEMON + f"print(open({str(gate)!r}).read(), flush=True)", "python")
    pids = printed(first.wrote(process_id, "\n"))
    folder = Folder(first.process_folder(process_id))
    if ends == "before the agent":
        gate.write_text("")
        assert first.ended(process_id)["leftovers"] == pids
    else:
        wait_until(folder.read_strays, "the agent has seen it")
    first.end(signal.SIGKILL)
    if ends == "without an agent":
        gate.write_text("")
        wait_until(lambda: not folder.is_alive(), "it has ended")
    second = start_agent()
    row = second.row(process_id)
    assert (row["status"], row["leftovers"]) == ("completed", pids)
    assert second.kill(process_id).status_code == 200
    are_gone(pids)
    second.end(signal.SIGKILL)
    assert "leftovers" not in start_agent().row(process_id)


def test_a_process_whose_shell_was_killed_runs_on(agent: Agent, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process_id = agent.launch(f"echo ready; read x < {gate}; exit 7")
    row = agent.wrote(process_id, "ready")
    os.kill(os.getsid(row["pid"]), signal.SIGKILL)
    wait_until(lambda: not Folder(agent.process_folder(process_id)).has_shell(), "the shell is dead")
    assert agent.row(process_id)["status"] == "running"
    gate.write_text("\n")
    row = agent.ended(process_id)
    assert (row["status"], row["exit_code"]) == ("failed", 7)


def test_a_process_whose_shell_was_killed_can_be_killed_also_by_a_later_agent(start_agent: StartAgent) -> None:
    first = start_agent()
    ids = [first.launch("echo ready; sleep 1000") for _ in range(2)]
    pids = [first.wrote(process_id, "ready")["pid"] for process_id in ids]
    for pid in pids:
        os.kill(os.getsid(pid), signal.SIGKILL)
    folder = Folder(first.process_folder(ids[0]))
    wait_until(lambda: not folder.has_shell(), "the shell is dead")
    assert first.kill(ids[0]).status_code == 200
    assert first.row(ids[0])["status"] == "killed"
    first.end(signal.SIGKILL)
    second = start_agent()
    assert second.row(ids[1])["status"] == "running"
    assert second.kill(ids[1]).status_code == 200
    assert second.row(ids[1])["status"] == "killed"
    are_gone(pids)
