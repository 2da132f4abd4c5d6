"""The lines of outputs in which a pattern is found, as a terminal would show them."""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..kept import KeptOutput
from ..models import ProcessId, RunId
from ..output.shown import as_plain
from ..words import Status, Stream
from .reading import NEWEST_FIRST, Wanted, where

LONGEST = 2000
"""Characters of a line that are told, those around what was found."""


Outputs = dict[Stream, KeptOutput]
"""What there is of the streams of one process."""


class Searched(NamedTuple):
    """A run that is searched. The history has no more of it where `agent` is to be asked; `place` grows with age."""

    place: int
    run_id: RunId
    name: str | None
    status: Status
    agent: str
    process_id: ProcessId | None


class Found(NamedTuple):
    """A line of a run's output; `number` is from 1, and None behind a part that is not kept."""

    run: Searched
    stream: Stream
    number: int | None
    text: str


def search(
    db: sqlite3.Connection, wanted: Wanted, pattern: re.Pattern[str], most: int
) -> tuple[list[Found], list[Searched]]:
    """What is found in the outputs of the wanted runs, the newest first, and the runs of which no output is kept.

    It ends with the run in which it finds more than `most` lines in all.
    """
    condition, values = where(wanted)
    rows = db.execute(
        f"""WITH chosen AS (
            SELECT row_number() OVER ({NEWEST_FIRST}) AS place, number, run_id, name, status, agent, process_id
            FROM runs WHERE {condition} {NEWEST_FIRST} LIMIT ?)
        SELECT place, run_id, name, status, agent, process_id, stream, head, tail, size
        FROM chosen LEFT JOIN outputs USING (number) ORDER BY place, stream DESC""",
        [*values, -1 if wanted.limit is None else wanted.limit],
    )
    found: list[Found] = []
    unkept: list[Searched] = []
    for *run, stream, head, tail, size in rows:
        if stream is None:
            unkept.append(Searched(*run))
        else:
            found += lines_with(pattern, Searched(*run), stream, KeptOutput(head=head, tail=tail, size=size))
        if len(found) > most:
            break
    return found, unkept


def outputs_of(db: sqlite3.Connection, agent: str, process_ids: Sequence[ProcessId]) -> dict[ProcessId, Outputs]:
    """What is kept of the outputs of these processes of an agent, as far as it is."""
    rows = db.execute(
        """SELECT process_id, stream, head, tail, size FROM runs JOIN outputs USING (number)
        WHERE agent = ? AND process_id IN (SELECT value FROM json_each(?)) ORDER BY stream DESC""",
        (agent, json.dumps(process_ids)),
    )
    found: dict[ProcessId, Outputs] = {}
    for process_id, stream, head, tail, size in rows:
        found.setdefault(process_id, {})[stream] = KeptOutput(head=head, tail=tail, size=size)
    return found


def lines_with(pattern: re.Pattern[str], run: Searched, stream: Stream, output: KeptOutput) -> Iterator[Found]:
    """The lines of an output in which the pattern is found, in their order."""
    if not output.left_out:
        yield from _lines_with(pattern, run, stream, output.head + output.tail, is_numbered=True)
        return
    yield from _lines_with(pattern, run, stream, output.head, is_numbered=True)
    yield from _lines_with(pattern, run, stream, output.tail, is_numbered=False)


def _lines_with(
    pattern: re.Pattern[str], run: Searched, stream: Stream, content: bytes, *, is_numbered: bool
) -> Iterator[Found]:
    for number, line in enumerate(as_plain(content.decode("utf-8", "replace")).split("\n"), 1):
        if line and (match := pattern.search(line)):
            yield Found(run, stream, number if is_numbered else None, _around(line, match.start()))


def _around(line: str, place: int) -> str:
    if len(line) <= LONGEST:
        return line
    start = max(0, min(place - LONGEST // 4, len(line) - LONGEST))
    before, after = "…" if start else "", "…" if start + LONGEST < len(line) else ""
    return f"{before}{line[start : start + LONGEST]}{after}"
