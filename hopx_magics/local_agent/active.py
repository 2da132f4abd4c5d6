"""A process that has not ended yet."""

import asyncio
import subprocess

from .store import Folder, Launched, Start


class Active:
    """A process that is queued or running.

    `begun` is when its start was decided, in nanoseconds, None while it is queued; `ended` is set when its shell has
    ended, `finished` when that is on record and in the listing; `stop` is the task that ends it by force.
    """

    __slots__ = ("begun", "child", "ended", "finished", "folder", "intent", "launched", "start", "stop")

    def __init__(self, launched: Launched, folder: Folder) -> None:
        self.launched = launched
        self.folder = folder
        self.begun: int | None = None
        self.start: Start | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.ended = asyncio.Event()
        self.finished = asyncio.Event()
        self.stop: asyncio.Task[None] | None = None
        self.intent = ""
        """Why an agent before this one was about to end the process."""

    @property
    def sequence(self) -> int:
        """Its place in the order of launches."""
        return self.launched.sequence

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
