"""How an agent works off its queue, and the pauses of processes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from ..models import ProcessId, QueueState, Turned
from ..protocol.requests import QueueRequest

if TYPE_CHECKING:
    from .connection import Connection


class QueueChanges(TypedDict, total=False):
    """What may be different in an agent's queue: see `protocol.requests.QueueRequest`."""

    paused: bool
    max_running: int
    sweep: str
    sweep_limit: int


def pause(connection: "Connection", process_ids: Sequence[ProcessId], *, pause: bool = True) -> list[Turned]:
    """Pauses processes, or lets them go on; what became of each. Raises NotSupported, AgentError."""
    results = connection.agent.pause(process_ids, pause=pause)
    listing = connection.listing(tail=0)
    found = {process_id: listing.find(process_id) for process_id in process_ids}
    return [
        Turned(
            process_id=process_id,
            name=process.name if process else None,
            result=results.get(process_id, "unknown id"),
            status=process.status if process else "unknown",
        )
        for process_id, process in found.items()
    ]


def queue(connection: "Connection", **changes: Unpack[QueueChanges]) -> QueueState:
    """How the agent works off its queue, after these changes. Raises ValueError, NotSupported, AgentError."""
    state = connection.agent.queue(QueueRequest(**changes) if changes else None)
    if changes:
        connection.watcher.look()
    return state
