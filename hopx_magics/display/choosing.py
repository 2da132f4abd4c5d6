"""Which processes are meant, by their names and ids, or by what they are."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from ..models import Process
from ..output import printable


def chooser(
    *,
    references: Iterable[str] = (),
    statuses: Iterable[str] = (),
    language: str | None = None,
    name: str | None = None,
    since: float | None = None,
) -> Callable[[Process], bool]:
    """Tells of a process whether it is wanted. What is not given restricts nothing.

    `references` are ids, beginnings of ids, or names; `name` is a pattern such as `train-*`; `since` is in seconds:
    only what started within them, or has not started yet.
    """
    wanted, states = tuple(references), frozenset(statuses)
    earliest = None if since is None else datetime.now(UTC) - timedelta(seconds=since)
    if not (wanted or states) and language is None and name is None and earliest is None:
        return lambda process: True

    def choose(process: Process) -> bool:
        return (
            (not states or process.status in states)
            and (language is None or process.language == language)
            and (name is None or fnmatchcase(process.name or "", name))
            and (earliest is None or (moment := _since(process)) is None or moment >= earliest)
            and (not wanted or any(is_meant(process, reference) for reference in wanted))
        )

    return choose


def _since(process: Process) -> datetime | None:
    return process.started_at or process.completed_at  # one that could not start only has its end


def is_meant(process: Process, reference: str) -> bool:
    """Whether `reference` is the process's name, its id, or the beginning of its id."""
    is_name = process.name is not None and process.name == printable(reference)
    is_id = process.process_id is not None and process.process_id.startswith(reference)
    return is_name or (reference != "" and is_id)
