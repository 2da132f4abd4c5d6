"""Launches with a callback: what is sent, and agents that know no callbacks."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from hopx_magics.client.agent import Agent
from hopx_magics.client.local import LocalAgent
from hopx_magics.client.transport import Endpoint, Transport
from hopx_magics.errors import AgentRefused, NotSupported
from hopx_magics.launches import checked_launch
from hopx_magics.models import Callback, Launch, RunId
from hopx_magics.settings import Settings
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE, wait_until

CATCH_ALL = {"agent": "HopX VM Agent (Go)", "status": "running", "version": "3.2.8", "message": "success"}
LAUNCH = Launch(code="print(1)", run_id=RunId("0123456789abcdef"), name="told", timeout=60, env={"X": "y"})


def told(url: str, **options: Any) -> Launch:
    """The launch whose end the agent is to tell there."""
    return msgspec.structs.replace(LAUNCH, callback=Callback(url=url, **options))


StartOdd = Callable[[Answer], OddAgent]


@pytest.fixture
def connect() -> Iterator[Callable[..., Agent]]:
    agents = []

    def start(locate: Any) -> Agent:
        agents.append(Agent(Transport("it", locate, timeout=DEADLINE, retry_time=2, max_reply=1_000_000)))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()


def test_the_local_agent_calls(state: Settings, connect: Callable[..., Agent], odd_agent: StartOdd) -> None:
    receiver = odd_agent(lambda asked: asked.reply())
    agent = connect(LocalAgent(state))
    launched = agent.launch(told(receiver.url, headers={"X-Mine": "1"}, secret="tok-1"))
    wait_until(lambda: receiver.asked, "the callback has arrived")
    asked = receiver.asked[0]
    assert json.loads(asked.body)["process_id"] == launched.process_id
    assert json.loads(asked.body)["stdout"] == "1\n"
    assert asked.headers["X-Mine"] == "1"
    process = agent.listing().find(launched.process_id)
    assert process is not None
    assert (process.name, process.run_id, process.execution_id) == ("told", LAUNCH.run_id, launched.execution_id)


def test_what_is_sent(connect: Callable[..., Agent], odd_agent: StartOdd) -> None:
    agent = odd_agent(lambda asked: asked.reply({"execution_id": "exec_1", "status": "queued", "callback_url": "x"}))
    launch = told("https://x.example/y", headers={"A": "b"}, secret="tok-1")
    launched = connect(lambda http: Endpoint(agent.url)).launch(launch)
    assert (launched.process_id, launched.execution_id, launched.status) == ("exec_1", "exec_1", "queued")
    (asked,) = agent.asked
    assert (asked.method, asked.path) == ("POST", "/execute/async")
    assert json.loads(asked.body) == {
        "code": "print(1)",
        "language": "python",
        "timeout": 60,
        "name": "told [hopx:0123456789abcdef]",
        "env": {"X": "y"},
        "callback_url": "https://x.example/y",
        "callback_headers": {"A": "b"},
        "callback_signature_secret": "tok-1",
    }


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: asked.reply(CATCH_ALL),
        lambda asked: asked.reply({"error": "no such route"}, 404),
        lambda asked: asked.reply({"error": "no", "code": "METHOD_NOT_ALLOWED"}, 405),
    ],
)
def test_agents_without_callbacks(connect: Callable[..., Agent], odd_agent: StartOdd, answer: Answer) -> None:
    agent = odd_agent(answer)
    with pytest.raises(NotSupported, match="nothing was launched") as caught:
        connect(lambda http: Endpoint(agent.url)).launch(told("https://x.example"))
    assert "Launch without a callback" in str(caught.value)
    assert len(agent.asked) == 1


def test_a_refusal(connect: Callable[..., Agent], odd_agent: StartOdd) -> None:
    agent = odd_agent(lambda asked: asked.reply({"error": "no such host", "code": "INVALID_REQUEST"}, 400))
    with pytest.raises(AgentRefused, match="no such host"):
        connect(lambda http: Endpoint(agent.url)).launch(told("https://x.example"))


def test_a_lost_reply(connect: Callable[..., Agent], odd_agent: StartOdd) -> None:
    def answer(asked: Asked) -> None:
        if asked.method == "POST":
            asked.reset()
        else:
            asked.reply({"processes": [{"process_id": "p1", "name": "told [hopx:0123456789abcdef]"}]})

    agent = odd_agent(answer)
    launched = connect(lambda http: Endpoint(agent.url)).launch(told("https://x.example"))
    assert launched.process_id == "p1"
    assert [asked.path for asked in agent.asked] == ["/execute/async", "/execute/processes"]


@pytest.mark.parametrize("url", ["", "x", "ftp://x/", "https://", "http:///x", "http://[::1/"])
def test_what_can_not_be_called(url: str) -> None:
    with pytest.raises(ValueError, match="use a URL of the form"):
        checked_launch("pass", callback=Callback(url=url))
