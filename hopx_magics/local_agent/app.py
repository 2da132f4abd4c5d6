"""Puts an agent together, and answers what is asked of itself."""

import asyncio
import os
import platform
import sys
import time
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hopx_magics import __version__

from ..protocol.requests import FORK, FORMER, HEALTH, INFO, MANY
from ..settings import Settings
from .access import Gate
from .active import kept_up
from .adopting import adopt
from .answers import Refused, Routes, answer_failure, answer_http_error, answer_refused, json_response
from .bounds import Bounds
from .endings import utc
from .file_endpoints import FileEndpoints
from .following import bound_memory, cut_outputs
from .foreground import Foreground
from .forks import watch_forks
from .halving import Halving
from .killing import Killing
from .launch_endpoints import LaunchEndpoints
from .launching import Launching
from .listing import STREAM_LIMIT, Listing
from .pausing import Pausing
from .process_endpoints import ProcessEndpoints
from .processes import Processes
from .programs import install_tools, installed_languages
from .queue_endpoints import QueueEndpoints
from .workspace import Workspaces

AGENT = "hopx_magics local agent"

_FORKS = (FORK,) if sys.platform == "linux" else ()
_FEATURES = (
    *("background", "delta", "etag", *_FORKS, FORMER, "idempotency-key", "leftovers", MANY, "pause", "prefer-wait"),
    "queue",
    *("notices", "range", "stop-when", "sweep-limit", "tail"),
)


class Agent:
    """One agent: its processes, and how they are asked for. To be made in the event loop."""

    def __init__(self, settings: Settings, *, instance: str, token: str) -> None:
        self._instance = instance
        self._started = time.time_ns()
        self._workspace = settings.agent_folder / "workspace"
        self._workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.processes = Processes(settings)
        self._killing = killing = Killing(self.processes)
        tools = install_tools(settings.agent_folder / "tools")
        self._launching = Launching(self.processes, killing, tools)
        self._pausing = Pausing(self.processes, self._launching)
        self._closing = asyncio.Event()
        foreground = Foreground(
            settings.agent_folder / "foreground", self.processes.orphans, settings.output_limit, STREAM_LIMIT
        )
        listing = Listing(self.processes, instance)
        self._routes: Routes = [
            ("GET", HEALTH, self._health),
            ("GET", INFO, self._info),
            *LaunchEndpoints(self.processes, self._launching, foreground, self._workspace, tools).routes,
            *ProcessEndpoints(self.processes, killing, listing, self._closing).routes,
            *QueueEndpoints(self.processes, self._launching, self._pausing, foreground).routes,
            *FileEndpoints(Workspaces(self._workspace, settings.agent_folder / "incoming")).routes,
        ]
        self.gate = Gate(self._application(), token)

    def begin(self) -> None:
        """Takes over the processes of earlier agents, and looks after all from now on."""
        adopt(self.processes, self._launching, self._pausing)
        self._watching = (
            kept_up(partial(cut_outputs, self.processes)),
            kept_up(partial(bound_memory, self.processes, self._killing)),
            kept_up(Bounds(self.processes, self._killing).watch),
            kept_up(Halving(self.processes, self._killing).watch),
            kept_up(self.processes.leftovers.watch),
            kept_up(partial(watch_forks, self.processes.running, self.processes.changes.tell)),
        )

    def close(self) -> None:
        """Lets go of all who wait for a change."""
        self._closing.set()

    def _application(self) -> Starlette:
        app = Starlette(
            routes=[Route(path, endpoint, methods=methods.split()) for methods, path, endpoint in self._routes],
            exception_handlers={Refused: answer_refused, HTTPException: answer_http_error, Exception: answer_failure},
        )
        app.router.redirect_slashes = False
        return app

    async def _health(self, request: Request) -> Response:
        return json_response({"status": "healthy", **self._about()})

    async def _info(self, request: Request) -> Response:
        return json_response(
            {
                **self._about(),
                "agent_version": __version__,
                "pid": os.getpid(),
                "os": platform.system().lower(),
                "arch": platform.machine(),
                "platform": platform.platform(),
                "start_time": utc(self._started),
                "workspace": str(self._workspace),
                "languages": installed_languages(),
                "endpoints": [f"{method} {path}" for methods, path, _ in self._routes for method in methods.split()],
                "features": _FEATURES,
            }
        )

    def _about(self) -> dict[str, str]:
        return {
            "agent": AGENT,
            "version": __version__,
            "instance": self._instance,
            "uptime": _hours(time.time_ns() - self._started),
        }


def _hours(nanoseconds: int) -> str:
    minutes, seconds = divmod(nanoseconds // 1_000_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s"
