"""The session: one Python process's connections, and what can be done through them."""

import atexit
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Unpack
from urllib.parse import urlsplit

import msgspec

from ..archive import Place
from ..client.agent import Agent, OutputPart
from ..client.local import LocalAgent
from ..client.transport import Endpoint, Locate, Transport, checked_url
from ..durations import format_duration
from ..errors import (
    AgentUnreachable,
    HistoryError,
    HopxError,
    LaunchError,
    UnknownConnection,
    UnknownProcess,
    WaitInterrupted,
    WaitTimeout,
)
from ..models import KeptOutput, KeptRun, Killed, KillResult, Launch, Listing, Output, Process, ProcessId, RunId, Stream
from ..output import printable
from ..settings import Settings, read_settings
from ..watcher import Listener, Update, Watcher
from .bookkeeping import Bookkeeping
from .finding import find_process, nearest
from .launching import LaunchOptions, checked_launch
from .reading import follow_output, output_to_keep, read_output, read_part
from .rerunning import launch_again
from .waiting import Waiting

LOCAL = "local"
"""The name of the connection to this machine's own agent, which needs no configuration."""

KILL_SEEN_WITHIN = 10.0
"""Seconds within which a listing should show that a killed process is dead: more than an agent's grace time."""

ENVIRONMENTS_KEPT = 1000

KILLS_AT_ONCE = 8
"""An agent may answer only when the process is dead, and each may use up its grace time."""


KEEP_AT_EXIT = 3.0
"""Seconds that the end of this program waits, at most, until the outputs of what has ended are in the history."""


class Connection:
    """The notebook's named link to one agent. `url` is None for the local agent, which may move."""

    def __init__(self, place: Place, url: str | None, agent: Agent) -> None:
        self.place = place
        self.url = url
        self.agent = agent
        self.watcher = Watcher(agent)

    @property
    def name(self) -> str:
        """What the notebook calls it."""
        return self.place.connection

    def __repr__(self) -> str:
        return f"<Connection {self.name}: {self.url or 'this machine'}>"


class Session:
    """All connections of one Python process, and what can be done with them.

    Wherever a method takes `on`, that is the name of a connection; None means the current one, which is `local` until
    another one is chosen. Methods may be called from several threads.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or read_settings()
        self.connections: dict[str, Connection] = {}
        self.current = LOCAL
        self.unwaited: dict[ProcessId, str] = {}
        """The processes that were launched here and neither waited for nor killed since, with their connections."""
        self._environments: dict[RunId, dict[str, str]] = {}
        """The environments of what was launched here, which the history must not keep; the newest of them."""
        self.books = Bookkeeping(self.settings, self.output_to_keep)
        self._lock = threading.RLock()
        atexit.register(self.books.drain, KEEP_AT_EXIT)

    def renew_after_fork(self) -> None:
        """Gives a forked child sockets, locks and threads of its own, since those of its parent are of no use to it."""
        self._lock = threading.RLock()
        self.books.renew_after_fork()
        for connection in self.connections.values():
            connection.agent.transport.renew_after_fork()
            connection.watcher = Watcher(connection.agent)

    def close(self) -> None:
        """Drops all connections. Processes and agents go on."""
        self.books.drain(KEEP_AT_EXIT)
        atexit.unregister(self.books.drain)
        with self._lock:
            for connection in self.connections.values():
                connection.watcher.close()
                connection.agent.close()
            self.connections.clear()
            self.current = LOCAL
        self.books.close()

    # ------------------------------------------------------------ connections

    def connect(self, target: str = LOCAL, *, name: str | None = None, token: str | None = None) -> Connection:
        """Makes `target` the current connection: `local`, the name of a connection, or the URL of an agent.

        The agent is asked for its listing at once, so that a wrong address or token shows here. The token of a URL is
        `token`, or else that of the environment's HOPX_AGENT_TOKEN.

        Raises ValueError, UnknownConnection, InsecureConnection for http to another machine, AgentError.
        """
        if "://" in target:
            connection = self._connect_url(checked_url(target), name, token or os.environ.get("HOPX_AGENT_TOKEN"))
        else:
            if name is not None and name != target:
                raise ValueError(f"{target!r} has its name: only a new URL is given one")
            connection = self.connection(target)
            connection.agent.listing(tail=0)
        with self._lock:
            self.connections[connection.name] = connection
            self.current = connection.name
        return connection

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
                    hint="%hopx_connect shows the connections; a new one is added by its URL.",
                )
            return self.connections[name]

    def _connect_url(self, url: str, name: str | None, token: str | None) -> Connection:
        """A connection to `url` that works; the one there is, with the new token, if there is one of that name."""
        if token is not None and not (token.isascii() and token.isprintable() and token == token.strip()):
            raise ValueError("the token has characters that no token has: a line end, a space?")
        name = name or urlsplit(url).netloc
        known = self.connections.get(name)
        if name == LOCAL or (known is not None and known.url != url):
            raise ValueError(f"the name {name!r} is taken by another connection")
        endpoint = Endpoint(url, token)
        connection = self._new_connection(Place(name, url), url, lambda http: endpoint)
        try:
            connection.agent.listing(tail=0)
        except HopxError:
            connection.agent.close()
            raise
        if known is None:
            return connection
        connection.agent.close()
        known.agent.transport.move(lambda http: endpoint)  # runs and watchers go on with it
        return known

    def _new_connection(self, place: Place, url: str | None, locate: Locate) -> Connection:
        transport = Transport(
            place.connection,
            locate,
            timeout=self.settings.reply_time,
            retry_time=self.settings.retry_time,
            max_reply=self.settings.max_reply,
        )
        agent = Agent(transport, launches_once=place.connection == LOCAL)
        agent.on_change = self.books.recorder(place)
        return Connection(place, url, agent)

    # ------------------------------------------------------------ launch and list

    def launch(self, code: str, *, on: str | None = None, **options: Unpack[LaunchOptions]) -> Process:
        """Launches `code` as a background process, and returns it as the agent took it on.

        On the local agent `workdir` is relative to the folder in which this Python works, which is also the default;
        elsewhere the agent decides.

        Raises ValueError for an argument that can't be used, CodeError for Python that doesn't compile, LaunchError,
        AgentError.
        """
        (process,) = self.launch_all([checked_launch(code, **options)], on=on)
        return process

    def launch_all(self, launches: Sequence[Launch], *, on: str | None = None) -> list[Process]:
        """Launches one after the other, in the order given. They are in the history before the first one is sent.

        Raises as `launch` does; those before the one that failed are launched then.
        """
        connection = self.connection(on)
        if connection.name == LOCAL:
            launches = [msgspec.structs.replace(launch, workdir=_local_folder(launch.workdir)) for launch in launches]
        self.books.begin(launches, connection.place)
        processes: list[Process] = []
        try:
            for launch in launches:
                processes.append(self._launch(connection, launch))
        except BaseException as error:
            self._note_not_launched(launches[len(processes) :], error)
            raise
        return processes

    def rerun(
        self,
        kept: KeptRun,
        *,
        params: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        on: str | None = None,
    ) -> tuple[Process, str]:
        """Launches the code of a kept run again, with some params changed; by default where it was launched.

        Returns the process and the name of its connection.

        Raises UnknownConnection when there is no connection to where it was launched, LaunchError when its code or the
        value of a variable of its environment is not known, and else as `launch` does.
        """
        connection = self.connection_of(kept) if on is None else self.connection(on)
        if connection is None:
            raise UnknownConnection(
                f"{kept.run_id} was launched on {printable(kept.connection, 60)!r}: there is no connection to it now",
                hint="Connect to it with %hopx_connect, or launch it on this machine with --here.",
            )
        launch = launch_again(kept, params=params, env=env, known_env=self._environments.get(kept.run_id))
        (process,) = self.launch_all([launch], on=connection.name)
        return process, connection.name

    def connection_of(self, kept: KeptRun) -> Connection | None:
        """The connection to the agent on which a run was launched, or None."""
        if kept.connection == LOCAL:
            self.connection(LOCAL)  # which is there whenever it is needed
        places = {connection.place.agent: connection for connection in self.connections.values()}
        return places.get(kept.agent)

    def catch_up(self) -> None:
        """Asks the agents that can be asked how the runs go on that had not ended when they were last seen."""
        with contextlib.suppress(HistoryError):
            going = self.books.history.going()
            if str(self.settings.agent_folder) in going:
                self.connection(LOCAL)
            for connection in list(self.connections.values()):
                if connection.place.agent in going:
                    with contextlib.suppress(HopxError):  # what can't be asked is as it was last seen
                        connection.agent.listing(tail=0)

    def _launch(self, connection: Connection, launch: Launch) -> Process:
        launched = connection.agent.launch(launch)
        self.books.launched(launch.run_id, launched)
        self.unwaited[launched.process_id] = connection.name
        self._remember_environment(launch)
        return Process(
            process_id=launched.process_id,
            execution_id=launched.execution_id,
            name=launch.name,
            status=launched.status,
            language=launch.language,
            run_id=launch.run_id,
        )

    def _note_not_launched(self, launches: Sequence[Launch], error: BaseException) -> None:
        """The first of these failed with `error`; the others were not sent."""
        reason = error.message if isinstance(error, HopxError) else type(error).__name__
        certain = isinstance(error, HopxError) and not (isinstance(error, LaunchError) and error.may_run)
        self.books.not_launched([launches[0].run_id], "failed" if certain else "unknown", f"not launched: {reason}")
        self.books.not_launched(
            [launch.run_id for launch in launches[1:]], "failed", "not launched: one before it could not be"
        )

    def _remember_environment(self, launch: Launch) -> None:
        if launch.env:
            with self._lock:
                self._environments[launch.run_id] = launch.env
                if len(self._environments) > ENVIRONMENTS_KEPT:
                    del self._environments[next(iter(self._environments))]

    def listing(self, *, tail: int | None = None, on: str | None = None) -> Listing:
        """The listing of an agent as it is now; `tail` cuts each stream to its last bytes."""
        return self.connection(on).agent.listing(tail=tail)

    def find(self, references: Iterable[str], *, on: str | None = None) -> list[Process]:
        """The processes that `references` mean, in their order and without output. Raises UnknownProcess."""
        wanted = list(references)
        listing = self.listing(tail=0, on=on) if wanted else None
        return [find_process(listing, reference) for reference in wanted] if listing else []

    # ------------------------------------------------------------ wait

    def wait(
        self,
        process_ids: Mapping[str, Iterable[ProcessId]],
        *,
        any_one: bool = False,
        timeout: float | None = None,
        progress: Callable[[list[Process]], None] | None = None,
    ) -> list[Process]:
        """Waits until all of some processes, or any one of them, have ended; returns them as last listed.

        `process_ids` are given for each connection. `progress` is called with the processes, in this thread, whenever
        an agent says something new and at least every second. An agent that doesn't answer is asked for two minutes.

        Raises WaitTimeout after `timeout` seconds, WaitInterrupted after Ctrl-C, UnknownProcess when an agent has
        forgotten one of them, AgentError.
        """
        waitings = {name: Waiting(ids) for name, ids in process_ids.items()}
        updates: queue.SimpleQueue[tuple[Waiting, Update]] = queue.SimpleQueue()
        with contextlib.ExitStack() as listening:
            for name, waiting in waitings.items():
                listening.callback(self.connection(name).watcher.listen(_putting(updates, waiting)))
            try:
                _wait(list(waitings.values()), updates, any_one, timeout, progress or (lambda processes: None))
            except KeyboardInterrupt:
                raise WaitInterrupted(
                    f"Stopped waiting. Still going on: {_some(_going(waitings.values()))}\n"
                    "%hopx_wait waits again, %hopx_kill ends them."
                ) from None
            except UnknownProcess:
                self._note_waited(_going(waitings.values()))  # or the next wait would look for it in vain, too
                raise
        processes = [process for waiting in waitings.values() for process in waiting.processes]
        self._note_waited(process.process_id for process in processes if process.ended)
        return processes

    def _note_waited(self, process_ids: Iterable[ProcessId]) -> None:
        for process_id in process_ids:
            self.unwaited.pop(process_id, None)

    # ------------------------------------------------------------ kill

    def kill(self, process_ids: Iterable[ProcessId], *, on: str | None = None) -> list[Killed]:
        """Kills processes and says what a later listing shows of each.

        Raises AgentError when the agent can't be asked or has no way to kill, and WaitInterrupted after Ctrl-C.
        """
        agent = self.connection(on).agent
        before = agent.listing(tail=0)
        ids = list(dict.fromkeys(process_ids))
        going = [id_ for id_ in ids if (process := before.find(id_)) and not process.ended]
        try:
            asked = _ask_for_ends(agent, going)
            after = _listing_without(agent, asked)
        except KeyboardInterrupt:
            raise WaitInterrupted(
                f"Stopped waiting. Asked to end: {_some(going)}\n%hopx_ps shows whether they have."
            ) from None
        self._note_waited(ids)
        return [_killed(process_id, before, after, process_id in asked) for process_id in ids]

    # ------------------------------------------------------------ output

    def output(
        self, process_id: ProcessId, stream: Stream = "stdout", *, tail: int | None = None, on: str | None = None
    ) -> Output:
        """A stream of a process, whole or its last `tail` bytes; bytes that are no UTF-8 become U+FFFD.

        Raises UnknownProcess, and NotSupported when the agent doesn't report output.
        """
        return read_output(self.connection(on).agent, process_id, stream, tail)

    def output_part(
        self, process_id: ProcessId, stream: Stream, *, start: int, stop: int | None = None, on: str | None = None
    ) -> OutputPart:
        """Bytes `start` to `stop` of a stream, fetched alone where the agent can do that; a negative `start` counts
        from the end.

        Raises UnknownProcess, NotSupported when the agent doesn't report output, AgentError.
        """
        return read_part(self.connection(on).agent, process_id, stream, start, stop)

    def output_to_keep(self, place: Place, process_id: ProcessId, stream: Stream) -> KeptOutput:
        """As much of a stream as the history keeps: all of it, or its beginning and its end."""
        return output_to_keep(self.connection(place.connection).agent, process_id, stream, self.settings.history_stream)

    def follow(
        self, process_id: ProcessId, streams: Iterable[Stream] = ("stdout",), *, on: str | None = None
    ) -> Iterator[tuple[Stream, str]]:
        """What a process has written and goes on writing to its streams, piece by piece, until it has ended.

        Begins with the last megabyte of each. Raises UnknownProcess, NotSupported, AgentError.
        """
        return follow_output(self.connection(on).agent, process_id, tuple(streams))


def _local_folder(workdir: str | None) -> str:
    """An absolute folder on this machine; `/workspace` is the local agent's name for its own folder."""
    try:
        return os.path.abspath(os.path.expanduser(workdir or os.curdir))
    except FileNotFoundError:
        raise LaunchError(
            "the folder in which this notebook works is gone",
            hint="Go to another one with %cd, or use --cwd.",
        ) from None


def _wait(
    waitings: Sequence[Waiting],
    updates: "queue.SimpleQueue[tuple[Waiting, Update]]",
    any_one: bool,
    timeout: float | None,
    progress: Callable[[list[Process]], None],
) -> None:
    deadline = None if timeout is None else time.monotonic() + timeout
    total = len(_going(waitings))
    while (going := _going(waitings)) and not (any_one and len(going) < total):
        left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
        if left <= 0:
            raise WaitTimeout(
                f"still going on after {format_duration(timeout or 0)}: {_some(going)}",
                hint="%hopx_wait waits for them again, %hopx_kill ends them.",
            )
        with contextlib.suppress(queue.Empty):
            waiting, update = updates.get(timeout=left)
            waiting.take(update)
        progress([process for waiting in waitings for process in waiting.processes])


def _putting(updates: "queue.SimpleQueue[tuple[Waiting, Update]]", waiting: Waiting) -> Listener:
    return lambda update: updates.put((waiting, update))


def _going(waitings: Iterable[Waiting]) -> list[ProcessId]:
    return [process_id for waiting in waitings for process_id in waiting.going]


def _some(process_ids: list[ProcessId], limit: int = 5) -> str:
    more = f" and {len(process_ids) - limit} more" if len(process_ids) > limit else ""
    return ", ".join(process_ids[:limit]) + more


def _ask_for_ends(agent: Agent, process_ids: list[ProcessId]) -> set[ProcessId]:
    """Those of the processes whose end the agent accepted, or may have accepted before its answer was lost."""

    def ask(process_id: ProcessId) -> bool:
        try:
            return agent.kill(process_id)
        except AgentUnreachable as error:
            if error.sent:
                return True  # the listing will tell
            raise

    pool = ThreadPoolExecutor(KILLS_AT_ONCE)
    try:
        answers = list(pool.map(ask, process_ids))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not wait for those that take their grace time
    return {process_id for process_id, accepted in zip(process_ids, answers, strict=True) if accepted}


def _listing_without(agent: Agent, process_ids: set[ProcessId]) -> Listing:
    """The first listing in which none of these processes is alive, or the last one before patience ends."""
    deadline = time.monotonic() + KILL_SEEN_WITHIN
    pause = 0.05
    while True:
        listing = agent.listing(tail=0)
        alive = any(_is_alive(process) for process in listing.processes if process.process_id in process_ids)
        if not alive or time.monotonic() > deadline:
            return listing
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def _is_alive(process: Process) -> bool:
    return process.status in ("queued", "running")


def _killed(process_id: ProcessId, before: Listing, after: Listing, asked: bool) -> Killed:
    old, new = before.find(process_id), after.find(process_id)
    if new is None:
        return Killed(process_id=process_id, name=old.name if old else None, result="unknown id", status="unknown")
    if _is_alive(new):
        result: KillResult = "still running"
    elif asked and new.status in ("killed", "unknown"):
        result = "killed"
    else:
        result = "already finished"
    return Killed(process_id=process_id, name=new.name, result=result, status=new.status)
