"""Killing many on agents that take them with one request, and on those that don't."""

from collections.abc import Callable
from typing import Any

import pytest

from hopx_magics.connection import killing
from hopx_magics.protocol.requests import INFO, KILL, KILL_MANY
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked

Start = Callable[[Answer], OddAgent]

RUNNING, TOTAL = 3, 250
IDS = [f"p{number}" for number in range(TOTAL)]


class Killer:
    """An agent of which some run, and the others are queued, until they are killed; `odd` answers the first kill."""

    def __init__(self, start: Start, odd: Callable[["Killer", Asked], None] | None = None) -> None:
        self.killed: list[str] = []
        self._odd = odd
        self.agent = start(self._answer)

    def _answer(self, asked: Asked) -> None:
        if asked.path == INFO:
            asked.reply({"agent": "x", "features": ["many"]})
        elif asked.path == KILL_MANY:
            odd, self._odd = self._odd, None
            self.killed += asked.content["process_ids"]
            results = dict.fromkeys(asked.content["process_ids"], "killed")
            odd(self, asked) if odd else asked.reply({"results": results})
        elif asked.path == KILL:
            self.killed.append(asked.query.removeprefix("process_id="))
            asked.reply({"status": "killed"})
        else:
            asked.reply({"processes": [{"process_id": id_, "status": self.status(id_)} for id_ in IDS]})

    def status(self, process_id: str) -> str:
        going = "running" if process_id in IDS[:RUNNING] else "queued"
        return "killed" if process_id in self.killed else going

    @property
    def sizes(self) -> list[int]:
        """How many each of the requests named."""
        return [len(asked.content["process_ids"]) for asked in self.agent.asked if asked.path == KILL_MANY]


def kill_all(hopx: Any, killer: Killer) -> list[str]:
    hopx.connect(killer.agent.url, name="far")
    told: list[tuple[int, int]] = []
    frame = hopx.kill(status=["queued", "running"], progress=lambda asked, total: told.append((asked, total)))
    assert told == sorted(told)
    assert {total for _, total in told} == {TOTAL}
    assert len(frame) == TOTAL
    return list(frame["result"].unique())


def test_what_is_queued_is_killed_first(hopx: Any, odd_agent: Start) -> None:
    killer = Killer(odd_agent)
    assert kill_all(hopx, killer) == ["killed"]
    assert sorted(killer.sizes) == [RUNNING, TOTAL - RUNNING - 200, 100, 100]
    assert killer.killed[-RUNNING:] == IDS[:RUNNING]
    assert killing.KILLED_AT_ONCE == 100


@pytest.mark.parametrize("status", [404, 405, 413])
def test_an_agent_that_does_not_take_so_many_is_asked_one_by_one(hopx: Any, odd_agent: Start, status: int) -> None:
    killer = Killer(odd_agent, lambda killer, asked: asked.reply({"error": "no"}, status))
    assert kill_all(hopx, killer) == ["killed"]


@pytest.mark.parametrize("retry", ["0", "10"])
def test_a_lost_answer_may_have_been_yes(
    hopx: Any, odd_agent: Start, monkeypatch: pytest.MonkeyPatch, retry: str
) -> None:
    monkeypatch.setenv("HOPX_RETRY_SECONDS", retry)
    killer = Killer(odd_agent, lambda killer, asked: asked.reset())
    assert kill_all(hopx, killer) == ["killed"]
