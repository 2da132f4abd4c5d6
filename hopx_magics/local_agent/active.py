"""A process that has not ended yet."""

import asyncio
import logging
import subprocess
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..models import ProcessId
from .store import Folder, Launched, Start

_T = TypeVar("_T")

log = logging.getLogger("hopx_magics.local_agent")


class Active:
    """A process that is queued or running.

    `begun` is when its start was decided, in nanoseconds, None while it is queued; `ended` is set when its shell has
    ended, `finished` when that is on record and in the listing. `life` is the task that follows it to its end, `stop`
    the one that ends it by force and tells whether it could.
    """

    __slots__ = ("begun", "child", "ended", "finished", "folder", "intent", "launched", "life", "start", "stop")

    def __init__(self, launched: Launched, folder: Folder) -> None:
        self.launched = launched
        self.folder = folder
        self.begun: int | None = None
        self.start: Start | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.ended = asyncio.Event()
        self.finished = asyncio.Event()
        self.life: asyncio.Task[None] | None = None
        self.stop: asyncio.Task[bool] | None = None
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

    def read_start(self) -> Start | None:
        """How it began, as soon as its shell has written that down."""
        if self.start is None and self.begun is not None:
            self.start = self.folder.read_start()
        return self.start

    @property
    def started_at(self) -> int | None:
        """When it started, in nanoseconds, or None while it is queued."""
        start = self.read_start()
        return start.time if start else self.begun


def spawned(work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
    """A task that does this work; the log tells when it fails."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_log_failure)
    return task


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a task for a process failed", exc_info=error)
