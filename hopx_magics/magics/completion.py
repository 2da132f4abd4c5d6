"""Tab completion of the magics: options, their values, and the ids and names of processes."""

import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from .arguments import CONNECTIONS, PARSERS, TAKE_CONNECTIONS, TAKE_REFERENCES, TAKE_RUNS
from .line import MagicParser

IDENTIFIER = "hopx_magics"

PATIENCE = 0.5
"""Seconds that a listing may take; completion that makes the user wait is worse than none."""

FRESH = 2.0
"""Seconds for which a listing is used again."""

RUNS = 200
"""How many of the newest runs Tab offers."""

_LINE_MAGIC = re.compile(r"(?:^|[=;]\s*|^\s*)%(hopx_\w+)\s+(.*)$")
_CELL_MAGIC = re.compile(r"^%%(hopx_\w+)\s+(.*)$")


ContextMatcher = Callable[[CompletionContext], SimpleMatcherResult]


class Completions:
    """A matcher for IPython's completer."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._words_from = -FRESH

    def matcher(self) -> ContextMatcher:
        """What IPython's completer calls."""

        def match(context: CompletionContext) -> SimpleMatcherResult:
            return self._match(context)

        wrap: Callable[[ContextMatcher], ContextMatcher] = context_matcher(identifier=IDENTIFIER)
        return wrap(match)

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        before_cursor = context.line_with_cursor[: context.cursor_position]
        found = (context.cursor_line == 0 and _CELL_MAGIC.search(before_cursor)) or _LINE_MAGIC.search(before_cursor)
        parser = PARSERS.get(found[1]) if found else None
        if found is None or parser is None:
            return SimpleMatcherResult(completions=[])
        words = found[2].split(" ")
        token = re.split(r"[=,]", words[-1])[-1]
        matches = [word for word in self._candidates(found[1], parser, words) if word.startswith(token)]
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text=match, type="magic") for match in matches],
            matched_fragment=token,
            suppress=True,
        )

    def _candidates(self, magic: str, parser: MagicParser, words: list[str]) -> list[str]:
        option, equals, _ = words[-1].partition("=")
        if not equals:
            option = words[-2] if len(words) > 1 else ""
        values = parser.choices(option)
        if values == CONNECTIONS or (values is None and magic in TAKE_CONNECTIONS and not words[-1].startswith("-")):
            return _connections()
        if values is not None:
            return list(values)
        if words[-1].startswith("-"):
            return parser.options
        if magic in TAKE_RUNS:
            return _runs()
        return self._references() if magic in TAKE_REFERENCES else []

    def _references(self) -> list[str]:
        """The ids and names that the current connection lists, as far as it tells them fast."""
        if time.monotonic() - self._words_from > FRESH:
            asking = threading.Thread(target=self._ask, name="hopx-completion", daemon=True)
            asking.start()
            asking.join(PATIENCE)
        return self._words

    def _ask(self) -> None:
        from ..errors import HopxError
        from ..session.session import session

        connection = session().connections.get(session().current)
        if connection is None:
            return  # nothing has been launched or listed: completion is no reason to start an agent
        try:
            processes: Any = connection.listing(tail=0).processes
        except HopxError:
            return
        self._words = _offered(word for process in reversed(processes) for word in (process.name, process.process_id))
        self._words_from = time.monotonic()


def _connections() -> list[str]:
    from ..connection.local import LOCAL
    from ..session.session import session

    return list(dict.fromkeys([LOCAL, *session().connections, "all"]))


def _runs() -> list[str]:
    """The names and ids of the newest runs in the history."""
    from ..errors import HistoryError
    from ..run_history import reading
    from ..session.session import session

    try:
        columns = session().history.read(reading.columns, reading.Wanted(limit=RUNS))
    except HistoryError:
        return []
    return _offered(word for pair in zip(columns["name"], columns["run_id"], strict=True) for word in pair)


def _offered(words: Iterable[str | None]) -> list[str]:
    """Each once, without those that can't be written as one word."""
    return [word for word in dict.fromkeys(words) if word and word.isprintable() and " " not in word]
