"""A Ray cluster: a real head on loopback, with its own folder, token and ports."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import psutil
import pytest

from tests.waiting import wait_until

RAY = Path(sys.executable).with_name("ray")

CPUS = 4


def require_ray() -> None:
    """Skips the test where there is no Ray, or fails it where that was asked for."""
    if RAY.exists():
        return
    if os.environ.get("HOPX_REQUIRE_RAY"):
        pytest.fail("there is no Ray: install 'hopx_magics[test-ray]'")
    pytest.skip("there is no Ray")


class RayHead:
    """A head of a cluster of so many `cpus`. What belongs to it has its folder as home, and is ended with it."""

    def __init__(self, cpus: int = CPUS) -> None:
        self.cpus = cpus
        self.token = secrets.token_hex(32)
        self.folder = Path(tempfile.mkdtemp(prefix="hr-"))  # short: there are sockets in it, whose paths have a limit
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "HOME": str(self.folder),
            "PATH": f"{RAY.parent}:/usr/bin:/bin",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
        }

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        ports = [_free_port() for _ in range(3)]
        self._ray(
            "--head",
            *("--node-ip-address", "127.0.0.1", "--port", str(ports[0]), "--num-cpus", str(self.cpus)),
            *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(self.port), "--temp-dir", str(self.folder)),
            *("--dashboard-agent-listen-port", str(ports[1]), "--ray-client-server-port", str(ports[2])),
            *("--min-worker-port", "0", "--max-worker-port", "0", "--object-store-memory", "100000000"),
        )
        wait_until(self._answers, "the head answers")

    def _ray(self, *options: str) -> None:
        subprocess.run([RAY, "start", *options], env=self.environment, check=True, capture_output=True)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            authorization = {"Authorization": f"Bearer {self.token}"}
            return httpx.get(f"{self.url}/api/jobs/", headers=authorization, trust_env=False).status_code == 200
        return False

    def kill(self) -> None:
        """Ends all of the cluster at once, with what it runs."""
        wait_until(lambda: not self._end_all(), "nothing is left of the cluster")

    def _end_all(self) -> int:
        ended = 0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("HOME") == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    process.send_signal(signal.SIGKILL)
                    ended += 1
        return ended

    def close(self) -> None:
        """Ends it, and removes what it has written."""
        self.kill()
        shutil.rmtree(self.folder)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
