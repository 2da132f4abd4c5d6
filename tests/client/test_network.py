"""Which of the addresses of a name is connected to, and how long that takes at most."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopx_magics.errors import AgentUnreachable
from hopx_magics.session.session import Session
from hopx_magics.settings import read_settings
from tests.conftest import OddAgent, connect_to
from tests.standins.network import DeadAddress, resolve_localhost
from tests.standins.server import Answer, Server

LISTING = b'{"processes": [{"process_id": "bg_1", "status": "running"}], "count": 1}'


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session that gives up connecting after 1 s."""
    settings = read_settings({"HOPX_STATE_DIR": str(tmp_path), "HOPX_HISTORY": str(tmp_path / "history.sqlite")})
    session = Session(msgspec.structs.replace(settings, reply_time=1.0, retry_time=0.0))
    yield session
    session.close()


@pytest.fixture
def ipv6_port() -> Iterator[int]:
    """The port of an agent that is there by IPv6 alone."""
    server = Server(lambda asked: asked.reply(LISTING), host="::1")
    yield server.port
    server.close()


def listed(session: Session, port: int) -> tuple[list[str], float]:
    """The ids that an agent at localhost lists, and the seconds that it took to connect and ask."""
    begun = time.monotonic()
    connection = connect_to(session, f"http://localhost:{port}", name="there")
    return [process.process_id for process in connection.agent.listing().processes], time.monotonic() - begun


def test_ipv4_is_not_held_up_by_a_dead_ipv6(
    session: Session, odd_agent: Callable[[Answer], OddAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = odd_agent(lambda asked: asked.reply(LISTING)).port
    with DeadAddress("::1", port) as dead:
        resolve_localhost(monkeypatch, dead.host, "127.0.0.1")
        ids, seconds = listed(session, port)
    assert ids == ["bg_1"]
    assert seconds < 0.4


def test_ipv6_is_used_when_there_is_nothing_else(
    session: Session, ipv6_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_localhost(monkeypatch, "::1")
    assert listed(session, ipv6_port)[0] == ["bg_1"]


def test_ipv6_is_used_when_ipv4_refuses(session: Session, ipv6_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_localhost(monkeypatch, "127.0.0.1", "::1")
    assert listed(session, ipv6_port)[0] == ["bg_1"]


def test_ipv6_is_used_when_ipv4_is_dead(session: Session, ipv6_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with DeadAddress("127.0.0.1", ipv6_port) as dead:
        resolve_localhost(monkeypatch, dead.host, "::1")
        assert listed(session, ipv6_port)[0] == ["bg_1"]


def test_many_dead_addresses_take_no_longer_than_one(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with DeadAddress("::1") as dead, DeadAddress("127.0.0.1", dead.port), DeadAddress("127.0.0.2", dead.port):
        resolve_localhost(monkeypatch, "::1", "127.0.0.1", "127.0.0.2")
        begun = time.monotonic()
        with pytest.raises(AgentUnreachable, match="no connection within the time limit") as caught:
            connect_to(session, f"http://localhost:{dead.port}")
    assert not caught.value.sent
    assert 0.9 < time.monotonic() - begun < 1.9


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
    proxy = odd_agent(lambda asked: asked.reply())  # which does not understand CONNECT, and says so
    monkeypatch.setenv(variable, proxy.url)
    settings = read_settings({"HOPX_STATE_DIR": str(tmp_path), "HOPX_HISTORY": str(tmp_path / "history.sqlite")})
    session = Session(msgspec.structs.replace(settings, retry_time=0.0))
    try:
        assert connect_to(session, agent.url).agent.listing().find("bg_1")
        with pytest.raises(AgentUnreachable, match="501"):
            connect_to(session, "https://7777-somewhere.vms.hopx.dev")
    finally:
        session.close()
