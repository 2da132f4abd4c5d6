"""Viewers of output in a real JupyterLab."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots, WatchIn
from tests.browser.notebook import NotebookPage
from tests.browser.table import LOAD, launches
from tests.browser.traffic import Message


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
    expect(table.lines.filter(has_text=re.compile("^1234 NEEDLE"))).to_be_visible()
    shots.keep(table.root, "found")
    table.viewer.locator("[data-action=to-end]").click()
    expect(table.lines.filter(has_text=re.compile("^499999 "))).to_be_visible()
    assert notebook.page.locator(".hopx-line").count() < 6000


def outputs(notebook: NotebookPage) -> list[Message]:
    """The messages that brought output to the page."""
    return [message for message in notebook.traffic.messages if message.data and message.data.get("kind") == "output"]


def test_a_viewer_follows_stays_and_comes_back(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    code = """
import itertools, time
for i in range(200): print('before', i)
for i in itertools.count(): print("tick", i, flush=True); time.sleep(0.1)
"""
    notebook = open_notebook(LOAD, launches(ticks=code), "%hopx_watch")
    table = watch_in(notebook)
    table.open("ticks")
    pane = table.pane()
    expect(table.lines.filter(has_text=re.compile("^tick 5$"))).to_be_visible()
    pane.evaluate("pane => { pane.scrollTop = 200; }")
    seen = pane.evaluate("pane => pane.scrollTop")
    told = len(outputs(notebook))
    notebook.wait_until(lambda: len(outputs(notebook)) > told + 5, "more output has come")
    assert pane.evaluate("pane => pane.scrollTop") == seen
    table.viewer.locator("[data-action=to-end]").click()
    notebook.page.wait_for_function(
        "pane => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 40", arg=pane.element_handle()
    )
    last = int(table.last_line.split()[-1])
    notebook.wait_until(lambda: int(table.last_line.split()[-1]) > last + 10, "it follows again")


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
