"""Which runs are meant by ids, their beginnings, names, and Runs: those of agents, and those of the history.

A name that several runs have means to wait and kill all of them that are queued or running, and if the newest is one
of a sweep, that whole sweep; if none is, the newest. To what takes one run it means the newest, and that is said.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword
from typing import Any, NamedTuple

from ..connection.connection import Connection
from ..errors import HistoryError, HopxError, UnknownProcess
from ..kept import KeptRun
from ..models import Listing, Process, ProcessId
from ..output.oneline import one_line, printable
from ..run import Run
from ..run_history import reading
from ..run_history.reading import Namesake
from ..run_history.writing import microseconds
from ..session.dispatcher import Dispatcher
from ..session.finding import find_process, process_of_id
from ..session.gathering import Listed, gather
from ..session.session import session
from ..sources import AgentSource, HistorySource, RetriedSource, WaitingSource
from ..words import Status
from .notes import tell_of, tell_of_lost, tell_of_name

OUTPUTS_WITHIN = 2.0
"""Seconds that reading the history waits for the outputs of what has just ended."""

_NOT_YET = float("inf")
"""The moment of what the history does not know and its agent has not started."""


# ---------------------------------------------------------------- one run


def attach(reference: str, *, on: str | None = None) -> Run:
    """The `Run` of something that was launched at any time: by id, unique beginning of an id, or name (the newest).

    What its agent still has gives a `Run` as `launch` returns it. What is gone, or on an agent that there is no
    connection to, gives one that tells what the history knows, and can't be waited for or killed: it has all displays,
    and results of up to 64 kB.

    Raises UnknownProcess that names the nearest ones, AgentError.
    """
    connection = session().connection(on)
    try:
        listed = Listed(connection, connection.listing(tail=0))
        found = _of_id([listed], reference) or _newest(reference, [listed], only=on is not None)
        return found or run_on(connection, find_process(_listing(listed), reference))
    except HopxError as error:
        try:
            return _run_of(_told(session().history.read(reading.find, reference), reference))
        except HopxError:
            raise error from None


def kept_run(run: Run | str) -> KeptRun:
    """What the history has of a run, after its agent was asked how it goes on. Raises UnknownRun, HistoryError."""
    catch_up()
    session().recorder.drain(OUTPUTS_WITHIN)
    history = session().history
    if isinstance(run, str):
        return _told(history.read(reading.find, run), run)
    if not run.run_id and run.process_id and run.source.connection:
        kept = history.read(reading.of_process, run.source.connection.place, run.process_id)
        return kept or history.read(reading.find, run.process_id)
    return history.read(reading.find, str(run.run_id or run.process_id))


def catch_up() -> None:
    """Asks the agents that can be asked how the runs go on that had not ended when they were last seen."""
    session().recorder.take_over()
    with contextlib.suppress(HopxError):
        unended = session().history.read(reading.going)
        _connect_to_this_machine(unended)
        asked = [connection for connection in session().connections.values() if connection.place.agent in unended]
        gather(asked, tail=0)  # who does not answer in time leaves its runs as they were last seen


def _connect_to_this_machine(unended: set[str]) -> None:
    """Makes the connection to the local agent, if it is among the agents with something that goes on."""
    if str(session().settings.agent_folder) in unended:
        session().connection("local")


def _newest(name: str, listed: Sequence[Listed], *, only: bool) -> Run | None:
    """The newest run of that name, `only` of the listed agents or of any."""
    namesakes = _namesakes(name, listed, only=only)
    if not namesakes:
        return None
    newest = namesakes[-1]
    tell_of_name(name, max(len(namesakes), _count(name)))
    process = _processes(listed).get(_key(newest))
    return process or _run_of(session().history.read(reading.find, str(newest.run_id)))


def _told(kept: KeptRun, reference: str) -> KeptRun:
    """The same, after it was told that there are others of its name, if that was asked for."""
    if kept.name == one_line(reference) and reference not in (kept.run_id, kept.process_id):
        tell_of_name(kept.name, _count(kept.name))
    return kept


# ---------------------------------------------------------------- several runs


def runs_of(runs: Iterable[Run | str | Iterable[Run | str]], *, on: str | Iterable[str] | None = None) -> list[Run]:
    """Each of the runs once, also of lists of them; ids, their beginnings and names are looked up.

    A name means all of its runs that are queued or running, and the whole of its last sweep; if none is, the newest.
    Without `on` they are looked for on all connections, beginnings of ids on the current one first. Raises
    UnknownProcess.
    """
    given = [run for item in runs for run in ([item] if isinstance(item, Run | str) else item)]
    references = [run for run in given if isinstance(run, str)]
    found = _found(references, on) if references else {}
    chosen = [each for run in given for each in (found[run] if isinstance(run, str) else [run])]
    return list({(run.connection, run.process_id or id(run)): run for run in chosen}.values())


def runs_with(statuses: Iterable[Status], on: str | Iterable[str] | None, *, leftovers: bool = False) -> list[Run]:
    """All processes of these statuses, and without `on` what waits here to be handed out. Raises AgentError.

    With `leftovers` also those that have left others running when they ended. Without what belongs to somebody else.
    """
    wanted = frozenset(statuses)
    waiting = waiting_runs() if on is None and "queued" in wanted else []
    listed = gather(session().chosen(on), tail=0, strict=True)
    tell_of(listed)
    return waiting + [
        run_on(each.connection, process)
        for each in listed
        for process in each.processes
        if (process.status in wanted or (leftovers and process.leftovers)) and each.connection.is_ours(process)
    ]


class Former(NamedTuple):
    """The processes of one agent that a launch comes after: those that have not ended, and by their names all of which
    the agent still knows what they have kept."""

    pending: list[ProcessId]
    named: dict[str, list[ProcessId]]


def former_on(connection: Connection, runs: Any, *, must_complete: bool = False) -> Former:
    """The processes that `runs` are: one, several, or by the names under which the code is to know them.

    Raises ValueError for one that is elsewhere, or has ended otherwise although it `must_complete`; UnknownProcess.
    """
    pending: list[ProcessId] = []
    named: dict[str, list[ProcessId]] = {}
    for name, given in _by_name(runs):
        for run in runs_of([given], on=connection.name):
            process, is_here = run.refresh(), run.source.connection is connection
            _check_former(run, process, connection, must_complete=must_complete)
            if process.process_id and is_here:
                named.setdefault(name or run.name or "", []).append(process.process_id)
                pending += [] if process.ended else [process.process_id]
    return Former(pending, {name: ids for name, ids in named.items() if name.isidentifier() and not iskeyword(name)})


def _by_name(runs: Any) -> list[tuple[str, Any]]:
    if isinstance(runs, Mapping):
        return list(runs.items())
    given = [runs] if isinstance(runs, Run | str) else list(runs)
    return [(each if isinstance(each, str) else "", each) for each in given]


def _check_former(run: Run, process: Process, connection: Connection, *, must_complete: bool) -> None:
    name = printable(str(run.name or run.process_id or run.run_id), 60)
    if must_complete and process.status in ("failed", "killed"):
        raise ValueError(f"after {name}: it {'has failed' if process.status == 'failed' else 'was killed'} already")
    if run.source.connection is not connection and not process.ended:
        raise ValueError(f"after {name}: it is not on {connection.name}, whose agent can't wait for it")


def waiting_runs() -> list[Run]:
    """The runs of sweeps that wait here to be handed out to one of several agents."""
    return [run for sweep in session().sweeps for run in sweep.waiting()]


def waiting_dispatchers() -> list[Dispatcher]:
    """Those who still have something to hand out to one of several agents."""
    sources = [run.source for run in waiting_runs()]
    return list(dict.fromkeys(source.dispatcher for source in sources if isinstance(source, WaitingSource)))


def run_on(connection: Connection, process: Process) -> Run:
    """The run that is a process of this agent; of what this program tries again, the run of all tries."""
    tried = (run for sweep in session().sweeps for run in sweep if isinstance(run.source, RetriedSource))
    known = next((run for run in tried if run.run_id == process.run_id), None)
    return known or Run(process, AgentSource(connection))


def _found(references: list[str], on: str | Iterable[str] | None) -> dict[str, list[Run]]:
    near = gather(session().chosen(on), tail=0)
    found = {reference: [run] for reference in references if (run := _of_id(near, reference))}
    names = [reference for reference in dict.fromkeys(references) if reference not in found]
    if not names:
        return found
    far = gather(_others(near), tail=0) if on is None else []
    for name in names:
        whole = _of_id(far, name)
        found[name] = [whole] if whole else _named(name, near + far, only=on is not None)
        found[name] = found[name] or _begun(near, far, name)
    return found


def _others(listed: Sequence[Listed]) -> list[Connection]:
    """The connections that are not among these, with this machine's if something is known to go on there."""
    with contextlib.suppress(HopxError):
        _connect_to_this_machine(session().history.read(reading.going))
    asked = {each.connection.name for each in listed}
    return [connection for connection in list(session().connections.values()) if connection.name not in asked]


def _of_id(listed: Sequence[Listed], reference: str) -> Run | None:
    """The run of that whole id, its own or that of its process."""
    for each in listed:
        if process := process_of_id(each.processes, reference):
            return run_on(each.connection, process)
    return next((run for run in waiting_runs() if run.run_id == reference), None)


def _begun(near: Sequence[Listed], far: Sequence[Listed], reference: str) -> list[Run]:
    """The run whose id begins so, on each of the near agents that has one, else on the only far one, else a past one.

    Raises what the first agent says if there is none.
    """
    runs, failures = _with_prefix(near, reference)
    if runs:
        return runs
    runs, _ = _with_prefix(far, reference)
    if len(runs) > 1:
        places = ", ".join(str(run.connection) for run in runs)
        raise UnknownProcess(f"{reference!r} is on several connections: {places}", hint="Say which one with --on.")
    if runs or (runs := _of_past_id(reference)):
        return runs
    raise failures[0]


def _with_prefix(listed: Sequence[Listed], reference: str) -> tuple[list[Run], list[HopxError]]:
    runs, failures = [], []
    for each in listed:
        try:
            runs.append(run_on(each.connection, find_process(_listing(each), reference)))
        except HopxError as failure:
            failures.append(failure)
    return runs, failures


def _of_past_id(reference: str) -> list[Run]:
    """A run that its agent has forgotten, by its whole id."""
    try:
        kept = session().history.read(reading.find, reference)
    except HopxError:
        return []
    return [_past_run(kept)] if reference in (kept.run_id, kept.process_id) and kept.process.ended else []


def _listing(listed: Listed) -> Listing:
    if listed.listing is None:
        raise listed.error or UnknownProcess(f"{listed.connection.name}: nothing is known of it")
    return listed.listing


# ---------------------------------------------------------------- names


def _named(name: str, listed: Sequence[Listed], *, only: bool) -> list[Run]:
    """The runs that a name means to wait and kill. Tells of those that go on where nobody here can reach them."""
    namesakes = _namesakes(name, listed, only=only)
    if not namesakes:
        return []
    sweep_id = namesakes[-1].sweep_id
    meant = [each for each in namesakes if each.goes_on or (sweep_id is not None and each.sweep_id == sweep_id)]
    runs = _runs(meant or namesakes[-1:], listed)
    lost = [run for run in runs if isinstance(run.source, HistorySource) and not run.process.ended]
    if not lost or len(lost) == len(runs):
        return runs
    tell_of_lost(name, lost)
    return [run for run in runs if run not in lost]


def _namesakes(name: str, listed: Sequence[Listed], *, only: bool) -> list[Namesake]:
    """The newest run of that name, its sweep, and those that go on or are listed, oldest first: `only` of the listed
    agents, or of all."""
    line = one_line(name)
    seen = {
        (each.connection.place.agent, process.process_id): process
        for each in listed
        for process in each.processes
        if line and process.name == line
    }
    ids = [process_id for _, process_id in seen if process_id]
    agents = [each.connection.place.agent for each in listed] if only else None
    try:
        kept = session().history.read(reading.namesakes, line, ids, agents) if line else []
    except HistoryError:
        kept = []
    known: dict[tuple[str, str | None], Namesake]
    known = {(each.agent, id_): each for each in kept for id_ in (each.process_id, each.run_id) if id_}
    there = [
        _as_listed(agent, process, known.get((agent, process_id)) or known.get((agent, process.run_id)))
        for (agent, process_id), process in seen.items()
    ]
    told = {each.run_id for each in there}
    found = [*there, *(each for each in kept if each.run_id not in told)]
    places = {each.run_id: place for place, each in enumerate(kept)}  # also of what was launched at one moment
    return sorted(found, key=lambda each: (each.moment, places.get(each.run_id, len(places))))


def _as_listed(agent: str, process: Process, known: Namesake | None) -> Namesake:
    """A run as its agent lists it, maybe before it has answered the launch, and the history knows its process."""
    if known is not None:
        return known._replace(process_id=process.process_id, goes_on=process.goes_on)
    started = microseconds(process.started_at or process.completed_at)
    moment = _NOT_YET if started is None else started
    return Namesake(process.run_id, process.process_id, agent, None, moment, goes_on=process.goes_on)


def _key(namesake: Namesake) -> tuple[str, str | None]:
    return namesake.agent, namesake.process_id or namesake.run_id


def _runs(namesakes: Sequence[Namesake], listed: Sequence[Listed]) -> list[Run]:
    """The runs: as they are listed, as they wait here to be handed out, or as the history has them."""
    there = _processes(listed)
    waiting = {run.run_id: run for run in waiting_runs()}
    rest = [each.run_id for each in namesakes if _key(each) not in there and each.run_id not in waiting]
    kept = session().history.read(reading.runs, [run_id for run_id in rest if run_id]) if rest else {}
    found = (
        there.get(_key(each)) or waiting.get(each.run_id) or (_kept(kept[each.run_id]) if each.run_id in kept else None)
        for each in namesakes
    )
    return [run for run in found if run is not None]


def _processes(listed: Sequence[Listed]) -> dict[tuple[str, str | None], Run]:
    return {
        (each.connection.place.agent, process.process_id): run_on(each.connection, process)
        for each in listed
        for process in each.processes
    }


def _kept(kept: KeptRun) -> Run:
    """A run that is not listed: one that goes on may be so, if its agent can be asked."""
    connection = session().connection_of(kept)
    if connection is None or kept.process_id is None or kept.process.ended:
        return _past_run(kept)
    return run_on(connection, kept.process)


def _count(name: str) -> int:
    """How many runs of that name the history has."""
    try:
        return session().history.read(reading.count_named, one_line(name))
    except HistoryError:
        return 0


# ---------------------------------------------------------------- the history's


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


def listed_run(kept: KeptRun) -> Run:
    """A run of the history as its agent has last listed it, or as the history knows it."""
    connection = session().connection_of(kept)
    listed = connection.latest.find(kept.process_id) if connection and connection.latest else None
    return run_on(connection, listed) if connection and listed else _past_run(kept)


def _past_run(kept: KeptRun) -> Run:
    agent_is_known = session().connection_of(kept) is not None
    source = HistorySource(session().history, kept, session().recorder.seal, agent_is_known=agent_is_known)
    return Run(kept.process, source)
