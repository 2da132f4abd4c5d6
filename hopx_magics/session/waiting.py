"""When waiting for processes is over."""

import time
from collections.abc import Iterable, Mapping

from ..errors import AgentRefused, AgentUnreachable, HopxError, UnknownProcess
from ..models import Listing, Process, ProcessId
from ..watcher import Update

FORGOTTEN_AFTER = 10.0
"""Seconds after which a process that the agent doesn't list counts as forgotten: new ones may be listed late."""

GIVE_UP_AFTER = 120.0
"""Seconds without any answer after which waiting ends with the agent's error."""

_PASSING = frozenset({429, 500, 502, 503, 504})


class Waiting:
    """Takes the updates of one agent until some of its processes have ended."""

    def __init__(self, process_ids: Iterable[ProcessId]) -> None:
        self.process_ids = list(dict.fromkeys(process_ids))
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
            if process_id not in listed:
                raise UnknownProcess(
                    f"{listing.agent}: {process_id} is no longer listed, how it ended is not known",
                    hint="An agent forgets old processes, and all of them when its sandbox is deleted.",
                )


def _raise_if_hopeless(error: HopxError, failing_since: float | None) -> None:
    lasting = failing_since is not None and time.monotonic() - failing_since > GIVE_UP_AFTER
    passing = isinstance(error, AgentUnreachable) or (isinstance(error, AgentRefused) and error.status in _PASSING)
    if lasting or not passing:
        raise error
