"""Which runs are meant by ids, their beginnings, names, and Runs: those of agents, and those of the history."""

import contextlib
from collections.abc import Iterable

from ..connection.connection import Connection
from ..errors import HopxError, UnknownProcess
from ..models import KeptRun, Process
from ..run import Run
from ..run_history import reading
from ..session.finding import find_process
from ..session.gathering import Listed, gather, gather_answers
from ..session.session import session
from ..sources import AgentSource, HistorySource
from ..words import Status
from .notes import tell_of

OUTPUTS_WITHIN = 2.0
"""Seconds that reading the history waits for the outputs of what has just ended."""


def attach(reference: str, *, on: str | None = None) -> Run:
    """The `Run` of something that was launched at any time: by id, unique beginning of an id, or name (the newest).

    What its agent still has gives a `Run` as `launch` returns it. What is gone, or on an agent that there is no
    connection to, gives one that tells what the history knows, and can't be waited for or killed.

    Raises UnknownProcess that names the nearest ones, AgentError.
    """
    connection = session().connection(on)
    try:
        return run_on(connection, find_process(connection.listing(tail=0), reference))
    except HopxError as error:
        try:
            kept = session().history.read(reading.find, reference)
        except HopxError:
            raise error from None
        return _run_of(kept)


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


def runs_with(statuses: Iterable[Status], on: str | Iterable[str] | None) -> list[Run]:
    """All processes of these statuses. Raises AgentError."""
    wanted = frozenset(statuses)
    listed = gather(session().chosen(on), tail=0)
    tell_of(listed)
    return [
        run_on(each.connection, process) for each in listed for process in each.processes if process.status in wanted
    ]


def run_on(connection: Connection, process: Process) -> Run:
    """The run that is a process of this agent."""
    return Run(process, AgentSource(connection))


def kept_run(run: Run | str) -> KeptRun:
    """What the history has of a run, after its agent was asked how it goes on. Raises UnknownRun, HistoryError."""
    catch_up()
    session().recorder.drain(OUTPUTS_WITHIN)
    history = session().history
    if isinstance(run, Run) and not run.run_id and run.process_id and run.source.connection:
        kept = history.read(reading.of_process, run.source.connection.place, run.process_id)
        return kept or history.read(reading.find, run.process_id)
    return history.read(reading.find, run if isinstance(run, str) else str(run.run_id or run.process_id))


def catch_up() -> None:
    """Asks the agents that can be asked how the runs go on that had not ended when they were last seen."""
    session().recorder.abandon_waiting()
    with contextlib.suppress(HopxError):
        unended = session().history.read(reading.going)
        if str(session().settings.agent_folder) in unended:
            session().connection("local")
        asked = [connection for connection in session().connections.values() if connection.place.agent in unended]
        gather_answers(asked, tail=0)  # who does not answer in time leaves its runs as they were last seen


def _found(references: list[str], on: str | Iterable[str] | None) -> dict[str, list[Run]]:
    connections = session().chosen(on)
    listed = gather_answers(connections, tail=0)
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


def _find(listed: list[Listed], reference: str) -> list[Run]:
    """The process that is meant on each of the agents that has one; raises what the first one says if none has."""
    runs, failures = [], []
    for connection, listing, error in listed:
        try:
            if listing is None:
                raise error or UnknownProcess(f"{connection.name}: nothing is known of it")
            runs.append(run_on(connection, find_process(listing, reference)))
        except HopxError as failure:
            failures.append(failure)
    if not runs:
        raise failures[0]
    return runs


def _find_elsewhere(connections: list[Connection], reference: str) -> list[Run]:
    try:
        runs = _find(gather_answers(connections, tail=0), reference) if connections else []
    except HopxError:
        return []
    if len(runs) > 1:
        places = ", ".join(str(run.connection) for run in runs)
        raise UnknownProcess(f"{reference!r} is on several connections: {places}", hint="Say which one with --on.")
    return runs


def _find_past(reference: str) -> list[Run]:
    """A run that its agent has forgotten, by its whole id or name."""
    try:
        kept = session().history.read(reading.find, reference)
    except HopxError:
        return []
    whole = reference in (kept.run_id, kept.process_id, kept.name)
    return [_past_run(kept)] if whole and kept.process.ended else []


def _run_of(kept: KeptRun) -> Run:
    connection = session().connection_of(kept)
    if connection is not None:
        with contextlib.suppress(HopxError):
            for process in connection.listing(tail=0).processes:
                if process.process_id == kept.process_id or (process.run_id and process.run_id == kept.run_id):
                    return run_on(connection, process)
            # that it is gone may have become known just now
            kept = session().history.read(reading.find, kept.run_id)
    return _past_run(kept)


def _past_run(kept: KeptRun) -> Run:
    agent_is_known = session().connection_of(kept) is not None
    return Run(kept.process, HistorySource(session().history, kept, agent_is_known=agent_is_known))
