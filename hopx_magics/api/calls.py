"""Calls of functions in the background: one for each of several items."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Unpack

import msgspec

from ..connection.connection import Connection
from ..errors import ValueRefused
from ..launches import (
    LaunchOptions,
    SweepLaunches,
    checked_calls,
    checked_launch,
    checked_sweep_limit,
    new_sweep_id,
)
from ..models import Launch
from ..session.session import session
from ..sweeps import Sweep
from ..values.calls import Callee, Written, call_as_it_is, plain_name
from ..values.state import library_state
from .launch import Progress, launch_planned


def map(  # noqa: A001
    function: Callable[..., Any],
    *iterables: Iterable[Any],
    limit: int | None = 4,
    on: str | Iterable[str] | None = None,
    progress: Progress = lambda launched, total: None,
    **options: Unpack[LaunchOptions],
) -> Sweep:
    """Launches a call of `function` for each item, as a run of its own, and returns the list of them at once.

    `sweep.results()` are the values that the calls return, in the order of the items. With several iterables the
    function gets an item of each, as in Python's `map`. At most `limit` run at once, None for as many as the agent
    lets; which is next is up to the agent, so that all goes on when this program is gone. On several connections they
    are spread, and this program hands them out. What the function needs travels once, and equal arguments too; with
    `fork` nothing does. Options as for `launch`; without a `name` all have that of the function.

    Raises as `launch` does, ValueRefused before anything is launched for an item that can't travel.
    """
    if not iterables:
        raise ValueError("there are no items: map(function, items) calls it with each of them")
    connections, limit = session().chosen(on), checked_sweep_limit(limit)
    items, sweep_id, fork = zip(*iterables, strict=False), new_sweep_id(), bool(options.get("fork"))
    if fork:
        launches = _forks_of(function, items, options, sweep_id, limit)
    else:
        callee = Callee(function, library_state())
        launches = checked_calls(launch_of(callee, options), calls_of(callee, items), sweep_id, limit=limit)
    ready = made_ready(connections[0], launches) if len(connections) == 1 else list(launches)
    planned = SweepLaunches(sweep_id, len(ready), iter(ready), retries=options.get("retry", 0), fork=fork)
    return launch_planned(planned, connections, limit=limit, progress=progress)


def _forks_of(
    function: Callable[..., Any],
    items: Iterable[Sequence[Any]],
    options: LaunchOptions,
    sweep_id: str,
    limit: int | None,
) -> Iterator[Launch]:
    """The calls with these items, each in a fork of this program, which has function and items. Raises ValueError."""
    named: LaunchOptions = {"name": plain_name(function), **options}
    launch = checked_launch("pass", **named)
    calls = [call_as_it_is(function, args, {}) for args in items]
    launches = checked_calls(launch, (Written(code, None, {}) for code, _ in calls), sweep_id, limit=limit)
    for each, (_, beside) in zip(launches, calls, strict=True):
        yield msgspec.structs.replace(each, beside=beside)


def launch_of(callee: Callee, options: LaunchOptions) -> Launch:
    """The launch of a call, whose arguments are still to come. Raises ValueError."""
    for option in ("values", "language"):
        if option in options:
            raise ValueError(f"{option} is for code: a function brings along what it needs, and gets its arguments")
    named: LaunchOptions = {"name": callee.label, **options, "values": callee.packed}
    return checked_launch("await call()" if callee.awaits else "call()", **named)


def calls_of(callee: Callee, items: Iterable[Sequence[Any]]) -> Iterator[Written]:
    """The calls with these items. Raises ValueRefused, which says which of them can't travel."""
    for number, args in enumerate(items):
        try:
            yield callee.call(args, {})
        except ValueRefused as error:
            raise ValueRefused(f"item {number}: {error.message}", hint=error.hint) from error


def made_ready(connection: Connection, launches: Iterable[Launch]) -> list[Launch]:
    """The launches with all that they need put where it is needed, so that none of it is held in memory."""
    return [_without_content(connection.at_home(launch)) for launch in launches]


def _without_content(launch: Launch) -> Launch:
    """A launch whose values are in files, and needn't be in memory any longer: there may be thousands."""
    if launch.packed is None or not launch.values:
        return launch
    light = launch.packed._replace(stream=b"", buffers=())
    return msgspec.structs.replace(launch, packed=light)
