"""A real local agent as a program of its own, and ways to look at it from outside."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from hopx_magics import models, protocol
from tests.waiting import wait_until

MARK = "HOPX_TEST_FOLDER"
"""A variable in the environment of everything that a test starts, by which it is found again."""


class Agent:
    """One running agent in its folder, and requests to it."""

    def __init__(self, folder: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}.log"
        self.program = start_program(folder, *flags, log=self.log, env=env)
        self.about = wait_until(self._answers, "the agent answers")
        self.http = client(self.about)

    def _answers(self) -> protocol.AgentFile | None:
        assert self.program.poll() is None, self.log.read_text()
        try:
            about = msgspec.json.decode((self.folder / protocol.AGENT_FILE).read_bytes(), type=protocol.AgentFile)
            healthy = httpx.get(f"{about.url}/health").json()["instance"] == about.instance
        except (OSError, msgspec.MsgspecError, httpx.HTTPError):
            return None
        return about if healthy and about.pid == self.program.pid else None

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def launch(self, code: str, language: str = "bash", **fields: Any) -> str:
        """Launches code and returns the process's id."""
        reply = self.post("/execute/background", code=code, language=language, **fields)
        assert reply.status_code == 200, reply.text
        process_id: str = reply.json()["process_id"]
        return process_id

    def listing(self, **params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.http.get("/execute/processes", params=params).json()["processes"]
        return rows

    def row(self, process_id: str, **params: Any) -> dict[str, Any]:
        return next(row for row in self.listing(**params) if row["process_id"] == process_id)

    def kill(self, process_id: str) -> httpx.Response:
        return self.http.delete("/execute/kill", params={"process_id": process_id})

    def ended(self, process_id: str) -> dict[str, Any]:
        """The row of a process, as soon as it has ended."""
        etag = ""
        while True:
            reply = self.http.get("/execute/processes", headers={"If-None-Match": etag, "Prefer": "wait=30"})
            assert reply.status_code == 200, f"{process_id} does not end"
            etag = reply.headers["etag"]
            row: dict[str, Any] = next(row for row in reply.json()["processes"] if row["process_id"] == process_id)
            if row["status"] in models.ENDED:
                return row

    def running(self, process_id: str) -> dict[str, Any]:
        """The row of a process, as soon as it runs its own program."""
        return wait_until(
            lambda: (row := self.row(process_id))["status"] == "running" and row["pid"] and row, "it is running"
        )

    def wrote(self, process_id: str, text: str) -> dict[str, Any]:
        """The row of a process with its pid, as soon as `text` is in its output."""
        return wait_until(
            lambda: text in (row := self.row(process_id))["stdout"] and row["pid"] and row, f"{text!r} is in the output"
        )

    def process_folder(self, process_id: str) -> Path:
        return self.folder / "processes" / process_id

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends the agent, not its processes, and returns its exit code."""
        self.http.close()
        self.program.send_signal(number)
        return self.program.wait(30)


def client(about: protocol.AgentFile) -> httpx.Client:
    return httpx.Client(base_url=about.url, headers={"Authorization": f"Bearer {about.token}"}, timeout=90)


def start_program(folder: Path, *flags: str, log: Path, env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Starts an agent and doesn't wait for it."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "hopx_magics.local_agent", "--state-dir", str(folder), *flags],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, MARK: str(folder), **(env or {})},
            cwd=folder.parent,
        )


def survivors(folder: Path) -> list[psutil.Process]:
    """Everything that runs and was started for this folder's agents."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def clear(folder: Path, programs: "list[subprocess.Popen[bytes]]") -> None:
    """Ends whatever was started for this folder."""
    for process in survivors(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()
    for program in programs:
        program.wait(30)
    wait_until(lambda: not survivors(folder), "nothing is left of the agent")


StartAgent = Callable[..., Agent]


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[StartAgent]:
    """Starts agents, all of them in the same folder unless told otherwise."""
    agents: list[Agent] = []

    def start(*flags: str, folder: Path | None = None, env: dict[str, str] | None = None) -> Agent:
        agents.append(Agent(folder or tmp_path / "agent", "--kill-grace-seconds", "1", *flags, env=env))
        return agents[-1]

    yield start
    for agent in agents:
        agent.http.close()
    for folder in {agent.folder for agent in agents}:
        clear(folder, [agent.program for agent in agents if agent.folder == folder])


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One agent for all tests of a module that only need some agent."""
    agent = Agent(tmp_path_factory.mktemp("shared") / "agent", "--kill-grace-seconds", "1", "--max-running", "50")
    yield agent
    agent.http.close()
    clear(agent.folder, [agent.program])


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has nothing to do with any agent, the leader of its own group."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield process
    process.kill()
    process.wait()
