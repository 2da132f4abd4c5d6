"""That somebody is told of runs, whatever happens meanwhile: on the desktop, and by a URL of apprise."""

import asyncio
import os
import re
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopx_magics.local_agent import outbox
from hopx_magics.local_agent.family import Orphans
from hopx_magics.local_agent.notice_texts import Text
from hopx_magics.local_agent.outbox import Outbox, Parcel
from tests.standins.server import Asked
from tests.waiting import DEADLINE, wait_until

from .conftest import Agent, StartAgent, refused
from .receivers import SOON, Receiver, StartReceiver

SECRET = "url-SECRET-1"


def by(receiver: Receiver, *when: str, **more: Any) -> dict[str, Any]:
    """What a launch says, so that the receiver is told."""
    return {"notify": {"when": when or ["end"], "places": [f"json://{receiver.url[7:]}/{SECRET}"], **more}}


def told(receiver: Receiver, times: int = 1) -> list[tuple[str, str, str]]:
    """The notices, as soon as there are so many: kind, title and body of each."""
    return [_notice(call) for call in receiver.called(times)]


def _notice(call: Asked) -> tuple[str, str, str]:
    kind, title, body = (call.content[name] for name in ("type", "title", "message"))
    return (kind, title, body) if title else (kind, body, "")


def all_told(agent: Agent) -> None:
    """Returns when nothing is to be told any more."""
    wait_until(lambda: not kept(agent), "all is told")


def kept(agent: Agent) -> list[Path]:
    """The files with what is still to be told."""
    return [path for name in ("notices", "outbox") for path in (agent.folder / name).iterdir()]


def failed_once(agent: Agent) -> None:
    wait_until(lambda: "did not arrive" in agent.log.read_text(), "one try was in vain")


@pytest.fixture
def soon(start_agent: StartAgent) -> Iterator[Agent]:
    return start_agent("--max-running", "20", env=SOON)


# ---------------------------------------------------------------- what is told, and when


def test_the_end_of_a_run(soon: Agent, receiver: Receiver) -> None:
    code = "print('loss: 0.5 acc: 0.9\\nloss: 0.25')\nraise ValueError('all <b>bad</b>\\x1b[31m')"
    given = {"lr": "0.1", "seed": "2"}
    process_id = soon.launch(code, "python", name="fit [hopx:0123456789abcdef]", **by(receiver, given=given))
    row = soon.ended(process_id)
    ((kind, title, body),) = told(receiver)
    assert re.fullmatch(r"fit  lr=0\.1 seed=2 failed after [\d.]+ s, exit 1", title)
    assert (kind, body) == ("failure", "ValueError: all <b>bad</b>\nloss 0.25  acc 0.9")
    all_told(soon)
    assert "notice" not in row | soon.row(process_id)


def test_failures_alone_and_not_what_is_tried_again(soon: Agent, receiver: Receiver, tmp_path: Path) -> None:
    soon.ended(soon.launch("true", name="good", **by(receiver, "failure")))
    again = f"[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; exit 1; }}"
    soon.ended(soon.launch(again, name="again", retries=1, **by(receiver, "end")))
    soon.ended(soon.launch("exit 3", name="bad", **by(receiver, "failure")))
    titles = {title.split(" after")[0].split(" in ")[0] for _, title, _ in told(receiver, 2)}
    assert titles == {"bad failed", "again completed"}
    all_told(soon)
    assert len(receiver.asked) == 2


def test_a_bound_is_told_of_at_once_and_once(soon: Agent, receiver: Receiver) -> None:
    process_id = soon.launch("echo loss: 12; echo loss: 13; sleep 1000", name="fit", **by(receiver, "loss>10", "acc>1"))
    ((kind, title, body),) = told(receiver)
    assert (kind, title.split(" after")[0], body) == ("info", "fit loss>10: loss was 12", "loss 13")
    soon.kill(process_id)
    all_told(soon)
    soon.ended(soon.launch("printf 'acc: 3'", **by(receiver, "acc>1")))  # no line, and no time to look at it
    assert told(receiver, 2)[1][1].endswith("acc>1: acc was 3")
    all_told(soon)
    assert len(receiver.asked) == 2


def test_a_sweep_has_one_notice(soon: Agent, receiver: Receiver) -> None:
    ids = [
        soon.launch(f"exit $(( {x} > 4 ))", sweep="s1", name="fit", **by(receiver, of=10, given={"x": str(x)}))
        for x in range(10)
    ]
    for process_id in ids:
        soon.ended(process_id)
    ((kind, title, body),) = told(receiver)
    assert (kind, title.split(" in ")[0]) == ("failure", "fit: 5 completed, 5 failed")
    *failures, more = body.split("\n")
    assert len(failures) == 3
    assert {line.split(" after")[0] for line in failures} < {f"x={x} failed" for x in range(5, 10)}
    assert more == "and 2 more failed"
    all_told(soon)
    assert len(receiver.asked) == 1


def test_few_failures_of_a_sweep_are_told_of_the_others_summed(soon: Agent, receiver: Receiver) -> None:
    wanted = by(receiver, "failure", of=8)
    for process_id in [soon.launch("exit 1", sweep="s1", name="fit", **wanted) for _ in range(8)]:
        soon.ended(process_id)
    titles = [title.split(" after")[0].split(" in ")[0] for _, title, _ in told(receiver, 4)]
    assert sorted(titles) == ["fit failed", "fit failed", "fit failed", "fit: 8 failed"]
    all_told(soon)
    assert len(receiver.asked) == 4


def test_a_sweep_whose_launching_was_interrupted_has_an_end(soon: Agent, receiver: Receiver) -> None:
    for process_id in [soon.launch("true", sweep="s1", name="fit", **by(receiver, of=100)) for _ in range(2)]:
        soon.ended(process_id)
    assert told(receiver)[0][1].startswith("fit: 2 completed in ")
    all_told(soon)


# ---------------------------------------------------------------- whatever happens


def test_the_agent_is_killed_between_the_end_and_the_notice(
    start_agent: StartAgent, start_receiver: StartReceiver
) -> None:
    first, receiver = start_agent(env=SOON), start_receiver()
    process_id = first.launch("exit 3", name="fit", **by(receiver))
    failed_once(first)
    not_yet = "not delivered by json://… yet: there is no connection"
    wait_until(lambda: first.row(process_id).get("notice") == not_yet, "it is in the row")
    assert first.row(process_id)["status"] == "failed"
    first.end(signal.SIGKILL)
    receiver.open()
    second = start_agent(env=SOON)
    assert told(receiver)[0][1].startswith("fit failed after")
    all_told(second)
    wait_until(lambda: "notice" not in second.row(process_id), "nothing is to be said of it any more")
    second.end()
    assert "notice" not in start_agent(env=SOON).row(process_id)


def test_runs_of_a_sweep_end_before_during_and_after_an_agents_death(
    start_agent: StartAgent, receiver: Receiver, tmp_path: Path
) -> None:
    first = start_agent(env=SOON)
    for gate in ("early", "now", "late"):
        os.mkfifo(tmp_path / gate)
    gated = [f"read x < {tmp_path}/{gate}; exit $x" for gate in ("early", "now", "late")]
    ids = [first.launch(code, sweep="s1", name="fit", **by(receiver, of=3)) for code in gated]
    pids = [first.running(process_id)["pid"] for process_id in ids]
    (tmp_path / "early").write_text("0\n")
    first.ended(ids[0])
    first.end(signal.SIGKILL)
    (tmp_path / "now").write_text("1\n")
    wait_until(lambda: not Path(f"/proc/{pids[1]}").exists(), "it has ended")
    second = start_agent(env=SOON)
    (tmp_path / "late").write_text("1\n")
    assert told(receiver)[0][1].startswith("fit: 1 completed, 2 failed in ")
    all_told(second)
    assert len(receiver.asked) == 1


def test_a_service_that_refuses(soon: Agent, start_receiver: StartReceiver) -> None:
    receiver = start_receiver(403, 403).open()
    process_id = soon.launch("true", **by(receiver))
    receiver.called(3)
    all_told(soon)
    assert soon.log.read_text().count("did not arrive: status 403; it is tried again") == 1
    assert soon.row(process_id)["status"] == "completed"


def test_a_service_that_hangs_holds_nothing_up(soon: Agent, receiver: Receiver) -> None:
    receiver.answers.clear()
    ids = [soon.launch("true", **by(receiver)) for _ in range(outbox.AT_ONCE + 1)]
    wait_until(lambda: receiver.at_once >= outbox.AT_ONCE, "as many as may be are under way")
    assert soon.ended(soon.launch("echo on"))["stdout"] == "on\n"
    receiver.answers.set()
    receiver.called(len(ids))
    all_told(soon)


def test_without_apprise_that_is_said(start_agent: StartAgent, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError")
    agent = start_agent(env={**SOON, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"})
    process_id = agent.launch("true", **by(receiver))
    failed_once(agent)
    wait_until(lambda: "pip install 'hopx_magics[notify]'" in agent.row(process_id).get("notice", ""), "it is said")


@pytest.mark.skipif(sys.platform == "darwin", reason="it has another program for that")
def test_the_desktop(start_agent: StartAgent, tmp_path: Path) -> None:
    program, shown = tmp_path / "bin" / "notify-send", tmp_path / "shown"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$DISPLAY" "$@" > {shown}.new; mv {shown}.new {shown}\n')
    program.chmod(0o755)
    agent = start_agent(env={**SOON, "PATH": f"{program.parent}:{os.environ['PATH']}"})
    surroundings = {"PATH": os.environ["PATH"], "DISPLAY": ":7", "OTHER": "x"}
    wanted = {"when": ["failure"], "places": ["desktop"]}
    code = "echo '<b>&x' >&2; exit 3"
    agent.launch(code, name="-fit", notify=wanted, environment=surroundings)
    display, app, dashes, title, *body = wait_until(lambda: shown.exists() and shown.read_text(), "").splitlines()
    assert (display, app, dashes, body) == (":7", "--app-name=hopx_magics", "--", ["&lt;b&gt;&amp;x"])
    assert title.startswith("-fit failed after ")
    all_told(agent)


def undelivered(folder: Path, url: str, *, age: float) -> list[str | None]:
    """What is noted of a notice that is so many seconds old, until it has arrived or was given up."""
    notes: list[str | None] = []

    async def run() -> None:
        box = Outbox(folder, 0.01, Orphans(), lambda process_id, note: notes.append(note))
        at = time.time_ns() - int(age * 1e9)
        parcel = Parcel(process_id="proc_1", place=url, environ={}, at=at, **Text("title", "", "info")._asdict())
        (folder / "proc_1.end.0.json").write_bytes(msgspec.json.encode(parcel))
        (folder / "half.json").write_text('{"place": "jso')
        box.begin()
        async with asyncio.timeout(DEADLINE):
            while box.busy:
                await asyncio.sleep(0.01)

    asyncio.run(run())
    assert list(folder.iterdir()) == []
    return notes


@pytest.mark.usefixtures("_nobody_reaps")
def test_it_is_given_up_after_a_day(tmp_path: Path, start_receiver: StartReceiver) -> None:
    url = f"json://{start_receiver().url[7:]}/x"
    assert undelivered(tmp_path / "box", url, age=25 * 3600) == ["not delivered by json://…: there is no connection"]


@pytest.mark.skipif(sys.platform == "darwin", reason="it has another program for that")
@pytest.mark.usefixtures("_nobody_reaps")
def test_a_desktop_that_is_gone_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("notify-send") is None
    (note,) = undelivered(tmp_path / "box", "desktop", age=3600)
    assert note == "not delivered by desktop: No such file or directory"


# ---------------------------------------------------------------- from whom it is kept


def test_secrets_are_in_private_files_and_nowhere_else(soon: Agent, start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    code = "env; cat /proc/$PPID/environ /proc/$PPID/cmdline"
    going = soon.launch(f"{code}; sleep 1000", sweep="s1", **by(receiver, of=2))
    ended = soon.launch(code, **by(receiver))
    failed_once(soon)
    notice = "not delivered by json://… yet: there is no connection"
    wait_until(lambda: soon.row(ended).get("notice") == notice, "it is in the row")
    texts = [soon.http.get(path).text for path in ("/execute/processes", "/info", "/health")]
    assert "SECRET" not in repr(texts)
    files = [path for path in soon.folder.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert sorted(files) == sorted(kept(soon))
    assert {path.parent.name for path in files} == {"notices", "outbox"}
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    receiver.open().called()
    soon.kill(going)
    all_told(soon)
    assert "SECRET" not in soon.log.read_text()


@pytest.mark.parametrize(
    "wanted",
    [
        {"when": ["end"], "places": []},
        {"when": ["sometimes"], "places": ["desktop"]},
        {"when": ["end"], "places": ["SECRET"]},
        {"when": ["end"], "places": ["json://SECRET/\n"]},
        {"when": ["end"], "places": ["desktop"], "of": 0},
        {"when": ["loss>10"] * 21, "places": ["desktop"]},
    ],
)
def test_what_is_refused(agent: Agent, wanted: dict[str, Any]) -> None:
    reply = agent.post("/execute/background", code="pass", notify=wanted)
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert "notify" in reply.json()["error"]
    assert "SECRET/" not in reply.text
    assert not list((agent.folder / "notices").iterdir())
