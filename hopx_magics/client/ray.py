"""A Ray cluster as an agent: its jobs are processes, by the Jobs API of the head's dashboard."""

import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, NoReturn

import msgspec

from ..errors import AgentError, AgentRefused, AgentUnreachable, HopxError, LaunchError, NotSupported
from ..models import LARGEST, Change, Launch, Listing, Process, ProcessId, QueueState, RunId
from ..protocol import ray as wire
from ..protocol.replies import Launched
from ..protocol.requests import QueueRequest
from ..words import STREAMS, PauseResult, Stream
from .agent import Agent, OutputPart
from .ray_logs import RayLogs
from .ray_packages import Packages
from .transport import Reply, Request, Transport

LOOK_FOR = 5.0
"""Seconds for which a job is looked for whose submission had no answer, before it is submitted again."""

MOST_TAILS = 50
"""Runs, from the newest on, whose output is in a listing: each takes some requests of its own."""

ASKED_AT_ONCE = 8
"""Requests that a head is sent side by side, at most."""

_INSTEAD = "The agents of this machine and of those reached by ssh can: %hopx_connect local, or ssh://HOST."


class RayAgent(Agent):
    """A Ray head, through its transport. Safe to use from several threads.

    A run is the job that has its id, so that it is launched once however often it is sent. `runtime_env` is what all
    jobs have beside what they are sent.
    """

    def __init__(self, transport: Transport, *, runtime_env: Mapping[str, Any]) -> None:
        super().__init__(transport, launches_once=True)
        self.packages = Packages(transport)
        self.runtime_env = runtime_env
        self.logs = RayLogs(transport, self._job)
        self._jobs: dict[ProcessId, wire.Job] = {}
        self._waited: dict[ProcessId | None, datetime] = {}
        """When those that now run, or have ended, were last seen to wait."""
        self._stopping: set[ProcessId] = set()
        self._ends: dict[tuple[ProcessId, int | None], Process] = {}
        """Those that have ended with their output, by what was asked for of it."""
        self._lock = threading.Lock()

    def version(self) -> wire.Version:
        """What the head says of itself. Raises AgentError."""
        return wire.decode_version(self._read(wire.VERSION).body, agent=self.label)

    def resources(self) -> dict[str, float]:
        """What the nodes have together: CPU, GPU, memory in bytes. Raises AgentError."""
        return wire.decode_resources(self._read(wire.NODES).body, agent=self.label)

    def _read(self, path: str) -> Reply:
        """Asks; again for a while also when a busy head says 500."""
        patience = self.transport.patience()
        while True:
            try:
                return self.transport.read(Request("GET", path))
            except AgentRefused as error:
                patience.wait_after(_passing(error))

    # ------------------------------------------------------------ list

    def listing(self, *, tail: int | None = None, known: Listing | None = None) -> Listing:
        """The jobs as they are now, the newest of ours with the last `tail` bytes of their streams."""
        listed = wire.decode_jobs(self._read(wire.JOBS).body, agent=self.label)
        now = datetime.now(UTC)
        told = self._as_processes(listed.jobs, now)
        if tail != 0:
            told = self._with_output(told, tail)
        odd = [Process(process_id=None, status_detail="not understood")] * listed.odd
        return Listing(told=(*told, *odd), agent=self.label, received_at=now, tail=tail)

    def _as_processes(self, jobs: Sequence[wire.Job], now: datetime) -> list[Process]:
        with self._lock:
            waiting: dict[ProcessId | None, datetime] = {job.id: now for job in jobs if job.status == "PENDING"}
            self._jobs = {job.id: job for job in jobs if job.id}
            known = {job.id: seen for job in jobs if (seen := self._waited.get(job.id))}
            self._waited = {**known, **waiting}
            self._stopping &= self._jobs.keys()
            waited, stopping = self._waited, self._stopping
        ordered = sorted(jobs, key=lambda job: job.start_time or 0.0)
        return [
            wire.as_process(job, now, waited_until=waited.get(job.id), stopping=job.id in stopping) for job in ordered
        ]

    def _with_output(self, told: Sequence[Process], tail: int | None) -> list[Process]:
        wanted = [each for each in reversed(told) if each.run_id and each.status != "queued"][:MOST_TAILS]
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            read = list(pool.map(self._with_tail, wanted, repeat(tail)))
        with self._lock:
            self._ends = {(id_, tail): each for each in read if each.ended and (id_ := each.process_id)}
        found = {each.process_id: each for each in read}
        return [found.get(each.process_id, each) for each in told]

    def _with_tail(self, process: Process, tail: int | None) -> Process:
        """A process with the ends of its streams; as it is where they can't be had."""
        process_id = ProcessId(process.process_id or "")
        if known := self._ends.get((process_id, tail)):
            return known
        try:
            stdout, stderr = (self.output(process_id, stream, start=-(tail or LARGEST)) for stream in STREAMS)
        except HopxError:
            return process
        return msgspec.structs.replace(
            process,
            stdout=stdout.data.decode("utf-8", "replace"),
            stderr=stderr.data.decode("utf-8", "replace"),
            stdout_bytes=stdout.size,
            stderr_bytes=stderr.size,
        )

    def change_since(self, known: Listing | None, *, tail: int | None = None, wait: float = 0.0) -> Change | Listing:
        """The listing of now: Ray does not tell what has changed."""
        return self.listing(tail=tail)

    def _job(self, process_id: ProcessId) -> wire.Job:
        """A job as it was last listed, or is now where that does not say where it runs. Raises AgentRefused (404)."""
        known = self._jobs.get(process_id)
        if known is not None and known.driver_node_id:
            return known
        job = wire.decode_job(self._read(wire.job_path(process_id)).body, agent=self.label)
        with self._lock:
            self._jobs[process_id] = job
        return job

    def node_of(self, run_id: RunId) -> str | None:
        """The node on which a run goes on, or has ended; None while it has none. Raises AgentRefused (404)."""
        return self._job(wire.process_id_of(run_id)).driver_node_id

    # ------------------------------------------------------------ launch

    def launch(self, launch: Launch) -> Launched:
        """Launches once, however often it has to be sent: Ray refuses a second job of the same id.

        Raises LaunchError when nothing was launched, or when that can't be found out; Ray's own refusal as it is.
        """
        body = wire.job_body(launch, self.packages.add_launch(launch), self.runtime_env)
        request = Request("POST", wire.JOBS, content=body)
        process_id, patience = wire.process_id_of(launch.run_id), self.transport.patience()
        while True:
            try:
                self.transport.send(request)
                return Launched(process_id=process_id, execution_id=None, status="queued")
            except AgentError as error:
                if not isinstance(error, AgentUnreachable) and not _is_passing(error):
                    raise
                lost = error
            if found := self._submitted(process_id, lost):
                return found
            patience.wait_after(_passing(lost))

    def _submitted(self, process_id: ProcessId, lost: AgentError) -> Launched | None:
        """The job of a submission in place of whose answer `lost` came. Raises LaunchError where that can't be seen."""
        if isinstance(lost, AgentUnreachable) and not lost.sent:
            return None
        try:
            job = wire.decode_job(self._read(wire.job_path(process_id)).body, agent=self.label)
        except AgentRefused as error:
            if error.status == 404:
                return None
            raise _unseen(process_id, lost, error) from None
        except HopxError as error:
            raise _unseen(process_id, lost, error) from None
        process = wire.as_process(job, datetime.now(UTC), waited_until=None, stopping=False)
        return Launched(process_id=process_id, execution_id=None, status=process.status)

    def launch_many(self, launches: Sequence[Launch]) -> Sequence[Launched | HopxError]:
        """Launches side by side, each once; what became of each."""
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            return list(pool.map(self._launch_or_error, launches))

    def _launch_or_error(self, launch: Launch) -> Launched | HopxError:
        try:
            return self.launch(launch)
        except HopxError as error:
            return error

    def features(self) -> Collection[str]:
        """None of those that agents of ours tell in their `/info`."""
        return ()

    # ------------------------------------------------------------ output

    def output(self, process_id: ProcessId, stream: Stream, *, start: int = 0, stop: int | None = None) -> OutputPart:
        """Bytes `start` to `stop` of a stream; a negative `start` counts from the end, like a slice.

        Of a job of somebody else that is Ray's log of it, in which the streams are mixed, as its stdout.
        """
        return self.logs.output(process_id, stream, start, stop)

    # ------------------------------------------------------------ kill

    def kill(self, process_id: ProcessId) -> bool:
        """Asks for the end of a job; whether it was going on.

        Ray ends one that waits for resources only when it has got them.
        """
        patience = self.transport.patience()
        while True:
            try:
                reply = self.transport.send(Request("POST", wire.job_path(process_id, "/stop")))
            except AgentRefused as error:
                if error.status == 404:
                    return False
                if error.status == 400:
                    raise NotSupported("only what was submitted as a job can be stopped", agent=self.label) from None
                patience.wait_after(_passing(error))
            except AgentUnreachable as error:
                patience.wait_after(error)
            else:
                with self._lock:
                    self._stopping.add(process_id)
                return b"true" in reply.body

    def kill_many(self, process_ids: Sequence[ProcessId]) -> set[ProcessId]:
        """Asks for the end of jobs, side by side; those for which Ray has accepted that."""
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            accepted = pool.map(self.kill, process_ids)
            return {process_id for process_id, was_going in zip(process_ids, accepted, strict=True) if was_going}

    def forget(self, process_ids: Sequence[ProcessId]) -> None:
        """Lets the head forget jobs that have ended. Raises AgentError."""
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            list(pool.map(self._forget, process_ids))

    def _forget(self, process_id: ProcessId) -> None:
        try:
            self.transport.send(Request("DELETE", wire.job_path(process_id)))
        except AgentRefused as error:
            if error.status != 404:
                raise

    def pause(self, process_ids: Sequence[ProcessId], *, pause: bool = True) -> dict[ProcessId, PauseResult]:
        """Raises NotSupported: Ray has nothing of the kind."""
        self._refuse("pause jobs")

    def queue(self, change: QueueRequest | None = None) -> QueueState:
        """Raises NotSupported: Ray's scheduler has an order of its own."""
        self._refuse("tell or change the order in which it starts jobs")

    def _refuse(self, what: str) -> NoReturn:
        raise NotSupported(f"Ray can't {what}", agent=self.label, hint=_INSTEAD)


def _is_passing(error: AgentError) -> bool:
    """Whether a busy head, or one that starts, may have said this, and may have done what it was told all the same."""
    return isinstance(error, AgentRefused) and error.status in (408, 429, 500, 502, 503, 504)


def _passing(error: AgentError) -> AgentRefused | AgentUnreachable:
    """The error as one after which is waited, if that is what a busy head says. Raises any other."""
    if isinstance(error, AgentUnreachable):
        return error
    if not isinstance(error, AgentRefused):
        raise error
    if error.status == 500:
        words = error.message.removeprefix(f"{error.agent}: ")
        return AgentRefused(words, agent=error.agent, status=503, code=error.code, hint=error.hint)
    return error


def _unseen(process_id: ProcessId, lost: AgentError, error: HopxError) -> LaunchError:
    return LaunchError(
        f"{lost.message}\nWhether the job was submitted can't be seen: {error.message}",
        may_run=True,
        hint=f"When the head answers again, look in %hopx_ps for {process_id}.",
    )
