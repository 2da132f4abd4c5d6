"""`df.hopx`: sums and metrics of the DataFrames of processes and of runs."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from hopx_magics.display import accessor, frames
from hopx_magics.errors import NameWarning, UnknownColumn
from hopx_magics.models import Process, ProcessId
from hopx_magics.words import STATUSES

NOW = datetime.now(UTC)

accessor.register()


def history(*rows: dict[str, Any]) -> pd.DataFrame:
    """As %hopx_history has it, with the columns that matter here; what a row does not say is missing."""
    frame = pd.DataFrame([{"run_id": f"r{number}", "name": "fit", **row} for number, row in enumerate(rows)])
    for name in ("started_at", "completed_at", "launched_at"):
        frame[name] = pd.to_datetime(frame.get(name, pd.Series(pd.NaT, frame.index)), utc=True)
    frame["execution_time"] = frame.get("execution_time", pd.Series(float("nan"), frame.index)).astype("float64")
    frame["status"] = pd.Categorical(frame["status"], list(STATUSES), ordered=True)
    return frame


def processes(*rows: Process) -> pd.DataFrame:
    return frames.processes_frame(rows, [("local", None)] * len(rows))


def process(process_id: str, **fields: Any) -> Process:
    return Process(process_id=ProcessId(process_id), **fields)


SWEEP = history(
    {"status": "completed", "execution_time": 1.0, "param.lr": 0.1, "tag.exp": "a"},
    {"status": "completed", "execution_time": 4.0, "param.lr": 0.1, "tag.exp": "b"},
    {"status": "failed", "execution_time": 2.0, "param.lr": 0.01, "tag.exp": "a"},
    {"status": "running", "execution_time": 9.0, "param.lr": 0.1},
    {"status": "completed", "execution_time": 8.0},
)


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """With None for what is missing."""
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame.itertuples()]


def test_all_statuses_in_their_order() -> None:
    frame = SWEEP.hopx.by_status()
    assert list(frame.columns) == ["count", "median_time", "max_time"]
    assert rows(frame) == [
        ("queued", 0, None, None),
        ("running", 1, 9.0, 9.0),
        ("completed", 3, 4.0, 8.0),
        ("failed", 1, 2.0, 2.0),
        ("killed", 0, None, None),
        ("unknown", 0, None, None),
    ]


def test_of_no_runs_all_statuses_too() -> None:
    assert list(processes().hopx.by_status()["count"]) == [0] * 6
    assert list(processes().hopx.by("name").columns) == ["count", "completed", "failed", "median_time", "max_time"]


def test_a_status_that_is_no_longer_a_categorical() -> None:
    texts = SWEEP.assign(status=SWEEP["status"].astype(str).replace("failed", "exploded"))
    assert list(texts.hopx.by_status()["count"]) == [0, 1, 3, 0, 0, 1], "no row is dropped"


def test_groups_count_and_time_what_has_ended() -> None:
    frame = SWEEP.hopx.by("param.lr")
    assert frame.index.name == "param.lr"
    assert rows(frame) == [(0.01, 1, 0, 1, 2.0, 2.0), (0.1, 3, 2, 0, 2.5, 4.0), (None, 1, 1, 0, 8.0, 8.0)]


def test_short_names_of_params_and_tags() -> None:
    pd.testing.assert_frame_equal(SWEEP.hopx.by("lr"), SWEEP.hopx.by("param.lr"))
    pd.testing.assert_frame_equal(SWEEP.hopx.by("exp"), SWEEP.hopx.by("tag.exp"))
    both = SWEEP.assign(lr="column")
    assert list(both.hopx.by("lr").index) == ["column"]


def test_groups_of_processes() -> None:
    frame = processes(process("p", name="a", status="completed", execution_time=2.0), process("q", status="killed"))
    assert rows(frame.hopx.by("name")) == [("a", 1, 1, 0, 2.0, 2.0), (None, 1, 0, 0, None, None)]
    assert list(frame.hopx.by("status").index) == ["completed", "killed"]


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ([[1, 2], [1, 2], {"a": 1}], {"[1, 2]": 2, "{'a': 1}": 1}),
        ([True, 1, "1"], {"1": 2, "True": 1}),
        ([2, 10, 2.5], {2: 1, 2.5: 1, 10: 1}),
        (["b", "a", pd.NA], {"a": 1, "b": 1, None: 1}),
        ([None, [1], None], {"None": 2, "[1]": 1}),
        ([None, 0.1, pd.NA], {0.1: 1, "None": 1, None: 1}),
        ([None, True, pd.NA], {True: 1, "None": 1, None: 1}),
        ([None, "Z", float("nan")], {"None": 1, "Z": 1, None: 1}),
    ],
)
def test_values_of_any_kind_are_grouped(values: list[Any], groups: dict[Any, int]) -> None:
    frame = history(*[{"status": "completed"}] * 3).assign(**{"param.x": pd.Series(values, dtype="object")})
    frame.index = pd.Index([7, 7, 8])  # as after pd.concat
    counts = frame.hopx.by("x")["count"]
    assert [(None if pd.isna(value) else value, count) for value, count in counts.items()] == list(groups.items())


LOGS = history(
    {"status": "completed", "param.lr": 0.1, "tag.exp": "a", "stdout": "loss: 0.9\nloss: 0.5\nacc=0.7\n"},
    {"status": "running", "param.lr": 0.2, "stdout": "", "stderr": "loss: 0.8\nstep 1, f1=0.3\rstep 2, f1=0.4"},
    {"status": "failed", "param.lr": 0.3, "stdout": "loss: nan\n", "stderr": "loss: 7.0\n"},
    {"status": "queued", "param.lr": 0.4},
)


def test_metrics_are_columns_beside_the_params() -> None:
    frame = LOGS.hopx.metrics()
    assert list(frame.columns) == ["run_id", "name", "param.lr", "tag.exp", "loss", "acc", "f1"]
    assert rows(frame) == [
        (0, "r0", "fit", 0.1, "a", 0.5, 0.7, None),
        (1, "r1", "fit", 0.2, None, 0.8, None, 0.4),
        (2, "r2", "fit", 0.3, None, None, None, None),
        (3, "r3", "fit", 0.4, None, None, None, None),
    ]
    assert [str(frame[name].dtype) for name in ("loss", "acc", "f1")] == ["float64"] * 3


def test_metrics_keep_rows_and_index() -> None:
    frame = LOGS.iloc[[2, 0]].set_index(pd.Index(["x", "x"])).hopx.metrics()
    assert list(frame.index) == ["x", "x"]
    assert list(frame["run_id"]) == ["r2", "r0"]
    assert list(frame["acc"].fillna(-1)) == [-1, 0.7]


def test_every_value() -> None:
    frame = LOGS.hopx.metrics(all=True)
    assert list(frame.columns) == ["run_id", "name", "param.lr", "tag.exp", "stream", "line", "metric", "value"]
    assert [str(frame[name].dtype) for name in ("stream", "line", "metric", "value")] == [
        *("str", "Int64", "str", "float64")
    ]
    assert rows(frame[["run_id", "stream", "line", "metric", "value"]]) == [
        (0, "r0", "stdout", 1, "loss", 0.9),
        (1, "r0", "stdout", 2, "loss", 0.5),
        (2, "r0", "stdout", 3, "acc", 0.7),
        (3, "r2", "stdout", 1, "loss", None),
        (4, "r1", "stderr", 1, "loss", 0.8),
        (5, "r1", "stderr", 2, "f1", 0.4),
        (6, "r2", "stderr", 1, "loss", 7.0),
    ]


def test_metrics_of_processes() -> None:
    """Their DataFrame has symbols in place of what would act on a terminal."""
    keras = "\x1b[1m1/2\x1b[0m - loss: 0.9\x1b[K\r\x1b[1m2/2\x1b[0m - loss: 0.\x1b[1m5\x1b[0m"
    frame = processes(process("p", name="n", stdout=keras), process("q"))
    assert "␛" in frame["stdout"][0]
    assert rows(frame.hopx.metrics()) == [(0, "p", "n", 0.5), (1, "q", None, None)]
    assert list(frame.hopx.metrics(all=True)["process_id"]) == ["p"]


def test_no_output_no_metrics() -> None:
    assert list(processes().hopx.metrics().columns) == ["process_id", "name"]
    assert len(processes(process("p")).hopx.metrics(all=True)) == 0
    only = LOGS[["stderr"]].hopx.metrics()
    assert list(only.columns) == ["loss", "f1"]


def test_a_pattern_finds_other_numbers() -> None:
    frame = LOGS.hopx.metrics(r"(?P<name>step) (?P<value>\d+)")
    assert list(frame.columns)[4:] == ["step"]
    assert frame["step"][1] == 2
    for frame in (LOGS, processes()):
        with pytest.raises(ValueError, match="no regular expression"):
            frame.hopx.metrics("(")


def test_wild_output_makes_no_more_columns_than_anyone_reads() -> None:
    wild = "".join(f"m{number}: {number}\n" for number in range(10_000)) + "m7: 0.5\n"
    frame = history({"status": "completed", "stdout": wild}, {"status": "completed", "stdout": "loss: 0.3\n"})
    with pytest.warns(NameWarning, match="only the first 100 metrics of each run are columns") as told:
        metrics = frame.hopx.metrics()
    assert told[0].filename == __file__
    assert list(metrics.columns) == ["run_id", "name", *(f"m{number}" for number in range(100)), "loss"]
    assert metrics["m7"][0] == 0.5
    assert frame.hopx.metrics(r"(?P<name>m9999): (?P<value>.+)")["m9999"][0] == 9999
    assert len(frame.hopx.metrics(all=True)) == 10_002


def test_a_metric_that_is_called_as_another_column() -> None:
    frame = history({"status": "completed", "stdout": "name=5 self=6"}).hopx.metrics()
    assert rows(frame) == [(0, "r0", "fit", 5.0, 6.0)]
    assert list(frame.columns) == ["run_id", "name", "metric.name", "self"]


def test_the_name_of_a_parameter_is_no_metric() -> None:
    frame = history(
        {"status": "completed", "stdout": "lr=0.1 seed=3 loss=0.3", "param.lr": 0.1, "param.loss": "mse"},
        {"status": "completed", "stdout": "lr=0.05 loss=0.2", "param.lr": None, "param.loss": "mae"},
    )
    metrics = frame.hopx.metrics()
    assert list(metrics.columns) == ["run_id", "name", "param.lr", "param.loss", "loss"]
    assert list(metrics["loss"]) == [0.3, 0.2]
    assert set(frame.hopx.metrics(all=True)["metric"]) == {"loss"}
    assert list(frame.hopx.metrics(r"(?P<name>lr)=(?P<value>\S+)")["lr"]) == [0.1, 0.05], "who asks for it gets it"


def test_missing_columns() -> None:
    other = pd.DataFrame({"status": ["completed"], "x": [1]})
    with pytest.raises(ValueError, match=r"no column 'execution_time'\n\.hopx is for the DataFrames of %hopx_ps"):
        other.hopx.by_status()
    with pytest.raises(ValueError, match="no column 'execution_time'"):
        other.hopx.by("x")
    with pytest.raises(ValueError, match="no column 'status'"):
        other[["x"]].hopx.by_status()
    with pytest.raises(ValueError, match=r"there is no column 'y'\nThere are status, x\.$"):
        other.hopx.by("y")
    with pytest.raises(ValueError, match=r"there is no column 'stauts'\nDid you mean 'status'\?$"):
        other.hopx.by("stauts")
    wide = pd.DataFrame({name: [0] for name in ["status", *(f"param.p{number}" for number in range(30))]})
    with pytest.raises(UnknownColumn, match=r"\nThere are param\.p0, .* and 19 more: df\.columns has all\.$"):
        wide.hopx.by("other")
    with pytest.raises(UnknownColumn, match=r"\nDid you mean 'param\.learning_rate'\?$"):
        other.assign(**{"param.learning_rate": 1}).hopx.by("learnin_rate")
    with pytest.raises(ValueError, match="%hopx_history --output"):
        SWEEP.hopx.metrics()
    with pytest.raises(ValueError, match="no column 'started_at'"):
        other.hopx.timeline()
    with pytest.raises(ValueError, match="no column 'execution_time'"):
        other.hopx.durations()


def test_the_frame_itself_stays_as_it_is() -> None:
    before = LOGS.copy(deep=True)
    LOGS.hopx.by("lr"), LOGS.hopx.by_status(), LOGS.hopx.metrics(), LOGS.hopx.metrics(all=True)
    pd.testing.assert_frame_equal(LOGS, before)


def test_registering_twice_is_silent_and_imports_no_matplotlib() -> None:
    script = (
        "import sys, pandas\n"
        "from hopx_magics.display import accessor\n"
        "accessor.register(); accessor.register()\n"
        "assert isinstance(pandas.DataFrame().hopx, accessor.HopxAccessor)\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
