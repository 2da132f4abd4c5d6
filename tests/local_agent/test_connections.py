"""Many connections, slow ones and dead ones, of those who have the token and of those who haven't."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from hopx_magics.local_agent.connections import LOG_LIMIT, MOST_STRANGERS
from tests.waiting import DEADLINE, wait_until

from .conftest import LISTING, Agent, StartAgent, clear, start_program

MANY = 300


@pytest.fixture
def strangers() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def connected(agent: Agent, strangers: contextlib.ExitStack, said: bytes = b"") -> socket.socket:
    port = urlsplit(agent.about.url).port
    stranger = strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
    stranger.sendall(said)
    return stranger


def is_dropped(stranger: socket.socket) -> bool:
    """Whether the agent has ended the connection, whatever it has answered before."""
    stranger.setblocking(False)
    try:
        while stranger.recv(65536):
            continue
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_however_many_strangers_there_are_who_has_the_token_finds_room(
    start_agent: StartAgent, strangers: contextlib.ExitStack, said: bytes
) -> None:
    agent = start_agent()
    many = [connected(agent, strangers, said) for _ in range(MANY)]
    token = {"Authorization": f"Bearer {agent.about.token}"}
    with httpx.Client(base_url=agent.about.url, headers=token, timeout=DEADLINE) as anew:
        reply = anew.post("/execute/background", json={"code": "echo there is", "language": "bash"})
    assert agent.ended(reply.json()["process_id"])["stdout"] == "there is\n"
    wait_until(lambda: sum(not is_dropped(stranger) for stranger in many) <= MOST_STRANGERS, "the others are dropped")
    assert psutil.Process(agent.about.pid).num_fds() < MOST_STRANGERS + 50


def test_who_has_the_token_is_not_dropped_for_strangers(
    start_agent: StartAgent, strangers: contextlib.ExitStack
) -> None:
    agent = start_agent()
    waiting = agent.wait_for_change(agent.http.get(LISTING).headers["etag"])
    for _ in range(3):  # answered after what was sent before: the one who waits has shown its token by then
        agent.http.get(LISTING)
    for _ in range(MANY):
        connected(agent, strangers)
    process_id = agent.launch("true")
    assert process_id in waiting.result().text


def test_strangers_have_their_time(agent: Agent, strangers: contextlib.ExitStack) -> None:
    head = b"POST /execute/background HTTP/1.1\r\nHost: localhost\r\n"
    slow = [
        connected(agent, strangers),
        connected(agent, strangers, head),
        connected(agent, strangers, head + b"Content-Length: 1000000\r\n\r\n{"),
        connected(agent, strangers, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ]
    wait_until(lambda: all(map(is_dropped, slow)), "all are dropped")


def test_strangers_do_not_keep_an_agent_that_nobody_needs(start_agent: StartAgent) -> None:
    agent = start_agent("--idle-seconds", "2")

    def ended() -> bool:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{agent.about.url}/health")
        return agent.program.poll() is not None

    wait_until(ended, "it has ended although somebody asks for its health")


def test_what_is_no_request_leaves_nothing_in_the_log(start_agent: StartAgent, strangers: contextlib.ExitStack) -> None:
    agent = start_agent()
    for said in (b"\0\r\n\r\n", b"GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"x" * 100_000):
        stranger = connected(agent, strangers, said)
        wait_until(lambda stranger=stranger: is_dropped(stranger), "it is refused")
    assert len(agent.log.read_text().splitlines()) == 1


def test_the_log_stays_short(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    log = folder / "agent.log"
    log.write_text("an old line\n" * (2 * LOG_LIMIT // 12))
    program = start_program(folder, "--idle-seconds", "0.1", log=log)
    try:
        program.wait(DEADLINE)
    finally:
        clear(folder, [program])
    text = log.read_text()
    assert len(text) < LOG_LIMIT
    assert set(text.splitlines()[:-2]) == {"an old line"}
    assert "nothing to do" in text.splitlines()[-1]


def test_the_socket_of_a_long_path_is_elsewhere_and_goes_with_its_agent(
    start_agent: StartAgent, tmp_path: Path
) -> None:
    folder = tmp_path / ("long" * 25) / "agent"
    folder.parent.mkdir()
    killed = start_agent(folder=folder)
    assert killed.about.socket is not None
    first = Path(killed.about.socket).parent
    assert (first.stat().st_mode & 0o777, first.stat().st_uid) == (0o700, os.geteuid())
    killed.end(9)
    ended = start_agent(folder=folder)
    assert not first.exists()
    assert ended.about.socket is not None
    transport = httpx.HTTPTransport(uds=ended.about.socket)
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=DEADLINE) as http:
        assert http.get("/health").json()["instance"] == ended.about.instance
        assert http.get("/info").status_code == 401, "the token is wanted there, too"
    ended.end()
    assert not Path(ended.about.socket).parent.exists()


def test_an_agent_without_its_socket_makes_way_for_another(start_agent: StartAgent) -> None:
    agent = start_agent()
    assert agent.about.socket is not None
    Path(agent.about.socket).unlink()
    assert agent.program.wait(DEADLINE) == 0
