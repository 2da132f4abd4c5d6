"""The output of runs that have ended is fetched from their agents and kept in the history, in the background."""

import contextlib
import threading
from collections.abc import Callable, Mapping

from ..errors import HopxError, NotSupported, UnknownProcess
from ..models import STREAMS, KeptOutput, ProcessId, Stream
from . import History, Place

Fetch = Callable[[Place, ProcessId, Stream], KeptOutput]


class OutputKeeper:
    """Keeps the outputs of what has ended, on a thread that is there as long as there is something to keep.

    What can't be fetched now is tried again when the next process of that agent ends, and by the next session.
    """

    def __init__(self, history: History, fetch: Fetch) -> None:
        self._history = history
        self._fetch = fetch
        self._places: dict[Place, None] = {}
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()

    def keep(self, place: Place) -> None:
        """Keeps, soon, the outputs of all that has ended there."""
        with self._lock:
            self._places[place] = None
            if self._idle.is_set():
                self._idle.clear()
                threading.Thread(target=self._run, name="hopx-history", daemon=True).start()

    def drain(self, seconds: float) -> bool:
        """Waits until nothing is left to keep, or for so long; tells whether all is done."""
        return self._idle.wait(seconds)

    def renew_after_fork(self) -> None:
        """Leaves to the parent what is the parent's."""
        self._lock = threading.Lock()
        self._places.clear()
        self._idle.set()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._places:
                    self._idle.set()
                    return
                place = next(iter(self._places))
                del self._places[place]
            with contextlib.suppress(HopxError):
                self._keep_all(place)

    def _keep_all(self, place: Place) -> None:
        for due in self._history.outputs_due(place):
            self._history.keep_output(due.number, self._outputs(place, due.process_id))

    def _outputs(self, place: Place, process_id: ProcessId) -> Mapping[Stream, KeptOutput]:
        """Both streams, or none when the agent has them not (any more)."""
        try:
            return {stream: self._fetch(place, process_id, stream) for stream in STREAMS}
        except (UnknownProcess, NotSupported):
            return {}
