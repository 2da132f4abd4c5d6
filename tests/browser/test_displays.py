"""The displays of a process in a viewer: as they come, and without a way into the page."""

from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots, WatchIn
from tests.browser.notebook import NotebookPage
from tests.browser.table import LOAD, Table, launches

FIT = """
import os, time
import matplotlib.pyplot as plt, pandas as pd
from IPython.display import HTML, Markdown, display
sales = pd.DataFrame({{"month": range(1, 7), "spent": [3, 4, 4, 6, 7, 9], "earned": [2.5, 5, 8, 13, 15, 21]}})
display(Markdown("## Sales\\n\\nof **six** months, [explained](https://example.org/a):\\n\\n- `spent`\\n- `earned`"))
state = display({{"epoch": 1}}, display_id=True)
sales.plot(x="month", figsize=(6, 2.4))
plt.show()
while not os.path.exists({go!r}):
    time.sleep(0.02)
state.update({{"epoch": 2}})
display(HTML("<p style='color: teal'>A <b>coloured</b> text</p><svg width=80><circle r=8 cx=10 cy=10 /></svg>"))
sales.tail(3)
"""

MANY = "for n in range(60): display({'text/plain': str(n)}, raw=True)"

HOSTILE = """
from IPython.display import HTML, SVG, Javascript, Markdown, display
REACH = "for (const place of [window, parent, top]) try { place.canary = 'reached' } catch (error) {}"
display(HTML(f'<script>{REACH}</script><img src=x onerror="{REACH}"><a href="javascript:{REACH}">a link</a>'
             f'<iframe srcdoc="<script>{REACH}</script>"></iframe><b id=ran>quiet</b>'
             '<script>document.getElementById("ran").textContent = "it ran"</script>'))
display(HTML(f'<table><tr><td onclick="{REACH}"><a href="javascript:{REACH}">within a table</a></td></tr></table>'))
SPACE = 'xmlns="http://www.w3.org/2000/svg"'
display(SVG(f'<svg {SPACE} onload="{REACH}"><script>{REACH}</script><text y="20">drawn</text></svg>'))
display(Markdown(f'raw <img src=x onerror="{REACH}"> [a link](javascript:{REACH.split()[0]})'))
display(Javascript(REACH))
display({"image/png": '" onerror="' + REACH, "text/plain": "no picture"}, raw=True)
"""


def displays(table: Table) -> Locator:
    return table.viewer.locator(".hopx-display")


def reached(notebook: NotebookPage) -> object:
    return notebook.page.evaluate("() => [window.canary, top.canary].find(Boolean) ?? null")


def test_displays_come_as_they_are_made(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots, barriers: FindBarriers, tmp_path: Path
) -> None:
    fit = FIT.format(go=str(tmp_path / "go"))
    notebook = open_notebook(LOAD, launches(fit=fit, plain="print('text')", many=MANY), "%hopx_watch")
    table = watch_in(notebook)
    table.row("fit").locator("[data-action=displays]").click()
    shown = displays(table)
    expect(shown).to_have_count(3)
    expect(table.viewer.locator("[data-tab=displays]")).to_have_text("displays 3")
    expect(shown.nth(0).locator("a")).to_have_attribute("href", "https://example.org/a")
    expect(shown.nth(1)).to_have_text("{'epoch': 1}")
    picture = shown.nth(2).get_by_role("img")
    notebook.wait_until(lambda: picture.evaluate("image => image.naturalWidth") > 200, "the picture is there")
    expect(table.row("plain").locator("[data-action=displays]")).to_be_hidden()
    shots.keep(table.root, "running")
    (tmp_path / "go").touch()
    expect(shown).to_have_count(5)
    expect(shown.nth(1)).to_have_text("{'epoch': 2}")
    expect(shown.nth(3).frame_locator("iframe").locator("b")).to_have_text("coloured")
    expect(shown.nth(4).locator("tbody tr")).to_have_count(3)
    expect(table.cell("fit", "status")).to_contain_text("completed")
    notebook.page.evaluate("() => { document.querySelector('.hopx-viewer-body').style.height = '720px'; }")
    shots.keep(table.root, "completed")
    assert barriers(notebook.page, ".hopx-watch") == []
    notebook.theme("JupyterLab Dark")
    table.viewer.locator("[data-action=close]").click()
    table.row("fit").locator("[data-action=displays]").click()
    expect(shown.nth(3).frame_locator("iframe").locator("b")).to_have_text("coloured")
    notebook.page.evaluate("() => { document.querySelector('.hopx-viewer-body').style.height = '720px'; }")
    shots.keep(table.root, "dark")
    assert barriers(notebook.page, ".hopx-watch") == []
    notebook.resize(520)
    shots.keep(table.root, "narrow")
    table.row("many").locator("[data-action=displays]").click()
    expect(shown.first).to_have_text("10")
    expect(shown).to_have_count(50)
    table.viewer.get_by_text("earlier displays: 10 before this").click()
    expect(shown).to_have_text([str(number) for number in range(60)])


def test_displays_can_t_reach_the_page(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    notebook = open_notebook(LOAD, launches(hostile=HOSTILE), "hopx.wait()\nNone", "%hopx_watch")
    table = watch_in(notebook)
    table.row("hostile").locator("[data-action=displays]").click()
    shown = displays(table)
    expect(shown).to_have_count(6)
    frame = shown.nth(0).frame_locator(".hopx-frame")
    expect(frame.locator("#ran")).to_have_text("quiet")
    frame.get_by_text("a link").click()
    shown.nth(1).get_by_text("within a table").click()
    expect(shown.nth(1).locator("a")).to_have_count(0)
    notebook.wait_until(lambda: shown.nth(2).locator("img").evaluate("image => image.complete"), "the SVG is there")
    expect(shown.nth(3)).to_contain_text("raw <img src=x onerror=")
    expect(shown.nth(5)).to_have_text("no picture")
    shots.keep(table.root, "hostile")
    assert reached(notebook) is None
    shown.nth(0).get_by_text("run its scripts").click()
    expect(frame.locator("#ran")).to_have_text("it ran")
    assert reached(notebook) is None
    notebook.forget_complaints()
