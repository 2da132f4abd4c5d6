"""What pages of a live table ask to be done to a process: kill it, launch it again, tell all of it, download it."""

import contextlib
import threading
import zlib
from collections.abc import Mapping

from ..client.agent import OutputPart
from ..errors import HistoryError, LaunchError
from ..models import KeptRun, ProcessId, Stream
from ..run import Run
from ..session import Connection, Session
from . import facts
from .intents import Chunk, Deed, Details, Kill, Rerun
from .messages import Answer, ChunkAnswer, DetailsAnswer, Done, KillAnswer, RerunAnswer, reason
from .panes import Read
from .rows import Rows
from .widget import TableWidget

CHUNK = 1_000_000
"""Bytes of output that one message of a download has, before they are deflated."""


class Deeds:
    """Does what is asked for of the processes of one table, and answers."""

    def __init__(
        self, session: Session, connections: Mapping[str, Connection], rows: Rows, widget: TableWidget
    ) -> None:
        self._session = session
        self._connections = connections
        self._rows = rows
        self._widget = widget

    def carry_out(self, intent: Deed) -> None:
        """Does it on a thread of its own: an agent may take its time."""
        threading.Thread(target=self._serve, args=(intent,), name="hopx-intent", daemon=True).start()

    def run(self, slot: int) -> Run:
        """The run of a row. Raises LookupError."""
        return Run(self._session, self._rows.process(slot), self._rows.key(slot)[0])

    def reader(self, slot: int, stream: Stream) -> Read:
        """Reads a stream of a row's process. Raises LookupError."""
        connection, process_id = self._place(slot)

        def read(start: int, stop: int | None = None) -> OutputPart:
            return self._session.output_part(process_id, stream, start=start, stop=stop, on=connection.name)

        return read

    # ------------------------------------------------------------ on the thread

    def _serve(self, intent: Deed) -> None:
        error, answer, buffers = None, None, list[bytes]()
        try:
            answer, *buffers = self._do(intent)
        except Exception as failure:  # the page waits for an answer, whatever has happened
            error = reason(failure)
        if intent.request:
            self._widget.tell(Done(request=intent.request, error=error, answer=answer), buffers)

    def _do(self, intent: Deed) -> tuple[Answer] | tuple[Answer, bytes]:
        """The answer, and what goes with it."""
        match intent:
            case Kill():
                return (self._kill(intent.slot),)
            case Rerun():
                return (self._rerun(intent.slot),)
            case Details():
                return (self._details(intent.slot),)
            case Chunk():
                return self._chunk(intent)

    def _kill(self, slot: int) -> KillAnswer:
        connection, process_id = self._place(slot)
        (killed,) = self._session.kill([process_id], on=connection.name)
        return KillAnswer(result=killed.result)

    def _rerun(self, slot: int) -> RerunAnswer:
        kept = self._kept(slot)
        if kept is None:
            raise LaunchError("its code is not in the history of this machine")
        process, _ = self._session.rerun(kept, on=self._place(slot)[0].name)
        return RerunAnswer(launched=process.process_id)

    def _details(self, slot: int) -> DetailsAnswer:
        process, kept = self._rows.process(slot), self._kept(slot)
        return DetailsAnswer(
            fields=facts.fields(process, self._place(slot)[0].name, kept),
            code=kept.code if kept else None,
            language=process.language,
        )

    def _chunk(self, intent: Chunk) -> tuple[ChunkAnswer, bytes]:
        part = self.reader(intent.slot, intent.stream)(intent.offset, intent.offset + CHUNK)
        last = part.start + len(part.data) >= part.size
        return ChunkAnswer(offset=part.start, size=part.size, last=last), zlib.compress(part.data, 1)

    def _place(self, slot: int) -> tuple[Connection, ProcessId]:
        connection, process_id = self._rows.key(slot)
        return self._connections[connection], process_id

    def _kept(self, slot: int) -> KeptRun | None:
        connection, process_id = self._place(slot)
        with contextlib.suppress(HistoryError):
            return self._session.books.history.of_process(connection.place, process_id)
        return None
