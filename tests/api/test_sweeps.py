"""What a sweep tells of its runs and does with them, on a real local agent."""

import os
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.errors import UnknownColumn
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


def test_what_failed_is_launched_again(sweep: Any) -> None:
    again = sweep.rerun_failed()
    assert [run.params for run in again] == [{"lr": 3, "seed": 1}, {"lr": 3, "seed": 5}]
    assert [run.exit_code for run in again.wait()] == [2, 2]


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
