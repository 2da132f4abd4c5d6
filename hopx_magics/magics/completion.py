"""Tab completion of the magics: options, their values, and the ids and names of processes."""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from .arguments import CONNECTIONS, FILES, NAMES, PARSERS, TAKE_CONNECTIONS, TAKE_FILES, TAKE_REFERENCES, TAKE_RUNS
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
    """A matcher for IPython's completer. `variables` are those of the notebook."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._names: list[str] = []
        self._ids: list[str] = []
        self._listed_at = -FRESH

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
        offered = self._offered(found[1], parser, words)
        if offered is None:
            return SimpleMatcherResult(completions=[])
        # without any match IPython would offer the words of Python; what is there already changes nothing
        matches = [word for word in offered if word.startswith(token)] or [token]
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text=match, type="magic") for match in matches],
            matched_fragment=token,
            suppress=True,
            ordered=True,
        )

    def _offered(self, magic: str, parser: MagicParser, words: list[str]) -> list[str] | None:
        """What may stand at the cursor; None where that is an expression or the name of a file, which IPython knows."""
        option, equals, value = words[-1].partition("=")
        if not equals:
            option, value = words[-2] if len(words) > 1 else "", words[-1]
        values = parser.choices(option)
        if values is None and len(words) > 2:
            values = parser.choices_behind(words[-3])
        if "{" in value or "$" in value or values == FILES:
            return None
        if values is not None:
            return _known(values)
        if words[-1].startswith("-"):
            return parser.options
        if magic in TAKE_FILES:
            return None
        return self._arguments(magic) or parser.options

    def _arguments(self, magic: str) -> list[str]:
        """What is known of what may be a magic's argument: names first."""
        if magic in TAKE_CONNECTIONS:
            return _connections(kept=magic == "hopx_connect")
        if magic in TAKE_RUNS:
            names, ids = _runs()
        elif magic in TAKE_REFERENCES:
            names, ids = self._listed()
        else:
            return []
        variables = [name for name, value in list(self._variables.items()) if _holds_runs(value)]
        return [*names, *(name for name in variables if not name.startswith("_")), *ids]

    def _listed(self) -> tuple[list[str], list[str]]:
        """The names and the ids that the current connection lists, as far as it tells them fast."""
        if time.monotonic() - self._listed_at > FRESH:
            asking = threading.Thread(target=self._ask, name="hopx-completion", daemon=True)
            asking.start()
            asking.join(PATIENCE)
        return self._names, self._ids

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
        self._names = _writable(process.name for process in reversed(processes))
        self._ids = _writable(process.process_id for process in reversed(processes))
        self._listed_at = time.monotonic()


def _known(values: Iterable[str]) -> list[str]:
    """The values of an option, also those that are known only now."""
    if values == CONNECTIONS:
        return [*_connections(), "all"]
    return _runs()[0] if values == NAMES else list(values)


def _holds_runs(value: object) -> bool:
    """Whether it is a Run or a list of them; no import is made for it, since without Runs there are none."""
    run = sys.modules.get("hopx_magics.run")
    first = value[0] if isinstance(value, list | tuple) and value else value
    return run is not None and isinstance(first, run.Run)


def _connections(*, kept: bool = False) -> list[str]:
    """The names of connections, also of those that are `kept` of earlier kernels."""
    from ..connection.local import LOCAL
    from ..session.session import session

    return list(dict.fromkeys([LOCAL, *session().connections, *(session().kept.all() if kept else ())]))


def _runs() -> tuple[list[str], list[str]]:
    """The names and the ids of the newest runs in the history."""
    from ..errors import HistoryError
    from ..run_history import reading
    from ..session.session import session

    try:
        columns = session().history.read(reading.columns, reading.Wanted(limit=RUNS))
    except HistoryError:
        return [], []
    return _writable(columns["name"]), _writable(columns["run_id"])


def _writable(words: Iterable[str | None]) -> list[str]:
    """Each once, without those that can't be written as one word."""
    return [word for word in dict.fromkeys(words) if word and word.isprintable() and " " not in word]
