"""The outputs of what has ended are kept by a thread, which nothing ends."""

from collections.abc import Sequence
from typing import Any

from hopx_magics.kept import KeptEnd, KeptOutput
from hopx_magics.models import ProcessId, RunId
from hopx_magics.run_history import reading, writing
from hopx_magics.run_history.database import Database
from hopx_magics.run_history.outputs import OutputKeeper
from tests.waiting import DEADLINE

from .conftest import HERE, NOW, begun, seen


def test_a_fetch_that_fails_oddly_is_tried_again(history: Database) -> None:
    begun(history, "a")
    history.write(writing.record, HERE, [seen("proc_a", "completed")], NOW)
    faults: list[Exception] = [ValueError("odd"), OverflowError("large")]

    def fetch(process_ids: Sequence[ProcessId]) -> Any:
        if faults:
            raise faults.pop()
        kept = KeptOutput(head=b"all of it", tail=b"", size=9)
        return {process_id: KeptEnd(streams={"stdout": kept, "stderr": kept}) for process_id in process_ids}

    keeper = OutputKeeper(history)
    for _ in range(3):
        keeper.keep(HERE, fetch)
        assert keeper.drain(DEADLINE)
    assert not faults
    assert history.read(reading.output, RunId("a"))["stdout"].text == "all of it"
