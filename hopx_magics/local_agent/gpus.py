"""What processes take of the GPUs, as their driver tells by nvidia-smi's library; nothing where there is none."""

import contextlib
import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class OnGpus(NamedTuple):
    """What is taken of GPUs: in percent of one, over 100 for several, None where the driver does not tell; and bytes of
    their memory."""

    percent: float | None
    memory: int


@functools.cache
def driver() -> Any:
    """The library by which the driver of GPUs is asked, ready to be used, None where there is none."""
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def count_of_gpus() -> int | None:
    """How many there are; None where nobody can be asked."""
    library = driver()
    if library is None:
        return None
    try:
        return int(library.nvmlDeviceGetCount())
    except library.NVMLError:
        return None


class GpuTable:
    """Who takes what of the GPUs, by their pids, whenever it is asked."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}  # of each GPU, up to when it has told who used it

    def read(self) -> dict[int, OnGpus]:
        """All processes that are on a GPU now."""
        found: dict[int, OnGpus] = {}
        for number in range(count_of_gpus() or 0):
            with contextlib.suppress(driver().NVMLError):
                card = driver().nvmlDeviceGetHandleByIndex(number)
                shares = self._shares(card, number)
                for pid, memory in _memory_on(card).items():
                    on_this = OnGpus(None if shares is None else shares.get(pid, 0.0), memory)
                    found[pid] = together((found[pid], on_this)) if pid in found else on_this
        return found

    def _shares(self, card: Any, number: int) -> dict[int, float] | None:
        """In percent, what each process has used of a GPU since it was last asked; it keeps samples for seconds."""
        since = self._seen.get(number, 0)
        try:
            samples = driver().nvmlDeviceGetProcessUtilization(card, since)
        except driver().NVMLError as error:  # also when nothing was used
            return {} if isinstance(error, getattr(driver(), "NVMLError_NotFound", ())) else None
        newest: dict[int, float] = {}
        for sample in sorted(samples, key=lambda sample: int(sample.timeStamp)):
            newest[int(sample.pid)] = min(100.0, float(sample.smUtil))
            self._seen[number] = max(self._seen.get(number, 0), int(sample.timeStamp))
        return newest


def _memory_on(card: Any) -> dict[int, int]:
    """The bytes that each process has in the memory of a GPU."""
    found: dict[int, int] = {}
    for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        with contextlib.suppress(AttributeError, driver().NVMLError):
            for process in getattr(driver(), name)(card):
                found[int(process.pid)] = max(found.get(int(process.pid), 0), int(process.usedGpuMemory or 0))
    return found


def together(each: Iterable[OnGpus]) -> OnGpus:
    """What several take in all."""
    all_of_them = list(each)
    percents = [one.percent for one in all_of_them if one.percent is not None]
    return OnGpus(sum(percents) if percents else None, sum(one.memory for one in all_of_them))


def of_pids(table: Mapping[int, OnGpus], pids: Iterable[int]) -> OnGpus | None:
    """What these processes take together; None when none of them is on a GPU."""
    found = [table[pid] for pid in pids if pid in table]
    return together(found) if found else None
