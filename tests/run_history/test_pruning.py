"""What is forgotten when there is too much, or because somebody wants it."""

import sqlite3
import threading
from pathlib import Path

from hopx_magics.kept import KeptCell, KeptEnd, KeptOutput
from hopx_magics.models import RunId
from hopx_magics.run_history import entries, pruning, reading, writing
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.pruning import Limits
from hopx_magics.run_history.reading import Wanted
from hopx_magics.values.facts import Fact, Left

from .conftest import HERE, NOW, begun, seen, statuses


def ended(history: Database, *run_ids: str, size: int = 0, cell: KeptCell | None = None) -> None:
    begun(history, *run_ids)
    history.write(writing.record, HERE, [seen(f"proc_{run_id}", "completed") for run_id in run_ids], NOW)
    for due in history.read(reading.outputs_due, HERE):
        stdout = KeptOutput(head=b"x" * size, tail=b"", size=size)
        history.write(writing.keep_ends, {due.number: KeptEnd(streams={"stdout": stdout}, cell=cell)})


def test_what_is_beyond_the_limits_goes_the_oldest_first(file: Path) -> None:
    history = Database(file)
    limits = Limits(runs=3, output=2_500, stream=1_000)
    begun(history, "going")
    ended(history, "a", "b", "c", "d", size=1000)
    gone = history.read(pruning.over_limits, limits)
    assert [(run.run_id, run.whole, run.bytes) for run in gone] == [("a", True, 1000), ("b", True, 1000)]
    assert history.read(pruning.over_limits, limits, 2.0) == []
    assert len(statuses(history)) == 5, "nothing went yet"
    pruning.prune(history.file, gone)
    assert sorted(statuses(history)) == ["c", "d", "going"]
    assert history.read(reading.output, RunId("c"))["stdout"].size == 1000
    assert history.read(pruning.over_limits, limits) == []
    history.close()


def test_what_cells_have_left_counts_as_output_and_goes_with_it(file: Path) -> None:
    history = Database(file)
    left = Left(Fact("", "float", 24), (Fact("model", "dict", 9),))
    ended(
        history, "a", "b", cell=KeptCell(left=left, displays=3, files={"displays": b"d" * 1500, "value0": b"v" * 500})
    )
    gone = history.read(pruning.over_limits, Limits(runs=3, output=2_500, stream=1_000))
    assert [(run.run_id, run.whole, run.bytes) for run in gone] == [("a", False, 2000)]
    pruning.prune(history.file, gone)
    ends = [history.read(reading.end, RunId(run_id)).cell for run_id in "ab"]
    assert [cell and (cell.left, cell.displays, cell.size) for cell in ends] == [(left, 3, 0), (left, 3, 2000)]
    assert history.read(reading.find, "a").left == left, "what is known of its values stays"
    history.close()


def test_outputs_go_before_the_runs_do(file: Path) -> None:
    history = Database(file)
    limits = Limits(runs=100, output=2_500, stream=1_000)
    ended(history, "a", "b", "c", "d", size=1000)
    gone = history.read(pruning.over_limits, limits)
    assert [(run.run_id, run.whole) for run in gone] == [("a", False), ("b", False)]
    pruning.prune(history.file, gone)
    assert len(statuses(history)) == 4
    assert history.read(reading.output, RunId("a")) == {}
    assert history.read(reading.output, RunId("c"))["stdout"].head == b"x" * 1000
    history.close()


def test_what_is_chosen_goes_but_nothing_that_goes_on(history: Database, file: Path) -> None:
    ended(history, "a", "b", size=100_000)
    begun(history, "c")
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    before = file.stat().st_size
    pruning.prune(history.file, history.read(pruning.chosen, Wanted()))
    assert list(statuses(history)) == ["c"]
    history.close()
    assert file.stat().st_size < before - 150_000, "the disk has its room back"


def test_what_was_removed_does_not_come_back(history: Database) -> None:
    ended(history, "a", "b")
    pruning.prune(history.file, [run for run in history.read(pruning.chosen, Wanted()) if run.run_id == "a"])
    history.write(writing.record, HERE, [seen("proc_a", "completed"), seen("proc_b", "completed")], NOW)
    assert list(statuses(history)) == ["b"]


def test_others_write_while_much_is_removed(history: Database, file: Path) -> None:
    many = [f"r{number}" for number in range(3000)]
    ended(history, *many, size=4_000)
    pruned = history.read(pruning.chosen, Wanted())
    thread = threading.Thread(target=pruning.prune, args=(file, pruned))
    thread.start()
    left, sizes = set(), set()
    while thread.is_alive():
        history.write(writing.looked, "here", entries.now())
        left.add(len(statuses(history)))
        sizes.add(history.read(lambda db: db.execute("PRAGMA page_count").fetchone()[0]))
    thread.join()
    assert [number for number in left if 0 < number < len(many)], "it was seen half removed"
    assert len(sizes) > 2, "it was seen getting smaller"
    assert statuses(history) == {}
    assert history.read(lambda db: db.execute("SELECT count(*) FROM codes").fetchone()) == (0,)


def test_a_number_that_is_another_runs_by_now_removes_nothing(history: Database, file: Path) -> None:
    ended(history, "a", "b")
    pruned = [run for run in history.read(pruning.chosen, Wanted()) if run.run_id == "b"]
    history.write(lambda db: db.execute("DELETE FROM runs WHERE run_id = 'b'"))
    ended(history, "c")
    pruning.prune(file, pruned)
    assert sorted(statuses(history)) == ["a", "c"]
