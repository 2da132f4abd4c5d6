"""The connections of a session: to the local agent, to agents by their URLs, and to HopX sandboxes."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ..client.agent import Agent, OutputPart
from ..client.capture import Capture, CapturedOutput, ExitCodes, decide, wrapped
from ..client.local import LocalAgent
from ..client.transport import Endpoint, Locate, Transport, checked_url
from ..client.vendor import VendorSandbox, is_vendor_sandbox
from ..connection.watcher import Watcher
from ..errors import CredentialsError, HopxError, SandboxGone, UnknownConnection, UnknownProcess
from ..history import Place
from ..history.recorder import Bookkeeping
from ..models import Change, KeptOutput, Launch, Listing, ProcessId, RunId, Sandbox, Stream
from ..output import printable
from ..settings import Settings
from .finding import nearest
from .sandboxes import Cloud, Expiry, Owned, wait_for_agents

LOCAL = "local"
"""The name of the connection to this machine's own agent, which needs no configuration."""


class Connection:
    """The notebook's named link to one agent. `url` is None for agents that may move: the local one, and sandboxes'."""

    def __init__(
        self, place: Place, url: str | None, agent: Agent, locate: Locate, expiry: Expiry | None = None
    ) -> None:
        self.place = place
        self.url = url
        self.agent = agent
        self.locate = locate
        """How its agent is found."""
        self.watcher = Watcher(agent)
        self.latest: Listing | None = None
        """The last listing that there is of it."""
        self.expiry = expiry
        """When its sandbox ends; None where there is none, or nobody can tell."""
        self.capture: Capture = "agent" if place.connection == LOCAL else "auto"
        """Who keeps the output of what is launched from here: the agent, or files that the launch itself writes."""
        self.captures = place.connection != LOCAL
        """Whether launches may have kept their output in files."""
        self._captured = CapturedOutput(agent.transport)
        self._run_ids: dict[ProcessId, RunId] = {}
        if place.connection != LOCAL:
            agent.complete = ExitCodes(self._captured).complete

    @property
    def name(self) -> str:
        """What the notebook calls it."""
        return self.place.connection

    def __repr__(self) -> str:
        sandbox = self.place.sandbox and f"sandbox {self.place.sandbox}"
        return f"<Connection {self.name}: {self.url or sandbox or 'this machine'}>"

    def prepared(self, launch: Launch) -> Launch:
        """The launch as it is sent: wrapped, if its output would be lost otherwise."""
        how = launch.capture
        if how == "auto":
            how = self.capture if self.capture != "auto" else self._decide()
        if how != "files":
            return launch
        self.captures = True
        return wrapped(launch)

    def _decide(self) -> Capture:
        """Who keeps output here; asked again as long as only the lack of any process speaks for files."""
        try:
            decided = decide(self.agent, listing=self.latest)
        except HopxError:
            return "agent"  # the launch itself will say what is wrong
        if decided == "agent" or (self.latest and self.latest.processes):
            self.capture = decided
        return decided

    def captured_part(self, process_id: ProcessId, stream: Stream, start: int, stop: int | None) -> OutputPart:
        """Bytes of a stream that the launch itself has written. Raises UnknownProcess, NotSupported, AgentError."""
        if process_id not in self._run_ids:
            process = (self.latest and self.latest.find(process_id)) or self.agent.listing(tail=0).find(process_id)
            if process is None or process.run_id is None:
                raise UnknownProcess(f"{self.agent.label}: {process_id} was not launched with files for its output")
            self._run_ids[process_id] = process.run_id
        return self._captured.part(self._run_ids[process_id], stream, start, stop)

    def note(self, *, until: float | None = None) -> str | None:
        """What is to be said of its sandbox: that it ends soon, or before `until` seconds from now are over."""
        return self.expiry.note(self.name, until=until) if self.expiry else None


class Connections:
    """All connections of one Python process. Methods may be called from several threads.

    Wherever a method takes `on`, that is the name of a connection; None means the current one, which is `local` until
    another one is chosen.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connections: dict[str, Connection] = {}
        self.current = LOCAL
        self.books = Bookkeeping(self.settings, self.output_to_keep)
        self.cloud = Cloud(settings)
        self._lock = threading.RLock()

    def output_to_keep(self, place: Place, process_id: ProcessId, stream: Stream) -> KeptOutput:
        """As much of a stream as the history keeps: all of it, or its beginning and its end."""
        raise NotImplementedError

    def renew_after_fork(self) -> None:
        """Gives a forked child sockets, locks and threads of its own, since those of its parent are of no use to it."""
        self._lock = threading.RLock()
        self.books.renew_after_fork()
        self.cloud.renew_after_fork()
        for connection in self.connections.values():
            connection.agent.transport.renew_after_fork()
            connection.watcher = Watcher(connection.agent)

    def close(self) -> None:
        """Drops all connections. Processes and agents go on."""
        with self._lock:
            for connection in self.connections.values():
                connection.watcher.close()
                connection.agent.close()
            self.connections.clear()
            self.current = LOCAL
        self.cloud.close()

    def connect(
        self, target: Any = LOCAL, *, name: str | None = None, token: str | None = None, resume: bool = False
    ) -> Connection:
        """Makes `target` the current connection: `local`, the name of a connection, the URL of an agent, the id of a
        HopX sandbox, or a sandbox object of the vendor's SDK.

        The agent is asked for its listing at once, so that a wrong address or token shows here. The token of a URL is
        `token`, or else that of the environment's HOPX_AGENT_TOKEN. `resume` resumes a sandbox that is paused.

        Raises ValueError, UnknownConnection, InsecureConnection for http to another machine, AgentError, SandboxError,
        ControlPlaneError, CredentialsError.
        """
        if not isinstance(target, str):
            if not is_vendor_sandbox(target):
                raise ValueError(f"a {type(target).__name__} can't be connected to: use an id, a URL, or a Sandbox")
            return self._chosen(self._connect_vendor(target, name))
        if "://" in target:
            token = token or os.environ.get("HOPX_AGENT_TOKEN")
            return self._chosen(self._connect_url(checked_url(target), name, token))
        if target == LOCAL or target in self.connections:
            if name is not None and name != target:
                raise ValueError(f"{target!r} has its name: only a new connection is given one")
            connection = self.connection(target)
            connection.agent.listing(tail=0)
            return self._chosen(connection)
        return self._chosen(self._connect_sandbox(target, name, resume))

    def _chosen(self, connection: Connection) -> Connection:
        with self._lock:
            self.connections[connection.name] = connection
            self.current = connection.name
        return connection

    def disconnect(self, name: str, *, delete: bool = False) -> Connection:
        """Forgets a connection; what runs there goes on. `delete` deletes its sandbox, with all that is in it.

        Raises UnknownConnection, ValueError for `local` and for what is no sandbox, ControlPlaneError, SandboxError.
        """
        connection = self.connection(name)
        if name == LOCAL:
            raise ValueError("the local agent is always connected")
        if delete:
            if connection.place.sandbox is None:
                raise ValueError(f"{name} is no sandbox that could be deleted")
            self.cloud.control_plane.delete(connection.place.sandbox)
        with self._lock:
            self.connections.pop(name, None)
            if self.current == name:
                self.current = LOCAL
        connection.watcher.close()
        connection.agent.close()
        return connection

    # ------------------------------------------------------------ sandboxes

    def create_sandboxes(
        self,
        template: str,
        count: int = 1,
        *,
        name: str | None = None,
        timeout: int | None = None,
        region: str | None = None,
        env: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> list[Connection]:
        """Creates sandboxes and connects to them, the first of them as the current connection.

        `timeout` is in seconds, after which HopX deletes them. `say` is called in this thread with how far that has
        come. After Ctrl-C the KeyboardInterrupt says what was created.

        Raises ControlPlaneError, SandboxNotReady when an agent does not answer in time, UnknownConnection.
        """
        made: list[Sandbox] = []
        say(f"creating {count} {'sandbox' if count == 1 else 'sandboxes'} of {template}")
        try:
            sandboxes = self.cloud.create(template, count, timeout=timeout, region=region, env=env, created=made.append)
            connections = [
                self._sandbox_connection(sandbox, f"{name}-{number}" if name and count > 1 else name)
                for number, sandbox in enumerate(sandboxes, start=1)
            ]
            wait_for_agents(
                [(sandbox, each.agent.transport) for sandbox, each in zip(sandboxes, connections, strict=True)], say
            )
        except KeyboardInterrupt:
            ids = ", ".join(sandbox.sandbox_id for sandbox in made) or "none"
            raise KeyboardInterrupt(f"stopped waiting; created so far: {ids} (%hopx_sandboxes shows them)") from None
        except HopxError as error:
            if made:
                ids = ", ".join(sandbox.sandbox_id for sandbox in made)
                error.hint = f"Created, and kept: {ids}. %hopx_sandboxes shows them." + (
                    f" {error.hint}" if error.hint else ""
                )
            raise
        with self._lock:
            self.connections |= {connection.name: connection for connection in connections}
            self.current = connections[0].name
        return connections

    def sandboxes(self) -> list[Owned]:
        """All sandboxes of the account, each with the connection to it. Raises ControlPlaneError, CredentialsError."""
        connected = {each.place.sandbox: name for name, each in self.connections.items() if each.place.sandbox}
        return [Owned(sandbox, connected.get(sandbox.sandbox_id)) for sandbox in self.cloud.control_plane.sandboxes()]

    def extend(self, name: str, seconds: int) -> datetime | None:
        """Lets a connection's sandbox go on for so many seconds from now; returns when it ends then.

        Raises UnknownConnection, ValueError for what is no sandbox, ControlPlaneError, SandboxError.
        """
        connection = self.connection(name)
        if connection.place.sandbox is None:
            raise ValueError(f"{name} is no sandbox: it has no end that could be put off")
        ends = self.cloud.control_plane.extend(connection.place.sandbox, seconds)
        if connection.expiry:
            connection.expiry.know(ends)
        return ends

    def _connect_sandbox(self, sandbox_id: str, name: str | None, resume: bool) -> Connection:
        try:
            sandbox = self.cloud.usable(sandbox_id, resume=resume)
        except (CredentialsError, SandboxGone) as error:
            raise UnknownConnection(
                f"no connection is named {printable(sandbox_id, 60)!r}"
                f"{nearest(sandbox_id, [LOCAL, *self.connections])}\nAnd as a sandbox: {error.message}",
                hint=error.hint or "%hopx_connect shows the connections, %hopx_sandboxes the sandboxes.",
            ) from None
        return self._answering(self._sandbox_connection(sandbox, name))

    def _sandbox_connection(self, sandbox: Sandbox, name: str | None) -> Connection:
        expiry = Expiry(lambda: self.cloud.control_plane.sandbox(sandbox.sandbox_id).expires_at)
        expiry.know(sandbox.expires_at)
        place = Place(self._free_name(name or sandbox.sandbox_id, sandbox.sandbox_id), sandbox.sandbox_id)
        place = place._replace(sandbox=sandbox.sandbox_id)
        return self._new_connection(place, None, self.cloud.endpoint(sandbox.sandbox_id), expiry=expiry)

    def _connect_vendor(self, sandbox: Any, name: str | None) -> Connection:
        locate = VendorSandbox(sandbox)
        place = Place(self._free_name(name or locate.sandbox_id, locate.sandbox_id), locate.sandbox_id)
        place = place._replace(sandbox=locate.sandbox_id)
        return self._answering(self._new_connection(place, None, locate))

    def _free_name(self, name: str, agent: str) -> str:
        known = self.connections.get(name)
        if name == LOCAL or name == "all" or (known is not None and known.place.agent != agent):
            raise ValueError(f"the name {name!r} is taken by another connection")
        return name

    def _answering(self, connection: Connection) -> Connection:
        """The connection, once its agent has answered; the one there is of that name goes on with the new endpoint."""
        try:
            connection.agent.listing(tail=0)
        except HopxError:
            connection.agent.close()
            raise
        known = self.connections.get(connection.name)
        if known is None:
            return connection
        connection.agent.close()
        known.agent.transport.move(connection.locate)  # runs and watchers go on with it
        known.expiry = connection.expiry or known.expiry
        return known

    # ------------------------------------------------------------ one of them

    def connection(self, name: str | None = None) -> Connection:
        """The connection of that name, by default the current one. Raises UnknownConnection."""
        with self._lock:
            name = name or self.current
            if name == LOCAL and LOCAL not in self.connections:
                self.connections[LOCAL] = self._new_connection(
                    Place(LOCAL, str(self.settings.agent_folder)), None, LocalAgent(self.settings)
                )
            if name not in self.connections:
                raise UnknownConnection(
                    f"no connection is named {name!r}{nearest(name, [LOCAL, *self.connections])}",
                    hint="%hopx_connect shows the connections; a new one is added by its URL or sandbox id.",
                )
            return self.connections[name]

    def _connect_url(self, url: str, name: str | None, token: str | None) -> Connection:
        """A connection to `url` that works; the one there is, with the new token, if there is one of that name."""
        if token is not None and not (token.isascii() and token.isprintable() and token == token.strip()):
            raise ValueError("the token has characters that no token has: a line end, a space?")
        endpoint = Endpoint(url, token)
        place = Place(self._free_name(name or urlsplit(url).netloc, url), url)
        return self._answering(self._new_connection(place, url, lambda http: endpoint))

    def _new_connection(
        self, place: Place, url: str | None, locate: Locate, *, expiry: Expiry | None = None
    ) -> Connection:
        transport = Transport(
            place.connection,
            locate,
            timeout=self.settings.reply_time,
            retry_time=self.settings.retry_time,
            max_reply=self.settings.max_reply,
            kind="sandbox" if place.sandbox else "agent",
        )
        agent = Agent(transport, launches_once=place.connection == LOCAL)
        connection = Connection(place, url, agent, locate, expiry)
        record = self.books.recorder(place)

        def take(change: Change) -> None:
            connection.latest = change.listing
            record(change)

        agent.on_change = take
        return connection

    def chosen(self, on: str | Iterable[str] | None = None) -> list[Connection]:
        """The connections of these names, or `all`; by default the current one. Raises UnknownConnection."""
        names = [on] if isinstance(on, str) else list(on or ())
        names = [name.strip() for word in names for name in word.split(",") if name.strip()]
        if "all" in names:
            return list(self.connections.values()) or [self.connection()]
        return list({(found := self.connection(name)).name: found for name in names or [self.current]}.values())
