"""A launch whose reply was lost may have happened: it is looked for in the listing by its mark, never sent again."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import AgentError, AgentRefused, AgentUnreachable, HopxError, LaunchError, NotSupported
from ..models import Launch, Listing, Process
from ..protocol.replies import Launched

if TYPE_CHECKING:
    from .agent import Agent

LOOK_FOR = 5.0
"""Seconds during which a launch whose reply was lost may still appear in the listing.

The vendor's own tests found that a process can take over 0.5 s to be listed.
"""

LOOK_EVERY = 0.25


def may_have_launched(error: AgentError) -> bool:
    """Whether the launch may have happened although this came instead of its reply."""
    if isinstance(error, AgentUnreachable):
        return error.sent
    if isinstance(error, AgentRefused):
        return error.status in (408, 500, 502, 503, 504)
    return not isinstance(error, NotSupported)


def find_all(agent: "Agent", launches: Sequence[Launch], lost: AgentError) -> list[Launched | HopxError]:
    """The processes of launches, in place of whose reply came `lost`.

    A LaunchError for each that was not launched, or of which that can't be seen.
    """
    deadline = time.monotonic() + LOOK_FOR
    while True:
        try:
            found = _marked(agent.listing(tail=0), launches)
        except HopxError as error:
            return [_not_seen(launch, lost, error) for launch in launches]
        if all(found) or time.monotonic() > deadline:
            return [each or _not_launched(lost) for each in found]
        time.sleep(LOOK_EVERY)


def _marked(listing: Listing, launches: Iterable[Launch]) -> list[Launched | None]:
    listed = {process.run_id: process for process in listing.by_id.values()}
    return [_launched(listed.get(launch.run_id)) for launch in launches]


def _launched(process: Process | None) -> Launched | None:
    if process is None or process.process_id is None:
        return None
    return Launched(process_id=process.process_id, execution_id=process.execution_id, status=process.status)


def _not_launched(lost: AgentError) -> LaunchError:
    return LaunchError(
        f"{lost.message}\nNothing was launched: the agent lists no such process.", hint="It is safe to launch again."
    )


def _not_seen(launch: Launch, lost: AgentError, error: HopxError) -> LaunchError:
    return LaunchError(
        f"{lost.message}\nWhether the process was launched can't be seen: {error.message}",
        may_run=True,
        hint=f"When the agent answers again, look in %hopx_ps for {launch.name or launch.run_id}.",
    )
