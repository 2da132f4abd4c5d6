"""A process that has not ended yet."""

import asyncio
import logging
import subprocess
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from ..models import ProcessId
from .family import Family, Member, Table, clock, uptime
from .metering import Meter
from .records import Launched, Pauses, Start
from .resources import Needs
from .store import Folder

_T = TypeVar("_T")

ANEW_AFTER = 1.0
"""Seconds after which work without an end begins anew when it has failed."""

log = logging.getLogger("hopx_magics.local_agent")


class Former(NamedTuple):
    """Another process, after which one starts: its id when that was launched, and whether it has to complete."""

    launched_as: str
    must_complete: bool


class Active:
    """A process that is queued or running.

    `begun` is when its start was decided, in nanoseconds, None while it is queued; `ended` is set when its shell has
    ended, `finished` when that is on record and in the listing. `life` is the task that follows it to its end, `stop`
    the one that ends it by force and tells whether it could. `turned` is set, and then another one, whenever it is
    paused or goes on; who does that holds the lock `turning`.
    """

    __slots__ = (
        *("_family", "_strays", "begun", "child", "ended", "finished", "folder", "hangs", "intent", "launched"),
        *("gpus", "life", "meter", "notice", "pauses", "start", "stop", "turned", "turning", "waits_on", "waits_until"),
    )

    def __init__(self, launched: Launched, folder: Folder) -> None:
        self.launched = launched
        self.folder = folder
        self.begun: int | None = None
        self.start: Start | None = None
        self._family: Family | None = None
        self._strays: set[Member] = set()
        self.meter = Meter()
        self.child: subprocess.Popen[bytes] | None = None
        self.ended = asyncio.Event()
        self.finished = asyncio.Event()
        self.life: asyncio.Task[None] | None = None
        self.stop: asyncio.Task[bool] | None = None
        self.pauses = Pauses()
        self.turned = asyncio.Event()
        self.turning = asyncio.Lock()
        self.waits_on: dict[str, Former] = {}
        """Those that have to end before it may start, by their ids."""
        self.waits_until: int | None = None
        """Before which moment, in nanoseconds, it may not start."""
        self.gpus: tuple[str, ...] = ()
        """The GPUs that it got."""
        self.hangs = False
        """Whether it seems to wait for what will never come."""
        self.notice: str | None = None
        """Why a notice of it did not arrive."""
        self.intent = ""
        """Why an agent before this one was about to end the process."""

    @property
    def process_id(self) -> ProcessId:
        """The id under which it is listed."""
        return self.launched.process_id

    @property
    def sequence(self) -> int:
        """Its place in the order of launches."""
        return self.launched.sequence

    @property
    def key(self) -> str | None:
        """The Idempotency-Key of its launch."""
        return self.launched.key

    @property
    def is_paused(self) -> bool:
        """Whether it is paused: it stands still, or stays in the queue."""
        return self.pauses.since is not None

    def pause(self) -> None:
        """Puts on record that it is paused from now on. Raises OSError."""
        self._turn(self.pauses._replace(since=clock()))

    def unpause(self) -> None:
        """Puts on record that it is not paused any more. Raises OSError."""
        self._turn(Pauses() if self.begun is None else Pauses(self.pauses.until(clock())))

    def _turn(self, pauses: Pauses) -> None:
        self.folder.write_pauses(pauses)
        self.pauses = pauses
        told, self.turned = self.turned, asyncio.Event()
        told.set()

    @property
    def needs(self) -> Needs:
        """What it needs to run."""
        return Needs(self.launched.gpus, self.launched.cpus, self.launched.memory)

    def read_start(self) -> Start | None:
        """How it began, as soon as its shell has written that down."""
        if self.start is None and self.begun is not None:
            self.start = self.folder.read_start()
        return self.start

    @property
    def family(self) -> Family | None:
        """Its processes, as soon as it has begun."""
        if self._family is None and (start := self.read_start()):
            self._strays = {Member(*stray) for stray in self.folder.read_strays()}
            self._family = Family(self.process_id, start.group, self._strays, began=start.uptime)
        return self._family

    def note_strays(self, table: Table) -> None:
        """Puts on record who of its processes has left its session, for an agent after this one."""
        if self._family and (strays := self._family.strays(table)) != self._strays:
            self._strays = strays
            self.folder.write_strays(strays)

    @property
    def started_at(self) -> int | None:
        """When it started, in nanoseconds, or None while it is queued."""
        start = self.read_start()
        return start.time if start else self.begun

    @property
    def running_time(self) -> float:
        """For how many seconds it has been running and not paused, whatever became of the time of day meanwhile."""
        start, now = self.read_start(), uptime()
        if start is not None and start.uptime is not None and now is not None:
            since_start = now - start.uptime
        else:
            since_start = 0.0 if self.started_at is None else (time.time_ns() - self.started_at) / 1e9
        return max(0.0, since_start - self.pauses.until(clock() if now is None else now))


def spawned(work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
    """A task that does this work; the log tells when it fails."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_log_failure)
    return task


def kept_up(watch: Callable[[], Coroutine[Any, Any, None]]) -> "asyncio.Task[None]":
    """A task that does work without an end, and begins it anew where it has failed, which the log tells."""
    return spawned(_again_and_again(watch))


async def _again_and_again(watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await watch()
        except Exception:  # whatever it was, limits and bounds are to hold for all other processes
            log.exception("looking after processes failed, and begins anew")
        await asyncio.sleep(ANEW_AFTER)


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a task for a process failed", exc_info=error)
