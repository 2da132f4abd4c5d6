"""What programs have launched when they die, in the history afterwards: all of it, once."""

import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hopx_magics.models import RunId
from hopx_magics.run_history import entries, journal, reading
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.entries import Became, NotLaunched
from hopx_magics.run_history.journal import Journal, Line
from hopx_magics.run_history.origin import Origin
from hopx_magics.run_history.recorder import Recorder
from hopx_magics.run_history.writer import Writer
from hopx_magics.settings import read_settings
from tests.waiting import wait_until

from .conftest import HERE, launch, statuses

LAUNCHES = """
import itertools, os, sys
from pathlib import Path
from hopx_magics.models import ProcessId, RunId
from hopx_magics.protocol.replies import Launched
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.recorder import Recorder
from hopx_magics.run_history.writer import Writer
from hopx_magics.settings import read_settings
from hopx_magics.values.facts import Fact
from tests.run_history.conftest import HERE, launch

recorder = Recorder(Database(Path(sys.argv[1])), read_settings({}))
recorder.take_over()
for number in itertools.count():
    run_id = RunId(f"{sys.argv[2]}-{number}")
    given = (Fact("n", "int", number // 3),)
    recorder.begin([launch(run_id, code=f"print({number // 3})", given=given)], HERE)
    os.write(1, f"{run_id}\\n".encode())
    recorder.launched(run_id, Launched(process_id=ProcessId(f"p-{run_id}"), execution_id=None, status="running"))
    if number % 10 == 0:
        recorder.take_over()
"""


def launch_until_killed(file: Path, name: str, count: int) -> list[str]:
    """A program launches that many runs at least, and is killed in the middle of something; returns which."""
    command = [sys.executable, "-c", LAUNCHES, str(file), name]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        some = [program.stdout.readline() for _ in range(count)]
        program.kill()
        return [line.decode().strip() for line in some + program.stdout.readlines() if line.endswith(b"\n")]


@pytest.mark.parametrize("held", [False, True], ids=["", "while another program writes"])
def test_programs_that_are_killed_lose_nothing_and_double_nothing(file: Path, history: Database, held: bool) -> None:
    statuses(history)
    holder = sqlite3.connect(file, isolation_level=None)
    if held:
        holder.execute("BEGIN IMMEDIATE")
    counts = [1, 2, 30, 151]
    told = [run_id for count in counts for run_id in launch_until_killed(file, f"r{count}", count)]
    holder.close()
    recorder = Recorder(history, read_settings({}))
    recorder.take_over()
    wait_until(lambda: not list(file.parent.glob("*.jsonl")), "all journals are in the history")
    found = statuses(history)
    assert len(told) >= sum(counts)
    assert set(told) <= found.keys()
    numbers = {id_: int(id_.split("-")[1]) // 3 for id_ in found}
    runs = history.read(reading.runs, [RunId(id_) for id_ in found])
    assert {id_: run.code for id_, run in runs.items()} == {id_: f"print({n})" for id_, n in numbers.items()}
    assert {id_: run.values_in[0].size for id_, run in runs.items()} == numbers
    recorder.close()


def line(number: int, run_id: str) -> Line:
    return Line(number, entries.begun([launch(run_id)], HERE, Origin()))


def test_a_line_that_makes_no_sense_costs_itself_alone(history: Database) -> None:
    taken = [line(1, "a"), line(2, "b")]
    became = [Line(3, Became(RunId(id_), "the same process", None, "running")) for id_ in "ab"]  # type: ignore[arg-type]
    problems = history.write(journal.apply, "j", [*taken, became[0], Line(4, became[1].entry)])
    assert len(problems) == 1
    failed = NotLaunched(RunId("b"), "failed", "not launched", 1)
    assert history.write(journal.apply, "j", [Line(5, failed)]) == []
    assert statuses(history) == {"a": "running", "b": "failed"}


def test_each_line_is_taken_once(history: Database) -> None:
    lines = [line(number, f"r{number}") for number in (1, 2, 3)]
    history.write(journal.apply, "j", lines[:2])
    history.write(lambda db: db.execute("DELETE FROM runs"))
    history.write(journal.apply, "j", lines)
    assert statuses(history) == {"r3": "queued"}


def test_a_journal_says_what_it_can_not_hold(file: Path) -> None:
    own = Journal(file)
    own.append(line(1, "a"))
    size = own.path.stat().st_size
    with pytest.raises(OSError, match="too large"):
        own.append(Line(2, entries.begun([launch("b", code="#" * journal.MOST_BYTES)], HERE, Origin())))
    assert own.path.stat().st_size == size, "no half a line"
    own.append(line(3, "c"))
    assert list(journal.left_behind(file)) == [], "its program goes on"
    found = journal.Found(own.path, own.id)
    assert [each.number for each in journal.lines_of(found)] == [1, 3]
    assert all(each.entry.codes for each in journal.lines_of(found)), "each with its code"  # type: ignore[union-attr]
    assert own.path.read_text().count("print(1)") == 1, "which is in the file once"
    own.close()
    assert not own.path.exists()


def test_a_journal_of_a_program_whose_number_is_anothers_by_now_is_taken_over(file: Path, history: Database) -> None:
    own = Journal(file)
    own.append(line(1, "r1"))
    first, rest = own.path.read_bytes().split(b"\n", 1)
    owner = msgspec.json.decode(first, type=journal.Owner)
    earlier = msgspec.json.encode(msgspec.structs.replace(owner, started="1")) if owner.started else first
    own.path.write_bytes(earlier + b"\n" + rest)
    recorder = Recorder(history, read_settings({}))
    recorder.take_over()
    assert statuses(history) == ({"r1": "queued"} if owner.started else {})
    recorder.close()


def test_what_the_journal_did_not_take_comes_before_what_it_takes_later(file: Path) -> None:
    writer = Writer(file)
    file.parent.mkdir()
    with sqlite3.connect(file, isolation_level=None) as holder:
        holder.execute("PRAGMA journal_mode = WAL")
        holder.execute("BEGIN IMMEDIATE")
        journals = f"{file.name}.journal-*.jsonl"
        largest, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))  # as if the disk were full
        writer.tell(line(0, "a").entry)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, most))
        assert list(file.parent.glob(journals)) == []
        writer.tell(line(0, "b").entry)
        (path,) = file.parent.glob(journals)
        found = journal.Found(path, "")
        assert [(each.number, each.run_ids) for each in journal.lines_of(found)] == [(1, ["a"]), (2, ["b"])]
    holder.close()
    writer.close()
    assert statuses(Database(file)) == {"a": "queued", "b": "queued"}
