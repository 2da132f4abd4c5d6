"""Runs that are found, chosen and read back."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from hopx_magics.errors import UnknownRun
from hopx_magics.kept import KeptEnd, KeptOutput
from hopx_magics.models import RunId
from hopx_magics.run_history import entries, reading, writing
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.origin import Origin
from hopx_magics.run_history.reading import Wanted

from .conftest import HERE, NOW, became, begun, launch, seen


def test_a_run_is_found_by_ids_their_beginnings_and_its_name(history: Database) -> None:
    begun(history, "aa11", name="train")
    begun(history, "aa22", name="train")
    begun(history, "bb33", name="*")
    assert history.read(reading.find, "train").run_id == "aa22"
    assert history.read(reading.find, "proc_aa11").run_id == "aa11"
    assert history.read(reading.find, "bb").run_id == "bb33"
    assert history.read(reading.find, "*").run_id == "bb33"
    with pytest.raises(UnknownRun, match=r"several runs .*'aa'(?s:.*)Which one\? aa22 \(train\), aa11 \(train\)"):
        history.read(reading.find, "aa")
    with pytest.raises(UnknownRun, match=r"no run 'trian'(?s:.*)Did you mean aa22 \(train\)"):
        history.read(reading.find, "trian")
    with pytest.raises(UnknownRun):
        history.read(reading.find, "")


def test_an_empty_history(history: Database) -> None:
    columns = history.read(reading.columns, Wanted(), code=True, output=True)
    assert all(values == [] for values in columns.values())
    with pytest.raises(UnknownRun, match="The history is empty"):
        history.read(reading.find, "x")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(name="train-*"), "a b"),
        (Wanted(name="train-[!a]"), "b"),
        (Wanted(statuses=("completed", "failed")), "c"),
        (Wanted(language="bash"), "b"),
        (Wanted(tags={"exp": "1"}), "a b"),
        (Wanted(tags={"exp": "1", "by": "me; DROP"}), "b"),
        (Wanted(tags={"nothing": "1"}), ""),
        (Wanted(sweep_id="s1"), "a"),
        (Wanted(limit=2), "c b"),
        (Wanted(limit=0), ""),
        (Wanted(since=0), "c b a"),
        (Wanted(since=2**52), ""),
        (Wanted(name="train-*", limit=1), "b"),
    ],
)
def test_choosing(history: Database, wanted: Wanted, found: str) -> None:
    begun(history, "a", name="train-a", tags={"exp": "1"}, sweep_id="s1")
    begun(history, "b", name="train-b", tags={"exp": "1", "by": "me; DROP"}, language="bash")
    begun(history, "c", name="other")
    history.write(writing.record, HERE, [seen("proc_c", "failed")], NOW)
    assert set(history.read(reading.columns, wanted)["run_id"]) == set(found.split())


def test_code_and_output_come_when_they_are_asked_for(history: Database) -> None:
    begun(history, "a", code="print('a')")
    begun(history, "b", code="print('b')")
    history.write(writing.record, HERE, [seen("proc_a", "completed")], NOW)
    (due,) = history.read(reading.outputs_due, HERE)
    assert due.process_id == "proc_a"
    history.write(
        writing.keep_ends,
        {
            due.number: KeptEnd(
                streams={
                    "stdout": KeptOutput(head=b"first \xff", tail=b"last", size=1_000_010),
                    "stderr": KeptOutput(head=b"", tail=b"", size=0),
                }
            )
        },
    )
    assert history.read(reading.outputs_due, HERE) == []
    columns = history.read(reading.columns, Wanted(), code=True, output=True)
    assert columns["code"] == ["print('b')", "print('a')"]
    assert columns["stderr"] == [None, ""]
    assert columns["stdout"][0] is None
    assert columns["stdout"][1].splitlines()[0] == "first �"
    assert "999,999 bytes are left out" in columns["stdout"][1]
    assert columns["stdout_bytes"] == [None, 1_000_010]
    assert history.read(reading.output, RunId("a"))["stdout"].tail == b"last"


def test_a_hundred_thousand_runs(history: Database) -> None:
    begun_now = entries.begun([launch(f"r{n}", params={"n": n}) for n in range(100_000)], HERE, Origin())
    history.write(writing.begin, begun_now)
    columns = history.read(reading.columns, Wanted())
    assert len(columns["run_id"]) == 100_000
    assert json.loads(columns["params"][0]) == {"n": 99_999}
    assert history.read(reading.columns, Wanted(limit=2))["run_id"] == ["r99999", "r99998"]


def test_what_happened_since_the_last_look(history: Database) -> None:
    history.write(writing.begin, entries.begun([launch("r1"), launch("r2")], HERE, Origin("a.ipynb")))
    history.write(writing.begin, entries.begun([launch("r3")], HERE, Origin("b.ipynb")))
    for run_id in ("r1", "r2", "r3"):
        became(history, run_id, run_id)
    history.write(writing.looked, "a.ipynb", entries.now())
    now = datetime.now(UTC) + timedelta(seconds=1)
    history.write(
        writing.record,
        HERE,
        [seen("r1", "failed", completed_at=round(now.timestamp() * 1e6)), seen("r3", "failed")],
        now,
    )
    recent = history.read(reading.recent, "a.ipynb", "/")
    assert (len(recent.going), len(recent.failed), len(recent.completed)) == (1, 1, 0)
