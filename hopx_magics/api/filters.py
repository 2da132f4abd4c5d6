"""Which processes and runs are wanted: by status, language, name, and since when."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TypedDict

from ..durations import format_counting, parse_duration
from ..launches import checked_language
from ..models import Process
from ..output.oneline import printable
from ..run_history.reading import Wanted
from ..session.finding import is_meant
from ..words import STATUSES, Status


class ProcessFilters(TypedDict, total=False):
    """Of the processes that are listed those of these statuses, of this language, with a name like this pattern
    (`train-*`), that started within this span (seconds, or a text like `2h`), and the first `limit` of them."""

    status: str | Iterable[str]
    language: str | None
    name: str | None
    since: str | float | None
    limit: int | None


class RunFilters(ProcessFilters, total=False):
    """Of the runs in the history, besides, those with these tags, and of this sweep."""

    tags: Mapping[str, str] | None
    sweep: str | None


def chooser(references: Sequence[str], filters: ProcessFilters) -> Callable[[Process], bool]:
    """Tells of a process whether these filters mean it, and one of the references, if there are any.

    `references` are ids, beginnings of ids, or names. What has not started yet is never too old. Raises ValueError for
    a filter that can't be used.
    """
    states, name = frozenset(checked_statuses(filters.get("status", ()))), filters.get("name")
    language = filters.get("language") and checked_language(str(filters.get("language")))
    since = filters.get("since")
    earliest = None if since is None else datetime.now(UTC) - timedelta(seconds=parse_duration(since))
    _check_limit(filters.get("limit"), "rows")
    if not (references or states or language) and name is None and earliest is None:
        return lambda process: True

    def choose(process: Process) -> bool:
        moment = process.started_at or process.completed_at  # one that could not start only has its end
        return (
            (not states or process.status in states)
            and (not language or process.language == language)
            and (name is None or fnmatchcase(process.name or "", name))
            and (earliest is None or moment is None or moment >= earliest)
            and (not references or any(is_meant(process, reference) for reference in references))
        )

    return choose


def filters_in_words(references: Sequence[str], filters: Mapping[str, object]) -> str:
    """What is asked for, as `%hopx_ps` has it: `--name train-* --status running,failed`; nothing for all."""
    words = [_in_words(reference) for reference in references]
    for option, name in (("status", "status"), ("lang", "language"), ("name", "name"), ("since", "since")):
        value = filters.get(name)
        texts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
        if value is not None and texts:
            words.append(f"--{option} {','.join(map(_in_words, texts))}")
    tags, sweep = filters.get("tags"), filters.get("sweep")
    if isinstance(tags, Mapping):
        words += [f"--tag {_in_words(f'{name}={value}')}" for name, value in tags.items()]
    if sweep:
        words.append(f"--sweep {_in_words(sweep)}")
    return " ".join(words) + (" --limit 0" if filters.get("limit") == 0 else "")


def _in_words(value: object) -> str:
    text = value if isinstance(value, str) else format_counting(float(str(value))).replace(" ", "")
    shown = printable(text, 60)
    return f'"{shown}"' if " " in shown or not shown else shown


def wanted_runs(filters: RunFilters) -> Wanted:
    """The runs of the history that these filters mean. Raises ValueError for one that can't be used."""
    since, language = filters.get("since"), filters.get("language")
    _check_limit(filters.get("limit"), "runs")
    return Wanted(
        name=filters.get("name"),
        tags=dict(filters.get("tags") or {}),
        statuses=tuple(checked_statuses(filters.get("status", ()))),
        language=checked_language(language) if language else None,
        since=None if since is None else round(1e6 * (time.time() - parse_duration(since))),
        sweep_id=filters.get("sweep"),
        limit=filters.get("limit"),
    )


def checked_statuses(words: str | Iterable[str]) -> list[Status]:
    """The statuses of these names. Raises ValueError that names all of them."""
    statuses: list[Status] = []
    for word in [words] if isinstance(words, str) else words:
        found = [status for status in STATUSES if status == word.strip().lower()]
        if not found:
            raise ValueError(f"{word!r} is no status: use {', '.join(STATUSES)}")
        statuses += found
    return statuses


def _check_limit(limit: int | None, what: str) -> None:
    if limit is not None and limit < 0:
        raise ValueError(f"a limit of {limit} {what} can't be: use 0 or more")
