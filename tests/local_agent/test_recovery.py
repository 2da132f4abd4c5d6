"""The agent is killed at any moment, and the next one knows everything."""

import contextlib
import fcntl
import os
import random
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hopx_magics.local_agent.programs import SHIM
from hopx_magics.local_agent.store import Folder, Store
from hopx_magics.models import ProcessId
from tests.waiting import wait_until

from .conftest import MARK, Agent, StartAgent, launched


def crafted(folder: Path, **records: str) -> tuple[ProcessId, Folder]:
    """A process's folder as an agent that was killed may have left it."""
    launch = launched()
    made = Store(folder / "processes").create(launch, {}, None, "")
    for name, text in records.items():
        made._write(name, text)
    return launch.process_id, made


def test_running_processes_go_on_and_the_next_agent_has_them(start_agent: StartAgent, tmp_path: Path) -> None:
    first = start_agent()
    gates = [tmp_path / name for name in ("a", "b", "c", "d")]
    for gate in gates:
        os.mkfifo(gate)
    codes = [f"echo before; read x < {gate}; echo after; exit $x" for gate in gates]
    ids = [first.launch(code, name=str(i)) for i, code in enumerate(codes)]
    rows = [first.wrote(process_id, "before") for process_id in ids]
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    gates[0].write_text("7\n")  # ends while there is no agent
    wait_until(lambda: not psutil.pid_exists(rows[0]["pid"]), "it has ended")

    second = start_agent()
    assert second.about.instance != first.about.instance
    ended = second.row(ids[0])
    assert (ended["status"], ended["exit_code"], ended["stdout"]) == ("failed", 7, "before\nafter\n")
    assert ended["started_at"] == rows[0]["started_at"]
    for before in rows[1:]:
        after = second.row(before["process_id"])
        assert after["execution_time"] > before["execution_time"]
        at_some_time = {"execution_time": 0, "usage": {}}
        assert {**after, **at_some_time} == {**before, **at_some_time}
    gates[1].write_text("0\n")
    ended = second.ended(ids[1])
    assert (ended["status"], ended["exit_code"], ended["stdout"]) == ("completed", 0, "before\nafter\n")
    assert second.kill(ids[2]).status_code == 200
    assert not psutil.pid_exists(rows[2]["pid"])
    assert second.end(signal.SIGKILL) == -signal.SIGKILL

    third = start_agent()
    assert [row["process_id"] for row in third.listing()] == ids
    assert [row["status"] for row in third.listing()] == ["failed", "completed", "killed", "running"]
    assert third.row(ids[0]) == second_view(ended=third.row(ids[0]), exit_code=7)
    gates[3].write_text("3\n")
    assert third.ended(ids[3])["exit_code"] == 3


def second_view(ended: dict[str, Any], exit_code: int) -> dict[str, Any]:
    return {**ended, "exit_code": exit_code, "status": "failed"}


def test_a_clean_end_leaves_the_processes_alone(start_agent: StartAgent) -> None:
    first = start_agent()
    process_id = first.launch("echo ready; sleep 1000")
    pid = first.wrote(process_id, "ready")["pid"]
    assert first.end() == 0
    assert psutil.pid_exists(pid)
    second = start_agent()
    assert second.row(process_id)["pid"] == pid
    second.kill(process_id)
    assert not psutil.pid_exists(pid)


def test_the_queue_survives_in_its_order(start_agent: StartAgent) -> None:
    first = start_agent("--max-running", "1")
    running = first.launch("sleep 1000")
    queued = [first.launch(f"date +%s%N; echo ${{N}}{i}", env={"N": "kept"}) for i in range(4)]
    first.end(signal.SIGKILL)
    second = start_agent("--max-running", "1")
    assert [row["status"] for row in second.listing()] == ["running", *["queued"] * 4]
    second.kill(running)
    rows = [second.ended(process_id) for process_id in queued]
    assert [row["stdout"].split()[1] for row in rows] == [f"kept{i}" for i in range(4)]
    moments = [int(row["stdout"].split()[0]) for row in rows]
    assert moments == sorted(moments)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_nothing_is_lost_and_nothing_doubled(
    start_agent: StartAgent, tmp_path: Path, seed: int
) -> None:
    """Launches go on while the agent is killed again and again; each process notes that it ran."""
    chance = random.Random(seed)
    ran = tmp_path / "ran"
    acknowledged: dict[str, int] = {}
    for round_number in range(4):
        agent = start_agent("--max-running", "3")
        for i in range(chance.randrange(1, 12)):
            code = f"echo {round_number}.{i} >> {ran}; sleep 0.0{chance.randrange(10)}; exit {i}"
            acknowledged[agent.launch(code, name=f"{round_number}.{i}")] = i
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.0{chance.randrange(6)}; kill -9 {agent.about.pid}"])
        with contextlib.suppress(httpx.HTTPError):
            for _ in range(100):
                agent.launch(f"echo more >> {ran}")
        killer.wait()
        agent.program.wait()
    last = start_agent("--max-running", "3")
    wait_until(lambda: all(row["status"] in ("completed", "failed") for row in last.listing()), "all have ended")
    rows = {row["process_id"]: row for row in last.listing()}
    assert {process_id: rows[process_id]["exit_code"] for process_id in acknowledged} == acknowledged
    assert not [row for row in rows.values() if "message" in row]
    lines = ran.read_text().splitlines()
    assert len(lines) == len(rows)
    assert sorted(line for line in lines if line != "more") == sorted(rows[id_]["name"] for id_ in acknowledged)


def test_a_time_limit_goes_on_counting(start_agent: StartAgent) -> None:
    first = start_agent()
    process_id = first.launch("sleep 10000", timeout=5000)
    first.running(process_id)
    first.end(signal.SIGKILL)
    folder = Folder(first.process_folder(process_id))
    start = folder.read_start()
    assert start is not None
    uptime = 0.0 if start.uptime is None else start.uptime - 5001
    folder._write("start", f"{start.group} {start.pid} {max(0.0, uptime):.2f}")
    row = start_agent().ended(process_id)
    assert (row["status"], row["message"], row["exit_code"]) == ("failed", "timed out after 5000 s", 143)


def test_a_kill_that_the_agent_did_not_live_to_finish(start_agent: StartAgent) -> None:
    first = start_agent()
    process_id = first.launch("trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    first.wrote(process_id, "ready")
    folder = Folder(first.process_folder(process_id))
    first.program.send_signal(signal.SIGSTOP)
    folder.write_intent("killed")
    start = folder.read_start()
    assert start is not None
    os.killpg(start.group, signal.SIGTERM)
    wait_until(lambda: not folder.is_alive(), "it has ended")
    first.end(signal.SIGKILL)
    row = start_agent().row(process_id)
    assert (row["status"], row["exit_code"]) == ("killed", 4)


def test_a_process_that_is_killed_from_outside_with_its_shell(start_agent: StartAgent) -> None:
    agent = start_agent()
    process_id = agent.launch("echo before; sleep 1000")
    shell = os.getpgid(agent.wrote(process_id, "before")["pid"])
    os.kill(shell, signal.SIGSTOP)  # else it may take the exit code with it
    wait_until(lambda: psutil.Process(shell).status() == psutil.STATUS_STOPPED, "the shell stands still")
    os.killpg(shell, signal.SIGKILL)
    row = agent.ended(process_id)
    assert (row["status"], row["exit_code"], row["stdout"]) == ("failed", 137, "before\n")
    assert re.fullmatch(
        r"killed by SIGKILL( at .* of .*)?, which nobody here sent: perhaps out of memory", row["message"]
    )
    agent.end(signal.SIGKILL)
    assert start_agent().row(process_id) == row


def test_a_process_that_is_killed_with_its_shell_while_there_is_no_agent(start_agent: StartAgent) -> None:
    agent = start_agent()
    process_id = agent.launch("echo before; sleep 1000")
    pid = agent.wrote(process_id, "before")["pid"]
    agent.end(signal.SIGKILL)
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    row = start_agent().ended(process_id)
    assert (row["status"], row["exit_code"], row["stdout"]) == ("failed", None, "before\n")
    assert "without a record" in row["message"]


@pytest.mark.parametrize("intent", ["", "killed", "timed out after 1 s"])
def test_a_pid_that_belongs_to_someone_else_now_is_never_signalled(
    start_agent: StartAgent, tmp_path: Path, bystander: "subprocess.Popen[bytes]", intent: str
) -> None:
    """After a restart of the machine, the pids on disk are anybody's."""
    process_id, _ = crafted(tmp_path / "agent", start=f"{bystander.pid} {bystander.pid}", intent=intent)
    agent = start_agent()
    row = agent.row(process_id)
    assert row["status"] == ("killed" if intent == "killed" else "failed")
    assert agent.kill(process_id).status_code == 404
    assert bystander.poll() is None


def test_a_recorded_pid_of_someone_else_is_not_signalled_although_the_folder_is_alive(
    start_agent: StartAgent, tmp_path: Path, bystander: "subprocess.Popen[bytes]"
) -> None:
    """Not even nonsense in a record may hurt this agent or everyone: a group of 0 or 1 would."""
    for nonsense in ("0 0", "1 1", "-1 -1", "x y", "12", ""):
        process_id, folder = crafted(tmp_path / "agent", start=nonsense)
        assert folder.read_start() is None, process_id


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_process_of_an_older_version_goes_on(start_agent: StartAgent, tmp_path: Path, is_killed: bool) -> None:
    """Its shell holds the lock of a file of its own, and not that of the record of why it was asked to end."""
    process_id, folder = crafted(tmp_path / "agent")
    os.mkfifo(tmp_path / "gate")
    with (folder.path / "alive").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shell = subprocess.Popen(
            ["/bin/sh", str(SHIM), str(folder.path), "/bin/sh", "-c", f"read x < {tmp_path}/gate; exit $x"],
            stdin=lock,
            env={**os.environ, MARK: str(tmp_path / "agent")},
            start_new_session=True,
        )
    agent = start_agent()
    agent.running(process_id)
    if is_killed:
        assert agent.kill(process_id).status_code == 200
    else:
        (tmp_path / "gate").write_text("7\n")
    row = agent.ended(process_id)
    assert (row["status"], row["exit_code"]) == (("killed", 143) if is_killed else ("failed", 7))
    shell.wait()


def test_what_the_shell_never_began_is_started_and_only_once(start_agent: StartAgent, tmp_path: Path) -> None:
    process_id, _ = crafted(tmp_path / "agent")
    agent = start_agent()
    assert agent.ended(process_id)["stdout"] == "ran\n"
    agent.end(signal.SIGKILL)
    (tmp_path / "agent" / "finished.jsonl").unlink()
    assert start_agent().row(process_id)["stdout"] == "ran\n"


def test_unfinished_and_half_deleted_folders_are_cleared_away(start_agent: StartAgent, tmp_path: Path) -> None:
    processes = tmp_path / "agent" / "processes"
    for name in (".new-proc_aaaaaaaaaa", ".gone-proc_bbbbbbbbbb"):
        (processes / name).mkdir(parents=True)
        (processes / name / "stdout").write_text("x")
    (processes / "stray").write_text("not ours")
    agent = start_agent()
    assert agent.listing() == []
    wait_until(lambda: [path.name for path in processes.iterdir()] == ["stray"], "they are deleted")


def damage(folder: Path, what: str) -> None:
    if what == "launch.json is gone":
        (folder / "launch.json").unlink()
    elif what == "launch.json is garbage":
        (folder / "launch.json").write_bytes(b"\xff{")
    elif what == "env.json is garbage":
        (folder / "env.json").write_bytes(b"[1]")
    elif what == "exit is garbage":
        (folder / "exit").write_bytes(b"\xff\x00nonsense" * 20)
    elif what == "all files are gone":
        for path in folder.iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("launch.json is gone", "unknown"),
        ("launch.json is garbage", "unknown"),
        ("env.json is garbage", "failed"),
        ("exit is garbage", "unknown"),
        ("all files are gone", "unknown"),
    ],
)
def test_a_damaged_folder_costs_its_own_row_only(
    start_agent: StartAgent, tmp_path: Path, what: str, status: str
) -> None:
    good, _ = crafted(tmp_path / "agent", start="99999999 99999999", exit="0")
    bad, folder = crafted(tmp_path / "agent")
    damage(folder.path, what)
    agent = start_agent()
    row = agent.ended(bad) if status == "failed" else agent.row(bad)
    assert (row["status"], bool(row["message"])) == (status, True)
    assert agent.row(good)["status"] == "completed"
    assert agent.http.get(f"/execute/processes/{bad}/stdout").status_code == 200
    assert agent.ended(agent.launch("echo new"))["stdout"] == "new\n"


def test_a_process_with_a_damaged_record_that_still_runs_can_be_killed(start_agent: StartAgent) -> None:
    first = start_agent()
    process_id = first.launch("sleep 1000")
    pid = first.running(process_id)["pid"]
    first.end(signal.SIGKILL)
    (first.process_folder(process_id) / "launch.json").write_text("")
    second = start_agent()
    assert second.row(process_id)["status"] == "running"
    assert second.kill(process_id).status_code == 200
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("damage", ["gone", "cut", "garbage"])
def test_a_damaged_journal_costs_nothing(start_agent: StartAgent, damage: str) -> None:
    first = start_agent()
    ids = [first.launch(f"echo {i}; exit {i}") for i in range(5)]
    rows = [first.ended(process_id) for process_id in ids]
    first.end(signal.SIGKILL)
    journal = first.folder / "finished.jsonl"
    content = journal.read_bytes()
    assert content.count(b"process_id") == 2 * 5
    if damage == "gone":
        journal.unlink()
    else:
        journal.write_bytes(content[: len(content) // 2] + (b"\xff\x00{]\n" if damage == "garbage" else b""))
    found = start_agent().listing()
    for row in [*rows, *found]:
        row.pop("usage", None)  # of which only the journal knows
    assert found == rows


def test_finished_rows_and_their_output_are_the_same_after_a_restart(start_agent: StartAgent) -> None:
    first = start_agent()
    codes = ["echo ü; printf '\\377x\\n' >&2", "head -c 5000 /dev/zero | tr '\\0' y", "exit 3", "nosuchcommand"]
    ids = [first.launch(code) for code in codes]
    rows = [first.ended(process_id) for process_id in ids]
    assert rows[0]["stderr"] == "\ufffdx\n"
    first.end()
    second = start_agent()
    assert second.listing() == rows
    assert [row["stdout"] for row in second.listing(tail=3)] == ["ü\n", "yyy", "", ""]


def test_idempotency_survives_a_restart(start_agent: StartAgent) -> None:
    first = start_agent()
    headers = {"Idempotency-Key": "one"}
    body = {"code": "sleep 1000", "language": "bash", "name": "n"}
    reply = first.http.post("/execute/background", json=body, headers=headers)
    first.end(signal.SIGKILL)
    second = start_agent()
    again = second.http.post("/execute/background", json=body, headers=headers)
    assert (again.status_code, again.content) == (200, reply.content)
    second.kill(reply.json()["process_id"])
    second.end(signal.SIGKILL)
    third = start_agent()
    assert third.http.post("/execute/background", json=body, headers=headers).content == reply.content
    assert len(third.listing()) == 1


def kill_after(agent: Agent, replies: list[str], count: int) -> None:
    wait_until(lambda: len(replies) >= count, f"{count} launches were answered")
    agent.program.send_signal(signal.SIGKILL)


def test_an_agent_killed_while_a_thousand_launches_arrive(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "2")
    replies: list[str] = []
    killer = threading.Thread(target=kill_after, args=(agent, replies, 200))
    killer.start()
    with contextlib.suppress(httpx.HTTPError):
        for _ in range(1000):
            replies.append(agent.launch("true"))
    killer.join()
    second = start_agent("--max-running", "8")
    ids = [row["process_id"] for row in second.listing(tail=0)]
    assert ids[: len(replies)] == replies
    assert len(ids) - len(replies) in (0, 1)
    for process_id in ids:
        second.kill(process_id)


# ---------------------------------------------------------------- clocks


def test_a_clock_that_jumps_or_another_one_on_the_disk_ends_nothing_early(start_agent: StartAgent) -> None:
    """The times of files are those of their file server, and the time of day may be set."""
    first = start_agent()
    process_id = first.launch("echo ready; sleep 1000", timeout=1000)
    first.wrote(process_id, "ready")
    first.end(signal.SIGKILL)
    os.utime(first.process_folder(process_id) / "start", (1, 1))
    second = start_agent()
    row = second.row(process_id)
    assert (row["status"], row["execution_time"] < 1000) == ("running", True)
    second.kill(process_id)
    assert second.row(process_id)["execution_time"] < 1000


@pytest.mark.parametrize("exit_text", ["143 12345.67 asked", "143 - asked", "143"])
def test_what_was_killed_is_killed_whichever_clock_its_records_have(
    start_agent: StartAgent, tmp_path: Path, exit_text: str
) -> None:
    process_id, folder = crafted(tmp_path / "agent", start="99999999 99999999", intent="killed", exit=exit_text)
    os.utime(folder.path / "exit", (1, 1))
    assert start_agent().row(process_id)["status"] == "killed"


def test_what_had_ended_before_anybody_asked_was_not_killed(start_agent: StartAgent, tmp_path: Path) -> None:
    process_id, folder = crafted(tmp_path / "agent", start="99999999 99999999", intent="killed", exit="0 12345.67 ")
    os.utime(folder.path / "intent", (1, 1))
    assert start_agent().row(process_id)["status"] == "completed"
