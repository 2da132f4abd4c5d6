"""Timing ways of doing the same in turns, so that a noisy machine is unfair to none, and what their time goes to."""

import cProfile
import pstats
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Skipped(Exception):
    """What is needed for a measurement is not on this machine; its text says what."""


def seconds(way: Callable[[], object]) -> float:
    """How long it takes once."""
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun


def medians(*ways: Callable[[], object], rounds: int = 15) -> list[float]:
    """The median seconds of each way, run in turns. A first round doesn't count."""
    for way in ways:
        way()
    turns = [[seconds(way) for way in ways] for _ in range(rounds)]
    return [statistics.median(taken) for taken in zip(*turns, strict=True)]


def shares(way: Callable[[], object], times: int) -> dict[str, float]:
    """Milliseconds that it takes, by the folder of the package, the library or the waiting to which they go.

    What is written in C counts for who calls it. The profiler makes all of it somewhat slower.
    """
    profile = cProfile.Profile()
    with profile:
        for _ in range(times):
            way()
    spent: Counter[str] = Counter()
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, own, _, callers) in stats.items():
        if file != "~":
            spent[_home(file)] += own
        elif "socket" in name or "_ssl" in name or "select" in name:
            spent["waiting for the agent"] += own
        else:
            spent.update({_home(caller[0]): times[2] for caller, times in callers.items()})
    return {home: 1000 * taken / times for home, taken in spent.most_common()}


def _home(file: str) -> str:
    parts = Path(file).parts
    if "hopx_magics" in parts:
        return "/".join(parts[len(parts) - parts[::-1].index("hopx_magics") - 1 :][:2]).removesuffix(".py")
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    return "Python's own"


def told(spent: dict[str, float], most: int = 8) -> str:
    """The largest shares, in one line."""
    return ", ".join(f"{home} {taken:.2f}" for home, taken in list(spent.items())[:most])
