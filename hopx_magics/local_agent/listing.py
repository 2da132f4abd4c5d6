"""The listing of all processes: encoded once, kept between changes, and held back until something changed.

Whoever has an older one gets only what differs. What that is comes from logs of the last changes, whose length is
limited, and not from the processes, however many there are; nothing is kept of who asked.

The rows of finished processes change only when somebody ends whom they left behind. They are kept encoded: those with
little output always, others within a limit. What is kept, and how large a body can get, is bounded; the newest
processes have their output first.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from ..words import STREAMS
from . import outputs
from .active import Active
from .changes import Growth, output_and_usage_of, usage_of
from .endings import utc
from .forks import HANGS
from .journal import Ended, Row
from .processes import Processes
from .queue import PAUSED

MB = 1_000_000
STREAM_LIMIT = 16 * MB
"""Bytes of one stream in a listing, at most."""

BODY_LIMIT = 256 * MB
KEPT_BODIES = 32 * MB
KEPT_ROW = MB
KEPT_ROWS = 32 * MB

GROWTH_POLL = 0.2
"""Seconds between two looks at the output of running processes, for those who wait for a change."""

_ETAG = re.compile(r'"(.+)-([0-9]{1,18})\.([0-9]{1,18})-(all|[0-9]+)"')
_encode = msgspec.json.Encoder().encode


_Key = tuple[str, int | None, tuple[tuple[int, int], ...], str | None]
"""What the row of an ended process depends on: its id, the bytes of its streams, who is left of it, its notice."""


class Encoded(NamedTuple):
    """A reply: its ETag and its body in parts; and the ETag of the `base` that it is to be merged into, if any."""

    etag: str
    parts: tuple[bytes, ...]
    base: str | None = None


class Listing:
    """The listing of an agent's processes. `instance` makes the ETags of different agents differ."""

    def __init__(self, processes: Processes, instance: str) -> None:
        self._processes = processes
        self._changes = processes.changes
        self._growth = Growth(output_and_usage_of)
        self._usage = Growth(usage_of)
        self._recorded: set[str] = set()
        self._instance = instance
        self._one_at_a_time = asyncio.Lock()
        self._rows: dict[_Key, bytes] = {}
        self._rows_size = 0
        self._bodies: dict[int | None, tuple[str, bytes]] = {}

    def etag(self, tail: int | None) -> str:
        """What identifies the listing of this moment. That time goes by is no change.

        Nor is more output to those who want none of it, with a `tail` of 0.
        """
        self._look_for_records()
        growth = self._growth_for(tail)
        growth.look(self._processes.running)
        return f'W/"{self._instance}-{self._changes.version}.{growth.version}-{"all" if tail is None else tail}"'

    def _growth_for(self, tail: int | None) -> Growth:
        return self._usage if tail == 0 else self._growth

    def _look_for_records(self) -> None:
        """The pid of a process is known a little later than that it runs, and nobody tells."""
        running = self._processes.running
        self._recorded.intersection_update(running)
        fresh = [id_ for id_, active in running.items() if id_ not in self._recorded and active.read_start()]
        if fresh:
            self._recorded.update(fresh)
            self._changes.tell(*fresh)

    async def wait_for_change(self, etag: str, tail: int | None, seconds: float) -> None:
        """Returns as soon as the listing is no longer the one of `etag`, or after that time.

        Who wants no output waits for the ends of processes: what they take of the machine wakes up none of those.
        """
        deadline, version = time.monotonic() + seconds, self._changes.version
        while self._goes_on(etag, version, tail) and (left := deadline - time.monotonic()) > 0:
            await self._changes.wait(min(left, GROWTH_POLL) if self._processes.running else left)

    def _goes_on(self, etag: str, version: int, tail: int | None) -> bool:
        return self.etag(tail) == etag or (tail == 0 and self._changes.version == version)

    async def body(self, tail: int | None) -> Encoded:
        """The listing, with the last `tail` bytes of each stream."""
        async with self._one_at_a_time:
            etag, end = self.etag(tail), self._end()
            self._processes.tell()
            kept = self._bodies.get(tail)
            if kept is not None and kept[0] == etag and not self._processes.running:
                rows = kept[1]
            else:
                items = [self._as_of_now(item) for item in self._processes.all.values()]
                rows = await asyncio.to_thread(self._encode_all, items, tail)
                self._keep_body(tail, etag, rows)
        return Encoded(etag, (b'{"processes":[', rows, b"]", end))

    async def delta(self, known: Iterable[str], tail: int | None) -> Encoded | None:
        """What differs from the first usable one of the `known` listings, as `protocol.DELTA` describes it."""
        async with self._one_at_a_time:
            etag, end = self.etag(tail), self._end()
            base, changed = next(self._usable(known, tail), ("", []))
            if not base:
                return None
            processes = self._processes.all
            self._processes.tell()
            present = sorted((processes[id_] for id_ in changed if id_ in processes), key=lambda item: item.sequence)
            gone = _encode([id_ for id_ in changed if id_ not in processes])
            rows = await asyncio.to_thread(self._encode_all, [self._as_of_now(item) for item in present], tail)
        return Encoded(etag, (b'{"processes":[', rows, b'],"gone":', gone, end), f"W/{base}")

    def _usable(self, known: Iterable[str], tail: int | None) -> Iterator[tuple[str, set[str]]]:
        """Those of the ETags since which all changes are known, with the ids of the processes that changed."""
        for tag in known:
            match = _ETAG.fullmatch(tag)
            if match and match[1] == self._instance and match[4] == ("all" if tail is None else str(tail)):
                changed = self._changes.since(int(match[2]))
                grown = self._growth_for(tail).since(int(match[3]))
                if changed is not None and grown is not None:
                    yield tag, {*changed, *grown}

    def _as_of_now(self, item: Active | Ended) -> Row | Ended:
        if isinstance(item, Ended):
            return item
        launched, started, start = item.launched, item.started_at, item.read_start()
        reason = self._processes.queue.reason(item) if started is None else PAUSED if item.is_paused else None
        return Row(
            process_id=launched.process_id,
            execution_id=launched.execution_id,
            name=launched.name or msgspec.UNSET,
            status="queued" if started is None else "running",
            language=launched.language or msgspec.UNSET,
            started_at=utc(started),
            completed_at=None,
            execution_time=None if started is None else item.running_time,
            pid=start.pid if start else msgspec.UNSET,
            message=reason.words if reason else HANGS if item.hangs else msgspec.UNSET,
            waits_for=reason.waits_for if reason and started is None else msgspec.UNSET,
            gpus=item.gpus or msgspec.UNSET,
            retry_of=launched.retry_of or msgspec.UNSET,
            notice=item.notice or msgspec.UNSET,
            paused=item.is_paused or msgspec.UNSET,
            first=(started is None and launched.first) or msgspec.UNSET,
            usage=item.meter.told or msgspec.UNSET,
        )

    def _end(self) -> bytes:
        return f',"count":{len(self._processes.all)},"timestamp":"{utc(time.time_ns())}"}}'.encode()

    def _keep_body(self, tail: int | None, etag: str, rows: bytes) -> None:
        self._bodies.pop(tail, None)
        if not self._processes.running:
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
            return self._with_output(item, tail, limit)
        key = item.process_id, tail, item.leftovers, item.notice
        row = self._rows.get(key)
        if row is None:
            row = self._encode_ended(item, tail, limit)
            if limit == STREAM_LIMIT and len(row) <= KEPT_ROW:
                self._keep_row(key, row)
        return row

    def _encode_ended(self, ended: Ended, tail: int | None, limit: int) -> bytes:
        if tail is None or not (ended.whole or tail == 0):
            return self._with_output(ended.facts(), tail, limit)
        row = ended.facts()
        row.stdout, row.stderr = outputs.end_of(row.stdout, tail), outputs.end_of(row.stderr, tail)
        row.stdout_bytes, row.stderr_bytes = ended.stdout_bytes, ended.stderr_bytes
        return _encode(row)

    def _with_output(self, row: Row, tail: int | None, limit: int) -> bytes:
        shown = limit if tail is None else min(tail, limit)
        stdout = stderr = outputs.End("", 0)
        if row.status != "queued":
            folder, growing = self._processes.store.folder(row.process_id), row.completed_at is None
            stdout, stderr = (outputs.read_end(folder.output(stream), shown, growing=growing) for stream in STREAMS)
        row.stdout, row.stderr = stdout.text, stderr.text
        if tail is not None or max(stdout.size, stderr.size) > shown:
            row.stdout_bytes, row.stderr_bytes = stdout.size, stderr.size
        return _encode(row)

    def _keep_row(self, key: _Key, row: bytes) -> None:
        self._rows[key] = row
        self._rows_size += len(row)
        while self._rows_size > KEPT_ROWS:
            self._rows_size -= len(self._rows.pop(next(iter(self._rows))))
