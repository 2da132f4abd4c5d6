"""Requests and replies besides those of the listing: who may ask, what is refused and how, synchronous calls."""

import base64
import contextlib
import json
import os
import socket
from typing import Any

import httpx
import psutil
import pytest

from hopx_magics.local_agent.requests import preferred_wait
from tests.waiting import DEADLINE, wait_until

from .conftest import Agent, StartAgent, refused


def test_health_needs_no_token(agent: Agent) -> None:
    reply = httpx.get(f"{agent.about.url}/health", timeout=DEADLINE)
    assert reply.json()["status"] == "healthy"
    assert reply.json()["instance"] == agent.about.instance
    assert reply.json()["uptime"].endswith("s")
    assert "message" not in reply.json()
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert agent.about.token not in reply.text + str(reply.headers)


def test_info(agent: Agent) -> None:
    content = agent.http.get("/info").json()
    assert content["agent"] == "hopx_magics local agent"
    assert content.keys() >= {"version", "os", "platform", "start_time", "languages", "endpoints", "features"}
    assert content["languages"][:2] == ["python", "bash"]
    assert "GET /execute/processes" in content["endpoints"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/info"),
        ("GET", "/execute/processes"),
        ("GET", "/execute/processes/x/stdout"),
        ("POST", "/execute"),
        ("POST", "/execute/background"),
        ("POST", "/commands/run"),
        ("POST", "/commands/background"),
        ("DELETE", "/execute/kill"),
        ("POST", "/execute/kill/x"),
        ("GET", "/no/such/route"),
        ("GET", "//health"),
        ("GET", "/health/"),
    ],
)
def test_all_else_needs_the_token(agent: Agent, method: str, path: str) -> None:
    with httpx.Client(base_url=agent.about.url, timeout=DEADLINE) as stranger:
        assert refused(stranger.request(method, path)) == (401, "AUTHENTICATION_REQUIRED")
        for wrong in ("Bearer", "Basic abc", agent.about.token):
            reply = stranger.request(method, path, headers={"Authorization": wrong})
            assert refused(reply) == (401, "AUTHENTICATION_REQUIRED")
        for wrong in ("Bearer x", f"Bearer {agent.about.token}x", f"Bearer {agent.about.token[:-1]}", "Bearer ä"):
            reply = stranger.request(method, path, headers={"Authorization": wrong.encode()})
            assert refused(reply) == (401, "INVALID_TOKEN")
            assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost:x", "[::1"]
)
def test_other_hosts_names_are_refused(agent: Agent, host: str) -> None:
    for path in ("/health", "/execute/processes"):
        assert refused(agent.http.get(path, headers={"Host": host})) == (403, "FORBIDDEN")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:99", "[::1]", "[::1]:80"])
def test_this_machines_names_are_not(agent: Agent, host: str) -> None:
    assert agent.http.get("/health", headers={"Host": host}).status_code == 200


def test_it_listens_on_loopback_only(agent: Agent) -> None:
    listening = [c.laddr.ip for c in psutil.Process(agent.about.pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_unknown_routes_and_wrong_methods(agent: Agent) -> None:
    for path in ("/", "/nothing", "/execute/processes/", "/execute/processes/x", "/execute/kill/a/b"):
        assert refused(agent.http.get(path)) == (404, "NOT_FOUND")
    for method, path in (("PUT", "/execute"), ("GET", "/execute/background"), ("POST", "/execute/processes")):
        reply = agent.http.request(method, path)
        assert refused(reply) == (405, "METHOD_NOT_ALLOWED")
        assert reply.headers["allow"]


DEEP = "[" * 100_000


@pytest.mark.parametrize("path", ["/execute", "/execute/background", "/commands/run", "/commands/background"])
@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("", "INVALID_JSON", "no JSON"),
        ("{", "INVALID_JSON", "no JSON"),
        ('{"code": "\udcff", "command": "\udcff"}', "INVALID_JSON", "no JSON"),
        ('{"x": ' + DEEP, "INVALID_JSON", "no JSON"),
        ("[]", "INVALID_REQUEST", "object"),
        ("null", "INVALID_REQUEST", "object"),
        ("{}", "MISSING_PARAMETER", "is required"),
        ('{"code": "", "command": " "}', "MISSING_PARAMETER", "is required"),
        ('{"code": 1, "command": 1}', "INVALID_REQUEST", "str"),
        ('{"code": "x", "command": "x", "timeout": -1}', "INVALID_REQUEST", "timeout"),
        ('{"code": "x", "command": "x", "timeout": "5"}', "INVALID_REQUEST", "timeout"),
        ('{"code": "x", "command": "x", "timeout": true}', "INVALID_REQUEST", "timeout"),
        ('{"code": "x", "command": "x", "env": {"A=B": "1"}}', "INVALID_REQUEST", "env"),
        ('{"code": "x", "command": "x", "env": {"": "1"}}', "INVALID_REQUEST", "env"),
        ('{"code": "x", "command": "x", "env": {"A": "\\u0000"}}', "INVALID_REQUEST", "env"),
        ('{"code": "x", "command": "x", "env": {"A": 1}}', "INVALID_REQUEST", "env"),
        ('{"code": "x", "command": "x", "workdir": "/none"}', "INVALID_REQUEST", "working directory"),
    ],
)
def test_bodies_that_can_not_be_used(agent: Agent, path: str, body: str, code: str, says: str) -> None:
    before = len(agent.listing())
    reply = agent.http.post(path, content=body.encode("utf-8", "surrogateescape"))
    assert refused(reply) == (400, code)
    assert says in reply.json()["error"]
    assert len(agent.listing()) == before


def test_names_keys_and_arguments_that_can_not_be_used(agent: Agent) -> None:
    reply = agent.post("/execute/background", code="x", name="n" * 1001)
    assert refused(reply) == (400, "INVALID_REQUEST")
    reply = agent.http.post("/execute/background", json={"code": "x"}, headers={"Idempotency-Key": "k" * 256})
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert refused(agent.post("/commands/background", command="a", args=["\0"])) == (400, "INVALID_REQUEST")


def test_unknown_fields_are_no_mistake(agent: Agent) -> None:
    reply = agent.post("/execute/background", code="print(1)", language=None, env=None, name=None, more={"x": [1]})
    assert agent.ended(reply.json()["process_id"])["stdout"] == "1\n"


def test_strange_names_are_kept(agent: Agent) -> None:
    name = "\x1b[31m<script>\0\u202e" + "\U0001f600" * 20
    process_id = agent.launch("true", name=name)
    assert agent.ended(process_id)["name"] == name


def test_bodies_that_are_too_long(agent: Agent) -> None:
    assert refused(agent.http.post("/execute/background", content=b"x" * 32_000_001)) == (413, "INVALID_REQUEST")

    def endless() -> Any:
        for _ in range(40):
            yield b" " * 1_000_000

    assert refused(agent.http.post("/execute/background", content=endless())) == (413, "INVALID_REQUEST")
    assert agent.http.get("/health").status_code == 200


def test_a_body_that_is_long_but_not_too_long(agent: Agent) -> None:
    process_id = agent.launch("print(len('" + "x" * 20_000_000 + "'))", "python")
    assert agent.ended(process_id)["stdout"] == "20000000\n"


def test_an_env_that_the_system_refuses(agent: Agent) -> None:
    row = agent.ended(agent.launch("true", env={"A": "x" * 5_000_000}))
    assert row["status"] == "failed"
    assert row["message"].startswith("could not start: Argument list too long")


def test_idempotency_key(agent: Agent) -> None:
    before = len(agent.listing())
    headers = {"Idempotency-Key": "the same"}
    body = {"code": "true", "language": "bash"}
    replies = [agent.http.post("/execute/background", json=body, headers=headers) for _ in range(3)]
    assert len({reply.content for reply in replies}) == 1
    assert len(agent.listing()) == before + 1
    other = agent.http.post("/execute/background", json={**body, "code": "false"}, headers=headers)
    assert refused(other) == (409, "CONFLICT")
    elsewhere = agent.http.post("/commands/background", json={"command": "true"}, headers=headers)
    assert refused(elsewhere) == (409, "CONFLICT")


def test_execute(agent: Agent) -> None:
    before = len(agent.listing())
    content = agent.post("/execute", code="import os\nprint(5, os.environ['A'])\n1/0", env={"A": "b"}).json()
    assert content.keys() == {*("success", "stdout", "stderr", "exit_code", "execution_time", "language", "timestamp")}
    assert (content["success"], content["stdout"], content["exit_code"]) == (False, "5 b\n", 1)
    assert "ZeroDivisionError" in content["stderr"]
    assert content["language"] == "python"
    content = agent.post("/execute", code="pwd; kill $$", language="sh", working_dir="/tmp").json()
    assert (content["stdout"], content["exit_code"]) == ("/tmp\n", 143)
    assert len(agent.listing()) == before
    assert not list((agent.folder / "foreground").iterdir())


def test_execute_tells_what_was_displayed(agent: Agent) -> None:
    code = """
import matplotlib.pyplot as plt, pandas as pd
from IPython.display import HTML, JSON, SVG, Markdown, clear_output, display
display(HTML("<b>cleared</b>")); clear_output()
state = display(HTML("<i>first</i>"), display_id=True)
plt.plot([1, 2]); plt.show()
state.update(HTML("<i>updated</i>"))
display(Markdown("# A"), SVG("<svg/>"), JSON({"a": 1}))
display({"application/vnd.plotly.v1+json": {"data": []}}, raw=True)
print("text")
pd.DataFrame({"a": [1]})
"""
    content = agent.post("/execute", code=code, timeout=DEADLINE).json()
    assert content["stdout"].endswith("text\n   a\n0  1\n")
    assert content["result"] == "   a\n0  1"
    assert base64.b64decode(content["png"], validate=True).startswith(b"\x89PNG")
    assert 'class="dataframe"' in content["html"]
    assert (content["markdown"], content["svg"], content["json"]) == ("# A", "<svg/>", {"data": []})
    rich = content["rich_outputs"]
    assert [(one["type"], one["format"], one["metadata"]["source"]) for one in rich] == [
        ("text/html", "html", "other"),
        ("image/png", "base64", "matplotlib"),
        ("application/json", "json", "other"),
        ("application/json", "json", "plotly"),
        ("text/html", "html", "pandas"),
    ]
    assert rich[0]["data"] == "<i>updated</i>"
    assert rich[1]["data"] == content["png"]
    assert rich[1]["metadata"]["size"] == len(content["png"])


def test_execute_is_bounded_and_bears_what_code_writes_there(agent: Agent) -> None:
    code = "for n in range(5): display({'text/html': str(n) * 9_000_000}, raw=True)"
    content = agent.post("/execute", code=code, timeout=DEADLINE).json()
    assert [one["data"][0] for one in content["rich_outputs"]] == ["3", "4"]
    odd = """import os
os.makedirs(out := os.path.join(os.path.dirname(__file__), "out"))
open(os.path.join(out, "displays"), "w").write('{"output_type": "display_data", "data": [1]}\\n{}\\n3\\n')
print(1)"""
    content = agent.post("/execute", code=odd).json()
    assert (content["success"], content["stdout"]) == (True, "1\n")
    rich = agent.post("/execute/rich", code="print(2)", capture_rich=True).json()
    assert (rich["stdout"], rich["rich_outputs"]) == ("2\n", [])


def test_commands_run(agent: Agent) -> None:
    content = agent.post("/commands/run", command="echo $0; exit 3").json()
    assert content.keys() == {
        *("success", "stdout", "stderr", "exit_code", "execution_time", "command", "pid", "timestamp")
    }
    assert (content["stdout"], content["exit_code"], content["command"]) == ("/bin/sh\n", 3, "echo $0; exit 3")
    content = agent.post(
        "/commands/run", command="bash", args=["-c", 'echo "$1"', "x", "a b"], workdir="/workspace"
    ).json()
    assert (content["success"], content["stdout"]) == (True, "a b\n")
    content = agent.post("/commands/run", command="/no/such", args=[]).json()
    assert (content["success"], content["exit_code"]) == (False, 127)
    assert "could not start: /no/such" in content["stderr"]


def test_a_synchronous_call_ends_in_time(agent: Agent) -> None:
    limit, child = 0.3, agent.folder / "workspace" / "child"
    command = "sleep 1000 & echo $! > pid; trap '' TERM; mv pid child; sleep 1000"
    while not child.exists():  # in which it has to get so far
        limit *= 2
        reply = agent.post("/commands/run", command=command, timeout=limit)
        assert refused(reply) == (408, "EXECUTION_TIMEOUT")
        assert reply.json()["details"] == {"timeout_seconds": limit}
    pid = int(child.read_text())
    wait_until(lambda: not is_alive(pid), "its children are dead, too")


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_agent_answers_while_others_run_in_the_foreground(agent: Agent) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(agent.about.url).port or 0)) as other:
        body = json.dumps({"command": "echo $$ > other; sleep 1000", "timeout": 2}).encode()
        other.sendall(
            b"POST /commands/run HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"
            % (agent.about.token.encode(), len(body))
            + body
        )
        path = agent.folder / "workspace" / "other"
        pid = int(wait_until(lambda: path.exists() and path.read_text(), "it runs"))
        assert agent.http.get("/health").status_code == 200
    wait_until(lambda: not is_alive(pid), "the time limit ends it, although its client left")


def test_garbage_instead_of_http(agent: Agent) -> None:
    port = httpx.URL(agent.about.url).port or 0
    for garbage in (b"\xff\xfe\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"x" * 100_000, b"\x16\x03\x01"):
        # The agent need not listen to the end.
        with socket.create_connection(("127.0.0.1", port)) as other, contextlib.suppress(ConnectionError):
            other.sendall(garbage)
            other.shutdown(socket.SHUT_WR)
            assert b"Traceback" not in other.recv(10_000)
    assert agent.http.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5),
        ("wait=0.5", 0.5),
        ("respond-async, wait=7", 7),
        ("wait=600", 60),
        ('WAIT = "3"; x=y', 3),
        ("", 0),
        ("wait=-1", 0),
        ("wait=x", 0),
        ("await=5", 0),
    ],
)
def test_prefer(header: str, seconds: float) -> None:
    from starlette.requests import Request

    request = Request({"type": "http", "headers": [(b"prefer", header.encode())]})
    assert preferred_wait(request) == seconds


def test_an_agent_whose_processes_folder_is_gone_tells_no_secrets(start_agent: StartAgent) -> None:
    agent = start_agent()
    os.rename(agent.folder / "processes", agent.folder / "elsewhere")
    reply = agent.post("/execute/background", code="print(1)")
    assert refused(reply) == (500, "INTERNAL_ERROR")
    assert "elsewhere" not in reply.text
    wait_until(lambda: "FileNotFoundError" in agent.log.read_text(), "the log has the reason")
