"""The listings of several agents, asked side by side."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..errors import AgentUnreachable, HopxError
from ..models import Listing, Process
from ..output.oneline import printable

if TYPE_CHECKING:
    from ..connection.connection import Connection

PATIENCE = 5.0
"""Seconds that several agents are given together: who is slower is shown as it was last seen."""

ASKED_AT_ONCE = 256

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def asked_until(deadline: float | None) -> Iterator[None]:
    """Within this block nobody is waited for beyond that moment of `time.monotonic`; None sets no limit."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


class Listed(NamedTuple):
    """The listing of one agent, or with an `error` the last one there is of it."""

    connection: "Connection"
    listing: Listing | None
    error: HopxError | None = None

    @property
    def processes(self) -> tuple[Process, ...]:
        """Those that are known of, none where nothing is known of it."""
        return self.listing.processes if self.listing else ()

    @property
    def warning(self) -> str | None:
        """What is to be said of it: why it is an old one, and how old; or that it has ids which are none."""
        if self.error is None:
            return self._shared_ids()
        name = self.connection.name
        reason = getattr(self.error, "message", str(self.error)).splitlines()[0]
        if self.listing is None:
            return f"{reason}\nNothing is known of {name} in this session."
        return f"{reason}\nThe processes of {name} are as of {_clock(self.listing.received_at)}."

    def _shared_ids(self) -> str | None:
        shared = self.listing.shared_ids if self.listing else {}
        if not shared:
            return None
        some = ", ".join(f"{count} have the id {printable(id_, 60)!r}" for id_, count in list(shared.items())[:3])
        return f"{self.connection.name}: several processes share an id ({some}): what is asked for by it is one of them"


def gather(connections: Sequence["Connection"], *, tail: int | None, strict: bool = False) -> list[Listed]:
    """The listings of some agents, in their order, or their errors, within `PATIENCE` seconds.

    When `strict`, a single agent has its own time and raises its error; of several, the first one does if none of them
    has ever answered.
    """
    deadline = _deadline.get()
    if strict and len(connections) == 1 and deadline is None:
        return [Listed(connections[0], connections[0].listing(tail=tail))]
    pool = ThreadPoolExecutor(min(len(connections), ASKED_AT_ONCE) or 1, thread_name_prefix="hopx-listing")
    try:
        answers = [pool.submit(connection.listing, tail=tail) for connection in connections]
        wait(answers, timeout=PATIENCE if deadline is None else max(0.0, min(PATIENCE, deadline - time.monotonic())))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    listed = [_listed(*pair) for pair in zip(connections, answers, strict=True)]
    if strict and listed and all(each.error and not each.listing for each in listed):
        raise listed[0].error or AssertionError
    return listed


def _listed(connection: "Connection", answer: "Future[Listing]") -> Listed:
    try:
        return Listed(connection, answer.result(0))
    except (TimeoutError, CancelledError):
        error: HopxError = AgentUnreachable(
            "did not answer in time", agent=connection.agent.label, sent=True, hint="Try again later."
        )
    except HopxError as failure:
        error = failure
    return Listed(connection, connection.latest, error)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
