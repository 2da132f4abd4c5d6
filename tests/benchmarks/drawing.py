"""What is made of a DataFrame of runs: what is shown of it, pictures, and the numbers in their output."""

import time
from collections.abc import Iterator
from typing import Any

import hopx_magics as hopx

from .history import fill
from .measure import Skipped, medians
from .places import own_place
from .report import Row, took
from .standins import Processes, standins


def pictures(smallest: bool) -> Iterator[Row]:
    try:
        import matplotlib
    except ImportError:
        raise Skipped("matplotlib is not installed") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    def draw(picture: Any) -> None:
        axes = picture()
        axes.figure.canvas.draw()
        pyplot.close(axes.figure)

    count = 10 if smallest else 10_000
    with own_place() as place:
        fill(place / "history.sqlite", 0, count)
        runs = hopx.history()
        ways = {
            "timeline": runs.hopx.timeline,
            "packed timeline": lambda: runs.hopx.timeline(packed=True),
            "picture of durations": runs.hopx.durations,
        }
        for name, way in ways.items():
            (taken,) = medians(lambda way=way: draw(way), rounds=1 if smallest else 5)
            yield took(f"a {name} of {count:,} runs", taken, "2,000 ms")


def metrics(smallest: bool) -> Iterator[Row]:
    count = 3 if smallest else 100
    processes = Processes(count, size=20_000, text="epoch 3/10 - loss: 0.1234 - accuracy: 0.9876 - lr=1e-3\n")
    with own_place(), standins(processes=processes) as (url,):
        hopx.connect(url, name="stand-in", token="token")
        frame = hopx.ps(output="full")
        (taken,) = medians(frame.hopx.metrics, rounds=1 if smallest else 5)
    yield took(f"df.hopx.metrics() of {count:,} runs with 20 kB", taken)
    yield from live_metrics(smallest)


def live_metrics(smallest: bool) -> Iterator[Row]:
    """All metrics out of output as it comes, as the charts of a viewer read it: CPU for a second's worth of 1 MB."""
    from hopx_magics.client.agent import OutputPart
    from hopx_magics.live.curves import RunCurves
    from hopx_magics.live.growth import Growth
    from hopx_magics.models import Process, ProcessId

    seconds, printed = 1 if smallest else 10, bytearray()

    def part(start: int, stop: int | None = None) -> OutputPart:
        begin = max(0, len(printed) + start) if start < 0 else start
        return OutputPart(bytes(printed[begin:stop]), begin, len(printed))

    def nothing(start: int, stop: int | None = None) -> OutputPart:
        return OutputPart(b"", 0, 0)

    run = RunCurves(lambda stream: part if stream == "stdout" else nothing)
    begun = time.process_time()
    for tick in range(10 * seconds):
        line = f"epoch {tick % 20}/20 batch {tick * 37} - loss: 0.{tick * 7919:06} - accuracy: 0.{tick * 104729:06}\n"
        printed += line.encode() * (100_000 // len(line))
        process = Process(process_id=ProcessId("p"), status="running", stdout_bytes=len(printed), stderr_bytes=0)
        run.read(process, Growth(), time.monotonic() + 60)
    taken = time.process_time() - begun
    yield Row(what="metrics out of 1 MB/s of output: a core", value=100 * taken / seconds, unit="%", goal="5 %")


def views(smallest: bool) -> Iterator[Row]:
    """What a notebook shows of a DataFrame, as HTML and as text, beside what pandas itself would show."""
    from IPython.core.interactiveshell import InteractiveShell

    count = 10 if smallest else 10_000
    shell = InteractiveShell.instance()
    formatter: Any = shell.display_formatter
    with own_place() as place:
        fill(place / "history.sqlite", 0, count)
        runs = hopx.history()
        shell.run_line_magic("load_ext", "hopx_magics")
        plain = runs.set_axis([f"{name}." for name in runs.columns], axis=1)
        assert "as of" in formatter.format(runs)[0]["text/plain"]
        (taken, theirs) = medians(
            lambda: formatter.format(runs), lambda: formatter.format(plain), rounds=1 if smallest else 25
        )
        shell.run_line_magic("unload_ext", "hopx_magics")
    InteractiveShell.clear_instance()
    yield took(f"the view of a DataFrame of {count:,} runs", taken, "30 ms")
    yield took("pandas' own of the same", theirs)


MEASUREMENTS = {"pictures": pictures, "metrics": metrics, "views": views}
