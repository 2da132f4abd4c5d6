"""Which ended processes somebody has still to hear of, before they may be forgotten for being too many.

A sweep of thousands of short runs ends faster than anybody asks. Who follows it needs a listing to learn of an end, and
a while after that to fetch the output.
"""

import time
from collections import deque

MOST = 20_000
"""Ended processes that are held at most, however many nobody has heard of."""


class Unheard:
    """Ended processes, each held until `seconds` after the first listing that had it; with 0 seconds none is held."""

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
        if self._seconds and len(self) < MOST:
            self._untold[process_id] = None

    def tell(self) -> None:
        """A listing is being answered that has all that have ended by now."""
        if self._untold:
            self._told.append((time.monotonic(), self._untold))
            self._untold = {}

    def _drop_old(self) -> None:
        while self._told and time.monotonic() - self._told[0][0] > self._seconds:
            self._told.popleft()
