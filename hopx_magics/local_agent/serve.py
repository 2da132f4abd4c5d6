"""One agent in one folder: the lock, the sockets, the file that tells where it is, and the end."""

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from hopx_magics import __version__

from ..protocol.requests import AgentFile
from ..settings import Settings
from .address import Address
from .app import Agent
from .connections import PATIENCE, Connection, Log, drop_overdue
from .listening import forget_socket, loopback_listener, private_listener

LOCK_PATIENCE = 5.0
"""Seconds to wait for an agent that is about to leave, or to say where it is."""

OPEN_FILES = 4096
THREAD_STACK = 512 * 1024

log = logging.getLogger("hopx_magics.local_agent")


class CannotServe(Exception):
    """The agent can't run in its folder."""


def run(settings: Settings, port: int) -> int:
    """Serves until told to end, or until nobody needs the agent any more. Returns the exit code."""
    folder = settings.agent_folder
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[Log(folder / "agent.log")]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        lock = _take_lock(folder)
        if lock is None:
            log.info("another local agent serves %s", folder)
            return 0
        _prepare_process()
        with loopback_listener(port) as loopback, private_listener(folder) as private:
            asyncio.run(_serve(settings, loopback, private))
    except (OSError, CannotServe) as error:
        log.error("the local agent can't serve %s: %s", folder, error)
        return 1
    return 0


def _take_lock(folder: Path) -> int | None:
    """The lock that makes this the folder's one agent, held until the process ends; None when there is another."""
    descriptor = os.open(folder / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    address, deadline = Address(folder), time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if address.is_told or time.monotonic() > deadline:
                return None
            time.sleep(0.02)
        else:
            if (killed := address.read()) is not None and killed.socket:
                forget_socket(Path(killed.socket), folder)
            address.take_back()
            _check_that_locks_work(folder / "agent.lock")
            return descriptor


def _check_that_locks_work(path: Path) -> None:
    with path.open("rb") as again:
        try:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    raise CannotServe("file locks (flock) do not work on its file system; choose another one by HOPX_STATE_DIR")


def _prepare_process() -> None:
    """Undoes what a shell or a kernel may have left in this process, since all that it launches would inherit it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    threading.stack_size(THREAD_STACK)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Server(uvicorn.Server):
    """A server that ends on a signal without passing it on to the process, so that the end can be a clean one.

    Its `address` goes first: as long as that is told, a new agent believes that this one stays, and leaves.
    """

    def __init__(self, config: uvicorn.Config, address: Address) -> None:
        super().__init__(config)
        self._address = address

    def leave(self) -> None:
        """Lets no one find this agent any more, and ends it."""
        self._address.take_back()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends the server at the first signal."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.leave())
        yield


async def _serve(settings: Settings, loopback: socket.socket, private: socket.socket) -> None:
    instance, token = secrets.token_hex(8), secrets.token_urlsafe(32)
    agent = Agent(settings, instance=instance, token=token)
    agent.begin()
    url, path = f"http://127.0.0.1:{loopback.getsockname()[1]}", Path(private.getsockname())
    address = Address(settings.agent_folder)
    server = _Server(_server_config(agent), address)
    pid = os.getpid()
    address.tell(AgentFile(url=url, socket=str(path), token=token, pid=pid, version=__version__, instance=instance))
    log.info("listens on %s, and runs code with the rights of this user and without any isolation", url)
    watch = asyncio.create_task(_end_when_due(server, agent, settings.idle_time, address, path))
    try:
        await server.serve(sockets=[loopback, private])
    finally:
        watch.cancel()
        server.leave()
        forget_socket(path, settings.agent_folder)


def _server_config(agent: Agent) -> uvicorn.Config:
    return uvicorn.Config(
        agent.gate,
        log_config=None,
        log_level="error",  # what strangers send is worth no line
        access_log=False,
        lifespan="off",
        ws="none",
        http=Connection,
        loop="asyncio",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(PATIENCE),
        timeout_graceful_shutdown=2,
    )


async def _end_when_due(server: _Server, agent: Agent, idle_time: float, address: Address, path: Path) -> None:
    """Drops dead connections, and ends the server after `idle_time` seconds with nothing to do and nobody asking.

    Also when its address or its socket at `path` is gone: then someone has removed its folder, and the next client
    starts another agent in a new one.
    """
    busy_until = time.monotonic()
    while not server.should_exit:
        await asyncio.sleep(min(0.1, idle_time / 4))
        drop_overdue(server.server_state.connections)
        if agent.gate.active or agent.processes.busy:
            busy_until = time.monotonic()
        if not server.should_exit and not (address.is_told and path.exists()):
            log.info("ends because its folder was removed")
            server.leave()
        if time.monotonic() - max(busy_until, agent.gate.idle_since) > idle_time:
            log.info("ends after %g s with nothing to do", idle_time)
            server.leave()
    agent.close()
