"""What this machine has of GPUs, processors and memory, and who of those that run has what of it.

Only what was asked for counts: a run that asks for nothing takes nothing. Which GPUs a run got is on record before it
starts, so that the next agent gives them to nobody else.
"""

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..words import size_in_words
from .gpus import count_of_gpus

if TYPE_CHECKING:
    from .active import Active

Kind = Literal["gpus", "cpus", "memory"]

GB = 1_000_000_000

_TINY = 1e-6
"""Parts of a GPU are no exact numbers."""


class Needs(NamedTuple):
    """What a run needs: GPUs, whole ones or a part of one; processors; bytes of memory, which are its limit, too."""

    gpus: float = 0.0
    cpus: float = 0.0
    memory: int = 0

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it needs something of."""
        wanted: dict[Kind, float] = {"gpus": self.gpus, "cpus": self.cpus, "memory": self.memory}
        return frozenset(kind for kind, count in wanted.items() if count)


class Machine(NamedTuple):
    """What there is to be handed out. `gpus` are the names that CUDA gives them."""

    gpus: tuple[str, ...]
    cpus: float
    memory: int

    def refusal(self, needs: Needs) -> str | None:
        """Why a run with these needs can never start here, in words."""
        if needs.gpus > len(self.gpus):
            return f"{_named(needs.gpus, 'GPU')} wanted, and there {_count(len(self.gpus))}"
        if needs.cpus > self.cpus:
            return f"{_named(needs.cpus, 'processor')} wanted, and there {_count(self.cpus)}"
        if needs.memory > self.memory:
            return f"{size_in_words(needs.memory)} of memory wanted, and there is {size_in_words(self.memory)}"
        return None


def _count(number: float) -> str:
    return "is 1" if number == 1 else f"are {number:g}" if number else "is none"


class Resources:
    """Hands out what the machine has among those that are `running`.

    `allowed` are the GPUs that may be handed out, separated by commas; without it, all that the driver tells of.
    """

    def __init__(self, running: "Mapping[str, Active]", allowed: str | None = None) -> None:
        self._running = running
        self._allowed = allowed

    @functools.cached_property
    def machine(self) -> Machine:
        """What there is; found out when something is first asked for."""
        return Machine(_gpus(self._allowed), float(_processors()), _memory())

    def lacking(self, needs: Needs) -> frozenset[Kind]:
        """What there is too little of, now, for a run with these needs."""
        if not needs.kinds:
            return frozenset()
        lacking: set[Kind] = set()
        if needs.gpus and not self._cards(needs.gpus):
            lacking.add("gpus")
        if needs.cpus and self._taken("cpus") + needs.cpus > self.machine.cpus + _TINY:
            lacking.add("cpus")
        if needs.memory and self._taken("memory") + needs.memory > self.machine.memory:
            lacking.add("memory")
        return frozenset(lacking)

    def hand_out(self, needs: Needs) -> tuple[str, ...]:
        """The GPUs that a run with these needs gets, of which nothing is lacking."""
        return self._cards(needs.gpus) if needs.gpus else ()

    def _cards(self, wanted: float) -> tuple[str, ...]:
        """Whole GPUs that nobody has, or one of which so much is left, the fullest; nothing where there is none."""
        taken: Counter[str] = Counter()
        for active in self._running.values():
            for card in active.gpus:
                taken[card] += min(1.0, active.needs.gpus)  # type: ignore[assignment]
        if wanted >= 1:
            free = [card for card in self.machine.gpus if not taken[card]]
            return tuple(free[: round(wanted)]) if len(free) >= wanted else ()
        fitting = [card for card in self.machine.gpus if taken[card] + wanted <= 1 + _TINY]
        return (max(fitting, key=lambda card: taken[card]),) if fitting else ()

    def _taken(self, kind: Literal["cpus", "memory"]) -> float:
        return float(sum(getattr(active.needs, kind) for active in self._running.values()))

    def shortage(self, needs: Needs, lacking: frozenset[Kind]) -> str:
        """What a run waits for, in words."""
        machine, words = self.machine, []
        if "gpus" in lacking:
            words.append(f"{needs.gpus:g} of {_named(len(machine.gpus), 'GPU')}")
        if "cpus" in lacking:
            words.append(f"{needs.cpus:g} of {_named(machine.cpus, 'processor')}")
        if "memory" in lacking:
            words.append(f"{size_in_words(needs.memory)} of {size_in_words(machine.memory)} memory")
        return f"waits for {' and '.join(words)}" if words else "after others that wait for the same"


def _named(count: float, what: str) -> str:
    return f"{count:g} {what}" if count == 1 else f"{count:g} {what}s"


# ---------------------------------------------------------------- what there is


def _gpus(allowed: str | None) -> tuple[str, ...]:
    """The GPUs that may be handed out. Where the driver can't be asked, those that are named are believed."""
    there = count_of_gpus()
    if allowed is None:
        return tuple(map(str, range(there or 0)))
    words = (word.strip() for word in allowed.split(","))
    named = tuple(dict.fromkeys(word for word in words if word and not word.startswith("-")))  # -1 is none, to CUDA
    if there is None:
        return named
    return tuple(name for name in named if not name.isdecimal() or int(name) < there)


def _processors() -> int:
    with contextlib.suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    """The bytes of this machine's memory, or of what its container may have."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError):
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(sizes)
