"""What the user is told beside an answer, as warnings."""

from collections.abc import Iterable, Sequence

from ..errors import AgentWarning, HistoryError, HistoryWarning, NameWarning, tell
from ..output.oneline import printable
from ..run import Run
from ..run_history import reading
from ..session.gathering import Listed
from ..session.session import Session, session


def tell_notes() -> None:
    """Tells what there is to say of the history and of the connections, and has not been said yet."""
    for connection in list(session().connections.values()):
        while connection.remarks:
            tell(connection.remarks.popleft(), AgentWarning)
    for note in session().recorder.notes():
        tell(note, HistoryWarning)
    for name in _left_by_earlier_kernels(session()):
        tell(f"runs of an earlier kernel may go on on {name}: %hopx_connect {name} connects to it again", AgentWarning)


def _left_by_earlier_kernels(session: Session) -> list[str]:
    """The names of connections of earlier kernels, on which runs were seen that had not ended; once a session."""
    unconnected = {} if session.told_of_earlier_kernels else session.unconnected()
    session.told_of_earlier_kernels = True
    try:
        going = session.history.read(reading.going) if unconnected else set()
    except HistoryError:
        return []
    return [printable(name, 60) for name, kept in unconnected.items() if kept.agent in going]


def tell_of(listed: Iterable[Listed]) -> None:
    """Tells of each of these agents what keeps its listing from being the present one, and when its sandbox ends."""
    for each in listed:
        for note in (each.connection.note(), each.warning):
            if note:
                tell(note, AgentWarning)


def tell_of_name(name: str, count: int) -> None:
    """Tells that a name stands for the newest of so many runs, if there are others."""
    if count > 1:
        tell(f"the newest of {count:,} named {printable(name, 60)}", NameWarning)


def tell_of_lost(name: str, runs: Sequence[Run]) -> None:
    """Tells that some of the runs that have a name can't be reached."""
    where = ", ".join(dict.fromkeys(run.connection or "another program" for run in runs))
    status = runs[0].process.status
    more = f"{len(runs):,} more named {printable(name, 60)} can't be reached from here"
    tell(f"{more}: last seen {status} on {printable(where, 100)}", NameWarning)
