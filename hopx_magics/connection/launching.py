"""Launching many: in portions that are sent at once, of which an interrupt leaves none whose end is not known."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..models import Launch

LAUNCHED_AT_ONCE = 50
"""Launches that are sent with one request, at most: an agent takes some hundredths of a second for them."""

LARGE = 4_000_000
"""Characters of code and environment from which on no more is sent with the same request."""

ENDS_WITHIN = 1.0
"""Seconds for which an interrupt waits for what is under way."""

_Result = TypeVar("_Result")


def portions(launches: Iterable[Launch], most: int) -> Iterator[list[Launch]]:
    """Those that are to be sent at once, `most` at most, and before the next one is taken. Raises as `launches` do."""
    some, size = list[Launch](), 0
    try:
        for launch in launches:
            some.append(launch)
            size += _size(launch)
            if len(some) == most or size >= LARGE:
                yield some
                some, size = [], 0
    except Exception:
        if some:
            yield some
        raise
    if some:
        yield some


def _size(launch: Launch) -> int:
    environment = launch.surroundings.environment if launch.surroundings else {}
    return len(launch.code) + sum(len(name) + len(value) for name, value in (launch.env | environment).items())


def uninterrupted(work: Callable[[], _Result], *, at_once: bool = False) -> tuple[_Result, KeyboardInterrupt | None]:
    """What `work` returns, and the interrupt that came meanwhile, which waits a moment for it unless `at_once`."""
    if at_once:
        return work(), None
    pool = ThreadPoolExecutor(1, "hopx-launch")
    try:
        future = pool.submit(work)
        try:
            return future.result(), None
        except KeyboardInterrupt as interrupt:
            try:
                return future.result(ENDS_WITHIN), interrupt
            except TimeoutError:
                raise interrupt from None
    finally:
        pool.shutdown(wait=False)
