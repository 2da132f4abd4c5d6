"""What is shown of the DataFrames of processes and runs, and that they are none the worse for it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from rich.cells import cell_len

from hopx_magics.display.frame_view import View, as_html, as_text, view_of
from hopx_magics.display.frames import Waits, processes_frame, queue_frame
from hopx_magics.models import Process, Usage

NOW = datetime.now(UTC)
USED = Usage(peak_memory_bytes=1_234_000_000, cpu_seconds=3)


def process(number: int = 1, **fields: Any) -> Process:
    known = {"name": f"fit-{number}", "status": "completed", "exit_code": 0, "execution_time": 190.4}
    known |= {"started_at": NOW - timedelta(minutes=2), "stdout": "Epoch 1\nloss 0.5\n", "stderr": ""}
    return Process(process_id=f"proc_{number:020}", **{**known, **fields})


def frame_of(*processes: Process) -> pd.DataFrame:
    return processes_frame(processes, [("local", None)] * len(processes))


MIXED = frame_of(
    process(1, status="running", exit_code=None, stdout="step 3/8\n", execution_time=12.9, usage=USED),
    process(2, status="failed", exit_code=139, stderr="Segmentation fault\n"),
    process(3, status="failed", exit_code=1, status_detail="timed out after 3 min", name="<b>x</b>\x1b[31m" + "n" * 99),
    process(4),
)


def view(frame: pd.DataFrame) -> View:
    found = view_of(frame)
    assert found is not None
    return found


def column(frame: pd.DataFrame, label: str) -> list[str]:
    (found,) = [each for each in view(frame).columns if each.label == label]
    return [cell.text for cell in found.cells]


def test_what_goes_on_says_what_it_waits_for() -> None:
    paused = process(1, status="running", exit_code=None, status_detail="paused")
    queued = process(2, status="queued", exit_code=None, stdout="", status_detail="place 1: 2 of 2 running")
    frame = frame_of(paused, queued)
    assert column(frame, "status") == ["▸ running (paused)", "◌ queued"]
    assert column(frame, "last line") == ["loss 0.5", "place 1: 2 of 2 running"]


def test_what_is_queued_is_told_apart() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=30, seconds=10)
    waits = [
        Waits(1, process(1, status="queued", status_detail="2 of 2 running"), "local", soon),
        Waits(None, process(2, status="queued", status_detail="paused"), "local", None),
    ]
    given = {f"proc_{1:020}": {"lr": "0.1"}, f"proc_{2:020}": {"lr": "0.2"}}
    shown = view_of(queue_frame(waits, elsewhere=""), lambda connection, ids: given)
    assert shown is not None
    head, first, second, note = as_text(shown, 80).splitlines()
    assert re.split(" {2,}", head.strip()) == ["place", "name", "why", "expected start", "id"]
    assert re.split(" {2,}", first)[:6] == ["0", "1", "fit-1", "lr=0.1", "2 of 2 running", "in 30 min"]
    assert re.split(" {2,}", second)[:4] == ["1", "fit-2", "lr=0.2", "paused"]
    assert note.startswith("2 processes wait, as of")
    empty = view_of(queue_frame([], elsewhere=""))
    assert empty is not None
    assert as_text(empty, 80) == "nothing is queued · 7 columns"


def test_what_never_ran_says_why() -> None:
    never = process(1, status="failed", exit_code=None, stdout="", status_detail="dependency prep failed")
    assert column(frame_of(never), "last line") == ["dependency prep failed"]


def test_it_is_made_for_reading() -> None:
    labels = ["", "status", "name", "progress", "time", "started", "exit", "memory", "last line", "id"]
    assert [each.label for each in view(MIXED).columns] == labels
    assert column(MIXED, "status") == ["▸ running", "✗ failed", "✗ failed", "✓ completed"]
    assert column(MIXED, "time") == ["12 s", "3 min 10 s", "3 min 10 s", "3 min 10 s"]
    assert column(MIXED, "progress") == ["37 %", "", "", ""]
    assert column(MIXED, "started") == ["2 min ago"] * 4
    assert column(MIXED, "exit") == ["", "SIGSEGV", "1", "0"]
    assert column(MIXED, "memory") == ["1.23 GB", "", "", ""]
    assert column(MIXED, "last line") == ["step 3/8", "Segmentation fault", "loss 0.5", "loss 0.5"]
    assert column(MIXED, "id")[0] == "proc_0000000…"
    assert re.search(r">4 processes, as of \d{4}-.* · \d+ columns, these 9 shown</div>", as_html(view(MIXED)))


def test_html_tells_more_on_hover_and_holds_nothing_of_others() -> None:
    shown = as_html(view(MIXED))
    assert "timed out after 3 min" in shown
    assert f'title="proc_{1:020}"' in shown
    assert re.search(r'title="\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+">2 min ago', shown)
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
    assert "<b>" not in shown + as_text(view(MIXED), 200).replace("<b>x</b>", "")
    assert "\x1b" not in shown + as_text(view(MIXED), 200)


@pytest.mark.parametrize("width", [40, 80, 100, 300])
def test_in_a_terminal_what_matters_is_seen(width: int) -> None:
    wide = frame_of(process(1, name="日本語の名前" * 4, stdout="x" * 300), process(2, status="failed", exit_code=139))
    lines = as_text(view(wide), width).splitlines()
    assert {"status", "name", "time", "exit"} <= set(lines[0].split())
    shown = len(re.split(r" {2,}", lines[0].strip()))
    assert lines[-1].endswith(f"columns, these {shown} shown")
    assert "✗ failed" in lines[2]
    assert "3 min 10 s" in lines[2]
    assert "SIGSEGV" in lines[2]
    assert width < 80 or max(map(cell_len, lines)) <= width


def test_of_many_some_are_shown_as_pandas_does() -> None:
    many = frame_of(*map(process, range(100)))
    assert column(many, "name") == [f"fit-{number}" for number in (0, 1, 2, 3, 4, 95, 96, 97, 98, 99)]
    assert as_text(view(many), 80).splitlines()[6].split()[0] == "…"
    assert as_html(view(many)).count("<tr>") == 12
    with pd.option_context("display.max_rows", None):
        assert len(column(many, "name")) == 100


def test_what_is_filtered_or_added_to_has_it_and_others_have_not() -> None:
    assert column(MIXED[MIXED.status == "failed"], "exit") == ["SIGSEGV", "1"]
    assert column(MIXED.sort_values("name", ascending=False), "")[0] == "3"
    assert column(MIXED.assign(loss=[0.5, 1.5, 2.0, 3.0]), "loss") == ["0.5", "1.5", "2.0", "3.0"]
    assert as_text(view(MIXED[MIXED.status == "killed"]), 80).startswith("no processes, as of ")
    several = processes_frame([process(1), process(2)], [("local", None), ("work-1", "x")])
    assert column(several, "connection") == ["local", "work-1"]
    for other in (MIXED[["name", "status"]], MIXED.groupby("status", observed=True).size().to_frame(), MIXED.T):
        assert view_of(other) is None
    assert view_of(pd.DataFrame(dict(MIXED.items()))) is None


def test_of_runs_it_tells_what_varies(hopx: Any) -> None:
    assert as_text(view(hopx.history()), 80).startswith("No runs yet. %%hopx_bg launches one. · ")
    hopx.wait(hopx.sweep("print(lr)", {"lr": [0.5, 2], "seed": [7]}, name="fit"))
    hopx.launch("display(1)", name="shows").wait()
    runs = hopx.history(name="fit")
    labels = [each.label for each in view(runs).columns if each.label != "memory"]  # whether that was seen is chance
    assert labels == ["", "status", "name", "lr", "time", "launched", "exit", "id"]
    assert column(runs, "lr") == ["2.0", "0.5"]
    assert column(runs.head(1), "seed") == ["7"], "of a single run all is told"
    assert column(hopx.history(output=True), "displays") == ["1", "", ""]
    assert column(hopx.history(output=True), "last line") == ["1", "2", "0.5"]
