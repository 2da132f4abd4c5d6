"""The live table in a real JupyterLab in real Chromium: bytes, time of the kernel, time of the page."""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from tests.waiting import DEADLINE

from .measure import Skipped
from .places import agent
from .report import Row, took
from .standins import Processes, standins, tell

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.notebook import NotebookPage
    from tests.browser.server import JupyterServer
    from tests.browser.traffic import Cost

LOAD = """
import os
os.environ["HOPX_HISTORY"] = os.path.join(os.getcwd(), "history.sqlite")
%load_ext hopx_magics
import hopx_magics as hopx
"""

CONNECT = "hopx.connect({url!r}, name='ticking', token='t')\nhopx.ps(limit=1, output='none')\nNone"

GIVEN = """
import sqlite3, time
history = sqlite3.connect(os.environ["HOPX_HISTORY"])
while history.execute("SELECT count(*) FROM runs").fetchone() < ({count},):
    time.sleep(0.05)
with history:
    history.execute('''UPDATE runs SET sweep_id = 'a sweep', params = json_object(
        'lr', printf('%.5f', rowid / 1e5), 'seed', rowid % 10 || '', 'depth', rowid % 7 || '',
        'dropout', rowid % 3 || '')''')
"""

# What most notebooks do that show something live: one HTML text, written anew whenever something has changed.
REWRITTEN = """
import ipywidgets
page = ipywidgets.HTML()
def rewrite(rows):
    cells = "".join(f"<tr><td>{{name}}</td><td>{{status}}</td><td>{{text}}</td></tr>" for name, status, text in rows)
    page.value = f"<table>{{cells}}</table>"
rows = [(f"train-{{n:05}}", "running", "step 1/1000") for n in range({count})]
rewrite(rows)
page
"""
REWRITE = """
for n in range({tick} % 100, {count}, 100):
    rows[n] = (rows[n][0], "running", "step {tick}/1000")
rewrite(rows)
"""


class Lab(NamedTuple):
    """What all measurements here share."""

    server: "JupyterServer"
    browser: "Browser"


@contextmanager
def surroundings() -> Iterator[Lab]:
    try:
        from playwright.sync_api import sync_playwright

        from tests.browser.conftest import CHROMIUM_OPTIONS, chromium_path
        from tests.browser.server import JupyterServer
    except ImportError as error:
        raise Skipped(f"{error.name} is not installed") from None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        playwright = stack.enter_context(sync_playwright())
        if (path := chromium_path(playwright)) is None:
            raise Skipped("no Chromium")
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        stack.callback(browser.close)
        server = JupyterServer("lab", _made(folder / "lab"), _made(folder / "root"))
        stack.callback(server.close)
        yield Lab(server, browser)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def notebook_of(lab: Lab, *cells: str) -> Iterator["NotebookPage"]:
    """A notebook in a folder of its own, whose agent is ended afterwards with all that it runs."""
    from tests.browser.notebook import NotebookPage, write_notebook

    folder = Path(tempfile.mkdtemp(dir=lab.server.root))
    context = lab.browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        notebook = NotebookPage(lab.server, context, write_notebook(folder / "notebook.ipynb", *cells))
        notebook.wait_idle()
        yield notebook
    finally:
        context.close()
        lab.server.end_kernels(folder)
        end_agent(folder / "state")


def end_agent(state: Path) -> None:
    running = agent(state)
    if running is None:
        return
    processes = [running, *running.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(processes, timeout=DEADLINE)


# ---------------------------------------------------------------- ticks


def ticks(lab: Lab, smallest: bool) -> Iterator[Row]:
    if smallest:
        yield from ticks_of(120, ("", "", ""), lab, smallest)
    else:
        yield from ticks_of(1_000, ("1.5 kB", "2 ms", "10 ms"), lab, smallest)
        yield from ticks_of(10_000, ("10 kB", "5 ms", "20 ms"), lab, smallest)


def ticks_of(count: int, goals: tuple[str, str, str], lab: Lab, smallest: bool) -> Iterator[Row]:
    with standins(processes=Processes(count, "stepping")) as (url,):
        connect = CONNECT.format(url=url)
        with notebook_of(lab, LOAD, connect, "%hopx_watch --sort -progress") as notebook:
            notebook.run(0)
            notebook.run(1)
            if count != 1_000:
                yield from opening(notebook, count, 1 if smallest else 5)
            notebook.run(2)
            notebook.output(2).locator(".hopx-row").first.wait_for()
            _wait_quiet(notebook)
            what = f"a tick, {count:,} rows, 1 % changed"
            yield from ticking(notebook, lambda tick: tell(url, "tick"), lambda tick: None, what, goals, smallest)


COLUMNS = "status,name,lr,seed,depth,dropout,loss,accuracy,reward,grad,progress,elapsed,last"


def columns(lab: Lab, smallest: bool) -> Iterator[Row]:
    """The same of a table with four parameters and four metrics as columns."""
    count = 120 if smallest else 10_000
    with standins(processes=Processes(count, "training")) as (url,):
        given = GIVEN.format(count=count)
        with notebook_of(lab, LOAD, CONNECT.format(url=url), given, f"%hopx_watch --columns {COLUMNS}") as notebook:
            for index in range(4):
                notebook.run(index)
            for column in ("param.lr", "metric.accuracy"):
                notebook.output(3).locator(f".hopx-row [data-column='{column}']", has_text="0").first.wait_for()
            _wait_quiet(notebook)
            what = f"a tick, {count:,} rows, 1 % changed, 4 param and 4 metric columns"
            goals = ("14 kB", "5 ms", "20 ms")
            yield from ticking(notebook, lambda tick: tell(url, "tick"), lambda tick: None, what, goals, smallest)


def _wait_quiet(notebook: "NotebookPage") -> None:
    """Waits until what is found out aside of so many rows has been told."""
    before = -1
    while len(notebook.traffic.messages) > before:
        before = len(notebook.traffic.messages)
        notebook.page.wait_for_timeout(4000)


Act = Callable[[int], object]


def ticking(
    notebook: "NotebookPage", act: Act, rest: Act, what: str, goals: tuple[str, str, str], smallest: bool
) -> Iterator[Row]:
    """What a tick costs more when `act` is called at it than when `rest` is, each with the tick's number."""
    count, pause = (1, 100) if smallest else (20, 500)
    notebook.page.wait_for_timeout(4 * pause)
    with notebook.meter() as idle:
        _ticks(notebook, rest, count, pause)
    with notebook.meter() as cost:
        _ticks(notebook, act, count, pause)
    yield from tick_rows(what, cost, idle, goals, count)


def _ticks(notebook: "NotebookPage", act: Act, count: int, pause: int) -> None:
    for tick in range(count):
        act(tick)
        notebook.page.wait_for_timeout(pause)


def tick_rows(what: str, cost: "Cost", idle: "Cost", goals: tuple[str, str, str], count: int) -> Iterator[Row]:
    kernel, page = max(0.0, cost.kernel_ms - idle.kernel_ms), max(0.0, cost.task_ms - idle.task_ms)
    sent = (cost.received - idle.received) / count / 1000
    yield Row(what=f"{what}: bytes sent", value=sent, unit="kB", goal=goals[0])
    yield Row(what=f"{what}: kernel CPU", value=kernel / count, goal=goals[1])
    yield Row(what=f"{what}: page's main thread", value=page / count, goal=goals[2])
    longest = f"the longest {max(cost.long_tasks):.0f} ms" if cost.long_tasks else ""
    yield Row(
        what=f"{what}: long tasks in {count} ticks", value=len(cost.long_tasks), unit="", goal="none", note=longest
    )


def opening(notebook: "NotebookPage", count: int, rounds: int) -> Iterator[Row]:
    """From the call of the magic to rows that are seen."""
    times, sizes = [], []
    for number in range(rounds):
        notebook.watch(f"rows {number}", "() => document.querySelectorAll('.hopx-watch .hopx-row').length > 5")
        with notebook.meter() as cost:
            begun = time.time()
            notebook.start(2)
            times.append(notebook.moment(f"rows {number}") - begun)
            notebook.wait_idle()
        sizes.append(max(message.size for message in cost.comm()))
        notebook.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        notebook.page.wait_for_function("() => !document.querySelector('.hopx-watch')")
    yield took(f"opening with {count:,} rows", statistics.median(times), "800 ms")
    yield Row(what=f"opening with {count:,} rows: bytes", value=statistics.median(sizes) / 1e6, unit="MB", goal="1 MB")


def rewritten(lab: Lab, smallest: bool) -> Iterator[Row]:
    """The same 1,000 rows in one HTML widget."""
    count = 120 if smallest else 1_000
    with notebook_of(lab, REWRITTEN.format(count=count)) as notebook:
        notebook.run(0)
        yield from ticking(
            notebook,
            lambda tick: notebook.execute(REWRITE.format(tick=tick, count=count)),
            lambda tick: notebook.execute("pass"),
            f"the same with an HTML widget, {count:,} rows",
            ("", "", ""),
            smallest,
        )


# ---------------------------------------------------------------- processes of the local agent


def at_rest_and_ends(lab: Lab, smallest: bool) -> Iterator[Row]:
    sleeper = "hopx.launch('import time; time.sleep(600)', name='sleeper')\nNone"
    with notebook_of(lab, LOAD, sleeper, "%hopx_watch") as notebook:
        for index in range(3):
            notebook.run(index)
        notebook.output(2).locator(".hopx-row").first.wait_for()
        yield messages_at_rest(notebook, smallest)
        late = statistics.median(end(notebook, number) for number in range(1 if smallest else 15))
        yield took("end of a process to its row on screen", late, "200 ms")


def messages_at_rest(notebook: "NotebookPage", smallest: bool) -> Row:
    seconds = 0.1 if smallest else 60
    notebook.page.wait_for_timeout(50 * seconds)
    with notebook.meter() as cost:
        notebook.page.wait_for_timeout(1000 * seconds)
    kinds = ", ".join(sorted({(message.data or {}).get("kind", message.kind) for message in cost.comm()}))
    what = f"nothing changed for {seconds} s: messages to the page"
    return Row(what=what, value=len(cost.comm()), unit="", goal="2 heartbeats", note=kinds)


def end(notebook: "NotebookPage", number: int) -> float:
    """Seconds from the last act of a process to the page that shows its end."""
    code = "import time; time.sleep(0.5); print(repr(time.time()))"
    notebook.execute(f"run = hopx.launch({code!r}, name='end-{number}')")
    seen = f"""() => [...document.querySelectorAll('.hopx-watch .hopx-row')].some(
      row => row.innerText.includes('end-{number}') && row.innerText.includes('completed'))"""
    notebook.watch(f"end {number}", seen)
    moment = notebook.moment(f"end {number}")
    return moment - float(notebook.execute("print(run.stdout)"))


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


def chatter(lab: Lab, smallest: bool) -> Iterator[Row]:
    seconds = 0.1 if smallest else 10
    launch = f"hopx.launch({CHATTER!r}, name='chatter')\nNone"
    with notebook_of(lab, LOAD, launch, "%hopx_watch") as notebook:
        for index in range(3):
            notebook.run(index)
        notebook.output(2).locator(".hopx-row").first.dblclick()
        notebook.output(2).locator(".hopx-line").first.wait_for()
        notebook.page.wait_for_timeout(100 * seconds)
        with notebook.meter() as cost:
            notebook.page.wait_for_timeout(1000 * seconds)
    sent = cost.received / cost.seconds / 1e3
    yield Row(
        what="output of 1 MB/s followed in a viewer: sent",
        value=sent,
        unit="kB/s",
        beside="written",
        other=1000,
        result=f"{sent / 1000:.2f} times",
        goal="1.1 times",
    )
    busy = f"main thread {cost.task_ms / cost.seconds / 10:.0f} % busy"
    yield Row(what=f"the same: long tasks in {seconds} s", value=len(cost.long_tasks), unit="", goal="none", note=busy)


MEASUREMENTS = {
    "ticks": ticks,
    "columns": columns,
    "rewritten": rewritten,
    "rest": at_rest_and_ends,
    "chatter": chatter,
}
