"""Which processes are meant."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hopx_magics.api.filters import ProcessFilters, chooser
from hopx_magics.models import Process, ProcessId

NOW = datetime.now(UTC)


def process(process_id: str, **fields: object) -> Process:
    return Process(process_id=ProcessId(process_id), **fields)  # type: ignore[arg-type]


def test_choosing() -> None:
    rows = [
        process("proc_a1", name="train-1", status="running", language="python", started_at=NOW),
        process("proc_a2", name="train-2", status="failed", language="bash", started_at=NOW - timedelta(hours=3)),
        process("proc_b1", status="queued"),
    ]

    def chosen(*references: str, **filters: Any) -> list[str | None]:
        choose = chooser(references, ProcessFilters(**filters))
        return [row.process_id for row in rows if choose(row)]

    assert chosen() == ["proc_a1", "proc_a2", "proc_b1"]
    assert chosen(status=["running", "queued"]) == ["proc_a1", "proc_b1"]
    assert chosen(language="bash") == ["proc_a2"]
    assert chosen(name="train-*") == ["proc_a1", "proc_a2"]
    assert chosen(since=3600.0) == ["proc_a1", "proc_b1"]
    assert chosen("proc_a") == ["proc_a1", "proc_a2"]
    assert chosen("train-2", "proc_b1") == ["proc_a2", "proc_b1"]
    assert chosen("") == []
