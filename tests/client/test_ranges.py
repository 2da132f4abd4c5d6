"""Parts of output, as agents send them: shorter than was asked for, others, and in very many pieces."""

from collections.abc import Callable

import pytest

from hopx_magics.client import agent as agents
from hopx_magics.client.agent import OutputPart
from hopx_magics.connection.connection import Connection
from hopx_magics.errors import BadReply
from hopx_magics.models import ProcessId
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked

Start = Callable[[Answer], OddAgent]
Read = Callable[..., OutputPart]

STREAM = bytes(range(100))
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def read(connection_of: Callable[[OddAgent], Connection]) -> Read:
    """Reads stdout of a process."""
    return lambda agent, **wanted: connection_of(agent).agent.output(ProcessId("bg_1"), "stdout", **wanted)


@pytest.mark.parametrize("wanted", [{}, {"start": 7, "stop": 60}, {"start": -50}, {"start": -500}, {"stop": 1}])
@pytest.mark.parametrize("ends", [False, True], ids=["the beginning", "the end of an end"])
def test_a_part_that_is_shorter_than_asked_is_asked_on(
    read: Read, odd_agent: Start, wanted: dict[str, int], ends: bool
) -> None:
    def answer(asked: Asked) -> None:
        first, last = asked.headers["Range"].removeprefix("bytes=").split("-")
        begin = int(first) if first else max(0, 100 - (9 if ends else int(last)))
        end = min(begin + 9, int(last) + 1 if first and last else 100)
        span = f"bytes {begin}-{end - 1}/100"
        asked.reply(STREAM[begin:end], 206, **OCTETS, Content_Range=span)

    part = read(odd_agent(answer), **wanted)
    assert part.data == STREAM[slice(wanted.get("start", 0), wanted.get("stop"))]
    assert part.size == 100


@pytest.mark.parametrize(
    "span",
    [
        f"bytes 0-9/{'9' * 5000}",
        f"bytes {'0' * 5000}-9/10",
        "bytes 1-9/10",
        "bytes 0-9/*",
        "bytes 0-9/0",
        "bytes */10",
        "lines 0-9/10",
        "",
    ],
)
def test_another_part_than_was_asked_for(read: Read, odd_agent: Start, span: str) -> None:
    agent = odd_agent(lambda asked: asked.reply(STREAM[:10], 206, **OCTETS, Content_Range=span))
    with pytest.raises(BadReply, match="another part of stdout than was asked for"):
        read(agent)


def test_a_stream_in_very_many_pieces(read: Read, odd_agent: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MOST_PIECES", 5)

    def answer(asked: Asked) -> None:
        begin = len(agent.asked) - 1
        span = f"bytes {begin}-{begin}/{10**17}"
        asked.reply(b"x", 206, **OCTETS, Content_Range=span)

    agent = odd_agent(answer)
    with pytest.raises(BadReply, match="more than 5 pieces"):
        read(agent)
    assert len(agent.asked) == 5
