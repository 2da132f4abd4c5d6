"""Cells beside scripts, and the notebook's variables on their way in and out beside a pickle in a file."""

import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hopx_magics as hopx
from hopx_magics.local_agent.programs import RUNNER
from hopx_magics.values.packing import Notebook, pack_needed

from .measure import medians
from .places import own_place
from .report import Row, ratio, surplus

PRINTS_A_LINE = "print(1, flush=True)"


def first_line(smallest: bool) -> Iterator[Row]:
    """A plain cell through the runner, until its first line."""
    with own_place() as place:
        cell = place / "cell.py"
        cell.write_text(PRINTS_A_LINE)
        runner = str(RUNNER / "__main__.py")
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(RUNNER)], check=False)

        def until_line(*words: str) -> None:
            command = [sys.executable, "-P", *words, str(cell)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
                assert process.stdout is not None
                process.stdout.readline()

        ours, theirs = medians(lambda: until_line(runner), until_line, rounds=1 if smallest else 41)
        yield surplus("a plain cell to its first line", ours, "python -P cell.py", theirs, "+8 ms")


def values(smallest: bool) -> Iterator[Row]:
    """A DataFrame on its way into a cell, and out of one."""
    import numpy as np
    import pandas as pd

    rows = 10_000 if smallest else 1_250_000
    what = f"a DataFrame of {rows * 80 / 1e6:,.0f} MB"
    frame = pd.DataFrame(np.random.default_rng(0).random((rows, 10)))
    with own_place() as place:
        hopx.launch("pass").wait()
        turns = [
            (into(place, frame, turn), out_of(place, frame), by_file(place, frame), by_script(place, frame))
            for turn in range(1 if smallest else 7)
        ]
        ways_in, ways_out, files, scripts = (statistics.median(times) for times in zip(*turns, strict=True))
        text = f"{what} in: from the call to the cell that has it"
        yield ratio(text, ways_in, "pickle.dump and load in one process", files, "1.3")
        yield ratio(text, ways_in, "pickle.dump, and load in a new process", scripts)
        yield ratio(f"{what} out: from the cell's end to result()", ways_out, "pickle.dump and load", files, "1.3")


def into(place: Path, frame: "object", turn: int) -> float:
    frame.iloc[0, 0] = turn  # type: ignore[attr-defined]  # equal content would not be written again
    mark = place / "mark"
    begun = time.time()
    packed = pack_needed("frame", Notebook({"frame": frame}))
    run = hopx.launch(f"import time; frame; open({str(mark)!r}, 'w').write(repr(time.time()));", values=packed)
    run.wait()
    return float(mark.read_text()) - begun


def out_of(place: Path, frame: "object") -> float:
    """The cell makes the frame anew, and tells when it has done so."""
    rows, mark = len(frame), place / "mark"  # type: ignore[arg-type]
    run = hopx.launch(
        "import numpy as np, pandas as pd, time\n"
        f"frame = pd.DataFrame(np.random.default_rng(0).random(({rows}, 10)))\n"
        f"open({str(mark)!r}, 'w').write(repr(time.time()));",
        keep=["frame"],
    )
    run.wait()
    kept = run["frame"]
    taken = time.time() - float(mark.read_text())
    assert len(kept) == rows
    return taken


def by_file(place: Path, frame: "object") -> float:
    path = place / "pickle"
    begun = time.perf_counter()
    with path.open("wb") as file:
        pickle.dump(frame, file, protocol=5)
    with path.open("rb") as file:
        pickle.load(file)
    return time.perf_counter() - begun


def by_script(place: Path, frame: "object") -> float:
    """As a person would do it without us: a file, and a script that is started to load it."""
    path, mark = place / "pickle", place / "mark"
    begun = time.time()
    with path.open("wb") as file:
        pickle.dump(frame, file, protocol=5)
    code = (
        f"import pickle, time\nwith open({str(path)!r}, 'rb') as file: frame = pickle.load(file)\n"
        f"open({str(mark)!r}, 'w').write(repr(time.time()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return float(mark.read_text()) - begun


def shared(smallest: bool) -> Iterator[Row]:
    """A sweep whose runs share a large value, beside one launch of it."""
    import numpy as np

    runs, size = (3, 100_000) if smallest else (100, 12_500_000)
    big = np.ones(size)
    with own_place(HOPX_MAX_RUNNING="1"):
        hopx.launch("pass").wait()

        def launched(count: int, value: float) -> float:
            big[0] = value
            begun = time.perf_counter()
            packed = pack_needed("big", Notebook({"big": big}))
            sweep = hopx.sweep("big.sum();", {"n": range(count)}, values=packed)
            taken = time.perf_counter() - begun
            hopx.kill(*sweep)
            return taken

        many, one = zip(
            *((launched(runs, turn), launched(1, -turn)) for turn in range(1 if smallest else 3)), strict=True
        )
        text = f"{runs} runs of a sweep that share {size * 8 / 1e6:,.0f} MB, launched"
        yield ratio(text, statistics.median(many), "one of them", statistics.median(one), "1.5")


MEASUREMENTS = {"first_line": first_line, "values": values, "shared": shared}
