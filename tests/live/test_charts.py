"""The curves of runs: read from all that they have printed, thinned where long, and told to pages as they come."""

import math
import threading
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from hopx_magics.client.agent import OutputPart
from hopx_magics.errors import AgentUnreachable
from hopx_magics.live.charts import MOST_RUNS, ChartViewers
from hopx_magics.live.curves import LEAST_VALUES, MOST_VALUES, RAW, Curve, RunCurves
from hopx_magics.live.growth import Growth
from hopx_magics.live.messages import Curves, CurvesOfRun, Message
from hopx_magics.live.panes import Read
from hopx_magics.live.rows import Rows
from hopx_magics.models import Listing, Process, ProcessId
from hopx_magics.output.metrics import MOST_METRICS
from hopx_magics.words import Stream
from tests.waiting import wait_until


class Followed:
    """A table whose runs print, and one page of it."""

    def __init__(self, count: int = 1) -> None:
        self.rows = Rows(lambda process: True)
        self.printed = [b""] * count
        self.status = ["running"] * count
        self.elapsed = 0.0
        self.unreachable = False
        self.messages: list[CurvesOfRun] = []
        self.curves: dict[tuple[str, int, str], list[float]] = {}
        self.told = threading.Condition()
        self.charts = ChartViewers(self.rows.process, self.rows.growth, self.reader, self.tell)
        self.lists()

    def reader(self, slot: int, stream: Stream) -> Read:
        def read(start: int, stop: int | None = None) -> OutputPart:
            if self.unreachable:
                raise AgentUnreachable("no answer", agent="a", sent=False)
            data = self.printed[slot] if stream == "stdout" else b""
            begin = max(0, len(data) + start) if start < 0 else start
            return OutputPart(data[begin:stop], begin, len(data))

        return read

    def tell(self, message: Message, buffers: Sequence[bytes] = ()) -> None:
        assert isinstance(message, Curves)
        values = array("f", buffers[0]).tolist()
        with self.told:
            for run in message.runs:
                for part in run.parts:
                    curve = self.curves.setdefault((message.to, run.run, part.name), [])
                    curve[:] = [*(curve if part.first else []), *values[: part.count]]
                    del values[: part.count]
            assert not values
            self.messages += message.runs

    def lists(self) -> None:
        """The agent tells how its processes are."""
        processes = tuple(
            Process(
                process_id=ProcessId(f"proc_{number}"),
                status=status,  # type: ignore[arg-type]
                stdout=printed[-2000:].decode(),
                stdout_bytes=len(printed),
                stderr_bytes=0,
                execution_time=self.elapsed,
            )
            for number, (printed, status) in enumerate(zip(self.printed, self.status, strict=True))
        )
        self.rows.update("local", Listing(told=processes, agent="agent", received_at=datetime.now(UTC)))
        self.charts.grow()

    def prints(self, text: str, run: int = 0) -> None:
        self.printed[run] += text.encode()
        self.lists()

    def shows(self, *runs: int, page: str = "page", anew: bool = False) -> None:
        self.charts.show(page, 0, runs, anew=anew)

    def curve(self, name: str, run: int = 0, page: str = "page") -> list[float]:
        return [float(f"{value:.6g}") for value in self.curves.get((page, run, name), [])]

    def wait(self, *values: float, name: str = "loss", run: int = 0, page: str = "page") -> None:
        wait_until(lambda: self.curve(name, run, page) == list(values), f"{name} of {run} is {values}")

    def last(self, run: int = 0) -> CurvesOfRun:
        return next(message for message in reversed(self.messages) if message.run == run)


@pytest.fixture
def followed() -> Iterator[Followed]:
    one = Followed()
    yield one
    one.charts.close()


def test_all_that_was_printed_is_told_and_then_only_what_comes(followed: Followed) -> None:
    followed.prints("".join(f"loss: {number}.5\n" for number in range(100)))
    followed.shows(0)
    followed.wait(*(number + 0.5 for number in range(100)))
    followed.prints("loss: 7.25 acc: 0.5\nloss: 8.")
    followed.wait(*(number + 0.5 for number in range(100)), 7.25)
    assert followed.curve("acc") == [0.5]
    assert [(part.name, part.first, part.count, part.total) for part in followed.last().parts] == [
        ("loss", 100, 1, 101),
        ("acc", 0, 1, 1),
    ]
    followed.status[0] = "completed"
    followed.prints("5")
    wait_until(lambda: followed.curve("loss")[-1] == 8.5, "a last line without an end")
    followed.shows(0, page="second")
    wait_until(lambda: len(followed.curve("loss", page="second")) == 102, "a second page is told all of it")
    before = len(followed.messages)
    followed.shows(0)
    followed.shows(0, anew=True)
    wait_until(lambda: len(followed.messages) > before, "who asks anew is told")
    assert len(followed.messages) == before + 1
    assert [part.first for part in followed.last().parts] == [0, 0]


def test_several_runs_of_which_some_are_new() -> None:
    followed = Followed(40)
    for run in range(40):
        followed.printed[run] = f"loss: {run}.5\n".encode()
    followed.lists()
    followed.shows(*range(40))
    for run in range(MOST_RUNS):
        followed.wait(run + 0.5, run=run)
    before = len(followed.messages)
    followed.shows(0, 39)
    followed.wait(39.5, run=39)
    assert {message.run for message in followed.messages[before:]} == {39}
    followed.charts.hide("page", 0)
    followed.prints("loss: 1\n")
    followed.shows(0, page="second")
    followed.wait(0.5, 1, page="second")
    followed.wait(0.5)
    followed.charts.close()


def test_an_agent_that_does_not_answer_is_asked_again(followed: Followed) -> None:
    followed.prints("loss: 0.5\n")
    followed.unreachable = True
    followed.shows(0)
    wait_until(lambda: followed.messages and "no answer" in (followed.last().note or ""), "it is said")
    followed.unreachable = False
    followed.lists()
    followed.wait(0.5)
    assert followed.last().note is None


def test_long_curves_keep_what_stands_out(followed: Followed) -> None:
    values = [number % 10 + 0.5 for number in range(50_000)]
    values[12_345], values[44_444] = 99.5, -99.5
    followed.prints("".join(f"loss: {value}\n" for value in values))
    followed.shows(0)
    wait_until(lambda: followed.messages and followed.last().unread == 0, "all is read")
    (part,) = followed.last().parts
    told = followed.curve("loss")
    assert len(told) == part.count <= MOST_VALUES
    assert part.total == 50_000
    assert (max(told), min(told)) == (99.5, -99.5)
    assert part.head // 2 * part.every + part.count - part.head == 50_000, (
        "each value is one that a told one stands for"
    )
    assert told[part.head :] == values[-(part.count - part.head) :]
    followed.prints("loss: 3.25\n")
    wait_until(lambda: followed.curve("loss")[-1] == 3.25, "what comes is told")
    assert [(part.first, part.count) for part in followed.last().parts] == [(50_000, 1)]


def test_many_metrics_are_bounded_and_wild_numbers_travel(followed: Followed) -> None:
    followed.prints("loss: nan\nloss: 1e308\nloss: -inf\nloss: 1e-320\r\nloss: 0.5\rloss: 0.25\n")
    followed.shows(0)
    wait_until(lambda: len(followed.curve("loss")) == 6, "each state of a bar is a value")
    assert repr(followed.curve("loss")) == "[nan, inf, -inf, 0.0, 0.5, 0.25]"
    followed.prints("".join(f"m{number}x: 1.5\n" * 300 for number in range(1000)))
    wait_until(lambda: followed.last().cut and not followed.last().unread, "it is said that there are more")
    assert len(followed.curves) == MOST_METRICS
    followed.shows(0, page="second")
    wait_until(lambda: len(followed.curves) == 2 * MOST_METRICS, "all are told")


@pytest.mark.parametrize("step", [1, 3, 700, 5_000])
@pytest.mark.parametrize("most", [LEAST_VALUES, 3_001, MOST_VALUES])
def test_a_curve_stays_within_its_bounds(step: int, most: int) -> None:
    curve = Curve()
    whole = [math.sin(number / 100) * number for number in range(21_000)]
    whole[5::1000] = [math.nan] * 21
    for begin in range(0, 21_000, step):
        curve.extend(whole[begin : begin + step], (None, None), most)
    every, head, tail = curve.thinned(most)
    assert len(head) + len(tail) <= most
    assert len(head) // 2 * every + len(tail) == curve.count == 21_000
    assert max(value for value in [*head, *tail] if value == value) == max(v for v in whole if v == v)
    assert repr(tail.tolist()) == repr(whole[-len(tail) :])
    if most == MOST_VALUES and step < RAW:
        assert len(curve.since(21_000 - RAW) or ()) == RAW


def test_times_are_those_at_which_output_was_seen_to_come() -> None:
    growth = Growth()

    def sees(size: int, elapsed: float) -> None:
        growth.see(Process(process_id=ProcessId("p"), status="running", stdout_bytes=size), elapsed)

    sees(100, 10.0)
    assert growth.at("stdout", 50) == 5.0, "what nobody saw come has come evenly"
    sees(100, 60.0)
    sees(200, 61.0)
    assert (growth.at("stdout", 101), growth.at("stdout", 200)) == (60.01, 61.0)
    assert growth.seen_from == 10.0
    assert growth.at("stderr", 0) is None, "nothing was told of it"
    for size in range(201, 100_000, 10):
        sees(size, size / 2)
    assert growth.at("stdout", 50_001) == pytest.approx(25_000.5, rel=0.02)


def test_a_curve_knows_when_its_values_came(followed: Followed) -> None:
    followed.elapsed = 100.0
    followed.status[0] = "completed"
    followed.prints("loss: 1.5\n" * 10)
    followed.shows(0)
    wait_until(lambda: followed.messages and followed.last().parts, "it is told")
    (part,) = followed.last().parts
    assert part.knots[-1] == (10, pytest.approx(100.0))
    assert followed.last().seen is not None


def test_reading_is_in_pieces_that_may_end_anywhere() -> None:
    printed = "".join(f"loss: {number}.25 ü\n" for number in range(40_000)).encode()

    def read(start: int, stop: int | None = None) -> OutputPart:
        begin = max(0, len(printed) + start) if start < 0 else start
        return OutputPart(printed[begin:stop], begin, len(printed))

    def nothing(start: int, stop: int | None = None) -> OutputPart:
        return OutputPart(b"", 0, 0)

    run = RunCurves(lambda stream: read if stream == "stdout" else nothing)
    process: Any = Process(process_id=ProcessId("p"), status="running", stdout_bytes=len(printed), stderr_bytes=0)
    while run.has_news(process):
        run.read(process, Growth(), 0.0)
    curve = run.curves["loss"]
    assert curve.count == 40_000
    assert (curve.since(39_998) or array("d")).tolist() == [39_998.25, 39_999.25]
