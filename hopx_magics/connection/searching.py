"""Looking for a text in the outputs of many processes of one agent, kept ones and those that go on."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import HistoryError
from ..models import ProcessId
from ..output.oneline import printable
from ..output.shown import as_plain
from ..run_history import searching
from ..words import Stream

if TYPE_CHECKING:
    from .connection import Connection

AT_ONCE = 50
"""Processes whose outputs are asked for at once."""

LONGEST = 200
"""Characters of a line that are told."""


class Hit(NamedTuple):
    """The last line of a process's output in which the text is."""

    process_id: ProcessId
    stream: Stream
    line: str


def search(
    connection: "Connection", text: str, process_ids: Sequence[ProcessId], goes_on: Callable[[], bool]
) -> Iterator[Hit]:
    """Where a text is, whatever its case, in the order of the processes, as long as it `goes_on`.

    Outputs are searched as a terminal would show them, and of large ones the beginning and the end. What the history
    keeps is not asked for. Raises AgentError.
    """
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    for begin in range(0, len(process_ids), AT_ONCE):
        some = process_ids[begin : begin + AT_ONCE]
        outputs = _kept(connection, some)
        if unkept := [process_id for process_id in some if process_id not in outputs]:
            outputs |= connection.outputs.to_keep(unkept)
        for process_id, streams in outputs.items():
            if not goes_on():
                return
            for stream, output in streams.items():
                if line := _last_line_with(pattern, output.text):
                    yield Hit(process_id, stream, line)
                    break


def _kept(connection: "Connection", process_ids: Sequence[ProcessId]) -> dict[ProcessId, searching.Outputs]:
    try:
        return connection.history.read(searching.outputs_of, connection.place.agent, process_ids)
    except HistoryError:
        return {}


def _last_line_with(pattern: re.Pattern[str], text: str) -> str | None:
    for line in reversed(as_plain(text).split("\n")):
        if match := pattern.search(line):
            start = max(0, min(match.start() - LONGEST // 4, len(line) - LONGEST))
            return printable(line[start:], LONGEST)
    return None
