"""The listings of several agents, asked side by side."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..errors import AgentUnreachable, HopxError
from ..models import Listing, Process

if TYPE_CHECKING:
    from ..connection.connection import Connection

PATIENCE = 5.0
"""Seconds that several agents are given together: who is slower is shown as it was last seen."""

ASKED_AT_ONCE = 256


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
        """What is to be said of it: why it is an old one, and how old."""
        if self.error is None:
            return None
        name = self.connection.name
        reason = getattr(self.error, "message", str(self.error)).splitlines()[0]
        if self.listing is None:
            return f"{reason}\nNothing is known of {name} in this session."
        return f"{reason}\nThe processes of {name} are as of {_clock(self.listing.received_at)}."


def gather(connections: Sequence["Connection"], *, tail: int | None) -> list[Listed]:
    """The listings of some agents, in their order; several of them take no longer than `PATIENCE` seconds.

    A single one raises its error; of several, each has its own, unless none has ever answered, which raises, too.
    """
    if len(connections) == 1:
        return [Listed(connections[0], connections[0].listing(tail=tail))]
    listed = gather_answers(connections, tail=tail)
    if listed and all(each.listing is None and each.error for each in listed):
        raise listed[0].error or AssertionError
    return listed


def gather_answers(connections: Sequence["Connection"], *, tail: int | None) -> list[Listed]:
    """The listings of some agents, or their errors; all of them take no longer than `PATIENCE` seconds."""
    pool = ThreadPoolExecutor(min(len(connections), ASKED_AT_ONCE) or 1, thread_name_prefix="hopx-listing")
    deadline = time.monotonic() + PATIENCE
    try:
        asked = [(connection, pool.submit(connection.listing, tail=tail)) for connection in connections]
        return [_listed(connection, answer, deadline) for connection, answer in asked]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _listed(connection: "Connection", answer: "Future[Listing]", deadline: float) -> Listed:
    try:
        return Listed(connection, answer.result(max(0.0, deadline - time.monotonic())))
    except TimeoutError:
        error: HopxError = AgentUnreachable(
            "did not answer in time", agent=connection.agent.label, sent=True, hint="Try again later."
        )
    except HopxError as failure:
        error = failure
    return Listed(connection, connection.latest, error)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
