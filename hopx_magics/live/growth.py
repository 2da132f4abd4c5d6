"""When output came: how large the streams of running processes were seen to be, and when."""

from bisect import bisect_left

from ..models import Process
from ..words import STREAMS, Stream

MOST_MARKS = 200
"""Moments of a stream that are known; of more only each second one is kept."""

STANDSTILL = 1.0
"""Seconds without new output after which it is noted how long there was none."""

_Mark = tuple[int, float]  # of (bytes, seconds for which the process had been running)


class Growth:
    """How the streams of one process have grown, in seconds for which it had been running."""

    def __init__(self) -> None:
        self.seen_from: float | None = None
        """Since when it was seen; what came before is taken to have come evenly."""
        self._marks: dict[Stream, list[_Mark]] = {}
        self._stood: dict[Stream, float] = {}

    def see(self, process: Process, elapsed: float) -> None:
        """Takes note of how large the streams are, after so many seconds."""
        if self.seen_from is None:
            self.seen_from = elapsed
        for stream in STREAMS:
            size = process.stdout_bytes if stream == "stdout" else process.stderr_bytes
            if size is not None:
                self._see(stream, size, elapsed)

    def _see(self, stream: Stream, size: int, elapsed: float) -> None:
        marks = self._marks.setdefault(stream, [(0, 0.0)])
        last = marks[-1]
        if size > last[0]:
            stood = self._stood.get(stream, 0.0)
            if stood - last[1] > STANDSTILL:
                marks.append((last[0], stood))
            marks.append((size, max(elapsed, marks[-1][1])))
        if len(marks) > MOST_MARKS:
            self._marks[stream] = marks[:-1:2] + marks[-1:]
        self._stood[stream] = elapsed

    def at(self, stream: Stream, place: int) -> float | None:
        """After how many seconds that byte was written, as far as that is known."""
        marks = self._marks.get(stream)
        if not marks:
            return None
        marks = list(marks)  # another thread may add to them
        index = bisect_left(marks, (place, 0.0))
        if index == 0:
            return marks[0][1]
        if index == len(marks):
            return marks[-1][1]
        (before, begun), (after, done) = marks[index - 1], marks[index]
        return begun + (done - begun) * (place - before) / (after - before) if after > before else done


class Growths:
    """The growth of all processes of a table that were seen to run, by their slots."""

    def __init__(self) -> None:
        self._known: dict[int, Growth] = {}

    def see(self, slot: int, process: Process, elapsed: float | None) -> None:
        """Takes note of a process, if it runs, or was seen to."""
        if elapsed is None or (slot not in self._known and process.status != "running"):
            return
        self._known.setdefault(slot, Growth()).see(process, elapsed)

    def of(self, slot: int, process: Process, elapsed: float | None) -> Growth:
        """That of a process, of which all is told that is known by now."""
        if slot in self._known or elapsed is None:
            return self._known.get(slot) or Growth()
        growth = Growth()
        growth.see(process, elapsed)
        return growth

    def drop(self, slot: int) -> None:
        """Forgets a row."""
        self._known.pop(slot, None)

    def clear(self) -> None:
        """Forgets all."""
        self._known.clear()
