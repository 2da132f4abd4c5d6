"""Charts of many runs in a viewer of the live table, in a real JupyterLab in real Chromium."""

import statistics
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .report import Row, took
from .watching import LOAD, Lab, notebook_of, surroundings

if TYPE_CHECKING:
    from tests.browser.notebook import NotebookPage

FITTED = """
import random, sys, time
lines = ["loss: %.4f" % (random.random() + 100 / (epoch + 100)) for epoch in range({values})]
print("\\n".join(lines), flush=True)
while {lives}:
    time.sleep(0.25)
    print("loss: %.4f" % random.random(), flush=True)
"""

DRAWN = """() => {{
  const chart = document.querySelector(".hopx-chart");
  return chart && !document.querySelector(".hopx-metrics[hidden]") && Number(chart.dataset.values) >= {values}; }}"""


def curves(lab: Lab, smallest: bool) -> Iterator[Row]:
    """Curves of many runs in one chart, one of which goes on."""
    runs, values, rounds, ticks = (3, 100, 1, 1) if smallest else (20, 10_000, 9, 40)
    codes = [FITTED.format(values=values, lives=number == 0) for number in range(runs)]
    launch = "\n".join(f"hopx.launch({code!r}, name='fit-{number}')" for number, code in enumerate(codes)) + "\nNone"
    what = f"{runs} runs x {values:,} values in a chart"
    with notebook_of(lab, LOAD, launch, "%hopx_watch") as notebook:
        for index in range(3):
            notebook.run(index)
        output = notebook.output(2)
        output.locator(".hopx-chip[data-status=completed]").get_by_text(str(runs - 1)).wait_for(timeout=120_000)
        output.locator(".hopx-row").first.click()
        notebook.page.keyboard.press("ControlOrMeta+a")
        notebook.page.keyboard.press("Enter")
        drawn = DRAWN.format(values=runs * values)
        spent_until = _main_thread(notebook)
        first = _opened(notebook, 0, drawn)
        begun = spent_until()
        again = [_opened(notebook, 1 + number, drawn) for number in range(rounds)]
        opening = (spent_until() - begun) / rounds
        yield took(f"{what}: opening for the first time, all their output being read", first)
        note = f"CPU of the page's main thread, closing included: {opening:.0f} ms"
        yield took(f"{what}: opening", statistics.median(again), "150 ms", note=note)
        begun = spent_until()
        notebook.page.wait_for_timeout(250 * ticks)
        charted = spent_until() - begun
        output.get_by_role("tab", name="stdout").click()
        notebook.page.wait_for_timeout(1000)
        begun = spent_until()
        notebook.page.wait_for_timeout(250 * ticks)
        spent = max(0.0, charted - (spent_until() - begun)) / ticks
    yield Row(what=f"{what}: a new value: CPU of the page's main thread, beside its line's", value=spent, goal="8 ms")


def _main_thread(notebook: "NotebookPage") -> Callable[[], float]:
    """Tells the milliseconds of CPU that the page's main thread has taken."""
    devtools = notebook.page.context.new_cdp_session(notebook.page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        return next(1000 * metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    return spent


def _opened(notebook: "NotebookPage", number: int, drawn: str) -> float:
    """Seconds from a click on the tab to the curves of all runs."""
    tabs = notebook.output(2)
    tabs.get_by_role("tab", name="details").click()
    notebook.page.wait_for_timeout(500)
    notebook.watch(f"drawn {number}", drawn)
    begun = notebook.page.evaluate("""() => {
      const begun = Date.now() / 1000;
      document.querySelector('.hopx-tab[data-tab=metrics]').click();
      return begun; }""")
    return notebook.moment(f"drawn {number}") - float(begun)


MEASUREMENTS = {"curves": curves}

__all__ = ["MEASUREMENTS", "surroundings"]
