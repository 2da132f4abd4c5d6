"""Whether a launch has to keep its output in files."""

from typing import Literal

from ...errors import AgentRefused, BadReply, NotSupported
from ...models import Listing, ProcessId
from ..agent import Agent

_NOBODY = ProcessId("hopx-is-there-output")
"""A process that no agent has: one that serves output says so, and others don't understand the question."""


def decide(agent: Agent, listing: Listing | None = None) -> Literal["files", "agent"]:
    """Who keeps the output of a launch: `files` when it is to be wrapped, or the `agent` itself.

    That is found out by the output in `listing`, which is asked for when it isn't given, and else by asking for the
    output of one process. Of an agent that has no process yet it may not be known: then it is `files`, since a wrapped
    launch also passes its output on to the agent. Raises AgentError.
    """
    processes = (listing or agent.listing(tail=0)).processes
    if any(process.stdout is not None or process.stderr is not None for process in processes):
        return "agent"
    asked = next((process.process_id for process in processes if process.process_id), _NOBODY)
    return "agent" if _serves_output(agent, asked) else "files"


def _serves_output(agent: Agent, process_id: ProcessId) -> bool:
    try:
        agent.output(process_id, "stdout", start=0, stop=1)
    except AgentRefused as error:
        return error.code == "PROCESS_NOT_FOUND"  # RESOURCE_NOT_FOUND may also speak of the route
    except (NotSupported, BadReply):
        return False
    return True
