"""Bounds: output limits, what is kept, memory, and a disk that is full."""

import os
import re
import shutil
import signal
from pathlib import Path

import msgspec
import psutil
import pytest

from hopx_magics.local_agent import limiting, outputs
from hopx_magics.local_agent.endings import conclude
from hopx_magics.local_agent.journal import Ended, Journal
from hopx_magics.local_agent.store import Store
from tests.waiting import wait_until

from .conftest import LISTING, Agent, StartAgent, fill, launched

NOTE = re.compile(r"\n\[output left out here, up to byte ([\d,]+): over the limit of 0\.1 MB\] *\n")


def as_number(text: str) -> int:
    return int(text.replace(",", ""))


def test_of_output_over_the_limit_head_and_tail_are_kept(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--output-limit-mb", "0.1")
    os.mkfifo(tmp_path / "gate")
    process_id = agent.launch(
        f"seq 1000000; echo the cause >&2; read x < {tmp_path}/gate; echo still here; seq 100000; echo last; exit 3"
    )
    row = wait_until(lambda: NOTE.search((r := agent.row(process_id))["stdout"]) and r, "it is cut while it runs")
    assert row["status"] == "running"
    (tmp_path / "gate").write_text("\n")
    row = agent.ended(process_id)
    size = sum(len(f"{number}\n") for number in [*range(1, 1_000_001), *range(1, 100_001)]) + len("still here\nlast\n")
    assert (row["status"], row["exit_code"], row["stderr"]) == ("failed", 3, "the cause\n")
    assert (agent.row(process_id, tail=100)["stdout_bytes"], len(row["stdout"])) == (
        size,
        pytest.approx(100_000, abs=5000),
    )
    head, left_out_to, tail = NOTE.split(row["stdout"])
    assert head.startswith("1\n2\n3\n")
    assert tail.endswith("99999\n100000\nlast\n")
    assert as_number(left_out_to) + len(tail) == size
    path = f"{LISTING}/{process_id}/stdout"
    assert agent.http.get(path).text == row["stdout"]
    begin, end = map(int, agent.http.get(path).headers["hopx-left-out"].split("-"))
    assert (begin, end) == (len(row["stdout"]) - len(tail), as_number(left_out_to))
    part = agent.http.get(path, headers={"Range": f"bytes={begin - 5}-{end + 4}"})
    assert (part.content[:5], part.content[-5:]) == (row["stdout"][begin - 5 : begin].encode(), tail[:5].encode())
    assert set(part.content[5:-5]) == {0}


def test_the_limit_is_one_of_the_disk(start_agent: StartAgent) -> None:
    """All the time: it writes no more before that takes no room."""
    agent = start_agent("--output-limit-mb", "1")
    code = """
for i in $(seq 20); do
    head -c 30000000 /dev/zero | tr '\\0' x
    until [ $(stat -c %b /dev/stdout -L) -lt 4000 ]; do sleep 0.01; done
done
echo end"""
    process_id = agent.launch(code)
    path = agent.process_folder(process_id) / "stdout"
    assert agent.ended(process_id)["status"] == "completed"
    assert path.stat().st_size == 600_000_004
    assert path.stat().st_blocks * 512 < 1_100_000
    assert agent.row(process_id, tail=4)["stdout"] == "end\n"


@pytest.mark.parametrize("makes_holes", [True, False])
def test_head_and_tail_are_kept_however_often_an_output_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, makes_holes: bool
) -> None:
    if not makes_holes:
        monkeypatch.setattr(limiting, "_punch_hole", lambda: lambda descriptor, begin, length: False)
    path, limit = tmp_path / "stdout", 200_000
    path.write_bytes(b"begin")
    for piece in (b"a" * 300_000, b"b" * 100, b"c" * 1_000_000, b"d" * 300_000, b"end"):
        with path.open("ab") as file:
            file.write(piece)
        limiting.cut(path, limit)
        assert path.stat().st_blocks * 512 <= limit + 17 * 4096
        text = outputs.read_end(path, 10_000_000).text
        assert text.startswith("begin" + "a" * 50_000)
        assert text.endswith(piece.decode()[-50_000:])
        assert text.count("[output left out here, up to byte ") == 1
        assert "\0" not in text


def test_what_is_left_out_takes_no_room_from_others(start_agent: StartAgent) -> None:
    agent = start_agent("--output-limit-mb", "0.1", "--keep-mb", "1")
    ids = [agent.launch("seq 1000000") for _ in range(3)]
    for process_id in ids:
        agent.ended(process_id)
    assert [row["process_id"] for row in agent.listing(tail=0)] == ids


@pytest.fixture
def forgets_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_HOLD_SECONDS", "0")


def test_ends_that_nobody_has_heard_of_are_kept_until_they_are_listed(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--keep-finished", "2")
    done = tmp_path / "done"
    for number in range(6):
        agent.launch(f"echo {number} >> {done}")
    wait_until(lambda: done.exists() and len(done.read_text().split()) == 6, "all have run")
    wait_until(lambda: [row["status"] for row in agent.listing()] == ["completed"] * 6, "all ends are listed")


def ran_unheard(agent: Agent, count: int) -> list[str]:
    """Launches as many, and waits for their ends without asking the agent."""
    ids = [agent.launch(f"echo {number}; exit {number}") for number in range(count)]
    journal = agent.folder / "finished.jsonl"
    wait_until(lambda: journal.exists() and all(id_ in journal.read_text() for id_ in ids), "all have ended")
    return ids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("has_journal", [True, False])
def test_the_next_agents_keep_what_nobody_has_heard_of(
    start_agent: StartAgent, number: int, *, has_journal: bool
) -> None:
    agent = start_agent()
    ids = ran_unheard(agent, 6)
    for _ in range(2):
        agent.end(number)
        if not has_journal:
            (agent.folder / "finished.jsonl").unlink()
        agent = start_agent("--keep-finished", "2")
    ids.append(agent.launch("exit 6"))
    agent.ended(ids[-1])
    assert [row["exit_code"] for row in agent.listing()] == list(range(7))


def test_what_an_earlier_agent_has_told_is_not_held_for_ever(
    start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPX_HOLD_SECONDS", "0.2")
    first = start_agent()
    told = ran_unheard(first, 3)
    first.listing()
    untold = ran_unheard(first, 3)
    first.end(signal.SIGKILL)
    second = start_agent("--keep-finished", "1")

    def told_and_left() -> set[str]:
        return {path.name for path in (second.folder / "processes").iterdir()}.intersection(told)

    def one_of_the_told_is_left() -> bool:
        untold.extend(ran_unheard(second, 1))
        return len(told_and_left()) == 1

    wait_until(one_of_the_told_is_left, "two are forgotten of those that were told")
    left = told_and_left()
    assert [row["process_id"] for row in second.listing()] == [*left, *untold]


@pytest.mark.usefixtures("forgets_at_once")
def test_the_newest_finished_processes_are_kept(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--keep-finished", "3")
    os.mkfifo(tmp_path / "gate")
    first = agent.launch(f"read x < {tmp_path}/gate")
    for number in range(6):
        agent.ended(agent.launch(f"echo {number}"))
    wait_until(lambda: [row["status"] for row in agent.listing()] == ["running", *["completed"] * 3], "three are kept")
    (tmp_path / "gate").write_text("\n")
    assert agent.ended(first)["status"] == "completed"  # launched first, and ended last: not the oldest
    left = [row["process_id"] for row in agent.listing()]
    assert (len(left), left[0]) == (3, first)
    processes = agent.folder / "processes"
    wait_until(lambda: sorted(path.name for path in processes.iterdir()) == sorted(left), "the others' files are gone")
    agent.end()
    again = start_agent("--keep-finished", "1")
    assert [row["process_id"] for row in again.listing()] == [first]


def test_so_many_bytes_of_output_are_kept(start_agent: StartAgent) -> None:
    agent = start_agent("--keep-mb", "1")
    ids = []
    for _ in range(4):
        ids.append(agent.launch("head -c 300000 /dev/zero; head -c 100000 /dev/zero >&2"))
        agent.ended(ids[-1])
    assert [row["process_id"] for row in agent.listing(tail=0)] == ids[2:]
    large = agent.launch("head -c 3000000 /dev/zero")
    assert agent.ended(large)["status"] == "completed"  # alone too much, but nobody could learn how it ended
    assert [row["process_id"] for row in agent.listing(tail=0)] == [large]


@pytest.mark.usefixtures("forgets_at_once")
def test_a_key_of_a_forgotten_process_may_be_used_again(start_agent: StartAgent) -> None:
    agent = start_agent("--keep-finished", "1")
    headers = {"Idempotency-Key": "k"}
    first = agent.http.post("/execute/background", json={"code": "1"}, headers=headers).json()["process_id"]
    agent.ended(first)
    agent.ended(agent.launch("true"))
    again = agent.http.post("/execute/background", json={"code": "2"}, headers=headers)
    assert again.status_code == 200
    assert again.json()["process_id"] != first


def test_memory_does_not_grow_with_output(start_agent: StartAgent) -> None:
    agent = start_agent()
    program = psutil.Process(agent.about.pid)
    agent.ended(agent.launch("echo warm"))
    before = program.memory_info().rss
    process_id = agent.launch("head -c 200000000 /dev/zero")
    row = wait_until(lambda: (r := agent.row(process_id, tail=1000))["status"] == "completed" and r, "it has ended")
    assert row["stdout_bytes"] == 200_000_000
    assert program.memory_info().rss - before < 5_000_000


def numbered(ended: Ended, number: int) -> Ended:
    """The same process, with another id."""
    process_id = f"proc_{number:010d}"
    row = msgspec.structs.replace(ended.facts(), process_id=process_id)
    return msgspec.structs.replace(
        ended, process_id=process_id, sequence=number, row=msgspec.Raw(msgspec.json.encode(row))
    )


def test_ten_thousand_finished_processes(start_agent: StartAgent, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    first = launched()
    made = Store(folder / "processes").create(first, {}, None, "")
    made._write("start", "99999999 99999999")
    made.write_exit(0)
    Path(made.output("stdout")).write_bytes(b"x" * 200)
    one = conclude(first, made, 10**9)
    ended = [numbered(one, i) for i in range(10_000)]
    for item in ended:
        (folder / "processes" / item.process_id).mkdir()
    shutil.rmtree(made.path)
    journal = Journal(folder / "finished.jsonl")
    journal.rewrite(ended, untold=())
    agent = start_agent("--keep-finished", "10000")
    rows = agent.listing()
    assert [row["process_id"] for row in rows] == [item.process_id for item in ended]
    assert {row["stdout"] for row in rows} == {"x" * 200}
    assert {row["stdout"] for row in agent.listing(tail=3)} == {"xxx"}
    assert psutil.Process(agent.about.pid).memory_info().rss < 80_000_000


def test_a_full_disk(small_disk: Path, start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--max-running", "2", folder=small_disk / "agent")
    for name in ("a", "b"):
        os.mkfifo(tmp_path / name)
    finished = agent.launch("echo kept")
    agent.ended(finished)
    running = [agent.launch(f"echo before; read x < {tmp_path}/{name}; exit $x") for name in ("a", "b")]
    queued = agent.launch("exit 9")
    for process_id in running:
        agent.wrote(process_id, "before")
    filler = small_disk / "filler"
    fill(filler)

    folders = sorted((small_disk / "agent" / "processes").iterdir())
    for path, body in (
        ("/execute/background", {"code": "print(1)"}),
        ("/commands/background", {"command": "true"}),
        ("/execute", {"code": "print(1)"}),
    ):
        reply = agent.post(path, **body)
        assert (reply.status_code, reply.json()["code"]) == (507, "INSUFFICIENT_STORAGE")
        assert "disk is full" in reply.json()["error"]
    assert sorted((small_disk / "agent" / "processes").iterdir()) == folders

    (tmp_path / "a").write_text("5\n")
    assert (agent.ended(running[0])["exit_code"], agent.row(running[0])["stdout"]) == (5, "before\n")
    assert agent.ended(queued)["exit_code"] == 9
    assert agent.kill(running[1]).status_code == 200
    rows = agent.listing()
    agent.end(9)
    filler.unlink()
    again = start_agent(folder=small_disk / "agent")
    assert again.listing() == rows
    assert [row["status"] for row in rows] == ["completed", "failed", "killed", "failed"]
    assert again.ended(again.launch("echo new"))["stdout"] == "new\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_starts_on_a_full_disk_and_ends_what_fills_it(
    small_disk: Path, start_agent: StartAgent, number: int
) -> None:
    first = start_agent(folder=small_disk / "agent")
    finished = first.launch("echo kept")
    first.ended(finished)
    filling = first.launch("while :; do echo more; done 2>/dev/null")
    queued = first.launch("sleep 1000")
    wait_until(lambda: shutil.disk_usage(small_disk).free == 0, "the disk is full")
    first.end(number)
    second = start_agent(folder=small_disk / "agent")
    assert second.row(finished)["stdout"] == "kept\n"
    for process_id in (filling, queued):
        assert second.kill(process_id).status_code == 200
    assert [row["status"] for row in second.listing(tail=0)] == ["completed", "killed", "killed"]
    second.end(number)
    third = start_agent("--keep-mb", "1", folder=small_disk / "agent")
    assert [row["status"] for row in third.listing(tail=0)][-1] == "killed"


def test_what_cells_leave_counts_among_what_is_kept(start_agent: StartAgent) -> None:
    agent = start_agent(env={"HOPX_KEEP_MB": "1"})
    first = agent.launch("import numpy\nnumpy.zeros(90_000)", "python")
    assert agent.ended(first)["status"] == "completed"
    second = agent.launch("import numpy\nnumpy.zeros(90_000)", "python")
    assert agent.ended(second)["status"] == "completed"
    assert [row["process_id"] for row in agent.listing()] == [second]
