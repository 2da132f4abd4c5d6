"""The one session of this Python process, and what all functions of the API need."""

import functools
import os
import warnings
from collections.abc import Iterable

from ..errors import AgentWarning, HistoryWarning, HopxError, UnknownProcess
from ..models import STATUSES, ProcessId, Status
from ..run import PastRun, Run
from ..session import Connection, Listed, Session, find_process


@functools.cache
def session() -> Session:
    """The session of this Python process."""
    made = Session()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made.renew_after_fork)
    return made


def tell_notes() -> None:
    """Tells, as warnings, what there is to say of the history and of the connections."""
    remarks, session().remarks = session().remarks, []
    for remark in dict.fromkeys(remarks):
        warnings.warn(remark, AgentWarning, stacklevel=3)
    for note in session().books.notes():
        warnings.warn(note, HistoryWarning, stacklevel=3)


def asked(connections: list[Connection], *, tail: int | None) -> list[Listed]:
    """The listings of these agents. A single one raises its error; of several, those that fail are warnings.

    Raises AgentError, also when none of several has ever answered.
    """
    session().remarks += [note for connection in connections if (note := connection.note())]
    if len(connections) == 1:
        (only,) = connections
        return [Listed(only, only.agent.listing(tail=tail))]
    listed = session().listings(connections, tail=tail)
    if all(each.listing is None and each.error for each in listed):
        raise listed[0].error or UnknownProcess("there is no connection")
    for each in listed:
        if each.warning:
            warnings.warn(each.warning, AgentWarning, stacklevel=4)
    return listed


def runs_of(runs: Iterable[Run | str | Iterable[Run | str]], *, on: str | Iterable[str] | None = None) -> list[Run]:
    """Each of the runs once, also of lists of them; ids, their beginnings and names are looked up.

    Without `on` they are looked for on the current connection, and what is not there on all others. On several
    connections a name means the newest process of that name on each. Raises UnknownProcess.
    """
    given = [run for item in runs for run in ([item] if isinstance(item, Run | str) else item)]
    references = [run for run in given if isinstance(run, str)]
    found = _found(references, on) if references else {}
    chosen = [each for run in given for each in (found[run] if isinstance(run, str) else [run])]
    return list({(run.connection, run.process_id or id(run)): run for run in chosen}.values())


def _found(references: list[str], on: str | Iterable[str] | None) -> dict[str, list[Run]]:
    connections = session().chosen(on)
    listed = session().listings(connections, tail=0)
    found: dict[str, list[Run]] = {}
    for reference in references:
        try:
            found[reference] = _find(listed, reference)
        except UnknownProcess:
            others = [each for each in session().connections.values() if on is None and each not in connections]
            elsewhere = _find_elsewhere(others, reference) or _find_past(reference)
            if not elsewhere:
                raise
            found[reference] = elsewhere
    return found


def _find_elsewhere(connections: list[Connection], reference: str) -> list[Run]:
    try:
        runs = _find(session().listings(connections, tail=0), reference) if connections else []
    except HopxError:
        return []
    if len(runs) > 1:
        places = ", ".join(run.connection for run in runs)
        raise UnknownProcess(f"{reference!r} is on several connections: {places}", hint="Say which one with --on.")
    return runs


def _find_past(reference: str) -> list[Run]:
    """A run that its agent has forgotten, by its whole id or name."""
    try:
        kept = session().books.history.find(reference)
    except HopxError:
        return []
    whole = reference in (kept.run_id, kept.process_id, kept.name)
    return [PastRun(session(), kept)] if whole and kept.process.ended else []


def _find(listed: list[Listed], reference: str) -> list[Run]:
    """The process that is meant on each of the agents that has one; raises what the first one says if none has."""
    runs, failures = [], []
    for connection, listing, error in listed:
        try:
            if listing is None:
                raise error or UnknownProcess(f"{connection.name}: nothing is known of it")
            runs.append(Run(session(), find_process(listing, reference), connection.name))
        except HopxError as failure:
            failures.append(failure)
    if not runs:
        raise failures[0]
    return runs


def by_connection(runs: Iterable[Run]) -> dict[str, list[ProcessId]]:
    """The ids of the processes of each connection."""
    ids: dict[str, list[ProcessId]] = {}
    for run in runs:
        if run.process_id:
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
