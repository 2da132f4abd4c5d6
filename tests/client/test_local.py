"""How the local agent is found: only what is certainly this user's is told anything."""

import contextlib
import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from hopx_magics import api
from hopx_magics.errors import HopxError
from hopx_magics.protocol.requests import AGENT_FILE, AgentFile
from hopx_magics.session.session import Session
from hopx_magics.settings import Settings
from tests.conftest import launch, stop_agent
from tests.standins.server import Asked, Server
from tests.waiting import DEADLINE, wait_until


def left(state: Settings) -> AgentFile:
    return msgspec.json.decode((state.agent_folder / AGENT_FILE).read_bytes(), type=AgentFile)


def test_who_takes_the_port_of_an_agent_that_has_ended_is_told_nothing(session: Session, state: Settings) -> None:
    ids, about = [], None
    asked: list[Asked] = []

    def imitate(request: Asked) -> None:
        asked.append(request)
        request.reply({"status": "healthy", "instance": about.instance})

    def steal() -> Server | None:
        nonlocal about
        ids.append(launch(session, "print(1)").process_id)
        about = left(state)
        stop_agent(state, signal.SIGKILL)
        try:
            return Server(imitate, port=urlsplit(about.url).port or 0)
        except OSError:  # somebody else was faster
            return None

    thief = wait_until(steal, "the port is taken")
    try:
        assert left(state).url == about.url, "its address is still there"
        second = launch(session, "print(2)", env={"SECRET": "hunter2"})
        fresh = Session(state)
        third = launch(fresh, "print(3)")
        listed = [process.process_id for process in fresh.connection().listing().processes]
        fresh.close()
    finally:
        thief.close()
    assert listed == [*ids, second.process_id, third.process_id]
    assert asked == []


def test_a_socket_in_a_folder_that_others_can_write_to_is_not_used(session: Session, state: Settings) -> None:
    launch(session, "pass")
    session.connection().agent.transport.drop_connections()
    folder = Path(left(state).socket or "").parent
    folder.chmod(0o777)
    with pytest.raises(HopxError, match="is not this user's alone"):
        launch(session, "pass")
    folder.chmod(0o700)
    launch(session, "pass")


OLDER = """
import fcntl, json, os, signal, sys, time
folder, how = sys.argv[2:]
os.makedirs(folder, mode=0o700)
lock = open(folder + "/agent.lock", "a")
fcntl.flock(lock, fcntl.LOCK_EX)
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: (os.unlink(folder + "/agent.json"), sys.exit(5)))
about = {"url": "http://127.0.0.1:9", "token": "t", "pid": os.getpid(), "version": "0.1.0", "instance": "i"}
open(folder + "/agent.json", "w").write(json.dumps(about))
print("serves", flush=True)
while True:
    time.sleep(100)
"""


@pytest.mark.parametrize(("how", "code"), [("polite", 5), ("stubborn", -signal.SIGKILL)])
def test_an_agent_of_a_version_without_a_socket_makes_way(
    session: Session, state: Settings, how: str, code: int
) -> None:
    command = [sys.executable, "-c", OLDER, "hopx_magics.local_agent", str(state.agent_folder), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as older:
        assert older.stdout is not None
        older.stdout.readline()
        process = launch(session, "print(1)")
        assert older.wait(DEADLINE) == code
    assert [each.process_id for each in session.connection().listing().processes] == [process.process_id]


@pytest.mark.parametrize("is_served", [False, True])
def test_the_pid_of_an_older_agent_that_is_not_here_is_not_signalled(
    session: Session, state: Settings, *, is_served: bool
) -> None:
    """It may be gone, or serve the folder on another machine."""
    state.agent_folder.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        about = AgentFile(url="http://127.0.0.1:9", token="t", pid=bystander.pid, version="0.1.0", instance="i")
        (state.agent_folder / AGENT_FILE).write_bytes(msgspec.json.encode(about))
        with (state.agent_folder / "agent.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if is_served else fcntl.LOCK_UN)
            with pytest.raises(HopxError, match="does not answer") if is_served else contextlib.nullcontext():
                launch(session, "pass")
        assert bystander.poll() is None
        (state.agent_folder / AGENT_FILE).unlink()
        bystander.kill()


def test_output_over_the_limit_has_head_and_tail_in_every_view(hopx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_OUTPUT_LIMIT_MB", "0.1")
    run = hopx.launch(
        "print('\\n'.join(['head', *map(str, range(4_000_000))]))\nraise ValueError('the tail')", name="much"
    )
    run.wait()
    assert run.stdout.startswith("head\n0\n1\n")
    assert run.stdout.endswith("\n3999998\n3999999\n")
    assert "output left out here, up to byte " in run.stdout
    assert len(run.stdout) < 200_000
    assert "\0" not in run.stdout
    assert run.stderr.endswith("ValueError: the tail\n")
    assert "3999999" in hopx.logs(run, tail=2)
    followed = "".join(text for _, text in api.session().connection().outputs.follow(run.process_id, ("stdout",)))
    assert followed.endswith(run.stdout[-40_000:])
    assert "\0" not in followed
    kept = api.session().connection().outputs.to_keep([run.process_id])[run.process_id]["stdout"]
    assert (kept.head.decode(), kept.tail, kept.left_out) == (run.stdout, b"", 0) or kept.left_out > 30_000_000
    assert b"\0" not in kept.head + kept.tail
    assert kept.head.startswith(b"head\n")
    assert (kept.head + kept.tail).endswith(b"\n3999999\n")
