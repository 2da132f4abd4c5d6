"""Launches processes, queues them, ends them in time or on request, and takes over those of an agent that died.

Everything here runs on the event loop's thread, except that one thread per running process waits until the lock of its
folder is free: that is the moment in which its shell has ended, whoever's child it was. All that matters is on disk
before it is acted upon, so that an agent may be killed at any point.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from ..models import STREAMS, ProcessId
from ..settings import Settings
from . import outputs
from .active import Active
from .callbacks import Callbacks, Target
from .changes import Changes
from .endings import conclude, never_started
from .groups import MARK, has_members, has_strays, signal_group, signal_strays
from .journal import Ended, Journal
from .programs import Program, environment
from .queue import Queue, Running, sweep_has_room
from .store import KILLED, TIMED_OUT, Folder, Launched, Store, delete, new_id
from .unheard import Unheard

SHIM = str(Path(__file__).with_name("shim.sh"))
FORCED_END = 10.0
"""Seconds after which a process that was sent SIGKILL counts as one that can't be ended."""

CHECK_EVERY = 1.0
"""Seconds between two looks at the sizes of what running processes write."""

_STRAGGLER_POLL = 0.02
_RECORD_POLL = 0.002

log = logging.getLogger("hopx_magics.local_agent")


class NotRunning(Exception):
    """The process has ended already."""


class CannotEnd(Exception):
    """The process did not end, not even by force."""


class Supervisor:
    """All processes of one agent folder. `changes` is told of every change in the life of one of them."""

    def __init__(self, settings: Settings, changes: Changes) -> None:
        self._settings = settings
        self._changes = changes
        self._store = Store(settings.agent_folder / "processes")
        self._journal = Journal(settings.agent_folder / "finished.jsonl")
        self._callbacks = Callbacks(settings.agent_folder / "callbacks", settings.callback_retry)
        self.processes: dict[str, Active | Ended] = {}
        self.running: dict[str, Active] = {}
        self.unheard = Unheard(settings.hold_time)
        self._queue = Queue()
        self._ended: dict[str, Ended] = {}
        self._ended_bytes = 0
        self._keys: dict[str, str] = {}
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether something is queued or running, or somebody is still to be told of an end."""
        return bool(self.running or self._queue or self._callbacks.busy)

    # ------------------------------------------------------------ taking over

    def recover(self) -> None:
        """Takes over whatever earlier agents left in the folder. Must be called in the event loop, once."""
        known = self._journal.read()
        found = [known.get(folder.path.name) or self._examine(folder) for folder in self._store.folders()]
        for item in sorted(found, key=lambda item: item.sequence):
            self._take(item)
        ended = sorted(self._ended.values(), key=lambda item: item.ended)
        self._ended = {item.process_id: item for item in ended}
        if any(item.process_id not in known for item in ended):
            self._journal.rewrite(item for item in ended if item.status != "unknown")
        self._discard(self._store.leftovers())
        self._take_over_callbacks()
        self._prune()
        self._start_queued()
        self._spawn(self._watch_outputs())

    def _take(self, item: Active | Ended) -> None:
        self._sequence = max(self._sequence, item.sequence)
        if isinstance(item, Ended):
            self._add_ended(item)
            return
        launched = item.launched
        self.processes[launched.process_id] = item
        if launched.key:
            self._keys[launched.key] = launched.process_id
        if item.begun is None:
            self._queue.add(item)
        else:
            self._follow(item)

    def _take_over_callbacks(self) -> None:
        for process_id in self._callbacks.process_ids:
            item = self.processes.get(process_id)
            if item is None:  # its launch came to nothing
                self._callbacks.drop(process_id)
            elif isinstance(item, Ended):
                self._callbacks.deliver(item, self.folder(process_id))

    def _examine(self, folder: Folder) -> Active | Ended:
        launched = folder.read_launch()
        evidence = folder.read_evidence()
        if evidence.alive:
            active = Active(launched, folder)
            active.start, active.begun = evidence.start, evidence.start.time if evidence.start else time.time_ns()
            active.intent = evidence.intent.text
            folder.drop_env()
            return active
        if never_started(evidence) and not launched.damaged:
            return Active(launched, folder)
        folder.drop_env()
        return conclude(launched, folder, self._settings.output_limit)

    # ------------------------------------------------------------ launching

    def repeated(self, key: str) -> Launched | None:
        """The launch that was made with this Idempotency-Key."""
        process_id = self._keys.get(key)
        item = self.processes.get(process_id) if process_id else None
        if item is None:
            return None
        return item.launched if isinstance(item, Active) else self.folder(item.process_id).read_launch()

    def launch(
        self,
        program: Program,
        *,
        workdir: Path,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        key: str | None = None,
        digest: str | None = None,
        sweep: str | None = None,
        sweep_limit: int | None = None,
        callback: Target | None = None,
    ) -> Launched:
        """Launches a process, or puts it at the end of the queue. Raises OSError if its files can't be written."""
        process_id = ProcessId(new_id("proc"))
        folder = self._store.folder(process_id)
        self._sequence = max(self._sequence + 1, time.time_ns())
        launched = Launched(
            process_id=process_id,
            execution_id=new_id("exec"),
            sequence=self._sequence,
            name=name,
            language=program.language,
            command=program.command_in(folder.path),
            workdir=str(workdir),
            timeout=timeout,
            at_once=self._may_start(sweep, sweep_limit),
            key=key,
            digest=digest,
            sweep=sweep,
            sweep_limit=sweep_limit,
        )
        self._create(launched, env or {}, program, callback)
        self._take(Active(launched, folder))
        self._changes.tell(process_id)
        self._start_queued()
        return launched

    def _create(self, launched: Launched, env: Mapping[str, str], program: Program, callback: Target | None) -> None:
        """Puts a process on record, the callback first: who is to be told of an end must be known before it."""
        if callback is not None:
            self._callbacks.add(launched.process_id, callback)
        try:
            self._store.create(launched, env, program.code_file, program.code)
        except OSError:
            self._callbacks.drop(launched.process_id)
            raise

    def _may_start(self, sweep: str | None, limit: int | None) -> bool:
        """Whether a process may start at once. What is queued needs no look: if it could start, it would be running."""
        return self._has_room and sweep_has_room(self._sweeps_running(), sweep, limit)

    @property
    def _has_room(self) -> bool:
        return len(self.running) < self._settings.max_running

    def _sweeps_running(self) -> Running:
        return Counter(active.launched.sweep for active in self.running.values())

    def _start_queued(self) -> None:
        while self._has_room and (active := self._queue.take_next(self._sweeps_running())):
            active.begun = time.time_ns()
            try:
                self._start(active)
            except (OSError, ValueError) as error:
                self._could_not_start(active, error)
            else:
                self._follow(active)
            self._changes.tell(active.launched.process_id)

    def _start(self, active: Active) -> None:
        launched, folder = active.launched, active.folder
        env = environment(folder.take_env(), launched.language, launched.workdir)
        env[MARK] = launched.process_id
        lock = folder.hold_lock()
        try:
            with folder.output("stdout").open("ab") as stdout, folder.output("stderr").open("ab") as stderr:
                active.child = subprocess.Popen(
                    ["/bin/sh", SHIM, str(folder.path), *launched.command],
                    stdin=lock,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=launched.workdir,
                    env=env,
                    start_new_session=True,
                )
        finally:
            os.close(lock)
        folder.drop_env()

    def _could_not_start(self, active: Active, error: Exception) -> None:
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
        outputs.add_last_line(active.folder.output("stderr"), f"could not start: {reason}")
        with contextlib.suppress(OSError):
            active.folder.write_exit(126)
        with contextlib.suppress(OSError):
            active.folder.drop_env()
        self._finish(active)

    # ------------------------------------------------------------ following

    def _follow(self, active: Active) -> None:
        self.running[active.launched.process_id] = active
        if active.intent:
            self._stop(active, active.intent)
        self._spawn(self._see_to_its_end(active))

    async def _see_to_its_end(self, active: Active) -> None:
        launched, loop = active.launched, asyncio.get_running_loop()
        threading.Thread(target=_await_end, args=(active, loop), name=launched.process_id, daemon=True).start()
        try:
            await asyncio.wait_for(active.ended.wait(), _time_left(active))
        except TimeoutError:
            await asyncio.wait((self._stop(active, f"{TIMED_OUT} {launched.timeout:g} s"),))
            await active.ended.wait()
        if active.stop is not None:
            await asyncio.wait((active.stop,))
        self._finish(active)
        self._start_queued()

    def _finish(self, active: Active) -> None:
        process_id = active.launched.process_id
        ended = conclude(active.launched, active.folder, self._settings.output_limit, observed=time.time_ns())
        self._journal.add(ended)
        self.running.pop(process_id, None)
        self._add_ended(ended)
        self._callbacks.deliver(ended, active.folder)
        self.unheard.add(process_id)
        active.finished.set()
        self._changes.tell(process_id, *self._prune())

    async def _watch_outputs(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY)
            for active in self.running.values():
                for stream in STREAMS:
                    outputs.cut(active.folder.output(stream), self._settings.output_limit)

    # ------------------------------------------------------------ ending

    async def kill(self, process_id: str) -> None:
        """Ends a process and all of its process group, and returns when they are dead.

        Raises KeyError for an unknown id, NotRunning for a process that ended otherwise, CannotEnd.
        """
        active = self.processes[process_id]
        if isinstance(active, Ended):
            raise NotRunning
        if active.begun is None:
            self._queue.remove(active)
            active.folder.write_intent(KILLED)
            active.folder.drop_env()
            self._finish(active)
            return
        stop = self._stop(active, KILLED)
        await asyncio.wait((stop,))
        stop.result()
        try:
            await asyncio.wait_for(active.finished.wait(), FORCED_END)
        except TimeoutError:  # somebody took its folder away
            raise CannotEnd from None
        ended = self.processes.get(process_id)
        if isinstance(ended, Ended) and ended.status != KILLED:
            raise NotRunning

    def _stop(self, active: Active, intent: str) -> "asyncio.Task[None]":
        """The one task that ends a process, however many want its end."""
        if active.stop is None:
            active.stop = self._spawn(self._end(active, intent))
        return active.stop

    async def _end(self, active: Active, intent: str) -> None:
        group = await self._group(active)
        if group is None or not active.folder.is_alive():
            return
        active.folder.write_intent(intent)
        if not active.folder.is_alive():
            return
        for number, patience in ((signal.SIGTERM, self._settings.kill_grace), (signal.SIGKILL, FORCED_END)):
            signal_group(group, number)
            await asyncio.to_thread(signal_strays, active.launched.process_id, number)
            if await _is_gone(active, group, patience):
                return
        active.stop = None
        raise CannotEnd

    async def _group(self, active: Active) -> int | None:
        """The process group, once there is somebody in it who can be told to end."""
        while not active.ended.is_set():
            start = active.read_start()
            if start is not None:
                return start.group
            await asyncio.sleep(_RECORD_POLL)
        return None

    # ------------------------------------------------------------ forgetting

    def _add_ended(self, ended: Ended) -> None:
        self.processes[ended.process_id] = ended
        self._ended[ended.process_id] = ended
        self._ended_bytes += ended.output_bytes
        if ended.key:
            self._keys[ended.key] = ended.process_id

    def _oldest(self, *, but_heard_of: bool) -> str | None:
        """The process that ended longest ago of those that may be forgotten."""
        return next(
            (
                process_id
                for process_id in self._ended
                if process_id not in self._callbacks and not (but_heard_of and process_id in self.unheard)
            ),
            None,
        )

    def _prune(self) -> list[str]:
        """Forgets the processes that ended longest ago, and returns their ids.

        The last one is kept, or nobody could learn how it ended. Those whose end is still to be told are kept beyond
        all limits, and those that nobody has heard of beyond that of their number.
        """
        forgotten, gone = [], []
        held = [self._ended[process_id] for process_id in self._callbacks.process_ids if process_id in self._ended]
        least = len(held) + 1
        most = len(held) + max(1, self._settings.keep_finished)
        most_bytes = sum(ended.output_bytes for ended in held) + self._settings.keep_bytes
        while self._ended_bytes > most_bytes or len(self._ended) - len(self.unheard) > most:
            too_large = self._ended_bytes > most_bytes and len(self._ended) > least
            process_id = self._oldest(but_heard_of=not too_large)
            if process_id is None or (not too_large and len(self._ended) <= most):
                break
            ended = self._ended.pop(process_id)
            del self.processes[process_id]
            self._ended_bytes -= ended.output_bytes
            self._keys.pop(ended.key or "", None)
            forgotten.append(process_id)
            with contextlib.suppress(OSError):
                gone.append(self._store.take_out(process_id))
        self._discard(gone)
        if self._journal.lines > 2 * len(self._ended) + 1000:
            self._journal.rewrite(self._ended.values())
        return forgotten

    def _discard(self, paths: list[Path]) -> None:
        if paths:
            asyncio.get_running_loop().run_in_executor(None, delete, paths)

    def folder(self, process_id: str) -> Folder:
        """Where a process's output is."""
        return self._store.folder(process_id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, CannotEnd):
            log.error("a task of the supervisor failed", exc_info=error)


def _await_end(active: Active, loop: asyncio.AbstractEventLoop) -> None:
    """Waits, in a thread of its own, until the process's shell has ended."""
    with contextlib.suppress(OSError):
        descriptor = active.folder.open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)
    if active.child is not None:
        active.child.wait()
    with contextlib.suppress(RuntimeError):  # the loop is closed: the next agent will see it
        loop.call_soon_threadsafe(active.ended.set)


def _time_left(active: Active) -> float | None:
    if active.launched.timeout is None or active.started_at is None:
        return None
    return max(0.0, active.launched.timeout - (time.time_ns() - active.started_at) / 1e9)


async def _is_gone(active: Active, group: int, patience: float) -> bool:
    """Whether the process and all of its group end within `patience` seconds."""
    deadline = time.monotonic() + patience
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(active.ended.wait(), patience)
    while not active.ended.is_set() or await asyncio.to_thread(_anyone_left, active, group):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_STRAGGLER_POLL)
    return True


def _anyone_left(active: Active, group: int) -> bool:
    return has_members(group) or has_strays(active.launched.process_id)
