"""The live table in a real JupyterLab in real Chromium: bytes, time of the kernel, time of the page."""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from hopx_magics.protocol import DELTA
from hopx_magics.session.session import Session
from hopx_magics.settings import read_settings
from tests.browser.conftest import CHROMIUM_OPTIONS, chromium_path
from tests.browser.notebook import NotebookPage, write_notebook
from tests.browser.server import JupyterServer
from tests.browser.traffic import Cost
from tests.conftest import Asked, OddAgent, agent_pid, stop_agent

from .measure import Row, ms

LOAD = "%load_ext hopx_magics\nimport hopx_magics as hopx"
TICKS = 20

# What most notebooks do that show something live: one HTML text, written anew whenever something has changed.
REWRITTEN = """
import ipywidgets
page = ipywidgets.HTML()
def rewrite(rows):
    cells = "".join(f"<tr><td>{name}</td><td>{status}</td><td>{text}</td></tr>" for name, status, text in rows)
    page.value = f"<table>{cells}</table>"
rows = [(f"train-{n:05}", "running", "step 1/1000") for n in range(1000)]
rewrite(rows)
page
"""
REWRITE = """
for n in range({tick} % 100, 1000, 100):
    rows[n] = (rows[n][0], "running", "step {tick}/1000")
rewrite(rows)
"""


def measure() -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium_path(playwright), args=CHROMIUM_OPTIONS)
        stack.callback(browser.close)
        server = JupyterServer("lab", _made(folder / "lab"), _made(folder / "root"))
        stack.callback(server.close)
        for count, bytes_, kernel, page in ((1_000, "1.5 kB", 2, 10), (10_000, "10 kB", 5, 20)):
            yield from ticks(server, browser, count, (bytes_, f"{kernel} ms", f"{page} ms"))
        yield from rewritten(server, browser)
        yield from at_rest(server, browser)
        yield from chatter(server, browser)
        yield from ends(server, browser)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


class TickingAgent:
    """An agent of running processes of which one in a hundred says something new at each tick.

    It tells changes as the local agent does, and takes no time for it.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.ticks = 1
        self._ticked = threading.Condition()
        self.agent = OddAgent(self._answer)

    def tick(self) -> None:
        with self._ticked:
            self.ticks += 1
            self._ticked.notify_all()

    def close(self) -> None:
        self.tick()
        self.agent.close()

    def _row(self, number: int) -> dict[str, Any]:
        last = self.ticks - (self.ticks - number) % 100  # the last tick at which this one had something to say
        step = max(last, 1)
        return {
            "process_id": f"proc_{number:09x}",
            "name": f"train-{number:05}",
            "status": "running",
            "language": "python",
            "started_at": "2026-11-24T08:00:00Z",
            "execution_time": 100.0,
            "stdout": f"step {step}/1000\n",
            "stdout_bytes": 10 * step,
            "stderr": "",
            "stderr_bytes": 0,
        }

    def _answer(self, asked: Asked) -> None:
        known = asked.headers.get("If-None-Match", "")
        with self._ticked:
            if known == self._etag:
                self._ticked.wait(5)
            if known == self._etag:
                asked.reply(status=304, ETag=known, Preference_Applied="wait=5")
                return
            delta = asked.headers.get("A-IM") == DELTA and known == f'"{self.ticks - 1}"'
            numbers = range(self.ticks % 100, self.count, 100) if delta else range(self.count)
            body = {"processes": [self._row(number) for number in numbers], "count": self.count, "gone": []}
            told = {"IM": DELTA, "Delta_Base": known} if delta else {}
            asked.reply(body, status=226 if delta else 200, ETag=self._etag, Preference_Applied="wait=5", **told)

    @property
    def _etag(self) -> str:
        return f'"{self.ticks}"'


@contextmanager
def notebook_of(server: JupyterServer, browser: Browser, *cells: str) -> Iterator[NotebookPage]:
    """A notebook in a folder of its own, whose agent is ended afterwards."""
    folder = Path(tempfile.mkdtemp(dir=server.root))
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    notebook = NotebookPage(server, context, write_notebook(folder / "notebook.ipynb", *cells))
    try:
        notebook.wait_idle()
        yield notebook
    finally:
        context.close()
        server.end_kernels(folder)
        settings = read_settings({**os.environ, "HOPX_STATE_DIR": str(folder / "state")})
        if agent_pid(settings) is not None:
            cleaner = Session(settings)
            cleaner.kill([process.process_id for process in cleaner.listing(tail=0).processes if not process.ended])
            cleaner.close()
            stop_agent(settings)


def ticks(server: JupyterServer, browser: Browser, count: int, targets: tuple[str, str, str]) -> Iterator[Row]:
    ticking = TickingAgent(count)
    connect = f"hopx.connect({ticking.agent.url!r}, name='ticking', token='t')\nhopx.ps(limit=1, output='none')\nNone"
    try:
        with notebook_of(server, browser, LOAD, connect, "%hopx_watch --sort -progress") as notebook:
            notebook.run(0)
            notebook.run(1)
            if count == 10_000:
                yield from opening(notebook)
            notebook.run(2)
            notebook.output(2).locator(".hopx-row").first.wait_for()
            notebook.page.wait_for_timeout(2000)
            with notebook.meter() as idle:
                notebook.page.wait_for_timeout(TICKS * 500)
            with notebook.meter() as cost:
                for _ in range(TICKS):
                    ticking.tick()
                    notebook.page.wait_for_timeout(500)
            yield from tick_rows(f"a tick, {count:,} rows, 1 % changed", cost, idle, targets)
    finally:
        ticking.close()


def tick_rows(what: str, cost: Cost, idle: Cost, targets: tuple[str, str, str]) -> Iterator[Row]:
    kernel, page = (max(0.0, cost.kernel_ms - idle.kernel_ms), max(0.0, cost.task_ms - idle.task_ms))
    yield Row(f"{what}: bytes sent", f"{(cost.received - idle.received) / TICKS / 1000:.2f} kB", "-", "", targets[0])
    yield Row(f"{what}: kernel CPU", f"{kernel / TICKS:.1f} ms", "-", "", targets[1])
    yield Row(f"{what}: page's main thread", f"{page / TICKS:.1f} ms", "-", "", targets[2])
    longest = f", the longest {max(cost.long_tasks):.0f} ms" if cost.long_tasks else ""
    yield Row(f"{what}: long tasks in {TICKS} ticks", f"{len(cost.long_tasks)}{longest}", "-", "", "none")


def opening(notebook: NotebookPage) -> Iterator[Row]:
    """From the call of the magic to rows that are seen."""
    times, sizes = [], []
    for number in range(5):
        notebook.watch(f"rows {number}", "() => document.querySelectorAll('.hopx-watch .hopx-row').length > 5")
        with notebook.meter() as cost:
            begun = time.time()
            notebook.start(2)
            times.append(notebook.moment(f"rows {number}") - begun)
            notebook.wait_idle()
        opened = next(message for message in cost.comm() if (message.data or {}).get("kind") == "reset")
        sizes.append(opened.size)
        notebook.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        notebook.page.wait_for_function("() => !document.querySelector('.hopx-watch')")
    yield Row("opening with 10,000 rows", f"{statistics.median(times):.2f} s", "-", "", "0.8 s")
    yield Row("opening with 10,000 rows: bytes", f"{statistics.median(sizes) / 1e6:.2f} MB", "-", "", "1 MB")


def rewritten(server: JupyterServer, browser: Browser) -> Iterator[Row]:
    """The same 1,000 rows in one HTML widget."""
    with notebook_of(server, browser, REWRITTEN) as notebook:
        notebook.run(0)
        notebook.page.wait_for_timeout(2000)
        with notebook.meter() as idle:
            for _ in range(TICKS):
                notebook.execute("pass")
                notebook.page.wait_for_timeout(500)
        with notebook.meter() as cost:
            for tick in range(TICKS):
                notebook.execute(REWRITE.format(tick=tick))
                notebook.page.wait_for_timeout(500)
        yield from tick_rows("the same with an HTML widget, 1,000 rows", cost, idle, ("-", "-", "-"))


def at_rest(server: JupyterServer, browser: Browser) -> Iterator[Row]:
    sleeper = "hopx.launch('import time; time.sleep(600)', name='sleeper')\nNone"
    with notebook_of(server, browser, LOAD, sleeper, "%hopx_watch") as notebook:
        for index in range(3):
            notebook.run(index)
        notebook.output(2).locator(".hopx-row").first.wait_for()
        notebook.page.wait_for_timeout(3000)
        with notebook.meter() as cost:
            notebook.page.wait_for_timeout(60_000)
        kinds = ", ".join(sorted({(message.data or {}).get("kind", message.kind) for message in cost.comm()}))
        told = f"{len(cost.comm())} ({kinds})"
        yield Row("nothing changed for a minute: messages to the page", told, "-", "", "2 heartbeats")


CHATTER = """
import sys, time
line = "epoch 1 batch 12345 loss 0.123456 accuracy 0.9876 lr 0.001 " * 2 + "\\n"
begun = time.time()
written = 0
while time.time() < begun + 25:
    while written < 1_000_000 * (time.time() - begun):
        written += sys.stdout.write(line)
    sys.stdout.flush()
    time.sleep(0.02)
"""


def chatter(server: JupyterServer, browser: Browser) -> Iterator[Row]:
    launch = f"hopx.launch({CHATTER!r}, name='chatter')\nNone"
    with notebook_of(server, browser, LOAD, launch, "%hopx_watch") as notebook:
        for index in range(3):
            notebook.run(index)
        notebook.output(2).locator(".hopx-row").first.dblclick()
        notebook.output(2).locator(".hopx-line").first.wait_for()
        notebook.page.wait_for_timeout(1000)
        with notebook.meter() as cost:
            notebook.page.wait_for_timeout(10_000)
        ratio = cost.received / (cost.seconds * 1e6)
        shown = f"{cost.received / cost.seconds / 1e3:.0f} kB/s, a bounded tail"
        yield Row("1 MB/s followed in a viewer: bytes sent", shown, "1 MB/s written", f"{ratio:.2f}", "1.1")
        tasks = f"{len(cost.long_tasks)}, main thread {cost.task_ms / cost.seconds / 10:.0f} % busy"
        yield Row("the same: long tasks in 10 s", tasks, "-", "", "none")


def ends(server: JupyterServer, browser: Browser) -> Iterator[Row]:
    """From the last act of a process to the page that shows its end."""
    with notebook_of(server, browser, LOAD, "%hopx_watch") as notebook:
        notebook.run(0)
        notebook.run(1)
        late = []
        for number in range(15):
            code = "import time; time.sleep(0.5); print(repr(time.time()))"
            notebook.execute(f"run = hopx.launch({code!r}, name='end-{number}')")
            seen = f"""() => [...document.querySelectorAll('.hopx-watch .hopx-row')].some(
              row => row.innerText.includes('end-{number}') && row.innerText.includes('completed'))"""
            notebook.watch(f"end {number}", seen)
            moment = notebook.moment(f"end {number}")
            late.append(moment - float(notebook.execute("print(run.stdout)")))
        yield Row("end of a process to its row on screen", ms(statistics.median(late)), "-", "", "200 ms")
