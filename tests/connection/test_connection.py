"""What a connection makes of its agent's listing: asked for once, completed, remembered, recorded, returned."""

from collections.abc import Callable

from hopx_magics.connection.connection import Connection
from hopx_magics.models import ProcessId
from hopx_magics.run_history import reading
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked

RUNNING = {"process_id": "a", "status": "running", "execution_time": 1.0}


def test_a_listing_that_still_holds_is_not_sent_again(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    def answer(asked: Asked) -> None:
        if asked.headers["If-None-Match"] == '"1"':
            asked.reply(b"", 304, ETag='"1"')
        else:
            asked.reply({"processes": [RUNNING, RUNNING | {"process_id": "b", "paused": True}]}, ETag='"1"')

    agent = odd_agent(answer)
    connection = connection_of(agent)
    first, second = connection.listing(tail=0), connection.listing(tail=0)
    assert [asked.headers["If-None-Match"] for asked in agent.asked] == [None, '"1"']
    (before, _), (after, paused) = first.processes, second.processes
    assert before.execution_time == 1.0
    passed = (second.received_at - first.received_at).total_seconds()
    assert after.execution_time == 1.0 + passed, "what runs has run on"
    assert paused.execution_time == 1.0, "what is paused has not"
    connection.listing(tail=5)
    assert agent.asked[-1].headers["If-None-Match"] is None, "an ETag says nothing of another address"


def test_what_is_listed_is_remembered_and_recorded(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    connection = connection_of(odd_agent(lambda asked: asked.reply({"processes": [RUNNING]})))
    listing = connection.listing()
    assert connection.latest is listing
    kept = connection.history.read(reading.of_process, connection.place, ProcessId("a"))
    assert kept is not None
    assert kept.status == "running"
    recalled = connection.recall(ProcessId("a"))
    assert recalled is not None
    assert recalled.run_id == kept.run_id
