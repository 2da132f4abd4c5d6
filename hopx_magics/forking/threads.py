"""Threads of native libraries at a fork, in which they would be lost: those of BLAS and OpenMP end ahead of it."""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import LaunchError

QUIET_WITHIN = 5.0
"""Seconds for which a fork waits, at most, until no native thread computes."""

_LOOKS = 3
"""How often in a row none of them may be seen to compute."""

_SOFT = 1
"""What is to be kept of OpenMP when its threads end: all that can be."""

_LIBRARY = re.compile(r"/\S*lib(?:[gi]?omp|\w*blas|mkl_rt|blis|flexiblas)[^/\s]*\.so", re.IGNORECASE)


def end_openmp() -> None:
    """Lets GNU's OpenMP end the threads that it has for this thread, which is about to fork: it begins others where it
    needs some, here and in the fork, where it would wait for the lost ones for ever. Others see to that themselves."""
    for library in _libraries("openmp"):
        if pause := _pausing(library):
            pause(_SOFT)


def limit_threads(count: int | None) -> None:
    """Lets OpenMP have so many threads in this thread, which has forked; by default as many as it had, or just one in
    versions of GNU's that could not end theirs. Other threads, which a cell starts, have all."""
    for library in _libraries("openmp"):
        if count or _loses_threads(library):
            library.set_num_threads(count or 1)


def loses_openmp() -> bool:
    """Whether a library of OpenMP is loaded that would wait in a fork for the threads that it had before."""
    return any(map(_loses_threads, _libraries("openmp")))


def _loses_threads(library: Any) -> bool:
    return library.prefix == "libgomp" and not _pausing(library)


def _pausing(library: Any) -> Any:
    """The function by which GNU's OpenMP ends its threads, which it has since GCC 9."""
    return library.prefix == "libgomp" and getattr(library.dynlib, "omp_pause_resource_all", None)


@contextlib.contextmanager
def no_blas() -> Iterator[None]:
    """No thread of BLAS has work meanwhile: OpenBLAS, which ends them ahead of a fork, would wait for it for ever.

    Raises LaunchError where other threads of this program compute without a pause.
    """
    libraries = _libraries("blas")
    before = [library.num_threads for library in libraries]
    for library in libraries:
        library.set_num_threads(1)
    try:
        if any(count > 1 for count in before):
            _wait_until_quiet()
        yield
    finally:
        for library, count in zip(libraries, before, strict=True):
            library.set_num_threads(count)


def _libraries(kind: str) -> list[Any]:
    """Those that are loaded; it takes no time where there are none."""
    if not _LIBRARY.search(Path("/proc/self/maps").read_text()):
        return []
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return list(ThreadpoolController().select(user_api=kind).lib_controllers)


def _wait_until_quiet() -> None:
    deadline, quiet = time.monotonic() + QUIET_WITHIN, 0
    while quiet < _LOOKS:
        quiet = 0 if _computes() else quiet + 1
        if time.monotonic() > deadline:
            raise LaunchError(
                "this kernel can't be forked while its other threads compute without a pause",
                hint="Launch when they have ended, or without --fork: variables travel by copy then.",
            )
        time.sleep(0.001)


def _computes() -> bool:
    """Whether a thread computes that no Python thread is: those of BLAS, and of OpenMP."""
    known = {threading.get_native_id(), *(thread.native_id for thread in threading.enumerate())}  # not so in a fork
    return any(_state(task) == "R" for task in Path("/proc/self/task").iterdir() if int(task.name) not in known)


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # it has ended
        return ""
