"""The queued processes, and which of them may start next.

No more than so many run at once. Next is the first one that may start, which is not always the first one: of a sweep
with a limit, no more than that many run at once, and what was launched after a sweep that has to wait is not held up.

A limit belongs to its process, not to the sweep. Where the limits in one sweep differ, a process may start when fewer
than its own limit of that sweep are running, those without a limit included. Whoever changes the limit of a sweep gives
all of its processes the same.

What needs GPUs, processors or memory starts when enough of them is left. Nobody behind it that needs any of the same
may start before it, or it might wait for ever.

What is paused while it is queued, and what comes after others, stands aside: it keeps its place, and lets others by.
"""

import contextlib
from bisect import insort
from collections import Counter
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..words import WaitsFor
from .active import Active, Former
from .resources import Kind, Needs, Resources
from .store import replace_file


class Reason(NamedTuple):
    """Why a process waits: in a word that programs know, and in words."""

    waits_for: WaitsFor
    words: str


NOTHING = Needs()
"""What most processes need."""

PAUSED = Reason("resume", "paused")
_QUEUE_PAUSED = Reason("resume", "the queue is paused")


class _Lane(NamedTuple):
    """What holds up all that stand in a lane. What goes `first` is ahead of all that does not."""

    first: bool
    sweep: str | None
    limit: int | None
    needs: Needs


class Rules(msgspec.Struct, kw_only=True):
    """What a user has said of the queue while it went on, which outlives the agent.

    Nothing starts while it is `paused`. `most` run at once, None for as many as the agent was started with; `limits`
    are those of sweeps, by their ids, None for no limit.
    """

    paused: bool = False
    most: int | None = None
    limits: dict[str, int | None] = {}


class Queue:
    """Queued processes, while at most `most` are `running`. True while there are any. `file` keeps its rules.

    All that the same limit of the same sweep holds up stand in one lane, of which only the first one has to be looked
    at: the next process is found in the same time, however many are queued behind those that have to wait.
    """

    def __init__(
        self, running: Mapping[str, Active], most: int, file: Path | None = None, resources: Resources | None = None
    ) -> None:
        self._running = running
        self._most = most
        self._file = file
        self.rules = _read(file)
        self._lanes: dict[_Lane, list[Active]] = {}
        self._aside: dict[str, Active] = {}
        self._followers: dict[str, dict[str, Active]] = {}
        self._reasons: dict[_Lane, Reason] = {}
        self.resources = resources or Resources(running)

    def __bool__(self) -> bool:
        return bool(self._lanes or self._aside)

    @property
    def most(self) -> int:
        """How many run at once, at most."""
        return self._most if self.rules.most is None else self.rules.most

    def change(self, rules: Rules) -> None:
        """Has other rules from now on. Raises OSError when they can't be kept."""
        if self._file is not None:
            replace_file(self._file, msgspec.json.encode(rules))
        self.rules = rules

    def add(self, active: Active) -> None:
        """Puts a process where it belongs: behind all that were launched before it, or aside."""
        for process_id in active.waits_on:
            self._followers.setdefault(process_id, {})[active.process_id] = active
        if active.is_paused or active.waits_on or active.waits_until:
            self._aside[active.process_id] = active
        else:
            insort(self._lanes.setdefault(_lane(active), []), active, key=attrgetter("sequence"))

    def remove(self, active: Active) -> None:
        """Takes out a process, wherever it stands."""
        if self._aside.pop(active.process_id, None) is not None:
            return
        lane = self._lanes[_lane(active)]
        lane.remove(active)
        if not lane:
            del self._lanes[_lane(active)]

    def followers(self, process_id: str, retried_as: str | None = None) -> list[tuple[Active, Former]]:
        """Those that wait for the end of this process, which has come, and how: they wait for its next try, if any."""
        waiting = [each for each in self._followers.pop(process_id, {}).values() if each.process_id in self._aside]
        followers = [(active, active.waits_on.pop(process_id)) for active in waiting]
        for active, former in followers:
            self.remove(active)
            if retried_as is not None:
                active.waits_on[retried_as] = former
            self.add(active)
        return followers

    def may_start(self, sweep: str | None, limit: int | None, needs: Needs = NOTHING) -> bool:
        """Whether a process may start at once. What is queued needs no look: if it could start, it would be running."""
        if not (self._has_slot and self._has_room(self._sweeps_running(), sweep, limit)):
            return False
        return not (self.resources.lacking(needs) or any(lane.needs.kinds & needs.kinds for lane in self._lanes))

    @property
    def _has_slot(self) -> bool:
        return not self.rules.paused and len(self._running) < self.most

    def take_next(self) -> Active | None:
        """Takes out the first process that may run beside those that are running, or none."""
        if not self._lanes or not self._has_slot:
            return None
        sweeps = self._sweeps_running()
        reserved: set[Kind] = set()
        for active in self._heads(sweeps):
            needs = active.needs
            if needs.kinds & reserved:
                continue
            if not self.resources.lacking(needs):
                self.remove(active)
                return active
            reserved |= needs.kinds
        return None

    def _heads(self, sweeps: "Counter[str | None]") -> list[Active]:
        """The first ones of all lanes that their sweeps don't hold up, in the order of their turns."""
        heads = [waiting[0] for lane, waiting in self._lanes.items() if self._has_room(sweeps, lane.sweep, lane.limit)]
        return sorted(heads, key=lambda active: (not active.launched.first, active.sequence))

    def reason(self, active: Active) -> Reason | None:
        """Why a queued process waits; None before that is known."""
        if active.is_paused:
            return PAUSED
        if active.waits_on:
            return _after(active)
        if active.waits_until:
            return Reason("retry", f"{active.launched.retry_delay:g} s until it is tried again")
        return self._reasons.get(_lane(active))

    def renew_reasons(self) -> list[str]:
        """Finds out why the processes wait now, and returns the ids of those for which that is something else.

        Their own limit comes before the machine's: it holds from the first of a sweep to the last, so that it is not
        now the one and now the other.
        """
        sweeps, before = self._sweeps_running(), self._reasons
        self._reasons = {lane: self._reason(lane, sweeps) for lane in self._lanes}
        changed = [lane for lane, reason in self._reasons.items() if before.get(lane, reason) != reason]
        return [active.process_id for lane in changed for active in self._lanes[lane]]

    def _reason(self, lane: _Lane, sweeps: "Counter[str | None]") -> Reason:
        if self.rules.paused:
            return _QUEUE_PAUSED
        if not self._has_room(sweeps, lane.sweep, lane.limit):
            return Reason("limit", f"limit {self._limit(lane.sweep, lane.limit)} of its sweep")
        lacking = self.resources.lacking(lane.needs)
        if lacking or (lane.needs.kinds and self._has_slot):
            return Reason("resources", self.resources.shortage(lane.needs, lacking))
        return Reason("slot", f"{len(self._running)} of {self.most} running on this machine")

    def _sweeps_running(self) -> "Counter[str | None]":
        return Counter(active.launched.sweep for active in self._running.values())

    def _has_room(self, sweeps: "Counter[str | None]", sweep: str | None, limit: int | None) -> bool:
        limit = self._limit(sweep, limit)
        return limit is None or sweeps[sweep] < limit

    def _limit(self, sweep: str | None, limit: int | None) -> int | None:
        return limit if sweep is None else self.rules.limits.get(sweep, limit)


def _after(active: Active) -> Reason:
    first, *more = sorted(former.launched_as for former in active.waits_on.values())
    launched = active.launched
    name = launched.after.get(first) or launched.after_any.get(first) or first
    return Reason("after", f"after {name}" + (f" and {len(more):,} more" if more else ""))


def _lane(active: Active) -> _Lane:
    launched = active.launched
    return _Lane(launched.first, launched.sweep, launched.sweep_limit, active.needs)


def _read(file: Path | None) -> Rules:
    if file is not None:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(file.read_bytes(), type=Rules)
    return Rules()
