"""What is peculiar to the connection to a machine that is reached by ssh, whose agent is our own."""

from pathlib import PurePosixPath

import msgspec

from ..client.capture import Capture
from ..client.files import Files
from ..client.ssh_agent import SshAgent
from ..client.transport import Transport
from ..client.tunnel import Found, Way
from ..models import CommandResult, Launch, Place
from ..run_history.recorder import Recorder
from ..settings import Settings
from .connection import Connection
from .sending import Sending


class SshConnection(Connection):
    """The connection to the agent of a machine that is reached by ssh.

    It is the user's own machine: what runs there has left is loaded like what is left here, unless it is not `trusted`.
    """

    launches_once = True
    capture: Capture = "agent"
    captures = False

    def __init__(
        self, name: str, ssh: SshAgent, found: Found, settings: Settings, recorder: Recorder, *, trusted: bool
    ) -> None:
        self.ssh = ssh
        self.trusted = trusted
        self.folder = found.folder
        """The folder there that is its agent's own."""
        self.workdir = found.workdir
        """The folder there of what is launched from here, unless a launch names another one."""
        url = ssh.way.address.url
        super().__init__(Place(name, f"{url}{found.folder}"), ssh, settings, recorder, url=url)

    @property
    def way(self) -> Way:
        """How to get there."""
        return self.ssh.way

    def open(self, recorder: Recorder) -> None:
        """Begins with sockets, threads and locks of its own: see `Connection.open`."""
        if hasattr(self, "agent"):  # then this is a forked child
            self.ssh.let_go()
        super().open(recorder)

    def _files(self, transport: Transport) -> Files:
        policy = f"Its agent serves files in {self.workdir} and beside that, and in /workspace, only."
        return Files(transport, folder=self.workdir, policy=policy)

    def close(self) -> None:
        """Ends ssh, too. What runs there goes on."""
        super().close()
        self.ssh.close()

    def move(self, other: Connection) -> None:
        """Goes on with the ssh of another connection: see `Connection.move`."""
        super().move(other)
        if isinstance(other, SshConnection):
            self.ssh.close()
            self.ssh, self.trusted = other.ssh, other.trusted

    def at_home(self, launch: Launch, sending: Sending | None = None) -> Launch:
        """The launch as it is to be there, in the folder of this connection: see `Connection.at_home`.

        An agent of another version makes way, if it has nothing to do.
        """
        if self.ssh.renew():
            self.agent.transport.move(self.locate)
        return super().at_home(msgspec.structs.replace(launch, workdir=self._folder(launch.workdir)), sending)

    def run_command(self, command: str, *, timeout: float, workdir: str | None = None) -> CommandResult:
        """Runs a line of bash in the folder of this connection: see `Connection.run_command`."""
        return super().run_command(command, timeout=timeout, workdir=self._folder(workdir))

    def _folder(self, workdir: str | None) -> str:
        if workdir and workdir.startswith("~"):
            return workdir
        return str(PurePosixPath(self.workdir, workdir or ""))
