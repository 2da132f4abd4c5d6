"""How long runs usually take is asked of the history aside: nothing that is shown waits for that."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..models import Usual
from ..run import Run, usual_times_of

_log = logging.getLogger(__name__)

AGAIN_AFTER = 1.0
"""Seconds after which the history is asked again about runs that it did not have yet."""

TRIES = 10
"""How often it is asked about a run."""


class _Question(NamedTuple):
    runs: list[Run]
    tell: Callable[[Usual], None]
    tries: int = TRIES


class UsualTimes:
    """Asks the history, once for all that is asked meanwhile, on a thread that is there while there is something."""

    def __init__(self) -> None:
        self._questions: list[_Question] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ask(self, runs: Sequence[Run], tell: Callable[[Usual], None]) -> None:
        """Calls `tell`, on another thread, with how long these runs usually take, if that is known."""
        asked = [run for run in runs if run.run_id and not run.process.ended]
        if not asked:
            return
        with self._lock:
            self._questions.append(_Question(asked, tell))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hopx usual times", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                questions, self._questions = self._questions, []
                if not questions:
                    self._thread = None
                    return
            try:
                early = _answer(questions)
            except Exception:  # what is shown does without
                _log.exception("how long runs usually take could not be found out")
                continue
            if early:
                time.sleep(AGAIN_AFTER)
                with self._lock:
                    self._questions += early


def _answer(questions: Sequence[_Question]) -> list[_Question]:
    """Tells what is known, and returns what is to be asked again, since the history does not have these runs yet."""
    found = usual_times_of([run for question in questions for run in question.runs])
    early = []
    for question in questions:
        known = [found[run.run_id] for run in question.runs if run.run_id and run.run_id in found]
        if usual := [each for each in known if each]:
            question.tell(_together(usual))
        if len(known) < len(question.runs) and question.tries > 1:
            early.append(question._replace(tries=question.tries - 1))
    return early


def _together(usual: Sequence[Usual]) -> Usual:
    """What is usual of runs of which different times are."""
    medians = sorted(each.median for each in usual)
    low, high = min(each.low for each in usual), max(each.high for each in usual)
    return Usual(medians[len(medians) // 2], low, high, sum(each.runs for each in usual))
