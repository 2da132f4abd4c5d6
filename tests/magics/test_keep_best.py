"""Sweeps of which the best go on at half time, in a real IPython with an agent of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.error import UsageError

from tests.magics.completing import completions

Cell = Callable[[str], Any]

CODE = "import time\nprint(f'epoch 5/10 loss: {lr}', flush=True)\ntime.sleep(1000 if lr > 1 else 0)"


def test_the_others_are_ended_and_that_is_no_failure(cell: Cell) -> None:
    runs = cell(f"%%hopx_bg --sweep lr=1,2,3 --keep-best 1 loss -o runs\n{CODE}")
    assert cell("%hopx_wait runs").status.tolist().count("killed") == 2
    assert [run.status for run in runs] == ["completed", "killed", "killed"]
    assert runs.failed == []
    assert "not among the best 1 by loss: 3 at half time" in str(runs)
    (kept,) = cell("%hopx_history --status killed --limit 1").to_dict("records")
    assert kept["status_detail"] == "not among the best 1 by loss: 3 at half time"


def test_a_metric_that_nobody_prints_is_told_with_the_nearest(cell: Cell) -> None:
    runs = cell("%%hopx_bg --sweep lr=1,2 --keep-best 1 min los -o runs\nprint('loss:', lr)")
    cell("%hopx_wait runs")
    assert "none has printed 'los', by which the best are kept: did you mean 'loss'?" in str(runs)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--keep-best 3 loss", "--keep-best is for --sweep"),
        ("--sweep a=1,2 --keep-best loss", "'loss' does not say which runs are kept"),
        ("--sweep a=1,2 --keep-best 0 loss", "does not say which runs are kept"),
        ("--sweep a=1,2 --keep-best 3 foo", "say 3 min foo, or max"),
    ],
)
def test_what_is_no_rule_is_refused_before_anything_is_launched(cell: Cell, line: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        cell(f"%%hopx_bg {line}\npass")
    assert words in str(refused.value)
    assert cell("%hopx_ps").empty


def test_several_connections_are_refused(hopx: Any, odd_agent: Any) -> None:
    hopx.connect(odd_agent(lambda asked: asked.reply({"processes": []})).url, name="other")
    with pytest.raises(ValueError, match="on one connection"):
        hopx.sweep("pass", {"a": [1, 2]}, keep_best="1 loss", on=["local", "other"])
    with pytest.raises(hopx.LaunchError, match="by what it prints"):
        hopx.sweep("pass", {"a": [1, 2]}, keep_best="1 loss", on="other")


def test_tab_offers_it(cell: Cell, shell: Any) -> None:
    assert completions(shell, "%%hopx_bg --keep\nx") == ["--keep-best"]
    assert completions(shell, "%%hopx_bg --keep-best 3 ma\nx") == ["max"]
