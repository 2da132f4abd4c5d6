"""What the user is told beside an answer, as warnings."""

import warnings
from collections.abc import Iterable

from ..errors import AgentWarning, HistoryWarning
from ..session.gathering import Listed
from ..session.session import session


def tell_notes() -> None:
    """Tells what there is to say of the history and of the connections, and has not been said yet."""
    for connection in list(session().connections.values()):
        while connection.remarks:
            warnings.warn(connection.remarks.popleft(), AgentWarning, stacklevel=3)
    for note in session().recorder.notes():
        warnings.warn(note, HistoryWarning, stacklevel=3)


def tell_of(listed: Iterable[Listed]) -> None:
    """Tells of each of these agents what keeps its listing from being the present one, and when its sandbox ends."""
    for each in listed:
        for note in (each.connection.note(), each.warning):
            if note:
                warnings.warn(note, AgentWarning, stacklevel=3)
