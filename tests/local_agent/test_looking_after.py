"""Work of the agent that has no end."""

import asyncio

from hopx_magics.local_agent.active import kept_up
from tests.waiting import DEADLINE


def test_what_has_failed_begins_anew() -> None:
    async def fails_once() -> int:
        begun, again = 0, asyncio.Event()

        async def watch() -> None:
            nonlocal begun
            begun += 1
            if begun == 1:
                raise ZeroDivisionError
            again.set()
            await asyncio.Event().wait()

        task = kept_up(watch)
        await asyncio.wait_for(again.wait(), DEADLINE)
        task.cancel()
        return begun

    assert asyncio.run(fails_once()) == 2
