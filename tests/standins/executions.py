"""Background processes of stand-in agents, which really run."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

MARK = "HOPX_STANDIN"
"""The variable in the environment of everything that a stand-in runs, by which the last of it is found."""


class End(NamedTuple):
    """How a process ended: `completed`, `failed`, `killed` or `timeout`; there is no exit code after a signal."""

    word: str
    exit_code: int | None
    moment: datetime


class Execution:
    """One background process; `end` is None while it runs. It gets `mark`, by which `something_runs` knows it."""

    def __init__(self, number: int, wanted: Mapping[str, Any], program: list[str], folder: Path, mark: str) -> None:
        self.process_id = f"bg_{time.time_ns():019}"
        self.execution_id = f"exec_{number:06}"
        self.number = number
        self.name = wanted.get("name")
        self.language = wanted.get("language") or "python"
        self.started_at = datetime.now(UTC)
        self.end: End | None = None
        self._asked_to_end = False
        self._outputs = {stream: folder / f"{number}.{stream}" for stream in ("stdout", "stderr")}
        with self._outputs["stdout"].open("wb") as out, self._outputs["stderr"].open("wb") as err:
            self._popen = subprocess.Popen(
                program,
                cwd=folder,
                env={**os.environ, **(wanted.get("env") or {}), MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._thread = threading.Thread(target=self._wait, args=(wanted.get("timeout") or 300,))
        self._thread.start()

    def output(self, stream: str) -> str:
        """What it has written so far."""
        return self._outputs[stream].read_text("utf-8", "replace")

    def kill(self) -> None:
        """Ends it for certain, with all that is in its process group, and waits until it has ended."""
        self._asked_to_end = True
        self._signal()
        self._thread.join()

    def _wait(self, timeout: float) -> None:
        timed_out = False
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            self._signal()
        code = self._popen.wait()
        word = "killed" if self._asked_to_end else "timeout" if timed_out else "failed" if code else "completed"
        self.end = End(word, code if code >= 0 else None, datetime.now(UTC))

    def _signal(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            if self.end is None:
                os.killpg(self.pid, signal.SIGKILL)


def something_runs(mark: str) -> bool:
    """Whether anything of what was begun with that mark is left, also what it has begun itself."""
    return any(_has(file, f"{MARK}={mark}") for file in Path("/proc").glob("[0-9]*/environ"))


def _has(file: Path, variable: str) -> bool:
    try:
        return variable.encode() in file.read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return False
