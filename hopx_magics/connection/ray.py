"""What is peculiar to the connection to a Ray cluster, whose jobs are runs."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..client.agent import Agent
from ..client.capture import Capture
from ..client.files import Files
from ..client.ray import ASKED_AT_ONCE, RayAgent
from ..client.ray_files import RayFiles
from ..client.transport import Endpoint, Transport
from ..errors import HopxError, LaunchError
from ..kept import KeptRun
from ..models import Change, Launch, Place, Process, ProcessId
from ..run_history import reading
from ..run_history.recorder import Recorder
from ..settings import Settings
from ..words import Feature
from .connection import Connection
from .elsewhere import without_former
from .features import check_features, needed_features
from .sending import Sending

FORGET_EVERY = 30.0
"""Seconds between two looks for jobs that the head may forget."""

SETTLED_AFTER = timedelta(seconds=60)
"""How long ago a job has ended that is forgotten: Ray, which looks after its jobs, takes one that is gone sooner for
failed, and lists it so from then on."""


class RayConnection(Connection):
    """The connection to a Ray cluster, through the dashboard of its head.

    A head itself forgets no job, so that its listing grows for ever. Like an agent of ours it keeps the newest thousand
    (HOPX_KEEP_FINISHED) of what was launched from here and has ended; of others the history has what they have written.

    `runtime_env` is what all runs have beside what they are sent: packages of pip, for example.
    """

    kind = "Ray cluster"
    launches_once = True
    launched_side_by_side = ASKED_AT_ONCE
    capture: Capture = "agent"
    captures = False

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        settings: Settings,
        recorder: Recorder,
        *,
        runtime_env: Mapping[str, Any],
        trusted: bool = False,
    ) -> None:
        self.runtime_env = runtime_env
        self.trusted = trusted
        super().__init__(Place(name, endpoint.url), lambda http: endpoint, settings, recorder, url=endpoint.url)

    def open(self, recorder: Recorder) -> None:
        """Begins with sockets, threads and locks of its own: see `Connection.open`."""
        self._forgetting = threading.Lock()
        self._forgot_at = float("-inf")
        super().open(recorder)

    def _agent(self, transport: Transport) -> Agent:
        return RayAgent(transport, runtime_env=self.runtime_env)

    @property
    def ray(self) -> RayAgent:
        """The cluster as an agent."""
        assert isinstance(self.agent, RayAgent)
        return self.agent

    def _files(self, transport: Transport) -> Files:
        return RayFiles(transport, self.ray.packages, self.ray.logs, self.ray.node_of)

    @property
    def _ray_files(self) -> RayFiles:
        assert isinstance(self.files, RayFiles)
        return self.files

    def move(self, other: Connection) -> None:
        """Goes on with how another connection was made: see `Connection.move`."""
        super().move(other)
        if isinstance(other, RayConnection):
            self.trusted = other.trusted
            self.runtime_env = self.ray.runtime_env = other.runtime_env

    def at_home(self, launch: Launch, sending: Sending | None = None) -> Launch:
        """The launch as it is to be on the cluster, which has all that it needs then: see `Connection.at_home`."""
        if launch.runner:
            return launch
        asked = msgspec.structs.replace(launch, gpus=0.0, cpus=0.0, memory=0)  # which Ray itself sees to
        check_features(needed_features(asked), (), self.name)
        if launch.callback:
            raise LaunchError(
                f"{self.name} calls nobody when a run has ended", hint="Launch without a callback, and wait for it."
            )
        launch = without_former(launch, self.name)
        launch = msgspec.structs.replace(launch, surroundings=None, notify=None)
        runner, values = self._sender.send(launch, sending)
        return msgspec.structs.replace(launch, runner=runner, values=values)

    def prepared(self, launch: Launch) -> Launch:
        return launch

    @property
    def features(self) -> frozenset[Feature]:
        """What it can do, whichever cluster it is: see `Connection.features`."""
        return frozenset({"streams", "kill", "values", "ranges", "resources"})

    def is_ours(self, process: Process) -> bool:
        """Whether it was launched from here or another notebook; the cluster's other jobs are somebody else's."""
        return process.run_id is not None

    def _remember(self, change: Change) -> None:
        super()._remember(change)
        processes = change.listing.processes
        ended = {each.process_id: each.completed_at for each in processes if each.run_id and each.ended}
        is_due = time.monotonic() - self._forgot_at >= FORGET_EVERY
        if len(ended) > self._settings.keep_finished and is_due and self._forgetting.acquire(blocking=False):
            self._forgot_at = time.monotonic()
            threading.Thread(target=self._forget_old, args=(ended,), name="hopx-forget", daemon=True).start()

    def _forget_old(self, ended: Mapping[ProcessId | None, datetime | None]) -> None:
        """Lets the head forget what has ended longest ago of what is too many, and the history has."""
        settled = datetime.now(UTC) - SETTLED_AFTER
        try:
            with suppress(HopxError):  # there is another time
                ours = self.history.read(reading.kept_of_ours, self.place)
                old = [process_id for process_id in ours if process_id in ended][max(1, self._settings.keep_finished) :]
                self.ray.forget([process_id for process_id in old if (ended[process_id] or settled) <= settled])
        finally:
            self._forgetting.release()

    def room_for(self, launch: Launch) -> int | None:
        """How many such launches have room on the cluster as it is: Ray fails what waits for longer than 15 minutes."""
        total = self.ray.resources()
        asked = {"CPU": launch.cpus or 1.0, "GPU": launch.gpus, "memory": float(launch.memory)}
        return max(1, int(min(total.get(name, 0.0) / count for name, count in asked.items() if count)))

    def with_values_of(self, kept: KeptRun, launch: Launch) -> Launch:
        again = super().with_values_of(kept, launch)
        if again.values:
            self._ray_files.send_again(kept.run_id, again.values)
        return again
