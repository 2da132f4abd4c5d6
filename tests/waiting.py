"""Waiting for what happens, and never for time to pass: a deadline only ends what has gone wrong."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 100.0
"""Seconds that anything may take which goes well, also on a machine that does much else. All limits are made of it."""

TICK = 0.01
"""Seconds in which the system tells the times of files, at the slowest: start and end of a process are such times."""


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
