"""What waits, in its order, and how it is changed: on the local agent, and where sweeps wait to be handed out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

FOREVER = "sleep 1000"


@pytest.fixture(autouse=True)
def _two_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_MAX_RUNNING", "2")


def bash(hopx: Any, code: str = FOREVER, **options: Any) -> Any:
    return hopx.launch(code, language="bash", **options)


def test_what_waits_in_the_order_of_its_turns(hopx: Any) -> None:
    for name in ("one", "two"):
        bash(hopx, name=name)
    bash(hopx, name="later")
    bash(hopx, name="held")
    bash(hopx, name="soon", first=True)
    hopx.pause("held")
    frame = hopx.queue()
    assert list(frame.columns) == [
        *("place", "name", "process_id", "waits_for", "why", "expected_start", "connection"),
    ]
    assert frame.name.tolist() == ["soon", "later", "held"]
    assert frame.place.tolist()[:2] == [1, 2]
    assert frame.place.isna().tolist() == [False, False, True]
    assert frame.waits_for.tolist() == ["slot", "slot", "resume"]
    assert frame.why[0] == "2 of 2 running on this machine"
    assert frame.expected_start.isna().all(), "nobody knows when what runs will end"
    assert hopx.queue(slots=3).name.tolist() == ["later", "held"]
    assert hopx.queue(slots=0).why[0] == "3 of 2 running on this machine", "nothing is stopped"


def test_a_start_is_expected_by_earlier_runs_and_by_what_is_printed(hopx: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"until [ -e {gate} ]; do sleep 0.01; done"
    gate.touch()
    bash(hopx, code).wait()
    gate.unlink()
    known = bash(hopx, code)
    printing = bash(hopx, f"echo 'step 1/2'; {FOREVER}")
    for _ in range(3):
        bash(hopx, code)
    wait_until(lambda: printing.stdout, "it has printed")
    frame = hopx.queue()
    assert frame.expected_start.notna().all()
    assert frame.expected_start.is_monotonic_increasing
    assert known.process.status == "running"
    hopx.pause(known, printing)
    assert hopx.queue().expected_start.isna().all(), "what is paused never ends"


def test_the_limit_of_a_sweep_is_changed_by_any_of_its_runs(hopx: Any) -> None:
    hopx.queue(slots=10)
    runs = hopx.sweep(FOREVER, {"n": [1, 2, 3, 4]}, limit=1, language="bash", name="fit")
    other = bash(hopx, name="other")
    assert hopx.queue().waits_for.tolist() == ["limit"] * 3
    assert hopx.queue(sweep="fit", limit=2).why.tolist() == ["limit 2 of its sweep"] * 2
    assert len(hopx.queue(sweep=runs[3], limit=3)) == 1
    assert hopx.queue(sweep=runs, limit=0).empty
    with pytest.raises(ValueError, match="other is no sweep"):
        hopx.queue(sweep=other, limit=1)
    with pytest.raises(ValueError, match="say both"):
        hopx.queue(limit=1)
    with pytest.raises(ValueError, match="use 1 or more"):
        hopx.queue(slots=-1)


def test_what_waits_to_be_handed_out_is_a_queue_too(hopx: Any, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    assert hopx.pause(queue=True).result.tolist() == ["paused"], "the agent's own"
    hopx.resume(queue=True)
    runs = hopx.sweep(FOREVER, {"n": list(range(6))}, limit=1, on="a,b", language="bash", name="fit", env={"X": "x"})
    wait_until(lambda: sum(run.process_id is not None for run in runs) == 1, "one is handed out")
    frame = hopx.queue()
    assert frame.place.tolist() == [1, 2, 3, 4, 5]
    assert set(frame.why) == {"to be handed out to one of several connections"}
    assert hopx.pause(queue=True).result.tolist() == ["paused", "paused"]
    hopx.queue(sweep="fit", limit=3)
    with pytest.raises(ValueError, match="handed out to one of several connections and can't be paused"):
        hopx.pause(runs[5])
    assert sum(run.process_id is not None for run in runs) == 1
    hopx.resume(queue=True)
    wait_until(lambda: sum(run.process_id is not None for run in runs) == 3, "three are handed out")
    hopx.kill(runs)


def test_a_run_that_is_launched_anew_is_its_last_try(hopx: Any, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    code = f"echo $n >> {tries}; echo try; [ $(grep -c $n {tries}) -ge 3 ]"
    run = hopx.launch(code, language="bash", name="fit", params={"n": 7}, tags={"exp": "x"}, retry=3, retry_delay=0.1)
    first = run.run_id
    assert hopx.wait(run, check=True) == [run]
    assert (run.status, run.exit_code, run.params) == ("completed", 0, {"n": 7})
    assert run.run_id != first
    wait_until(lambda: (hopx.history().status != "queued").all() and len(hopx.history()) == 3, "all tries are known")
    frame = hopx.history(tags={"exp": "x"}).iloc[::-1]
    assert frame["status"].tolist() == ["failed", "failed", "completed"]
    assert frame["param.n"].tolist() == [7, 7, 7]
    assert frame["rerun_of"].tolist()[1:] == frame["run_id"].tolist()[:-1], "each points to the one before"
    assert frame["run_id"].tolist()[0] == first
    assert hopx.rerun(run).wait().status == "completed"


def test_all_tries_of_a_sweep_are_waited_for(hopx: Any, tmp_path: Path) -> None:
    code = f"mkdir {tmp_path}/$n"
    code += " && exit 1 || exit 0"
    runs = hopx.sweep(code, {"n": [1, 2, 3]}, language="bash", retry=1)
    assert {run.status for run in runs.wait()} == {"completed"}
    again = hopx.launch("exit 1", language="bash", retry=1, retry_delay="1h", name="later")
    wait_until(lambda: again.status == "queued" and hopx.queue().waits_for.tolist() == ["retry"], "it waits")
    assert again.kill() == "killed"
    assert again.wait().status == "killed"
    with pytest.raises(ValueError, match="-1 times again can't be"):
        hopx.launch("1", retry=-1)
