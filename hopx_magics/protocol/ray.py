"""What is said to a Ray head, and what its answers mean: jobs as processes. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from ..errors import BadReply
from ..models import Launch, Process, ProcessId, RunId
from ..output.oneline import printable
from ..words import ENDED, Status
from .fields import Body, read_count, read_integer, read_seconds, read_text
from .replies import excerpt

VERSION = "/api/version"
JOBS = "/api/jobs/"
NODES = "/nodes?view=summary"
USAGE = "/api/cluster_status"
LOGS = "/api/v0/logs"
LOG = "/api/v0/logs/file"
PACKAGES = "/api/packages/gcs"

MARK = "hopx-"
"""What the ids of our own jobs begin with; the id of the run is behind it."""

TIMED_OUT = 124
"""The exit code of a run whose time was over: see `hopx_runner.on_ray`."""

LONGEST_VALUE = 200
MOST_PARAMS = 100

_STATUSES: Mapping[str, Status] = {
    "PENDING": "queued",
    "RUNNING": "running",
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "STOPPED": "killed",
}


_REASONS = {
    "RUNTIME_ENV_SETUP_FAILURE": "what it needs could not be set up: {said}",
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT": "Ray gave up: it had waited too long for room on the cluster",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE": "no node of the cluster can run it: {said}",
    "JOB_SUPERVISOR_ACTOR_DIED": "the node on which it ran has died, or what Ray ran it by",
}
"""What Ray's kinds of failures mean, before or beside the code that was to run."""


class Job(msgspec.Struct, frozen=True):
    """A job as Ray tells it, as far as it matters here: times are in milliseconds."""

    status: str
    submission_id: str | None = None
    job_id: str | None = None
    type: str | None = None
    entrypoint: str | None = None
    message: str | None = None
    error_type: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    metadata: dict[str, Any] | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    @property
    def id(self) -> ProcessId | None:
        """By what it is known: what was submitted by the id that it got then, any other by Ray's own."""
        told = self.submission_id or self.job_id
        return ProcessId(told) if told else None

    @property
    def run_id(self) -> RunId | None:
        """The run that it is; None for a job of somebody else."""
        run_id = (self.metadata or {}).get("hopx_run")
        return RunId(run_id) if isinstance(run_id, str) and self.submission_id == MARK + run_id else None


class Listed(NamedTuple):
    """What a listing of jobs tells: them, and how many rows could not be understood."""

    jobs: list[Job]
    odd: int


def process_id_of(run_id: RunId) -> ProcessId:
    """The id of the job that a run is."""
    return ProcessId(MARK + run_id)


def job_path(process_id: ProcessId, what: str = "") -> str:
    """The path of a job, or of something of it."""
    return f"{JOBS}{quote(process_id, safe='')}{what}"


_decode_all = msgspec.json.Decoder(list[Job]).decode
_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.json.Decoder(Job).decode


def decode_jobs(body: Body, *, agent: str) -> Listed:
    """The jobs in the reply to `GET /api/jobs/`. Raises BadReply when it is no listing."""
    try:
        return Listed(_decode_all(body), 0)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        rows = _decode_rows(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadReply(f"its reply is no listing of jobs: {excerpt(body)}", agent=agent) from None
    jobs = list(_understood(rows))
    return Listed(jobs, len(rows) - len(jobs))


def _understood(rows: list[msgspec.Raw]) -> Iterator[Job]:
    for row in rows:
        try:
            yield _decode_one(row)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue


def decode_job(body: Body, *, agent: str) -> Job:
    """The job in the reply to `GET /api/jobs/ID`. Raises BadReply."""
    try:
        return _decode_one(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadReply(f"its reply is no job: {excerpt(body)}", agent=agent) from None


def as_process(job: Job, now: datetime, *, waited_until: datetime | None, stopping: bool) -> Process:
    """A job as a process.

    Ray tells when it got a job, not when that began: it did so after `waited_until`, where it was seen to wait.
    `stopping` is one that was asked to end.
    """
    status = _STATUSES.get(job.status, "unknown")
    started = None if status == "queued" else waited_until or _moment(job.start_time)
    completed = _moment(job.end_time) if status in ENDED else None
    end = completed if status in ENDED else now
    elapsed = (end - started).total_seconds() if started and end and status != "unknown" else None
    return Process(
        process_id=job.id,
        name=_name(job),
        status=status,
        status_detail=_detail(job, status, stopping=stopping),
        language=_said(job, "hopx_language"),
        started_at=started,
        completed_at=completed,
        exit_code=read_integer(job.driver_exit_code) if status in ENDED else None,
        execution_time=None if elapsed is None else read_seconds(max(0.0, elapsed)),
        run_id=job.run_id,
    )


def _moment(milliseconds: float | None) -> datetime | None:
    count = read_count(milliseconds and int(milliseconds))
    try:
        return datetime.fromtimestamp(count / 1000, UTC) if count else None
    except (OverflowError, OSError, ValueError):
        return None


def _said(job: Job, key: str) -> str | None:
    return read_text((job.metadata or {}).get(key)) or None


def _name(job: Job) -> str | None:
    """Its name: that of somebody else's job is the one that it got, or what it runs."""
    name = _said(job, "job_name")
    return name if job.run_id else name or (printable(job.entrypoint, 60) if job.entrypoint else None)


def _detail(job: Job, status: Status, *, stopping: bool) -> str | None:
    if status == "queued" and stopping:
        return "to be stopped: Ray does so as soon as it would start"
    if status == "unknown":
        return printable(job.status, 60) or None
    if status != "failed":
        return None
    if job.run_id and job.driver_exit_code == TIMED_OUT and (limit := _said(job, "hopx_timeout")):
        return f"timed out after {limit} s"
    if job.driver_exit_code is not None:
        return None
    said = printable((job.message or "").strip().partition("\n")[0], LONGEST_VALUE)
    words = _REASONS.get(job.error_type or "")
    return words.format(said=said) if words else said or None


def job_body(launch: Launch, packages: list[str], runtime_env: Mapping[str, Any]) -> bytes:
    """The body that submits a run, whose `packages` are at Ray already.

    It takes a processor unless it says how many: what takes none would all run at once, on the head.
    """
    return msgspec.json.encode(
        {
            "entrypoint": f"python -m hopx_runner.on_ray {launch.run_id}",
            "submission_id": process_id_of(launch.run_id),
            "metadata": _metadata(launch),
            "runtime_env": {**runtime_env, "py_modules": [*packages, *runtime_env.get("py_modules", ())]},
            "entrypoint_num_cpus": launch.cpus or 1,
            **({"entrypoint_num_gpus": launch.gpus} if launch.gpus else {}),
            **({"entrypoint_memory": launch.memory} if launch.memory else {}),
        }
    )


def _metadata(launch: Launch) -> dict[str, str]:
    """What Ray tells of a run to whoever lists its jobs: texts only."""
    params = list(launch.params.items())[:MOST_PARAMS]
    return {
        "hopx_run": launch.run_id,
        "hopx_language": launch.language,
        **({"job_name": launch.name} if launch.name else {}),
        **({"hopx_sweep": launch.sweep_id} if launch.sweep_id else {}),
        **({"hopx_timeout": f"{launch.timeout:g}"} if launch.timeout is not None else {}),
        **{f"param.{name}": printable(str(value), LONGEST_VALUE) for name, value in params},
        **{f"tag.{name}": printable(value, LONGEST_VALUE) for name, value in launch.tags.items()},
    }


def sent_launch(launch: Launch, code: str, environment: Mapping[str, str]) -> bytes:
    """What `hopx_runner.on_ray` has to know of a run."""
    return msgspec.json.encode(
        {
            "language": launch.language,
            "code": code,
            "workdir": launch.workdir or "",
            "timeout": launch.timeout,
            "environment": {**launch.env, **environment},
            "values": launch.values,
        }
    )


class _Logs(msgspec.Struct):
    result: dict[str, list[str]]


class _LogsReply(msgspec.Struct):
    data: _Logs


def decode_log_names(body: Body, *, agent: str) -> list[str]:
    """The names of files in the log folder of a node, those of folders with `/` behind. Raises BadReply."""
    try:
        groups = msgspec.json.decode(body, type=_LogsReply).data.result
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadReply(f"its reply is no list of log files: {excerpt(body)}", agent=agent) from None
    return sorted({name for names in groups.values() for name in names})


class _JobLog(msgspec.Struct):
    logs: str | None = None


def decode_job_log(body: Body, *, agent: str) -> str:
    """The text in the reply to `GET /api/jobs/ID/logs`. Raises BadReply."""
    try:
        return msgspec.json.decode(body, type=_JobLog).logs or ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadReply(f"its reply is no log of a job: {excerpt(body)}", agent=agent) from None


class _Raylet(msgspec.Struct):
    resources_total: dict[str, float] = msgspec.field(default_factory=dict, name="resourcesTotal")
    state: str = ""


class _Node(msgspec.Struct):
    raylet: _Raylet


class _Summary(msgspec.Struct):
    summary: list[_Node]


class _NodesReply(msgspec.Struct):
    data: _Summary


def decode_resources(body: Body, *, agent: str) -> dict[str, float]:
    """What all nodes that live have together, as Ray calls it: CPU, GPU, memory in bytes. Raises BadReply."""
    try:
        nodes = msgspec.json.decode(body, type=_NodesReply).data.summary
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadReply(f"its reply is no list of nodes: {excerpt(body)}", agent=agent) from None
    total: dict[str, float] = {}
    for node in nodes:
        if node.raylet.state == "ALIVE":
            for name, count in node.raylet.resources_total.items():
                total[name] = total.get(name, 0.0) + count
    return total


class _Load(msgspec.Struct):
    usage: dict[str, tuple[float, float]] = {}


class _Status(msgspec.Struct):
    load: _Load | None = msgspec.field(default=None, name="loadMetricsReport")


class _StatusData(msgspec.Struct):
    status: _Status | None = msgspec.field(default=None, name="clusterStatus")


class _StatusReply(msgspec.Struct):
    data: _StatusData


def decode_used(body: Body) -> dict[str, float]:
    """How much of each resource is in use, as far as the head tells it."""
    try:
        status = msgspec.json.decode(body, type=_StatusReply).data.status
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    usage = status.load.usage if status and status.load else {}
    return {name: used for name, (used, _) in usage.items()}


class Version(msgspec.Struct, frozen=True):
    """What a Ray head says of itself; its session is another one each time that it starts."""

    ray_version: str
    session_name: str = ""


def decode_version(body: Body, *, agent: str) -> Version:
    """The reply to `GET /api/version`. Raises BadReply for what is no Ray head."""
    try:
        return msgspec.json.decode(body, type=Version)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadReply(
            f"this is no Ray head: {excerpt(body)}",
            agent=agent,
            hint="The address is that of Ray's dashboard, by default http://HEAD:8265.",
        ) from None
