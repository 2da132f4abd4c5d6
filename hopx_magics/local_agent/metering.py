"""How much memory, processor time and of GPUs the processes of a run take, seen whenever they are looked at."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from .family import TICKS, Entry
from .gpus import OnGpus

SHORTEST = 0.4
"""Seconds of which the share of processor time is told, at least: the system counts in steps."""

NOTED_CPU = 10.0
NOTED_MEMORY = 10_000_000
"""From which difference on, in percent of a core and in bytes, who follows a run is told of it."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all processes of a run together take, as far as it was seen: see `models.Usage`."""

    cpu_percent: float | None = None
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    gpu_percent: float | None = None
    gpu_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None


class Meter:
    """The usage of one run, from what is seen of its processes from time to time."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.told: Usage | None = None
        """The usage when it was last another one worth telling."""
        self.version = 0
        """Counts how often that was so."""
        self._since = 0.0
        self._spent_then = 0.0

    def take(self, members: Iterable[Entry], on_gpus: OnGpus | None = None) -> None:
        """Takes note of what its processes take now."""
        entries, now, last = list(members), time.monotonic(), self.usage or Usage()
        memory = sum(entry.memory for entry in entries)
        # What one has spent who has ended counts for its parent, unless that has ended, too.
        spent = max(sum(entry.ticks for entry in entries) / TICKS, last.cpu_seconds or 0.0)
        share = last.cpu_percent
        if self.usage is None:
            self._since, self._spent_then = now, spent
        elif now - self._since >= SHORTEST:
            share = round(100 * (spent - self._spent_then) / (now - self._since), 1)
            self._since, self._spent_then = now, spent
        self.usage = Usage(
            cpu_percent=share,
            memory_bytes=memory,
            peak_memory_bytes=max(memory, last.peak_memory_bytes or 0),
            cpu_seconds=round(spent, 2),
            **_of_gpus(on_gpus, last.peak_gpu_memory_bytes),
        )
        self._note(self.usage)

    def _note(self, usage: Usage) -> None:
        if self.told is None or _differ(usage, self.told):
            self.version += 1
            self.told = usage

    def at_end(self) -> Usage | None:
        """What is known of the whole run once it has ended."""
        if self.usage is None:
            return None
        return msgspec.structs.replace(
            self.usage, cpu_percent=None, memory_bytes=None, **_of_gpus(None, self.usage.peak_gpu_memory_bytes)
        )

    def await_end(self, child: "subprocess.Popen[bytes]") -> None:
        """Takes the exit of the run's shell, and with it what the system has counted of all that it waited for."""
        try:
            _, status, counted = os.wait4(child.pid, 0)
        except ChildProcessError:
            return
        child.returncode = os.waitstatus_to_exitcode(status)
        unit = 1 if sys.platform == "darwin" else 1024
        last = self.usage or Usage()
        self.usage = msgspec.structs.replace(
            last,
            # Of the one process that had most: all of them at one moment may have had more.
            peak_memory_bytes=max(last.peak_memory_bytes or 0, counted.ru_maxrss * unit),
            cpu_seconds=round(max(last.cpu_seconds or 0.0, counted.ru_utime + counted.ru_stime), 2),
        )


def _of_gpus(taken: OnGpus | None, peak: int | None) -> dict[str, Any]:
    """What a usage says of GPUs: nothing of a run that was never seen on one."""
    if taken is None:
        return {"gpu_percent": None, "gpu_memory_bytes": None, "peak_gpu_memory_bytes": peak}
    most = max(taken.memory, peak or 0)
    return {"gpu_percent": taken.percent, "gpu_memory_bytes": taken.memory, "peak_gpu_memory_bytes": most}


def _differ(one: Usage, other: Usage) -> bool:
    return (
        _moved(one.cpu_percent, other.cpu_percent, NOTED_CPU)
        or _moved(one.memory_bytes or 0, other.memory_bytes or 0, NOTED_MEMORY)
        or _moved(one.gpu_percent, other.gpu_percent, NOTED_CPU)
        or _moved(one.gpu_memory_bytes, other.gpu_memory_bytes, NOTED_MEMORY)
    )


def _moved(one: float | None, other: float | None, noted: float) -> bool:
    return (one is None) != (other is None) or abs((one or 0) - (other or 0)) >= noted
