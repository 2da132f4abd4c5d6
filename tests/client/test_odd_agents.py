"""Agents that answer badly, or not at all: what a user reads, and that nothing is launched twice."""

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopx_magics.client import lost_replies
from hopx_magics.client.transport import Endpoint, Request, Stream
from hopx_magics.connection import killing
from hopx_magics.connection.connection import Connection
from hopx_magics.errors import (
    AgentError,
    AgentRefused,
    AgentUnreachable,
    BadReply,
    HopxError,
    InsecureConnection,
    LaunchError,
    NotSupported,
    Unauthorized,
)
from hopx_magics.models import Place, ProcessId
from hopx_magics.session.session import Session
from hopx_magics.settings import read_settings
from tests.conftest import OddAgent, connect_to, launch
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE

TOKEN = "tok-SECRET-123"
BOMB = gzip.compress(b" " * 50_000_000)
CATCH_ALL = {"agent": "HopX VM Agent (Go)", "status": "running", "version": "3.2.8", "message": "success"}

Start = Callable[[Answer], OddAgent]


@pytest.fixture
def reply_time() -> float:
    """The seconds within which agents have to answer."""
    return DEADLINE


@pytest.fixture
def retry_time() -> float:
    """The seconds within which is asked again."""
    return 1.5


@pytest.fixture
def session(tmp_path: Path, reply_time: float, retry_time: float) -> Iterator[Session]:
    settings = msgspec.structs.replace(
        read_settings({"HOPX_STATE_DIR": str(tmp_path), "HOPX_HISTORY": str(tmp_path / "history.sqlite")}),
        reply_time=reply_time,
        retry_time=retry_time,
        max_reply=1_000_000,
    )
    session = Session(settings)
    yield session
    session.close()


IMPATIENT = pytest.mark.parametrize("reply_time", [0.5])
PERSISTENT = pytest.mark.parametrize("retry_time", [DEADLINE])


def listing_of(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"processes": list(rows), "count": len(rows)}


def connect(session: Session, agent: OddAgent) -> None:
    """Connects without asking, so that the test's own request is the first one."""
    place = Place("odd", agent.url)
    endpoint = Endpoint(agent.url, TOKEN)
    connection = Connection(place, lambda http: endpoint, session.settings, session.recorder, url=agent.url)
    connection.capture = "agent"  # or it would be asked first whether it returns output
    session.add(connection)


def error_of(session: Session, agent: OddAgent) -> HopxError:
    connect(session, agent)
    with pytest.raises(HopxError) as caught:
        session.connection().listing()
    text = str(caught.value)
    assert "odd" in text
    assert agent.url in text
    assert TOKEN not in text
    assert len(text.splitlines()) <= 3
    assert all(line.isprintable() for line in text.splitlines())
    assert caught.value._render_traceback_()[0].startswith(type(caught.value).__name__)
    return caught.value


def test_nobody_listens(session: Session, odd_agent: Start) -> None:
    agent = odd_agent(lambda asked: asked.reply())
    agent.close()
    error = error_of(session, agent)
    assert isinstance(error, AgentUnreachable)
    assert not error.sent


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, Unauthorized, "token was not accepted"),
        (403, AgentRefused, "status 403"),
        (404, AgentRefused, "status 404"),
        (429, AgentRefused, "Too many requests"),
        (500, AgentRefused, "status 500"),
        (503, AgentRefused, "may still be starting"),
        (307, AgentRefused, "redirects to https://evil.example"),
    ],
)
def test_error_statuses(session: Session, odd_agent: Start, status: int, kind: type[HopxError], words: str) -> None:
    agent = odd_agent(
        lambda asked: asked.reply(
            {
                "error": f"no \x1b[31m luck, you sent {asked.headers['Authorization']}",
                "code": "NOPE",
                "retry_after": 99,
            },
            status,
            Location="https://evil.example/\u00a0",
        )
    )
    error = error_of(session, agent)
    assert type(error) is kind
    assert words in str(error)


@IMPATIENT
def test_a_hang(session: Session, odd_agent: Start) -> None:
    agent = odd_agent(lambda asked: agent.hang(asked))
    error = error_of(session, agent)
    assert "did not answer within 0.5 s" in str(error)


HEAD = b"HTTP/1.1 200 OK\r\n"
TRICKLES: dict[str, tuple[bytes, bytes, str]] = {
    "in the body": (HEAD + b"Content-Length: 1000\r\n\r\n", b" ", "not complete after 2 s"),
    "in the headers": (HEAD, b"X", "did not answer within 0.5 s"),
    "before the headers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "did not answer within 0.5 s"),
    "around no chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x", "not complete after 2 s"),
    "in an empty gzip": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n",
        gzip.compress(b""),
        "not complete after 2 s",
    ),
}


@IMPATIENT
@pytest.mark.parametrize("name", TRICKLES)
def test_a_trickle(session: Session, odd_agent: Start, name: str) -> None:
    first, drop, words = TRICKLES[name]

    def trickle(asked: Asked) -> None:
        asked.raw(first)
        while not agent.released.wait(0.1):
            asked.raw(drop)

    agent = odd_agent(trickle)
    assert words in str(error_of(session, agent))


@IMPATIENT
def test_the_time_for_a_reply_begins_when_the_request_is_sent(session: Session, odd_agent: Start) -> None:
    def begin() -> Generator[bytes]:
        for _ in range(8):
            agent.released.wait(0.1)
            yield b"x"

    agent = odd_agent(lambda asked: asked.reply(asked.body))
    connect(session, agent)
    upload = Request("POST", "/", content=Stream("application/octet-stream", 8, begin))
    assert session.connection().agent.transport.send(upload).body == b"x" * 8


def test_a_large_reply_is_decoded_piece_by_piece(session: Session, odd_agent: Start) -> None:
    agent = odd_agent(lambda asked: asked.reply(BOMB, Content_Encoding="gzip"))
    tracemalloc.start()
    try:
        assert "larger than 1 MB" in str(error_of(session, agent))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_only_gzip_is_asked_for(session: Session, odd_agent: Start) -> None:
    body = msgspec.json.encode(listing_of({"process_id": "a"}))
    half = len(body) // 2
    whole = gzip.compress(body[:half]) + gzip.compress(body[half:]) + b"\0" * 8
    agent = odd_agent(lambda asked: asked.reply(whole, Content_Encoding="GZip"))
    connect(session, agent)
    assert session.connection().listing().find("a")
    assert agent.asked[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda asked: asked.reset(), AgentUnreachable, "connection broke"),
        (
            lambda asked: (asked.reply(b'{"processes": [', length=500), asked.reset()),
            AgentUnreachable,
            "connection broke",
        ),
        (lambda asked: asked.raw(b"SSH-2.0-OpenSSH\r\n\r\n"), AgentUnreachable, "connection broke"),
        (lambda asked: asked.reply(b'{"processes": [{"process_id": "a"'), BadReply, "cut short"),
        (lambda asked: asked.reply(b"<html><b>Sign in</b></html>"), BadReply, "web page"),
        (lambda asked: asked.reply(CATCH_ALL), NotSupported, "does not support"),
        (lambda asked: asked.reply(b" " * 2_000_000), BadReply, "larger than 1 MB"),
        (
            lambda asked: asked.reply(BOMB, Content_Encoding="gzip"),
            BadReply,
            "larger than 1 MB",
        ),
        (lambda asked: asked.reply(b"no gzip", Content_Encoding="gzip"), BadReply, "no gzip"),
        (lambda asked: asked.reply(BOMB[:500], Content_Encoding="gzip"), BadReply, "cut short within its gzip"),
        *(
            (lambda asked, name=name: asked.reply(BOMB, Content_Encoding=name), BadReply, f"encoded as '{name}'")
            for name in ("gzip, gzip", "zstd", "br", "deflate")
        ),
        (lambda asked: asked.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5000)), HopxError, ""),
    ],
    ids=[
        *("reset", "reset in the body", "other protocol", "cut", "html", "catch-all", "huge", "bomb", "bad gzip"),
        *("cut gzip", "gzip twice", "zstd", "br", "deflate", "5,000 digits"),
    ],
)
def test_bad_replies(session: Session, odd_agent: Start, answer: Answer, kind: type[HopxError], words: str) -> None:
    error = error_of(session, odd_agent(answer))
    assert isinstance(error, kind)
    assert words in str(error)


def test_an_error_in_an_encoding_that_was_not_asked_for(session: Session, odd_agent: Start) -> None:
    error = error_of(session, odd_agent(lambda asked: asked.reply(b"?", 403, Content_Encoding="br")))
    assert isinstance(error, AgentRefused)
    assert error.status == 403


@PERSISTENT
def test_a_read_is_tried_again_until_it_works(session: Session, odd_agent: Start) -> None:
    def answer(asked: Asked) -> None:
        if len(agent.asked) < 3:
            asked.reply({"error": "NOT_INITIALIZED", "message": "soon"}, 503)
        else:
            asked.reply(listing_of({"process_id": "a"}))

    agent = odd_agent(answer)
    connect(session, agent)
    assert session.connection().listing().find("a")


@PERSISTENT
def test_a_read_comes_back_when_it_was_asked_to(session: Session, odd_agent: Start) -> None:
    def answer(asked: Asked) -> None:
        moments.append(time.monotonic())
        if moments[-1] - moments[0] > 0.9:
            asked.reply(listing_of())
        else:
            asked.reply({"error": "busy"}, 429, Retry_After="1")

    moments: list[float] = []
    agent = odd_agent(answer)
    connect(session, agent)
    session.connection().listing()
    assert len(agent.asked) == 2


# ---------------------------------------------------------------- launch


def launch_bodies(agent: OddAgent) -> list[dict[str, Any]]:
    return [json.loads(asked.body) for asked in agent.asked if asked.method == "POST"]


@pytest.mark.parametrize(
    ("loss", "reply_time"), [("reset", DEADLINE), ("hang", 0.5), ("502", DEADLINE), ("garbage", DEADLINE)]
)
def test_a_launch_whose_reply_is_lost_is_found_and_sent_once(session: Session, odd_agent: Start, loss: str) -> None:
    def answer(asked: Asked) -> None:
        if asked.method == "GET":
            # it is listed only after a while, as agents do
            names = [body["name"] for body in launch_bodies(agent)] if len(agent.asked) > 3 else []
            asked.reply(listing_of(*({"process_id": "bg_1", "status": "running", "name": name} for name in names)))
        else:
            {
                "reset": asked.reset,
                "hang": lambda: agent.hang(asked),
                "502": lambda: asked.reply(b"Bad Gateway", 502),
            }.get(loss, lambda: asked.reply(b"<html>"))()

    agent = odd_agent(answer)
    connect(session, agent)
    process = launch(session, "true", language="bash", name="train")
    assert (process.process_id, process.name) == ("bg_1", "train")
    assert len(launch_bodies(agent)) == 1


def test_a_launch_that_never_arrived_says_that_nothing_was_launched(
    session: Session, odd_agent: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_replies, "LOOK_FOR", 0.5)
    agent = odd_agent(lambda asked: asked.reply(listing_of()) if asked.method == "GET" else asked.reset())
    connect(session, agent)
    with pytest.raises(LaunchError, match=r"(?s)Nothing was launched.*safe to launch again"):
        launch(session, "true", language="bash")
    assert len(launch_bodies(agent)) == 1


def test_a_launch_of_which_nothing_can_be_known_says_so(session: Session, odd_agent: Start) -> None:
    connect(session, odd_agent(lambda asked: asked.reset()))
    with pytest.raises(LaunchError, match="can't be seen"):
        launch(session, "true", language="bash", name="train")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 507])
def test_a_launch_that_was_refused_is_not_looked_for(session: Session, odd_agent: Start, status: int) -> None:
    agent = odd_agent(lambda asked: asked.reply({"error": "no"}, status))
    connect(session, agent)
    with pytest.raises(AgentRefused):
        launch(session, "true", language="bash")
    assert len(launch_bodies(agent)) == 1
    assert all(asked.method == "POST" for asked in agent.asked)


def test_the_catch_all_reply_to_a_launch(session: Session, odd_agent: Start) -> None:
    connect(session, odd_agent(lambda asked: asked.reply(CATCH_ALL)))
    with pytest.raises(NotSupported, match="POST /execute/background"):
        launch(session, "print(1)")


def test_what_a_launch_sends(session: Session, odd_agent: Start) -> None:
    agent = odd_agent(lambda asked: asked.reply({"process_id": "bg_1", "execution_id": "e", "status": "running"}))
    connect(session, agent)
    launch(session, "print(1)", name="n", env={"A": "1"}, timeout="90s", language="sh")
    (asked,) = agent.asked
    (body,) = launch_bodies(agent)
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert body["name"] == f"n [hopx:{asked.headers['Idempotency-Key']}]"
    assert (body["language"], body["timeout"], body["env"]) == ("bash", 90, {"A": "1"})
    assert "workdir" not in body


@pytest.mark.parametrize("body", [b'{"features": "\xff"}', b"[" * 100_000, b"[]", b'{"features": 5}', b"5", b"<html>"])
def test_an_agent_that_says_oddly_what_it_can_do(session: Session, odd_agent: Start, body: bytes) -> None:
    connect(session, odd_agent(lambda asked: asked.reply(body)))
    assert session.connection().agent.keeps_limits() is False


# ---------------------------------------------------------------- kill and output, where agents differ

KILL_FORMS: list[Callable[[Asked], bool]] = [
    lambda asked: asked.method == "DELETE" and asked.query == "process_id=bg_1" and not asked.body,
    lambda asked: asked.method == "DELETE" and json.loads(asked.body or b"null") == {"process_id": "bg_1"},
    lambda asked: asked.method == "POST" and asked.path == "/execute/kill" and b"bg_1" in asked.body,
    lambda asked: asked.method == "POST" and asked.path == "/execute/kill/bg_1",
]


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("otherwise", [400, 404, 405, 200])
def test_the_form_of_kill_that_the_agent_understands_is_found(
    session: Session, odd_agent: Start, form: int, otherwise: int
) -> None:
    dead: list[bool] = []

    def answer(asked: Asked) -> None:
        if asked.method == "GET":
            asked.reply(listing_of({"process_id": "bg_1", "name": "n", "status": "killed" if dead else "running"}))
        elif KILL_FORMS[form](asked):
            dead.append(True)
            asked.reply({"message": "ok", "process_id": "bg_1"})
        else:
            asked.reply(CATCH_ALL if otherwise == 200 else {"error": "what?"}, otherwise)

    connect(session, odd_agent(answer))
    (killed,) = session.connection().kill([ProcessId("bg_1")])
    assert (killed.result, killed.name) == ("killed", "n")


@pytest.mark.parametrize(
    ("before", "reply", "after", "result"),
    [
        ("running", 200, "killed", "killed"),
        ("running", 200, "terminated", "killed"),
        ("running", 200, "completed", "already finished"),
        ("running", 404, "completed", "already finished"),
        ("running", 200, "running", "still running"),
        ("completed", None, "completed", "already finished"),
        (None, None, None, "unknown id"),
        ("running", 200, None, "killed"),
        ("running", 404, None, "unknown id"),
    ],
)
def test_the_four_answers_to_a_kill(
    session: Session,
    odd_agent: Start,
    monkeypatch: pytest.MonkeyPatch,
    before: str | None,
    reply: int | None,
    after: str | None,
    result: str,
) -> None:
    monkeypatch.setattr(killing, "KILL_SEEN_WITHIN", 0.5)
    asked_to: list[Asked] = []

    def answer(asked: Asked) -> None:
        if asked.method == "GET":
            status = after if asked_to else before
            asked.reply(listing_of(*([{"process_id": "bg_1", "status": status}] if status else [])))
        else:
            asked_to.append(asked)
            asked.reply({"error": "gone", "code": "PROCESS_NOT_FOUND", "process_id": "bg_1"}, reply or 500)

    connect(session, odd_agent(answer))
    (killed,) = session.connection().kill([ProcessId("bg_1")])
    assert killed.result == result


def test_of_three_processes_with_one_id_the_one_that_runs_is_killed(session: Session, odd_agent: Start) -> None:
    killed: list[Asked] = []

    def answer(asked: Asked) -> None:
        if asked.method != "GET":
            killed.append(asked)
        going = "killed" if killed else "running"
        asked.reply(
            listing_of(*({"process_id": "bg_1", "status": status} for status in ("completed", going, "failed")))
        )

    connect(session, odd_agent(answer))
    session.connection().kill([ProcessId("bg_1")])
    assert len(killed) == 1


def test_an_agent_that_can_not_kill(session: Session, odd_agent: Start) -> None:
    def answer(asked: Asked) -> None:
        is_list = asked.method == "GET"
        asked.reply(listing_of({"process_id": "bg_1", "status": "running"}) if is_list else CATCH_ALL)

    connect(session, odd_agent(answer))
    with pytest.raises(NotSupported, match="kill"):
        session.connection().kill([ProcessId("bg_1")])


@pytest.mark.parametrize("refusal", [404, 405, 200])
def test_output_from_the_listing_of_an_agent_that_does_not_serve_it(
    session: Session, odd_agent: Start, refusal: int
) -> None:
    def answer(asked: Asked) -> None:
        if asked.path == "/execute/processes":
            asked.reply(
                listing_of({"process_id": "bg_1", "status": "completed", "stdout": "all of it\n", "stderr": ""})
            )
        else:
            asked.reply(CATCH_ALL if refusal == 200 else {"error": "no route"}, refusal)

    agent = odd_agent(answer)
    connect(session, agent)
    process_id = ProcessId("bg_1")
    assert session.connection().outputs.read(process_id, "stdout").text == "all of it\n"
    assert session.connection().outputs.read(process_id, "stdout", tail=3).text == "it\n"
    assert session.connection().outputs.read(process_id, "stdout", tail=3).left_out == 7
    assert list(session.connection().outputs.follow(process_id, ("stdout",))) == [("stdout", "all of it\n")]
    assert sum(asked.path.endswith("/stdout") for asked in agent.asked) == 1, "it is asked for only once"


def test_an_agent_that_reports_no_output(session: Session, odd_agent: Start) -> None:
    def answer(asked: Asked) -> None:
        asked.reply(listing_of({"process_id": "bg_1"}) if asked.path == "/execute/processes" else CATCH_ALL)

    connect(session, odd_agent(answer))
    with pytest.raises(NotSupported, match="does not report the stdout"):
        session.connection().outputs.read(ProcessId("bg_1"), "stdout")


# ---------------------------------------------------------------- connecting


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://10.0.0.1:8080", "http://127.0.0.1.evil.example", "http://[::2]"]
)
def test_a_token_never_travels_unencrypted(session: Session, url: str) -> None:
    with pytest.raises(InsecureConnection, match="unencrypted"):
        connect_to(session, url, token=TOKEN)


@pytest.mark.parametrize(
    "url", ["ftp://host", "https://", "https://user:pw@host", "https://host?x=1", "https://host:port"]
)
def test_urls_that_are_none(session: Session, url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        connect_to(session, url)


def test_connecting_asks_at_once_and_keeps_no_connection_that_failed(session: Session, odd_agent: Start) -> None:
    agent = odd_agent(lambda asked: asked.reply({"error": "no"}, 401))
    with pytest.raises(Unauthorized):
        connect_to(session, agent.url, name="odd", token=TOKEN)
    assert session.connections == {}
    assert session.current == "local"


def test_connections_have_names(session: Session, odd_agent: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = odd_agent(lambda asked: asked.reply(listing_of()))
    monkeypatch.setenv("HOPX_AGENT_TOKEN", TOKEN)
    assert connect_to(session, agent.url, name="gpu").name == "gpu"
    assert agent.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert session.current == "gpu"
    assert connect_to(session, agent.url).name == agent.url.removeprefix("http://")
    assert connect_to(session, "gpu").name == "gpu"
    with pytest.raises(ValueError, match="taken"):
        connect_to(session, "https://elsewhere.example", name="gpu")
    with pytest.raises(HopxError, match="did you mean 'gpu'"):
        connect_to(session, "gpo")
    assert TOKEN not in repr(session.connections)


def test_connecting_again_with_a_new_token_keeps_the_connection(session: Session, odd_agent: Start) -> None:
    def answer(asked: Asked) -> None:
        asked.reply(listing_of()) if asked.headers["Authorization"] != "Bearer bad" else asked.reply(
            {"error": "no"}, 401
        )

    agent = odd_agent(answer)
    first = connect_to(session, agent.url, name="gpu", token="one")
    assert connect_to(session, agent.url, name="gpu", token="two") is first
    with pytest.raises(Unauthorized):
        connect_to(session, agent.url, name="gpu", token="bad")
    session.connection().listing()
    assert agent.asked[-1].headers["Authorization"] == "Bearer two"


def test_a_token_with_a_line_end_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="token"):
        connect_to(session, "https://example.com", token="abc\n")


def test_agent_errors_have_one_base() -> None:
    assert all(issubclass(kind, AgentError) for kind in (AgentUnreachable, AgentRefused, BadReply, NotSupported))
