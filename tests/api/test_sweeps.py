"""What a sweep tells of its runs and does with them, on a real local agent."""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.errors import AgentWarning, NameWarning, UnknownColumn
from hopx_magics.models import Process, ProcessId
from hopx_magics.run import Run
from hopx_magics.settings import Settings
from hopx_magics.sources import AgentSource
from hopx_magics.sweeps import Sweep
from tests.standins.server import Asked
from tests.waiting import wait_until

CODE = "print('loss:', lr * seed)\nif lr == 3: raise SystemExit(2)"


@pytest.fixture
def sweep(hopx: Any) -> Any:
    return hopx.sweep(CODE, {"lr": [2, 1, 3], "seed": [1, 5]}, name="fit").wait()


def test_a_row_for_each_run(sweep: Any) -> None:
    frame = sweep.frame()
    assert list(frame.columns) == [
        *("run_id", "name", "status", "param.lr", "param.seed", "loss", "started_at", "execution_time", "exit_code"),
    ]
    assert frame[["param.lr", "param.seed", "loss", "exit_code"]].values.tolist() == [
        *([2, 1, 2, 0], [2, 5, 10, 0], [1, 1, 1, 0], [1, 5, 5, 0], [3, 1, 3, 2], [3, 5, 15, 2]),
    ]
    assert list(frame["status"]) == ["completed"] * 4 + ["failed"] * 2
    assert list(frame["run_id"]) == [run.run_id for run in sweep]


def test_the_best_run_by_a_metric(sweep: Any) -> None:
    assert sweep.best("loss").params == {"lr": 1, "seed": 1}
    assert sweep.best("loss", largest=True).params == {"lr": 3, "seed": 5}
    with pytest.raises(UnknownColumn, match="no run has printed a metric 'los'") as refused:
        sweep.best("los")
    assert refused.value.hint == "did you mean 'loss'?"


def test_metrics_that_are_called_as_columns_or_no_numbers(hopx: Any) -> None:
    sweep = hopx.sweep("print('status: 3.5 exit_code: 7.5 loss: nan')", {"n": [2, 1]}).wait()
    frame = sweep.frame()
    assert list(frame.columns)[4:7] == ["metric.status", "metric.exit_code", "loss"]
    assert (frame["metric.status"] == 3.5).all()
    assert list(frame["exit_code"]) == [0, 0]
    assert sweep.best("exit_code") is sweep[0]
    with pytest.raises(UnknownColumn, match="no run has a best 'loss': all that they have printed of it is nan"):
        sweep.best("loss")
    named = hopx.sweep("print('n:', n * 1.5)", {"n": [1, 2]}).wait()
    assert str(named).splitlines()[0].split() == ["status", "n", "metric.n", "time"]


def test_what_failed_is_launched_again_as_a_sweep(hopx: Any, sweep: Any) -> None:
    again = sweep.rerun_failed()
    assert [run.params for run in again] == [{"lr": 3, "seed": 1}, {"lr": 3, "seed": 5}]
    assert [run.exit_code for run in again.wait()] == [2, 2]
    assert set(hopx.history(sweep=again.sweep_id)["run_id"]) == {run.run_id for run in again}
    assert {run.run_id for run in hopx.wait("fit")} == {run.run_id for run in again}, "it is the last sweep of the name"


def test_what_can_not_be_launched_again_keeps_no_other_from_it_and_the_limit_holds(
    hopx: Any, state: Settings, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = f"import os, time\nif not os.path.exists({str(gate)!r}): raise SystemExit(1)\ntime.sleep(1000)"
    sweep = hopx.sweep(code, {"n": [1, 2, 3]}, name="fit", limit=1).wait()
    gate.touch()
    hopx.history()
    with contextlib.closing(sqlite3.connect(state.history_file)) as db, db:
        db.execute("DELETE FROM runs WHERE run_id = ?", [sweep[0].run_id])
    with pytest.warns(
        AgentWarning, match="1 of 3 could not be launched again: fit .*: it is not in the history"
    ) as told:
        again = sweep.rerun_failed()
    assert told[0].filename == __file__
    assert [run.params for run in again] == [{"n": 2}, {"n": 3}]
    wait_until(lambda: again[0].refresh().status == "running", "the first runs")
    assert again[1].refresh().waits_for == "limit"
    again.kill()


def test_a_table_names_what_looks_like_a_column_that_no_run_has(hopx: Any, sweep: Any) -> None:
    with pytest.warns(NameWarning) as told:
        hopx.watch(best="min los", by="param.l", sort="-param.seeds", columns="loss,metric.later").close()
    assert [str(each.message) for each in told] == [
        "no run has a parameter 'seeds' yet: did you mean 'seed'?",
        "no run has a parameter 'l' yet: did you mean 'lr'?",
        "no run has a metric 'los' yet: did you mean 'loss'?",
    ]
    assert told[0].filename == __file__


def test_all_that_goes_on_is_killed(hopx: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    code = f"if n: print('in', flush=True); open({str(tmp_path / 'gate')!r}).read()"
    sweep = hopx.sweep(code, {"n": [0, 1, 2]}, limit=2)
    sweep[0].wait()
    wait_until(lambda: "in" in sweep[1].stdout, "it goes on")
    assert sweep.kill() == ["already finished", "killed", "killed"]
    assert [run.status for run in sweep] == ["completed", "killed", "killed"]
    assert sweep.kill() == ["already finished"] * 3
    assert list(sweep.frame()["status"]) == ["completed", "killed", "killed"]


def test_it_is_shown_as_a_small_table(sweep: Any) -> None:
    head, *rows, note = str(sweep).splitlines()
    assert head.split() == ["status", "lr", "seed", "loss", "time", "why"]
    assert [row.split()[:5] for row in rows[:3]] == [
        *(["0", "✓", "completed", "2", "1"], ["1", "✓", "completed", "2", "5"], ["2", "✓", "completed", "1", "1"]),
    ]
    assert "★ 1 " in rows[2]
    assert rows[4].endswith("exit 2")
    assert len(rows) == 6
    assert note == f"sweep {sweep.sweep_id}: 4 of 6 completed, 2 failed · best loss 1: lr=1 seed=1"


def test_of_many_runs_the_table_has_the_best_and_those_that_failed(hopx: Any) -> None:
    code = (
        "import sys\nprint('val_acc:', n if n < 28 else -n); print('<b>', file=sys.stderr)\nif n == 20: raise KeyError"
    )
    sweep = hopx.sweep(code, {"n": list(range(30))}).wait()
    *rows, note = str(sweep).splitlines()
    shown = [int(row.split()[0]) for row in rows[1:]]
    assert shown == [*range(10), 20, 27]
    assert "★ 27" in rows[-1]
    assert "exit 1: KeyError" in rows[-2]
    assert note.endswith("best val_acc 27: n=27 · 12 of 30 runs shown")
    bundle = sweep._repr_mimebundle_()
    assert bundle["text/plain"] == str(sweep)
    assert bundle["text/html"].count("<tr>") == 13
    assert "<b>" not in bundle["text/html"]


def test_an_agent_that_hangs_holds_up_no_display(odd_agent: Any, connection_of: Any) -> None:
    gate = threading.Event()

    def hang(asked: Asked) -> None:
        gate.wait()
        asked.reply({"processes": []})

    connection = connection_of(odd_agent(hang))
    run = Run(Process(process_id=ProcessId("p1"), status="running"), AgentSource(connection))
    try:
        shown = str(Sweep([run], "abcd"))  # would wait for ever: the gate opens behind it
    finally:
        gate.set()
    assert "▸ running" in shown
    assert shown.endswith(f"sweep abcd: 0 of 1 completed, 1 running · no answer from {connection.name}")
