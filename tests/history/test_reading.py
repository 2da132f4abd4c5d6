"""Runs that are found, chosen and read back."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from hopx_magics.errors import UnknownRun
from hopx_magics.history import History, Origin, Wanted
from hopx_magics.models import KeptOutput, ProcessId, RunId

from .conftest import HERE, NOW, begun, launch, seen


def test_a_run_is_found_by_ids_their_beginnings_and_its_name(history: History) -> None:
    begun(history, "aa11", name="train")
    begun(history, "aa22", name="train")
    begun(history, "bb33", name="*")
    assert history.find("train").run_id == "aa22"
    assert history.find("proc_aa11").run_id == "aa11"
    assert history.find("bb").run_id == "bb33"
    assert history.find("*").run_id == "bb33"
    with pytest.raises(UnknownRun, match=r"several runs .*'aa'(?s:.*)Which one\? aa22 \(train\), aa11 \(train\)"):
        history.find("aa")
    with pytest.raises(UnknownRun, match=r"no run 'trian'(?s:.*)There is aa22 \(train\)"):
        history.find("trian")
    with pytest.raises(UnknownRun):
        history.find("")


def test_an_empty_history(history: History) -> None:
    columns = history.columns(Wanted(), code=True, output=True)
    assert all(values == [] for values in columns.values())
    with pytest.raises(UnknownRun, match="The history is empty"):
        history.find("x")


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
def test_choosing(history: History, wanted: Wanted, found: str) -> None:
    begun(history, "a", name="train-a", tags={"exp": "1"}, sweep_id="s1")
    begun(history, "b", name="train-b", tags={"exp": "1", "by": "me; DROP"}, language="bash")
    begun(history, "c", name="other")
    history.record(HERE, [seen("proc_c", "failed")], NOW)
    assert set(history.columns(wanted)["run_id"]) == set(found.split())


def test_code_and_output_come_when_they_are_asked_for(history: History) -> None:
    begun(history, "a", code="print('a')")
    begun(history, "b", code="print('b')")
    history.record(HERE, [seen("proc_a", "completed")], NOW)
    (due,) = history.outputs_due(HERE)
    assert due.process_id == "proc_a"
    history.keep_output(
        due.number,
        {
            "stdout": KeptOutput(head=b"first \xff", tail=b"last", size=1_000_010),
            "stderr": KeptOutput(head=b"", tail=b"", size=0),
        },
    )
    assert history.outputs_due(HERE) == []
    columns = history.columns(Wanted(), code=True, output=True)
    assert columns["code"] == ["print('b')", "print('a')"]
    assert columns["stderr"] == [None, ""]
    assert columns["stdout"][0] is None
    assert columns["stdout"][1].splitlines()[0] == "first �"
    assert "999,999 bytes are left out" in columns["stdout"][1]
    assert columns["stdout_bytes"] == [None, 1_000_010]
    assert history.output(RunId("a"))["stdout"].tail == b"last"


def test_a_hundred_thousand_runs(history: History) -> None:
    history.begin([launch(f"r{n}", params={"n": n}) for n in range(100_000)], HERE, Origin())
    columns = history.columns(Wanted())
    assert len(columns["run_id"]) == 100_000
    assert json.loads(columns["params"][0]) == {"n": 99_999}
    assert history.columns(Wanted(limit=2))["run_id"] == ["r99999", "r99998"]


def test_what_happened_since_the_last_look(history: History) -> None:
    notebook = Origin("a.ipynb")
    history.begin([launch("r1"), launch("r2")], HERE, notebook)
    history.begin([launch("r3")], HERE, Origin("b.ipynb"))
    for run_id in ("r1", "r2", "r3"):
        history.launched(RunId(run_id), ProcessId(run_id), None, "running")
    history.looked(notebook, "/")
    now = datetime.now(UTC) + timedelta(seconds=1)
    history.record(HERE, [seen("r1", "failed", completed_at=round(now.timestamp() * 1e6)), seen("r3", "failed")], now)
    recent = history.recent(notebook, "/")
    assert (recent.going, recent.failed, recent.completed) == (1, 1, 0)
