"""What runs were given, parameters and tags, and in what the runs of a sweep differ."""

import json
import sqlite3
from collections.abc import Iterable

from ..models import Given, Place, ProcessId
from .usual import OfCode, usual_of
from .writing import GOING


def given(db: sqlite3.Connection, place: Place, process_ids: Iterable[ProcessId]) -> dict[ProcessId, Given]:
    """What these processes of an agent were given, as far as the history has them, and how long they usually take."""
    rows = db.execute(
        f"""SELECT process_id, sweep_id, params, tags, run_id, iif({GOING}, code_hash, NULL) FROM runs
        WHERE agent = ? AND process_id IN (SELECT value FROM json_each(?))""",
        (place.agent, json.dumps(list(process_ids))),
    ).fetchall()
    codes = {process_id: OfCode(run_id, code, params) for process_id, _, params, _, run_id, code in rows}
    usual = usual_of(db, codes.values())
    return {
        ProcessId(process_id): Given(sweep_id, json.loads(params), json.loads(tags), usual.get(codes[process_id]))
        for process_id, sweep_id, params, tags, *_ in rows
    }


def differing(db: sqlite3.Connection, sweep_ids: Iterable[str]) -> dict[str, set[str]]:
    """For each of these sweeps the parameters that its runs don't have in common."""
    rows = db.execute(
        """SELECT sweep_id, given.key FROM runs, json_each(runs.params) AS given
        WHERE sweep_id IN (SELECT value FROM json_each(?))
        GROUP BY sweep_id, given.key HAVING count(DISTINCT given.value) > 1""",
        (json.dumps(list(sweep_ids)),),
    )
    found: dict[str, set[str]] = {}
    for sweep_id, name in rows:
        found.setdefault(sweep_id, set()).add(name)
    return found
