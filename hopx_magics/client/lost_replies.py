"""A launch whose reply was lost may have happened: it is looked for in the listing by its mark, never sent again."""

import time
from typing import TYPE_CHECKING

from .. import protocol
from ..errors import AgentError, AgentRefused, AgentUnreachable, HopxError, LaunchError, NotSupported
from ..models import Launch, Listing

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


def find_launched(agent: "Agent", launch: Launch, lost: AgentError) -> protocol.Launched:
    """The process of a launch, in place of whose reply came `lost`.

    Raises LaunchError when nothing was launched, or when that can't be seen.
    """
    deadline = time.monotonic() + LOOK_FOR
    while True:
        if found := _marked(_seen(agent, launch, lost), launch):
            return found
        if time.monotonic() > deadline:
            raise LaunchError(
                f"{lost.message}\nNothing was launched: the agent lists no such process.",
                hint="It is safe to launch again.",
            ) from None
        time.sleep(LOOK_EVERY)


def _seen(agent: "Agent", launch: Launch, lost: AgentError) -> Listing:
    try:
        return agent.listing(tail=0)
    except HopxError as error:
        raise LaunchError(
            f"{lost.message}\nWhether the process was launched can't be seen: {error.message}",
            may_run=True,
            hint=f"When the agent answers again, look in %hopx_ps for {launch.name or launch.run_id}.",
        ) from None


def _marked(listing: Listing, launch: Launch) -> protocol.Launched | None:
    for process in listing.by_id.values():
        if process.run_id == launch.run_id and process.process_id:
            return protocol.Launched(
                process_id=process.process_id, execution_id=process.execution_id, status=process.status
            )
    return None
