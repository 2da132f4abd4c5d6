"""`%hopx_doctor` in a real IPython, with what it is to find really broken."""

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from IPython.core.error import UsageError

import hopx_magics as hopx
from hopx_magics import api
from hopx_magics.client.local import LocalAgent
from hopx_magics.display.diagnosis import Diagnosis
from hopx_magics.errors import AgentUnreachable, HistoryError, UnknownConnection
from hopx_magics.protocol.requests import AGENT_FILE
from hopx_magics.settings import VARIABLES, Settings
from tests.conftest import OddAgent, agent_pid
from tests.standins.hopx import cloud
from tests.standins.server import Answer, Asked, Server, answering
from tests.standins.sshd import Machine
from tests.waiting import is_running, wait_until

Cell = Callable[[str], Any]
Start = Callable[[Answer], OddAgent]


def rows(frame: pd.DataFrame, about: str, check: str) -> list[dict[str, Any]]:
    found = frame[(frame["about"] == about) & (frame["check"] == check)]
    return [dict(row) for _, row in found.iterrows()]


def row(frame: pd.DataFrame, about: str, check: str) -> dict[str, Any]:
    (only,) = rows(frame, about, check)
    return only


def doctor(*args: Any, **options: Any) -> pd.DataFrame:
    return hopx.doctor(*args, **options)


# ---------------------------------------------------------------- all well


def test_all_is_well(cell: Cell, state: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("READING", "LOCKED"):  # a machine that does other things as well is slower, and nothing is amiss
        monkeypatch.setattr(f"hopx_magics.checkup.history.{name}", 9.0)
    shown = cell("%hopx_doctor")
    assert isinstance(shown, Diagnosis)
    assert agent_pid(state) is None, "nothing was started"
    assert not state.history_file.exists(), "nor made"
    assert "local agent: answers  " in str(shown)
    assert "there is none: it is started when it is needed" in str(shown)
    cell("%%hopx_bg -q\n1")
    cell("%hopx_wait")
    frame = doctor()
    ours = frame[frame["about"].isin(["history", "local agent", "page"]) & ~frame["check"].isin(["disk", "memory"])]
    assert set(ours["state"]) == {"ok"}, ours[ours["state"] != "ok"].to_dict("records")
    assert {"answers", "clock", "queue", "version", "leftovers", "log", "damage", "locked", "size"} <= set(
        ours["check"]
    )
    assert row(frame, "history", "size")["found"].startswith("1 run, ")
    assert str(agent_pid(state)) in row(frame, "local agent", "version")["found"]
    assert list(frame["state"]) == sorted(frame["state"], key=frame["state"].cat.categories.get_loc)
    shown = cell("%hopx_doctor local")
    assert {each.about for each in shown._findings} == {"local agent"}
    html = shown._repr_mimebundle_()["text/html"]
    assert "✓ ok" in html
    assert "<script" not in html
    assert str(cell("%hopx_doctor local --fix")).startswith("done: nothing: ")
    with pytest.raises(UnknownConnection, match="nowhere"):
        cell("%hopx_doctor nowhere")


# ---------------------------------------------------------------- the local agent


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def going(cell: Cell, gate: Path) -> Any:
    return cell(f"%%hopx_bg --name going --lang bash -o run\nuntil [ -e {gate} ]; do sleep 0.05; done; echo through")


def test_an_agent_that_was_killed(cell: Cell, state: Settings, going: Any, gate: Path) -> None:
    pid = agent_pid(state)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not LocalAgent(state).is_served(), "the agent is dead, with all its threads")
    found = row(doctor(), "local agent", "answers")
    assert (found["state"], f"the pid {pid} " in found["found"]) == ("attention", True)
    assert agent_pid(state) == pid, "it only looked"
    fixed = str(cell("%hopx_doctor --fix"))
    assert f"done: started a local agent, pid {agent_pid(state)}\n" in fixed
    assert agent_pid(state) != pid
    assert row(doctor(), "local agent", "answers")["state"] == "ok"
    gate.touch()
    assert going.wait().stdout == "through\n"


def test_an_agent_that_hangs(cell: Cell, state: Settings, going: Any, gate: Path) -> None:
    pid = agent_pid(state)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        found = row(doctor("local"), "local agent", "answers")
        assert (found["state"], found["found"]) == (
            "broken",
            f"pid {pid}: it is stopped (SIGSTOP, or a debugger)",
        )
        assert is_running(pid), "it only looked"
        fixed = str(cell("%hopx_doctor local --fix"))
    finally:
        if is_running(pid):
            os.kill(pid, signal.SIGCONT)
    assert f"done: ended the local agent with the pid {pid}; started a local agent, pid {agent_pid(state)}" in fixed
    assert re.search("✓ ok +local agent: answers", fixed)
    gate.touch()
    assert going.wait().stdout == "through\n"


def test_an_agent_of_another_version_is_replaced_when_it_is_idle(
    cell: Cell, state: Settings, going: Any, gate: Path
) -> None:
    file = state.agent_folder / AGENT_FILE
    told = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode({**told, "version": "0.0.1"}))
    found = row(doctor("local", fix=True), "local agent", "version")
    assert (found["state"], found["found"][:10]) == ("attention", "0.0.1, pid")
    assert agent_pid(state) == told["pid"], "something runs"
    gate.touch()
    going.wait()
    assert "done: ended the idle local agent of version 0.0.1" in str(cell("%hopx_doctor local --fix"))
    assert not LocalAgent(state).is_served()


def test_what_the_agent_complains_of(cell: Cell, state: Settings) -> None:
    cell("%%hopx_bg -q\n1")
    cell("%hopx_wait")
    with (state.agent_folder / "agent.log").open("a") as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')},123 ERROR a task failed\nTraceback\nValueError: of x\n")
    cell("%hopx_pause --queue")
    frame = doctor("local")
    assert row(frame, "local agent", "log")["state"] == "attention"
    assert row(frame, "local agent", "log")["found"].startswith("ValueError: of x (")
    assert row(frame, "local agent", "queue")["advice"] == "%hopx_resume --queue lets it go on."


def test_leftovers(cell: Cell) -> None:
    run = cell("%%hopx_bg --name daemons --lang bash\nsleep 1000 > /dev/null 2>&1 & disown; sleep 0.3")
    run.wait()
    wait_until(lambda: row(doctor("local"), "local agent", "leftovers")["state"] == "attention", "they are seen")
    assert row(doctor("local"), "local agent", "leftovers")["advice"].startswith(f"%hopx_kill {run.process_id} ends")
    cell("%hopx_kill daemons")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a disk that is small")
def test_a_disk_that_is_full(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (disk / "large").write_bytes(bytes(40_000))
        monkeypatch.setenv("HOPX_STATE_DIR", str(disk / "state"))
        api.session.cache_clear()
        found = row(doctor(), "local agent", "disk")
        assert (found["state"], found["advice"][:15]) == ("broken", "Make room there")
    finally:
        subprocess.run(["umount", disk], check=True)


# ---------------------------------------------------------------- the history


@pytest.fixture
def locker(state: Settings) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    lock = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('BEGIN IMMEDIATE')"
    code = f"{lock}; print(flush=True); input()"
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        words = [sys.executable, "-c", code, str(state.history_file)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.communicate("\n")


def test_a_history_that_another_program_keeps_locked(cell: Cell, locker: Callable[[], "subprocess.Popen[str]"]) -> None:
    cell("%%hopx_bg -q\n1")
    cell("%hopx_wait")
    cell("%hopx_history")
    process = locker()
    found = row(doctor(), "history", "locked")
    assert found["state"] == "attention"
    if sys.platform == "linux":
        assert f"(pid {process.pid})" in found["found"]
    process.communicate("\n")
    assert row(doctor(), "history", "locked")["state"] == "ok"


def test_a_history_that_is_damaged(cell: Cell, state: Settings) -> None:
    cell("%%hopx_bg -q\n1")
    cell("%hopx_wait")
    api.session().close()
    api.session.cache_clear()
    with state.history_file.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    found = row(doctor(), "history", "damage")
    assert (found["state"], "history.sqlite: " in found["found"]) == ("broken", True)
    assert not list(state.history_file.parent.glob("*damaged*")), "it only looked"
    assert "done: set the damaged history aside as " in str(cell("%hopx_doctor --fix"))
    (aside,) = state.history_file.parent.glob("*.damaged-*.sqlite")
    assert aside.read_bytes()[4096:4104] == b"\xff" * 8
    assert not rows(doctor(), "history", "damage"), "there is none yet"


def test_a_history_that_is_over_its_limits(cell: Cell, state: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    cell("%%hopx_bg --sweep a=1:5 -q --lang bash\necho $a")
    cell("%hopx_wait")
    api.session().close()
    monkeypatch.setenv("HOPX_HISTORY_RUNS", "2")
    api.session.cache_clear()
    assert row(doctor(), "history", "size")["state"] == "attention"
    assert "done: pruned 3 runs" in str(cell("%hopx_doctor --fix"))
    assert len(cell("%hopx_history")) == 2


def test_a_history_that_is_none(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_HISTORY", str(tmp_path))
    api.session.cache_clear()
    assert row(doctor(), "history", "file")["state"] == "broken"
    with pytest.raises(HistoryError, match=r"%hopx_doctor says more\.$"):
        cell("%hopx_history")


def test_the_history_that_is_chosen_is_looked_at(cell: Cell, tmp_path: Path) -> None:
    mine = tmp_path / "mine.sqlite"
    cell(f"%config HopxHistory.file = {str(mine)!r}")
    try:
        assert f"there is none yet: {mine}" in str(cell("%hopx_doctor"))
    finally:
        cell("%config HopxHistory.file = ''")


# ---------------------------------------------------------------- the environment


def test_variables(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_HISTROY", "/somewhere")
    monkeypatch.setenv("PYTHONINSPECT", "1")
    frame = doctor()
    unknown = [each for each in rows(frame, "environment", "settings") if each["state"] == "attention"]
    assert [(each["found"], each["advice"]) for each in unknown] == [
        ("HOPX_HISTROY is set", "Did you mean HOPX_HISTORY?")
    ]
    assert row(frame, "environment", "PYTHONINSPECT")["state"] == "attention"


def test_settings_that_can_not_be_used(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_KEEP_MB", "plenty")
    api.session.cache_clear()
    shown = str(cell("%hopx_doctor"))
    monkeypatch.delenv("HOPX_KEEP_MB")
    assert re.search("✗ broken +environment: settings +HOPX_KEEP_MB='plenty' is not a number", shown)
    assert "program: Python" in shown


def test_every_variable_that_the_package_reads_is_known() -> None:
    import hopx_magics
    from hopx_magics import settings
    from hopx_magics.checkup import variables

    assert [line.split(" ")[1] for line in (settings.__doc__ or "").splitlines() if line.startswith("| HOPX_")] == list(
        VARIABLES
    )
    known = (*VARIABLES, *variables._OURS_BESIDE_SETTINGS)
    folder = Path(hopx_magics.__file__).parent
    for path in folder.rglob("*.py"):
        for word in path.read_text().split('"'):
            if word.startswith("HOPX_") and word.replace("_", "").isalnum() and word.isupper():
                assert [name for name in known if name.startswith(word)], f"{path}: {word}"
    assert set(re.findall(r"HOPX_\w+", Path(".ci/run").read_text())) <= {*known}


# ---------------------------------------------------------------- agents elsewhere


def agent(asked: Asked, date: str) -> None:
    body = {"/health": {}, "/execute/processes": {"processes": [], "count": 0}}.get(asked.path)
    data = msgspec.json.encode(body)
    status = "404 Not Found" if body is None else "200 OK"
    head = f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    asked.raw(head.encode() + data)


def test_a_clock_that_is_off(cell: Cell, odd_agent: Start) -> None:
    shift = [0.0]
    server = odd_agent(lambda asked: agent(asked, formatdate(time.time() + shift[0], usegmt=True)))
    hopx.connect(server.url, name="box")
    assert row(doctor("box"), "connection box", "clock")["found"] == "as here"
    shift[0] = -3600.0
    found = row(doctor("box"), "connection box", "clock")
    assert found["state"] == "attention"
    assert found["found"].endswith(" behind the clock here")
    assert found["found"].startswith(("1 h", "60 min", "59 min"))


def jwt(expires: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(expires)}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJl"


def test_a_token_that_has_expired(cell: Cell, odd_agent: Start) -> None:
    expired: list[bool] = []

    def answer(asked: Asked) -> None:
        if expired:
            asked.reply({"error": {"code": "TOKEN_EXPIRED", "message": "token expired"}}, 401)
        else:
            agent(asked, formatdate(usegmt=True))

    server = odd_agent(answer)
    token = jwt(time.time() - 60)
    hopx.connect(server.url, name="box", token=token)
    expired.append(True)
    frame = doctor("box")
    assert row(frame, "connection box", "token")["state"] == "broken"
    assert "was not accepted" in row(frame, "connection box", "token")["found"]
    assert row(frame, "connection box", "token valid until")["state"] == "broken"
    assert token not in frame.to_string()
    expired.clear()
    hopx.connect(server.url, name="box", token=jwt(time.time() + 7200))
    assert row(doctor("box"), "connection box", "token valid until")["state"] == "ok"


def test_a_host_that_can_not_be_reached(cell: Cell, odd_agent: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_RETRY_SECONDS", "0")
    api.session.cache_clear()
    server = odd_agent(lambda asked: agent(asked, formatdate(usegmt=True)))
    hopx.connect(server.url, name="box")
    frame = doctor(server.url)
    assert set(frame["state"]) == {"ok"}
    server.close()
    api.session().connection("box").agent.transport.drop_connections()
    with pytest.raises(AgentUnreachable, match=r"%hopx_doctor says more\.$"):
        cell("%hopx_ps --on box")
    frame = doctor("box")
    assert row(frame, "connection box", "answers")["state"] == "broken"
    assert row(frame, "connection box", "connection")["found"].endswith("Connection refused")
    assert "broken" in set(doctor("http://localhost:1")["state"])
    with pytest.raises(UsageError, match="is not a URL"):
        cell("%hopx_doctor ftp://host")


def test_a_certificate_that_is_not_accepted(cell: Cell, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = Server(answering({}), tls=tls)
    try:
        found = row(doctor(server.url), server.url, "TLS")
        assert (found["state"], "self-signed certificate" in found["found"]) == ("broken", True)
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        found = row(doctor(server.url), server.url, "TLS")
        assert (found["state"], found["found"].endswith("certified by test")) == ("ok", True)
    finally:
        server.close()


def test_a_sandbox_and_the_way_to_its_control_plane(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "HopX" not in set(doctor()["about"])
    with cloud(tmp_path) as stand_in:
        monkeypatch.setenv("HOPX_API_KEY", stand_in.plane.key)
        monkeypatch.setenv("HOPX_BASE_URL", stand_in.plane.url)
        api.session.cache_clear()
        cell(f"%hopx_connect {stand_in.sandbox()} --as box")
        frame = doctor()
        assert row(frame, "HopX", "answers")["found"].endswith("with 1 sandbox of this key")
        assert row(frame, "HopX", "connection")["state"] == "ok"
        assert row(frame, "connection box", "answers")["state"] == "ok"
        assert row(frame, "connection box", "token valid until")["means"] == "It is renewed by itself."
        told = frame.to_string() + str(cell("%hopx_doctor"))
        assert not [secret for secret in stand_in.plane.secrets if secret in told]
    found = row(doctor(), "HopX", "connection")
    assert (found["state"], found["found"].endswith("Connection refused")) == ("broken", True)


def test_the_way_to_a_machine_by_ssh(cell: Cell, gpu: Machine) -> None:
    api.session.cache_clear()
    steps = ["program", "configuration", "reached", "login", "package"]
    assert doctor("ssh://gpu").set_index("check")["state"].to_dict() == {f"ssh: {step}": "ok" for step in steps}
    cell("%hopx_connect ssh://gpu --as box")
    frame = doctor("box")
    assert row(frame, "connection box", "answers")["state"] == "ok"
    assert row(frame, "connection box", "ssh: login")["found"] == "without a question"
    assert row(frame, "connection box", "disk")["found"].partition(" in ")[2].startswith(f"{gpu.folder}/s/")
    assert not rows(frame, "connection box", "disk of its folder"), "which is the same disk"
    gpu.stop()
    del gpu.environment["PYTHONPATH"]
    gpu.set_path(Path(sys.base_prefix, "bin"))
    gpu.start()
    found = row(doctor("ssh://gpu"), "ssh://gpu", "ssh: package")
    assert (found["state"], found["found"].partition(",")[0]) == ("broken", "no hopx_magics")
    assert "--install" in found["advice"]
    gpu.stop()
    frame = doctor("ssh://gpu")
    assert row(frame, "ssh://gpu", "ssh: reached")["found"].endswith("Connection refused")
    assert not rows(frame, "ssh://gpu", "ssh: login")
    with pytest.raises(UsageError, match="an address has no password"):
        cell("%hopx_doctor ssh://ann:secret@gpu")


# ---------------------------------------------------------------- secrets


def test_what_is_told_can_be_pasted_into_an_issue(
    cell: Cell, state: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"HOPX_AGENT_TOKEN": "agent-0123456789", "MY_PASSWORD": "correct-horse", "CI_JOB_TOKEN": "job-987654321"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOPX_NOTIFY", hook := "https://hooks.example/services/T0/B0/x9y8z7")
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:pa55word@127.0.0.1:9")
    monkeypatch.setenv("HOPX_TOKNE", "a-typo-of-a-secret")
    monkeypatch.setenv("PYTHONPATH", f"{os.environ.get('PYTHONPATH', '')}:/opt/correct-horse")
    monkeypatch.setenv("HOME", str(tmp_path))
    cell("%%hopx_bg -q\n1")
    cell("%hopx_wait")
    token = msgspec.json.decode((state.agent_folder / AGENT_FILE).read_bytes())["token"]
    with (state.agent_folder / "agent.log").open("a") as log:
        log.write(f"ValueError: Bearer {token} of <b>{tmp_path}</b> {hook}\x1b[31m\n")
    shown = cell("%hopx_doctor")
    html = shown._repr_mimebundle_()["text/html"]
    told = "\n".join([str(shown), html, shown.as_terminal(), doctor().to_string()])
    hidden = [*secrets.values(), token, hook, "pa55word", "a-typo-of-a-secret", str(tmp_path)]
    assert [text for text in hidden if text in told] == []
    assert "HTTPS_PROXY=http://[hidden]@127.0.0.1:9" in str(shown)
    assert "HOPX_AGENT_TOKEN is set" in str(shown)
    assert "ValueError: Bearer [hidden] of <b>~</b>" in str(shown)
    assert "<b>" not in html
    assert "\x1b[31m" not in str(shown)
