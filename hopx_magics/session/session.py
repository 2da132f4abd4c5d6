"""What one Python process has: its connections, which is the current one, and its history. No verbs."""

import atexit
import functools
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..client.api_key import find_api_key
from ..client.control_plane import ControlPlane
from ..connection.connection import Connection
from ..connection.local import LOCAL, LocalConnection
from ..errors import CredentialsError, UnknownConnection
from ..kept import KeptRun
from ..output.oneline import printable
from ..run_history.database import Database
from ..run_history.recorder import Recorder
from ..settings import Settings, read_settings
from .finding import nearest
from .kept_connections import KeptConnection, KeptConnections

if TYPE_CHECKING:
    from ..live.choosing import Chosen
    from ..sweeps import Sweep

KEEP_AT_EXIT = 3.0
"""Seconds that the end of this program waits, at most, until the outputs of what has ended are in the history."""


HISTORY_PATIENCE = 1.0
"""Seconds for which reading the history waits, at most, for another program."""


class Default(NamedTuple):
    """A connection that is made when it is first needed: its name, or what it leads to, and what makes it."""

    target: str
    connect: Callable[[], object]


class Session:
    """What one Python process has. Methods may be called from several threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or read_settings()
        self.connections: dict[str, Connection] = {}
        self.current = LOCAL
        """The name of the connection that is meant when none is named."""
        self.default: Default | None = None
        """What is meant then, as long as it has not been connected to: it is when it is first needed."""
        self._connecting = threading.RLock()
        self.history = Database(self.settings.history_file, patience=HISTORY_PATIENCE)
        self.recorder = Recorder(self.history, self.settings)
        self.kept = KeptConnections(self.settings.state_folder / "connections")
        """The named connections of earlier kernels, and of this one."""
        self.told_of_earlier_kernels = False
        """Whether the user knows of runs that may go on where an earlier kernel was connected."""
        self.sweeps: list[Sweep] = []
        """Those of which runs wait here to be handed out to one of several agents."""
        self.columns: Chosen | None = None
        """The columns of live tables that were chosen last."""
        self.lock = threading.RLock()
        """Held around changes of the connections."""
        atexit.register(self._end)

    @property
    def has_api_key(self) -> bool:
        """Whether this environment has a key for the control plane, without a look at files or the system's keyring."""
        return "control_plane" in vars(self) or bool(os.environ.get("HOPX_API_KEY", "").strip())

    @functools.cached_property
    def control_plane(self) -> ControlPlane:
        """The control plane of the account whose API key this environment has. Raises CredentialsError."""
        key = find_api_key(os.environ, Path.home())
        if key is None:
            raise CredentialsError(
                "there is no HopX API key",
                hint="Set HOPX_API_KEY, or log in with the vendor's command line program (hopx auth login).",
            )
        settings = self.settings
        return ControlPlane(key, settings.base_url, timeout=settings.reply_time, retry_time=settings.retry_time)

    # ------------------------------------------------------------ connections

    def connection(self, name: str | None = None) -> Connection:
        """The connection of that name, by default the current one. Raises UnknownConnection.

        Connects to the default, if that is the current one and has not been, and then raises what this raises.
        """
        if name is None:
            self._connect_to_default()
        with self.lock:
            name = name or self.current
            if name == LOCAL and LOCAL not in self.connections:
                self.connections[LOCAL] = LocalConnection(self.settings, self.recorder)
            if name not in self.connections:
                raise UnknownConnection(
                    f"no connection is named {printable(name, 60)!r}{nearest(name, [LOCAL, *self.connections])}",
                    hint=self._how_to_connect(name),
                )
            return self.connections[name]

    def _connect_to_default(self) -> None:
        with self._connecting:
            if self.default is not None:
                self.default.connect()
                self.default = None

    def _how_to_connect(self, name: str) -> str:
        if self.kept.find(name):
            return f"%hopx_connect {name} connects to it again, as an earlier kernel was."
        return "%hopx_connect shows the connections; a new one is added by its URL, ssh://HOST, or sandbox id."

    def unconnected(self) -> dict[str, KeptConnection]:
        """The connections of earlier kernels to whose agents there is none."""
        connected = {connection.place.agent for connection in list(self.connections.values())}
        return {name: kept for name, kept in self.kept.all().items() if kept.agent not in connected}

    def chosen(self, on: str | Iterable[str] | None = None) -> list[Connection]:
        """The connections of these names, or `all`, one to each agent; by default the current one.

        Raises UnknownConnection.
        """
        names = [on] if isinstance(on, str) else list(on or ())
        names = [name.strip() for word in names for name in word.split(",") if name.strip()]
        if "all" in names:
            return self._one_to_each_agent() or [self.connection()]
        found = [self.connection(name) for name in names] or [self.connection()]
        return list({connection.name: connection for connection in found}.values())

    def _one_to_each_agent(self) -> list[Connection]:
        """Of several connections to one agent the current one, or else the first."""
        known = list(self.connections.values())
        chosen: dict[str, Connection] = {}
        for each in known:
            if each.place.agent not in chosen or each.name == self.current:
                chosen[each.place.agent] = each
        return [each for each in known if each is chosen[each.place.agent]]

    def connection_of(self, kept: KeptRun) -> Connection | None:
        """The connection to the agent on which a run was launched, or None."""
        if kept.connection == LOCAL:
            self.connection(LOCAL)  # which is there whenever it is needed
        places = {connection.place.agent: connection for connection in self.connections.values()}
        return places.get(kept.agent) if kept.agent else None

    def add(self, *connections: Connection) -> None:
        """Takes on connections, of which the first one is the current one from now on."""
        with self.lock:
            self.connections |= {connection.name: connection for connection in connections}
            self.current, self.default = connections[0].name, None

    def drop(self, connection: Connection) -> None:
        """Forgets a connection. What runs there goes on."""
        with self.lock:
            self.connections.pop(connection.name, None)
            if self.current == connection.name:
                self.current = LOCAL
        connection.close()

    # ------------------------------------------------------------ life

    def drain(self) -> None:
        """Waits, for a little, until the outputs of what has ended are in the history."""
        self.recorder.drain(KEEP_AT_EXIT)

    def _end(self) -> None:
        self.drain()
        self.recorder.close()

    def close(self) -> None:
        """Drops all connections. Processes and agents go on."""
        self.drain()
        atexit.unregister(self._end)
        with self.lock:
            for connection in self.connections.values():
                connection.close()
            self.connections.clear()
            self.current = LOCAL
        if "control_plane" in vars(self):
            self.control_plane.close()
            del self.control_plane
        self.recorder.close()
        self.history.close()

    def renew_after_fork(self) -> None:
        """Gives a forked child sockets, locks and threads of its own, since those of its parent are of no use to it."""
        self.lock, self._connecting = threading.RLock(), threading.RLock()
        self._parents = vars(self).pop("control_plane", None)  # whose sockets must stay open
        self.recorder = Recorder(self.history, self.settings)
        for connection in self.connections.values():
            connection.open(self.recorder)


@functools.cache
def session() -> Session:
    """The session of this Python process."""
    made = Session()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made.renew_after_fork)
    return made
