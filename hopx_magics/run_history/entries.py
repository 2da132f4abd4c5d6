"""What only this program can tell of a launch, as values that can be written down twice: in a journal and the history.

How runs go on is not among it: agents tell that again with each listing.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from ..models import Launch, Place, ProcessId, RunId, terms_of
from ..values.facts import MOST
from ..words import Status
from .origin import Origin


class Waiter(NamedTuple):
    """A program that is to launch something later, on an agent that is not yet known."""

    host: str
    pid: int


AT_ONCE = 500
"""Launches that are begun with one entry."""

NOWHERE = Place("", "")
"""Stands in the rows of what waits for an agent: the columns can't be empty."""


def now() -> int:
    """This moment as the file has it."""
    return time.time_ns() // 1000


class LaunchRow(msgspec.Struct, frozen=True, kw_only=True):
    """A launch in the columns of `runs`. Of the environment it has only the names, and of the code the hash."""

    run_id: RunId
    connection: str
    agent: str
    sandbox: str | None
    name: str | None
    tags: str
    params: str
    sweep_id: str | None
    rerun_of: RunId | None
    language: str
    code_hash: str
    first_line: int
    workdir: str | None
    timeout: int | None
    env_names: str
    notebook: str | None
    cell: str | None
    version: str | None
    launched_at: int
    kill_leftovers: bool = False
    terms: str = "{}"
    values_in: str | None = None
    keep: str = "[]"
    sweep_index: int | None = None


class Begun(msgspec.Struct, frozen=True, tag=True):
    """Launches that are about to be sent, or by a `waiter` later on; `codes` are theirs by their hashes.

    So is what is known of the values that they get, which is the same for many, and stands in a row as its hash, too.
    """

    rows: tuple[LaunchRow, ...]
    codes: dict[str, str]
    waiter: Waiter | None = None


class Assigned(msgspec.Struct, frozen=True, tag=True):
    """To which agent a launch is about to be sent, or who is to do that later (again)."""

    run_id: RunId
    place: Place
    waiter: Waiter | None = None


class Became(msgspec.Struct, frozen=True, tag=True):
    """Which process a launch has become."""

    run_id: RunId
    process_id: ProcessId
    execution_id: str | None
    status: Status


class NotLaunched(msgspec.Struct, frozen=True, tag=True):
    """A launch that failed at that moment, or (`unknown`) of which nobody knows whether it did."""

    run_id: RunId
    status: Status
    reason: str
    at: int


class NeverSent(msgspec.Struct, frozen=True, tag=True):
    """A launch that was not sent after all, since one before it was refused: there is nothing to tell of it."""

    run_id: RunId


Entry = Begun | Assigned | Became | NotLaunched | NeverSent


def begun(
    launches: Sequence[Launch],
    place: Place,
    origin: Origin,
    version: str | None = None,
    waiter: Waiter | None = None,
) -> Begun:
    """What is about to be launched at this moment, by `version` of this package, or by a `waiter` later on."""
    facts = _facts_in(launches)
    codes = {text: _hash(text) for text in {*(launch.code for launch in launches), *facts.values()}}
    common: dict[str, Any] = {**place._asdict(), **origin._asdict(), "version": version, "launched_at": now()}
    rows = tuple(
        LaunchRow(
            run_id=launch.run_id,
            name=launch.name,
            tags=json.dumps(launch.tags),
            params=json.dumps(launch.params),
            sweep_id=launch.sweep_id,
            rerun_of=launch.rerun_of,
            language=launch.language,
            code_hash=codes[launch.code],
            first_line=launch.first_line,
            workdir=launch.workdir,
            timeout=launch.timeout,
            env_names=json.dumps(sorted(launch.env)),
            kill_leftovers=launch.kill_leftovers,
            terms=msgspec.json.encode(terms_of(launch)).decode(),
            values_in=codes.get(facts.get(launch.run_id, "")),
            keep=json.dumps(launch.keep),
            sweep_index=launch.index,
            **common,
        )
        for launch in launches
    )
    return Begun(rows, {hash_: code for code, hash_ in codes.items()}, waiter)


def batched(launches: Sequence[Launch]) -> Iterator[Sequence[Launch]]:
    """The same, as many at a time as are written in one line."""
    return (launches[first : first + AT_ONCE] for first in range(0, len(launches), AT_ONCE))


def _facts_in(launches: Sequence[Launch]) -> dict[RunId, str]:
    """What is known of the values that launches get, of those that get any; the launches of a sweep get the same."""
    texts: dict[int, str] = {}
    found = {}
    for launch in launches:
        key = id(launch.packed or launch.given)
        if key not in texts:
            texts[key] = msgspec.json.encode(launch.values_in[:MOST]).decode()
        if texts[key] != "[]":
            found[launch.run_id] = texts[key]
    return found


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()[:16]
