"""What a program reads of a history that does not have yet what it has told."""

from datetime import timedelta

import pytest

from hopx_magics.errors import UnknownRun
from hopx_magics.models import Place, ProcessId, RunId
from hopx_magics.run_history import entries, reading
from hopx_magics.run_history.ahead import Ahead
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.entries import Became, NotLaunched
from hopx_magics.run_history.journal import Line
from hopx_magics.run_history.origin import Origin

from .conftest import HERE, NOW, begun, launch, seen, statuses


def test_what_is_not_written_yet_is_read_as_if_it_were(history: Database) -> None:
    begun(history, "old", "going", "lost", code="print('old')")
    lines = [
        Line(1, entries.begun([launch("new", code="print('new')", name="n"), launch("no")], HERE, Origin())),
        Line(2, Became(RunId("new"), ProcessId("proc_new"), None, "running")),
        Line(3, NotLaunched(RunId("no"), "failed", "not launched: it is full", 5)),
    ]
    foreign = Place("far", "another agent")
    listed = [
        (HERE, [seen("proc_new"), seen("proc_going", "failed", exit_code=3)], NOW),
        (HERE, [seen("proc_new", "completed", exit_code=0)], NOW + timedelta(seconds=1)),
        (foreign, [seen("proc_going", name="theirs")], NOW),
    ]
    history.settle = lambda: Ahead(lines, listed)
    found = statuses(history)
    theirs = history.read(reading.find, "theirs")
    assert found == {
        "old": "running",
        "going": "failed",
        "lost": "running",
        "new": "completed",
        "no": "failed",
        theirs.run_id: "running",
    }
    new = history.read(reading.find, "n")
    assert (new.run_id, new.status, new.exit_code, new.code) == ("new", "completed", 0, "print('new')")
    assert new.seen_at == NOW + timedelta(seconds=1)
    assert history.read(reading.find, "old").code == "print('old')"
    assert history.read(reading.find, "proc_going").run_id == "going"
    numbers = history.read(lambda db: db.execute("SELECT number FROM runs").fetchall())
    assert len(set(numbers)) == len(found)
    history.settle = lambda: None
    assert statuses(history) == dict.fromkeys(["old", "going", "lost"], "running"), "the file is as it was"
    with pytest.raises(UnknownRun):
        history.read(reading.find, "n")


def test_what_has_been_written_in_the_meantime_is_there_once(history: Database) -> None:
    told = entries.begun([launch("r1", name="n")], HERE, Origin())
    begun(history, "r1", name="n")
    history.settle = lambda: Ahead([Line(1, told)], [])
    assert statuses(history) == {"r1": "running"}
    assert history.read(reading.find, "n").process_id == "proc_r1"
