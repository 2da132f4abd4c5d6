"""Launches processes, each at most once: puts them on record, and starts them when it is their turn.

All that matters is on disk before it is acted upon, so that an agent may be killed at any point. A launch whose reply
was lost is asked for again with the same Idempotency-Key, by which it is found.
"""

import asyncio
import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..models import ProcessId
from ..protocol import requests as wire
from ..protocol.files import WORKSPACE
from ..protocol.requests import RUNS, mark_in, renewed_mark
from . import outputs
from .active import Active, log, spawned
from .delivering import Target
from .family import MARK
from .following import follow
from .forks import let_begin
from .journal import Ended
from .killing import Killing
from .processes import Processes
from .programs import FORMER, VALUES, Program, Tools, chosen, environment
from .records import Launched, Start, Told, Turn
from .resources import Needs
from .store import new_id

DELETED = "its folder was deleted while it ran, and what it had written with it"


class Launching:
    """Launches processes. Everything here runs on the event loop's thread."""

    def __init__(self, processes: Processes, killing: Killing, tools: Tools) -> None:
        self._processes = processes
        self._shim = tools.shim
        self._killing = killing
        processes.make_room = self.start_queued
        processes.try_again = self._try_again_in_queue

    def launch(
        self,
        program: Program,
        *,
        workdir: Path,
        name: str | None = None,
        env: Mapping[str, str],
        timeout: float | None = None,
        key: str | None = None,
        digest: str | None = None,
        turn: Turn,
        callback: Target | None = None,
        kill_leftovers: bool = False,
        environment: Mapping[str, str] | None = None,
        umask: int | None = None,
        keeper: tuple[int, int] | None = None,
        values: Sequence[Path] = (),
        stop_when: Sequence[str] = (),
        keep_best: str | None = None,
        notify: wire.NotifyRequest | None = None,
    ) -> Launched:
        """Launches a process, or puts it at the end of the queue. Raises OSError if its files can't be written.

        It starts as soon as the event loop gets to it, so that the reply needn't wait for that.
        """
        process_id = ProcessId(new_id("proc"))
        waits_on = self._processes.awaited(turn.after, turn.after_any)
        folder, needs = self._processes.store.folder(process_id), Needs(turn.gpus, turn.cpus, turn.memory)
        launched = Launched(
            process_id=process_id,
            execution_id=new_id("exec"),
            sequence=self._processes.next_sequence(),
            name=name,
            language=program.language,
            command=program.command_in(folder.path),
            workdir=str(workdir),
            timeout=timeout,
            at_once=not waits_on and self._processes.queue.may_start(turn.sweep, turn.sweep_limit, needs),
            key=key,
            digest=digest,
            **msgspec.structs.asdict(turn),
            has_env=bool(env) or environment is not None,
            is_whole_env=environment is not None,
            umask=umask,
            keeper=keeper,
            values=values[0].name if values else None,
            kill_leftovers=kill_leftovers,
            stop_when=tuple(stop_when),
            keep_best=keep_best,
            told=Told(group=turn.sweep or process_id, when=notify.when, given=notify.given) if notify else None,
        )
        if notify is not None:
            self._processes.notices.add(launched, notify, environment)
        self._create(launched, {**(environment or {}), **env}, program, callback, values)
        active = Active(launched, folder)
        active.waits_on = waits_on
        self._processes.add(active)
        self._processes.queue.add(active)
        self._processes.changes.tell(process_id)
        self.start_queued()
        return launched

    def _create(
        self,
        launched: Launched,
        env: Mapping[str, str],
        program: Program,
        callback: Target | None,
        values: Sequence[Path],
    ) -> None:
        """Puts a process on record, the callback first: who is to be told of an end must be known before it."""
        if callback is not None:
            self._processes.callbacks.add(launched.process_id, callback)
        try:
            self._processes.store.create(launched, env, program.code_file, program.code, values)
        except OSError:
            self._processes.callbacks.drop(launched.process_id)
            self._processes.notices.drop(launched)
            raise

    def try_again(self, active: Active, ended: Ended) -> str | None:
        """Launches once more what has failed, as a process of its own, but does not queue it; returns its id."""
        if ended.status != "failed" or ended.facts().started_at is None:
            return None
        old, folder = active.launched, active.folder
        process_id = ProcessId(new_id("proc"))
        launched = msgspec.structs.replace(
            old,
            process_id=process_id,
            execution_id=new_id("exec"),
            sequence=self._processes.next_sequence(),
            name=renewed_mark(old.name),
            command=folder.command_elsewhere(old.command, self._processes.store.folder(process_id)),
            at_once=False,
            key=None,
            digest=None,
            after={},
            after_any={},
            retries=old.retries - 1,
            retry_of=old.process_id,
            not_before=ended.ended + int(old.retry_delay * 1e9),
        )
        try:
            self._processes.callbacks.copy(old.process_id, process_id)
            again = Active(launched, self._processes.store.copy(folder, old, launched))
        except (OSError, ValueError) as error:
            self._processes.callbacks.drop(process_id)
            log.warning("%s can't be tried again: %s", old.process_id, error)
            return None
        self._processes.add(again)
        return process_id

    def _try_again_in_queue(self, active: Active, ended: Ended) -> str | None:
        process_id = self.try_again(active, ended)
        again = self._processes.all.get(process_id or "")
        if isinstance(again, Active):
            self._queue(again)
            self._processes.changes.tell(again.process_id)
        return process_id

    def _queue(self, active: Active) -> None:
        """Queues a process, aside as long as it may not start yet."""
        moment = active.launched.not_before or 0
        pause = min((moment - time.time_ns()) / 1e9, active.launched.retry_delay)  # the clock may have been set back
        if pause > 0:
            active.waits_until = moment
            asyncio.get_running_loop().call_later(pause, self._release, active)
        self._processes.queue.add(active)

    def _release(self, active: Active) -> None:
        if self._processes.all.get(active.process_id) is active:
            self._processes.queue.remove(active)
            active.waits_until = None
            self._processes.queue.add(active)
            self._processes.changes.tell(active.process_id)
            self.start_queued()

    def go_on(self, active: Active) -> None:
        """Goes on with a process of an earlier agent: queues it, or follows it."""
        if active.begun is None:
            self._queue(active)
            return
        self._processes.running[active.process_id] = active
        if active.intent:
            self._killing.stop(active, active.intent)
        active.life = spawned(self._follow(active))

    def start_queued(self) -> None:
        """Starts all that may start now, and tells for what else the others wait."""
        while active := self._processes.queue.take_next():
            active.begun = time.time_ns()
            active.gpus = self._processes.resources.hand_out(active.needs)
            self._processes.running[active.process_id] = active
            active.life = spawned(self._start_and_follow(active))
            self._processes.leftovers.begin()
            self._processes.changes.tell(active.process_id)
        if changed := self._processes.queue.renew_reasons():
            self._processes.changes.tell(*changed)

    async def _start_and_follow(self, active: Active) -> None:
        try:
            if active.gpus:
                active.folder.write_gpus(active.gpus)
            former = self._former(active)
            if active.launched.keeper:
                await let_begin(active, former)
            else:
                active.child = _start(active, self._shim, former)
                self._processes.orphans.own.add(active.child.pid)
        except (OSError, ValueError) as error:
            _note_failure(active, error)
        await self._follow(active)

    def _former(self, active: Active) -> dict[str, list[str]]:
        """Where those have kept something, or the last try of each, that a process comes after."""
        tries = {
            name: [
                last.process_id if (last := self._processes.last_try(process_id)) else process_id for process_id in ids
            ]
            for name, ids in active.launched.former.items()
        }
        return {name: [str(self._kept_by(process_id)) for process_id in ids] for name, ids in tries.items()}

    def _kept_by(self, process_id: str) -> Path:
        """Where a process has kept something: one whose runner was sent along, beside that."""
        folder = self._processes.store.folder(process_id)
        launched = folder.read_launch()
        name = process_id if launched.retry_of else mark_in(launched.name)
        sent = self._processes.settings.agent_folder / "workspace" / Path(RUNS).relative_to(WORKSPACE) / str(name)
        return (sent if name and sent.is_dir() else folder.path) / "out"

    async def _follow(self, active: Active) -> None:
        await follow(active, self._killing, self._processes.orphans)
        if not os.path.isdir(active.folder.path):
            self._put_back(active)
        left = await self._processes.leftovers.of(active)
        if left and active.launched.kill_leftovers and active.family:
            await self._killing.end_family(active.family)
            left = active.family.known
        self._processes.finish(active, left)

    def _put_back(self, active: Active) -> None:
        """Puts on record again what is known of a process that has deleted its folder, and all in it."""
        if active.child is None or active.child.returncode is None:
            return
        pid = active.child.pid
        launched = msgspec.structs.replace(active.launched, has_env=False, values=None)
        with contextlib.suppress(OSError):
            folder = self._processes.store.create(launched, {}, None, "")
            outputs.add_last_line(folder.output("stderr"), DELETED)
            folder.write_start(active.start or Start(pid, pid, active.begun or time.time_ns(), failed=False))
            folder.write_exit(active.child.returncode)


def _start(active: Active, shim: str, former: Mapping[str, Sequence[str]]) -> "subprocess.Popen[bytes]":
    """Starts the shell that runs the process. Raises OSError or ValueError."""
    launched, folder = active.launched, active.folder
    wanted = folder.read_env() if launched.has_env else {}
    env = environment(wanted, launched.language, launched.workdir, is_whole=launched.is_whole_env)
    env[MARK] = launched.process_id
    if former:
        env[FORMER] = folder.write_former(former)
    env |= chosen(active.gpus)
    if launched.values:
        env[VALUES] = str(folder.path / "in" / launched.values)
    with (
        folder.locked(fcntl.LOCK_EX | fcntl.LOCK_NB) as lock,
        open(folder.output("stdout"), "ab") as stdout,
        open(folder.output("stderr"), "ab") as stderr,
    ):
        child = subprocess.Popen(
            ["/bin/sh", shim, str(folder.path), *launched.command],
            stdin=lock,
            stdout=stdout,
            stderr=stderr,
            cwd=launched.workdir,
            env=env,
            umask=-1 if launched.umask is None else launched.umask,
            start_new_session=True,
        )
    if not launched.retries:
        folder.drop_env()
    return child


def _note_failure(active: Active, error: Exception) -> None:
    reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
    outputs.add_last_line(active.folder.output("stderr"), f"could not start: {reason}")
    with contextlib.suppress(OSError):
        active.folder.write_exit(126)
    active.ended.set()
