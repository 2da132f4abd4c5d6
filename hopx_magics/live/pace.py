"""How fast a process comes on, as its output tells."""

from ..durations import LONGEST
from ..models import Process
from ..output.progress import Piece, Progress, piece_in

EARLIEST_ESTIMATE = 3.0
"""Seconds that a process has been running before anything is said of the time left."""


class Pace:
    """How fast one process comes on, as its output tells."""

    def __init__(self) -> None:
        self._sizes: tuple[int | None, int | None] = (None, None)
        self.grown: str | None = None
        """The stream that has grown last, as far as that is known."""
        self.piece: Piece | None = None
        """The piece of the whole that has begun last: its name may be far above by now."""
        self._begun: tuple[float, float] | None = None  # of (moment, fraction)

    def see(self, process: Process) -> str | None:
        """Takes note of how large the streams are, and tells which has grown last."""
        sizes = (process.stdout_bytes, process.stderr_bytes)
        if None not in self._sizes and sizes != self._sizes:
            self.grown = "stdout" if sizes[0] != self._sizes[0] else "stderr"
        self._sizes = sizes
        self.piece = piece_in(process.stdout or "") or piece_in(process.stderr or "") or self.piece
        return self.grown

    def left(self, progress: Progress, now: float, elapsed: float) -> float | None:
        """Seconds left: what the bar says, else from the rate since it was first seen, else from the whole time.

        None while that would be no more than a guess, and when all of the work that was told of is done.
        """
        if elapsed < EARLIEST_ESTIMATE or progress.fraction == 1:
            return None
        if progress.left is not None:
            return progress.left
        if self._begun is None or progress.fraction < self._begun[1]:
            self._begun = now, progress.fraction
        seconds, gained = now - self._begun[0], progress.fraction - self._begun[1]
        if gained <= 0 or seconds < 1:
            seconds, gained = elapsed, progress.fraction
        if gained <= 0 or seconds <= 0:
            return None
        left = seconds / gained * (1 - progress.fraction)
        return left if left <= LONGEST else None
