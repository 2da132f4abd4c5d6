"""What pages of a live table ask to be done to a process: kill it, launch it again, tell all of it, download it."""

import contextlib
import threading
import time
import zlib
from collections.abc import Mapping
from functools import partial

from ..connection.connection import Connection
from ..connection.searching import search
from ..display.facts import all_facts_of
from ..display.in_words import with_place
from ..errors import HopxError, LaunchError
from ..models import Process, ProcessId
from ..run import Run
from ..sources import AgentSource
from ..words import Stream
from .displays import ReadDisplays
from .intents import Chunk, Deed, Details, Grep, Kill, Rerun
from .messages import (
    Answer,
    ChunkAnswer,
    DetailsAnswer,
    FoundLine,
    GrepAnswer,
    KillAnswer,
    RerunAnswer,
    attempted,
)
from .panes import Read
from .rows import Rows
from .widget import TableWidget

CHUNK = 1_000_000
"""Bytes of output that one message of a download has, before they are deflated."""

SEARCH_TIME = 5.0
MOST_FOUND = 1000
"""Seconds for which outputs are searched, and rows that are found, at most."""


class Deeds:
    """Does what is asked for of the processes of one table, and answers."""

    def __init__(self, connections: Mapping[str, Connection], rows: Rows, widget: TableWidget) -> None:
        self._connections = connections
        self._rows = rows
        self._widget = widget
        self._searches: dict[str, int] = {}
        """The search that each page has asked for last: the others are given up."""

    def carry_out(self, intent: Deed) -> None:
        """Does it on a thread of its own: an agent may take its time."""
        if isinstance(intent, Grep):
            self._searches[intent.page] = intent.request
        threading.Thread(target=self._serve, args=(intent,), name="hopx-intent", daemon=True).start()

    def run(self, slot: int) -> Run:
        """The run of a row. Raises LookupError."""
        return Run(self._rows.process(slot), AgentSource(self._connections[self._rows.connection(slot)]))

    def process(self, slot: int) -> Process:
        """The process of a row, with its place in the queue if it is queued. Raises LookupError."""
        listing, process = self._rows.listing(self._rows.connection(slot)), self._rows.process(slot)
        return with_place(process, listing) if listing else process

    def reader(self, slot: int, stream: Stream) -> Read:
        """Reads a stream of a row's process. Raises LookupError."""
        connection, process_id = self._place(slot)
        return partial(connection.outputs.part, process_id, stream)

    def displays_reader(self, slot: int) -> ReadDisplays:
        """Reads the displays of a row's process. Raises LookupError."""
        return self.run(slot).displayed

    # ------------------------------------------------------------ on the thread

    def _serve(self, intent: Deed) -> None:
        buffers: list[bytes] = []
        done = attempted(intent.request, lambda: self._do(intent, buffers))
        if intent.request:
            self._widget.tell(done, buffers)

    def _do(self, intent: Deed, buffers: list[bytes]) -> Answer:
        match intent:
            case Kill():
                return self._kill(intent.slot)
            case Rerun():
                return self._rerun(intent.slot)
            case Details():
                return self._details(intent.slot)
            case Chunk():
                return self._chunk(intent, buffers)
            case Grep():
                return self._grep(intent)

    def _kill(self, slot: int) -> KillAnswer:
        connection, process_id = self._place(slot)
        (killed,) = connection.kill([process_id])
        return KillAnswer(result=killed.result)

    def _rerun(self, slot: int) -> RerunAnswer:
        connection, process_id = self._place(slot)
        kept = connection.recall(process_id)
        if kept is None:
            raise LaunchError("its code is not in the history of this machine")
        return RerunAnswer(launched=str(connection.launch_again(kept).process_id))

    def _details(self, slot: int) -> DetailsAnswer:
        connection, process_id = self._place(slot)
        process, kept = self.process(slot), connection.recall(process_id)
        return DetailsAnswer(
            fields=all_facts_of(process, (connection.name, connection.place.sandbox), kept),
            code=kept.code if kept else None,
            language=process.language,
        )

    def _grep(self, intent: Grep) -> GrepAnswer:
        ends = time.monotonic() + SEARCH_TIME
        found: list[FoundLine] = []
        whole = True

        def goes_on() -> bool:
            is_wanted = self._searches.get(intent.page) == intent.request
            return is_wanted and len(found) < MOST_FOUND and time.monotonic() < ends

        slots: dict[str, dict[ProcessId, int]] = {}
        for slot in reversed(list(self._rows.processes) if intent.text else []):
            with contextlib.suppress(LookupError):
                connection, process_id = self._rows.key(slot)
                slots.setdefault(connection, {})[process_id] = slot
        for name, of_name in slots.items():
            try:
                for hit in search(self._connections[name], intent.text, list(of_name), goes_on):
                    found.append(FoundLine(slot=of_name[hit.process_id], stream=hit.stream, line=hit.line))
            except HopxError:
                whole = False
        return GrepAnswer(found=found, whole=whole and goes_on())

    def _chunk(self, intent: Chunk, buffers: list[bytes]) -> ChunkAnswer:
        part = self.reader(intent.slot, intent.stream)(intent.offset, intent.offset + CHUNK)
        last = part.start + len(part.data) >= part.size
        buffers.append(zlib.compress(part.data, 1))
        return ChunkAnswer(offset=part.start, size=part.size, last=last)

    def _place(self, slot: int) -> tuple[Connection, ProcessId]:
        connection, process_id = self._rows.key(slot)
        return self._connections[connection], process_id
