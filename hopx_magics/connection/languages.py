"""In which languages cells were launched, where the agent knows only that of the wrapper that keeps their output."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from ..errors import HistoryError
from ..models import Listing, RunId
from ..run_history import reading

if TYPE_CHECKING:
    from .connection import Connection

WRAPPER = "bash"
"""The language of the wrapper."""


class Languages:
    """The languages of what one agent lists, as the history has them. Safe to use from several threads."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._known: dict[RunId, str | None] = {}

    def complete(self, listing: Listing) -> Listing:
        """The listing with the languages in which its runs were launched, as far as the history can be read."""
        unsure = {each.run_id for each in listing.told if each.run_id and each.language in (None, WRAPPER)}
        if new := unsure - self._known.keys():
            self._known |= self._read(new)
        known = {run_id: language for run_id in unsure if (language := self._known.get(run_id)) not in (None, WRAPPER)}
        if not known:
            return listing
        told = tuple(
            msgspec.structs.replace(each, language=known[each.run_id]) if each.run_id in known else each
            for each in listing.told
        )
        return msgspec.structs.replace(listing, told=told)

    def _read(self, run_ids: Collection[RunId]) -> Mapping[RunId, str | None]:
        try:
            return dict.fromkeys(run_ids) | self._connection.history.read(reading.languages, run_ids)
        except HistoryError:  # the next listing asks again
            return {}
