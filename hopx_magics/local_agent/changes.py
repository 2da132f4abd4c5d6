"""Tells those who wait that something changed."""

import asyncio


class Changes:
    """A counter of changes that can be waited for."""

    def __init__(self) -> None:
        self.version = 0
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something changed: everyone who waits wakes up."""
        self.version += 1
        told, self._next = self._next, asyncio.Event()
        told.set()

    async def wait(self, seconds: float) -> None:
        """Returns at the next change, or after that time."""
        try:
            await asyncio.wait_for(self._next.wait(), seconds)
        except TimeoutError:
            return
