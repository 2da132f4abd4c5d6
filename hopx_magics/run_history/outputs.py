"""The output of runs that have ended is fetched from their agents and kept in the history, in the background."""

import contextlib
import threading
from collections.abc import Callable, Mapping

from ..errors import HopxError, NotSupported, UnknownProcess
from ..models import KeptOutput, Place, ProcessId
from ..words import STREAMS, Stream
from . import reading, writing
from .database import Database

Fetch = Callable[[ProcessId, Stream], KeptOutput]
"""Reads as much of a stream as the history keeps. Raises what an agent raises."""


class OutputKeeper:
    """Keeps the outputs of what has ended, on a thread that is there as long as there is something to keep.

    What can't be fetched now is tried again when the next process of that agent ends, and by the next session.
    """

    def __init__(self, history: Database) -> None:
        self._history = history
        self._places: dict[Place, Fetch] = {}
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()

    def keep(self, place: Place, fetch: Fetch) -> None:
        """Keeps, soon, the outputs of all that has ended there."""
        with self._lock:
            self._places[place] = fetch
            if self._idle.is_set():
                self._idle.clear()
                threading.Thread(target=self._run, name="hopx-history", daemon=True).start()

    def drain(self, seconds: float) -> bool:
        """Waits until nothing is left to keep, or for so long; tells whether all is done."""
        return self._idle.wait(seconds)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._places:
                    self._idle.set()
                    return
                place, fetch = self._places.popitem()
            with contextlib.suppress(HopxError):
                for due in self._history.read(reading.outputs_due, place):
                    outputs = _outputs(due.process_id, fetch)
                    self._history.write(writing.keep_output, due.number, outputs)


def _outputs(process_id: ProcessId, fetch: Fetch) -> Mapping[Stream, KeptOutput]:
    """Both streams, or none when the agent has them not (any more)."""
    try:
        return {stream: fetch(process_id, stream) for stream in STREAMS}
    except (UnknownProcess, NotSupported):
        return {}
