"""What a live table finds out aside about its rows: what the runs were given, and metrics of much output at once."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping

from ..connection.connection import Connection
from ..display.in_words import usual_in_words
from ..display.run_name import given_in_order
from ..models import Given, ProcessId
from .rows import NOTHING, Rows, Told

ASKED_AT_ONCE = 2_000
"""Rows of which one query tells what they were given."""

AGAIN_AFTER = 1.0
"""Seconds after which the history is asked again about runs that it did not have yet."""

REST = 0.05
"""Seconds between two portions of output that are read, in which others have their turn."""

TRIES = 3
"""How often it is asked about a run."""

_log = logging.getLogger(__name__)


class Knowing:
    """Finds out, on a thread that is there while there is something to find out, and calls `tell` after each change.

    `lock` is around the rows. `tell` is called with it held.
    """

    def __init__(
        self, connections: Mapping[str, Connection], rows: Rows, lock: threading.RLock, tell: Callable[[], None]
    ) -> None:
        self._connections = connections
        self._rows = rows
        self._lock = lock
        self._tell = tell
        self._thread: threading.Thread | None = None
        self._asking = threading.Lock()
        self._wanted: dict[int, tuple[str, ProcessId, int]] = {}
        self._given: dict[int, Given] = {}
        self._of_sweep: dict[str, set[int]] = {}
        self._differing: dict[str, set[str]] = {}
        self._ended = threading.Event()

    def look(self) -> None:
        """Finds out what there is to find out of the rows as they are now. The lock is held."""
        for slot, connection, process_id in self._rows.take_unasked():
            if slot not in self._given:
                self._wanted.setdefault(slot, (connection, process_id, TRIES))
        if (self._wanted or self._rows.has_unread) and self._thread is None and not self._ended.is_set():
            self._thread = threading.Thread(target=self._run, name="hopx-knowing", daemon=True)
            self._thread.start()

    def catch_up(self) -> None:
        """Returns when what is known of the rows is in them, as far as that doesn't take long."""
        with self._asking, self._lock:
            wanted = dict(list(self._wanted.items())[:ASKED_AT_ONCE])
        with self._asking:
            self._ask_about(wanted)
        self._read_on()

    def close(self) -> None:
        """Finds out no more."""
        self._ended.set()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._ask()
                while self._read_on() and not self._ended.wait(REST):
                    pass
                with self._lock:
                    if not self._wanted and not self._rows.has_unread:
                        self._thread = None
                        return
                self._ended.wait(AGAIN_AFTER)
        except Exception:  # the table does without
            _log.exception("what the runs of a table were given could not be found out")

    def _read_on(self) -> bool:
        with self._lock:
            self._rows.read_on()
            self._tell()
            return self._rows.has_unread

    def _ask(self) -> None:
        with self._asking:
            with self._lock:
                wanted = list(self._wanted.items())
            for begin in range(0, len(wanted), ASKED_AT_ONCE):
                self._ask_about(dict(wanted[begin : begin + ASKED_AT_ONCE]))

    def _ask_about(self, wanted: Mapping[int, tuple[str, ProcessId, int]]) -> None:
        found: dict[int, Given] = {}
        for name in {connection for connection, _, _ in wanted.values()}:
            ids = {process_id: slot for slot, (connection, process_id, _) in wanted.items() if connection == name}
            found |= {ids[process_id]: told for process_id, told in self._connections[name].given(ids).items()}
        for slot, told in found.items():
            if told.sweep_id:
                self._of_sweep.setdefault(told.sweep_id, set()).add(slot)
        self._given |= found
        changed = set(found) | self._look_at_sweeps({told.sweep_id for told in found.values() if told.sweep_id})
        with self._lock:
            self._rows.give({slot: self._in_order(self._given[slot]) for slot in changed})
            for slot, (connection, process_id, tries) in wanted.items():
                self._wanted.pop(slot, None)
                if slot not in found and tries > 1:
                    self._wanted[slot] = (connection, process_id, tries - 1)
                elif slot not in found:
                    self._rows.give({slot: NOTHING})
            self._tell()

    def _look_at_sweeps(self, sweep_ids: Collection[str]) -> set[int]:
        """The slots of these sweeps that are now known to differ in other parameters than before."""
        if not sweep_ids:
            return set()
        found = next(iter(self._connections.values())).differing(sweep_ids)
        others = {sweep_id for sweep_id in sweep_ids if found.get(sweep_id) != self._differing.get(sweep_id)}
        self._differing |= found
        return {slot for sweep_id in others for slot in self._of_sweep[sweep_id]}

    def _in_order(self, told: Given) -> Told:
        names = self._differing.get(told.sweep_id or "", ())
        return Told(given_in_order(told.params, names), given_in_order(told.tags), usual_in_words(told.usual))
