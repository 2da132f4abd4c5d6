"""Launches with a callback: what is refused, and what arrives."""

import time
from typing import Any

import httpx
import msgspec
import pytest

from hopx_magics.callbacks import verify_callback
from tests.waiting import DEADLINE

from .conftest import Agent, StartAgent, refused
from .receivers import SECRET, Receiver, launch, pending, was_told


def test_a_callback(agent: Agent, receiver: Receiver) -> None:
    begun = int(time.time())
    url = f"{receiver.url}/hook?token=url-SECRET-2"
    reply = agent.post(
        "/execute/async",
        code="import os; print('out', os.environ['X']); print('err', file=__import__('sys').stderr)",
        callback_url=url,
        callback_headers={"Authorization": "Bearer hdr-SECRET-3", "X-Mine": "1"},
        callback_signature_secret=SECRET,
        env={"X": "y"},
        name="told",
    ).json()
    row = agent.ended(reply["process_id"])
    assert reply == {
        "execution_id": row["execution_id"],
        "process_id": row["process_id"],
        "status": "queued",
        "callback_url": url,
    }
    (call,) = receiver.called()
    was_told(agent, row["process_id"])
    assert (call.path, call.query) == ("/hook", "token=url-SECRET-2")
    assert call.content == {
        "execution_id": row["execution_id"],
        "process_id": row["process_id"],
        "status": "completed",
        "success": True,
        "stdout": "out y\n",
        "stderr": "err\n",
        "exit_code": 0,
        "execution_time": row["execution_time"],
        "timestamp": row["completed_at"],
        "error": None,
    }
    assert row["name"] == "told"
    assert call.headers["Content-Type"] == "application/json"
    assert (call.headers["Authorization"], call.headers["X-Mine"]) == ("Bearer hdr-SECRET-3", "1")
    assert begun <= int(call.headers["X-HopX-Timestamp"]) <= time.time()
    assert verify_callback(call.body, dict(call.headers.items()), SECRET)  # type: ignore[attr-defined]
    assert not verify_callback(call.body + b" ", dict(call.headers.items()), SECRET)  # type: ignore[attr-defined]
    assert len(receiver.asked) == 1


def test_without_a_secret_there_is_no_signature(agent: Agent, receiver: Receiver) -> None:
    launch(agent, receiver.url, callback_signature_secret="")
    (call,) = receiver.called()
    assert call.path == "/"
    assert call.headers["X-HopX-Timestamp"]
    assert call.headers["X-HopX-Signature"] is None


@pytest.mark.parametrize(
    ("code", "timeout", "kill", "told"),
    [
        ("exit 0", None, False, ("completed", True, 0, None)),
        ("exit 3", None, False, ("failed", False, 3, None)),
        ("echo timed out after 5 s >&2; exit 1", None, False, ("failed", False, 1, None)),
        ("sleep 1000", None, True, ("killed", False, 143, None)),
        ("sleep 1000", 0.2, False, ("timeout", False, 143, "timed out after 0.2 s")),
    ],
)
def test_how_it_ended(
    agent: Agent, receiver: Receiver, code: str, timeout: float | None, kill: bool, told: tuple[Any, ...]
) -> None:
    process_id = launch(agent, receiver.url, code, timeout=timeout)
    if kill:
        agent.running(process_id)
        agent.kill(process_id)
    content = receiver.called()[0].content
    assert tuple(content[key] for key in ("status", "success", "exit_code", "error")) == told


def test_one_that_is_killed_in_the_queue_and_one_that_can_not_start(
    start_agent: StartAgent, receiver: Receiver
) -> None:
    agent = start_agent("--max-running", "1")
    first = agent.launch("sleep 1000")
    queued = launch(agent, receiver.url)
    lost = launch(agent, receiver.url, workdir="/workspace")
    agent.kill(queued)
    content = receiver.called()[0].content
    assert (content["status"], content["exit_code"], content["execution_time"]) == ("killed", None, None)
    (agent.folder / "workspace").rmdir()
    agent.kill(first)
    content = receiver.called(2)[1].content
    assert (content["process_id"], content["status"], content["exit_code"]) == (lost, "failed", 126)
    assert content["error"].startswith("could not start")


def test_the_ends_of_long_output(agent: Agent, receiver: Receiver) -> None:
    launch(agent, receiver.url, "head -c 3000000 /dev/zero | tr '\\0' x; echo end; echo short >&2")
    content = receiver.called()[0].content
    assert content["stdout"] == "x" * 999_996 + "end\n"
    assert content["stderr"] == "short\n"


def test_it_has_an_hour_unless_told_otherwise(agent: Agent, receiver: Receiver) -> None:
    for fields, timeout in (({}, 3600.0), ({"timeout": 7}, 7.0), ({"timeout": 0}, None)):
        process_id = launch(agent, receiver.url, **fields)
        was_told(agent, process_id)
        record = msgspec.json.decode((agent.process_folder(process_id) / "launch.json").read_bytes())
        assert record["timeout"] == timeout


def test_the_same_launch_again(agent: Agent, receiver: Receiver) -> None:
    body = {"code": "1", "callback_url": receiver.url}
    headers = {"Idempotency-Key": "the-same"}
    replies = [agent.http.post("/execute/async", json=body, headers=headers).json() for _ in range(3)]
    assert replies[0] == replies[1] == replies[2]
    was_told(agent, replies[0]["process_id"])
    agent.http.post("/execute/async", json=body, headers=headers)
    assert replies[0]["process_id"] not in pending(agent)
    assert len(receiver.asked) == 1
    other = agent.http.post("/execute/async", json={**body, "code": "2"}, headers=headers)
    assert refused(other) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"callback_url": None}, "INVALID_REQUEST", "callback_url"),
        ({"callback_url": ""}, "MISSING_PARAMETER", "callback_url is required"),
        ({"callback_url": "ftp://host/x"}, "INVALID_REQUEST", "use the form https://HOST/PATH"),
        ({"callback_url": "host/x"}, "INVALID_REQUEST", "use the form https://HOST/PATH"),
        ({"callback_url": "https://"}, "INVALID_REQUEST", "use the form https://HOST/PATH"),
        ({"callback_url": "http://host:99999/"}, "INVALID_REQUEST", "callback_url"),
        ({"callback_url": "http://[::1/"}, "INVALID_REQUEST", "callback_url"),
        ({"callback_url": "http://host/a b"}, "INVALID_REQUEST", "callback_url"),
        ({"callback_url": "http://host/\r\nX: y"}, "INVALID_REQUEST", "callback_url"),
        ({"callback_url": "http://höst/"}, "INVALID_REQUEST", "encoded"),
        ({"callback_url": "http://user:pw@host/"}, "INVALID_REQUEST", "use a header"),
        ({"callback_url": "http://host/" + "x" * 9000}, "INVALID_REQUEST", "callback_url"),
        ({"callback_headers": {"X": "a\r\nY: b"}}, "INVALID_REQUEST", "header"),
        ({"callback_headers": {"a b": "c"}}, "INVALID_REQUEST", "header"),
        ({"callback_headers": {"": "c"}}, "INVALID_REQUEST", "header"),
        ({"callback_headers": {"X": "ä"}}, "INVALID_REQUEST", "header"),
        ({"callback_headers": {"content-Length": "5"}}, "INVALID_REQUEST", "content-length can't be chosen"),
        ({"callback_headers": {"X-HOPX-Signature": "5"}}, "INVALID_REQUEST", "X-HOPX-Signature can't be chosen"),
        ({"callback_headers": {"X": "y" * 9000}}, "INVALID_REQUEST", "longer than"),
        ({"callback_headers": {"X": 5}}, "INVALID_REQUEST", "callback_headers"),
        ({"callback_signature_secret": 5}, "INVALID_REQUEST", "callback_signature_secret"),
        ({"code": " "}, "MISSING_PARAMETER", "code is required"),
    ],
)
def test_what_is_refused(agent: Agent, fields: dict[str, Any], code: str, says: str) -> None:
    before, pending_before = len(agent.listing(tail=0)), pending(agent)
    reply = agent.post("/execute/async", **{"code": "1", "callback_url": "http://127.0.0.1:9/", **fields})
    assert refused(reply) == (400, code)
    assert says in reply.json()["error"]
    assert len(agent.listing(tail=0)) == before
    assert set(pending(agent)) <= set(pending_before)


def test_a_callback_url_is_required(agent: Agent) -> None:
    reply = agent.post("/execute/async", code="1")
    assert refused(reply) == (400, "MISSING_PARAMETER")
    assert "callback_url is required" in reply.json()["error"]


def test_async_needs_the_token(agent: Agent) -> None:
    reply = httpx.post(f"{agent.about.url}/execute/async", json={}, timeout=DEADLINE)
    assert refused(reply) == (401, "AUTHENTICATION_REQUIRED")
    assert refused(agent.http.get("/execute/async")) == (405, "METHOD_NOT_ALLOWED")
