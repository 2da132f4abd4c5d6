"""What the agents speak of, as frozen values: a process, a listing, a launch. No I/O, no wire details.

The field names of `Process` are those of the HopX documentation's process object, which makes it the
type that a reply in that dialect is decoded into; `hopx_magics.protocol` reads all other dialects into it.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, NamedTuple, NewType

import msgspec

from .durations import LONGEST, bounded
from .surroundings import Surroundings
from .values.facts import Fact
from .values.packed import Packed
from .words import ENDED, GOING, Capture, KillResult, Language, PauseResult, SandboxStatus, Status, WaitsFor

ProcessId = NewType("ProcessId", str)
"""The agent's name for one background process. It is not the operating system's pid."""

RunId = NewType("RunId", str)
"""Our own unique mark of one launch, by which it is found again when the agent's reply was lost."""

LONGEST_TITLE = 60
"""Characters of a name that tracebacks show."""

LARGEST = 2**53 - 1
"""The largest whole number that is exact everywhere: in a page, in a DataFrame and in the history."""

_Id = Annotated[ProcessId, msgspec.Meta(min_length=1)]
_Whole = Annotated[int, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]


class Place(NamedTuple):
    """Which agent: the name of the connection to it, what tells it apart from others, and its HopX id if it has one."""

    connection: str
    agent: str
    sandbox: str | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a run's processes together take of their machine, as far as its agent has seen it; they are looked at every
    2 seconds at most.

    `cpu_percent` is the share of a core lately, over 100 for several, and `memory_bytes` what is in memory now; both
    are None once it has ended. `peak_memory_bytes` is the most that was seen, at least that of the largest process, and
    `cpu_seconds` the processor time so far. What processes share in memory counts for each. `gpu_percent` is the share
    of a GPU, over 100 for several, `gpu_memory_bytes` what is in their memory, and `peak_gpu_memory_bytes` the most
    that was seen; all three are None for a run that was never seen on one.
    """

    cpu_percent: _Seconds | None = None
    memory_bytes: _Count | None = None
    peak_memory_bytes: _Count | None = None
    cpu_seconds: _Seconds | None = None
    gpu_percent: _Seconds | None = None
    gpu_memory_bytes: _Count | None = None
    peak_gpu_memory_bytes: _Count | None = None


class Process(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One background process, as its agent described it at one moment.

    Times are aware; `execution_time` is in seconds. What the agent did not say is None, also an id that can't be read
    and a number out of all bounds; a launch that waits to be sent has no id either. An agent that does not report
    output leaves `stdout` and `stderr` None, and `exit_code` is None until the process ended. `status_detail` holds the
    agent's own word for a status that is not one of `STATUSES`, or else its reason for the status.
    `stdout_bytes` and `stderr_bytes` are whole sizes, known when the agent cut the streams to their tails. `leftovers`
    are the pids of those that an ended process has started and that still live. What is `paused` stands still, or stays
    in the queue while others pass; what is queued and `first` is ahead of what is not, and `waits_for` is why it waits.
    What has failed and was launched anew was `retried_as` another process, which is a `retry_of` it. `gpus` are those
    that it got, as CUDA names them. It was `stopped_when` a metric met that bound, or was not among the best of its
    sweep, as its launch wanted. `notice` says why a notice of it did not arrive.
    """

    process_id: _Id | None
    execution_id: str | None = None
    name: str | None = None
    status: Status = "unknown"
    status_detail: str | None = msgspec.field(default=None, name="message")
    language: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    stdout: str | None = None
    stderr: str | None = None
    exit_code: _Whole | None = None
    execution_time: _Seconds | None = None
    pid: _Count | None = None
    stdout_bytes: _Count | None = None
    stderr_bytes: _Count | None = None
    run_id: RunId | None = None
    leftovers: tuple[_Count, ...] = ()
    paused: bool = False
    first: bool = False
    waits_for: WaitsFor | None = None
    gpus: tuple[str, ...] = ()
    retry_of: ProcessId | None = None
    retried_as: ProcessId | None = None
    stopped_when: str | None = None
    notice: str | None = None
    usage: Usage | None = None

    @property
    def ended(self) -> bool:
        """Whether the process has come to its end, in one way or another."""
        return self.status in ENDED

    @property
    def goes_on(self) -> bool:
        """Whether it is queued or running, as far as its agent knows."""
        return self.status in GOING

    @property
    def failed(self) -> bool:
        """Whether it failed or was killed, other than as its launch wanted."""
        return self.status in ("failed", "killed") and self.stopped_when is None


class Usual(NamedTuple):
    """How many seconds completed runs of one code took: the median, and between what half of them were; `runs` is how
    many these were."""

    median: float
    low: float
    high: float
    runs: int


class Given(NamedTuple):
    """What a run was given, by what the history has of it: parameters, tags, and in which sweep; of one that goes on
    also how long it usually takes."""

    sweep_id: str | None
    params: dict[str, Any]
    tags: dict[str, str]
    usual: Usual | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """All processes of one agent at one moment, in the agent's order.

    `agent` names the agent, `received_at` is when its reply arrived here, `etag` what to ask for changes with; `tail`
    is to how many last bytes the agent was asked to cut each stream, None for not at all. `told` are the processes as
    the agent has told them: at that moment, or those with an own id earlier, where `told_at` says so.
    """

    told: tuple[Process, ...]
    agent: str
    received_at: datetime
    etag: str | None = None
    tail: int | None = None
    told_at: Mapping[ProcessId, datetime] = {}

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """The processes as they are at that moment: what runs has run on since it was told."""
        return tuple(map(self._run_on, self.told)) if self.told_at else self.told

    def _run_on(self, process: Process) -> Process:
        if process.status != "running" or process.paused or process.execution_time is None or not process.process_id:
            return process
        later = (self.received_at - self.told_at.get(process.process_id, self.received_at)).total_seconds()
        return msgspec.structs.replace(process, execution_time=bounded(process.execution_time + later))

    @cached_property
    def told_by_id(self) -> Mapping[ProcessId, Process]:
        """What the agent has told of the processes, by their ids, of those that share one of any."""
        return {process.process_id: process for process in self.told if process.process_id}

    @cached_property
    def by_id(self) -> Mapping[ProcessId, Process]:
        """The processes by their ids, in the same order, without those whose id could not be read.

        Of several with one id, which no agent should list, one that has not ended.
        """
        by_id = {process.process_id: process for process in self.processes if process.process_id}
        if len(by_id) < len(self.processes):
            going = (process for process in self.processes if not process.ended)
            by_id.update((process.process_id, process) for process in going if process.process_id)
        return by_id

    @property
    def shared_ids(self) -> Mapping[ProcessId, int]:
        """The ids that several processes have, and how many have each."""
        if len(self.by_id) == len(self.processes):
            return {}
        counts = Counter(process.process_id for process in self.processes if process.process_id)
        return {process_id: count for process_id, count in counts.items() if count > 1}

    @cached_property
    def queue(self) -> Mapping[ProcessId, int]:
        """The places of those that are queued, from 1, by their ids, in the order of their turns.

        That is the agent's order, but for those that are to be first; what is paused has none.
        """
        queued = [process for process in self.processes if process.status == "queued" and not process.paused]
        queued.sort(key=lambda process: not process.first)
        return {process.process_id: place for place, process in enumerate(queued, 1) if process.process_id}

    def last_try(self, process_id: str | None) -> Process | None:
        """The process of that id, or of the last time that it was launched anew; None when that is not listed."""
        process, seen = self.find(process_id), {process_id}
        while process is not None and process.retried_as not in seen and (again := self.find(process.retried_as)):
            process = again
            seen.add(process.process_id)
        return process

    def find(self, process_id: str | None) -> Process | None:
        """The process of that id, or None when the agent does not list it."""
        return self.by_id.get(ProcessId(process_id)) if process_id else None


class Change(msgspec.Struct, frozen=True):
    """A listing, and in what it differs from an older one.

    `changed` are the processes that are new or different, in the listing's order; None when there is no older listing,
    or none to compare with, so that everything may differ. `gone` are the ids of those no longer listed. That a running
    process ran on is no difference, and neither is the order alone.
    """

    listing: Listing
    changed: tuple[Process, ...] | None = None
    gone: tuple[ProcessId, ...] = ()


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """Where an agent is to tell the end of a launch: it posts to `url`, with `headers`, signed with `secret`.

    `hopx_magics.verify_callback` tells a receiver whether what it got was signed so.
    """

    url: str
    headers: dict[str, str] = {}
    secret: str | None = None

    def __repr__(self) -> str:
        return f"Callback({self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # msgspec's own would show the secret
        return [("url", self.url)]


class Notify(msgspec.Struct, frozen=True, kw_only=True):
    """Of what the agent is to tell somebody, and where: see `hopx_magics.notices`.

    `when` are `end`, `failure` and bounds of metrics; `places` are `desktop` and URLs, in which there are secrets.
    A sweep of so many runs (`of`), which differ in what is `varied`, has one notice at its end.
    """

    when: tuple[str, ...]
    places: tuple[str, ...]
    of: int | None = None
    varied: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Notify(when={self.when!r}, places={len(self.places)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # msgspec's own would show the secrets
        return [("when", self.when), ("places", len(self.places))]


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What to launch: code and the circumstances it runs in. `timeout` is in seconds, None means no limit.

    `code` is as it was written, from the `first_line` of its cell on; `params` become its variables when it is sent.
    `sweep_id` is common to all launches of one sweep, of which at most `limit` are to run at once; `first` is ahead of
    all that waits, and it starts when those `after` have completed and those of `after_any` have ended; `former` are
    processes whose kept values are in variables of these names. When it fails it is launched anew, up to `retries`
    times, each `retry_delay` seconds later. It needs `gpus`, `cpus`, and `memory` in bytes. It is ended as soon as a
    metric that it prints meets one of the bounds of `stop_when`, and at half time when it is not among those of its
    sweep that `keep_best` tells, such as `3 min loss`. Somebody is told of it as `notify` says. `rerun_of` is the run
    whose code this launches again.
    `callback` is where the agent is to tell its end, and `capture` who is to keep its output: `files` of the sandbox
    that the launch itself writes, the `agent`, or `auto`, whichever works. With `kill_leftovers` its end is that of all
    that it started.

    For an agent of this machine, `surroundings` are those of who launches. `packed` are variables that the code gets,
    and `values` the names of their files once the agent has them; `keep` are the variables to keep at its end, `index`
    the place of the run in its sweep. Code that `needs_notebook` has magics or a bare `await` in it, and `cell` is the
    number of its cell. What is known of variables that are in files already is in `given`. On another agent `runner` is
    the name of the file with what runs the cell there, once the agent has it.

    What is to `fork` is a fork of this program, which has all of its memory, and variables `beside`; OpenMP has so many
    `threads` in it. `keeper` is the pid of the fork's parent, once there is one.
    """

    code: str
    run_id: RunId
    first_line: int = 1
    language: Language = "python"
    name: str | None = None
    timeout: int | None = None
    env: dict[str, str] = {}
    workdir: str | None = None
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    sweep_id: str | None = None
    limit: int | None = None
    first: bool = False
    after: tuple[ProcessId, ...] = ()
    after_any: tuple[ProcessId, ...] = ()
    former: dict[str, list[ProcessId]] = {}
    retries: int = 0
    retry_delay: float = 0.0
    gpus: float = 0.0
    cpus: float = 0.0
    memory: int = 0
    stop_when: tuple[str, ...] = ()
    keep_best: str | None = None
    notify: Notify | None = None
    rerun_of: RunId | None = None
    callback: Callback | None = None
    capture: Capture = "auto"
    kill_leftovers: bool = False
    surroundings: Surroundings | None = None
    packed: Packed | None = None
    values: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    index: int | None = None
    needs_notebook: bool = False
    runner: str = ""
    given: tuple[Fact, ...] = ()
    cell: int | None = None
    fork: bool = False
    threads: int | None = None
    beside: dict[str, Any] = {}
    keeper: int | None = None

    def once(self) -> "Launch":
        """The launch as an agent gets it that is not to launch it anew when it fails."""
        return msgspec.structs.replace(self, retries=0, retry_delay=0.0)

    @property
    def values_in(self) -> tuple[Fact, ...]:
        """What is known of the variables that it gets."""
        return tuple(self.packed.facts()) if self.packed else self.given

    @property
    def title(self) -> str:
        """What tracebacks call the code: `Cell [12] train`."""
        number = "" if self.cell is None else f" [{self.cell}]"
        name = f" {self.name}" if self.name else ""
        return f"Cell{number}{name if len(name) <= LONGEST_TITLE else f'{name[:LONGEST_TITLE]}...'}"


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a `Launch` holds when its code is launched again, too: what it needs, what ends it, and what it is.

    `notify` is of what somebody is told; where is not kept, as there are secrets in it. `limit` is that of its sweep.
    """

    gpus: float = 0.0
    cpus: float = 0.0
    memory: int = 0
    stop_when: tuple[str, ...] = ()
    fork: bool = False
    retries: int = 0
    retry_delay: float = 0.0
    limit: int | None = None
    notify: tuple[str, ...] = ()


def terms_of(launch: Launch) -> Terms:
    """The terms of a launch."""
    as_they_are = {name: getattr(launch, name) for name in Terms.__struct_fields__ if name != "notify"}
    return Terms(**as_they_are, notify=launch.notify.when if launch.notify else ())


class FileInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One file or directory of an agent. `size` is in bytes, `permissions` in the agent's own words.

    `modified_at` is aware. What the agent did not say is None.
    """

    name: str
    path: str
    size: int | None = None
    is_directory: bool = False
    permissions: str | None = None
    modified_at: datetime | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What a process wrote to one stream: its end as `text`, with `left_out` bytes before it."""

    text: str
    left_out: int = 0


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a command in the foreground has written, and how it exited."""

    stdout: str
    stderr: str
    exit_code: int

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.in_words())

    def in_words(self) -> str:
        """Its output as it is, and below it how it exited, if not with 0."""
        parts = [self.stdout.rstrip("\n"), self.stderr.rstrip("\n")]
        exited = f"[exit {self.exit_code}]" if self.exit_code else ""
        return "\n".join(part for part in (*parts, exited) if part)


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one process that was asked to be killed, as a later listing shows it.

    `leftovers` is how many processes were killed that it had left behind, having ended before.
    """

    process_id: ProcessId | None
    name: str | None
    result: KillResult
    status: Status
    leftovers: int = 0


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one process that was to be paused, or to go on; of a queue there is neither id nor status."""

    process_id: ProcessId | None
    name: str | None
    result: PauseResult
    status: Status | None = None


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent works off its queue: whether that is paused, and how many run at once, at most and now.

    What it hands out are `gpus`, as CUDA names them, `cpus`, and `memory` in bytes. Beside its processes it runs so
    many in the `foreground`, for which somebody waits and which end with it.
    """

    paused: bool
    max_running: int
    running: int
    queued: int
    foreground: int = 0
    gpus: tuple[str, ...] = ()
    cpus: float = 0.0
    memory: int = 0


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """One HopX sandbox, as the control plane described it at one moment.

    `status_detail` holds the control plane's own word for a status that is not one of `SANDBOX_STATUSES`. `url` is that
    of the sandbox's agent; None while it has no address. `template` is its template's name, or else its number. Times
    are aware; when the sandbox has expired, it is deleted. What the control plane did not say is None.
    """

    sandbox_id: str
    status: SandboxStatus = "unknown"
    status_detail: str | None = None
    template: str | None = None
    region: str | None = None
    url: str | None = None
    vcpu: int | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


class AccessToken(msgspec.Struct, frozen=True):
    """What a sandbox's agent wants to see. It is accepted until `expires_at`; None when that isn't known."""

    value: str
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"AccessToken(expires_at={self.expires_at!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # msgspec's own would show the value
        return [("expires_at", self.expires_at)]
