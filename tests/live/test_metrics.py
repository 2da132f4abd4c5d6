"""The metrics of a row: read from what is new of its output, each line once."""

import json
import zlib
from datetime import UTC, datetime
from typing import Any

from hopx_magics.live.metrics import POINTS, Best
from hopx_magics.live.rows import Rows
from hopx_magics.models import Listing, Process, ProcessId
from hopx_magics.output.metrics import MOST_METRICS

TAIL = 2_000


class Watched:
    """A table of one process, whose agent tells the end of what it has printed."""

    def __init__(self, best: Best | None = None) -> None:
        self.rows = Rows(lambda process: True, best=best)
        self.printed = b""

    def prints(self, text: str, **fields: Any) -> dict[str, list[float | str]]:
        """The points that a page is told when so much more has been printed."""
        self.printed += text.encode()
        told: dict[str, Any] = {"status": "running", "stdout_bytes": len(self.printed), **fields}
        end = self.printed[-TAIL:].decode(errors="replace")
        process = Process(process_id=ProcessId("proc_1"), stdout=end, **told)
        listing = Listing(told=(process,), agent="agent", received_at=datetime.now(UTC))
        self.rows.update("local", listing)
        changes = self.rows.take_changes().rows
        return changes.get(0, {}).get("metrics", {})

    @property
    def packed(self) -> dict[str, list[float | str]]:
        """The points that a new page is told."""
        points: dict[str, list[float | str]] = json.loads(zlib.decompress(self.rows.packed()))["metrics"][0]
        return points


def test_only_new_points_are_told_and_a_new_page_gets_the_last_ones() -> None:
    watched = Watched()
    assert watched.prints("loss: 0.5\nloss: 0.4\n") == {"loss": [0.5, 0.4]}
    assert watched.prints("no number\n") == {}
    assert watched.prints("loss: 0.3 acc: 0.9\nloss: 0.") == {"loss": [0.3], "acc": [0.9]}
    assert watched.prints("25\n") == {"loss": [0.25]}, "a line that was not complete yet"
    assert watched.prints("loss: 0.25\n") == {"loss": [0.25]}, "the same number again is a point"
    assert watched.prints("loss: 0.2", status="completed") == {"loss": [0.2]}
    assert watched.packed == {"loss": [0.5, 0.4, 0.3, 0.25, 0.25, 0.2], "acc": [0.9]}


def test_much_output_at_once_leaves_its_end() -> None:
    watched = Watched()
    watched.prints("loss: 9\n")
    told = watched.prints("".join(f"loss: {number}.5 ü\n" for number in range(1000)))
    assert told["loss"][-1] == 999.5
    assert len(told["loss"]) == POINTS
    assert all(isinstance(point, float) and point > 900 for point in told["loss"])


def test_what_is_no_number_travels_and_many_metrics_are_bounded() -> None:
    watched = Watched()
    assert watched.prints("loss: nan\nloss: -inf\n") == {"loss": ["NaN", "-Infinity"]}
    for begin in range(0, 10_000, 50):
        watched.prints("".join(f"m{number}x: 1.5\n" for number in range(begin, begin + 50)))
    assert len(watched.packed) == MOST_METRICS
    ((_, row),) = watched.rows
    assert row.metrics_cut
    assert watched.prints("loss: 0.5\n") == {"loss": [0.5]}, "those that are followed stay"


def test_the_best_so_far_is_a_metric() -> None:
    watched = Watched(Best("min", "loss"))
    watched.prints("loss: nan\nloss: 0.5\nloss: 0.7\n")
    assert watched.prints("loss: 0.4\nloss: 0.6\n") == {"loss": [0.4, 0.6], "min loss": [0.4, 0.4]}


def test_the_header_of_a_table_is_known_when_its_rows_come() -> None:
    watched = Watched()
    watched.prints("  epoch    train_loss    valid_loss\n-------  ------------  ------------\n")
    assert watched.prints("      1        0.5000        0.6000\n") == {"train_loss": [0.5], "valid_loss": [0.6]}


def test_more_output_than_can_be_read_at_once_is_read_on() -> None:
    rows = Rows(lambda process: True)
    text = "".join(f"loss: {number}.5 acc: 1.5\n" for number in range(100))
    processes = tuple(Process(process_id=ProcessId(f"p{n}"), status="running", stdout=text) for n in range(100))
    rows.update("local", Listing(told=processes, agent="agent", received_at=datetime.now(UTC)))
    assert rows.has_unread
    while rows.has_unread:
        rows.read_on()
    assert all(row.metrics == {"loss": 99.5, "acc": 1.5} for _, row in rows)


def test_what_is_left_unread_and_then_has_no_output_any_more_is_done() -> None:
    rows = Rows(lambda process: True)
    text = "".join(f"loss: {number}.5 acc: 1.5\n" for number in range(100))
    for output in (text, None):
        processes = tuple(Process(process_id=ProcessId(f"p{n}"), status="running", stdout=output) for n in range(100))
        rows.update("local", Listing(told=processes, agent="agent", received_at=datetime.now(UTC)))
    assert not rows.has_unread
