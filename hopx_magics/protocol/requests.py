"""What is sent to an agent: paths, bodies, and the mark of a launch."""

import re
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from ..models import Callback, Launch, Notify, RunId
from ..output.oneline import printable
from ..params import in_its_lines, with_params
from ..surroundings import Surroundings
from .files import WORKSPACE

HEALTH = "/health"
INFO = "/info"
PROCESSES = "/execute/processes"
EXECUTE = "/execute"
EXECUTE_RICH = "/execute/rich"
EXECUTE_BACKGROUND = "/execute/background"
EXECUTE_ASYNC = "/execute/async"
COMMANDS_RUN = "/commands/run"
COMMANDS_BACKGROUND = "/commands/background"
KILL = "/execute/kill"
PAUSE = "/execute/pause"
RESUME = "/execute/resume"
QUEUE = "/execute/queue"
EXECUTE_MANY = "/execute/many"
KILL_MANY = "/execute/many/kill"

MANY = "many"
"""The feature of an agent that launches and kills many with one request, each by itself."""

FORMER = "former"
"""The feature of an agent whose cells find what others have kept, also those whose runner was sent along."""

RUNS = f"{WORKSPACE}/.hopx/runs"
"""Where those whose runner was sent along have their folders, with what they leave in `out`."""

FORK = "fork"
"""The feature of an agent that looks after forks of its clients."""

MOST_AT_ONCE = 1_000
"""Launches or processes that one request may name."""

DELTA = "hopx-rows"
"""The name, in the headers `A-IM` and `IM` of RFC 3229, of how a listing can be told by what differs from an older one.

Such a reply has the status 226 and the ETag of the older listing in `Delta-Base`. Its body is like that of a listing:
`processes` has the rows that are new or different, in the listing's order and each as a whole; `gone` has the ids of
those no longer listed, and may name some that the older listing did not have either; `count` is that of the whole
listing. New processes come behind all others. That a running process ran on is no difference.
"""

VALUES = f"{WORKSPACE}/.hopx/values"
"""Where files of values are put before a launch that names them. The agent removes what no process needs."""

SWEEP_INDEX = "HOPX_SWEEP_INDEX"
"""The variable in which a run of a sweep finds its place in it, from 0 on."""

TITLE = "HOPX_CELL_TITLE"
"""The variable in which the runner finds what tracebacks are to call a Python cell."""

LEFT_OUT = "Hopx-Left-Out"
"""The header that tells which bytes of an output the agent has not kept, as `BEGIN-END`: zeros stand for them."""

AGENT_FILE = "agent.json"
"""Where in its folder a local agent tells its address and its token."""

PROCESS_UNKNOWN_CODES = frozenset({"PROCESS_NOT_FOUND", "RESOURCE_NOT_FOUND"})
"""The codes of a 404 that speaks of the process, and not of the route."""

UNLIMITED = 365 * 24 * 3600
"""The seconds sent for "no time limit": an agent would take a missing limit for its own default of 300 s."""


class NotifyRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of what the local agent is to tell somebody, and where.

    `when` are `end`, `failure`, and bounds of metrics such as `loss>10`; `places` are `desktop` and URLs of apprise.
    What the process was `given` is told with its name. A sweep has one notice, when so many of its processes (`of`)
    have ended, or all that there are, for a while.
    """

    when: tuple[str, ...]
    places: tuple[str, ...]
    given: dict[str, str] = {}
    of: int | None = None

    def __repr__(self) -> str:
        return f"NotifyRequest(when={self.when!r})"


class BackgroundRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of `POST /execute/background` and `/execute`. Timeout in seconds; 0 and null mean no limit.

    The working directory is `working_dir` in the documentation and `workdir` in the vendor's clients: both are sent.

    `sweep` and `sweep_limit` are for background launches and known to the local agent only: the process starts when
    fewer than `sweep_limit`, 1 or more, of that sweep are running, and is queued until then. `sweep` is the id of the
    sweep, 1 to 64 of the characters A-Z a-z 0-9 _ -, and must be there when `sweep_limit` is. An agent that keeps the
    limit repeats `sweep_limit` in its reply. Each launch has its own limit: where those in one sweep differ, each
    process waits for its own, and one that has none doesn't wait but counts among those that are running. What is
    `first` starts ahead of all that is not. It
    starts when all processes `after` have completed, and ends as failed when one has not; and when all of `after_any`
    have ended. A Python cell finds what those of `former` have kept in the variables that are its keys.

    When it fails it is launched anew, up to `retries` times, each `retry_delay` seconds after the end: the row of such
    a process tells in `retry_of` which one it repeats, and that one's in `retried_as` by which. It starts when so many
    `gpus` (whole ones, or a part of one), `cpus`, and bytes of `memory` are left by those that asked for some; it gets
    its GPUs in `CUDA_VISIBLE_DEVICES` and is ended when it takes more memory. It is ended, too, as soon as a metric
    that it prints meets one of the bounds of `stop_when`, such as `loss>10`, which its row tells in `stopped_when`; and
    at half time, when it is not among those of its `sweep` that `keep_best` tells, such as `3 min loss`. Its row
    says in `notice` why one that `notify` wants did not arrive.

    For background launches on the local agent, too: `kill_leftovers` makes the process's end that of all it has
    started; `environment` is the whole environment in place of the agent's own, with `env` on top, and `umask` is set.
    `values` are names of files in `VALUES`, of which the first is the manifest of what a Python cell gets. `fork` is
    the pid of the process that keeps a fork of the client (`forking`), which waits for its turn, and is the cell then.
    """

    code: str
    language: str | None = None
    timeout: float | msgspec.UnsetType | None = msgspec.UNSET
    env: dict[str, str] | None = None
    name: str | None = None
    workdir: str | None = None
    working_dir: str | None = None
    sweep: str | None = None
    sweep_limit: int | None = None
    first: bool = False
    after: list[str] | None = None
    after_any: list[str] | None = None
    former: dict[str, list[str]] | None = None
    retries: int = 0
    retry_delay: float = 0.0
    gpus: float = 0.0
    cpus: float = 0.0
    memory: int = 0
    stop_when: list[str] | None = None
    keep_best: str | None = None
    notify: NotifyRequest | None = None
    kill_leftovers: bool = False
    environment: dict[str, str] | None = None
    umask: int | None = None
    values: list[str] | None = None
    fork: int | None = None


class AsyncRequest(BackgroundRequest, kw_only=True, omit_defaults=True):
    """Body of `POST /execute/async`: a background launch, and where to tell its end.

    When the process has ended, the agent posts there, as JSON: execution_id, process_id, status (completed, failed,
    timeout or killed), success, stdout and stderr (their ends), exit_code, execution_time, timestamp, error. The
    headers are those of `callback_headers`, X-HopX-Timestamp, and with a secret X-HopX-Signature: see
    `hopx_magics.callbacks`.
    """

    callback_url: str
    callback_headers: dict[str, str] | None = None
    callback_signature_secret: str | None = None


class CommandRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of `POST /commands/run` and `/commands/background`: a program with `args`, or without them a shell line."""

    command: str
    args: list[str] | None = None
    timeout: float | msgspec.UnsetType | None = msgspec.UNSET
    env: dict[str, str] | None = None
    name: str | None = None
    workdir: str | None = None
    working_dir: str | None = None


class ManyRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of `POST /execute/many`, which agents with the feature `MANY` know: bodies of `/execute/background`.

    They are launched in their order until one can't be. The reply has their replies in `results`, and in `error` why
    the one behind them was refused, if one was: `status`, `code` and `message` are those that it would have got alone.
    `idempotency_keys` has the Idempotency-Key of each.
    """

    launches: list[msgspec.Raw]
    idempotency_keys: list[str] | None = None


class KillManyRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /execute/many/kill`, which agents with the feature `MANY` know.

    What is queued is taken out of the queue ahead of all else, so that none of it starts. The reply has `results`: for
    each id a `words.KillResult`.
    """

    process_ids: list[str]


class PauseRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /execute/pause` and `/execute/resume`, which the local agent alone knows.

    The reply has `results`: for each id a `words.PauseResult`.
    """

    process_ids: list[str]


class QueueRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Body of `POST /execute/queue`: what is to be different. The reply is that of a GET: see `QueueState`.

    Nothing starts while the queue is `paused`. `max_running` processes run at once, 0 for as many as the agent was
    started with. Of `sweep`, `sweep_limit` run at once, 0 for as many as may.
    """

    paused: bool | None = None
    max_running: int | None = None
    sweep: str | None = None
    sweep_limit: int | None = None


class KillForm(msgspec.Struct, frozen=True):
    """One of the ways in which agents want to be asked to kill a process."""

    method: str
    path: str
    params: dict[str, str] | None = None
    body: dict[str, str] | None = None


def launch_body(launch: Launch) -> bytes:
    """The body that launches `launch`, with a callback by `EXECUTE_ASYNC`, and by `EXECUTE_BACKGROUND` without one."""
    return msgspec.json.encode(launch_fields(launch))


def many_body(bodies: Sequence[bytes], keys: Sequence[str]) -> bytes:
    """The body that launches what these bodies would launch, each with its key."""
    return msgspec.json.encode(ManyRequest(launches=list(map(msgspec.Raw, bodies)), idempotency_keys=list(keys)))


def launch_fields(launch: Launch) -> dict[str, Any]:
    """The fields of that body: the params become variables of the code, and the launch's mark is in the name."""
    code = in_its_lines(launch.code, launch.language, launch.first_line)
    return {
        "code": with_params(code, launch.language, launch.params),
        "language": launch.language,
        "timeout": UNLIMITED if launch.timeout is None else launch.timeout,
        "name": marked_name(launch.name, launch.run_id),
        **({"env": launch.env} if launch.env and not launch.keeper else {}),  # which a fork has already
        **({"workdir": launch.workdir, "working_dir": launch.workdir} if launch.workdir else {}),
        **({"sweep": launch.sweep_id} if launch.sweep_id else {}),
        **({"sweep_limit": launch.limit} if launch.sweep_id and launch.limit else {}),
        **({"first": True} if launch.first else {}),
        **({"retries": launch.retries, "retry_delay": launch.retry_delay} if launch.retries else {}),
        **{name: count for name in ("gpus", "cpus", "memory") if (count := getattr(launch, name))},
        **({"stop_when": launch.stop_when} if launch.stop_when else {}),
        **({"keep_best": launch.keep_best} if launch.keep_best else {}),
        **({"notify": _notify_request(launch, launch.notify)} if launch.notify else {}),
        **({"after": launch.after} if launch.after else {}),
        **({"after_any": launch.after_any} if launch.after_any else {}),
        **({"former": launch.former} if launch.former else {}),
        **({"kill_leftovers": True} if launch.kill_leftovers else {}),
        **({"values": launch.values} if launch.values else {}),
        **({"fork": launch.keeper} if launch.keeper else {}),
        **(_surroundings(launch, launch.surroundings) if launch.surroundings else {}),
        **(_callback_fields(launch.callback) if launch.callback else {}),
    }


LONGEST_GIVEN = 60
MOST_GIVEN = 100


def _notify_request(launch: Launch, notify: Notify) -> NotifyRequest:
    names = sorted(launch.params, key=lambda name: name not in notify.varied)[:MOST_GIVEN]
    given = {printable(name, LONGEST_GIVEN): printable(str(launch.params[name]), LONGEST_GIVEN) for name in names}
    return NotifyRequest(when=notify.when, places=notify.places, given=given, of=notify.of)


def _surroundings(launch: Launch, surroundings: Surroundings) -> dict[str, Any]:
    place = {} if launch.index is None else {SWEEP_INDEX: str(launch.index)}
    return {
        "environment": {**surroundings.environment, TITLE: launch.title, **place},
        **({} if surroundings.umask is None else {"umask": surroundings.umask}),
    }


def _callback_fields(callback: Callback) -> dict[str, Any]:
    return {
        "callback_url": callback.url,
        **({"callback_headers": callback.headers} if callback.headers else {}),
        **({"callback_signature_secret": callback.secret} if callback.secret else {}),
    }


def kill_forms(process_id: str) -> list[KillForm]:
    """The forms of the kill request that some agent understands, in the order in which to try them, one at a time."""
    body = {"process_id": process_id}
    return [
        KillForm("DELETE", KILL, params=body),
        KillForm("DELETE", KILL, body=body),
        KillForm("POST", KILL, body=body),
        KillForm("POST", f"{KILL}/{quote(process_id, safe='')}"),
    ]


def marked_name(name: str | None, run_id: RunId) -> str:
    """`name` with the launch's mark behind it, by which the process is known even when the launch's reply was lost.

    The mark is `[hopx:` with the 16 digits of the run id and `]`, and a space before it where there is a name.
    """
    return f"{name} [hopx:{run_id}]" if name else f"[hopx:{run_id}]"


def unmarked_name(name: str | None) -> str | None:
    """What `marked_name` was made of; a name without a mark as it is."""
    if name is None or _MARK.search(name) is None:
        return name
    return _MARK.sub("", name) or None


def mark_in(name: str | None) -> RunId | None:
    """The mark that `marked_name` has put into a name; None where there is none, or one that we don't make."""
    found = _MARK.search(name or "")
    return RunId(found[0][-17:-1]) if found and found[0][-17:-1].isalnum() else None


def renewed_mark(name: str | None) -> str | None:
    """A name with another mark in place of the one that it has, for a process that is tried again; else as it is."""
    if name is None or _MARK.search(name) is None:
        return name
    return marked_name(unmarked_name(name), RunId(secrets.token_hex(8)))


_MARK = re.compile(r" ?\[hopx:[^\]]{16}\]$")


class AgentFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a local agent writes about itself into `AGENT_FILE` of its folder, for those who may use it.

    `instance` is new at each start of the agent and is also in the reply of `GET /health`. `socket` is the path of the
    Unix socket, in a folder that only the user can write to, through which the agent answers as it does at `url`; None
    for an agent of an older version.
    """

    url: str
    socket: str | None = None
    token: str
    pid: int
    version: str
    instance: str

    def __repr__(self) -> str:
        return f"AgentFile(url={self.url!r}, pid={self.pid})"
