"""The queued processes, and which of them may start next.

No more than so many run at once. Next is the first one that may start, which is not always the first one: of a sweep
with a limit, no more than that many run at once, and what was launched after a sweep that has to wait is not held up.

A limit belongs to its process, not to the sweep. Where the limits in one sweep differ, a process may start when fewer
than its own limit of that sweep are running, those without a limit included.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping

from .active import Active

_Lane = tuple[str | None, int | None]


class Queue:
    """Queued processes in the order of their launches, while at most `most` are `running`. True while there are any.

    All that the same limit of the same sweep holds up stand in one lane, of which only the first one has to be looked
    at: the next process is found in the same time, however many are queued behind those that have to wait.
    """

    def __init__(self, running: Mapping[str, Active], most: int) -> None:
        self._running = running
        self._most = most
        self._lanes: dict[_Lane, OrderedDict[str, Active]] = {}
        self._reasons: dict[_Lane, str] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def add(self, active: Active) -> None:
        """Puts a process at the end. It must have been launched after all others."""
        self._lanes.setdefault(_lane(active), OrderedDict())[active.process_id] = active

    def remove(self, active: Active) -> None:
        """Takes out a process, wherever it stands."""
        lane = self._lanes[_lane(active)]
        del lane[active.process_id]
        if not lane:
            del self._lanes[_lane(active)]

    def may_start(self, sweep: str | None, limit: int | None) -> bool:
        """Whether a process may start at once. What is queued needs no look: if it could start, it would be running."""
        return len(self._running) < self._most and _has_room(self._sweeps_running(), sweep, limit)

    def take_next(self) -> Active | None:
        """Takes out the first process that may run beside those that are running, or none."""
        if not self._lanes or len(self._running) >= self._most:
            return None
        sweeps = self._sweeps_running()
        heads = [next(iter(lane.values())) for key, lane in self._lanes.items() if _has_room(sweeps, *key)]
        first = min(heads, key=lambda active: active.sequence, default=None)
        if first is not None:
            self.remove(first)
        return first

    def reason(self, active: Active) -> str | None:
        """Why a queued process waits, in words; None before that is known."""
        return self._reasons.get(_lane(active))

    def renew_reasons(self) -> list[str]:
        """Finds out why the processes wait now, and returns the ids of those for which that is something else.

        Their own limit comes before the machine's: it holds from the first of a sweep to the last, so that it is not
        now the one and now the other.
        """
        sweeps, before = self._sweeps_running(), self._reasons
        self._reasons = {lane: self._reason(lane, sweeps) for lane in self._lanes}
        changed = [lane for lane, reason in self._reasons.items() if before.get(lane, reason) != reason]
        return [process_id for lane in changed for process_id in self._lanes[lane]]

    def _reason(self, lane: _Lane, sweeps: "Counter[str | None]") -> str:
        if not _has_room(sweeps, *lane):
            return f"limit {lane[1]} of its sweep"
        return f"{len(self._running)} of {self._most} running on this machine"

    def _sweeps_running(self) -> "Counter[str | None]":
        return Counter(active.launched.sweep for active in self._running.values())


def _has_room(sweeps: "Counter[str | None]", sweep: str | None, limit: int | None) -> bool:
    return limit is None or sweeps[sweep] < limit


def _lane(active: Active) -> _Lane:
    launched = active.launched
    return (None, None) if launched.sweep_limit is None else (launched.sweep, launched.sweep_limit)
