"""A real local agent as a program of its own, and ways to look at it from outside."""

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from hopx_magics import models
from hopx_magics.local_agent.metering import NOTED_CPU
from hopx_magics.local_agent.records import Launched
from hopx_magics.local_agent.store import new_id
from hopx_magics.protocol.requests import AGENT_FILE, AgentFile
from tests.waiting import DEADLINE, wait_until

from .receivers import Receiver, StartReceiver

MARK = "HOPX_TEST_FOLDER"
"""A variable in the environment of everything that a test starts, by which it is found again."""


_TLS = httpx.create_ssl_context()
"""One for all clients, which use none: it takes each of them 30 ms to make."""

LISTING = "/execute/processes"


class Agent:
    """One running agent in its folder, and requests to it."""

    def __init__(self, folder: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}.log"
        self.program = start_program(folder, *flags, log=self.log, env=env)
        self.about = wait_until(self._answers, "the agent answers")
        self.http = client(self.about)

    def _answers(self) -> AgentFile | None:
        assert self.program.poll() is None, self.log.read_text()
        try:
            about = msgspec.json.decode((self.folder / AGENT_FILE).read_bytes(), type=AgentFile)
            health = httpx.get(f"{about.url}/health", verify=_TLS, timeout=DEADLINE).json()
            healthy = health["instance"] == about.instance
        except (OSError, msgspec.MsgspecError, httpx.HTTPError, KeyError):  # or another server has that port by now
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

    def wait_for_change(
        self, etag: str, headers: Mapping[str, str] | None = None, patience: float = DEADLINE
    ) -> "Future[httpx.Response]":
        """Has a request of its own wait up to 60 s for a listing that is not `etag`; it waits when this returns."""
        sent = threading.Event()

        def trace(event: str, info: dict[str, Any]) -> None:
            if event == "http11.send_request_body.complete":
                sent.set()

        def ask() -> httpx.Response:
            wait = {"If-None-Match": etag, "Prefer": "wait=60", **(headers or {})}
            times = httpx.Timeout(DEADLINE, read=patience)
            with client(self.about) as http:
                return http.get(LISTING, headers=wait, extensions={"trace": trace}, timeout=times)

        pool = ThreadPoolExecutor(1)
        reply = pool.submit(ask)
        pool.shutdown(wait=False)
        assert sent.wait(DEADLINE)
        self.http.get("/health")  # what was sent before is seen before
        return reply

    def row(self, process_id: str, **params: Any) -> dict[str, Any]:
        return next(row for row in self.listing(**params) if row["process_id"] == process_id)

    def kill(self, process_id: str) -> httpx.Response:
        return self.http.delete("/execute/kill", params={"process_id": process_id})

    def ended(self, process_id: str) -> dict[str, Any]:
        """The row of a process, as soon as it has ended."""
        etag, deadline = "", time.monotonic() + DEADLINE
        while True:
            reply = self.http.get("/execute/processes", headers={"If-None-Match": etag, "Prefer": "wait=30"})
            assert time.monotonic() < deadline, f"{process_id} does not end"
            if reply.status_code == 304:
                continue
            assert reply.status_code == 200, reply.text
            etag = reply.headers["etag"]
            row: dict[str, Any] = next(row for row in reply.json()["processes"] if row["process_id"] == process_id)
            if row["status"] in models.ENDED:
                return row

    def timed_out(self, code: str, language: str = "bash", ready: str = "ready\n") -> dict[str, Any]:
        """The row of a process whose time was over after it had said that it was ready, however long that took."""
        limit = 0.2
        while ready not in (row := self.ended(self.launch(code, language, timeout=limit)))["stdout"]:
            assert limit < DEADLINE, "it is never ready"
            limit *= 3
        assert (row["status"], row["message"]) == ("failed", f"timed out after {limit:g} s")
        return row

    def running(self, process_id: str) -> dict[str, Any]:
        """The row of a process, as soon as it runs its own program, and has been looked at."""

        def seen_running() -> dict[str, Any] | None:
            row = self.row(process_id)
            return row if row["status"] == "running" and {"pid", "usage"} <= {*row} else None

        found: dict[str, Any] = wait_until(seen_running, "it is running")
        return found

    def wrote(self, process_id: str, text: str) -> dict[str, Any]:
        """The row of a process with its pid, as soon as `text` is in its output."""
        return wait_until(
            lambda: text in (row := self.row(process_id))["stdout"] and row.get("pid") and row,
            f"{text!r} is in the output",
        )

    def process_folder(self, process_id: str) -> Path:
        return self.folder / "processes" / process_id

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends the agent, not its processes, and returns its exit code."""
        self.http.close()
        self.program.send_signal(number)
        return self.program.wait(DEADLINE)


def get(agent: Agent, etag: str = "", wait: float | None = None, **params: Any) -> httpx.Response:
    headers = {"If-None-Match": etag, **({} if wait is None else {"Prefer": f"wait={wait}"})}
    return agent.http.get(LISTING, params=params, headers=headers)


def settled(agent: Agent, **params: Any) -> str:
    """The ETag of a listing in which whatever runs, and does nothing, has been looked at until that is known of it."""

    def is_at_rest(row: dict[str, Any]) -> bool:
        taken = row.get("usage", {}).get("cpu_percent")
        return row["status"] != "running" or ("pid" in row and taken is not None and taken < NOTED_CPU)

    wait_until(lambda: all(map(is_at_rest, agent.listing())), "all are at rest")
    return get(agent, **params).headers["etag"]


ENVELOPE = {"error", "code", "request_id", "timestamp", "path"}


def refused(reply: httpx.Response) -> tuple[int, str]:
    """Status and code of an error reply, after a look at its form."""
    content = reply.json()
    assert content.keys() - {"details"} == ENVELOPE
    assert content["request_id"] == reply.headers["x-request-id"]
    assert content["path"] == reply.request.url.path
    assert content["error"]
    assert "Traceback" not in reply.text
    return reply.status_code, content["code"]


def launched(**fields: Any) -> Launched:
    """The record of a launch as an agent writes it."""
    values = {
        "process_id": new_id("proc"),
        "execution_id": new_id("exec"),
        "sequence": time.time_ns(),
        "name": "crafted",
        "language": "bash",
        "command": ["/bin/sh", "-c", "echo ran"],
        "workdir": "/",
        "timeout": None,
        "at_once": True,
    }
    return Launched(**{**values, **fields})


def fill(path: Path) -> None:
    """Writes until there is no room left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(descriptor, b"x" * 4096):
            continue
    os.close(descriptor)


def client(about: AgentFile) -> httpx.Client:
    headers = {"Authorization": f"Bearer {about.token}"}
    return httpx.Client(base_url=about.url, headers=headers, timeout=DEADLINE, verify=_TLS)


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
    """Ends whatever was started for this folder, also what is started while that goes on."""

    def end_all() -> bool:
        left = survivors(folder)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return not left

    wait_until(end_all, "nothing is left of the agent")
    for program in programs:
        program.wait(DEADLINE)


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
    with _shared(tmp_path_factory, "--kill-grace-seconds", "1") as agent:
        yield agent


@pytest.fixture(scope="module")
def patient_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One agent for all tests of a module of those who end when they are asked to, and may take their time."""
    with _shared(tmp_path_factory, "--kill-grace-seconds", str(DEADLINE)) as agent:
        yield agent


@contextlib.contextmanager
def _shared(tmp_path_factory: pytest.TempPathFactory, *flags: str) -> Iterator[Agent]:
    agent = Agent(tmp_path_factory.mktemp("shared") / "agent", "--max-running", "50", *flags)
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def start_receiver() -> Iterator[StartReceiver]:
    receivers: list[Receiver] = []

    def start(*statuses: int, tls: ssl.SSLContext | None = None) -> Receiver:
        receivers.append(Receiver(statuses, tls))
        return receivers[-1]

    yield start
    for receiver in receivers:
        receiver.close()


@pytest.fixture
def receiver(start_receiver: StartReceiver) -> Receiver:
    return start_receiver().open()
