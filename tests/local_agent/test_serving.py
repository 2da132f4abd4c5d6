"""One agent per folder: starting, being found, being private, leaving."""

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from hopx_magics.local_agent.__main__ import _parse
from hopx_magics.protocol.requests import AGENT_FILE, AgentFile
from tests.waiting import DEADLINE, wait_until

from .conftest import Agent, StartAgent, clear, start_program


def run(folder: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "hopx_magics.local_agent", "--state-dir", str(folder), *flags],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def test_it_says_where_it_listens_and_that_nothing_is_isolated(start_agent: StartAgent) -> None:
    agent = start_agent()
    (line,) = agent.log.read_text().splitlines()
    assert agent.about.url in line
    assert "without any isolation" in line
    assert agent.about.token not in line


def test_everything_is_private(start_agent: StartAgent) -> None:
    agent = start_agent()
    agent.ended(agent.launch("true"))
    assert stat.S_IMODE(agent.folder.stat().st_mode) == 0o700
    for path in agent.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_folder_that_was_open_to_others_is_closed(start_agent: StartAgent, tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir(mode=0o755)
    start_agent()
    assert stat.S_IMODE((tmp_path / "agent").stat().st_mode) == 0o700


def test_children_get_the_umask_of_the_agent_and_not_its_privacy(start_agent: StartAgent) -> None:
    agent = start_agent()
    umask = os.umask(0)
    os.umask(umask)
    assert int(agent.ended(agent.launch("umask"))["stdout"], 8) == umask


def test_a_second_agent_leaves_at_once(start_agent: StartAgent) -> None:
    agent = start_agent()
    second = run(agent.folder)
    assert second.returncode == 0
    assert "another local agent serves" in second.stderr
    assert agent.http.get("/health").json()["instance"] == agent.about.instance
    assert (agent.folder / AGENT_FILE).exists()


def test_many_agents_at_once_become_one(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    programs = [start_program(folder, log=tmp_path / f"{i}.log") for i in range(5)]
    try:
        wait_until(lambda: sum(program.poll() is None for program in programs) == 1, "one is left")
        (left,) = [program for program in programs if program.poll() is None]
        assert {program.returncode for program in programs} == {0, None}
        path = folder / AGENT_FILE
        wait_until(path.exists, "it listens")
        about = msgspec.json.decode(path.read_bytes(), type=AgentFile)
        assert about.pid == left.pid
        assert httpx.get(f"{about.url}/health", timeout=DEADLINE).json()["instance"] == about.instance
    finally:
        clear(folder, programs)


def test_a_new_agent_waits_for_one_that_is_leaving(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    with (folder / "agent.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # an agent has taken its file away and is about to end
        program = start_program(folder, log=tmp_path / "log")
        try:
            wait_until(lambda: "agent.lock" in str(psutil.Process(program.pid).open_files()), "it tries the lock")
            fcntl.flock(lock, fcntl.LOCK_UN)
            wait_until((folder / AGENT_FILE).exists, "it took over")
            assert program.poll() is None
        finally:
            clear(folder, [program])


def test_a_new_agent_takes_over_from_one_that_is_leaving(start_agent: StartAgent) -> None:
    first = start_agent()
    first.program.send_signal(signal.SIGTERM)
    second = start_agent()
    assert first.program.wait(DEADLINE) == 0
    assert second.about.instance != first.about.instance
    assert second.http.get("/execute/processes").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_cleanly(start_agent: StartAgent, number: int) -> None:
    agent = start_agent()
    assert agent.end(number) == 0
    assert not (agent.folder / AGENT_FILE).exists()
    assert len(agent.log.read_text().splitlines()) == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{agent.about.url}/health")


def test_it_ends_although_someone_waits(start_agent: StartAgent) -> None:
    agent = start_agent()
    process_id = agent.launch("sleep 1000")
    agent.running(process_id)
    etag = agent.http.get("/execute/processes").headers["etag"]
    waiting = agent.wait_for_change(etag)
    agent.program.send_signal(signal.SIGTERM)
    assert waiting.result().status_code == 304
    assert agent.program.wait(DEADLINE) == 0


def test_it_leaves_when_nobody_needs_it(tmp_path: Path) -> None:
    folder, log = tmp_path / "agent", tmp_path / "log"
    program = start_program(folder, "--idle-seconds", "0.1", log=log)
    try:
        assert program.wait(DEADLINE) == 0
    finally:
        clear(folder, [program])
    assert not (folder / AGENT_FILE).exists()
    assert "nothing to do" in log.read_text()


IDLE = ("--idle-seconds", "1")


@pytest.fixture
def idle_time_passes(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Waits until another agent, which is started for that and asked for nothing, has left."""
    folder = tmp_path / "other"
    programs: list[subprocess.Popen[bytes]] = []

    def wait() -> None:
        programs.append(start_program(folder, *IDLE, log=tmp_path / "other.log"))
        assert programs[-1].wait(DEADLINE) == 0

    yield wait
    clear(folder, programs)


def test_it_stays_while_someone_waits(start_agent: StartAgent, idle_time_passes: Callable[[], None]) -> None:
    agent = start_agent(*IDLE)
    etag = agent.http.get("/execute/processes").headers["etag"]
    waiting = agent.wait_for_change(etag)
    idle_time_passes()
    assert not waiting.done()
    agent.launch("true")
    assert waiting.result().status_code == 200
    assert agent.program.wait(DEADLINE) == 0


def test_it_stays_for_a_process_that_nobody_asks_about(
    start_agent: StartAgent, idle_time_passes: Callable[[], None], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    first = start_agent()
    first.running(first.launch(f"read x < {tmp_path}/gate"))
    first.end()
    agent = start_agent(*IDLE)
    idle_time_passes()
    assert agent.program.poll() is None
    (tmp_path / "gate").write_text("\n")
    assert agent.program.wait(DEADLINE) == 0


def test_a_file_of_a_dead_agent_is_no_obstacle(start_agent: StartAgent) -> None:
    first = start_agent()
    first.end(signal.SIGKILL)
    assert (first.folder / AGENT_FILE).exists()
    second = start_agent()
    assert second.about.token != first.about.token


def test_a_port_can_be_chosen(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent()
    port = agent.about.url.rpartition(":")[2]
    other = run(tmp_path / "other", "--port", port)
    assert other.returncode == 1
    assert "Address already in use" in other.stderr
    agent.end()
    assert start_agent("--port", port).about.url == agent.about.url


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(tmp_path / "file" / "agent")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "flags", [["--max-running", "-1"], ["--keep-mb", "nan"], ["--port", "x"], ["--idle-seconds", "inf"]]
)
def test_flags_that_can_not_be(tmp_path: Path, flags: list[str]) -> None:
    result = run(tmp_path / "agent", *flags)
    assert result.returncode == 2
    assert flags[0] in result.stderr


def test_flags_go_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOPX_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("HOPX_MAX_RUNNING", "7")
    monkeypatch.setenv("HOPX_KEEP_MB", "3")
    settings, port = _parse(["--max-running", "9", "--output-limit-mb", "0.5", "--port", "1234"])
    assert (settings.max_running, settings.keep_bytes, settings.output_limit, port) == (9, 3_000_000, 500_000, 1234)
    assert settings.agent_folder.is_relative_to(tmp_path)


def test_a_setting_that_can_not_be(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "hopx_magics.local_agent"],
        env={**os.environ, "HOPX_KEEP_MB": "banana", "HOPX_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "HOPX_KEEP_MB='banana'" in result.stderr


def test_what_a_shell_makes_deaf_the_agents_children_hear(tmp_path: Path) -> None:
    """A shell starts commands in the background with SIGINT and SIGQUIT ignored, and kernels may block signals."""
    folder = tmp_path / "agent"
    deafen = "signal.signal(2, signal.SIG_IGN); signal.signal(3, signal.SIG_IGN); signal.pthread_sigmask(0, {15})"
    script = f"import os, signal, sys; {deafen}; os.execv(sys.argv[1], sys.argv[1:])"
    program = subprocess.Popen(
        [sys.executable, "-c", script, sys.executable, "-m", "hopx_magics.local_agent", "--state-dir", str(folder)],
        env={**os.environ, "HOPX_TEST_FOLDER": str(folder)},
        stderr=subprocess.DEVNULL,
    )
    try:
        path = folder / AGENT_FILE
        wait_until(path.exists, "it listens")
        about = msgspec.json.decode(path.read_bytes(), type=AgentFile)
        token = {"Authorization": f"Bearer {about.token}"}
        with httpx.Client(base_url=about.url, headers=token, timeout=DEADLINE) as http:
            code = "import signal; print(signal.getsignal(2), signal.getsignal(3), signal.pthread_sigmask(0, []))"
            assert "ign" not in http.post("/execute", json={"code": code}).json()["stdout"].lower()
            reply = http.post("/execute/background", json={"code": code}).json()
            wait_until(lambda: http.get("/execute/processes").json()["processes"][0]["status"] == "completed", "ended")
            stdout = http.get(f"/execute/processes/{reply['process_id']}/stdout").text
            assert stdout == "<built-in function default_int_handler> 0 set()\n"
    finally:
        clear(folder, [program])


def test_the_lock_is_held_for_the_agents_life(start_agent: StartAgent) -> None:
    agent: Agent = start_agent()
    with (agent.folder / "agent.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_windows_is_told_that_there_is_no_local_agent() -> None:
    script = """
import sys
sys.platform, sys.modules["fcntl"], sys.modules["resource"] = "win32", None, None
from hopx_magics.local_agent.__main__ import main
sys.exit(main([]))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (2, "the local agent isn't available on Windows: use it inside WSL\n")


def test_it_ends_when_its_folder_is_removed(start_agent: StartAgent) -> None:
    agent = start_agent()
    shutil.rmtree(agent.folder)
    assert agent.program.wait(DEADLINE) == 0
