"""Where is measured: each time with a state folder, a history, a local agent and a session of its own."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import psutil

import hopx_magics as hopx
from tests.waiting import is_running, wait_until


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These environment variables, for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def own_place(parent: str | None = None, **variables: str) -> Iterator[Path]:
    """An empty state folder and history, in a folder that is made in `parent`. What runs there is ended afterwards."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=parent))
        history = f"{folder}/history.sqlite"
        stack.enter_context(environment(HOPX_STATE_DIR=folder, HOPX_HISTORY=history, **variables))
        stack.callback(end_all, Path(folder))
        yield Path(folder)


def end_all(state: Path) -> None:
    """Ends the local agent of a state folder with all that it runs, and the session of this process."""
    if agent(state) is not None:
        hopx.kill(status=("queued", "running"), on="local")
    end_session()
    if running := agent(state):
        running.kill()  # there is nothing left that it should do in good order
        _is_gone(running)


def restart(state: Path) -> None:
    """Ends the local agent of a state folder, and the session of this process: the next call begins anew."""
    end_session()
    if running := agent(state):
        running.terminate()
        _is_gone(running)


def _is_gone(running: psutil.Process) -> None:
    """Waits until it is dead; whoever has inherited it may take its exit code late."""
    wait_until(lambda: not is_running(running.pid), "the local agent has ended")


def end_session() -> None:
    """Ends what the package has made in this process so far."""
    from hopx_magics import api

    api.session().close()
    api.session.cache_clear()
    for thread in threading.enumerate():
        if thread.name == "hopx-history":  # still keeps outputs: it writes where is about to be cleared away
            thread.join(30)


def agent(state: Path) -> psutil.Process | None:
    """The local agent of a state folder, when it is running."""
    for file in state.glob("agents/*/agent.json"):
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(msgspec.json.decode(file.read_bytes())["pid"])
    return None


def endpoint(state: Path) -> tuple[str, str]:
    """The address of the local agent of a state folder, and its token."""
    (file,) = state.glob("agents/*/agent.json")
    left = msgspec.json.decode(file.read_bytes())
    return left["url"], left["token"]


def memory_mb(process: psutil.Process) -> float:
    """The resident memory of a process, in MB."""
    return process.memory_info().rss / 1e6


def fill(count: int, size: int) -> None:
    """Leaves `count` finished processes with `size` bytes of output each."""
    line = "x" * 99
    code = f"i=0; while [ $i -lt {size // 100} ]; do echo {line}; i=$((i+1)); done"
    hopx.wait([hopx.launch(code, language="bash", name=f"train-{number}") for number in range(count)])


ROOMY = {"HOPX_KEEP_FINISHED": "20000", "HOPX_MAX_RUNNING": "16", "HOPX_HISTORY_STREAM_MB": "0"}
"""For places with many finished processes. Their output is not kept in the history, which would go on for long."""
