"""The run history: one row for every run that was launched from this machine or listed to it.

What is launched is written down before it is sent, so that it leaves a trace whatever happens to this program; how it
goes is written down from the listings that pass by. An end that was seen is final. Nothing secret is kept: of the
environment only the names, of agents no tokens.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ..models import KeptOutput, KeptRun, Launch, ProcessId, Pruned, RunId, Status, Stream
from . import pruning, reading, writing
from .database import Database
from .pruning import Limits
from .reading import Columns, Recent, Wanted
from .writing import ENDED, GOING, Origin, Place, Seen, microseconds

__all__ = ["Due", "History", "Origin", "Place", "Recent", "Seen", "microseconds"]


class Due(NamedTuple):
    """A run that has ended, and whose output is still to be kept. `number` is that of its row."""

    number: int
    process_id: ProcessId


class History:
    """The run history in one file. Safe to use from several threads, and by several programs at once.

    All methods raise HistoryError when the file can't be used. A damaged file is set aside and a fresh one begun, which
    `notes` tells. `version` is that of this package.
    """

    def __init__(self, file: Path, limits: Limits, *, version: str | None = None) -> None:
        self._database = Database(file)
        self.limits = limits
        self._version = version

    @property
    def file(self) -> Path:
        """The file in which it is kept."""
        return self._database.file

    @property
    def notes(self) -> list[str]:
        """What its user should be told."""
        return self._database.notes

    def close(self) -> None:
        """Closes the file; it is opened again when it is needed."""
        self._database.close()

    def move(self, file: Path) -> None:
        """Goes on with another file."""
        old, self._database = self._database, Database(file)
        old.close()

    def renew_after_fork(self) -> None:
        """Gives a forked child an access of its own."""
        self._database.renew_after_fork()

    # ------------------------------------------------------------ launches

    def begin(self, launches: Sequence[Launch], place: Place, origin: Origin) -> None:
        """Writes down what is about to be launched."""
        self._database.write(lambda db: writing.begin(db, launches, place, origin, self._version))

    def assign(self, run_id: RunId, place: Place) -> None:
        """Writes down to which agent a launch is about to be sent."""
        self._database.write(lambda db: writing.assign(db, run_id, place))

    def abandon(self, agent: str, reason: str) -> None:
        """Makes `unknown` what counts as going on at an agent."""
        self._database.write(lambda db: writing.abandon(db, agent, reason))

    def launched(self, run_id: RunId, process_id: ProcessId, execution_id: str | None, status: Status) -> None:
        """Writes down which process a launch became."""
        self._database.write(lambda db: writing.launched(db, run_id, process_id, execution_id, status))

    def not_launched(self, run_ids: Iterable[RunId], status: Status, reason: str) -> None:
        """Writes down that launches failed, or (`unknown`) that nobody knows whether they did."""
        ids = list(run_ids)
        self._database.write(lambda db: writing.not_launched(db, ids, status, reason))

    # ------------------------------------------------------------ listings

    def ended(self, place: Place) -> dict[ProcessId, Status]:
        """The processes of an agent that were seen to end, and how."""
        statement = f"SELECT process_id, status FROM runs WHERE agent = ? AND process_id IS NOT NULL AND {ENDED}"
        return self._database.read(lambda db: dict(db.execute(statement, (place.agent,)).fetchall()))

    def record(self, place: Place, seen: Sequence[Seen], at: datetime) -> None:
        """Writes down how processes were listed, those that are new to the history, too."""
        moment = microseconds(at) or 0
        self._database.write(lambda db: writing.record(db, place, seen, moment))

    def answered(self, place: Place, at: datetime) -> None:
        """Writes down that an agent has answered, and that nothing is new."""
        moment = microseconds(at) or 0
        self._database.write(lambda db: writing.answered(db, place, moment))

    def forget_lost(self, place: Place, listed: Iterable[ProcessId], at: datetime, *, listed_after: float) -> None:
        """Makes `unknown` what counts as going on and was not listed, `listed_after` seconds after its launch."""
        ids, moment = frozenset(listed), microseconds(at) or 0
        lost = self._database.read(lambda db: writing.lost(db, place, ids, moment, listed_after))
        if lost:
            self._database.write(lambda db: writing.forget(db, lost, moment))

    # ------------------------------------------------------------ output

    def outputs_due(self, place: Place) -> list[Due]:
        """The ended runs of an agent whose output is still to be kept."""
        statement = f"SELECT number, process_id FROM runs WHERE agent = ? AND output_due AND {ENDED}"
        return self._database.read(lambda db: [Due(*row) for row in db.execute(statement, (place.agent,)) if row[1]])

    def keep_output(self, number: int, outputs: Mapping[Stream, KeptOutput]) -> None:
        """Keeps the output of a run, or notes, when there is none, that it can't be had."""
        self._database.write(lambda db: writing.keep_output(db, number, outputs))

    def output(self, run_id: RunId) -> dict[Stream, KeptOutput]:
        """What is kept of the output of a run; empty when it is not, or not yet."""
        return self._database.read(lambda db: reading.output(db, run_id))

    # ------------------------------------------------------------ reading

    def find(self, reference: str) -> KeptRun:
        """The run of that id, else the newest of that name, else the only one whose id begins so.

        Ids are those of runs and of processes. Raises UnknownRun that names the nearest ones.
        """
        return self._database.read(lambda db: reading.find(db, reference))

    def of_process(self, place: Place, process_id: ProcessId) -> KeptRun | None:
        """The run that is an agent's process."""
        return self._database.read(lambda db: reading.of_process(db, place.agent, process_id))

    def columns(self, wanted: Wanted, *, code: bool = False, output: bool = False) -> Columns:
        """The wanted runs as columns, the newest first; with their code, and with the output that is kept of them."""
        return self._database.read(lambda db: reading.columns(db, wanted, code=code, output=output))

    def going(self) -> set[str]:
        """The agents with runs that had not ended when they were last seen."""
        statement = f"SELECT DISTINCT agent FROM runs WHERE {GOING}"
        return self._database.read(lambda db: {agent for (agent,) in db.execute(statement)})

    def recent(self, origin: Origin, folder: str) -> Recent:
        """What happened since the last look to the runs of a notebook, or where it is not known, of a folder."""
        return self._database.read(lambda db: reading.recent(db, origin.notebook, folder))

    def looked(self, origin: Origin, folder: str) -> None:
        """Writes down that somebody looks at the runs of a notebook, or else of a folder."""
        self._database.write(lambda db: writing.looked(db, origin.notebook or folder))

    # ------------------------------------------------------------ pruning

    def prunable(self, wanted: Wanted | None = None, *, slack: float = 1.0) -> list[Pruned]:
        """The wanted runs, or else what is more than the limits allow, the oldest first. What has not ended stays.

        Nothing is more than the limits allow as long as all is within `slack` times the limits.
        """
        if wanted is None:
            return self._database.read(lambda db: pruning.over_limits(db, self.limits, slack))
        return self._database.read(lambda db: pruning.chosen(db, wanted))

    def prune(self, pruned: list[Pruned]) -> None:
        """Removes these runs, or only their outputs, and gives their room back to the disk."""
        self._database.write(lambda db: pruning.remove(db, pruned))
        self._database.give_back()
