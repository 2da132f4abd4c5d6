"""Who keeps the output of a launch, found out from the answers of agents."""

from typing import Any

import pytest

from hopx_magics.client.agent import Agent
from hopx_magics.client.capture import decide
from hopx_magics.errors import AgentRefused
from hopx_magics.session import Session
from tests.conftest import Answer, Asked

from .conftest import CATCH_ALL, OCTETS, Connect


def row(**fields: Any) -> dict[str, Any]:
    return {"process_id": "bg_1", "status": "running", **fields}


def answers(*rows: dict[str, Any], output: Answer) -> Answer:
    def answer(asked: Asked) -> None:
        if asked.path == "/execute/processes":
            asked.reply({"processes": list(rows)})
        else:
            assert asked.path.endswith("/stdout")
            output(asked)

    return answer


def refuses(status: int, code: str) -> Answer:
    return lambda asked: asked.reply({"error": "no", "code": code}, status)


def serves(asked: Asked) -> None:
    asked.reply(b"x", 206, **OCTETS, Content_Range="bytes 0-0/9")


@pytest.mark.parametrize(
    ("answer", "keeper"),
    [
        (answers(row(stdout="", stderr=""), output=refuses(500, "")), "agent"),
        (answers(row(), row(process_id="bg_2", stderr="e"), output=refuses(404, "")), "agent"),
        (answers(row(), output=serves), "agent"),
        (answers(row(), output=lambda asked: asked.reply(CATCH_ALL)), "files"),
        (answers(row(), output=refuses(404, "NOT_FOUND")), "files"),
        (answers(row(), output=refuses(404, "RESOURCE_NOT_FOUND")), "files"),
        (answers(row(stdout=None), output=refuses(405, "METHOD_NOT_ALLOWED")), "files"),
        (answers(row(), output=refuses(500, "INTERNAL_ERROR")), "files"),
        (answers(output=refuses(404, "PROCESS_NOT_FOUND")), "agent"),
        (answers(output=refuses(404, "RESOURCE_NOT_FOUND")), "files"),
        (answers(output=lambda asked: asked.reply(CATCH_ALL)), "files"),
    ],
)
def test_who_keeps_the_output_is_found_out(transport_to: Connect, answer: Answer, keeper: str) -> None:
    agent = Agent(transport_to(answer))
    assert decide(agent) == keeper
    assert decide(agent, listing=agent.listing()) == keeper


def test_the_local_agent_keeps_the_output(session: Session) -> None:
    agent = session.connection().agent
    assert decide(agent) == "agent"
    session.launch("print(1)")
    assert decide(agent) == "agent"


def test_an_agent_that_can_not_be_asked_who_keeps_the_output(transport_to: Connect) -> None:
    with pytest.raises(AgentRefused):
        decide(Agent(transport_to(refuses(500, "INTERNAL_ERROR"))))
