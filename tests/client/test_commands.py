"""One way to run a command on an agent: what counts as an agent that runs none, and what as its refusal."""

from collections.abc import Callable
from typing import Any

import pytest

from hopx_magics.client.commands import read_by_command, run_command
from hopx_magics.client.transport import Endpoint, Transport
from hopx_magics.errors import AgentError, AgentRefused, BadReply, NotSupported
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE

CATCH_ALL = {"agent": "HopX VM Agent (Go)", "status": "running", "version": "3.2.8", "vm_id": "v", "message": "success"}

Start = Callable[[Answer], OddAgent]
WAYS = pytest.mark.parametrize("run", [run_command, read_by_command])


def transport_to(agent: OddAgent) -> Transport:
    endpoint = Endpoint(agent.url)
    return Transport("odd", lambda http: endpoint, timeout=DEADLINE, retry_time=5, max_reply=1_000_000)


def refuses(status: int, body: Any) -> Answer:
    return lambda asked: asked.reply(body, status)


@WAYS
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refuses(405, {"error": "no", "code": "METHOD_NOT_ALLOWED"}), NotSupported),
        (refuses(501, b""), NotSupported),
        (refuses(404, b"404 page not found"), NotSupported),
        (refuses(404, b"<html>Not Found</html>"), NotSupported),
        (refuses(404, {"error": "no such endpoint", "code": "NOT_FOUND"}), NotSupported),
        (refuses(200, CATCH_ALL), NotSupported),
        (refuses(404, {"error": "no such directory", "code": "DIRECTORY_NOT_FOUND"}), AgentRefused),
        (refuses(404, {"error": "it is gone", "code": "SANDBOX_NOT_FOUND"}), AgentRefused),
        (refuses(500, {"error": "bash: executable file not found in $PATH"}), AgentRefused),
        (refuses(200, b"<html>Log in</html>"), BadReply),
        (refuses(200, []), BadReply),
    ],
)
def test_what_an_agent_says_that_runs_no_command(
    odd_agent: Start, run: Callable[[Transport, str], object], answer: Answer, error: type[AgentError]
) -> None:
    transport = transport_to(odd_agent(answer))
    with pytest.raises(AgentError) as caught:
        run(transport, "true")
    assert type(caught.value) is error
    transport.close()


def breaks_once(agent: "list[Asked]") -> Answer:
    def answer(asked: Asked) -> None:
        agent.append(asked)
        if len(agent) == 1:
            asked.reset()
        else:
            asked.reply({"stdout": "said", "exit_code": 3})

    return answer


def test_a_command_is_sent_once(odd_agent: Start) -> None:
    asked: list[Asked] = []
    transport = transport_to(odd_agent(breaks_once(asked)))
    with pytest.raises(AgentError, match="connection broke"):
        run_command(transport, "rm x")
    assert len(asked) == 1
    assert run_command(transport, "rm x").exit_code == 3
    transport.close()


def test_a_command_that_only_reads_is_sent_again(odd_agent: Start) -> None:
    asked: list[Asked] = []
    transport = transport_to(odd_agent(breaks_once(asked)))
    assert read_by_command(transport, "cat x") == "said"
    assert len(asked) == 2
    transport.close()


def test_reading_needs_what_was_printed(odd_agent: Start) -> None:
    transport = transport_to(odd_agent(lambda asked: asked.reply({"exit_code": 0})))
    assert run_command(transport, "true").stdout == ""
    with pytest.raises(BadReply, match="no stdout"):
        read_by_command(transport, "true")
    transport.close()


@pytest.mark.parametrize(("code", "said"), [("9" * 900, 1), ("9" * 5000, 1), ("true", 1), ("-9", -9), ('"4"', 4)])
def test_an_exit_code_out_of_all_bounds(odd_agent: Start, code: str, said: int) -> None:
    body = b'{"stdout": "x", "success": false, "exit_code": %b}' % code.encode()
    transport = transport_to(odd_agent(lambda asked: asked.reply(body)))
    result = run_command(transport, "x")
    transport.close()
    assert (result.stdout, result.exit_code) == ("x", said)
