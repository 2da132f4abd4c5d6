"""The endpoints that pause processes and let them go on, and that tell and change how the queue is worked off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..protocol.requests import PAUSE, QUEUE, RESUME, PauseRequest, QueueRequest
from ..words import PauseResult
from . import requests
from .answers import Routes, json_response
from .foreground import Foreground
from .launching import Launching
from .pausing import Pausing
from .processes import Processes


class QueueEndpoints:
    """Pauses, resumes, and works with the queue."""

    def __init__(self, processes: Processes, launching: Launching, pausing: Pausing, foreground: Foreground) -> None:
        self._processes = processes
        self._launching = launching
        self._pausing = pausing
        self._foreground = foreground
        self.routes: Routes = [
            ("POST", PAUSE, self._pause),
            ("POST", RESUME, self._resume),
            ("GET", QUEUE, self._tell),
            ("POST", QUEUE, self._change),
        ]

    async def _pause(self, request: Request) -> Response:
        return await self._each(request, self._pausing.pause)

    async def _resume(self, request: Request) -> Response:
        return await self._each(request, self._pausing.resume)

    async def _each(self, request: Request, turn: Callable[[str], Awaitable[PauseResult]]) -> Response:
        wanted = requests.decode_body(await requests.read_body(request), PauseRequest)
        results = await asyncio.gather(*map(turn, wanted.process_ids))
        return json_response({"results": dict(zip(wanted.process_ids, results, strict=True))})

    async def _tell(self, request: Request) -> Response:
        return json_response(self._state())

    async def _change(self, request: Request) -> Response:
        wanted = requests.decode_body(await requests.read_body(request), QueueRequest)
        queue = self._processes.queue
        changes: dict[str, Any] = {}
        if wanted.paused is not None:
            changes["paused"] = wanted.paused
        if wanted.max_running is not None:
            changes["most"] = requests.checked_count("max_running", wanted.max_running)
        if wanted.sweep is not None or wanted.sweep_limit is not None:
            changes["limits"] = self._limits(wanted)
        queue.change(msgspec.structs.replace(queue.rules, **changes))
        self._launching.start_queued()
        return json_response(self._state())

    def _limits(self, wanted: QueueRequest) -> dict[str, int | None]:
        """The limits of sweeps of which something has not ended, with the one that is wanted."""
        sweep, limit = requests.checked_sweep(wanted.sweep, wanted.sweep_limit or None)
        going = {active.launched.sweep for active in self._processes.going()}
        if sweep not in going:
            raise requests.invalid(f"nothing of the sweep {sweep} is queued or running")
        kept = {each: limit for each, limit in self._processes.queue.rules.limits.items() if each in going}
        return {**kept, str(sweep): limit}

    def _state(self) -> dict[str, Any]:
        queue = self._processes.queue
        queued = sum(active.begun is None for active in self._processes.going())
        running = len(self._processes.running)
        return {
            "paused": queue.rules.paused,
            "max_running": queue.most,
            "running": running,
            "queued": queued,
            "foreground": self._foreground.count,
            **self._processes.resources.machine._asdict(),
        }
