"""The local agent itself: memory, start, and a process that writes as fast as it can."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import stop_agent

from .listing import fill
from .measure import Row, local_session, memory_mb, ms, pid_of_agent

WRITE_200_MB = "import os\nblock = b'x' * 99 + b'\\n'\nblock *= 10_000\nfor _ in range(200): os.write(1, block)"


def measure() -> Iterator[Row]:
    with local_session() as session:
        yield Row("start to first answer, nothing on disk", ms(start(session)), "-", "", "500 ms")
        pid = pid_of_agent(session)
        idle = memory_mb(pid)
        yield Row("memory, idle", f"{idle:.0f} MB", "-", "", "45 MB")
        yield from writing(session, pid)
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


def start(session: object) -> float:
    """Seconds from starting the agent's program until it answers a request with a token."""
    begun = time.perf_counter()
    session.listing(tail=0)  # type: ignore[attr-defined]
    return time.perf_counter() - begun


def writing(session: object, pid: int) -> Iterator[Row]:
    plain, ours = [], []
    before = memory_mb(pid)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "write.py"
        for _ in range(7):
            script.write_text(WRITE_200_MB)
            with (Path(folder) / "out").open("wb") as file:
                begun = time.perf_counter()
                subprocess.run([sys.executable, str(script)], stdout=file, check=True)
                plain.append(time.perf_counter() - begun)
            os.unlink(Path(folder) / "out")
            process = session.launch(WRITE_200_MB)  # type: ignore[attr-defined]
            (ended,) = session.wait({"local": [process.process_id]})  # type: ignore[attr-defined]
            ours.append(ended.execution_time)
    a, b = statistics.median(ours), statistics.median(plain)
    growth = memory_mb(pid) - before
    yield Row("200 MB written by a process", ms(a), f"the process alone {ms(b)}", f"{a / b:.2f}", "1.1")
    yield Row("memory of the agent after that", f"{growth:+.1f} MB", "-", "", "no growth")
