"""What a Ray cluster is sent beside jobs: packages, which it unpacks on the node where they are needed.

Each is named by its content, so that it is sent once. Ray forgets one that no job has for ten minutes.
"""

import hashlib
import io
import threading
import time
import zipfile

from ..errors import AgentRefused, LaunchError
from ..models import Launch
from ..protocol.ray import PACKAGES, sent_launch
from ..protocol.requests import SWEEP_INDEX, TITLE, launch_fields
from .sent_runner import RUNNER
from .transport import Request, Transport

PINNED_FOR = 120.0
"""Seconds for which it is known that a package is there: each time that it is asked for Ray keeps it for 600 more."""

LARGEST = 500_000_000
"""Bytes that a package may have: Ray's own limit is a little above that."""

_ALWAYS = (1980, 1, 1, 0, 0, 0)


class Packages:
    """The packages of one cluster, through its transport. Safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._seen: dict[str, float] = {}
        self._files: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def add_launch(self, launch: Launch) -> list[str]:
        """Sends what only this run needs, and returns where all is that it needs. Raises LaunchError, AgentError."""
        code = str(launch_fields(launch)["code"])
        place = {} if launch.index is None else {SWEEP_INDEX: str(launch.index)}
        told = sent_launch(launch, code, {TITLE: launch.title, **place})
        own = self._add(_zipped(f"{launch.run_id}.json", told))
        return [own, *(self._files[name][0] for name in (launch.runner, *launch.values))]

    def add_file(self, name: str, content: bytes | memoryview) -> None:
        """Makes sure that there is a package with a file; the runner is one itself. Raises LaunchError, AgentError."""
        data = bytes(content) if name.startswith(RUNNER) else _zipped(name, content)
        self._files[name] = self._add(data), memoryview(content).nbytes

    def files(self) -> list[tuple[str, int]]:
        """The names and sizes of the files that were sent, and are there."""
        return [(name, size) for name, (uri, size) in list(self._files.items()) if self.has(uri)]

    def _add(self, data: bytes) -> str:
        uri = f"gcs://_ray_pkg_{hashlib.sha256(data).hexdigest()[:32]}.zip"
        if not self.has(uri):
            self._put(uri, data)
        return uri

    def has(self, uri: str) -> bool:
        """Whether it is there, and will be for some minutes. Raises AgentError."""
        if time.monotonic() - self._seen.get(uri, -PINNED_FOR) < PINNED_FOR:
            return True
        try:
            self._transport.read(Request("GET", _path(uri)))
        except AgentRefused as error:
            if error.status != 404:
                raise
            return False
        self._see(uri)
        return True

    def _put(self, uri: str, data: bytes) -> None:
        if len(data) > LARGEST:
            raise LaunchError(
                f"what the run needs has {len(data) / 1e6:,.0f} MB, and Ray takes {LARGEST / 1e6:,.0f} MB at most",
                hint="Launch with --in none, and read the data there: from a shared folder, say.",
            )
        self._transport.read(Request("PUT", _path(uri), content=data))
        self._see(uri)

    def _see(self, uri: str) -> None:
        with self._lock:
            self._seen[uri] = time.monotonic()


def _path(uri: str) -> str:
    return f"{PACKAGES}/{uri.removeprefix('gcs://')}"


def _zipped(name: str, content: bytes | memoryview) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name, _ALWAYS), bytes(content))
    return packed.getvalue()
