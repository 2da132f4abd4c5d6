"""That a callback arrives, whatever happens meanwhile."""

import asyncio
import os
import signal
import ssl
import stat
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from hopx_magics.callbacks import verify_callback
from hopx_magics.local_agent import delivering
from hopx_magics.local_agent.delivering import Callbacks, Target
from hopx_magics.local_agent.endings import conclude
from hopx_magics.local_agent.store import Store
from tests.waiting import DEADLINE, wait_until

from .conftest import StartAgent, fill, launched, refused, start_program
from .receivers import SECRET, SOON, Receiver, StartReceiver, failed_once, launch, pending, was_told

# ---------------------------------------------------------------- that it arrives


def test_a_receiver_that_is_down_and_comes_up(start_agent: StartAgent, start_receiver: StartReceiver) -> None:
    agent, receiver = start_agent(env=SOON), start_receiver()
    process_id = launch(agent, receiver.url, callback_signature_secret=SECRET)
    failed_once(agent, process_id)
    assert pending(agent) == [process_id]
    (call,) = receiver.open().called()
    assert verify_callback(call.body, dict(call.headers.items()), SECRET)  # type: ignore[attr-defined]
    was_told(agent, *pending(agent))


def test_a_receiver_that_does_not_accept_it_at_once(start_agent: StartAgent, start_receiver: StartReceiver) -> None:
    agent, receiver = start_agent(env=SOON), start_receiver(500, 404, 302, 307, 429).open()
    launch(agent, receiver.url)
    calls = receiver.called(6)
    assert {call.path for call in calls} == {"/"}  # it goes nowhere else
    assert len({call.body for call in calls}) == 1
    was_told(agent, *pending(agent))
    assert len(receiver.asked) == 6


def test_the_agent_is_killed_between_the_end_and_the_callback(
    start_agent: StartAgent, start_receiver: StartReceiver
) -> None:
    first, receiver = start_agent(env=SOON), start_receiver()
    process_id = launch(first, receiver.url, callback_signature_secret=SECRET, callback_headers={"X-Mine": "1"})
    failed_once(first, process_id)
    assert first.ended(process_id)["status"] == "completed"
    first.end(signal.SIGKILL)
    assert pending(first) == [process_id]
    receiver.open()
    second = start_agent(env=SOON)
    (call,) = receiver.called()
    assert (call.content["process_id"], call.content["stdout"]) == (process_id, "out\n")
    assert call.headers["X-Mine"] == "1"
    assert verify_callback(call.body, dict(call.headers.items()), SECRET)  # type: ignore[attr-defined]
    was_told(second, process_id)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_while_there_is_no_agent(
    start_agent: StartAgent, receiver: Receiver, tmp_path: Path, number: signal.Signals
) -> None:
    first = start_agent(env=SOON)
    os.mkfifo(tmp_path / "gate")
    process_id = launch(first, receiver.url, f"read x < {tmp_path}/gate; exit $x")
    pid = first.running(process_id)["pid"]
    first.end(number)
    (tmp_path / "gate").write_text("7\n")
    wait_until(lambda: not psutil.pid_exists(pid), "it has ended")
    start_agent("--keep-finished", "1", env=SOON)
    (call,) = receiver.called()
    assert (call.content["process_id"], call.content["exit_code"]) == (process_id, 7)


def test_the_agent_is_killed_during_the_callback(start_agent: StartAgent, start_receiver: StartReceiver) -> None:
    first, receiver = start_agent(env=SOON), start_receiver().open()
    receiver.answers.clear()
    process_id = launch(first, receiver.url)
    receiver.called()
    first.end(signal.SIGKILL)
    receiver.answers.set()
    second = start_agent(env=SOON)
    calls = receiver.called(2)  # nobody can know whether the first one counted
    assert {call.content["process_id"] for call in calls} == {process_id}
    assert calls[0].body == calls[1].body
    was_told(second, process_id)


def test_it_is_not_forgotten_before_it_was_told(start_agent: StartAgent, start_receiver: StartReceiver) -> None:
    agent, receiver = start_agent("--keep-finished", "1", env={**SOON, "HOPX_HOLD_SECONDS": "0"}), start_receiver()
    ids = [launch(agent, receiver.url, f"echo {i}") for i in range(4)]
    for process_id in ids:
        agent.ended(process_id)
    for _ in range(3):
        other = agent.launch("true")
        agent.ended(other)
    assert [row["process_id"] for row in agent.listing()] == [*ids, other]
    receiver.open()
    assert sorted(call.content["stdout"] for call in receiver.called(4)) == ["0\n", "1\n", "2\n", "3\n"]
    was_told(agent, *pending(agent))
    agent.ended(agent.launch("true"))
    assert len(agent.listing()) == 1


def test_the_agent_stays_until_it_was_told(start_agent: StartAgent, start_receiver: StartReceiver) -> None:
    first, receiver = start_agent(env=SOON), start_receiver(500, 500, 500, 500, 500)
    failed_once(first, launch(first, receiver.url))
    first.end()
    receiver.open()
    retries = {"HOPX_CALLBACK_RETRY_SECONDS": "0.1"}  # 1.5 s at least
    program = start_program(first.folder, "--idle-seconds", "0.2", log=first.log, env=retries)
    receiver.called(6)
    assert program.wait(DEADLINE) == 0
    assert pending(first) == []


def test_many_at_once_and_never_too_many(start_agent: StartAgent, start_receiver: StartReceiver) -> None:
    agent, receiver = start_agent("--max-running", "20", env=SOON), start_receiver().open()
    receiver.answers.clear()
    ids = [launch(agent, receiver.url, "true") for _ in range(60)]
    for process_id in ids:
        agent.ended(process_id)
    wait_until(lambda: receiver.at_once == delivering.AT_ONCE, "as many as may be are under way")
    receiver.answers.set()
    assert sorted(call.content["process_id"] for call in receiver.called(60)) == sorted(ids)
    assert receiver.most_at_once == delivering.AT_ONCE
    was_told(agent, *pending(agent))


def test_https(start_agent: StartAgent, start_receiver: StartReceiver, certificate: Path, tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    receiver = start_receiver(tls=tls).open()
    stranger = start_agent(folder=tmp_path / "stranger", env=SOON)
    failed_once(stranger, launch(stranger, receiver.url))
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.log.read_text()
    assert receiver.asked == []
    stranger.end()
    friend = start_agent(env={**SOON, "SSL_CERT_FILE": f"{certificate}.crt"})
    process_id = launch(friend, receiver.url)
    assert receiver.called()[0].content["process_id"] == process_id


# ---------------------------------------------------------------- what is kept, and from whom


def test_secrets_are_in_one_private_file_and_nowhere_else(
    start_agent: StartAgent, start_receiver: StartReceiver
) -> None:
    agent, receiver = start_agent(env=SOON), start_receiver()
    process_id = launch(
        agent,
        f"{receiver.url}/?key=url-SECRET-2",
        "env; cat /proc/$PPID/environ; cat /proc/$PPID/cmdline",
        callback_headers={"Authorization": "hdr-SECRET-3"},
        callback_signature_secret=SECRET,
    )
    row = agent.ended(process_id)
    failed_once(agent, process_id)
    told = [agent.http.get(path).text for path in ("/execute/processes", "/info", "/health")]
    assert "SECRET" not in repr((row, told))
    (file,) = (agent.folder / "callbacks").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    holders = [path for path in agent.folder.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert holders == [file]
    receiver.open().called()
    wait_until(lambda: not file.exists(), "it is gone")
    agent.end()
    assert "SECRET" not in agent.log.read_text()
    assert "SECRET" not in repr(Target(url="SECRET", headers={"SECRET": "SECRET"}, secret="SECRET"))


def test_what_belongs_to_no_process_is_cleared_away(start_agent: StartAgent) -> None:
    first = start_agent()
    first.end()
    folder = first.folder / "callbacks"
    (folder / "proc_unknown.json").write_bytes(msgspec.json.encode(Target(url="http://127.0.0.1:9/")))
    (folder / "proc_half.json").write_text('{"url": "htt')
    assert pending(start_agent()) == []


def test_a_full_disk(small_disk: Path, start_agent: StartAgent, start_receiver: StartReceiver) -> None:
    agent, receiver = start_agent(folder=small_disk / "agent", env=SOON), start_receiver()
    process_id = launch(agent, receiver.url, "echo kept")
    failed_once(agent, process_id)
    filler = small_disk / "filler"
    fill(filler)
    for room in (0, 20_000):  # first for nothing, and then for the callback, but not for the process
        os.truncate(filler, filler.stat().st_size - room)
        reply = agent.post("/execute/async", code="x" * 100_000, callback_url=receiver.url)
        assert refused(reply) == (507, "INSUFFICIENT_STORAGE")
        assert pending(agent) == [process_id]
    assert len(agent.listing()) == 1
    (call,) = receiver.open().called()
    assert call.content["stdout"] == "kept\n"
    was_told(agent, *pending(agent))


# ---------------------------------------------------------------- bounds


async def delivered(folder: Path, url: str, *, age: float) -> Callbacks:
    """Delivers the callback of a process that ended `age` seconds ago, until that succeeds or is given up."""
    record = launched()
    made = Store(folder / "processes").create(record, {}, None, "")
    made._write("start", "99999999 99999999")
    made.write_exit(0)
    ended = msgspec.structs.replace(conclude(record, made, 10**9), ended=time.time_ns() - int(age * 1e9))
    told = Callbacks(folder / "callbacks", 0.01)
    told.add(record.process_id, Target(url=url))
    told.deliver(ended, made)
    async with asyncio.timeout(DEADLINE):
        while told.busy:
            await asyncio.sleep(0.01)
    return told


def test_it_is_given_up_after_a_day(tmp_path: Path, start_receiver: StartReceiver) -> None:
    told = asyncio.run(delivered(tmp_path, start_receiver().url, age=25 * 3600))
    assert told.process_ids == list((tmp_path / "callbacks").iterdir()) == []


def test_it_is_tried_once_even_after_a_day(tmp_path: Path, receiver: Receiver) -> None:
    asyncio.run(delivered(tmp_path, receiver.url, age=25 * 3600))
    assert len(receiver.asked) == 1


def test_a_receiver_that_never_answers(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delivering, "TRY_TIME", 0.3)
    receiver.answers.clear()
    asyncio.run(delivered(tmp_path, receiver.url, age=25 * 3600))
    assert "no answer within 0.3 s" in caplog.text


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200", b"x" * 200_000])
def test_a_receiver_that_speaks_no_http(tmp_path: Path, answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> Callbacks:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await delivered(tmp_path, f"http://127.0.0.1:{port}/", age=25 * 3600)

    assert asyncio.run(run()).process_ids == []
    assert "is given up: " in caplog.text
