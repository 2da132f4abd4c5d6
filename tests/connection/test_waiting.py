"""Waiting for the ends of processes, of agents whose answers are odd now and then."""

from collections.abc import Callable
from typing import Any

import pytest

from hopx_magics.connection import waiting, watcher
from hopx_magics.connection.connection import Connection
from hopx_magics.connection.waiting import wait_for
from hopx_magics.errors import AgentRefused, BadReply, HopxError, NotSupported, Unauthorized
from hopx_magics.models import Process, ProcessId
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE

Start = Callable[[Answer], OddAgent]
ConnectionOf = Callable[[OddAgent], Connection]


@pytest.fixture(autouse=True)
def _asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "INTERVAL", 0.05)


def listed(status: str) -> dict[str, Any]:
    return {"processes": [{"process_id": "bg_1", "status": status}], "count": 1}


def waited_for(connection: Connection) -> Process:
    (process,) = wait_for({connection: [ProcessId("bg_1")]}, timeout=DEADLINE)[connection].values()
    return process


ODD: dict[str, Answer] = {
    "reset": lambda asked: asked.reset(),
    "502": lambda asked: asked.reply(b"Bad Gateway", 502),
    "cut JSON": lambda asked: asked.reply(b'{"processes": [{"process_id": "bg_1"'),
    "HTML": lambda asked: asked.reply(b"<html><b>Please wait</b></html>"),
    "a part": lambda asked: asked.reply(listed("running"), 226),
    "no gzip": lambda asked: asked.reply(b"none", Content_Encoding="gzip"),
    "401": lambda asked: asked.reply({"error": "expired"}, 401),
    "404": lambda asked: asked.reply({"error": "no route"}, 404),
}


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_answer_is_borne(odd_agent: Start, connection_of: ConnectionOf, odd: str) -> None:
    def answer(asked: Asked) -> None:
        if len(agent.asked) % 2 == 0:
            ODD[odd](asked)
        else:
            asked.reply(listed("completed" if len(agent.asked) > 6 else "running"))

    agent = odd_agent(answer)
    assert waited_for(connection_of(agent)).status == "completed"


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error": "expired"}, 401, Unauthorized),
        ({"error": "no"}, 403, AgentRefused),
        ({"agent": "HopX VM Agent (Go)", "message": "success"}, 200, NotSupported),
    ],
)
def test_a_refusal_is_meant_when_it_comes_twice(
    odd_agent: Start, connection_of: ConnectionOf, body: Any, status: int, kind: type[HopxError]
) -> None:
    agent = odd_agent(lambda asked: asked.reply(body, status))
    with pytest.raises(kind):
        waited_for(connection_of(agent))
    assert len(agent.asked) < 10


def test_nonsense_is_borne_for_a_while_only(
    odd_agent: Start, connection_of: ConnectionOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "GIVE_UP_AFTER", 0.3)
    with pytest.raises(BadReply, match="web page"):
        waited_for(connection_of(odd_agent(lambda asked: asked.reply(b"<html>"))))
