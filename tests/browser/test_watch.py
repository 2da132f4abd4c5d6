"""The live table in a real JupyterLab: what a person sees and does."""

import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots
from tests.browser.notebook import NotebookPage
from tests.conftest import Asked, OddAgent

LOAD = "%load_ext hopx_magics\nimport hopx_magics as hopx"
SLEEPER = "import time\nprint('on', flush=True)\ntime.sleep(1000)"

# Fires when any HTML of names or output is interpreted.
CANARY = "window.hopxCanary = 'fired'"
EVIL = f'<img src=x onerror="{CANARY}"><script>{CANARY}</script>'


# What a notebook keeps of its last cell but one, once it has been renewed.
KEPT = """() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(cell =>
  cell.outputs ?? [])).includes("1 completed, 1 failed")"""


class Table:
    """The live table below a cell."""

    def __init__(self, notebook: NotebookPage, root: Locator) -> None:
        self.notebook = notebook
        self.root = root

    def row(self, name: str) -> Locator:
        return self.root.locator(".hopx-row").filter(has=self.root.page.get_by_text(name, exact=True))

    def cell(self, name: str, column: str) -> Locator:
        return self.row(name).locator(f"[data-column='{column}']")

    def header(self, column: str) -> Locator:
        return self.root.locator(f"[role=columnheader][data-column='{column}']")

    def chip(self, status: str) -> Locator:
        return self.root.locator(f".hopx-chip[data-status='{status}']")

    @property
    def names(self) -> list[str]:
        """The names from top to bottom."""
        cells = self.root.locator(".hopx-row").evaluate_all(
            """rows => rows.filter(row => row.offsetParent && !row.hidden)
                 .map(row => [Number(row.ariaRowIndex), row.querySelector("[data-column=name]").innerText])
                 .sort((a, b) => a[0] - b[0])"""
        )
        return [name for _, name in cells]

    @property
    def fresh(self) -> Locator:
        return self.root.locator(".hopx-fresh")

    @property
    def viewer(self) -> Locator:
        return self.root.locator(".hopx-viewer")

    def pane(self, stream: str = "stdout") -> Locator:
        return self.viewer.locator(f".hopx-output[data-stream={stream}]")

    @property
    def lines(self) -> Locator:
        """The lines of stdout."""
        return self.pane().locator(".hopx-line")

    @property
    def last_line(self) -> str:
        """The last line of stdout that is not empty."""
        texts = [text.strip() for text in self.lines.all_inner_texts()]
        return next((text for text in reversed(texts) if text), "")

    @property
    def error_lines(self) -> Locator:
        """The lines of stderr."""
        return self.pane("stderr").locator(".hopx-line")

    def open(self, name: str) -> Locator:
        self.row(name).dblclick()
        expect(self.viewer).to_be_visible()
        return self.viewer

    def expect_names(self, *names: str) -> None:
        deadline = time.monotonic() + 20
        while self.names != list(names) and time.monotonic() < deadline:
            self.root.page.wait_for_timeout(50)
        assert self.names == list(names)


WatchIn = Callable[..., Table]


@pytest.fixture
def watch_in() -> WatchIn:
    """Runs the cells of a notebook up to `%hopx_watch`, its last one by default, and finds the table."""

    def start(notebook: NotebookPage, cell: int = -1) -> Table:
        cells = notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
        last = cell % cells
        for index in range(last + 1):
            notebook.run(index)
        return table_in(notebook, last)

    return start


def table_in(notebook: NotebookPage, cell: int) -> Table:
    root = notebook.output(cell).locator(".hopx-watch")
    root.wait_for()
    return Table(notebook, root)


def launches(**codes: str) -> str:
    return "\n".join(f"hopx.launch({code!r}, name={name!r})" for name, code in codes.items()) + "\nNone"


# ---------------------------------------------------------------- the table


def test_rows_live_and_end(
    open_notebook: OpenNotebook, watch_in: WatchIn, tmp_path: Path, shots: Shots, barriers: FindBarriers
) -> None:
    seen = tmp_path / "seen"
    steps = f"""
import os, time
for i in range(1, 6):
    print(f'step {{i}}/5', flush=True)
    while i == 2 and not os.path.exists({str(seen)!r}): time.sleep(0.02)
"""
    notebook = open_notebook(LOAD, "%hopx_watch", launches(steps=steps, bad="raise ValueError('no data')"))
    table = watch_in(notebook, 1)
    expect(table.root).to_contain_text("No processes yet")
    shots.keep(table.root, "empty")
    notebook.run(2)
    expect(table.cell("steps", "status")).to_contain_text("running")
    expect(table.cell("steps", "progress")).to_contain_text("40 %")
    expect(table.fresh).to_have_attribute("data-state", "live")
    seen.touch()
    expect(table.cell("bad", "status")).to_contain_text("failed")
    expect(table.cell("bad", "exit_code")).to_have_text("1")
    expect(table.cell("steps", "status")).to_contain_text("completed")
    expect(table.fresh).to_have_text("ended: 1 completed, 1 failed")
    expect(table.root.locator(".hopx-announce")).to_contain_text("steps completed")
    assert barriers(notebook.page, ".hopx-watch") == []
    shots.keep(table.root, "light")
    notebook.theme("JupyterLab Dark")
    shots.keep(table.root, "dark")
    assert barriers(notebook.page, ".hopx-watch") == []


def test_sort_filter_group_and_search(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    codes = {"b": "pass", "a": "raise SystemExit(3)", "c": SLEEPER, "d": "print('a needle in it')"}
    notebook = open_notebook(
        LOAD,
        launches(**codes) + "\nhopx.wait(hopx.attach('a'), hopx.attach('b'), hopx.attach('d'))",
        "%hopx_watch --sort name",
    )
    table = watch_in(notebook)
    table.expect_names("a", "b", "c", "d")
    expect(table.header("name")).to_have_attribute("aria-sort", "ascending")
    table.header("name").click()
    table.expect_names("d", "c", "b", "a")
    table.chip("failed").click()
    table.expect_names("a")
    expect(table.chip("failed")).to_have_attribute("aria-pressed", "true")
    assert notebook.execute("t = next(o for o in _oh.values() if type(o).__name__ == 'LiveTable')") == ""
    notebook.page.wait_for_timeout(600)  # the view is told to the kernel when it has come to rest
    assert notebook.execute("print(list(t.frame()['name']))").strip() == "['a']"
    table.chip("failed").click()
    search = table.root.get_by_label("Search processes")
    search.fill("NEEDLE")
    table.expect_names("d")
    search.fill("")
    table.root.get_by_label("Group by").select_option("status")
    groups = table.root.locator(".hopx-group")
    expect(groups).to_have_count(3)
    expect(groups.nth(0)).to_contain_text("running")
    shots.keep(table.root, "groups")
    groups.nth(1).click()
    expect(groups.nth(1)).to_have_attribute("aria-expanded", "false")
    table.expect_names("c", "a")
    notebook.execute("hopx.kill('c')")
    expect(table.root.locator(".hopx-group").filter(has_text="killed")).to_be_visible()
    expect(groups.filter(has_text="completed")).to_have_attribute("aria-expanded", "false")


def test_typed_text_selection_and_focus_survive_changes(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    noisy = "import time\nfor i in range(1, 1000): print(f'step {i}/1000', flush=True); time.sleep(0.05)"
    notebook = open_notebook(LOAD, launches(noisy=noisy, quiet=SLEEPER), "%hopx_watch")
    table = watch_in(notebook)
    table.row("quiet").click()
    expect(table.row("quiet")).to_have_attribute("aria-selected", "true")
    search = table.root.get_by_label("Search processes")
    search.press_sequentially("noi", delay=300)
    expect(search).to_have_value("noi")
    expect(search).to_be_focused()
    search.fill("")
    expect(table.row("quiet")).to_have_attribute("aria-selected", "true")
    table.row("noisy").click(modifiers=["Control"])
    notebook.page.wait_for_timeout(500)
    chosen = notebook.execute("print(sorted(run.name for run in _.selected))")
    assert chosen.strip() == "['noisy', 'quiet']"


def test_a_kill_asks_first_and_tells_the_truth(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    notebook = open_notebook(LOAD, launches(victim=SLEEPER), "%hopx_watch")
    table = watch_in(notebook)
    expect(table.cell("victim", "status")).to_contain_text("running")
    row = table.row("victim")
    row.hover()
    row.locator("[data-action=kill]").click()
    shots.keep(table.root, "asking")
    row.locator("[data-action=kill-no]").click()
    expect(row.locator(".hopx-ask")).to_have_count(0)
    row.hover()
    row.locator("[data-action=kill]").click()
    row.locator("[data-action=kill-yes]").click()
    expect(table.cell("victim", "status")).to_contain_text("killed")
    assert notebook.execute("print(hopx.attach('victim').status)").strip() == "killed"


def test_a_row_is_launched_again(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    launch = "import hopx_magics as hopx\nrun = hopx.launch('print(n)', name='first', params={'n': 7}).wait()"
    notebook = open_notebook(LOAD, launch, "%hopx_watch")
    table = watch_in(notebook)
    row = table.row("first")
    row.hover()
    expect(row.locator("[data-action=kill]")).to_be_hidden()
    row.locator("[data-action=rerun]").click()
    expect(table.root.locator(".hopx-row-note")).to_contain_text("launched again as proc_")
    shots.keep(table.root, "launched again")
    expect(table.root.locator(".hopx-row").filter(has_text="first")).to_have_count(2)
    notebook.execute("again = hopx.attach('first').wait()")
    assert notebook.execute("print(again.stdout, again.process_id != run.process_id)") == "7\n True\n"


def test_keyboard_only(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    notebook = open_notebook(LOAD, launches(one=SLEEPER, two="print('hello from two')"), "%hopx_watch --sort name")
    table = watch_in(notebook)
    keyboard = notebook.page.keyboard
    cells = notebook.page.locator(".jp-Cell").count()
    table.root.get_by_label("Search processes").focus()
    keyboard.press("Escape")
    keyboard.press("Tab")
    for _ in range(8):
        if table.root.locator(".hopx-grid :focus, .hopx-grid:focus").count():
            break
        keyboard.press("Tab")
    table.root.locator(".hopx-grid").evaluate("grid => { if (!grid.contains(document.activeElement)) grid.focus(); }")
    keyboard.press("Home")
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(table.lines.first).to_have_text("hello from two")
    keyboard.press("Escape")
    expect(table.viewer).to_have_count(0)
    keyboard.press("ArrowUp")
    keyboard.press("k")
    expect(table.row("one").locator(".hopx-ask")).to_be_visible()
    keyboard.press("Enter")
    expect(table.cell("one", "status")).to_contain_text("killed")
    keyboard.press("/")
    expect(table.root.get_by_label("Search processes")).to_be_focused()
    assert notebook.page.locator(".jp-Cell").count() == cells, "the notebook took none of the keys"


def test_names_and_output_are_never_html(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    code = f"""
import sys
print({EVIL!r})
print('\\x1b]0;title\\x07\\x1b]8;;javascript:alert(1)\\x07link\\x1b]8;;\\x07')
print({EVIL!r}, file=sys.stderr)
raise SystemExit({EVIL!r})
"""
    notebook = open_notebook(LOAD, f"hopx.launch({code!r}, name={EVIL!r}).wait()", "%hopx_watch")
    title = notebook.page.title()
    table = watch_in(notebook)
    row = table.root.locator(".hopx-row").first
    expect(row).to_contain_text("<img src=x")
    row.dblclick()
    expect(table.lines.first).to_contain_text("<script>")
    expect(table.lines.nth(1)).to_have_text("link")
    for tab in ("stderr", "both", "details"):
        table.viewer.locator(f"[data-tab={tab}]").click()
        notebook.page.wait_for_timeout(300)
    shots.keep(table.root, "details")
    assert notebook.page.evaluate("() => window.hopxCanary") is None
    assert table.root.locator("img, script, a[href^=javascript]").count() == 0
    assert notebook.page.title() == title


# ---------------------------------------------------------------- viewers


def test_output_as_a_terminal_shows_it(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots, barriers: FindBarriers
) -> None:
    code = """
import sys, time
print('\\x1b[1;32mgreen and bold\\x1b[0m, \\x1b[31mred\\x1b[0m, \\x1b[44;97m on blue \\x1b[0m, see https://example.org/a?b=c.')
for i in range(101):
    print(f'\\r{i:3}%|{"#" * (i // 5):20}| {i}/100', end='', file=sys.stderr, flush=True); time.sleep(0.02)
print('', file=sys.stderr)
print('x' * 20_000)
print('the last line')
"""
    notebook = open_notebook(LOAD, launches(bars=code), "%hopx_watch")
    table = watch_in(notebook)
    table.open("bars")
    expect(table.lines.first).to_contain_text("green and bold")
    link = table.lines.first.locator("a")
    expect(link).to_have_attribute("href", "https://example.org/a?b=c")
    expect(link).to_have_attribute("rel", re.compile("noopener"))
    table.viewer.locator("[data-tab=stderr]").click()
    expect(table.error_lines.first).to_contain_text("100%|####################| 100/100")
    expect(table.error_lines.filter(has_text="%|")).to_have_count(1)
    table.viewer.locator("[data-tab=both]").click()
    expect(table.pane("stdout")).to_be_visible()
    expect(table.pane("stderr")).to_be_visible()
    expect(table.lines.filter(has_text="the last line")).to_be_visible()
    assert barriers(notebook.page, ".hopx-watch") == []
    shots.keep(table.root, "both")
    notebook.theme("JupyterLab Dark")
    table.viewer.locator("[data-tab=stdout]").click()
    shots.keep(table.root, "dark")
    assert barriers(notebook.page, ".hopx-watch") == []


def test_50_mb_of_output(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    code = """
line = '\\x1b[33mwarning\\x1b[0m: ' + 'some words of a log ' * 4
for i in range(500_000):
    print(i, 'NEEDLE' if i == 1234 else '', line)
"""
    notebook = open_notebook(LOAD, f"hopx.launch({code!r}, name='big').wait()", "%hopx_watch")
    table = watch_in(notebook)
    with notebook.meter() as cost:
        table.open("big")
        expect(table.lines.filter(has_text=re.compile("^499999 "))).to_be_visible()
    assert cost.received < 300_000
    pane = table.pane()
    pane.evaluate("pane => { pane.scrollTop = 0; }")
    expect(table.lines.filter(has_text=re.compile("^499000 "))).to_have_count(1)
    table.viewer.locator("[data-action=find]").click()
    find = table.viewer.get_by_label("Find in output")
    find.fill("needle")
    find.press("Enter")
    expect(table.lines.filter(has_text=re.compile("^1234 NEEDLE"))).to_be_visible(timeout=30_000)
    shots.keep(table.root, "found")
    table.viewer.locator("[data-action=to-end]").click()
    expect(table.lines.filter(has_text=re.compile("^499999 "))).to_be_visible()
    assert notebook.page.locator(".hopx-line").count() < 6000


def test_a_viewer_follows_stays_and_comes_back(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    code = """
import time
for i in range(200): print('before', i)
for i in range(600): print('tick', i, flush=True); time.sleep(0.1)
"""
    notebook = open_notebook(LOAD, launches(ticks=code), "%hopx_watch")
    table = watch_in(notebook)
    table.open("ticks")
    pane = table.pane()
    expect(table.lines.filter(has_text=re.compile("^tick 5$"))).to_be_visible()
    pane.evaluate("pane => { pane.scrollTop = 200; }")
    seen = pane.evaluate("pane => pane.scrollTop")
    notebook.page.wait_for_timeout(1500)
    assert pane.evaluate("pane => pane.scrollTop") == seen
    table.viewer.locator("[data-action=to-end]").click()
    notebook.page.wait_for_function(
        "pane => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 40", arg=pane.element_handle()
    )
    last = int(table.last_line.split()[-1])
    expect(table.lines.filter(has_text=re.compile(f"^tick {last + 30}$"))).to_be_visible()


def test_a_download_is_whole(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    code = "for i in range(100_000): print('line', i)"
    notebook = open_notebook(LOAD, f"hopx.launch({code!r}, name='log').wait()", "%hopx_watch")
    table = watch_in(notebook)
    table.open("log")
    with notebook.page.expect_download() as waiting:
        table.viewer.locator("[data-action=download]").click()
    assert waiting.value.suggested_filename == "log-stdout.log"
    assert waiting.value.path().read_text() == "".join(f"line {i}\n" for i in range(100_000))


def test_pinned_viewers_stay(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    notebook = open_notebook(
        LOAD, launches(a="print('from a')", b="print('from b')", c="print('from c')"), "%hopx_watch"
    )
    table = watch_in(notebook)
    table.open("a").locator("[data-action=pin]").click()
    table.row("b").dblclick()
    expect(table.viewer).to_have_count(2)
    table.row("c").dblclick()
    expect(table.viewer).to_have_count(2)
    expect(table.lines.filter(has_text="from a")).to_be_visible()
    expect(table.lines.filter(has_text="from c")).to_be_visible()
    expect(table.lines.filter(has_text="from b")).to_have_count(0)


# ---------------------------------------------------------------- living with the notebook


BUSY = {
    "sleeping": "import time; time.sleep(8)",
    "computing": "import time\nend = time.time() + 8\nwhile time.time() < end: sum(range(1000))",
}


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_a_busy_kernel_goes_on_showing_and_killing(open_notebook: OpenNotebook, watch_in: WatchIn, busy: str) -> None:
    noisy = "import time\nfor i in range(1, 1000): print(f'step {i}/1000', flush=True); time.sleep(0.02)"
    notebook = open_notebook(LOAD, launches(victim=SLEEPER, noisy=noisy), "%hopx_watch", busy + "\nprint('over')")
    table = watch_in(notebook, 2)
    expect(table.cell("victim", "status")).to_contain_text("running")
    notebook.start(3)
    notebook.page.wait_for_timeout(500)
    table.open("noisy")
    expect(table.lines.filter(has_text="step")).not_to_have_count(0)
    first = table.last_line
    table.row("victim").hover()
    table.row("victim").locator("[data-action=kill]").click()
    table.row("victim").locator("[data-action=kill-yes]").click()
    expect(table.cell("victim", "status")).to_contain_text("killed")
    notebook.page.wait_for_timeout(500)
    assert table.last_line != first
    assert "over" not in notebook.output(3).inner_text(), "all that happened while the cell was running"


def test_reload_and_second_tab(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    notebook = open_notebook(LOAD, launches(a=SLEEPER, b="print('from b')"), "%hopx_watch")
    table = watch_in(notebook)
    table.header("name").click()
    table.open("b")
    expect(table.lines.first).to_have_text("from b")
    notebook.page.wait_for_timeout(600)
    notebook.reload()
    table = table_in(notebook, 2)
    table.expect_names("a", "b")
    expect(table.header("name")).to_have_attribute("aria-sort", "ascending")
    expect(table.lines.first).to_have_text("from b")
    notebook.save()
    second = notebook.second_tab()
    other = table_in(second, 2)
    other.expect_names("a", "b")
    notebook.execute("hopx.kill('a')")
    expect(table.cell("a", "status")).to_contain_text("killed")
    expect(other.cell("a", "status")).to_contain_text("killed")
    second.close()


def test_a_restarted_kernel_is_said(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    notebook = open_notebook(LOAD, launches(a=SLEEPER), "%hopx_watch")
    table = watch_in(notebook)
    expect(table.cell("a", "status")).to_contain_text("running")
    notebook.restart_kernel()
    expect(table.fresh).to_have_attribute("data-state", "gone")
    expect(table.fresh).to_contain_text("run the cell again")
    shots.keep(table.root, "gone")
    table = watch_in(notebook, 2)
    expect(table.fresh).to_have_attribute("data-state", "live")


def test_what_is_saved_is_small_and_readable(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    codes = {"a": "print('some output')", "b": "raise SystemExit(2)"}
    notebook = open_notebook(LOAD, launches(**codes), "hopx.wait()\n%hopx_watch", "w = _\nw.close()")
    table = watch_in(notebook, 2)
    expect(table.fresh).to_have_attribute("data-state", "ended")
    notebook.page.mouse.move(5, 5)
    notebook.page.wait_for_function(KEPT)
    table.expect_names("b", "a")  # drawn anew, with all that it had
    saved = notebook.save()
    (output,) = saved.cells[2].outputs
    assert "application/vnd.jupyter.widget-view+json" in output.data
    assert "✓ completed" in output.data["text/html"]
    assert "✗ failed" in output.data["text/plain"]
    assert "some output" not in str(saved.cells[2])
    assert "widgets" not in saved.metadata
    assert len(str(saved)) < 50_000
    notebook.run(3)
    expect(notebook.output(2).locator(".hopx-static")).to_contain_text("1 completed, 1 failed")


def test_a_flapping_agent(
    open_notebook: OpenNotebook, watch_in: WatchIn, odd_agent: Callable[[Any], OddAgent], shots: Shots
) -> None:
    broken = False

    def answer(asked: Asked) -> None:
        if broken:
            asked.reset()
        else:
            asked.reply({"processes": [{"process_id": "bg_1", "name": "far", "status": "running"}]})

    agent = odd_agent(answer)
    connect = f"hopx.connect({agent.url!r}, name='far', token='t')"
    notebook = open_notebook(LOAD, connect, "%hopx_watch --interval 0.3s --on far,local")
    table = watch_in(notebook)
    expect(table.cell("far", "status")).to_contain_text("running")
    broken = True
    expect(table.fresh).to_have_attribute("data-state", "silent", timeout=40_000)
    expect(table.fresh).to_contain_text("no answer for")
    expect(table.cell("far", "status")).to_contain_text("running")
    shots.keep(table.root, "silent")
    broken = False
    expect(table.fresh).to_have_attribute("data-state", re.compile("live|updated"), timeout=40_000)


def test_10_000_rows(
    open_notebook: OpenNotebook, watch_in: WatchIn, odd_agent: Callable[[Any], OddAgent], shots: Shots
) -> None:
    rows = [
        {
            "process_id": f"bg_{n:05}",
            "name": f"run-{n:05}",
            "status": "failed" if n % 10 == 0 else "completed",
            "exit_code": 1 if n % 10 == 0 else 0,
            "started_at": f"2026-11-{1 + n // 600:02}T{n % 24:02}:00:00Z",
            "execution_time": n / 7,
            "language": "python",
            "stdout": f"loss {n}\n",
        }
        for n in range(10_000)
    ]
    agent = odd_agent(lambda asked: asked.reply({"processes": rows}))
    notebook = open_notebook(LOAD, f"hopx.connect({agent.url!r}, name='big', token='t')", "%hopx_watch --sort name")
    table = watch_in(notebook)
    expect(table.chip("completed")).to_contain_text("9,000")
    expect(table.row("run-00000")).to_be_visible()
    assert table.root.locator(".hopx-row").count() < 60
    scroll = table.root.locator(".hopx-scroll")
    scroll.evaluate("scroll => { scroll.scrollTop = scroll.scrollHeight; }")
    expect(table.row("run-09999")).to_be_visible()
    table.header("elapsed").click()
    scroll.evaluate("scroll => { scroll.scrollTop = 0; }")
    expect(table.row("run-00000")).to_be_visible()
    table.chip("failed").click()
    expect(table.root.locator(".hopx-grid")).to_have_attribute("aria-rowcount", re.compile("^100[0-9]$"))
    shots.keep(table.root, "10000")
    notebook.resize(480)
    table.root.scroll_into_view_if_needed()
    shots.keep(table.root, "narrow")


def test_lost_messages_are_noticed_and_made_good(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    flood = "import time\nfor i in range(40): print('x' * 400_000); clear_output(wait=True); time.sleep(0.1)"
    ticks = "import time\nfor i in range(1, 41): print(f'step {i}/40', flush=True); time.sleep(0.1)"
    notebook = open_notebook(LOAD + "\nfrom IPython.display import clear_output", "%hopx_watch", flood)
    table = watch_in(notebook, 1)
    notebook.page.wait_for_timeout(500)
    notebook.execute(launches(ticks=ticks, short="import time; time.sleep(1.5)"))
    notebook.start(2)
    notebook.wait_idle()
    numbers = [m.data["number"] for m in notebook.traffic.messages if m.data and "number" in m.data]
    gaps = [number for before, number in itertools.pairwise(numbers) if number != before + 1]
    assert gaps, "the server has dropped some, or this test tests nothing"
    expect(table.cell("ticks", "status")).to_contain_text("completed", timeout=20_000)
    expect(table.cell("short", "status")).to_contain_text("completed", timeout=20_000)


def test_a_notice_when_a_long_process_ends(open_notebook: OpenNotebook, watch_in: WatchIn, context: Any) -> None:
    context.grant_permissions(["notifications"])
    notebook = open_notebook(LOAD, launches(long="import time; time.sleep(12)", short="pass"), "%hopx_watch --notify")
    notebook.page.evaluate("""() => { window.told = []; const Real = window.Notification;
      window.Notification = class extends Real {
        constructor(title, options) { super(title, options); window.told.push(title + " " + (options?.body ?? "")); }
      }; }""")
    table = watch_in(notebook)
    expect(table.root.locator(".hopx-bell")).to_have_attribute("aria-pressed", "true")
    expect(table.cell("long", "status")).to_contain_text("completed", timeout=30_000)
    notebook.page.wait_for_function("() => window.told.length > 0")
    told = notebook.page.evaluate("() => window.told")
    assert len(told) == 1
    assert "long" in told[0]


def test_notebook_7(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    notebook = open_notebook(LOAD, launches(a="print('from a')"), "%hopx_watch", server="notebook7")
    table = watch_in(notebook)
    expect(table.cell("a", "status")).to_contain_text("completed")
    table.open("a")
    expect(table.lines.first).to_have_text("from a")
    shots.keep(notebook.page, "notebook7")


TRAIN = """
import sys, time
print('\\x1b[1mTraining\\x1b[0m on \\x1b[36mcpu\\x1b[0m, 20 epochs')
for epoch in range(1, 1001):
    loss = 1 / (1 + epoch / 5)
    print(f'Epoch {epoch}/20  loss \\x1b[33m{loss:.3f}\\x1b[0m  acc \\x1b[32m{1 - loss / 2:.3f}\\x1b[0m', flush=True)
    time.sleep(0.1 if epoch < 8 else 1000)
"""


def test_the_picture_of_the_readme(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    """`notebooks/images/watch.png` is the picture that this takes."""
    done = {"prepare": "print('Done! 12,000 rows')", "broken": "open('a file that does not exist')"}
    bars = "import time\nfor i in range(1, 9): print(f'step {i}/40', flush=True)\ntime.sleep(1000)"
    going = {"download": bars, "train-0": TRAIN, "train-1": TRAIN.replace("epoch < 8", "epoch < 13")}
    notebook = open_notebook(
        LOAD, launches(**done) + "\nhopx.wait(*'prepare broken'.split())\nNone", launches(**going), "%hopx_watch"
    )
    table = watch_in(notebook)
    expect(table.cell("train-1", "progress")).to_contain_text("65 %")
    table.open("train-1")
    expect(table.lines.filter(has_text="Epoch 13/20")).to_be_visible()
    notebook.page.mouse.move(5, 5)
    shots.keep(table.root, "watch")
