"""The output of runs that have ended is fetched from their agents and kept in the history, in the background."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..errors import HistoryError, HopxError
from ..kept import KeptEnd
from ..models import Place, ProcessId
from . import reading, writing
from .database import Database

AT_ONCE = 100
"""Runs whose outputs are fetched together."""

PIECE = 1_000_000
"""Bytes of output that are written in one transaction, where it is of more than one run."""

AGAIN_AFTER = 5.0
"""Seconds after which the history is offered again what it did not take."""

PAUSE = 0.3
"""Seconds between two looks for what has ended: what ends shortly one after the other is kept together."""

_log = logging.getLogger(__name__)

Ends = Mapping[ProcessId, KeptEnd]
"""Of each process what it has shown, nothing of one whose output can't be had."""

Kept = Mapping[int, KeptEnd]
"""The same by the numbers of runs."""

Fetch = Callable[[Sequence[ProcessId]], Ends]
"""Reads as much of the outputs of processes as the history keeps. Raises what an agent raises."""


class OutputKeeper:
    """Keeps the outputs of what has ended, on a thread that is there as long as there is something to keep.

    What an agent does not tell now is tried again when the next process of that agent ends, and by the next session;
    what the history does not take, soon.
    """

    def __init__(self, history: Database) -> None:
        self.failure: HistoryError | None = None
        """Why the history did not take an output that it still lacks."""
        self._history = history
        self._places: dict[Place, Fetch] = {}
        self._refused: dict[Place, Fetch] = {}
        """Those of which the history did not take all."""
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    def keep(self, place: Place, fetch: Fetch) -> None:
        """Keeps, soon, the outputs of all that has ended there."""
        with self._lock:
            self._places[place] = fetch
            self._start()

    def drain(self, seconds: float) -> bool:
        """Waits until nothing is left to keep, or for so long; tells whether nothing more can be kept now."""
        self._try_again()
        self._hurry.set()
        return self._idle.wait(seconds)

    def _try_again(self) -> None:
        with self._lock:
            self._places, self._refused = self._refused | self._places, {}
            if self._places:
                self._start()

    def _start(self) -> None:
        if self._idle.is_set():
            self._idle.clear()
            self._hurry.clear()
            threading.Thread(target=self._run, name="hopx-history", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._places:
                    self._idle.set()
                    return
                place, fetch = self._places.popitem()
            try:
                self._keep_all(place, fetch)
                self.failure = None
            except HistoryError as error:
                self._take_refusal(error, place, fetch)
            except HopxError:
                pass
            except Exception:  # whatever it was, what ends next must find the thread alive
                _log.exception("outputs of %s could not be kept", place.connection)
            self._hurry.wait(PAUSE)

    def _take_refusal(self, error: HistoryError, place: Place, fetch: Fetch) -> None:
        self.failure = error
        with self._lock:
            self._refused[place] = fetch
        again = threading.Timer(AGAIN_AFTER, self._try_again)
        again.daemon = True
        again.start()

    def _keep_all(self, place: Place, fetch: Fetch) -> None:
        """Keeps what there is room for. Raises HistoryError for the rest, and what an agent raises."""
        due = self._history.read(reading.outputs_due, place)
        refusals: list[HistoryError] = []
        for first in range(0, len(due), AT_ONCE):
            some = due[first : first + AT_ONCE]
            ends = fetch([each.process_id for each in some])
            for kept in _pieces({each.number: ends.get(each.process_id, KeptEnd()) for each in some}):
                refusals += self._refused_of(kept)
        if refusals:
            raise refusals[0]

    def _refused_of(self, kept: Kept) -> list[HistoryError]:
        """Keeps these outputs, together or where there is no room for all, each by itself; why it could not."""
        try:
            self._history.write(writing.keep_ends, kept)
        except HistoryError as error:
            if len(kept) == 1:
                return [error]
            return [refusal for number, end in kept.items() for refusal in self._refused_of({number: end})]
        return []


def _pieces(ends: Kept) -> Iterator[Kept]:
    """The same in pieces that are written quickly, so that no other program has to wait."""
    piece: dict[int, KeptEnd] = {}
    size = 0
    for number, end in ends.items():
        own = sum(len(each.head) + len(each.tail) for each in end.streams.values()) + (end.cell.size if end.cell else 0)
        if piece and size + own > PIECE:
            yield piece
            piece, size = {}, 0
        piece[number] = end
        size += own
    yield piece
