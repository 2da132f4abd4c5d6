"""What is peculiar to the connection to this machine's own agent."""

import os

import msgspec

from ..client.capture import Capture
from ..client.local import LocalAgent
from ..errors import LaunchError
from ..models import CommandResult, Launch, Place
from ..run_history.recorder import Recorder
from ..settings import Settings
from .connection import Connection

LOCAL = "local"
"""The name of the connection to this machine's own agent, which needs no configuration."""


LISTING_TIME = 5.0
"""Seconds in which the local agent lists: it takes milliseconds, so that one which takes longer hangs."""


class LocalConnection(Connection):
    """The connection to this machine's own agent: it keeps all output itself, and knows the folders of this program."""

    launches_once = True
    listing_time = LISTING_TIME
    capture: Capture = "agent"
    captures = False

    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        self.workspace = settings.agent_folder / "workspace"
        super().__init__(local_place(settings), LocalAgent(settings), settings, recorder)

    def at_home(self, launch: Launch) -> Launch:
        """The launch with its folder, by default the present one, as an absolute one."""
        return msgspec.structs.replace(launch, workdir=_folder(launch.workdir))

    def run_command(self, command: str, *, timeout: float, workdir: str | None = None) -> CommandResult:
        """Runs a line of bash in the present folder: see `Connection.run_command`."""
        return super().run_command(command, timeout=timeout, workdir=_folder(workdir))


def local_place(settings: Settings) -> Place:
    """The place of the local agent of these settings."""
    return Place(LOCAL, str(settings.agent_folder))


def _folder(workdir: str | None) -> str:
    try:
        return os.path.abspath(os.path.expanduser(workdir or os.curdir))
    except FileNotFoundError:
        raise LaunchError(
            "the folder in which this notebook works is gone",
            hint="Go to another one with %cd, or use --cwd.",
        ) from None
