"""A Ray cluster: a real head on loopback, with its own folder, token and ports."""

import contextlib
import os
import random
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

from tests.waiting import DEADLINE, wait_until

RAY = Path(sys.executable).with_name("ray")

CPUS = 4

TRIES = 3

_NODE = "HOPX_TEST_NODE"
_STDERR = 2
"""What Ray says is shown with a test that fails, and is no part of a table of measurements."""


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
            "RAY_raylet_start_wait_time_s": f"{DEADLINE:.0f}",
            "RAY_health_check_initial_delay_ms": "1000",
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_timeout_ms": f"{1000 * DEADLINE:.0f}",  # on a busy machine it may be deaf for a while
            "RAY_health_check_failure_threshold": "4",
            "RAY_enable_worker_prestart": "0",  # each job has a worker of its own
        }

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._gcs = _free_port()
        self._ray(
            self.environment,
            *("--head", "--node-ip-address", "127.0.0.1", "--port", str(self._gcs), "--temp-dir", str(self.folder)),
            *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(self.port)),
            *("--ray-client-server-port", str(_free_port()), "--include-log-monitor", "false"),
        )
        wait_until(self._answers, "the head answers")

    def add_node(self) -> str:
        """Adds a node of as many processors, and returns the name by which `kill` knows it."""
        name = secrets.token_hex(4)
        self._ray({**self.environment, _NODE: name}, "--address", f"127.0.0.1:{self._gcs}")
        return name

    def _ray(self, environment: dict[str, str], *options: str) -> None:
        """Starts a part of it. On a busy machine Ray gives up by its own clocks: then once more."""
        for _ in range(TRIES):
            command = [
                *(RAY, "start", *options, "--num-cpus", str(self.cpus), "--object-store-memory", "100000000"),
                *("--min-worker-port", "0", "--max-worker-port", "0"),
                *("--dashboard-agent-listen-port", str(_free_port())),
            ]
            if subprocess.run(command, env=environment, stdout=_STDERR).returncode == 0:
                return
            self.kill(environment.get(_NODE))
        pytest.fail("Ray does not start: what it has said is above")

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            authorization = {"Authorization": f"Bearer {self.token}"}
            return httpx.get(f"{self.url}/api/jobs/", headers=authorization, trust_env=False).status_code == 200
        return False

    def kill(self, node: str | None = None) -> None:
        """Ends all of the cluster at once, or of one node, with what it runs."""
        wait_until(lambda: not self._end_all(node), "nothing is left of it")

    def _end_all(self, node: str | None) -> int:
        ended = 0
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                found = process.environ()
                is_meant = found.get("HOME") == str(self.folder) and node in (None, found.get(_NODE))
                if is_meant and process.status() != psutil.STATUS_ZOMBIE:
                    process.send_signal(signal.SIGKILL)
                    ended += 1
        return ended

    def close(self) -> None:
        """Ends it, and removes what it has written."""
        self.kill()
        wait_until(self._is_removed, "its folder is gone")

    def _is_removed(self) -> bool:
        """Removes its folder, in which a thread that is being ended may still have written something."""
        shutil.rmtree(self.folder, ignore_errors=True)
        return not self.folder.exists()


def _free_port() -> int:
    """A port that is free, from below those that the system gives to others in the meantime."""
    while True:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
            return int(listener.getsockname()[1])
