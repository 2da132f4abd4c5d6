"""Which of the addresses of a name is connected to, and how long that takes at most."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopx_magics.client import transport
from hopx_magics.errors import AgentUnreachable
from hopx_magics.session.session import Session
from hopx_magics.settings import read_settings
from tests.conftest import OddAgent, connect_to
from tests.standins.network import DeadAddress, resolve_localhost
from tests.standins.server import Answer, Asked, Server
from tests.waiting import DEADLINE

LISTING = b'{"processes": [{"process_id": "bg_1", "status": "running"}], "count": 1}'


@pytest.fixture
def new_session(tmp_path: Path) -> Iterator[Callable[[float], Session]]:
    """Makes sessions that give up connecting after so many seconds."""
    settings = read_settings({"HOPX_STATE_DIR": str(tmp_path), "HOPX_HISTORY": str(tmp_path / "history.sqlite")})
    sessions: list[Session] = []

    def make(seconds: float) -> Session:
        sessions.append(Session(msgspec.structs.replace(settings, reply_time=seconds, retry_time=0.0)))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def session(new_session: Callable[[float], Session]) -> Session:
    return new_session(DEADLINE)


@pytest.fixture
def ipv6_port() -> Iterator[int]:
    """The port of an agent that is there by IPv6 alone."""
    server = Server(lambda asked: asked.reply(LISTING), host="::1")
    yield server.port
    server.close()


def listed(session: Session, port: int) -> list[str]:
    """The ids that an agent at localhost lists."""
    connection = connect_to(session, f"http://localhost:{port}", name="there")
    return [process.process_id for process in connection.agent.listing().processes]


@pytest.mark.timeout(DEADLINE)
def test_ipv4_is_not_held_up_by_a_dead_ipv6(
    new_session: Callable[[float], Session],
    odd_agent: Callable[[Answer], OddAgent],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 10 * DEADLINE)
    port = odd_agent(lambda asked: asked.reply(LISTING)).port
    with DeadAddress("::1", port) as dead:
        resolve_localhost(monkeypatch, dead.host, "127.0.0.1")
        assert listed(new_session(10 * DEADLINE), port) == ["bg_1"]


def test_ipv6_is_used_when_there_is_nothing_else(
    session: Session, ipv6_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_localhost(monkeypatch, "::1")
    assert listed(session, ipv6_port) == ["bg_1"]


def test_ipv6_is_used_when_ipv4_refuses(session: Session, ipv6_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_localhost(monkeypatch, "127.0.0.1", "::1")
    assert listed(session, ipv6_port) == ["bg_1"]


def test_ipv6_is_used_when_ipv4_is_dead(session: Session, ipv6_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with DeadAddress("127.0.0.1", ipv6_port) as dead:
        resolve_localhost(monkeypatch, dead.host, "::1")
        assert listed(session, ipv6_port) == ["bg_1"]


def failure(session: Session, url: str) -> AgentUnreachable:
    with pytest.raises(AgentUnreachable, match="no connection within the time limit") as caught:
        connect_to(session, url)
    return caught.value


def test_many_dead_addresses_take_no_longer_than_one(
    new_session: Callable[[float], Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, other = new_session(1.0), new_session(1.0)
    with DeadAddress("::1") as dead, DeadAddress("127.0.0.1", dead.port), DeadAddress("127.0.0.2", dead.port):
        resolve_localhost(monkeypatch, "::1", "127.0.0.1", "127.0.0.2")
        with ThreadPoolExecutor() as pool:
            one = f"http://127.0.0.2:{dead.port}"
            two_in_turn = pool.submit(lambda: [failure(other, one), failure(other, one)])
            assert not failure(session, f"http://localhost:{dead.port}").sent
            assert not two_in_turn.done()


def test_a_name_that_nobody_knows(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(AgentUnreachable, match="Name or service not known") as caught:
        connect_to(session, "https://7777-nowhere.vms.hopx.dev")
    assert not caught.value.sent


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_proxies_of_the_environment_are_for_other_machines_only(
    odd_agent: Callable[[Answer], OddAgent], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    agent = odd_agent(lambda asked: asked.reply(LISTING))
    proxy = odd_agent(lambda asked: asked.reply(status=501))  # which does not understand CONNECT, and says so
    monkeypatch.setenv(variable, proxy.url)
    settings = read_settings({"HOPX_STATE_DIR": str(tmp_path), "HOPX_HISTORY": str(tmp_path / "history.sqlite")})
    session = Session(msgspec.structs.replace(settings, retry_time=0.0))
    try:
        assert connect_to(session, agent.url).agent.listing().find("bg_1")
        with pytest.raises(AgentUnreachable, match="501"):
            connect_to(session, "https://7777-somewhere.vms.hopx.dev")
    finally:
        session.close()


def test_a_proxy_has_no_more_time_than_an_agent(
    odd_agent: Callable[[Answer], OddAgent], monkeypatch: pytest.MonkeyPatch, new_session: Callable[[float], Session]
) -> None:
    def trickle(asked: Asked) -> None:
        while not proxy.released.wait(0.1):
            asked.raw(b"X")

    proxy = odd_agent(trickle)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(AgentUnreachable, match=r"did not answer within 0\.5 s"):
        connect_to(new_session(0.5), "https://7777-somewhere.vms.hopx.dev")
