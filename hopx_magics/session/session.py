"""The session: one Python process's connections, and what can be done through them."""

import atexit
import contextlib
import os
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Unpack

import msgspec

from ..client.agent import OutputPart
from ..client.callbacks import launch_with_callback
from ..client.commands import run_command
from ..client.files import Files
from ..connection.killing import ask_for_ends, killed, listing_without
from ..connection.output import OutputReader
from ..connection.waiting import Waiting, going, putting, some, wait_for
from ..connection.watcher import Update
from ..errors import HistoryError, HopxError, LaunchError, UnknownConnection, UnknownProcess, WaitInterrupted
from ..history import Place
from ..launches import LaunchOptions, checked_launch
from ..models import (
    CommandResult,
    KeptOutput,
    KeptRun,
    Killed,
    Launch,
    Listing,
    Output,
    Process,
    ProcessId,
    RunId,
    Stream,
)
from ..output import printable
from ..settings import Settings, read_settings
from .connecting import LOCAL, Connection, Connections
from .dispatcher import Dispatcher, Told
from .finding import find_process
from .gathering import ASKED_AT_ONCE, Listed, gather
from .rerunning import launch_again

ENVIRONMENTS_KEPT = 1000

KEEP_AT_EXIT = 3.0
"""Seconds that the end of this program waits, at most, until the outputs of what has ended are in the history."""


class Session(Connections):
    """All connections of one Python process, and what can be done with them.

    Wherever a method takes `on`, that is the name of a connection; None means the current one, which is `local` until
    another one is chosen. Methods may be called from several threads.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or read_settings())
        self.unwaited: dict[ProcessId, str] = {}
        """The processes that were launched here and neither waited for nor killed since, with their connections."""
        self.remarks: list[str] = []
        """What the user should be told of the connections."""
        self._environments: dict[RunId, dict[str, str]] = {}
        """The environments of what was launched here, which the history must not keep; the newest of them."""
        atexit.register(self.books.drain, KEEP_AT_EXIT)

    def close(self) -> None:
        """Drops all connections. Processes and agents go on."""
        self.books.drain(KEEP_AT_EXIT)
        atexit.unregister(self.books.drain)
        super().close()
        self.books.close()

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
            launches = list(map(_at_home, launches))
        self.books.begin(launches, connection.place)
        processes: list[Process] = []
        try:
            for launch in launches:
                processes.append(self._launch(connection, launch))
        except BaseException as error:
            self._note_not_launched(launches[len(processes) :], error)
            raise
        return processes

    def dispatch(
        self,
        launches: Sequence[Launch],
        connections: Sequence[Connection],
        *,
        per: int | None,
        limit: int | None,
        tell: Told,
    ) -> Dispatcher:
        """Hands launches out to several agents from now on: see `Dispatcher`, which is still to be started."""
        self.books.begin_waiting(launches)
        return Dispatcher(self, connections, launches, per=per, limit=limit, tell=tell)

    def launch_assigned(self, connection: Connection, launch: Launch) -> Process:
        """Launches on this connection what is in the history already. Raises as `launch` does."""
        self.books.assigned(launch.run_id, connection.place)
        return self._launch(connection, _at_home(launch) if connection.name == LOCAL else launch)

    def launch_on_each(
        self, launches: Sequence[Launch], connections: Sequence[Connection]
    ) -> list[Process | HopxError]:
        """Launches one on each of the connections, side by side. What failed has its error in place of a process."""
        self.books.begin_waiting(launches)

        def launch(one: Launch, connection: Connection) -> Process | HopxError:
            try:
                return self.launch_assigned(connection, one)
            except HopxError as error:
                self._note_not_launched([one], error)
                return error

        with ThreadPoolExecutor(min(len(launches), ASKED_AT_ONCE)) as pool:
            return list(pool.map(launch, launches, connections))

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
        self.books.abandon_waiting()
        with contextlib.suppress(HistoryError):
            unended = self.books.history.going()
            if str(self.settings.agent_folder) in unended:
                self.connection(LOCAL)
            asked = [connection for connection in self.connections.values() if connection.place.agent in unended]
            gather(asked, tail=0)  # who does not answer in time leaves its runs as they were last seen

    def _launch(self, connection: Connection, launch: Launch) -> Process:
        if (note := connection.note(until=launch.timeout)) and launch.timeout is not None:
            self.remarks.append(note)
        sent = connection.prepared(launch)
        if launch.callback is None:
            launched = connection.agent.launch(sent)
        else:
            launched = launch_with_callback(connection.agent, sent, launch.callback)
        self.books.launched(launch.run_id, launched)
        connection.watcher.look()
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

    def listings(self, connections: Sequence[Connection], *, tail: int | None = None) -> list[Listed]:
        """The listings of several agents, asked side by side; of those that don't answer in time the last one known."""
        return gather(connections, tail=tail)

    def find(self, references: Iterable[str], *, on: str | None = None) -> list[Process]:
        """The processes that `references` mean, in their order and without output. Raises UnknownProcess."""
        wanted = list(references)
        listing = self.listing(tail=0, on=on) if wanted else None
        return [find_process(listing, reference) for reference in wanted] if listing else []

    def run_command(
        self, command: str, *, timeout: float = 30.0, workdir: str | None = None, on: str | None = None
    ) -> CommandResult:
        """Runs a line of bash on an agent, and waits for it. On the local agent it runs in the present folder.

        Raises ValueError for a time limit that no agent grants, NotSupported, AgentError.
        """
        connection = self.connection(on)
        folder = _local_folder(workdir) if connection.name == LOCAL else workdir
        return run_command(connection.agent.transport, command, timeout=timeout, workdir=folder)

    def files(self, on: str | None = None) -> Files:
        """The files of an agent."""
        return Files(self.connection(on).agent.transport)

    # ------------------------------------------------------------ wait

    def wait(
        self,
        process_ids: Mapping[str, Iterable[ProcessId]],
        *,
        any_one: bool = False,
        timeout: float | None = None,
        progress: Callable[[list[Process]], None] | None = None,
        see: Callable[[str, Process], None] | None = None,
    ) -> list[Process]:
        """Waits until all of some processes, or any one of them, have ended; returns them as last listed.

        `process_ids` are given for each connection. `progress` is called with the processes, in this thread, whenever
        an agent says something new and at least every second, and `see` at the end with each connection's name and
        process. An agent that doesn't answer is asked for two minutes.

        Raises WaitTimeout after `timeout` seconds, WaitInterrupted after Ctrl-C, UnknownProcess when an agent has
        forgotten one of them, AgentError.
        """
        waitings = {name: Waiting(ids, partial(self._recall, name)) for name, ids in process_ids.items()}
        updates: queue.SimpleQueue[tuple[Waiting, Update]] = queue.SimpleQueue()
        with contextlib.ExitStack() as listening:
            for name, waiting in waitings.items():
                listening.callback(self.connection(name).watcher.listen(putting(updates, waiting)))
            try:
                wait_for(list(waitings.values()), updates, any_one, timeout, progress or (lambda processes: None))
            except KeyboardInterrupt:
                raise WaitInterrupted(
                    f"Stopped waiting. Still going on: {some(going(waitings.values()))}\n"
                    "%hopx_wait waits again, %hopx_kill ends them."
                ) from None
            except UnknownProcess:
                self._note_waited(going(waitings.values()))  # or the next wait would look for it in vain, too
                raise
        if see:
            for name, waiting in waitings.items():
                for process in waiting.processes:
                    see(name, process)
        processes = [process for waiting in waitings.values() for process in waiting.processes]
        self._note_waited(process.process_id for process in processes if process.ended)
        return processes

    def _recall(self, name: str, process_id: ProcessId) -> Process | None:
        """A process as the history has it."""
        with contextlib.suppress(HistoryError):
            kept = self.books.history.of_process(self.connection(name).place, process_id)
            return kept.process if kept else None
        return None

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
        alive = [id_ for id_ in ids if (process := before.find(id_)) and not process.ended]
        try:
            asked = ask_for_ends(agent, alive)
            after = listing_without(agent, asked)
        except KeyboardInterrupt:
            raise WaitInterrupted(
                f"Stopped waiting. Asked to end: {some(alive)}\n%hopx_ps shows whether they have."
            ) from None
        self._note_waited(ids)
        return [killed(process_id, before, after, process_id in asked) for process_id in ids]

    # ------------------------------------------------------------ output

    def output(
        self, process_id: ProcessId, stream: Stream = "stdout", *, tail: int | None = None, on: str | None = None
    ) -> Output:
        """A stream of a process, whole or its last `tail` bytes; bytes that are no UTF-8 become U+FFFD.

        Raises UnknownProcess, and NotSupported when the agent doesn't report output.
        """
        return self._reader(on).read(process_id, stream, tail)

    def output_part(
        self, process_id: ProcessId, stream: Stream, *, start: int, stop: int | None = None, on: str | None = None
    ) -> OutputPart:
        """Bytes `start` to `stop` of a stream, fetched alone where the agent can do that; a negative `start` counts
        from the end.

        Raises UnknownProcess, NotSupported when the agent doesn't report output, AgentError.
        """
        return self._reader(on).part(process_id, stream, start, stop)

    def output_to_keep(self, place: Place, process_id: ProcessId, stream: Stream) -> KeptOutput:
        """As much of a stream as the history keeps: all of it, or its beginning and its end."""
        return self._reader(place.connection).to_keep(process_id, stream, self.settings.history_stream)

    def _reader(self, on: str | None) -> OutputReader:
        connection = self.connection(on)
        return OutputReader(connection.agent, connection.captured_part if connection.captures else None)

    def follow(
        self, process_id: ProcessId, streams: Iterable[Stream] = ("stdout",), *, on: str | None = None
    ) -> Iterator[tuple[Stream, str]]:
        """What a process has written and goes on writing to its streams, piece by piece, until it has ended.

        Begins with the last megabyte of each. Raises UnknownProcess, NotSupported, AgentError.
        """
        return self._reader(on).follow(process_id, tuple(streams))


def _at_home(launch: Launch) -> Launch:
    return msgspec.structs.replace(launch, workdir=_local_folder(launch.workdir))


def _local_folder(workdir: str | None) -> str:
    """An absolute folder on this machine; `/workspace` is the local agent's name for its own folder."""
    try:
        return os.path.abspath(os.path.expanduser(workdir or os.curdir))
    except FileNotFoundError:
        raise LaunchError(
            "the folder in which this notebook works is gone",
            hint="Go to another one with %cd, or use --cwd.",
        ) from None
