"""How many threads OpenMP has in a fork: those of the parent are lost in it, and GNU's would wait for them.

Only the thread that forked is bound to those: others, which the cell starts, have as many as they like.
"""

import contextlib
import ctypes
import os
import re

_LIBRARY = re.compile(r"(/\S*/(?:lib(?:g|i)?omp[-\w]*)\.so[.\d]*\S*)$")


def limit_threads(count: int) -> None:
    """Lets OpenMP have so many threads in this thread."""
    for path in loaded():
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(path, mode=os.RTLD_NOLOAD).omp_set_num_threads(count)


def loaded() -> set[str]:
    """The files of all libraries of OpenMP that this process has loaded."""
    with open("/proc/self/maps") as file:
        found = (_LIBRARY.search(line) for line in file)
        return {match[1] for match in found if match}
