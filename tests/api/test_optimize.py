"""Searches for the best parameters with a real optuna, on real local agents."""

import math
import signal
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from hopx_magics.errors import LaunchError, LaunchInterrupted, ResultError, UnknownColumn

optuna.logging.set_verbosity(optuna.logging.WARNING)

FOREVER = "import time; time.sleep(1000)"


def study_of(*trials: dict[str, Any], **how: Any) -> optuna.Study:
    """A study that asks for these parameters first."""
    study = optuna.create_study(**how)
    for params in trials:
        study.enqueue_trial(params)
    return study


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def test_what_is_printed_is_told(hopx: Any) -> None:
    study = study_of({"x": 3}, {"x": 1}, {"x": 2})
    code = "for step in range(3): print('loss:', x / (step + 1))\nprint('other: 0.5')"
    runs = hopx.optimize(code, study, 3, {"x": (1, 9)}, metric="loss", limit=2, tags={"exp": "a"}, name="fit")
    assert states(study) == ["COMPLETE"] * 3
    assert study.best_params == {"x": 1}
    assert [trial.value for trial in study.trials] == [1, 1 / 3, 2 / 3]
    assert study.trials[0].intermediate_values == {0: 3, 1: 1.5, 2: 1}
    assert [trial.user_attrs["run_id"] for trial in study.trials] == [run.run_id for run in runs]
    frame = hopx.history(sweep=runs.sweep_id).sort_values("tag.trial")
    assert frame[["name", "param.x", "tag.trial", "tag.exp"]].values.tolist() == [
        *(["fit", 3, "0", "a"], ["fit", 1, "1", "a"], ["fit", 2, "2", "a"]),
    ]
    assert runs.best("loss").params == {"x": 1}


def test_a_function_returns_several_values_of_a_space_that_a_function_chooses(hopx: Any) -> None:
    def both(x: float, act: str) -> tuple[float, int]:
        return x, len(act)

    def space(trial: optuna.Trial) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0, 1), "act": "relu"}

    study = study_of({"x": 0.5}, directions=["minimize", "maximize"])
    runs = hopx.optimize(both, study, 2, space)
    assert study.trials[0].values == [0.5, 4]
    assert states(study) == ["COMPLETE"] * 2
    assert len(runs) == 2


class AboveTen(optuna.pruners.BasePruner):
    """Prunes what was above 10 at its last step."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        return trial.intermediate_values[max(trial.intermediate_values)] > 10


def test_what_the_pruner_gives_up_is_killed(hopx: Any) -> None:
    study = study_of({"x": 5}, {"x": 20}, pruner=AboveTen())
    code = f"print('loss:', 1)\nprint('loss:', x, flush=True)\nif x > 10: {FOREVER}"
    runs = hopx.optimize(code, study, 2, {"x": (1, 100)}, metric="loss")
    assert states(study) == ["COMPLETE", "PRUNED"]
    assert study.trials[1].intermediate_values == {0: 1, 1: 20}
    assert [run.status for run in runs] == ["completed", "killed"]


def test_what_fails_or_is_no_number_is_told_as_failed(hopx: Any) -> None:
    study = study_of(*({"x": x} for x in (1, 2, 3, 4)))
    code = "if x == 2: raise KeyError(x)\n{1: 5, 3: float('nan'), 4: None}[x]"
    runs = hopx.optimize(code, study, 4, {"x": [1, 2, 3, 4]}, limit=1)
    assert states(study) == ["COMPLETE", "FAIL", "FAIL", "FAIL"]
    assert [run.status for run in runs] == ["completed", "failed", "completed", "completed"]
    assert study.best_value == 5


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_leaves_nothing_open(hopx: Any) -> None:
    def space(trial: optuna.Trial) -> dict[str, Any]:
        if trial.number == 2:
            signal.raise_signal(signal.SIGINT)
        return {"x": trial.suggest_int("x", 0, 9)}

    study = study_of()
    with pytest.raises(LaunchInterrupted, match="0 of 5 trials had ended, and 2 are told as failed") as interrupted:
        hopx.optimize(FOREVER, study, 5, space, metric="loss", name="open")
    assert states(study) == ["FAIL"] * 3
    assert len(interrupted.value.launched) == 2
    assert set(hopx.ps(name="open")["status"]) == {"killed"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, 9), "IntDistribution(high=9, log=False, low=1, step=1)"),
        ((1, 9.5), "FloatDistribution(high=9.5, log=False, low=1.0, step=None)"),
        ((1e-5, 0.1, "log"), "FloatDistribution(high=0.1, log=True, low=1e-05, step=None)"),
        (["relu", None], "CategoricalDistribution(choices=('relu', None))"),
        (optuna.distributions.IntDistribution(2, 8, step=2), "IntDistribution(high=8, log=False, low=2, step=2)"),
    ],
)
def test_what_is_a_space(hopx: Any, values: Any, kind: str) -> None:
    study = study_of()
    hopx.optimize("1", study, 1, {"x": values})
    assert repr(study.trials[0].distributions["x"]) == kind


@pytest.mark.parametrize("values", [5, "ab", (1,), (1, 2, 3), (1, "b"), [], None, (9, 1), (0, 5, "log"), (True, False)])
def test_what_is_no_space_is_refused(hopx: Any, values: Any) -> None:
    study = study_of()
    with pytest.raises(ValueError, match=r"does not say which values|`|low|log"):
        hopx.optimize("1", study, 1, {"x": values})
    assert hopx.ps().empty
    assert states(study) == []


def test_a_metric_that_nobody_prints_ends_it_at_once(hopx: Any) -> None:
    study = study_of()
    with pytest.raises(UnknownColumn, match="no run has printed a metric 'los'") as refused:
        hopx.optimize("print('loss: 3')", study, 50, {"x": (1, 9)}, metric="los", limit=2)
    assert refused.value.hint == "did you mean 'loss'?"
    with pytest.raises(ResultError, match="the result of fit is not a number"):
        hopx.optimize("print('loss: 3')", study, 50, {"x": (1, 9)}, name="fit", limit=2)
    assert set(states(study)) == {"FAIL"}
    with pytest.raises(ValueError, match="1 directions, and there are 2 metrics"):
        hopx.optimize("1", study, 1, {"x": (1, 9)}, metric=["a", "b"])


def test_what_cannot_be_launched_is_told_as_failed(hopx: Any, odd_agent: Any) -> None:
    hopx.connect(odd_agent(lambda asked: asked.reply({"processes": []})).url, name="odd")
    study = study_of()
    with pytest.raises(LaunchError):
        hopx.optimize("1", study, 3, {"x": (1, 9)}, on="odd", gpus=1)
    assert states(study) == ["FAIL"]


def test_several_connections_have_equally_many(hopx: Any, fleet: Callable[..., Any]) -> None:
    fleet("a", "b")
    study = study_of(*({"x": x} for x in (4, 3, 2, 1)))
    code = "echo loss: $x; echo accuracy 0.$x"
    runs = hopx.optimize(code, study, 4, {"x": (1, 9)}, metric="accuracy", on=["a", "b"], language="bash", limit=2)
    assert study.best_value == pytest.approx(0.1)
    assert {run.connection for run in runs} == {"a", "b"}
    assert not any(math.isnan(trial.value or 0) for trial in study.trials)
