"""The local agent itself: memory, start, and a process that writes as fast as it can."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hopx_magics as hopx

from .measure import seconds
from .places import ROOMY, agent, fill, memory_mb, own_place, restart
from .report import Row, ratio, took

WRITE = """
import os, time
block = (b"x" * 99 + b"\\n") * 10_000
begun = time.perf_counter()
for _ in range({megabytes}):
    os.write(1, block)
open({mark!r}, "w").write(repr(time.perf_counter() - begun))
"""

IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where 200 MB are written: a disk slows writers down eightfold whenever it has enough, which measures the disk."""


def start() -> float:
    """Seconds from starting the agent's program until it answers a request with a token."""
    return seconds(lambda: hopx.ps(output="none"))


def memory_of_agent(place: Path) -> float:
    running = agent(place)
    assert running is not None
    return memory_mb(running)


def fresh(smallest: bool) -> Iterator[Row]:
    times = []
    for _ in range(1 if smallest else 5):
        with own_place() as place:
            times.append(start())
            idle = memory_of_agent(place)
    yield took("start to first answer, nothing on disk", statistics.median(times), "500 ms")
    yield Row(what="memory, idle", value=idle, unit="MB", goal="45 MB")


def writing(smallest: bool) -> Iterator[Row]:
    megabytes, rounds = (1, 1) if smallest else (200, 9)
    plain, ours = [], []
    with own_place(IN_MEMORY) as place, tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        hopx.ps()
        before = memory_of_agent(place)
        mark, script, output = (Path(folder) / name for name in ("mark", "write.py", "output"))
        code = WRITE.format(mark=str(mark), megabytes=megabytes)
        script.write_text(code)
        for _ in range(rounds):
            run = hopx.launch(code).wait()
            ours.append(float(mark.read_text()))
            # What is deleted is what the next one writes into: memory never used before takes a virtual machine longer.
            (written,) = place.glob(f"agents/*/processes/{run.process_id}/stdout")
            os.truncate(written, 0)
            with output.open("ab") as file:
                subprocess.run([sys.executable, str(script)], stdout=file, check=True)
            plain.append(float(mark.read_text()))
            output.unlink()
        growth = memory_of_agent(place) - before
    a, b = statistics.median(ours), statistics.median(plain)
    yield ratio(f"{megabytes} MB written by a process", a, "the process alone", b, "1.1 times")
    yield Row(what="memory of the agent after that, more than before", value=growth, unit="MB", goal="no growth")


def many_finished(smallest: bool) -> Iterator[Row]:
    count = 3 if smallest else 10_000
    with own_place(**ROOMY) as place:
        fill(count, 200)
        restart(place)
        yield took(f"start to first answer, {count:,} finished on disk", start(), "500 ms")
        before = memory_of_agent(place)
        hopx.ps(output="full")
        yield Row(what=f"memory, {count:,} finished", value=before, unit="MB", goal="80 MB")
        yield Row(what="the same after a listing", value=memory_of_agent(place), unit="MB", goal="80 MB")


def sampling(smallest: bool) -> Iterator[Row]:
    """What the agent computes while it does nothing but look at what its processes take."""
    count, seconds = (3, 0.1) if smallest else (50, 30.0)
    with own_place(HOPX_MAX_RUNNING=str(count)) as place:
        for number in range(count):
            hopx.launch("sleep 1000", language="bash", name=f"sleeper-{number}")
        running = agent(place)
        assert running is not None
        time.sleep(20 * seconds / 30)  # after the start it looks more often
        before = running.cpu_times()
        time.sleep(seconds)
        after = running.cpu_times()
        spent = after.user + after.system - before.user - before.system
    what = f"resource sampling of {count} running processes: share of a core"
    yield Row(what=what, value=100 * spent / seconds, unit="%", goal="1 %")


MEASUREMENTS = {"fresh": fresh, "writing": writing, "many-finished": many_finished, "sampling": sampling}
