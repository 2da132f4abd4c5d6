"""The lines below cells in a real JupyterLab in real Chromium: time of the kernel, and until a figure is seen."""

import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .report import Row, took
from .watching import LOAD, Lab, notebook_of, surroundings

if TYPE_CHECKING:
    from tests.browser.notebook import NotebookPage

ROOM = "import os\nos.environ['HOPX_MAX_RUNNING'] = '16'"
RESTING = "runs = [hopx.launch('pass', name=f'at rest {n}') for n in range(%d)]\nfor run in runs: display(run.wait())"
RUNNING = "for n in range(%d): display(hopx.launch('import time; print(\"step 1/10\"); time.sleep(1000)', name=f'{n}'))"
DRAWING = """%%hopx_bg --name drawing
import os, time
import matplotlib.pyplot as plt
from IPython.display import display
for n in range(FIGURES):
    while not os.path.exists(f"go-{n}"):
        time.sleep(0.005)
    fig, ax = plt.subplots()
    ax.plot([n, 2, 1])
    plt.close(fig)
    with open(f"moment-{n}.part", "w") as mark:
        mark.write(repr(time.time()))
    os.rename(mark.name, f"moment-{n}")
    display(fig)"""
SEEN = "() => document.querySelectorAll('hopx-line img').length > %d"


def resting(lab: Lab, smallest: bool) -> Iterator[Row]:
    """What the kernel does while lines stand below its cells."""
    still, going, seconds = (3, 1, 1) if smallest else (100, 10, 30)
    with notebook_of(lab, ROOM, LOAD, RESTING % still, RUNNING % going) as notebook:
        for cell in range(3):
            notebook.run(cell)
        idle = share_of_core(notebook, seconds)
        notebook.run(3)
        notebook.output(3).locator(".hopx-line-fresh").nth(going - 1).wait_for()
        busy = share_of_core(notebook, seconds)
        what = f"kernel CPU, {still} lines below cells at rest, {going} running"
        yield Row(what=what, value=busy, unit="%", beside="none running", other=idle, goal="1 %")


def share_of_core(notebook: "NotebookPage", seconds: int) -> float:
    notebook.page.wait_for_timeout(3000)
    with notebook.meter() as cost:
        notebook.page.wait_for_timeout(1000 * seconds)
    return cost.kernel_ms / cost.seconds / 10


def figures(lab: Lab, smallest: bool) -> Iterator[Row]:
    """From `display(fig)` in the process to the figure that is seen below the cell."""
    count = 1 if smallest else 21
    with notebook_of(lab, LOAD, DRAWING.replace("FIGURES", str(count))) as notebook:
        notebook.run(0)
        notebook.run(1)
        folder, times = notebook.path.parent, []
        for number in range(count):
            notebook.watch(f"figure {number}", SEEN % number)
            (folder / f"go-{number}").touch()
            seen = notebook.moment(f"figure {number}")
            times.append(seen - float((folder / f"moment-{number}").read_text()))
        yield took("display(fig) in the process to seen in the page", statistics.median(times), "300 ms")


MEASUREMENTS = {"resting": resting, "figures": figures}

__all__ = ["MEASUREMENTS", "surroundings"]
