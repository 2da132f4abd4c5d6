"""Shared fixtures: a session with a local agent of its own, and agents that answer oddly."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from hopx_magics import protocol
from hopx_magics.client.transport import Endpoint
from hopx_magics.connection.connection import Connection
from hopx_magics.launches import checked_launch
from hopx_magics.models import Place, Process
from hopx_magics.session.connecting import connection_to
from hopx_magics.session.session import Session
from hopx_magics.settings import Settings, read_settings

DEADLINE = 30.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)
    return value


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def agent_pid(settings: Settings) -> int | None:
    """The pid of the local agent that these settings lead to."""
    try:
        return msgspec.json.decode(
            (settings.agent_folder / protocol.AGENT_FILE).read_bytes(), type=protocol.AgentFile
        ).pid
    except OSError:
        return None


def stop_agent(settings: Settings, number: int = signal.SIGTERM) -> None:
    """Ends the local agent and waits until it is gone."""
    pid = agent_pid(settings)
    if pid is not None and is_running(pid):
        os.kill(pid, number)
        wait_until(lambda: not is_running(pid), "the agent has ended")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a state folder of the test's own. Whatever its agent runs is ended afterwards."""
    monkeypatch.setenv("HOPX_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOPX_HISTORY", str(tmp_path / "history.sqlite"))
    monkeypatch.setenv("HOPX_KILL_GRACE_SECONDS", "1")
    monkeypatch.delenv("HOPX_AGENT_TOKEN", raising=False)
    settings = read_settings()
    yield settings
    if agent_pid(settings) is not None:
        cleaner = Session(settings)
        going = [process.process_id for process in cleaner.connection().listing(tail=0).processes if not process.ended]
        cleaner.connection().kill(going)
        cleaner.close()
        stop_agent(settings)


@pytest.fixture
def session(state: Settings) -> Iterator[Session]:
    """A session whose `local` connection starts an agent of the test's own."""
    session = Session(state)
    yield session
    session.close()


def launch(session: Session, code: str, **options: Any) -> Process:
    """Launches on the session's current connection."""
    (process,) = session.connection().launch([checked_launch(code, **options)])
    return process


def connect_to(session: Session, target: Any, **options: Any) -> Connection:
    """Makes `target` the session's current connection."""
    connection = connection_to(session, target, **options)
    session.add(connection)
    return connection


Answer = Callable[["Asked"], None]


class Asked:
    """One request that an odd agent got, and the ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self._handler = handler
        self.method = handler.command
        self.path = handler.path.partition("?")[0]
        self.query = handler.path.partition("?")[2]
        self.headers = handler.headers
        self.body = body

    def reply(self, body: Any = b"", status: int = 200, length: int | None = None, **headers: str) -> None:
        """Answers with bytes or JSON; a `length` other than the true one makes the body a cut one."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        self._handler.send_response(status)
        self._handler.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self._handler.wfile.write(data)

    def raw(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def reset(self) -> None:
        """Breaks the connection."""
        self._handler.close_connection = True
        self._handler.connection.close()


class OddAgent:
    """An HTTP server on loopback whose answers a test writes."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[Asked] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (OSError, ValueError):  # the client went away, or a test broke the connection
                    self.close_connection = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(self, body)
                outer.asked.append(asked)
                answer(asked)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def hang(self, asked: Asked) -> None:
        """Answers nothing until the test is over."""
        self.released.wait(DEADLINE)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def odd_agent() -> Iterator[Callable[[Answer], OddAgent]]:
    """Starts agents that answer as the test says."""
    agents: list[OddAgent] = []

    def start(answer: Answer) -> OddAgent:
        agents.append(OddAgent(answer))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()


@pytest.fixture
def connection_of(tmp_path: Path) -> Iterator[Callable[[OddAgent], Connection]]:
    """Makes connections to agents that answer oddly, which nobody has asked anything yet."""
    settings = msgspec.structs.replace(
        read_settings({"HOPX_STATE_DIR": str(tmp_path), "HOPX_HISTORY": str(tmp_path / "history.sqlite")}),
        reply_time=5.0,
        retry_time=0.0,
        max_reply=1_000_000,
    )
    session = Session(settings)

    def make(agent: OddAgent) -> Connection:
        endpoint = Endpoint(agent.url)
        place = Place(f"odd-{len(session.connections)}", agent.url)
        session.add(Connection(place, lambda http: endpoint, settings, session.recorder, url=agent.url))
        return session.connection()

    yield make
    session.close()


@pytest.fixture
def hopx(state: Settings) -> Iterator[Any]:
    """The package as plain Python uses it, with a local agent of the test's own."""
    import hopx_magics
    from hopx_magics import api

    api.session.cache_clear()
    yield hopx_magics
    api.session().close()
    api.session.cache_clear()


# ---------------------------------------------------------------- IPython


@pytest.fixture(scope="module")
def ipython() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"hist_file": ":memory:"}}))
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(ipython: InteractiveShell) -> Iterator[InteractiveShell]:
    ipython.run_line_magic("load_ext", "hopx_magics")
    yield ipython
    ipython.run_line_magic("unload_ext", "hopx_magics")
    ipython.reset(new_session=False)


@pytest.fixture
def cell(shell: InteractiveShell, hopx: Any) -> Callable[[str], Any]:
    """Runs a cell and returns its value; raises its error."""

    def run(code: str) -> Any:
        with capture_output() as captured:
            result = shell.run_cell(code, store_history=True)  # whether a value is shown depends on the history
        run.shown = captured.stdout + captured.stderr  # type: ignore[attr-defined]
        result.raise_error()
        return result.result

    return run
