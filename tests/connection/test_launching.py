"""Launching many on agents that take them with one request: which of them are launched, whatever comes in between."""

import os
import signal
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hopx_magics.client import lost_replies
from hopx_magics.connection import launching
from hopx_magics.errors import AgentRefused, BadReply, LaunchError, LaunchInterrupted, NotSupported
from hopx_magics.protocol.requests import EXECUTE_BACKGROUND, EXECUTE_MANY, INFO
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked

Start = Callable[[Answer], OddAgent]

TOTAL = 120
COUNT = launching.LAUNCHED_AT_ONCE


class Launcher:
    """An agent that launches everything and runs nothing, but for the requests that `odd` answers."""

    def __init__(self, start: Start, odd: Callable[["Launcher", Asked], bool] = lambda launcher, asked: False) -> None:
        self.names: list[str] = []
        self.is_silent = False
        self._odd = odd
        self.agent = start(self._answer)

    def _answer(self, asked: Asked) -> None:
        if self.is_silent:
            asked.reset()
        elif asked.path == INFO:
            asked.reply({"agent": "x", "features": ["many"]})
        elif asked.method == "GET":
            rows = [{"process_id": f"p{n}", "name": name, "status": "queued"} for n, name in enumerate(self.names, 1)]
            asked.reply({"processes": rows})
        elif asked.path not in (EXECUTE_MANY, EXECUTE_BACKGROUND):
            asked.reply({"error": "no"}, 404)
        elif not self._odd(self, asked):
            replies = [self.take(body) for body in asked.content.get("launches", [asked.content])]
            asked.reply({"results": replies} if asked.path == EXECUTE_MANY else replies[0])

    def take(self, body: dict[str, Any]) -> dict[str, str]:
        self.names.append(body["name"])
        return {"process_id": f"p{len(self.names)}", "status": "queued"}

    @property
    def posted(self) -> list[str]:
        return [asked.path for asked in self.agent.asked if asked.path in (EXECUTE_MANY, EXECUTE_BACKGROUND)]


def sweep(hopx: Any, launcher: Launcher, count: int = TOTAL, **options: Any) -> Any:
    hopx.connect(launcher.agent.url, name="far")
    return hopx.sweep("true", {"n": range(count)}, language="bash", **options)


def statuses(hopx: Any) -> list[str]:
    """Of all runs in the history, in the order of their launches."""
    return [str(status) for status in hopx.history()["status"]][::-1]


def test_some_with_each_request(hopx: Any, odd_agent: Start) -> None:
    launcher, told = Launcher(odd_agent), list[tuple[int, int]]()
    runs = sweep(hopx, launcher, progress=lambda launched, total: told.append((launched, total)))
    assert launcher.posted == [EXECUTE_MANY] * 3
    assert told == [(COUNT, TOTAL), (2 * COUNT, TOTAL), (TOTAL, TOTAL)]
    assert [run.process_id for run in runs] == [f"p{number}" for number in range(1, TOTAL + 1)]
    assert list(hopx.history()["param.n"]) == list(range(TOTAL))[::-1]
    bodies = [asked.content for asked in launcher.agent.asked if asked.path == EXECUTE_MANY]
    keys = [key for body in bodies for key in body["idempotency_keys"]]
    assert [run.run_id for run in runs] == keys
    assert launcher.names == [f"[hopx:{key}]" for key in keys]
    assert statuses(hopx) == ["queued"] * TOTAL


def test_large_code_is_sent_in_smaller_portions(hopx: Any, odd_agent: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "LARGE", 20_000)
    launcher = Launcher(odd_agent)
    hopx.connect(launcher.agent.url, name="far")
    hopx.sweep(f"true {'x' * 9_000}", {"n": range(7)}, language="bash")
    assert launcher.posted == [EXECUTE_MANY] * 2 + [EXECUTE_BACKGROUND]


@pytest.mark.parametrize("status", [400, 403, 429, 507])
def test_one_that_is_refused_ends_it(hopx: Any, odd_agent: Start, status: int) -> None:
    def odd(launcher: Launcher, asked: Asked) -> bool:
        replies = [launcher.take(body) for body in asked.content["launches"][:20]]
        asked.reply({"results": replies, "error": {"status": status, "code": "NO", "message": "no more of \x1b these"}})
        return True

    launcher = Launcher(odd_agent, odd)
    with pytest.raises(AgentRefused, match=r"no more of +these") as caught:
        sweep(hopx, launcher)
    assert (caught.value.status, caught.value.code) == (status, "NO")
    assert launcher.posted == [EXECUTE_MANY]
    assert statuses(hopx) == ["queued"] * 20 + ["failed"], "there is no trace of what was never sent"


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_request_that_is_refused_as_a_whole_has_launched_nothing(hopx: Any, odd_agent: Start, status: int) -> None:
    def odd(launcher: Launcher, asked: Asked) -> bool:
        asked.reply({"error": "no"}, status)
        return True

    launcher = Launcher(odd_agent, odd)
    with pytest.raises(AgentRefused, match="no"):
        sweep(hopx, launcher)
    assert launcher.posted == [EXECUTE_MANY]
    assert statuses(hopx) == ["failed"]


@pytest.mark.parametrize("answer", [404, 405, 413, "catch-all"])
def test_an_agent_that_does_not_take_so_many_gets_one_at_a_time(hopx: Any, odd_agent: Start, answer: int | str) -> None:
    def odd(launcher: Launcher, asked: Asked) -> bool:
        if asked.path != EXECUTE_MANY:
            return False
        asked.reply({"error": "no"}, answer) if isinstance(answer, int) else asked.reply(
            {"agent": "vm", "message": "success"}
        )
        return True

    launcher = Launcher(odd_agent, odd)
    assert len(sweep(hopx, launcher, 5)) == len(launcher.names) == 5
    assert launcher.posted == [EXECUTE_MANY] + [EXECUTE_BACKGROUND] * 5
    assert statuses(hopx) == ["queued"] * 5


@pytest.mark.parametrize("loss", ["reset", "502", "too large", "one too few", "no ids", "nonsense"])
def test_what_was_launched_is_found_when_the_reply_is_lost(
    hopx: Any, odd_agent: Start, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr(lost_replies, "LOOK_FOR", 0.5)
    monkeypatch.setenv("HOPX_MAX_REPLY_MB", "0.1")

    def odd(launcher: Launcher, asked: Asked) -> bool:
        replies = [launcher.take(body) for body in asked.content["launches"][:30]]
        body = msgspec.json.encode({"results": replies})
        {
            "reset": asked.reset,
            "502": lambda: asked.reply(b"Bad Gateway", 502),
            "too large": lambda: asked.reply(body + b" " * 200_000),
            "one too few": lambda: asked.reply(body),
            "no ids": lambda: asked.reply({"results": [{"status": "queued"}] * COUNT}),
            "nonsense": lambda: asked.reply({"results": 7}),
        }[loss]()
        return True

    launcher = Launcher(odd_agent, odd)
    with pytest.raises(LaunchError, match=r"(?s)Nothing was launched.*safe to launch again"):
        sweep(hopx, launcher)
    assert launcher.posted == [EXECUTE_MANY], "nothing is sent again"
    assert statuses(hopx) == ["queued"] * 30 + ["failed"] * (COUNT - 30)


def test_all_are_unknown_when_nothing_can_be_seen(hopx: Any, odd_agent: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_RETRY_SECONDS", "0")

    def odd(launcher: Launcher, asked: Asked) -> bool:
        launcher.is_silent = True
        asked.reset()
        return True

    launcher = Launcher(odd_agent, odd)
    with pytest.raises(LaunchError, match="can't be seen"):
        sweep(hopx, launcher, 5)
    assert statuses(hopx) == ["unknown"] * 5


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_waits_for_the_reply_that_is_on_its_way(
    hopx: Any, odd_agent: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "ENDS_WITHIN", 60.0)

    def odd(launcher: Launcher, asked: Asked) -> bool:
        if len(launcher.names) == COUNT:
            os.kill(os.getpid(), signal.SIGINT)
        return False

    launcher = Launcher(odd_agent, odd)
    with pytest.raises(LaunchInterrupted, match=f"{2 * COUNT} of 100,000 were launched and go on, the others were"):
        sweep(hopx, launcher, 100_000)
    assert len(launcher.names) == 2 * COUNT
    assert statuses(hopx) == ["queued"] * 2 * COUNT


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_does_not_wait_for_an_agent_that_hangs(
    hopx: Any, odd_agent: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "ENDS_WITHIN", 0.1)

    def odd(launcher: Launcher, asked: Asked) -> bool:
        if len(launcher.names) < COUNT:
            return False
        os.kill(os.getpid(), signal.SIGINT)
        launcher.agent.hang(asked)
        return True

    launcher = Launcher(odd_agent, odd)
    said = f"{COUNT} of 100,000 were launched and go on, {COUNT} may have been, the others were never sent"
    with pytest.raises(LaunchInterrupted, match=said) as caught:
        sweep(hopx, launcher, 100_000)
    assert [run.process_id for run in caught.value.launched] == [f"p{number}" for number in range(1, COUNT + 1)]
    assert statuses(hopx) == ["queued"] * COUNT + ["unknown"] * COUNT


def test_replies_that_are_none() -> None:
    from hopx_magics.protocol.replies import decode_many

    two = [{"process_id": "a"}, {"process_id": "b"}]
    refusal = {"status": 507, "message": "full"}
    answers = decode_many(msgspec.json.encode({"results": two, "error": refusal}), 3, agent="x", endpoint="y")
    assert [type(answer).__name__ for answer in answers] == ["Launched", "Launched", "AgentRefused"]
    for odd in (
        {"results": two, "error": refusal},
        {"results": [*two, {"process_id": "c"}]},
        {"results": two[:1]},
        {"results": [], "error": {"status": 200, "message": "fine"}},
        {"results": two, "error": "x"},
        [],
        {},
    ):
        with pytest.raises(BadReply):
            decode_many(msgspec.json.encode(odd), 2, agent="x", endpoint="y")
    with pytest.raises(NotSupported):
        decode_many(b'{"agent": "vm", "message": "success"}', 2, agent="x", endpoint="y")
