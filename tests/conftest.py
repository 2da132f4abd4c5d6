"""Shared fixtures: a session with a local agent of its own, and agents that answer oddly."""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from hopx_magics.client.transport import Endpoint
from hopx_magics.connection.connection import Connection
from hopx_magics.launches import checked_launch
from hopx_magics.models import Place, Process
from hopx_magics.protocol.requests import AGENT_FILE, AgentFile
from hopx_magics.session.connecting import connection_to
from hopx_magics.session.session import Session
from hopx_magics.settings import Settings, read_settings
from tests.standins.ray_head import RayHead, require_ray
from tests.standins.server import Answer, Server
from tests.standins.sshd import Machine, require_sshd
from tests.waiting import DEADLINE, is_running, wait_until

hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")  # a machine that does other things as well makes no example wrong


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A whole run waits for its agents on every processor; a few chosen tests run here, where a debugger can be."""
    chosen = config.option.keyword or any(".py" in argument for argument in config.args)
    return 0 if chosen else max(2, min(os.cpu_count() or 2, 8))


pictures = pytest.StashKey[Path]()
"""The folder with pictures of the pages that tests saw."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput") and pictures in session.config.stash:
        session.config.workeroutput["pictures"] = str(session.config.stash[pictures])


def pytest_testnodedown(node: Any) -> None:
    if folder := getattr(node, "workeroutput", {}).get("pictures"):
        node.config.stash[pictures] = Path(folder)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if (folder := config.stash.get(pictures, None)) and any(folder.iterdir()):
        terminalreporter.line(f"pictures of the pages: {folder}")


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    """A Ray head, which wants its token."""
    require_ray()
    head = RayHead()
    try:
        head.start()
        yield head
    finally:
        head.close()


@pytest.fixture(scope="session", autouse=True)
def _nobodys_own_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stands for the folders of whoever runs the tests: one that writes there, for want of settings, is a failure."""
    own = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patched:
        for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
            patched.setenv(name, str(own))
        yield
    written = [str(path) for path in (own / "hopx_magics").rglob("*")]
    assert not written, "a test has written to the history or the state folder of whoever runs it"


def agent_pid(settings: Settings) -> int | None:
    """The pid of the local agent that these settings lead to."""
    try:
        return msgspec.json.decode((settings.agent_folder / AGENT_FILE).read_bytes(), type=AgentFile).pid
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
    monkeypatch.setenv("HOPX_KILL_GRACE_SECONDS", str(DEADLINE))
    monkeypatch.delenv("HOPX_AGENT_TOKEN", raising=False)
    settings = read_settings()
    yield settings
    clean_up(settings)


def clean_up(settings: Settings) -> None:
    """Ends the local agent, and all that it runs."""
    if agent_pid(settings) is not None:
        cleaner = Session(settings)
        listed = cleaner.connection().listing(tail=0).processes
        going = [process.process_id for process in listed if process.leftovers or not process.ended]
        cleaner.connection().kill(going)
        cleaner.close()
        stop_agent(settings)


@pytest.fixture
def gpu(state: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Another machine, which ssh knows as `gpu`. To be asked for ahead of what reads the settings."""
    require_sshd()
    machine = Machine(tmp_path / "gpu")
    monkeypatch.setenv("HOPX_SSH", machine.ssh)
    machine.start()
    yield machine
    machine.stop()
    clean_up(msgspec.structs.replace(machine.settings, history_file=tmp_path / "gpu" / "history.sqlite"))
    machine.clear()


@pytest.fixture
def session(state: Settings) -> Iterator[Session]:
    """A session whose `local` connection starts an agent of the test's own."""
    session = Session(state)
    yield session
    session.close()


def launch(session: Session, code: str, **options: Any) -> Process:
    """Launches on the session's current connection."""
    return session.connection().launch(checked_launch(code, **options))


def connect_to(session: Session, target: Any, **options: Any) -> Connection:
    """Makes `target` the session's current connection."""
    connection = connection_to(session, target, **options)
    session.add(connection)
    return connection


class OddAgent(Server):
    """An agent whose answers a test writes."""


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
        reply_time=DEADLINE,
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
def hopx(state: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package as plain Python uses it, with a local agent of the test's own."""
    import hopx_magics
    from hopx_magics import api

    for reader in ("find", "grep", "history"):  # a machine that does other things as well keeps an output later
        monkeypatch.setattr(f"hopx_magics.api.{reader}.OUTPUTS_WITHIN", DEADLINE)
    api.session.cache_clear()
    yield hopx_magics
    api.session().close()
    api.session.cache_clear()


@pytest.fixture
def _nobody_reaps() -> Iterator[None]:
    """What has lost its parent stays a zombie, as it may where the agent is the first process of all.

    Also for tests in which this process itself makes a part of an agent, which inherits orphans from then on.
    """
    prctl, set_child_subreaper = ctypes.CDLL(None).prctl, 36
    assert prctl(set_child_subreaper, 1, 0, 0, 0) == 0
    yield
    prctl(set_child_subreaper, 0, 0, 0, 0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@pytest.fixture
def _hears_interrupts() -> Iterator[None]:
    """Neither this nor what it starts is deaf to interrupts, also if the tests run in the background, and are."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this machine that nobody else has signed, and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-days", "2", *subject, "-keyout", path, "-out", f"{path}.crt"], check=True, stderr=-3)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


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
