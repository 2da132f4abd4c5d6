"""HopX as far as tests can have it: a control plane, and sandboxes whose agents really run processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.standins import agents
from tests.standins.agents import AgentStandIn, Dialect, Reply
from tests.standins.control_plane import ControlPlaneStandIn
from tests.standins.server import Asked


class SandboxStandIn(AgentStandIn):
    """The agent of a sandbox: it accepts the tokens that the control plane gives out."""

    def __init__(self, plane: ControlPlaneStandIn, dialect: Dialect, folder: Path) -> None:
        self._plane = plane
        self.starting = 0
        """How many requests are refused at first, as fresh sandboxes do it."""
        super().__init__(dialect, folder)

    def _unauthorized(self, asked: Asked) -> Reply | None:
        if self.starting > 0:
            self.starting -= 1
            return Reply({"error": "NOT_INITIALIZED", "message": "JWT authentication not yet initialized"}, 503)
        if asked.path == "/health" or self._plane.tells_token(asked):
            return None
        return self._error(401, "INVALID_TOKEN", "Invalid or expired token")


class HopX:
    """A control plane with sandboxes."""

    def __init__(self, plane: ControlPlaneStandIn, folder: Path) -> None:
        self.plane = plane
        self._folder = folder
        self.agents: list[SandboxStandIn] = []

    def sandbox(self, dialect: Dialect = agents.OPENAPI, **fields: object) -> str:
        """The id of a new sandbox that runs."""
        return self.plane.add(public_host=self.agent(dialect).url, **fields)

    def agent(self, dialect: Dialect = agents.OPENAPI) -> SandboxStandIn:
        """An agent, for a sandbox that is still to be made."""
        folder = self._folder / f"sandbox-{len(self.agents)}"
        folder.mkdir()
        self.agents.append(SandboxStandIn(self.plane, dialect, folder))
        return self.agents[-1]


@contextmanager
def cloud(folder: Path) -> Iterator[HopX]:
    """A control plane in that folder, until the end."""
    with ControlPlaneStandIn() as plane:
        hopx = HopX(plane, folder)
        try:
            yield hopx
        finally:
            for agent in hopx.agents:
                agent.close()
