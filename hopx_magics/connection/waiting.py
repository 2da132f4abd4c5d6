"""When waiting for processes is over."""

import contextlib
import queue
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..durations import format_duration
from ..errors import AgentRefused, AgentUnreachable, HopxError, UnknownProcess, WaitTimeout
from ..models import Listing, Process, ProcessId
from .watcher import Listener, Update

FORGOTTEN_AFTER = 10.0
"""Seconds after which a process that the agent doesn't list counts as forgotten: new ones may be listed late."""

GIVE_UP_AFTER = 120.0
"""Seconds without any answer after which waiting ends with the agent's error."""

_PASSING = frozenset({429, 500, 502, 503, 504})


class Waiting:
    """Takes the updates of one agent until some of its processes have ended.

    `recall` gives what is remembered of a process that the agent does not list any more.
    """

    def __init__(
        self, process_ids: Iterable[ProcessId], recall: Callable[[ProcessId], Process | None] = lambda process_id: None
    ) -> None:
        self.process_ids = list(dict.fromkeys(process_ids))
        self._recall = recall
        self._begun = time.monotonic()
        self._seen: dict[ProcessId, Process] = {}

    @property
    def processes(self) -> list[Process]:
        """The processes that were listed so far, as last listed."""
        return [self._seen[process_id] for process_id in self.process_ids if process_id in self._seen]

    @property
    def going(self) -> list[ProcessId]:
        """The processes that have not been seen to end."""
        return [
            process_id
            for process_id in self.process_ids
            if process_id not in self._seen or not self._seen[process_id].ended
        ]

    def take(self, update: Update) -> None:
        """Takes note of an update. Raises the agent's error when waiting on is hopeless, and UnknownProcess."""
        if update.error is not None:
            _raise_if_hopeless(update.error, update.failing_since)
        elif update.listing is not None:
            listed = update.listing.by_id
            self._seen.update((id_, listed[id_]) for id_ in self.going if id_ in listed)
            self._raise_if_forgotten(update.listing, listed)

    def _raise_if_forgotten(self, listing: Listing, listed: Mapping[str, Process]) -> None:
        if time.monotonic() - self._begun < FORGOTTEN_AFTER:
            return
        for process_id in self.going:
            if process_id in listed:
                continue
            kept = self._recall(process_id)
            if kept is not None and kept.ended:
                self._seen[process_id] = kept
            else:
                raise UnknownProcess(
                    f"{listing.agent}: {process_id} is no longer listed, how it ended is not known",
                    hint="An agent forgets old processes, and all of them when its sandbox is deleted.",
                )


def _raise_if_hopeless(error: HopxError, failing_since: float | None) -> None:
    lasting = failing_since is not None and time.monotonic() - failing_since > GIVE_UP_AFTER
    passing = isinstance(error, AgentUnreachable) or (isinstance(error, AgentRefused) and error.status in _PASSING)
    if lasting or not passing:
        raise error


def wait_for(
    waitings: Sequence[Waiting],
    updates: "queue.SimpleQueue[tuple[Waiting, Update]]",
    any_one: bool,
    timeout: float | None,
    progress: Callable[[list[Process]], None],
) -> None:
    """Takes updates until all have ended, or any one of them. Raises WaitTimeout, and what the waitings raise."""
    deadline = None if timeout is None else time.monotonic() + timeout
    total = len(going(waitings))
    while (left_over := going(waitings)) and not (any_one and len(left_over) < total):
        left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
        if left <= 0:
            raise WaitTimeout(
                f"still going on after {format_duration(timeout or 0)}: {some(left_over)}",
                hint="%hopx_wait waits for them again, %hopx_kill ends them.",
            )
        with contextlib.suppress(queue.Empty):
            waiting, update = updates.get(timeout=left)
            waiting.take(update)
        progress([process for waiting in waitings for process in waiting.processes])


def putting(updates: "queue.SimpleQueue[tuple[Waiting, Update]]", waiting: Waiting) -> Listener:
    """A listener that puts its updates into a queue."""
    return lambda update: updates.put((waiting, update))


def going(waitings: Iterable[Waiting]) -> list[ProcessId]:
    """The processes that none of the waitings has seen to end."""
    return [process_id for waiting in waitings for process_id in waiting.going]


def some(process_ids: list[ProcessId], limit: int = 5) -> str:
    """The first of some ids, and how many more there are."""
    more = f" and {len(process_ids) - limit} more" if len(process_ids) > limit else ""
    return ", ".join(process_ids[:limit]) + more
