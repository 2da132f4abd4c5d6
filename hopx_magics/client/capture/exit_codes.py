"""Adds to listings what wrapped launches know of their ends, and the agent does not tell."""

import contextlib

import msgspec

from ...errors import AgentError
from ...models import Listing, RunId
from .reading import CapturedOutput


class ExitCodes:
    """The exit codes that the wrapped launches of one agent have written. Safe to use from several threads."""

    def __init__(self, captured: CapturedOutput) -> None:
        self._captured = captured
        self._known: dict[RunId, int | None] = {}

    def complete(self, listing: Listing) -> Listing:
        """The listing with the exit codes that it lacks of what has ended, as far as they can be read."""
        lacking = {
            process.run_id
            for process in listing.told
            if process.run_id is not None and process.ended and process.exit_code is None
        }
        if not lacking:
            return listing
        self._learn(lacking - self._known.keys())
        told = tuple(
            msgspec.structs.replace(process, exit_code=self._known.get(process.run_id))
            if process.run_id in lacking and process.exit_code is None
            else process
            for process in listing.told
        )
        return msgspec.structs.replace(listing, told=told)

    def _learn(self, run_ids: set[RunId]) -> None:
        with contextlib.suppress(AgentError):  # the next listing asks again
            self._known |= dict.fromkeys(run_ids) | self._captured.exit_codes(run_ids)
