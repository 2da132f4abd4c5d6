"""The notices that are on their way: each is in a file, one for each place, until it has arrived or was given up."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ..notices import DESKTOP, desktop_command, masked
from .active import log
from .delivering import KEPT_UP, Tries
from .family import Orphans
from .notice_texts import Text
from .store import replace_file

AT_ONCE = 4
"""Notices that are being sent, at most: each takes a program."""

TRY_TIME = 60.0
"""Seconds that one try to send a notice may take."""

DESKTOP_KEPT_UP = 600.0
"""Seconds for which showing a notice on the desktop is tried."""


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A notice for one place, of a process, since a moment in nanoseconds; `environ` leads to the desktop."""

    process_id: str
    place: str
    environ: dict[str, str]
    title: str
    body: str
    kind: Literal["info", "success", "failure"]
    at: int

    def __repr__(self) -> str:
        return f"Parcel({self.process_id!r})"


class Outbox:
    """Sends notices, each at least once. Everything here runs on the event loop's thread.

    `note` is told of a process whose notice did not arrive why that is, and None when it has arrived after all.
    """

    def __init__(self, folder: Path, pause: float, orphans: Orphans, note: Callable[[str, str | None], None]) -> None:
        self._folder = folder
        self._orphans = orphans
        self._note = note
        self._notes: dict[str, dict[str, str]] = {}
        self._tries = Tries(pause, AT_ONCE)
        self._on_its_way: set[Path] = set()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def busy(self) -> bool:
        """Whether a notice is on its way."""
        return self._tries.busy

    def begin(self) -> None:
        """Goes on with what earlier agents had to send."""
        for path in sorted(self._folder.iterdir()):
            try:
                parcel = msgspec.json.decode(path.read_bytes(), type=Parcel)
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError):  # or an agent had no time to finish it
                path.unlink(missing_ok=True)
            else:
                self._send(path, parcel)

    def put(self, name: str, process_id: str, text: Text, places: Sequence[str], environ: Mapping[str, str]) -> None:
        """Puts a notice on its way. What has the same name is the same notice."""
        for number, place in enumerate(places):
            parcel = Parcel(
                process_id=process_id, place=place, environ=dict(environ), at=time.time_ns(), **text._asdict()
            )
            path = self._folder / f"{name}.{number}.json"
            if path in self._on_its_way:
                continue
            try:
                replace_file(path, msgspec.json.encode(parcel))
            except OSError as error:
                log.warning("a notice of %s would be lost with this agent: %s", process_id, error.strerror)
            self._send(path, parcel)

    def _send(self, path: Path, parcel: Parcel) -> None:
        where = masked(parcel.place)
        self._on_its_way.add(path)

        def done(failure: str | None) -> None:
            self._on_its_way.discard(path)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            self._tell(parcel, path.name, failure and f"not delivered by {where}: {failure}")

        self._tries.begin(
            f"a notice of {parcel.process_id} by {where}",
            lambda: self._try(parcel),
            done,
            until=parcel.at / 1e9 + (DESKTOP_KEPT_UP if parcel.place == DESKTOP else KEPT_UP),
            failed=lambda failure: self._tell(parcel, path.name, f"not delivered by {where} yet: {failure}"),
        )

    def _tell(self, parcel: Parcel, name: str, failure: str | None) -> None:
        """Tells of a process which of its notices have not arrived."""
        notes = self._notes.setdefault(parcel.process_id, {})
        notes.pop(name, None)
        if failure:
            notes[name] = failure
        self._note(parcel.process_id, "; ".join(dict.fromkeys(notes.values())) or None)
        if not notes:
            del self._notes[parcel.process_id]

    async def _try(self, parcel: Parcel) -> str | None:
        """Sends a notice once; why that did not arrive, or None when it did."""
        try:
            async with asyncio.timeout(TRY_TIME):
                if parcel.place == DESKTOP:
                    return await self._show(parcel)
                return await self._send_by_apprise(parcel)
        except TimeoutError:
            return f"no answer within {TRY_TIME:g} s"
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            return type(error).__name__ if not isinstance(error, OSError) else str(error.strerror)

    async def _show(self, parcel: Parcel) -> str | None:
        command = desktop_command(parcel.title, parcel.body)
        code, _ = await self._run(command, b"", {**os.environ, **parcel.environ})
        return None if code == 0 else f"{command[0]} failed, exit {code}"

    async def _send_by_apprise(self, parcel: Parcel) -> str | None:
        content = {"url": parcel.place, "title": parcel.title, "body": parcel.body, "kind": parcel.kind}
        command = [sys.executable, "-P", "-m", "hopx_magics.local_agent.notice_program"]
        _, answer = await self._run(command, msgspec.json.encode(content), os.environ)
        return msgspec.json.decode(answer, type=str | None)

    async def _run(
        self, command: Sequence[str], content: bytes, environ: Mapping[str, str]
    ) -> tuple[int | None, bytes]:
        """Runs a program to its end, which an interrupted one is brought to; its exit code and what it has written."""
        self._orphans.starting += 1
        try:
            program = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environ,
            )
            self._orphans.own.add(program.pid)
        finally:
            self._orphans.starting -= 1
        try:
            answer, _ = await program.communicate(content)
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
            self._orphans.own.discard(program.pid)
        return program.returncode, answer
