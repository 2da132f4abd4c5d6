"""The listing of all processes: encoded once, kept between changes, and held back until something changed.

The rows of finished processes never change. They are kept encoded: those with little output always, others within a
limit. What is kept, and how large a body can get, is bounded; the newest processes have their output first.
"""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from ..models import STREAMS
from . import outputs
from .changes import Changes
from .endings import utc
from .journal import Ended, Row
from .store import Folder
from .supervisor import Active, Supervisor

MB = 1_000_000
STREAM_LIMIT = 16 * MB
"""Bytes of one stream in a listing, at most."""

BODY_LIMIT = 256 * MB
KEPT_BODIES = 32 * MB
KEPT_ROW = MB
KEPT_ROWS = 32 * MB

GROWTH_POLL = 0.2
"""Seconds between two looks at the output of running processes, for those who wait for a change."""

_encode = msgspec.json.Encoder().encode


class Listing:
    """The listing of a supervisor's processes. `instance` makes the ETags of different agents differ."""

    def __init__(self, supervisor: Supervisor, changes: Changes, instance: str) -> None:
        self._supervisor = supervisor
        self._changes = changes
        self._instance = instance
        self._one_at_a_time = asyncio.Lock()
        self._rows: dict[tuple[str, int | None], bytes] = {}
        self._rows_size = 0
        self._bodies: dict[int | None, tuple[str, bytes]] = {}

    def etag(self, tail: int | None) -> str:
        """What identifies the listing of this moment. That time goes by is no change.

        Nor is more output to those who want none of it, with a `tail` of 0: they wait for the ends of processes.
        """
        growth = []
        for active in self._supervisor.running.values():
            start = active.read_start()
            sizes = (outputs.size_of(active.folder.output(stream)) for stream in STREAMS if tail != 0)
            growth.append((start.pid if start else 0, *sizes))
        mark = hash(tuple(growth)) & 0xFFFF_FFFF_FFFF_FFFF
        return f'W/"{self._instance}-{self._changes.version}-{mark:x}-{"all" if tail is None else tail}"'

    async def wait_for_change(self, etag: str, tail: int | None, seconds: float) -> None:
        """Returns as soon as the listing is no longer the one of `etag`, or after that time."""
        deadline = time.monotonic() + seconds
        while self.etag(tail) == etag and (left := deadline - time.monotonic()) > 0:
            await self._changes.wait(min(left, GROWTH_POLL) if self._supervisor.running else left)

    async def body(self, tail: int | None) -> tuple[str, tuple[bytes, ...]]:
        """The ETag and the encoded listing, in parts, with the last `tail` bytes of each stream."""
        async with self._one_at_a_time:
            etag = self.etag(tail)
            kept = self._bodies.get(tail)
            if kept is not None and kept[0] == etag and not self._supervisor.running:
                rows = kept[1]
            else:
                items = [_as_of_now(item) for item in self._supervisor.processes.values()]
                rows = await asyncio.to_thread(self._encode_all, items, tail)
                self._keep_body(tail, etag, rows)
        end = f'],"count":{len(self._supervisor.processes)},"timestamp":"{utc(time.time_ns())}"}}'
        return etag, (b'{"processes":[', rows, end.encode())

    def _keep_body(self, tail: int | None, etag: str, rows: bytes) -> None:
        self._bodies.pop(tail, None)
        if not self._supervisor.running:
            self._bodies[tail] = etag, rows
        while sum(len(rows) for _, rows in self._bodies.values()) > KEPT_BODIES:
            del self._bodies[next(iter(self._bodies))]

    # Only the thread of the one listing that is being made runs what follows.

    def _encode_all(self, items: Sequence[Row | Ended], tail: int | None) -> bytes:
        room = BODY_LIMIT
        rows: list[bytes | msgspec.Raw] = []
        for item in reversed(items):
            row = item.row if tail is None and type(item) is Ended and item.whole else self._row(item, tail, room)
            room -= len(row)
            rows.append(row)
        rows.reverse()
        return b",".join(rows)

    def _row(self, item: Row | Ended, tail: int | None, room: int) -> bytes:
        limit = max(0, min(STREAM_LIMIT, room))
        if isinstance(item, Row):
            return self._with_output(item, tail, limit, growing=item.completed_at is None)
        row = self._rows.get((item.process_id, tail))
        if row is None:
            row = self._encode_ended(item, tail, limit)
            if limit == STREAM_LIMIT and len(row) <= KEPT_ROW:
                self._keep_row((item.process_id, tail), row)
        return row

    def _encode_ended(self, ended: Ended, tail: int | None, limit: int) -> bytes:
        if tail is None or not (ended.whole or tail == 0):
            return self._with_output(ended.facts(), tail, limit)
        row = ended.facts()
        row.stdout, row.stderr = outputs.end_of(row.stdout, tail), outputs.end_of(row.stderr, tail)
        row.stdout_bytes, row.stderr_bytes = ended.stdout_bytes, ended.stderr_bytes
        return _encode(row)

    def _with_output(self, row: Row, tail: int | None, limit: int, *, growing: bool = False) -> bytes:
        folder = self._supervisor.folder(row.process_id)
        if row.status == "queued":
            if tail is not None:
                row.stdout_bytes = row.stderr_bytes = 0
        else:
            _fill_in(
                row, folder, limit if tail is None else min(tail, limit), growing=growing, always_sizes=tail is not None
            )
        return _encode(row)

    def _keep_row(self, key: tuple[str, int | None], row: bytes) -> None:
        self._rows[key] = row
        self._rows_size += len(row)
        while self._rows_size > KEPT_ROWS:
            self._rows_size -= len(self._rows.pop(next(iter(self._rows))))


def _fill_in(row: Row, folder: Folder, limit: int, *, growing: bool, always_sizes: bool) -> None:
    stdout, stderr = (outputs.read_end(folder.output(stream), limit, growing=growing) for stream in STREAMS)
    row.stdout, row.stderr = stdout.text, stderr.text
    if always_sizes or max(stdout.size, stderr.size) > limit:
        row.stdout_bytes, row.stderr_bytes = stdout.size, stderr.size


def _as_of_now(item: Active | Ended) -> Row | Ended:
    if isinstance(item, Ended):
        return item
    launched, started, start = item.launched, item.started_at, item.read_start()
    return Row(
        process_id=launched.process_id,
        execution_id=launched.execution_id,
        name=launched.name,
        status="queued" if started is None else "running",
        language=launched.language,
        started_at=utc(started),
        completed_at=None,
        execution_time=None if started is None else max(0, time.time_ns() - started) / 1e9,
        pid=start.pid if start else None,
    )
