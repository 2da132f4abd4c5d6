"""How long runs usually take: the newest completed ones of the same code, those with the same parameters if any."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from ..models import RunId, Usual
from .migrations import MOMENT

AMONG = 100
"""Completed runs of a code, the newest, among which those with the same parameters are looked for."""

TELLS = 21
"""Runs that tell what is usual, at most: the newest ones."""


class OfCode(NamedTuple):
    """A run of which it is asked: by its code's hash and its parameters, as the file has them."""

    run_id: str | None
    code_hash: str | None
    params: str


def usual_times(db: sqlite3.Connection, run_ids: Collection[RunId]) -> dict[RunId, Usual | None]:
    """For each of these runs that is known how long it usually takes, or None if no such run has completed.

    The run itself does not count.
    """
    asked = []
    for run_id in run_ids:
        asked += db.execute("SELECT run_id, code_hash, params FROM runs WHERE run_id = ?", (run_id,)).fetchall()
    runs = [OfCode._make(row) for row in asked]
    found = usual_of(db, runs)
    return {RunId(run.run_id): found.get(run) for run in runs if run.run_id}


def usual_of(db: sqlite3.Connection, runs: Iterable[OfCode]) -> dict[OfCode, Usual]:
    """The same for runs whose code and parameters are known; each code is looked for once."""
    earlier: dict[str, list[tuple[str, str, float]]] = {}
    found: dict[OfCode, Usual] = {}
    for run in runs:
        if run.code_hash is None:
            continue
        if run.code_hash not in earlier:
            earlier[run.code_hash] = db.execute(_EARLIER, (run.code_hash,)).fetchall()
        others = [(params, span) for run_id, params, span in earlier[run.code_hash] if run_id != run.run_id]
        same = [span for params, span in others if params == run.params]
        if spans := (same or [span for _, span in others])[:TELLS]:
            found[run] = _summed(spans)
    return found


_EARLIER = f"""SELECT run_id, params, execution_time FROM runs
    WHERE code_hash = ? AND status = 'completed' AND execution_time IS NOT NULL ORDER BY {MOMENT} DESC LIMIT {AMONG}"""


def _summed(spans: Sequence[float]) -> Usual:
    ordered, count = sorted(spans), len(spans)
    return Usual(ordered[count // 2], ordered[count // 4], ordered[-1 - count // 4], count)
