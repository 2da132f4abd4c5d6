"""What is read from the history: columns for a DataFrame, and single runs."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec

from ..errors import UnknownRun
from ..kept import KeptCell, KeptEnd, KeptOutput, KeptRun
from ..models import Place, ProcessId, RunId, Terms
from ..output.oneline import one_line, printable
from ..values.facts import Fact, Left
from ..words import STATUSES, Status, Stream
from .entries import Waiter
from .migrations import MOMENT
from .writing import ENDED, GOING

NEWEST_FIRST = f"ORDER BY {MOMENT} DESC, runs.number DESC"

Columns = dict[str, list[Any]]
"""For each column its values, all of the same length. Times are microseconds since 1970, `status` is the number of the
status in `STATUSES`, `params` and `tags` are JSON objects as text, `values_in` and `values_out` JSON lists of facts.
"""

RECENT = 10_000
"""Of how many runs the newest ones are looked through for what has happened lately."""

NAMED = 3
"""How many runs an error names."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are wanted. What is not given restricts nothing.

    `name` is a pattern such as `train-*`, `since` the earliest launch (or start, where that is all that is known) in
    microseconds since 1970, `limit` the number of runs, the newest of them.
    """

    name: str | None = None
    tags: Mapping[str, str] = {}
    statuses: tuple[str, ...] = ()
    language: str | None = None
    since: int | None = None
    sweep_id: str | None = None
    limit: int | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is restricted."""
        return self == Wanted()


def where(wanted: Wanted) -> tuple[str, list[Any]]:
    """The condition that chooses the wanted rows of `runs`, and its values."""
    conditions: list[tuple[str, list[Any]]] = []
    if wanted.name is not None:
        conditions.append(("coalesce(name, '') GLOB ?", [wanted.name.replace("[!", "[^")]))
    if wanted.statuses:
        conditions.append((f"status IN ({_marks(wanted.statuses)})", [*wanted.statuses]))
    if wanted.language is not None:
        conditions.append(("language = ?", [wanted.language]))
    if wanted.since is not None:
        conditions.append((f"{MOMENT} >= ?", [wanted.since]))
    if wanted.sweep_id is not None:
        conditions.append(("sweep_id GLOB ?", [f"{wanted.sweep_id}*"]))
    for key, value in wanted.tags.items():
        conditions.append(("EXISTS (SELECT 1 FROM json_each(tags) WHERE key = ? AND value = ?)", [key, value]))
    condition = " AND ".join(condition for condition, _ in conditions) or "TRUE"
    return condition, [value for _, values in conditions for value in values]


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)


# ---------------------------------------------------------------- columns

_TEXTS = (
    *("run_id", "process_id", "execution_id", "name", "status_detail", "language", "sandbox"),
    *("sweep_id", "rerun_of", "workdir", "env_names", "notebook", "cell", "version", "code_hash", "params", "tags"),
    "values_in",
)
_INTEGERS = (
    *("launched_at", "started_at", "completed_at", "exit_code", "timeout"),
    *("stdout_bytes", "stderr_bytes", "displays", "peak_memory_bytes", "peak_gpu_memory_bytes"),
)

_SEEN_AT = f"iif({GOING}, max(coalesce(agents.seen_at, 0), coalesce(launched_at, 0)), runs.seen_at)"
"""What goes on was last seen when its agent last answered: until something is new, nothing is written."""

_TIME = f"iif(status = 'running', max(0, {_SEEN_AT} - started_at) / 1e6, execution_time)"

_CODES_OF_STATUSES = " ".join(f"WHEN '{word}' THEN {code}" for code, word in enumerate(STATUSES))

_COMPUTED: dict[str, tuple[str, Any]] = {
    "connection": ("nullif(connection, '')", str | None),
    "status": (f"CASE status {_CODES_OF_STATUSES} END", int),
    "seen_at": (_SEEN_AT, int | None),
    "execution_time": (_TIME, float | None),
    "launched_here": ("launched_here", int),
    "cpu_seconds": ("cpu_seconds", float | None),
    "leftovers": ("nullif(json_array_length(leftovers), 0)", int | None),
    "values_out": ("nullif(json_extract(values_out, '$[1]'), '[]')", str | None),
}

_READ: dict[str, tuple[str, Any]] = {
    **{name: (name, str | None) for name in _TEXTS},
    **{name: (name, int | None) for name in _INTEGERS},
    **_COMPUTED,
}


def columns(db: sqlite3.Connection, wanted: Wanted, *, code: bool = False, output: bool = False) -> Columns:
    """The wanted runs, the newest first.

    SQLite makes each column one JSON array, which is decoded at once: no row ever becomes an object.
    """
    condition, values = where(wanted)
    chosen = f"WHERE {condition} {NEWEST_FIRST} LIMIT ?"
    values.append(-1 if wanted.limit is None else wanted.limit)
    arrays = db.execute(
        f"""SELECT {", ".join(f"json_group_array({name})" for name in _READ)} FROM (
            SELECT {", ".join(f"{sql} AS {name}" for name, (sql, _) in _READ.items())}
            FROM runs LEFT JOIN agents USING (agent) {chosen})""",
        values,
    ).fetchone()
    result: Columns = {
        name: msgspec.json.decode(array, type=list[type_])  # type: ignore[valid-type]
        for array, (name, (_, type_)) in zip(arrays, _READ.items(), strict=True)
    }
    known = dict(db.execute(_FACTS).fetchall())
    result["values_in"] = [known.get(hash_) for hash_ in result["values_in"]]
    if code:
        result["code"] = [text for (text,) in db.execute(_CODES.format(chosen=chosen), values)]
    if output:
        kept = db.execute(_OUTPUTS.format(chosen=chosen), values).fetchall()
        for index, stream in enumerate(("stdout", "stderr")):
            result[stream] = [_text(row[3 * index : 3 * index + 3]) for row in kept]
    return result


_FACTS = "SELECT hash, code FROM codes WHERE hash IN (SELECT DISTINCT values_in FROM runs WHERE values_in IS NOT NULL)"

_CODES = """SELECT (SELECT code FROM codes WHERE codes.hash = runs.code_hash) FROM runs {chosen}"""

_OUTPUTS = """SELECT stdout.head, stdout.tail, stdout.size, stderr.head, stderr.tail, stderr.size FROM runs
    LEFT JOIN outputs AS stdout ON stdout.number = runs.number AND stdout.stream = 'stdout'
    LEFT JOIN outputs AS stderr ON stderr.number = runs.number AND stderr.stream = 'stderr' {chosen}"""


def _text(kept: tuple[bytes | None, bytes, int]) -> str | None:
    head, tail, size = kept
    return None if head is None else KeptOutput(head=head, tail=tail, size=size).text


# ---------------------------------------------------------------- single runs


def find(db: sqlite3.Connection, reference: str) -> KeptRun:
    """The run that a user means. Raises UnknownRun that names the nearest ones."""
    for condition in ("run_id = ?", "process_id = ?", "name = ?"):
        word = one_line(reference) if condition.startswith("name") else reference
        if found := _runs(db, f"{condition} {NEWEST_FIRST} LIMIT 1", [word]):
            return found[0]
    pattern = f"{_as_pattern(reference)}*"
    begun = _runs(db, f"run_id GLOB ? OR process_id GLOB ? {NEWEST_FIRST} LIMIT ?", [pattern, pattern, NAMED + 1])
    if len(begun) == 1 and reference:
        return begun[0]
    if begun and reference:
        raise UnknownRun(
            f"several runs have an id that begins with {reference!r}", hint=f"Which one? {_described(begun[:NAMED])}"
        )
    raise UnknownRun(f"there is no run {printable(reference, 60)!r} in the history", hint=_hint(db, reference))


class Namesake(NamedTuple):
    """One of the runs that have a name: when it was launched, in microseconds since 1970, and whether it goes on."""

    run_id: RunId | None
    process_id: ProcessId | None
    agent: str
    sweep_id: str | None
    moment: float
    goes_on: bool


def namesakes(
    db: sqlite3.Connection, name: str, listed: Collection[ProcessId], agents: Collection[str] | None = None
) -> list[Namesake]:
    """Of the runs of that name, of some agents or of all, the newest, the whole of its sweep, and those that go on or
    are these processes; the oldest first."""
    placed = f"AND agent IN ({_marks(agents)})" if agents is not None else ""
    rows = db.execute(
        f"""WITH named AS (SELECT *, {MOMENT} AS moment FROM runs WHERE name = ? {placed}),
        newest AS (SELECT number, sweep_id FROM named ORDER BY moment DESC, number DESC LIMIT 1)
        SELECT run_id, process_id, agent, sweep_id, moment, {GOING} FROM named
        WHERE {GOING} OR number = (SELECT number FROM newest) OR sweep_id = (SELECT sweep_id FROM newest)
        OR process_id IN (SELECT value FROM json_each(?)) ORDER BY moment, number""",
        [name, *(agents or ()), json.dumps(list(listed))],
    )
    return [Namesake._make(row)._replace(goes_on=bool(row[-1])) for row in rows]


def count(db: sqlite3.Connection) -> int:
    """How many runs there are."""
    return int(db.execute("SELECT count(*) FROM runs").fetchone()[0])


def count_named(db: sqlite3.Connection, name: str) -> int:
    """How many runs have that name."""
    return int(db.execute("SELECT count(*) FROM runs WHERE name = ?", [name]).fetchone()[0])


def runs(db: sqlite3.Connection, run_ids: Iterable[RunId]) -> dict[RunId, KeptRun]:
    """The runs of these ids."""
    found = _runs(db, "run_id IN (SELECT value FROM json_each(?))", [json.dumps(list(run_ids))])
    return {run.run_id: run for run in found}


def languages(db: sqlite3.Connection, run_ids: Iterable[RunId]) -> dict[RunId, str]:
    """In which languages runs of these ids were launched, as far as that is known."""
    rows = db.execute(
        "SELECT run_id, language FROM runs WHERE language IS NOT NULL AND run_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(run_ids)),),
    )
    return {RunId(run_id): language for run_id, language in rows}


def launched_before(db: sqlite3.Connection, run_id: RunId) -> list[RunId]:
    """The run, the one that it has launched again, the one that that one has, and so on."""
    rows = db.execute(
        """WITH RECURSIVE line(run_id) AS (
            SELECT ? UNION SELECT rerun_of FROM runs JOIN line USING (run_id) WHERE rerun_of IS NOT NULL
        ) SELECT run_id FROM line""",
        (run_id,),
    )
    return [before for (before,) in rows]


def of_sweeps(db: sqlite3.Connection, sweep_ids: Iterable[str]) -> list[KeptRun]:
    """The runs of these sweeps, in the order of their launches."""
    condition = "sweep_id IN (SELECT value FROM json_each(?)) ORDER BY runs.number"
    return _runs(db, condition, [json.dumps(list(sweep_ids))])


def _as_pattern(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def of_process(db: sqlite3.Connection, place: Place, process_id: ProcessId) -> KeptRun | None:
    """The run that is an agent's process."""
    found = _runs(db, "agent = ? AND process_id = ?", [place.agent, process_id])
    return found[0] if found else None


def end(db: sqlite3.Connection, run_id: RunId) -> KeptEnd:
    """What is kept of what a run has shown when it had ended."""
    statement = (
        """SELECT values_out, displays, file, content FROM runs LEFT JOIN kept USING (number) WHERE run_id = ?"""
    )
    rows = db.execute(statement, (run_id,)).fetchall()
    cell = None
    if rows and rows[0][0] is not None:
        files = {file: bytes(content) for _, _, file, content in rows if file}
        cell = KeptCell(left=msgspec.json.decode(rows[0][0], type=Left), displays=rows[0][1] or 0, files=files)
    return KeptEnd(streams=output(db, run_id), cell=cell)


def output(db: sqlite3.Connection, run_id: RunId) -> dict[Stream, KeptOutput]:
    """What is kept of a run's output."""
    rows = db.execute(
        """SELECT stream, head, tail, size FROM outputs
        WHERE number = (SELECT number FROM runs WHERE run_id = ?) ORDER BY stream DESC""",
        (run_id,),
    )
    return {stream: KeptOutput(head=head, tail=tail, size=size) for stream, head, tail, size in rows}


def kept_file(db: sqlite3.Connection, run_id: RunId, file: str) -> bytes | None:
    """A file of what a cell has left, if it is kept."""
    statement = "SELECT content FROM kept WHERE number = (SELECT number FROM runs WHERE run_id = ?) AND file = ?"
    found = db.execute(statement, (run_id, file)).fetchone()
    return bytes(found[0]) if found else None


def kept_values(db: sqlite3.Connection, run_id: RunId) -> dict[str, bytes]:
    """The files of a cell's small values that are kept, with their index and seal."""
    rows = db.execute(
        """SELECT file, content FROM kept
        WHERE number = (SELECT number FROM runs WHERE run_id = ?) AND file != 'displays'""",
        (run_id,),
    )
    return {file: bytes(content) for file, content in rows}


_PLAIN = (
    *("run_id", "process_id", "execution_id", "connection", "agent", "sandbox", "name", "sweep_id", "rerun_of"),
    *("language", "workdir", "timeout", "notebook", "cell", "version", "status", "status_detail", "exit_code", "pid"),
    *("stdout_bytes", "stderr_bytes", "first_line", "sweep_index", "displays", "peak_memory_bytes", "cpu_seconds"),
    *("stopped_when", "peak_gpu_memory_bytes", "notice"),
)
_JSON = ("tags", "params", "env_names", "leftovers", "keep")
_VALUES = ("values_in", "values_out")
_MOMENTS = ("launched_at", "started_at", "completed_at", "seen_at")


def _runs(db: sqlite3.Connection, condition: str, values: list[Any]) -> list[KeptRun]:
    names = (*_PLAIN, *_JSON, *_MOMENTS, "execution_time", "launched_here", "kill_leftovers", "terms", "code", *_VALUES)
    computed = {"seen_at": _SEEN_AT, "execution_time": _TIME, "code": "codes.code", "values_in": "given.code"}
    rows = db.execute(
        f"""SELECT {", ".join(computed.get(name, name) for name in names)} FROM runs
        LEFT JOIN agents USING (agent) LEFT JOIN codes ON codes.hash = runs.code_hash
        LEFT JOIN codes AS given ON given.hash = runs.values_in WHERE {condition}""",
        values,
    )
    return [_kept_run(dict(zip(names, row, strict=True))) for row in rows]


def _kept_run(row: dict[str, Any]) -> KeptRun:
    row |= {name: json.loads(row[name]) for name in _JSON}
    row |= {name: moment(row[name]) for name in _MOMENTS}
    row |= {name: row[name] or None for name in ("connection", "agent")}
    row |= {name: bool(row[name]) for name in ("launched_here", "kill_leftovers")}
    row |= {name: tuple(row[name]) for name in ("env_names", "leftovers", "keep")}
    row["terms"] = msgspec.json.decode(row["terms"], type=Terms)
    left = row.pop("values_out")
    row["values_in"] = msgspec.json.decode(row["values_in"] or "[]", type=tuple[Fact, ...])
    return KeptRun(**row, left=left and msgspec.json.decode(left, type=Left))


def moment(microseconds: int | None) -> datetime | None:
    """A moment from how the file has it."""
    return None if microseconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _hint(db: sqlite3.Connection, reference: str) -> str:
    """The runs whose names or ids look most like `reference`, else the newest ones."""
    recent = _runs(db, f"TRUE {NEWEST_FIRST} LIMIT 1000", [])
    if not recent:
        return "The history is empty."
    words = {word: run for run in reversed(recent) for word in (run.name, run.process_id, run.run_id) if word}
    near = {words[word].run_id: words[word] for word in get_close_matches(reference, words, n=NAMED)}
    if near:
        return f"Did you mean {_described(near.values())}? %hopx_history has all."
    return f"There is {_described(recent[:NAMED])}; %hopx_history has all."


def _described(runs: Iterable[KeptRun]) -> str:
    return ", ".join(f"{run.run_id} ({printable(run.name, 40)})" if run.name else run.run_id for run in runs)


# ---------------------------------------------------------------- what goes on, and what has happened


def going(db: sqlite3.Connection) -> set[str]:
    """The agents with runs that had not ended when they were last seen."""
    return {agent for (agent,) in db.execute(f"SELECT DISTINCT agent FROM runs WHERE {GOING}") if agent}


def waiters(db: sqlite3.Connection) -> list[Waiter]:
    """The programs that are still to launch something."""
    return [Waiter(*row) for row in db.execute("SELECT DISTINCT host, pid FROM waiting")]


def ended(db: sqlite3.Connection, place: Place) -> dict[ProcessId, Status]:
    """The processes of an agent that were seen to end, and how; without those that have left others running."""
    conditions = f"agent = ? AND process_id IS NOT NULL AND {ENDED} AND leftovers = '[]'"
    statement = f"SELECT process_id, status FROM runs WHERE {conditions}"
    return dict(db.execute(statement, (place.agent,)).fetchall())


class Due(NamedTuple):
    """A run that has ended, and whose output is still to be kept. `number` is that of its row."""

    number: int
    process_id: ProcessId


def outputs_due(db: sqlite3.Connection, place: Place) -> list[Due]:
    """The ended runs of an agent whose output is still to be kept."""
    statement = f"SELECT number, process_id FROM runs WHERE agent = ? AND output_due AND {ENDED}"
    return [Due(*row) for row in db.execute(statement, (place.agent,)) if row[1]]


def kept_of_ours(db: sqlite3.Connection, place: Place) -> list[ProcessId]:
    """The ended runs of an agent that were launched from here, and have their output here; the newest end first."""
    statement = f"""SELECT process_id FROM runs WHERE agent = ? AND launched_here AND NOT output_due AND {ENDED}
        AND process_id IS NOT NULL ORDER BY coalesce(completed_at, seen_at) DESC, number DESC"""
    return [ProcessId(row[0]) for row in db.execute(statement, (place.agent,))]


class Recent(NamedTuple):
    """What happened to the runs of one notebook or folder: the names, or ids, of those that go on, and of those that
    ended since the last look; one for each run, the newest first."""

    going: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    killed: tuple[str, ...] = ()


def recent(db: sqlite3.Connection, notebook: str | None, folder: str | None) -> Recent:
    """What happened to the runs of a notebook, or where it is not known to those of a folder, since the last look."""
    looked = db.execute("SELECT looked_at FROM looks WHERE place = ?", (notebook or folder,)).fetchone()
    rows = db.execute(
        f"""SELECT iif({GOING}, 'going', status), coalesce(name, process_id, run_id) FROM runs
        WHERE number > (SELECT max(number) FROM runs) - {RECENT} AND launched_here
        AND {"notebook = :place" if notebook else "notebook IS NULL AND workdir = :place"}
        AND ({GOING} OR coalesce(completed_at, seen_at) > :looked) ORDER BY number DESC""",
        {"place": notebook or folder, "looked": looked[0] if looked else 2**62},
    ).fetchall()
    return Recent(*(tuple(name for state, name in rows if state == field) for field in Recent._fields))
