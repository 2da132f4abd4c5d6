"""What the history has of the processes of one agent; nothing where it can't be read."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..errors import HistoryError
from ..kept import KeptRun
from ..models import Given, ProcessId
from ..run_history import given as facts
from ..run_history import reading

if TYPE_CHECKING:
    from .connection import Connection


def recall(connection: "Connection", process_id: ProcessId) -> KeptRun | None:
    """A process as the history has it; None where it has not, or can't be read."""
    try:
        return connection.history.read(reading.of_process, connection.place, process_id)
    except HistoryError:
        return None


def given(connection: "Connection", process_ids: Collection[ProcessId]) -> Mapping[ProcessId, Given]:
    """What these processes were given, as far as the history has them and can be read."""
    try:
        return connection.history.read(facts.given, connection.place, process_ids)
    except HistoryError:
        return {}


def differing(connection: "Connection", sweep_ids: Collection[str]) -> Mapping[str, set[str]]:
    """For each of these sweeps the parameters in which its runs differ, as far as the history can be read."""
    try:
        return connection.history.read(facts.differing, sweep_ids)
    except HistoryError:
        return {}
