"""Tells receivers how processes ended: each at least once, for a day, whatever happens to this program meanwhile.

What to call is in one file per process, from before its launch until the callback has arrived or was given up. It may
hold secrets, so it is not where the process and those who list it would look, and only the user can read it.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import h11
import msgspec

from ..callbacks import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature
from . import outputs
from .endings import utc
from .journal import Ended
from .post import check_target, post_json
from .store import Folder, private

TRY_TIME = 10.0
"""Seconds that one try to deliver may take."""

LONGEST_PAUSE = 600.0
KEPT_UP = 24 * 3600.0
"""Seconds after the end of its process in which a callback is tried."""

AT_ONCE = 16
OUTPUT_LIMIT = 1_000_000
"""Bytes of each stream in a callback: its last ones."""

log = logging.getLogger("hopx_magics.local_agent")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What to call: with which headers, and signed with which secret."""

    url: str
    headers: dict[str, str] = {}
    secret: str | None = None

    def __repr__(self) -> str:
        return "Target()"


def checked_target(url: str, headers: Mapping[str, str] | None, secret: str | None) -> Target:
    """What to call. Raises ValueError that says what is wrong."""
    ours = (SIGNATURE_HEADER, TIMESTAMP_HEADER)
    if taken := [name for name in headers or {} if name.lower() in map(str.lower, ours)]:
        raise ValueError(f"the header {taken[0]} can't be chosen")
    check_target(url, headers or {})
    return Target(url=url, headers=dict(headers or {}), secret=secret or None)


class Tries:
    """What is to arrive somewhere, and is tried until it has; so many things at once, at most.

    `pause` is the time in seconds between the first two tries; then it doubles.
    """

    def __init__(self, pause: float, at_once: int) -> None:
        self._pause = pause
        self._turn = asyncio.Semaphore(at_once)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether something has still to arrive."""
        return bool(self._tasks)

    def begin(
        self,
        what: str,
        attempt: Callable[[], Awaitable[str | None]],
        done: Callable[[str | None], None],
        *,
        until: float,
        failed: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Begins to try, until that Unix time in seconds. To be called in the event loop.

        `attempt` returns why it did not arrive, of which `failed` is told when it is tried again, and `done` when not.
        """
        task = asyncio.get_running_loop().create_task(self._run(what, attempt, done, until, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(
        self,
        what: str,
        attempt: Callable[[], Awaitable[str | None]],
        done: Callable[[str | None], None],
        until: float,
        failed: Callable[[str], None],
    ) -> None:
        pause = self._pause
        while (failure := await self._in_turn(attempt)) is not None:
            chosen = pause * random.uniform(0.5, 1.0)  # or all that failed together would come again together
            if time.time() + chosen > until:
                log.warning("%s is given up: %s", what, failure)
                break
            if pause == self._pause:
                log.info("%s did not arrive: %s; it is tried again", what, failure)
            failed(failure)
            await asyncio.sleep(chosen)
            pause = min(2 * pause, LONGEST_PAUSE)
        done(failure)

    async def _in_turn(self, attempt: Callable[[], Awaitable[str | None]]) -> str | None:
        async with self._turn:
            return await attempt()


class Callbacks:
    """The callbacks that are still to be delivered, by the ids of their processes. `pause` is as in `Tries`."""

    def __init__(self, folder: Path, pause: float) -> None:
        self._folder = folder
        self._tries = Tries(pause, AT_ONCE)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._targets = self._read()

    def _read(self) -> dict[str, Target]:
        targets = {}
        for path in self._folder.iterdir():
            try:
                targets[path.stem] = msgspec.json.decode(path.read_bytes(), type=Target)
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError):  # or an agent had no time to finish it
                path.unlink(missing_ok=True)
        return targets

    @property
    def process_ids(self) -> list[str]:
        """The processes whose end is still to be told."""
        return list(self._targets)

    @property
    def busy(self) -> bool:
        """Whether the end of a process is being told."""
        return self._tries.busy

    def __contains__(self, process_id: str) -> bool:
        return process_id in self._targets

    def add(self, process_id: str, target: Target) -> None:
        """Keeps in mind what to call when the process has ended. Raises OSError."""
        try:
            with open(self._path(process_id), "wb", opener=private) as file:
                file.write(msgspec.json.encode(target))
        except OSError:
            self.drop(process_id)
            raise
        self._targets[process_id] = target

    def copy(self, process_id: str, other: str) -> None:
        """Tells the end of another process, too, where that of this one is told. Raises OSError."""
        if target := self._targets.get(process_id):
            self.add(other, target)

    def drop(self, process_id: str) -> None:
        """Forgets a callback."""
        self._targets.pop(process_id, None)
        with contextlib.suppress(OSError):
            self._path(process_id).unlink(missing_ok=True)

    def deliver(self, ended: Ended, folder: Folder) -> None:
        """Begins to tell the end of a process, if somebody is to be told. To be called in the event loop."""
        process_id, target = ended.process_id, self._targets.get(ended.process_id)
        if target is not None:
            self._tries.begin(
                f"the callback of {process_id}",
                lambda: self._try(target, ended, folder),
                lambda failure: self.drop(process_id),
                until=ended.ended / 1e9 + KEPT_UP,
            )

    async def _try(self, target: Target, ended: Ended, folder: Folder) -> str | None:
        """Tells the end of a process once; why that did not arrive, or None when it did."""
        body = await asyncio.to_thread(_body, ended, folder)
        now = int(time.time())
        headers = {**target.headers, TIMESTAMP_HEADER: str(now)}
        if target.secret:
            headers[SIGNATURE_HEADER] = signature(body, now, target.secret)
        try:
            async with asyncio.timeout(TRY_TIME):
                status = await post_json(target.url, headers, body)
        except TimeoutError:
            return f"no answer within {TRY_TIME:g} s"
        except (OSError, ValueError, h11.ProtocolError) as error:
            return f"{type(error).__name__}: {error}"
        return None if 200 <= status < 300 else f"status {status}"

    def _path(self, process_id: str) -> Path:
        return self._folder / f"{process_id}.json"


def _body(ended: Ended, folder: Folder) -> bytes:
    facts = ended.facts()
    status: str = facts.status if facts.status in ("completed", "killed") else "failed"
    if ended.timed_out:
        status = "timeout"
    content: dict[str, Any] = {
        "execution_id": facts.execution_id,
        "process_id": facts.process_id,
        "status": status,
        "success": status == "completed",
        "stdout": outputs.read_end(folder.output("stdout"), OUTPUT_LIMIT).text,
        "stderr": outputs.read_end(folder.output("stderr"), OUTPUT_LIMIT).text,
        "exit_code": facts.exit_code,
        "execution_time": facts.execution_time,
        "timestamp": utc(ended.ended),
        "error": facts.message or None,
    }
    return msgspec.json.encode(content)
