"""The one session of this Python process, and what all functions of the API need."""

import functools
import os
import warnings
from collections.abc import Iterable

from ..errors import HistoryWarning
from ..models import STATUSES, ProcessId, Status
from ..run import Run
from ..session import Session


@functools.cache
def session() -> Session:
    """The session of this Python process."""
    made = Session()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made.renew_after_fork)
    return made


def tell_notes() -> None:
    """Tells, as warnings, what there is to say of the history."""
    for note in session().books.notes():
        warnings.warn(note, HistoryWarning, stacklevel=3)


def runs_of(runs: Iterable[Run | str | Iterable[Run | str]], *, on: str | None = None) -> list[Run]:
    """Each of the runs once, also of lists of them; ids, their beginnings and names are looked up in one listing."""
    given = [run for item in runs for run in ([item] if isinstance(item, Run | str) else item)]
    connection = session().connection(on).name
    references = [run for run in given if isinstance(run, str)]
    found = dict(zip(references, session().find(references, on=connection), strict=True))
    chosen = [Run(session(), found[run], connection) if isinstance(run, str) else run for run in given]
    return list({(run.connection, run.process_id): run for run in chosen}.values())


def by_connection(runs: Iterable[Run]) -> dict[str, list[ProcessId]]:
    """The ids of the processes of each connection."""
    ids: dict[str, list[ProcessId]] = {}
    for run in runs:
        ids.setdefault(run.connection, []).append(run.process_id)
    return ids


def checked_statuses(words: Iterable[str]) -> list[Status]:
    """The statuses of these names. Raises ValueError that names all of them."""
    statuses: list[Status] = []
    for word in words:
        found = [status for status in STATUSES if status == word.strip().lower()]
        if not found:
            raise ValueError(f"{word!r} is no status: use {', '.join(STATUSES)}")
        statuses += found
    return statuses
