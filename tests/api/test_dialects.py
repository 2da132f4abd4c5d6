"""The same things done on the local agent and on an agent of each dialect, oddity and trouble that is known of."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from hopx_magics import api
from hopx_magics.client.transport import Endpoint, Request
from hopx_magics.connection.connection import Connection
from hopx_magics.errors import AgentRefused, NotSupported, Unauthorized, UnknownProcess
from hopx_magics.models import ProcessId
from hopx_magics.protocol.requests import AGENT_FILE, COMMANDS_RUN, EXECUTE_BACKGROUND, AgentFile
from tests.conftest import OddAgent, launch
from tests.standins import agents
from tests.standins.agents import AgentStandIn, Dialect
from tests.standins.network import DeadAddress, resolve_localhost
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE, is_running, wait_until

Start = Callable[..., AgentStandIn]

RATE = 300
"""Requests that agents take before they take none for a minute."""

SLEEP = "import time\ntime.sleep(600)"


class Place(NamedTuple):
    """Where something is launched: `standin` is None for our own agent on this machine."""

    standin: AgentStandIn | None
    url: str | None = None

    def connect(self, hopx: Any) -> Connection:
        if self.standin is None:
            connection: Connection = hopx.connect("local")
        else:
            connection = hopx.connect(self.url or self.standin.url, name="there", token=self.standin.token)
        return connection


class Setting(NamedTuple):
    """A stand-in, and what troubles it has."""

    dialect: Dialect = agents.OPENAPI
    limit: int | None = None
    token_uses: int | None = None
    flaps: bool = False
    dead_ipv6: bool = False


SETTINGS: dict[str, Setting | None] = {
    "local": None,
    "documentation": Setting(agents.DOCUMENTATION),
    "openapi": Setting(agents.OPENAPI),
    "newest": Setting(agents.NEWEST),
    "catch_all": Setting(agents.CATCH_ALL),
    "no_commands": Setting(msgspec.structs.replace(agents.OPENAPI, has_commands=False)),
    "terse": Setting(agents.TERSE),
    "odd_openapi": Setting(agents.ODD_OPENAPI),
    "odd_documentation": Setting(agents.ODD_DOCUMENTATION),
    "rate_limited": Setting(limit=RATE),
    "token_expiring": Setting(agents.DOCUMENTATION, token_uses=5),
    "flapping": Setting(flaps=True),
    "ipv6_dead": Setting(dead_ipv6=True),
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts stand-ins, each with a folder of its own."""
    started: list[AgentStandIn] = []

    def start(dialect: Dialect = agents.OPENAPI) -> AgentStandIn:
        folder = tmp_path / f"machine{len(started)}"
        started.append(AgentStandIn(dialect, folder))
        return started[-1]

    yield start
    for each in started:
        each.close()
        assert each.limit != RATE or each.refused_for_rate == 0


@pytest.fixture(params=SETTINGS)
def place(request: pytest.FixtureRequest, start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    setting = SETTINGS[request.param]
    if setting is None:
        yield Place(None)
        return
    standin = start(setting.dialect)
    standin.limit, standin.flaps = setting.limit, setting.flaps
    if not setting.dead_ipv6:
        yield Place(standin)
        return
    with DeadAddress("::1", standin.port) as dead:
        resolve_localhost(monkeypatch, dead.host, "127.0.0.1")
        yield Place(standin, f"http://localhost:{standin.port}")


@pytest.fixture
def there(request: pytest.FixtureRequest, place: Place, hopx: Any) -> Connection:
    """The connection to the place, which is the current one."""
    connection = place.connect(hopx)
    setting = SETTINGS[request.node.callspec.params["place"]]
    if place.standin and setting and setting.token_uses:
        standin, standin.token_uses = place.standin, setting.token_uses
        connection.agent.transport.move(lambda http: Endpoint(standin.url, standin.new_token()))
    return connection


# ---------------------------------------------------------------- the same everywhere


def test_runs_end_as_their_code_does(there: Connection, hopx: Any) -> None:
    assert hopx.ps().empty
    begun = datetime.now(UTC) - timedelta(seconds=1)  # some agents leave out the fractions
    good = hopx.launch(
        "import os, sys\nprint(os.environ['WORD'])\nprint('beside', file=sys.stderr)",
        name="good",
        env={"WORD": "grüß 'dich'"},
        timeout="1h",
    )
    bad = hopx.launch("echo bye; exit 3", language="bash", name="bad")
    slow = hopx.launch(SLEEP, name="slow", timeout=1)
    hopx.wait(good, bad, slow, timeout=DEADLINE)
    assert [(run.status, run.exit_code) for run in (good, bad)] == [("completed", 0), ("failed", 3)]
    assert slow.status == "failed"
    assert (good.stdout, good.stderr, bad.stdout) == ("grüß 'dich'\n", "beside\n", "bye\n")

    frame = hopx.ps().set_index("name")
    assert frame.language.to_dict() == {"bad": "bash", "good": "python", "slow": "python"}, "and not what wraps them"
    assert sorted(hopx.ps(language="python").name) == ["good", "slow"]
    assert (frame.started_at >= begun).all()
    assert (frame.completed_at <= datetime.now(UTC)).all()
    assert (frame.completed_at >= frame.started_at).all()
    assert frame.execution_time.between(0, DEADLINE).all()
    assert frame.execution_time["slow"] >= 0.9


def test_killed_is_said_of_what_is_dead(there: Connection, hopx: Any, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    run = hopx.launch(f"import os\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n{SLEEP}", name="long")
    pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the process runs"))
    wait_until(lambda: run.process_id in set(hopx.ps().process_id), "it is listed")
    (row,) = hopx.ps("long").to_dict("records")
    assert row["status"] in ("queued", "running")
    assert hopx.ps("long")[["exit_code", "completed_at"]].isna().all(axis=None)

    assert hopx.kill(run).result.tolist() == ["killed"]
    wait_until(lambda: not is_running(pid), "it is dead")
    assert run.status in ("killed", "unknown")
    assert hopx.ps("long", status=["queued", "running"]).empty


def test_what_has_ended_is_not_killed(there: Connection, hopx: Any) -> None:
    run = hopx.launch("pass").wait()
    assert run.status == "completed"
    assert hopx.kill(run).result.tolist() == ["already finished"]
    assert run.status == "completed"


def test_one_process_runs_when_the_reply_to_its_launch_was_lost(
    place: Place, odd_agent: Callable[[Answer], OddAgent], hopx: Any, tmp_path: Path
) -> None:
    url, token = address_of(place, hopx)
    between = odd_agent(losing("/execute/background", lambda asked: asked.reset(), url))
    hopx.connect(between.url, name="lossy", token=token)
    log = tmp_path / "log"
    run = hopx.launch(f"open({str(log)!r}, 'a').write('ran ')", name="once")
    assert run.wait().status == "completed"
    assert log.read_text() == "ran "
    assert hopx.ps().name.tolist() == ["once"]
    assert sum(asked.path == EXECUTE_BACKGROUND for asked in between.asked) == 1


def address_of(place: Place, hopx: Any) -> tuple[str, str]:
    if place.standin is not None:
        return place.url or place.standin.url, place.standin.token
    place.connect(hopx)
    hopx.connect("local")
    agent_file = api.session().settings.agent_folder / AGENT_FILE
    local = msgspec.json.decode(agent_file.read_bytes(), type=AgentFile)
    return local.url, local.token


PASSED_ON = ("Authorization", "Content-Type", "Idempotency-Key")


def losing(path: str, lose: Answer, url: str) -> Answer:
    """Passes requests on to the agent at `url`; instead of its first answer from `path` comes that of `lose`."""
    lost: list[Asked] = []

    def answer(asked: Asked) -> None:
        headers = {name: asked.headers[name] for name in PASSED_ON if asked.headers[name]}
        target = url.replace("localhost", "127.0.0.1") + asked.path + (f"?{asked.query}" if asked.query else "")
        try:
            reply = httpx.request(asked.method, target, headers=headers, content=asked.body, timeout=DEADLINE)
        except httpx.TransportError:
            asked.reset()
            return
        if asked.path == path and not lost:
            lost.append(asked)
            lose(asked)
        else:
            asked.reply(reply.content, reply.status_code, Content_Type=reply.headers.get("Content-Type", "text/plain"))

    return answer


def test_a_process_that_the_agent_does_not_know(there: Connection, hopx: Any) -> None:
    hopx.launch("pass", name="known")
    for look in (hopx.attach, hopx.ps, hopx.kill):
        with pytest.raises(UnknownProcess, match="there is no process 'nowhere'"):
            look("nowhere")
    (killed,) = api.session().connection().kill([ProcessId("bg_0")])
    assert killed.result == "unknown id"
    with pytest.raises(UnknownProcess):
        api.session().connection().outputs.read(ProcessId("bg_0"), "stdout")


def test_a_wrong_token_is_refused(place: Place, hopx: Any) -> None:
    url, _ = address_of(place, hopx)
    with pytest.raises(Unauthorized, match="token was not accepted"):
        hopx.connect(url, name="stranger", token="not-the-token")
    assert api.session().current == "local"


# ---------------------------------------------------------------- what only some do

LOSSES: dict[str, Answer] = {
    "reset": lambda asked: asked.reset(),
    "502": lambda asked: asked.reply(b"Bad Gateway", 502),
    "503": lambda asked: asked.reply({"error": "NOT_INITIALIZED", "message": "not yet"}, 503),
    "504": lambda asked: asked.reply(b"<html>", 504),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_kill_whose_reply_was_lost_is_seen(
    start: Start, odd_agent: Callable[[Answer], OddAgent], hopx: Any, loss: str
) -> None:
    standin = start()
    between = odd_agent(losing("/execute/kill", LOSSES[loss], standin.url))
    hopx.connect(between.url, name="lossy", token=standin.token)
    run = hopx.launch(SLEEP)
    assert run.kill() == "killed"
    assert not is_running(standin.executions[run.process_id].pid)


@pytest.mark.parametrize("unknown", ["root", "404"])
def test_an_agent_that_can_not_kill_says_so(start: Start, hopx: Any, unknown: Any) -> None:
    standin = start(Dialect(kill="none", unknown=unknown))
    hopx.connect(standin.url, name="there", token=standin.token)
    run = hopx.launch(SLEEP)
    with pytest.raises(NotSupported, match="no form of the kill request"):
        run.kill()
    assert run.status == "running"


BARE: list[Dialect] = [
    msgspec.structs.replace(agents.DOCUMENTATION, unknown=unknown, has_commands=False, has_files=False)
    for unknown in ("404", "root")
]


@pytest.mark.parametrize(
    "dialect",
    [agents.DOCUMENTATION, agents.ODD_DOCUMENTATION, *BARE],
    ids=["plain", "odd", "nothing else", "nothing else, and 200 to all"],
)
def test_output_that_is_in_the_listing(start: Start, hopx: Any, tmp_path: Path, dialect: Dialect) -> None:
    standin = start(dialect)
    hopx.connect(standin.url, name="there", token=standin.token)
    code = "import sys, time\nprint('first', flush=True)\nprint('beside', file=sys.stderr)\ntime.sleep(600)"
    process = launch(api.session(), code, name="shown", capture="agent")
    wait_until(lambda: hopx.ps("shown").stdout.tolist() == ["first\n"], "its output is listed")
    run = hopx.attach(process.process_id)
    wait_until(lambda: run.stderr == "beside\n", "its other stream is listed, too")
    assert run.stdout == "first\n"
    assert not list(tmp_path.glob("machine*/**/.hopx/runs/*/stdout")), "it is kept in no files"


def test_commands_are_run_without_a_shell(start: Start, hopx: Any) -> None:
    standin = start()
    connection = hopx.connect(standin.url, name="there", token=standin.token)
    transport = connection.agent.transport
    line, program = (
        transport.send(Request("POST", COMMANDS_RUN, content=msgspec.json.encode(body))).body
        for body in ({"command": "echo a; echo b"}, {"command": "bash", "args": ["-c", "echo a; echo b"]})
    )
    assert msgspec.json.decode(line)["success"] is False
    assert msgspec.json.decode(program)["stdout"] == "a\nb\n"


@pytest.mark.parametrize("errors", ["flat", "nested", "code first", "text only", "no json"])
def test_a_refused_launch_says_why(start: Start, hopx: Any, errors: Any) -> None:
    standin = start(Dialect(errors=errors))
    hopx.connect(standin.url, name="there", token=standin.token)
    with pytest.raises(AgentRefused, match="unsupported language: javascript") as caught:
        launch(api.session(), "1", language="javascript", capture="agent")
    assert caught.value.code == (None if errors in ("text only", "no json") else "INVALID_REQUEST")
    assert hopx.ps().empty


def test_a_process_that_the_agent_forgot_is_unknown(start: Start, hopx: Any) -> None:
    standin = start()
    hopx.connect(standin.url, name="there", token=standin.token)
    run = hopx.launch(SLEEP)
    assert run.status == "running"
    standin.forgotten.add(run.process_id)
    assert run.status == "unknown"


def test_runs_go_on_with_a_new_token(start: Start, hopx: Any) -> None:
    standin = start()
    hopx.connect(standin.url, name="there", token=standin.token)
    run = hopx.launch(SLEEP)
    assert run.status == "running"
    standin.revoke()
    with pytest.raises(Unauthorized, match="Connect again with a valid token"):
        run.refresh()
    hopx.connect(standin.url, name="there", token=standin.new_token())
    assert run.kill() == "killed"


# ---------------------------------------------------------------- rate limits


def test_reads_wait_as_long_as_a_limit_demands(start: Start, hopx: Any) -> None:
    standin = start()
    hopx.connect(standin.url, name="there", token=standin.token)
    hopx.ps()
    standin.limit, standin.window = 3, 1.0
    for _ in range(4):
        hopx.ps()
    assert standin.refused_for_rate == 1


def test_all_who_wait_ask_together(start: Start, hopx: Any) -> None:
    standin = start()
    hopx.connect(standin.url, name="there", token=standin.token)
    runs = [hopx.launch(SLEEP, name=f"run{number}") for number in range(10)]
    waiting = [threading.Thread(target=hopx.wait, args=(run,), daemon=True) for run in runs]
    for thread in waiting:
        thread.start()
    wait_until(lambda: standin.moments[-1] - standin.moments[-4] > 2.5, "the agent is asked once a second")
    hopx.kill(runs)
    for thread in waiting:
        thread.join()
