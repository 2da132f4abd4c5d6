"""The output of runs that have ended is fetched from their agents and kept in the history, in the background."""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence

from ..errors import HopxError
from ..models import KeptOutput, Place, ProcessId
from ..words import Stream
from . import reading, writing
from .database import Database

AT_ONCE = 100
"""Runs whose outputs are kept in one transaction."""

PAUSE = 0.3
"""Seconds between two looks for what has ended: what ends shortly one after the other is kept together."""

Outputs = Mapping[ProcessId, Mapping[Stream, KeptOutput]]
"""Of each process its streams, none of one whose output can't be had."""

Fetch = Callable[[Sequence[ProcessId]], Outputs]
"""Reads as much of the outputs of processes as the history keeps. Raises what an agent raises."""


class OutputKeeper:
    """Keeps the outputs of what has ended, on a thread that is there as long as there is something to keep.

    What can't be fetched now is tried again when the next process of that agent ends, and by the next session.
    """

    def __init__(self, history: Database) -> None:
        self._history = history
        self._places: dict[Place, Fetch] = {}
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    def keep(self, place: Place, fetch: Fetch) -> None:
        """Keeps, soon, the outputs of all that has ended there."""
        with self._lock:
            self._places[place] = fetch
            if self._idle.is_set():
                self._idle.clear()
                self._hurry.clear()
                threading.Thread(target=self._run, name="hopx-history", daemon=True).start()

    def drain(self, seconds: float) -> bool:
        """Waits until nothing is left to keep, or for so long; tells whether all is done."""
        self._hurry.set()
        return self._idle.wait(seconds)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._places:
                    self._idle.set()
                    return
                place, fetch = self._places.popitem()
            with contextlib.suppress(HopxError):
                self._keep_all(place, fetch)
            self._hurry.wait(PAUSE)

    def _keep_all(self, place: Place, fetch: Fetch) -> None:
        due = self._history.read(reading.outputs_due, place)
        for first in range(0, len(due), AT_ONCE):
            some = due[first : first + AT_ONCE]
            outputs = fetch([each.process_id for each in some])
            kept = {each.number: outputs.get(each.process_id, {}) for each in some}
            self._history.write(writing.keep_outputs, kept)
