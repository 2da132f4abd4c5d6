"""What threads of the kernel held at the fork, and nobody would let go here: locks, imports, and pools of threads."""

import gc
import importlib._bootstrap as _bootstrap
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_LOCK: Any = type(threading.Lock())
_RLOCK: Any = type(threading.RLock())

_MOST = 1000
"""Values in a list or dict of the user among which locks are looked for: to look at one copies its page."""


def free(namespace: Mapping[str, Any]) -> None:
    """Frees what threads held that this process, just forked, has not. Locks of the user stay as they are."""
    _forget_imports()
    pools = {getattr(sys.modules[module], name): let for module, name, let in _POOLS if module in sys.modules}
    stay = {id(each) for each in (*_of_user(namespace), vars(threading.main_thread()).get("_tstate_lock"))}
    for each in _all_of(_LOCK, _RLOCK, *pools):
        if type(each) in pools:
            pools[type(each)](each)
        elif _is_held(each) and id(each) not in stay:
            each._at_fork_reinit()
    for module, name in _ENDED_BY_PYTHON:
        if module in sys.modules:
            getattr(sys.modules[module], name).clear()


def _all_of(*types: type) -> list[Any]:
    """All objects of these very types, wherever they are."""
    are_known = gc.is_tracked(threading.Lock())  # then they are found without counting references, which copies memory
    found = gc.get_referrers(*types) if are_known else gc.get_referents(*gc.get_objects())
    return [each for each in found if type(each) in types]


def _is_held(lock: Any) -> bool:
    """Whether a lock is held, for all that is known by another thread."""
    return bool(lock.locked() if type(lock) is _LOCK else not lock._is_owned())


def _of_user(namespace: Mapping[str, Any]) -> Iterator[Any]:
    """What the variables of a notebook are, and hold themselves: a lock that is held is a value as any other."""
    for value in list(namespace.values()):
        yield value
        if type(value) is dict and len(value) <= _MOST:
            yield from list(value.values())
        elif type(value) in (list, tuple) and len(value) <= _MOST:
            yield from value
        elif type(value).__module__ == "__main__":
            yield from list(getattr(value, "__dict__", {}).values())


def _let_begin_threads(pool: Any) -> None:
    """Lets a pool that has lost its threads begin others for what it is given from now on."""
    pool._threads.clear()
    pool._idle_semaphore = threading.Semaphore(0)
    pool._work_queue = queue.SimpleQueue()


def _refuse_work(pool: Any) -> None:
    """Lets a pool say that it is of no use here, instead of waiting for ever, or speaking to the kernel's processes."""
    pool._broken = "the processes of this pool are those of the kernel that was forked: make one in the cell"


def _stop(pool: Any) -> None:
    pool._state = "TERMINATE"  # it says that it is not running, and is ended by nobody


_POOLS: tuple[tuple[str, str, Callable[[Any], None]], ...] = (
    ("concurrent.futures.thread", "ThreadPoolExecutor", _let_begin_threads),
    ("concurrent.futures.process", "ProcessPoolExecutor", _refuse_work),
    ("multiprocessing.pool", "Pool", _stop),
    ("multiprocessing.pool", "ThreadPool", _stop),
)
"""Pools of the kernel by module and type, and what becomes of them."""

_ENDED_BY_PYTHON = (
    ("concurrent.futures.thread", "_threads_queues"),
    ("concurrent.futures.process", "_threads_wakeups"),
)
"""Where it is kept which pools Python ends with itself: those are the kernel's."""


def _forget_imports() -> None:
    """Lets this process import anew what another thread of the kernel was about to import."""
    for name in list(_bootstrap._module_locks):  # type: ignore[attr-defined]
        module = sys.modules.get(name)
        if getattr(getattr(module, "__spec__", None), "_initializing", False):
            del sys.modules[name]
    _bootstrap._module_locks.clear()  # type: ignore[attr-defined]
    _bootstrap._blocking_on.clear()  # type: ignore[attr-defined]
