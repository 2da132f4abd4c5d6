"""Timing two ways of doing the same, in turns, so that a noisy machine is unfair to neither."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hopx_magics.session.session import Session
from hopx_magics.settings import read_settings
from tests.conftest import agent_pid, stop_agent


class Row(NamedTuple):
    """One line of the report: what was measured, what came out, against what, and what was hoped for."""

    what: str
    ours: str
    against: str
    result: str
    at_most: str


def medians(*ways: Callable[[], object], rounds: int = 15) -> list[float]:
    """The median seconds of each way, run in turns after one round that doesn't count."""
    times: list[list[float]] = [[] for _ in ways]
    for number in range(rounds + 1):
        for way, taken in zip(ways, times, strict=True):
            begun = time.perf_counter()
            way()
            if number:
                taken.append(time.perf_counter() - begun)
    return [statistics.median(taken) for taken in times]


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def memory_mb(pid: int) -> float:
    """The resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def local_session(parent: str | None = None, **environment: str) -> Iterator[Session]:
    """A session with a local agent of its own in a temporary folder, which is made in `parent`."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        os.environ.update({"HOPX_STATE_DIR": folder, "HOPX_HISTORY": f"{folder}/history.sqlite", **environment})
        session = Session(read_settings())
        try:
            yield session
        finally:
            listing = session.listing(tail=0)
            session.kill([process.process_id for process in listing.processes if not process.ended])
            session.close()
            stop_agent(session.settings)
            for name in ("HOPX_STATE_DIR", "HOPX_HISTORY", *environment):
                os.environ.pop(name, None)


def pid_of_agent(session: Session) -> int:
    session.listing(tail=0)
    pid = agent_pid(session.settings)
    assert pid is not None
    return pid
