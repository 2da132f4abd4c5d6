"""The way to a sandbox's agent: its address, its token, its end, and until it is ready."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hopx_magics.client import sandbox as fresh
from hopx_magics.client.control_plane import ControlPlane
from hopx_magics.client.sandbox import renewal_delay, wait_until_ready, why_unusable
from hopx_magics.client.transport import Request, Transport
from hopx_magics.errors import (
    HopxError,
    InsecureConnection,
    SandboxError,
    SandboxGone,
    SandboxNotReady,
    Unauthorized,
)
from hopx_magics.models import Sandbox
from tests.conftest import OddAgent
from tests.standins.control_plane import ControlPlaneStandIn
from tests.standins.server import Answer, Asked, answering
from tests.waiting import DEADLINE, wait_until

Start = Callable[[Answer], OddAgent]
LISTING = Request("GET", "/execute/processes")


def guarded(plane: ControlPlaneStandIn) -> Answer:
    """An agent that answers to those who have a valid token."""

    def answer(asked: Asked) -> None:
        if plane.tells_token(asked):
            asked.reply({"processes": [], "count": 0})
        else:
            asked.reply({"error": "Invalid or expired token", "code": "INVALID_TOKEN"}, 401)

    return answer


def refreshed(plane: ControlPlaneStandIn) -> int:
    return sum(path.endswith("/token/refresh") for path in plane.paths("POST"))


def test_one_token_serves_many_requests(
    plane: ControlPlaneStandIn, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    agent = odd_agent(guarded(plane))
    transport = reach(plane.add(public_host=agent.url))
    for _ in range(5):
        transport.read(LISTING)
    assert len(agent.asked) == 5
    assert refreshed(plane) == 1


def test_a_refused_token_is_renewed_once_for_all_threads(
    plane: ControlPlaneStandIn, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    together = threading.Barrier(8)

    def answer(asked: Asked) -> None:
        if refreshed(plane) == 1 and len(agent.asked) > 1:
            together.wait(DEADLINE)  # all have asked with the token that was revoked
        guarded(plane)(asked)

    agent = odd_agent(answer)
    sandbox_id = plane.add(public_host=agent.url)
    transport = reach(sandbox_id)
    transport.read(LISTING)
    plane.revoke(sandbox_id)
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda _: transport.read(LISTING), range(8)))) == 8
    assert refreshed(plane) == 2
    assert len(agent.asked) == 1 + 8 + 8


def test_a_token_that_stays_refused_is_renewed_once(
    plane: ControlPlaneStandIn, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    agent = odd_agent(answering({"error": "Invalid or expired token"}, 401))
    with pytest.raises(Unauthorized, match=r"the token was not accepted(?s:.*)may still be starting"):
        reach(plane.add(public_host=agent.url)).read(LISTING)
    assert refreshed(plane) == 2


def test_a_token_is_renewed_before_its_end(
    plane: ControlPlaneStandIn, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    plane.token_life = 3.0
    valid: list[bool] = []

    def answer(asked: Asked) -> None:
        valid.append(plane.tells_token(asked))
        guarded(plane)(asked)

    agent = odd_agent(answer)
    transport = reach(plane.add(public_host=agent.url))
    wait_until(lambda: transport.read(LISTING) and refreshed(plane) > 1, "a second token")
    assert all(valid)
    assert len({asked.headers["Authorization"] for asked in agent.asked}) == 2


@pytest.mark.parametrize(
    ("life", "delay"),
    [(86400, 77760), (3600, 3240), (2400, 2100), (900, 600), (240, 120), (2, 1), (0, None), (-60, None)],
)
def test_when_a_token_is_renewed(life: float, delay: float | None) -> None:
    assert renewal_delay(life) == delay


def test_clocks_that_differ_do_not_renew_all_the_time(
    plane: ControlPlaneStandIn, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    plane.token_life = -100
    transport = reach(plane.add(public_host=odd_agent(answering({"processes": []})).url))
    for _ in range(3):
        transport.read(LISTING)
    assert refreshed(plane) == 1


def test_a_renewal_that_fails_costs_nothing_while_the_token_holds(
    plane: ControlPlaneStandIn, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    plane.token_life = 0.1
    transport = reach(plane.add(public_host=odd_agent(answering({"processes": []})).url))
    transport.read(LISTING)
    plane.odd = [answering(b"", 500)] * 9
    wait_until(lambda: transport.read(LISTING) and len(plane.odd) < 9, "an attempt to renew")
    for _ in range(3):
        transport.read(LISTING)
    assert len(plane.odd) == 8  # and it is not tried again at once


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"status": "paused"}, SandboxError, "is paused.*resume it"),
        ({"status": "stopped"}, SandboxError, "was stopped"),
        ({"status": "error"}, SandboxError, "failed: create a new one"),
        ({"public_host": None, "direct_url": None}, SandboxNotReady, "no address yet"),
        ({"public_host": "https://u:p@evil.example"}, SandboxError, "address that can't be used"),
        ({"public_host": "http://evil.example"}, InsecureConnection, "would travel unencrypted"),
    ],
)
def test_a_sandbox_that_can_not_be_used(
    plane: ControlPlaneStandIn,
    reach: Callable[[str], Transport],
    fields: dict[str, Any],
    kind: type[HopxError],
    words: str,
) -> None:
    with pytest.raises(kind, match=words):
        reach(plane.add(**fields)).read(LISTING)
    assert plane.paths("POST") == []  # above all, nothing is resumed


def test_a_sandbox_that_is_gone(plane: ControlPlaneStandIn, reach: Callable[[str], Transport]) -> None:
    with pytest.raises(SandboxGone):
        reach("1763385739w4r6dokq").read(LISTING)


def test_a_sandbox_that_is_paused_while_it_is_used_says_so(
    plane: ControlPlaneStandIn, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    agent = odd_agent(guarded(plane))
    sandbox_id = plane.add(public_host=agent.url)
    transport = reach(sandbox_id)
    transport.read(LISTING)
    plane.rows[sandbox_id]["status"] = "paused"
    plane.revoke(sandbox_id)
    with pytest.raises(SandboxError, match="is paused"):
        transport.read(LISTING)
    assert plane.rows[sandbox_id]["status"] == "paused"


@pytest.mark.parametrize(
    ("status", "detail", "words"),
    [
        ("running", None, None),
        ("creating", None, None),
        ("unknown", None, None),
        ("unknown", "rebooting", None),
        ("unknown", "resuming", None),
        ("paused", None, "resume"),
        ("unknown", "suspended", "resume"),
        ("stopped", None, "lost"),
        ("unknown", "ERROR", "failed"),
        ("unknown", "expired", "expired"),
        ("unknown", "deleted", "deleted"),
    ],
)
def test_why_a_sandbox_is_unusable(status: Any, detail: str | None, words: str | None) -> None:
    reason = why_unusable(Sandbox(sandbox_id="a", status=status, status_detail=detail))
    assert reason is None if words is None else words in str(reason)


# ---------------------------------------------------------------- fresh sandboxes


def test_a_fresh_sandbox_is_waited_for(
    plane: ControlPlaneStandIn,
    control: ControlPlane,
    reach: Callable[[str], Transport],
    odd_agent: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fresh, "FIRST_PAUSE", 0.01)
    late: list[Answer] = [
        answering({"error": "NOT_INITIALIZED", "message": "JWT authentication not yet initialized"}, 503),
        answering({"status": "healthy"}),
        *[answering({"error": "Invalid or expired token"}, 401)] * 4,
    ]
    agent = odd_agent(lambda asked: late.pop(0)(asked) if late else guarded(plane)(asked))
    plane.host = ""
    sandbox = control.create("base")
    plane.rows[sandbox.sandbox_id]["public_host"] = ""
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line.partition(": ")[2])
        plane.rows[sandbox.sandbox_id]["public_host"] = agent.url  # it has an address only after a while

    wait_until_ready(reach(sandbox.sandbox_id), sandbox, say, DEADLINE)
    assert lines == [
        "it is being created",
        "its agent is starting (status 503)",
        "its agent does not accept the token yet",
    ]
    assert [asked.path for asked in agent.asked][-2:] == ["/health", "/execute/processes"]


def test_a_sandbox_that_never_gets_ready(
    plane: ControlPlaneStandIn, control: ControlPlane, reach: Callable[[str], Transport], odd_agent: Start
) -> None:
    agent = odd_agent(answering({"error": "NOT_INITIALIZED", "message": "not yet"}, 503))
    sandbox = control.sandbox(plane.add(public_host=agent.url))
    with pytest.raises(SandboxNotReady, match=r"not ready after 0.5 s: .*not yet"):
        wait_until_ready(reach(sandbox.sandbox_id), sandbox, lambda line: None, 0.5)


def test_a_sandbox_that_fails_while_it_is_created(
    plane: ControlPlaneStandIn, control: ControlPlane, reach: Callable[[str], Transport]
) -> None:
    plane.become = "error"
    sandbox = control.create("base")
    with pytest.raises(SandboxError, match="failed: create a new one"):
        wait_until_ready(reach(sandbox.sandbox_id), sandbox, lambda line: None, DEADLINE)
