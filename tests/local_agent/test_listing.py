"""The listing: tails, sizes, ETags, waiting, ranges of output."""

import os
from pathlib import Path

import httpx
import msgspec
import pytest

from hopx_magics import models
from hopx_magics.local_agent import outputs
from tests.waiting import DEADLINE, wait_until

from .conftest import LISTING, Agent, StartAgent, get, settled


def test_an_empty_listing(start_agent: StartAgent) -> None:
    reply = get(start_agent())
    assert reply.headers["content-type"] == "application/json"
    assert {**reply.json(), "timestamp": 0} == {"processes": [], "count": 0, "timestamp": 0}


class Strict(msgspec.Struct):
    """The listing for a decoder that knows no other fields than those of the model."""

    processes: list[models.Process]


def test_the_client_s_strict_decoder_takes_every_row(agent: Agent) -> None:
    ids = [agent.launch(code, name="x [hopx:0123456789abcdef]") for code in ("true", "exit 2", "sleep 1000")]
    agent.ended(ids[1])
    for body in (get(agent).content, get(agent, tail=5).content):
        assert {row.process_id for row in msgspec.json.decode(body, type=Strict).processes} >= set(ids)
    agent.kill(ids[2])


def test_tails_are_cut_between_characters(agent: Agent) -> None:
    process_id = agent.launch("printf 'abcäöü'; printf 'x\\377' >&2")
    agent.ended(process_id)
    for tail, stdout in ((0, ""), (1, ""), (2, "ü"), (3, "ü"), (5, "öü"), (9, "abcäöü"), (100, "abcäöü")):
        row = agent.row(process_id, tail=tail)
        assert (row["stdout"], row["stdout_bytes"], row["stderr_bytes"]) == (stdout, 9, 2)
    assert agent.row(process_id)["stderr"] == "x\ufffd"
    assert "stdout_bytes" not in agent.row(process_id)


def test_tails_of_long_and_of_growing_output(agent: Agent) -> None:
    long = agent.launch("for i in $(seq 2000); do echo line $i ä; done")
    growing = agent.launch("echo one; printf 'half of \\303'; sleep 1000")
    agent.wrote(growing, "half")
    agent.ended(long)
    assert agent.row(long, tail=13)["stdout"] == "line 2000 ä\n"
    assert agent.row(long, tail=13)["stdout_bytes"] == len(agent.row(long)["stdout"].encode())
    row = agent.row(growing, tail=8)
    assert (row["stdout"], row["stdout_bytes"]) == ("alf of ", 13)
    agent.kill(growing)


@pytest.mark.parametrize("tail", ["-1", "x", "", "1.5", "٣", "9" * 30])
def test_a_tail_that_is_none(agent: Agent, tail: str) -> None:
    reply = get(agent, tail=tail)
    assert (reply.status_code, reply.json()["code"]) == (400, "INVALID_REQUEST")
    assert "tail" in reply.json()["error"]


def test_very_long_output_is_cut_in_the_listing(agent: Agent) -> None:
    process_id = agent.launch("head -c 17000000 /dev/zero | tr '\\0' x; echo end")
    row = agent.ended(process_id)
    assert (len(row["stdout"]), row["stdout_bytes"], row["stdout"][-4:]) == (16_000_000, 17_000_004, "end\n")


def test_etag(agent: Agent) -> None:
    first = agent.launch("true")
    agent.ended(first)
    etag = settled(agent)
    assert etag.startswith('W/"')
    for form in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        reply = get(agent, form)
        assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", etag)
    assert get(agent, etag, tail=5).status_code == 200
    agent.launch("true")
    assert get(agent, etag).status_code == 200


def test_growing_output_is_a_change_and_time_is_none(agent: Agent, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    process_id = agent.launch(f"echo one; read x < {tmp_path}/gate; echo two; sleep 1000")
    agent.wrote(process_id, "one")
    etag = settled(agent)
    assert get(agent, etag).status_code == 304
    (tmp_path / "gate").write_text("\n")
    agent.wrote(process_id, "two")
    assert get(agent, etag).status_code == 200
    agent.kill(process_id)


def test_a_change_is_told_at_once(start_agent: StartAgent, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    agent = start_agent()
    waiting = agent.wait_for_change(get(agent).headers["etag"])
    process_id = agent.launch(f"read x < {tmp_path}/gate")
    reply = waiting.result()
    assert reply.status_code == 200
    assert reply.headers["preference-applied"] == "wait=60"
    assert reply.json()["processes"][0]["process_id"] == process_id

    agent.running(process_id)
    waiting = agent.wait_for_change(get(agent).headers["etag"])
    (tmp_path / "gate").write_text("\n")
    assert waiting.result().json()["processes"][0]["status"] == "completed"


def test_waiting_ends_with_304(start_agent: StartAgent) -> None:
    agent = start_agent()
    process_id = agent.launch("sleep 1000")
    agent.running(process_id)
    etag = settled(agent)
    reply = get(agent, etag, wait=0.1)
    assert (reply.status_code, reply.headers["etag"]) == (304, etag)


def test_output_is_told_while_it_grows(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent()
    os.mkfifo(tmp_path / "gate")
    process_id = agent.launch(f"read x < {tmp_path}/gate; echo two; sleep 1000")
    agent.running(process_id)
    waiting = agent.wait_for_change(get(agent).headers["etag"])
    (tmp_path / "gate").write_text("\n")
    assert waiting.result().json()["processes"][0]["stdout"] == "two\n"


def test_who_waits_and_leaves_is_forgotten(start_agent: StartAgent) -> None:
    agent = start_agent("--idle-seconds", "1")
    waiting = agent.wait_for_change(get(agent).headers["etag"], patience=0.1)
    with pytest.raises(httpx.ReadTimeout):
        waiting.result()
    assert agent.program.wait(DEADLINE) == 0  # it waits for nobody any more


def test_output_by_ranges(agent: Agent) -> None:
    process_id = agent.launch("printf 0123456789; printf '\\377\\000' >&2")
    agent.ended(process_id)
    path = f"{LISTING}/{process_id}/stdout"

    def part(span: str) -> tuple[int, bytes, str | None]:
        reply = agent.http.get(path, headers={"Range": span})
        return reply.status_code, reply.content, reply.headers.get("content-range")

    assert part("bytes=0-3") == (206, b"0123", "bytes 0-3/10")
    assert part("bytes=7-") == (206, b"789", "bytes 7-9/10")
    assert part("bytes=-2") == (206, b"89", "bytes 8-9/10")
    assert part("bytes=-99") == (206, b"0123456789", "bytes 0-9/10")
    assert part("bytes=8-99") == (206, b"89", "bytes 8-9/10")
    for ignored in ("bytes=5-2", "lines=1-2", "bytes=-", "bytes=0-1,3-4", "nonsense"):
        assert part(ignored) == (200, b"0123456789", None)
    for beyond in ("bytes=10-", "bytes=99-100", "bytes=-0"):
        status, body, content_range = part(beyond)
        assert (status, content_range) == (416, "bytes */10")
        assert b"RANGE_NOT_SATISFIABLE" in body
    whole = agent.http.get(path)
    assert (whole.headers["content-type"], whole.headers["accept-ranges"]) == ("application/octet-stream", "bytes")
    assert agent.http.get(f"{LISTING}/{process_id}/stderr").content == b"\xff\x00"
    head = agent.http.head(path)
    assert (head.headers["content-length"], head.content) == ("10", b"")


def test_output_that_grows_while_it_is_sent(agent: Agent) -> None:
    process_id = agent.launch("while :; do head -c 100000 /dev/zero; done")
    wait_until(lambda: agent.row(process_id, tail=0)["stdout_bytes"] > 5_000_000, "there is much")
    for _ in range(3):
        reply = agent.http.get(f"{LISTING}/{process_id}/stdout")
        assert len(reply.content) == int(reply.headers["content-length"])
    agent.kill(process_id)


def test_output_of_what_is_not_there(agent: Agent) -> None:
    reply = agent.http.get(f"{LISTING}/proc_nobody/stdout")
    assert (reply.status_code, reply.json()["code"]) == (404, "PROCESS_NOT_FOUND")
    process_id = agent.launch("true")
    assert agent.http.get(f"{LISTING}/{process_id}/launch.json").status_code == 404
    assert agent.http.get(f"{LISTING}/{process_id}/..%2f..%2fagent.json").status_code == 404


def test_output_of_a_queued_process_is_empty(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "1")
    agent.launch("sleep 1000")
    queued = agent.launch("true")
    assert agent.http.get(f"{LISTING}/{queued}/stdout").content == b""
    assert agent.http.get(f"{LISTING}/{queued}/stdout", headers={"Range": "bytes=0-"}).status_code == 416
    assert agent.row(queued, tail=5)["stdout"] == ""


@pytest.mark.parametrize(
    ("data", "limit", "text"),
    [
        (b"", 5, ""),
        (b"abc", 0, ""),
        ("aé".encode(), 1, ""),
        ("a€b".encode(), 3, "b"),
        (b"\x80\x80\x80\x80\x80", 4, "\ufffd" * 4),
        (b"a\xffb", 9, "a\ufffdb"),
    ],
)
def test_the_end_of_a_file(tmp_path: Path, data: bytes, limit: int, text: str) -> None:
    (tmp_path / "file").write_bytes(data)
    assert outputs.read_end(tmp_path / "file", limit) == (text, len(data), 0)


def test_the_last_line_is_added_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("no newline")
    for _ in range(2):
        outputs.add_last_line(path, "the end")
    assert path.read_text() == "no newline\nthe end\n"
    assert outputs.last_line(path) == "the end"
    outputs.add_last_line(tmp_path / "new", "only")
    assert (tmp_path / "new").read_text() == "only\n"
