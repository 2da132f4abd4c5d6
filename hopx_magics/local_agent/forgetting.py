"""Which of the processes that have ended are forgotten for being too many, or for having written too much."""

import time
from collections import deque
from collections.abc import Callable, Collection, Container, Iterator

from ..settings import Settings
from .delivering import Callbacks
from .journal import Ended

MOST = 20_000
"""Ended processes that are held at most although nobody has heard of them."""


class Unheard:
    """Ended processes that somebody has still to hear of, before they may be forgotten for being too many.

    A sweep of thousands of short runs ends faster than anybody asks. Who follows it needs a listing to learn of an end,
    and a while after that to fetch the output: each is held until `seconds` after the first listing that had it. With 0
    seconds none is held. The journal knows of which ones nobody has heard, so that the next agent holds them, too.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._untold: dict[str, None] = {}
        self._told: deque[tuple[float, dict[str, None]]] = deque()

    def __len__(self) -> int:
        self._drop_old()
        return len(self._untold) + sum(len(ids) for _, ids in self._told)

    def __contains__(self, process_id: str) -> bool:
        return process_id in self._untold or any(process_id in ids for _, ids in self._told)

    def add(self, process_id: str) -> None:
        """A process has ended."""
        if self._seconds and len(self._untold) < MOST:
            self._untold[process_id] = None

    def tell(self) -> bool:
        """A listing is being answered that has all that have ended by now. Whether that is news of any."""
        if not self._untold:
            return False
        self._told.append((time.monotonic(), self._untold))
        self._untold = {}
        return True

    @property
    def untold(self) -> Container[str]:
        """Those that no listing had yet."""
        return self._untold

    def _drop_old(self) -> None:
        while self._told and time.monotonic() - self._told[0][0] > self._seconds:
            self._told.popleft()


class Finished:
    """The processes that have ended, in the order of their ends. The oldest are forgotten first.

    The last one is kept, or nobody could learn how it ended. Those whose callback is still to be made are kept beyond
    all limits, and so are those that are `needed`; those that nobody has heard of beyond that of their number; of their
    size they come last.
    """

    def __init__(
        self, settings: Settings, callbacks: Callbacks, unheard: Unheard, needed: Callable[[], Collection[str]]
    ) -> None:
        self._needed = needed
        self._most = max(1, settings.keep_finished)
        self._most_bytes = settings.keep_bytes
        self._callbacks = callbacks
        self._unheard = unheard
        self._ended: dict[str, Ended] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._ended)

    def __iter__(self) -> Iterator[Ended]:
        return iter(self._ended.values())

    def add(self, ended: Ended) -> None:
        """Takes in one that has ended after all others."""
        self._ended[ended.process_id] = ended
        self._bytes += ended.output_bytes

    def replace(self, ended: Ended) -> None:
        """Has one of them anew, of the same size."""
        if ended.process_id in self._ended:
            self._ended[ended.process_id] = ended

    def sort(self) -> None:
        """Brings them into the order of their ends, whatever order they came in."""
        self._ended = {ended.process_id: ended for ended in sorted(self, key=lambda ended: ended.ended)}

    def take_superfluous(self) -> list[Ended]:
        """Takes out those that are to be forgotten."""
        taken: list[Ended] = []
        if self._bytes <= self._most_bytes and len(self._ended) - len(self._unheard) <= self._most:
            return taken
        held = {id_: self._ended[id_] for id_ in (*self._callbacks.process_ids, *self._needed()) if id_ in self._ended}
        least, most = len(held) + 1, len(held) + self._most
        most_bytes = sum(ended.output_bytes for ended in held.values()) + self._most_bytes
        while self._bytes > most_bytes or len(self._ended) - len(self._unheard) > most:
            too_large = self._bytes > most_bytes and len(self._ended) > least
            process_id = self._oldest(held, heard_of=True) or (self._oldest(held) if too_large else None)
            if process_id is None or (not too_large and len(self._ended) <= most):
                break
            ended = self._ended.pop(process_id)
            self._bytes -= ended.output_bytes
            taken.append(ended)
        return taken

    def _oldest(self, held: Container[str], *, heard_of: bool = False) -> str | None:
        """The process that ended longest ago of those that may be forgotten."""
        for process_id in self._ended:
            if process_id not in held and not (heard_of and process_id in self._unheard):
                return process_id
        return None
