"""What a folder of a process tells: what was launched, how it began, whether it lives, and how it ended."""

from typing import NamedTuple

import msgspec

from ..models import ProcessId
from ..notices import EVENTS
from ..words import Status


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """When a process may start: see `Launched`."""

    sweep: str | None = None
    sweep_limit: int | None = None
    first: bool = False
    after: dict[str, str] = {}
    after_any: dict[str, str] = {}
    retries: int = 0
    retry_delay: float = 0.0
    gpus: float = 0.0
    cpus: float = 0.0
    memory: int = 0
    former: dict[str, list[str]] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody is told of a process, with those of its `group`, of what, and what it was given."""

    group: str
    when: tuple[str, ...]
    given: dict[str, str] = {}

    @property
    def bounds(self) -> tuple[str, ...]:
        """The bounds of metrics of which somebody is told."""
        return tuple(event for event in self.when if event not in EVENTS)


class Launched(Turn, frozen=True, kw_only=True):
    """What was launched. `sequence` orders all launches of a folder; it is the launch time in nanoseconds.

    `timeout` is in seconds from the start. `at_once` is False for a process that had to wait its turn. `key` is the
    launch's Idempotency-Key, and `digest` what tells whether a second launch with that key is the same. The process
    starts when fewer than `sweep_limit` of its `sweep` are running; what is `first` is ahead of what is not. `has_env`
    tells that an environment was asked for, `kill_leftovers` that what it leaves behind is to be killed at its end.
    It is ended when a metric that it prints meets one of the bounds of `stop_when`, and at half time when it is not
    among those of its sweep that `keep_best` tells. Somebody is `told` of it. `values` is the name of the manifest in
    `in`. What is forked waits for its turn itself, and `keeper` is the pid and the start of its parent. It comes after
    all in `after` have completed, and after all in `after_any` have ended: their names, or what stands for them, by
    their ids. When it fails it is tried again up to `retries` times, each `retry_delay` seconds later, as a process of
    its own, which is a `retry_of` the one before and may start `not_before` that moment, in nanoseconds. What it needs
    are `gpus`, `cpus`, and `memory` in bytes, more than which it may not take. `former` are processes by the name of a
    variable in which the cell finds what they kept.
    """

    process_id: ProcessId
    execution_id: str
    sequence: int
    name: str | None
    language: str | None
    command: list[str]
    workdir: str
    timeout: float | None
    at_once: bool
    key: str | None = None
    digest: str | None = None
    retry_of: str | None = None
    not_before: int | None = None
    has_env: bool = True
    kill_leftovers: bool = False
    stop_when: tuple[str, ...] = ()
    keep_best: str | None = None
    told: Told | None = None
    is_whole_env: bool = False
    umask: int | None = None
    values: str | None = None
    keeper: tuple[int, int] | None = None
    damaged: str | None = None

    @property
    def reply(self) -> dict[str, str | int]:
        """What the launch was answered with, and is again when it is repeated."""
        status: Status = "running" if self.at_once else "queued"
        return {
            "process_id": self.process_id,
            "execution_id": self.execution_id,
            "status": status,
            **({} if self.name is None else {"name": self.name}),
            "message": "Execution started in background" if self.at_once else "Execution queued",
            **({} if self.sweep_limit is None else {"sweep_limit": self.sweep_limit}),
        }


class Start(NamedTuple):
    """How a process began: its process group, its own pid, and when, in nanoseconds.

    `failed` tells that its program could not be run, `uptime` for how many seconds the machine had been up, where that
    is known. `born` is when the process itself was started, as `family.Member` has it, where it is a fork.
    """

    group: int
    pid: int
    time: int
    failed: bool
    uptime: float | None = None
    born: int | None = None


class Pauses(NamedTuple):
    """For how many seconds in all a process was paused before, and since which `clock` it is now, if it is."""

    total: float = 0.0
    since: float | None = None

    def until(self, now: float) -> float:
        """For how many seconds it was paused up to that clock."""
        return self.total + (0.0 if self.since is None else max(0.0, now - self.since))


class Record(NamedTuple):
    """The text of a record, empty while nothing has been written to it, and when it was written, in nanoseconds."""

    text: str
    time: int


class Exit(NamedTuple):
    """How a process ended: its exit code, None when that can't be read, and when, in nanoseconds.

    `uptime` is as in `Start`; `asked` tells whether its end had been asked for by then.
    """

    code: int | None
    time: int
    uptime: float | None
    asked: bool


class Evidence(NamedTuple):
    """All that a folder tells about its process's life."""

    alive: bool
    start: Start | None
    intent: Record
    exit: Exit | None
