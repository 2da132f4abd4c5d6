"""Launching many runs: the question ahead, how far it has come, and what an interrupt leaves."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .live_line import SHOW_EVERY, StateLine

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MOST_UNASKED = 1_000
"""Runs of a sweep that are launched without a question."""

SHOW_LATER = 0.5
"""Seconds for which nothing is said of what may be over soon."""


def is_meant(sweeps: Mapping[str, Sequence[Any]]) -> bool:
    """Whether the user wants so many runs. Raises ValueError where they are many, and nobody can be asked."""
    total = math.prod(map(len, sweeps.values()))
    if total <= MOST_UNASKED:
        return True
    try:
        answer = input(f"This launches {total:,} runs. Go on? [y/N] ")
    except (EOFError, OSError, NotImplementedError):  # the last is how a kernel says that its front end can't ask
        raise ValueError(
            f"this launches {total:,} runs, and nobody can be asked here: --yes says that it is meant"
        ) from None
    return answer.strip().lower() in ("y", "yes")


@contextlib.contextmanager
def interrupted_into(shell: "InteractiveShell", variable: str | None) -> Iterator[None]:
    """Puts what was launched before an interrupt into the variable that all of it was meant for."""
    from ..errors import LaunchInterrupted

    try:
        yield
    except LaunchInterrupted as interrupted:
        if variable:
            shell.user_ns[variable] = interrupted.launched
        raise


class CountLine(StateLine):
    """How many runs have been `launched`, or killed; of what is over soon it says nothing."""

    def __init__(self, shell: "InteractiveShell", done: str) -> None:
        super().__init__(shell)
        self._done = done
        self._due = time.monotonic() + SHOW_LATER

    def show(self, count: int, total: int) -> None:
        """Shows it now and then and at the end, as a `progress` of `hopx_magics.sweep` and `kill`."""
        if time.monotonic() > self._due or (count == total and self._shown):
            self._due = time.monotonic() + SHOW_EVERY
            self(f"{self._done} {count:,} of {total:,}")
