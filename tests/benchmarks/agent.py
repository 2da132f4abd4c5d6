"""The local agent itself: memory, start, and a process that writes as fast as it can."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hopx_magics.session.session import Session
from tests.conftest import stop_agent

from .listing import fill
from .measure import Row, local_session, memory_mb, ms, pid_of_agent

WRITE_200_MB = """
import os, time
block = (b"x" * 99 + b"\\n") * 10_000
begun = time.perf_counter()
for _ in range(200):
    os.write(1, block)
open({mark!r}, "w").write(repr(time.perf_counter() - begun))
"""


def measure() -> Iterator[Row]:
    with local_session() as session:
        yield Row("start to first answer, nothing on disk", ms(start(session)), "-", "", "500 ms")
        pid = pid_of_agent(session)
        idle = memory_mb(pid)
        yield Row("memory, idle", f"{idle:.0f} MB", "-", "", "45 MB")
    with local_session(IN_MEMORY) as session:
        yield from writing(session, pid_of_agent(session))
    with local_session(HOPX_KEEP_FINISHED="20000", HOPX_MAX_RUNNING="16") as session:
        fill(session, 10_000, 200)
        stop_agent(session.settings)
        session.close()
        yield Row("start to first answer, 10,000 finished on disk", ms(start(session)), "-", "", "500 ms")
        pid = pid_of_agent(session)
        before = memory_mb(pid)
        session.listing()
        yield Row(
            "memory, 10,000 finished", f"{before:.0f} MB, {memory_mb(pid):.0f} MB after a listing", "-", "", "80 MB"
        )


def start(session: Session) -> float:
    """Seconds from starting the agent's program until it answers a request with a token."""
    begun = time.perf_counter()
    session.listing(tail=0)
    return time.perf_counter() - begun


IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where 200 MB are written: a disk slows writers down eightfold whenever it has enough, which measures the disk."""


def writing(session: Session, pid: int) -> Iterator[Row]:
    plain, ours = [], []
    before = memory_mb(pid)
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        mark, script, output = (Path(folder) / name for name in ("mark", "write.py", "output"))
        code = WRITE_200_MB.format(mark=str(mark))
        script.write_text(code)
        for _ in range(9):
            process = session.launch(code)
            session.wait({"local": [process.process_id]})
            ours.append(float(mark.read_text()))
            # What is deleted is what the next one writes into: memory never used before takes a virtual machine longer.
            os.truncate(session.settings.agent_folder / "processes" / process.process_id / "stdout", 0)
            with output.open("ab") as file:
                subprocess.run([sys.executable, str(script)], stdout=file, check=True)
            plain.append(float(mark.read_text()))
            output.unlink()
    a, b = statistics.median(ours), statistics.median(plain)
    growth = memory_mb(pid) - before
    yield Row("200 MB written by a process", ms(a), f"the process alone {ms(b)}", f"{a / b:.2f}", "1.1")
    yield Row("memory of the agent after that", f"{growth:+.1f} MB", "-", "", "no growth")
