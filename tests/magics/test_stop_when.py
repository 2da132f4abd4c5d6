"""Cells that are stopped when a metric meets a bound, in a real IPython with an agent of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.error import UsageError

from hopx_magics.connection.connection import Connection
from hopx_magics.errors import LaunchError, RunFailed
from hopx_magics.launches import checked_launch
from tests.conftest import OddAgent
from tests.magics.completing import completions
from tests.standins.server import Answer

Cell = Callable[[str], Any]

DIVERGES = "import time\nfor loss in (1, 5, 12.3, 100):\n    print(f'{loss = }', flush=True)\ntime.sleep(1000)"
STOPPED = "stopped when loss>10: loss was 12.3"


def test_it_is_stopped_and_that_is_no_failure(cell: Cell, hopx: Any) -> None:
    run = cell(f'%%hopx_bg --name fit --stop-when acc>=0.9 --stop-when "loss > 10" -o run\n{DIVERGES}')
    (waited,) = cell("%hopx_wait fit").to_dict("records")
    assert (waited["status"], waited["status_detail"]) == ("killed", STOPPED)
    run.refresh()
    assert repr(run).endswith(f"({STOPPED})>")
    with pytest.raises(RunFailed, match="stopped when loss>10"):
        run.result()  # there is none
    (kept,) = cell("%hopx_history").to_dict("records")
    assert (kept["status"], kept["status_detail"]) == ("killed", STOPPED)
    assert STOPPED in str(cell("%hopx_show fit"))
    hopx.wait(hopx.attach(run.run_id), check=True)


def test_what_is_launched_again_needs_as_much_and_is_stopped_as_well(cell: Cell, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOPX_GPUS", "7")
    cell(f'%%hopx_bg --name fit --gpus 1 --stop-when "loss>10"\n{DIVERGES}')
    again = cell("%hopx_rerun fit")
    cell("%hopx_wait fit")
    process = again.refresh()
    assert (process.gpus, process.status_detail) == (("7",), STOPPED)


def test_only_those_of_a_sweep_are_stopped_that_meet_it(cell: Cell) -> None:
    runs = cell(
        '%%hopx_bg --sweep x=1,20 --stop-when "loss>10" -o runs\nprint(f"loss: {x}", flush=True)\n'
        "import time; time.sleep(1000 if x > 10 else 0)"
    )
    assert cell("%hopx_wait runs").status.tolist().count("killed") == 1
    assert [run.status for run in runs] == ["completed", "killed"]
    assert runs.failed == []


def test_what_was_killed_by_hand_is_a_failure_still(cell: Cell) -> None:
    run = cell('%%hopx_bg --stop-when "loss>10" -o run\nimport time; time.sleep(1000)')
    run.kill()
    with pytest.raises(RunFailed, match="killed"):
        cell("%hopx_wait run")


@pytest.mark.parametrize("bound", ["loss", '"loss > high"', "loss=>3"])
def test_what_is_no_bound_is_refused_before_anything_is_launched(cell: Cell, bound: str) -> None:
    with pytest.raises(UsageError, match="is no bound of a metric"):
        cell(f"%%hopx_bg --stop-when {bound}\npass")
    assert cell("%hopx_ps").empty


def test_other_agents_cannot_stop_it(
    odd_agent: Callable[[Answer], OddAgent], connection_of: Callable[[OddAgent], Connection]
) -> None:
    agent = odd_agent(lambda asked: asked.reply({"agent": "another one"}))
    connection = connection_of(agent)
    with pytest.raises(LaunchError, match=r"can't stop a run by what it prints \(--stop-when\)"):
        connection.launch(checked_launch("pass", stop_when="loss>10"))
    assert [asked.path for asked in agent.asked] == ["/info"], "nothing is sent"


def test_tab_offers_it(cell: Cell, shell: Any) -> None:
    assert completions(shell, "%%hopx_bg --sto\nx") == ["--stop-when"]
