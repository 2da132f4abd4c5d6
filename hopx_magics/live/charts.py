"""The charts of opened processes: what a page shows of their curves, read as it comes by a thread of its own."""

import logging
import queue
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from ..errors import HopxError
from ..models import Process
from ..words import Stream
from .curves import LEAST_VALUES, MOST_VALUES, Curve, RunCurves
from .growth import Growth
from .messages import CurvePart, Curves, CurvesOfRun, Message
from .panes import Read

MOST_RUNS = 32
"""Runs whose curves one viewer shows."""

MOST_TOLD = 200_000
"""Values that a page is told of all curves of one viewer at first, more or less."""

TURN = 0.1
REST = 0.01
"""Seconds for which outputs are read, and those after them in which others have their turn."""

TOLD_EVERY = 0.5
"""Seconds after which a page is told what was read, while there is more to be read."""

BYTES_PER_SECOND = 700_000
BURST = 2.0
"""Bytes of curves that a page is told in a second, and seconds by which it may be told sooner: else the notebook server
would drop messages."""

RUNS_KEPT = 40
"""Runs whose curves are known still when nobody shows them."""

Tell = Callable[[Message, Sequence[bytes]], None]

_log = logging.getLogger(__name__)


class _Told(msgspec.Struct):
    """How many values of a curve a page knows, and how many of these came one by one."""

    count: int = 0
    single: int = 0


class _Chart(msgspec.Struct):
    """A viewer of a page that shows curves of these runs, and what it was told of each."""

    page: str
    slot: int
    runs: list[int]
    told: dict[int, dict[str, _Told]]
    states: dict[int, CurvesOfRun]


class ChartViewers:
    """The curves that the pages of one table show.

    The methods return at once; the work is done by a thread that lives until `close`. `process_of` gives the process of
    a slot as last listed, `growth_of` how its output grew, `reader_of` reads one of its streams, and `tell` sends a
    message with a buffer to the pages.
    """

    def __init__(
        self,
        process_of: Callable[[int], Process],
        growth_of: Callable[[int], Growth],
        reader_of: Callable[[int, Stream], Read],
        tell: Tell,
    ) -> None:
        self._process_of = process_of
        self._growth_of = growth_of
        self._reader_of = reader_of
        self._tell = tell
        self._charts: dict[tuple[str, int], _Chart] = {}
        self._runs: dict[int, RunCurves] = {}
        self._unread: dict[int, None] = {}
        self._told_at: dict[int, float] = {}
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._growing = threading.Event()
        self._worked = 0.0  # seconds since others had their turn
        self._told_until = 0.0  # when all would be told that was, if it were told evenly
        self._thread: threading.Thread | None = None

    def show(self, page: str, slot: int, runs: Sequence[int], *, anew: bool) -> None:
        """Shows the curves of `runs` in the viewer of a process, from now on as they come; `anew`: also those known."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hopx-charts", daemon=True)
            self._thread.start()
        self._work.put(partial(self._show, page, slot, list(runs[:MOST_RUNS]), anew))

    def hide(self, page: str, slot: int) -> None:
        """The page shows none there any longer."""
        if self._thread is not None:
            self._work.put(partial(self._hide, page, slot))

    def grow(self) -> None:
        """There may be new output: shows what is in it."""
        if self._charts and not self._growing.is_set():
            self._growing.set()
            self._work.put(self._look_at_all)

    def forget(self, page: str) -> None:
        """The page is gone."""
        for key in [key for key in list(self._charts) if key[0] == page]:
            self._charts.pop(key, None)

    def close(self) -> None:
        """Ends the thread."""
        self._charts.clear()
        if self._thread is not None:
            self._work.put(None)

    # ------------------------------------------------------------ on the thread

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except Exception:  # whatever it was, the next page must find the thread alive
                _log.exception("curves could not be told")

    def _next(self) -> Callable[[], None] | None:
        rest = self._rest() if self._unread else None
        try:
            return self._work.get(timeout=rest)
        except queue.Empty:
            return self._read_on

    def _rest(self) -> float:
        """Seconds for which nothing is to be read."""
        early = self._told_until - time.monotonic() - BURST
        if self._worked < TURN:
            return max(0.0, early)
        self._worked = 0.0
        return max(REST, early)

    def _show(self, page: str, slot: int, runs: list[int], anew: bool) -> None:
        before = self._charts.get((page, slot))
        chart = _Chart(page=page, slot=slot, runs=runs, told={}, states={})
        if before is not None and not anew:
            chart.told = {run: told for run, told in before.told.items() if run in runs}
            chart.states = {run: state for run, state in before.states.items() if run in runs}
        self._charts[page, slot] = chart
        for run in runs:
            self._unread[run] = None
        self._forget_runs()

    def _hide(self, page: str, slot: int) -> None:
        self._charts.pop((page, slot), None)

    def _forget_runs(self) -> None:
        shown = self._shown()
        known = [slot for slot in self._runs if slot not in shown]
        for slot in known[: max(0, len(self._runs) - RUNS_KEPT)]:
            del self._runs[slot]

    def _shown(self) -> dict[int, None]:
        return {run: None for chart in list(self._charts.values()) for run in chart.runs}

    def _look_at_all(self) -> None:
        self._growing.clear()
        for slot in self._shown():
            if self._has_news(slot):
                self._unread.setdefault(slot)

    def _has_news(self, slot: int) -> bool:
        try:
            return slot not in self._runs or self._runs[slot].has_news(self._process_of(slot))
        except LookupError:
            return True

    def _read_on(self) -> None:
        """Reads on in the outputs whose turn it is, and tells what is in them."""
        begun = time.monotonic()
        notes: dict[int, str | None] = {}
        while self._unread and time.monotonic() - begun < TURN:
            slot = next(iter(self._unread))
            del self._unread[slot]
            if slot in self._shown():
                self._take(slot, begun + TURN, notes)
        self._worked += time.monotonic() - begun
        for chart in list(self._charts.values()):
            self._tell_chart(chart, {slot: note for slot, note in notes.items() if slot in chart.runs})

    def _take(self, slot: int, until: float, notes: dict[int, str | None]) -> None:
        """Reads on in the output of a run, and tells in `notes` whether there is something to be told."""
        try:
            note, is_over = None, self._read(slot, until)
        except LookupError:
            note, is_over = "no longer listed", True
        except HopxError as error:
            note, is_over = str(error), True
        except Exception:
            _log.exception("the curves of %s could not be read", slot)
            note, is_over = "its output could not be read", True
        if not is_over:
            self._unread[slot] = None
        if is_over or time.monotonic() - self._told_at.get(slot, 0.0) >= TOLD_EVERY:
            self._told_at[slot] = time.monotonic()
            notes[slot] = note

    def _read(self, slot: int, until: float) -> bool:
        """Whether all is read that there is."""
        process = self._process_of(slot)
        if slot not in self._runs:
            self._runs[slot] = RunCurves(partial(self._reader_of, slot))
        run = self._runs[slot]
        if run.has_news(process):
            run.read(process, self._growth_of(slot), until)
        return not run.unread

    # ------------------------------------------------------------ what is told

    def _tell_chart(self, chart: _Chart, notes: Mapping[int, str | None]) -> None:
        values = array("f")
        told = []
        for slot, note in notes.items():
            state = self._state(slot, note)
            parts = list(self._new_parts(chart, slot, values))
            if parts or chart.states.get(slot) != state:
                told.append(msgspec.structs.replace(state, parts=parts))
            chart.states[slot] = state
        if told:
            seconds = values.itemsize * len(values) / BYTES_PER_SECOND
            self._told_until = max(self._told_until, time.monotonic()) + seconds
            self._tell(Curves(to=chart.page, slot=chart.slot, runs=told), [values.tobytes()])

    def _state(self, slot: int, note: str | None) -> CurvesOfRun:
        run = self._runs.get(slot)
        return CurvesOfRun(
            run=slot,
            note=note,
            unread=run.unread if run else 0,
            skipped=run.skipped if run else 0,
            cut=run.is_cut if run else False,
            seen=self._seen_from(slot),
            parts=[],
        )

    def _new_parts(self, chart: _Chart, slot: int, values: "array[float]") -> Iterator[CurvePart]:
        curves = self._runs[slot].curves if slot in self._runs else {}
        told = chart.told.setdefault(slot, {})
        most = max(LEAST_VALUES, min(MOST_VALUES, MOST_TOLD // max(1, len(chart.runs) * len(curves))))
        for name, curve in curves.items():
            if part := _new_part(name, curve, told, most, values):
                yield part

    def _seen_from(self, slot: int) -> float | None:
        try:
            return self._growth_of(slot).seen_from
        except LookupError:
            return None


def _new_part(name: str, curve: Curve, told: dict[str, _Told], most: int, values: "array[float]") -> CurvePart | None:
    """What is new of a curve: single values, which are added to `values`, or all of it anew."""
    known = told.setdefault(name, _Told())
    if known.count == curve.count:
        return None
    new = curve.since(known.count) if known.count else None
    first, known.count = known.count, curve.count
    if new is not None and known.single + len(new) <= most // 2:
        known.single += len(new)
        values.extend(array("f", new))
        knots = [knot for knot in curve.knots[-2:] if knot[0] > first]
        return CurvePart(name=name, first=first, every=1, head=0, count=len(new), total=curve.count, knots=knots)
    known.single = 0
    every, head, tail = curve.thinned(most)
    values.extend(array("f", head))
    values.extend(array("f", tail))
    count = len(head) + len(tail)
    return CurvePart(
        name=name, first=0, every=every, head=len(head), count=count, total=curve.count, knots=list(curve.knots)
    )
