"""A run is all of its processes: what it leaves running is seen and killed, and how it ended is said once."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from hopx_magics.connection.connection import Connection
from hopx_magics.errors import LaunchError, RunFailed
from hopx_magics.launches import checked_launch
from tests.conftest import OddAgent
from tests.standins.server import Answer
from tests.waiting import is_running, wait_until

Run = Callable[[str], Any]

DAEMON = """
import subprocess
print(subprocess.Popen(["sleep", "1000"], start_new_session=True, env={"A": "0"}).pid)
"""


def is_gone(pid: int) -> None:
    wait_until(lambda: not is_running(pid), "it is dead")


def test_a_daemon_is_seen_where_its_run_is_seen_and_killed_only_when_asked_to(cell: Run) -> None:
    run = cell(f"%%hopx_bg --name serve -o run\n{DAEMON}")
    frame = cell("%hopx_wait run")
    assert (list(frame["status"]), list(frame["leftovers"])) == (["completed"], [1])
    (pid,) = run.process.leftovers
    assert int(run.stdout) == pid
    assert ", 1 left running" in repr(run)
    assert list(cell("%hopx_history")["leftovers"]) == [1]
    assert f"pid {pid}" in str(cell("%hopx_show serve"))
    assert is_running(pid)
    killed = cell("%hopx_kill --all")
    assert killed[["name", "result", "status", "leftovers"]].to_dict("records") == [
        {"name": "serve", "result": "leftovers killed", "status": "completed", "leftovers": 1}
    ]
    is_gone(pid)
    assert cell("%hopx_ps")["leftovers"].isna().all()
    assert cell("%hopx_history")["leftovers"].isna().all()
    assert list(cell("%hopx_kill serve")["result"]) == ["already finished"]


def test_the_handle_of_a_run_kills_what_is_left_of_it(cell: Run) -> None:
    run = cell(f"%%hopx_bg -o run\n{DAEMON}").wait()
    (pid,) = run.process.leftovers
    assert run.kill() == "leftovers killed"
    assert (run.process.status, run.process.leftovers) == ("completed", ())
    is_gone(pid)


def test_an_end_that_takes_all_along_does_so_also_when_it_is_launched_again(cell: Run) -> None:
    runs = [cell(f"%%hopx_bg --kill-leftovers --name once -o run\n{DAEMON}").wait()]
    runs.append(cell("%hopx_rerun once").wait())
    for run in runs:
        assert (run.process.status, run.process.leftovers) == ("completed", ())
        assert not is_running(int(run.stdout))


def test_a_time_limit_is_said_once(cell: Run) -> None:
    run = cell("%%hopx_bg --timeout 1s --name slow -o run\nimport time; time.sleep(1000)")
    with pytest.raises(RunFailed) as failed:
        cell("%hopx_wait slow")
    assert str(failed.value).count("timed out after 1 s") == 1
    for said in (str(failed.value), repr(run.wait()), str(cell("%hopx_show slow"))):
        state = next(line for line in said.splitlines() if "timed out" in line)
        assert state.count("timed out") == 1
        assert "exit 143" not in said
        assert "Terminated" not in said
    assert list(cell("%hopx_ps")["status_detail"]) == ["timed out after 1 s"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (9, r"killed by SIGKILL at [\d.]+ .B of [\d.]+ .B, which nobody here sent: perhaps out of memory"),
        (11, "killed by SIGSEGV"),
    ],
)
def test_a_signal_has_its_name(cell: Run, number: int, reason: str) -> None:
    run = cell(f"%%hopx_bg -o run\nimport os; os.kill(os.getpid(), {number})").wait()
    assert re.search(rf" \({reason}\)>$", repr(run))
    frame = cell("%hopx_ps")
    assert re.fullmatch(reason, frame["status_detail"][0])
    assert list(frame["exit_code"]) == [128 + number]


def test_other_agents_cannot_be_asked_to_take_all_along(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    agent = odd_agent(lambda asked: asked.reply({"agent": "another one"}))
    connection = connection_of(agent)
    with pytest.raises(LaunchError, match=r"can't kill what a run leaves running(?s:.*)--kill-leftovers"):
        connection.launch(checked_launch("pass", kill_leftovers=True))
    assert [asked.path for asked in agent.asked] == ["/info"], "nothing is sent"
