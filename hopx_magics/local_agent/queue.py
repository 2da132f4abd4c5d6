"""The queued processes, and which of them is next.

It is the first one that may start, which is not always the first one: of a sweep with a limit, no more than that many
run at once, and what was launched after a sweep that has to wait is not held up by it.

A limit belongs to its process, not to the sweep. Where the limits in one sweep differ, a process may start when fewer
than its own limit of that sweep are running, those without a limit included. One without a limit may always start.
"""

from collections import Counter, OrderedDict

from .active import Active

Running = Counter[str | None]
"""How many processes of each sweep are running; those of no sweep count under None."""

_Lane = tuple[str | None, int | None]


def sweep_has_room(running: Running, sweep: str | None, limit: int | None) -> bool:
    """Whether a process of that sweep and with that limit may run beside those that are running."""
    return limit is None or running[sweep] < limit


class Queue:
    """Queued processes in the order of their launches. It is true while there are any.

    All that the same limit of the same sweep holds up stand in one lane, of which only the first one has to be looked
    at: the next process is found in the same time, however many are queued behind those that have to wait.
    """

    def __init__(self) -> None:
        self._lanes: dict[_Lane, OrderedDict[str, Active]] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def add(self, active: Active) -> None:
        """Puts a process at the end. It must have been launched after all others."""
        self._lanes.setdefault(_lane(active), OrderedDict())[active.launched.process_id] = active

    def remove(self, active: Active) -> None:
        """Takes out a process, wherever it stands."""
        lane = self._lanes[_lane(active)]
        del lane[active.launched.process_id]
        if not lane:
            del self._lanes[_lane(active)]

    def take_next(self, running: Running) -> Active | None:
        """Takes out the first process that may run beside those that are running, or none."""
        heads = [next(iter(lane.values())) for key, lane in self._lanes.items() if sweep_has_room(running, *key)]
        first = min(heads, key=lambda active: active.sequence, default=None)
        if first is not None:
            self.remove(first)
        return first


def _lane(active: Active) -> _Lane:
    launched = active.launched
    return (None, None) if launched.sweep_limit is None else (launched.sweep, launched.sweep_limit)
