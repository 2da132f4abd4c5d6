"""Waiting until processes have ended, and when that is hopeless."""

import contextlib
import queue
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..durations import format_duration
from ..errors import AgentError, AgentRefused, HopxError, NotSupported, UnknownProcess, WaitInterrupted, WaitTimeout
from ..models import Listing, Process, ProcessId
from ..protocol.listing import FORGOTTEN_AFTER
from .watcher import Listener, Update

if TYPE_CHECKING:
    from .connection import Connection

GIVE_UP_AFTER = 120.0
"""Seconds without any answer after which waiting ends with the agent's error."""

_PASSING = frozenset({429, 500, 502, 503, 504})


def wait_for(
    wanted: "Mapping[Connection, Iterable[ProcessId]]",
    *,
    any_one: bool = False,
    timeout: float | None = None,
    begun: float | None = None,
    progress: Callable[[list[Process]], None] | None = None,
) -> "dict[Connection, dict[ProcessId, Process]]":
    """Waits until all of some processes, or any one of them, have ended; returns them as last listed, by their ids.

    What is launched anew when it fails has ended when its last try has, which is returned in its place.

    `progress` is called with the processes, in this thread, whenever an agent says something new and at least every
    second. An agent that doesn't answer, or with nonsense, is asked for two minutes, and one that refuses, twice.

    Raises WaitTimeout after `timeout` seconds, which count from the moment `begun` of `time.monotonic`, by default from
    now; WaitInterrupted after Ctrl-C, UnknownProcess when an agent has forgotten one of them, AgentError.
    """
    waitings = [Waiting(connection, ids) for connection, ids in wanted.items()]
    deadline = None if timeout is None else (time.monotonic() if begun is None else begun) + timeout
    updates: queue.SimpleQueue[tuple[Waiting, Update]] = queue.SimpleQueue()
    with contextlib.ExitStack() as listening:
        for waiting in waitings:
            listening.callback(waiting.connection.watcher.listen(_putting(updates, waiting)))
        try:
            if not _take_updates(waitings, updates, any_one, deadline, progress or (lambda processes: None)):
                raise WaitTimeout(
                    f"still going on after {format_duration(timeout or 0)}: {some(_going(waitings))}",
                    hint="%hopx_wait waits for them again, %hopx_kill ends them.",
                )
        except KeyboardInterrupt:
            raise WaitInterrupted(
                f"Stopped waiting. Still going on: {some(_going(waitings))}\n"
                "%hopx_wait waits again, %hopx_kill ends them."
            ) from None
        except UnknownProcess:
            for waiting in waitings:
                waiting.connection.waited(waiting.going)  # or the next wait would look for it in vain, too
            raise
    for waiting in waitings:
        waiting.connection.waited(waiting.process_ids.keys() - set(waiting.going))
    return {waiting.connection: waiting.seen for waiting in waitings}


class Waiting:
    """Takes the updates of one agent until some of its processes have ended."""

    def __init__(self, connection: "Connection", process_ids: Iterable[ProcessId]) -> None:
        self.connection = connection
        self.process_ids = dict.fromkeys(process_ids)
        self._begun = time.monotonic()
        self.seen: dict[ProcessId, Process] = {}
        """The last tries of the processes, as last listed, by the ids of the first ones."""
        self._refused = False
        """Whether the last answer was one that is no use to ask again for, unless it was a single odd one."""

    @property
    def processes(self) -> list[Process]:
        """The processes that were listed so far, as last listed."""
        return [self.seen[process_id] for process_id in self.process_ids if process_id in self.seen]

    @property
    def going(self) -> list[ProcessId]:
        """The processes that have not been seen to end."""
        return [
            process_id
            for process_id in self.process_ids
            if process_id not in self.seen or not self.seen[process_id].ended
        ]

    def take(self, update: Update) -> None:
        """Takes note of an update. Raises the agent's error when waiting on is hopeless, and UnknownProcess."""
        if update.error is not None:
            self._raise_if_hopeless(update.error, update.failing_since)
        elif update.listing is not None:
            self._refused = False
            listed = update.listing.by_id
            for process_id in self.going:
                if process := update.listing.last_try(self._present_id(process_id)):
                    self.seen[process_id] = process
            self._raise_if_forgotten(update.listing, listed)

    def _present_id(self, process_id: ProcessId) -> ProcessId:
        """The id of the last try of a process that was seen."""
        seen = self.seen.get(process_id)
        return seen.process_id or process_id if seen else process_id

    def _raise_if_hopeless(self, error: HopxError, failing_since: float | None) -> None:
        """Bears no answer, and none that makes sense, for a while; and once a refusal: a new token may help, say."""
        lasting = failing_since is not None and time.monotonic() - failing_since > GIVE_UP_AFTER
        passing = _is_passing(error)
        if lasting or (self._refused and not passing):
            raise error
        self._refused = not passing

    def _raise_if_forgotten(self, listing: Listing, listed: Mapping[ProcessId, Process]) -> None:
        if time.monotonic() - self._begun < FORGOTTEN_AFTER:
            return
        for process_id in self.going:
            if self._present_id(process_id) in listed:
                continue
            kept = self.connection.recall(process_id)
            if kept is not None and kept.process.ended:
                self.seen[process_id] = kept.process
            else:
                raise UnknownProcess(
                    f"{listing.agent}: {process_id} is no longer listed, how it ended is not known",
                    hint="An agent forgets old processes, and all of them when its sandbox is deleted.",
                )


def _is_passing(error: HopxError) -> bool:
    if isinstance(error, AgentRefused):
        return error.status in _PASSING
    return isinstance(error, AgentError) and not isinstance(error, NotSupported)


def _take_updates(
    waitings: list[Waiting],
    updates: "queue.SimpleQueue[tuple[Waiting, Update]]",
    any_one: bool,
    deadline: float | None,
    progress: Callable[[list[Process]], None],
) -> bool:
    """Takes updates until what is waited for has ended; False when the time is over before."""
    total = len(_going(waitings))
    while (going := _going(waitings)) and not (any_one and len(going) < total):
        left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
        if left <= 0:
            return False
        with contextlib.suppress(queue.Empty):
            waiting, update = updates.get(timeout=left)
            waiting.take(update)
        progress([process for waiting in waitings for process in waiting.processes])
    return True


def _putting(updates: "queue.SimpleQueue[tuple[Waiting, Update]]", waiting: Waiting) -> Listener:
    """A listener that puts its updates into a queue."""
    return lambda update: updates.put((waiting, update))


def _going(waitings: Iterable[Waiting]) -> list[ProcessId]:
    """The processes that none of the waitings has seen to end."""
    return [process_id for waiting in waitings for process_id in waiting.going]


def some(process_ids: Sequence[str], limit: int = 5) -> str:
    """The first of some ids, and how many more there are."""
    more = f" and {len(process_ids) - limit} more" if len(process_ids) > limit else ""
    return ", ".join(process_ids[:limit]) + more
