"""What is known of a process and of its run: the same labels wherever it is told."""

from datetime import timedelta

from hopx_magics.display.facts import all_facts_of, facts_of, facts_of_run
from hopx_magics.models import Process, ProcessId
from hopx_magics.values.facts import Fact, Left
from tests.display.pages import NOW, kept_run


def process(**fields: object) -> Process:
    made: dict[str, object] = {"process_id": ProcessId("p"), "status": "running", "execution_time": 9.0}
    return Process(**made | fields)  # type: ignore[arg-type]


def test_of_a_process_that_the_history_does_not_know() -> None:
    facts = dict(facts_of(process(pid=7, exit_code=0, stdout_bytes=12_345, stderr_bytes=0), ("gpu", "176")))
    assert facts == {
        "process id": "p",
        "pid": "7",
        "connection": "gpu (sandbox 176)",
        "running time": "9 s",
        "exit code": "0",
        "stdout": "12,345 bytes",
        "stderr": "0 bytes",
    }
    assert [label for label, _ in all_facts_of(process(name="n", status_detail="why"), ("local", None))][:3] == [
        *("name", "status", "reason"),
    ]


def test_what_runs_now_was_not_last_seen() -> None:
    run = kept_run(status="running", exit_code=None, execution_time=3.0, seen_at=NOW)
    now = dict(all_facts_of(process(started_at=run.started_at), ("local", None), run))
    then = dict(facts_of_run(run))
    assert (now["running time"], then["running time"]) == ("9 s", "3 s when last seen")
    assert now["queued for"] == then["queued for"] == "12 s"
    assert "last seen" in then
    assert "last seen" not in now
    assert "last seen" not in dict(facts_of_run(kept_run(seen_at=NOW - timedelta(days=1))))


def test_params_tags_and_names_of_the_environment_are_told() -> None:
    run = kept_run(params={"lr": 0.1, "text": "ü"}, tags={"stage": "final"}, env_names=("A", "B"), timeout=60)
    facts = dict(all_facts_of(process(), ("local", None), run))
    assert facts.items() >= {
        "parameter lr": "0.1", "parameter text": '"ü"', "tag stage": "final", "environment": "A, B",
        "time limit": "1 min", "folder": "/work", "version": "hopx_magics 1.2",
    }.items()  # fmt: skip


def test_nothing_acts() -> None:
    hostile = "a\x1b[2J\n\u202eb"
    run = kept_run(params={hostile: hostile}, tags={hostile: hostile}, workdir=hostile)
    for label, text in all_facts_of(process(name=hostile, language=hostile), (hostile, hostile), run):
        assert label.isprintable()
        assert text.isprintable()


def test_of_what_a_cell_got_and_left() -> None:
    given = (Fact("df", "pandas.DataFrame", 94_000_000), Fact("f", "function"), Fact("pd", "module pandas"))
    left = Left(Fact("", "float", 24), (Fact("model", "dict", 1_234),), ("nosuch",))
    facts = dict(all_facts_of(process(), ("local", None), kept_run(values_in=given, left=left, displays=3)))
    assert {label: facts[label] for label in ("values in", "values out", "result", "displays")} == {
        "values in": "df (94 MB), f(), pd",
        "values out": "model, nosuch (never set)",
        "result": "float, 24 bytes",
        "displays": "3",
    }
