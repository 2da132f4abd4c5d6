"""Runs code or a command while the client waits, for the agent API's synchronous calls.

Such a run is in no listing and ends with the agent. Its time limit is what bounds it, also when its client is gone.
"""

import asyncio
import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..words import STREAMS
from . import outputs
from .answers import Refused
from .family import MARK, Family, Orphans
from .limiting import cut
from .programs import Program, environment
from .rich import rich_fields
from .store import emptied

AT_ONCE = 32
"""Runs at the same time, at most; others wait."""

CHECK_EVERY = 1.0
FORCED_END = 10.0
_POLL = 0.02


class Result(NamedTuple):
    """How a run ended, and what it displayed, as fields of a reply; `execution_time` in seconds."""

    stdout: str
    stderr: str
    exit_code: int
    execution_time: float
    pid: int | None
    displayed: Mapping[str, Any] = {}


class Foreground:
    """Runs programs with their files in `folder`, and keeps at most `output_limit` bytes of each of their streams.

    Of these the result has at most the last `shown` bytes.
    """

    def __init__(self, folder: Path, orphans: Orphans, output_limit: int, shown: int) -> None:
        self._folder = folder
        self._orphans = orphans
        self._output_limit = output_limit
        self._shown = shown
        self._turn = asyncio.Semaphore(AT_ONCE)
        self.count = 0
        """How many there are, those that wait for their turn included."""
        emptied(folder)

    async def run(self, program: Program, workdir: Path, env: Mapping[str, str], timeout: float) -> Result:
        """Runs a program to its end. Raises Refused after `timeout` seconds, and OSError for want of room."""
        self.count += 1
        try:
            async with self._turn:
                return await self._run_in_folder(program, workdir, env, timeout)
        finally:
            self.count -= 1

    async def _run_in_folder(self, program: Program, workdir: Path, env: Mapping[str, str], timeout: float) -> Result:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            if program.code_file:
                (folder / program.code_file).write_bytes(program.code.encode())
            (folder / "stdout").touch()
            (folder / "stderr").touch()
            return await self._run(program, folder, workdir, env, timeout)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _run(
        self, program: Program, folder: Path, workdir: Path, env: Mapping[str, str], timeout: float
    ) -> Result:
        begun = time.monotonic()
        try:
            process = await self._start(program, folder, workdir, env)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return Result("", f"could not start: {program.command[0]}: {reason}\n", 127, 0.0, None)
        try:
            async with asyncio.timeout(timeout):
                while not await _ended(process):
                    self._cut(folder)
        except TimeoutError:
            message = f"execution timed out after {timeout:g} s"
            raise Refused(408, "EXECUTION_TIMEOUT", message, {"timeout_seconds": timeout}) from None
        finally:
            if process.returncode is None:
                await _end(Family(folder.name, process.pid))
                await process.wait()
            self._orphans.own.discard(process.pid)
        self._cut(folder)
        stdout, stderr = (outputs.read_end(folder / stream, self._shown).text for stream in STREAMS)
        code = await process.wait()
        elapsed = time.monotonic() - begun
        displayed = await asyncio.to_thread(rich_fields, folder) if program.code_file else {}
        return Result(stdout, stderr, code if code >= 0 else 128 - code, elapsed, process.pid, displayed)

    async def _start(
        self, program: Program, folder: Path, workdir: Path, env: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        self._orphans.starting += 1
        try:
            with (folder / "stdout").open("ab") as stdout, (folder / "stderr").open("ab") as stderr:
                process = await asyncio.create_subprocess_exec(
                    *program.command_in(folder),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=workdir,
                    env={**environment(env, program.language, str(workdir)), MARK: folder.name},
                    start_new_session=True,
                )
            self._orphans.own.add(process.pid)
            return process
        finally:
            self._orphans.starting -= 1

    def _cut(self, folder: Path) -> None:
        for stream in STREAMS:
            cut(folder / stream, self._output_limit)


async def _end(family: Family) -> None:
    """Ends a run with all that it started, also what is started meanwhile."""
    deadline = time.monotonic() + FORCED_END
    while await asyncio.to_thread(family.look) and time.monotonic() < deadline:
        await asyncio.to_thread(family.signal, signal.SIGKILL)
        await asyncio.sleep(_POLL)


async def _ended(process: asyncio.subprocess.Process) -> bool:
    """Whether the process ends until it is time to look at its output again."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), CHECK_EVERY)
    return process.returncode is not None
