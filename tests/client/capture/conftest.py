"""A machine that runs wrapped launches really, as an agent would do it, and agents that answer as a test says."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.client.capture import wrapped
from hopx_magics.client.transport import Endpoint, Transport
from hopx_magics.models import Language, Launch, RunId
from tests.conftest import DEADLINE, Answer, OddAgent, wait_until

RUN = RunId("0123456789abcdef")
CATCH_ALL = {"agent": "HopX VM Agent (Go)", "status": "running", "version": "3.2.8", "vm_id": "v", "message": "success"}

OCTETS: dict[str, Any] = {"Content-Type": "application/octet-stream"}

Start = Callable[[Answer], OddAgent]
Connect = Callable[[Answer], Transport]


class Sandbox:
    """Runs bash code as an agent does, with the folders of runs below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.roots = (str(root),)
        self.folder = root / RUN
        self._started: list[subprocess.Popen[bytes]] = []

    def begin(self, code: str, language: Language = "python", **options: Any) -> "subprocess.Popen[bytes]":
        """Starts the launch, in a process group of its own."""
        launch = wrapped(Launch(code=code, language=language, run_id=RUN, **options), roots=self.roots)
        assert launch.language == "bash"
        self.root.parent.mkdir(parents=True, exist_ok=True)
        script = self.root.parent / "sent.sh"  # not -c: one argument of a program can't have more than 128 kB
        script.write_text(launch.code)
        process = subprocess.Popen(
            ["bash", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | launch.env,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, code: str, language: Language = "python", **options: Any) -> tuple[bytes, bytes, int]:
        """What an agent sees: stdout, stderr, exit code."""
        process = self.begin(code, language, **options)
        out, err = process.communicate(timeout=DEADLINE)
        return out, err, process.returncode

    def kept(self) -> tuple[bytes, bytes, int]:
        """What is in the files: stdout, stderr, exit code."""
        out, err, code = ((self.folder / name).read_bytes() for name in ("stdout", "stderr", "exit_code"))
        return out, err, int(code)

    def wait_for(self, text: bytes) -> None:
        """Until the code has printed this."""
        out = self.folder / "stdout"
        wait_until(lambda: out.exists() and text in out.read_bytes(), f"{text!r} is printed")

    def wait_for_end(self) -> None:
        """Until the exit code is known."""
        code = self.folder / "exit_code"
        wait_until(lambda: code.exists() and code.read_bytes().strip(), "the exit code is there")

    @property
    def pid(self) -> int:
        """That of the process that runs the code."""
        return int((self.folder / "pid").read_text())

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate(timeout=DEADLINE)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path / "sandbox" / "runs")
    yield sandbox
    sandbox.close()


@pytest.fixture
def transport_to(odd_agent: Start) -> Iterator[Connect]:
    """Starts an agent that answers so, and connects to it."""
    transports: list[Transport] = []

    def connect(answer: Answer) -> Transport:
        endpoint = Endpoint(odd_agent(answer).url)
        transports.append(Transport("odd", lambda http: endpoint, timeout=DEADLINE, retry_time=5, max_reply=50_000_000))
        return transports[-1]

    yield connect
    for transport in transports:
        transport.close()
