"""The live table in a real JupyterLab: its rows, and what a person does with them."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots, WatchIn
from tests.browser.table import KEPT, LOAD, SLEEPER, launches

# Fires when any HTML of names or output is interpreted.
CANARY = "window.hopxCanary = 'fired'"
# An image that can't be loaded, as the one in EVIL: when it has failed, that one would have.
FAILING_IMAGE = "() => new Promise(done => { const image = new Image(); image.onerror = done; image.src = 'y'; })"
EVIL = f'<img src=x onerror="{CANARY}"><script>{CANARY}</script>'


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
    expect(table.cell("bad", "status")).to_contain_text("failed")
    expect(table.cell("bad", "exit_code")).to_have_text("1")
    seen.touch()
    expect(table.cell("steps", "status")).to_contain_text("completed")
    expect(table.fresh).to_have_text("ended: 1 completed, 1 failed")
    expect(table.root.locator(".hopx-announce")).to_contain_text("steps completed")
    notebook.page.mouse.move(5, 5)
    notebook.page.wait_for_function(KEPT)  # it is drawn anew
    expect(table.cell("steps", "status")).to_contain_text("completed")
    assert barriers(notebook.page, ".hopx-watch") == []
    shots.keep(table.root, "light")
    notebook.theme("JupyterLab Dark")
    shots.keep(table.root, "dark")
    assert barriers(notebook.page, ".hopx-watch") == []


def test_outputs_are_searched_too_when_asked(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots, barriers: FindBarriers
) -> None:
    lines = "for n in range(3000): print(n, '(.*)' if n == 700 else '')\nprint('the end')"
    codes = {"long": lines, "other": "print('nothing')", "live": "print('(.*) too', flush=True)\n" + SLEEPER}
    notebook = open_notebook(
        LOAD,
        launches(**codes) + "\nhopx.wait(hopx.attach('long'), hopx.attach('other'))",
        "w = %hopx_watch --sort name\nw",
    )
    table = watch_in(notebook)
    table.expect_names("live", "long", "other")
    expect(table.cell("live", "last")).to_have_text("on")
    search, outputs = table.root.get_by_label("Search processes"), table.root.get_by_role("button", name="outputs, too")
    search.fill("(.*)")
    expect(table.root).to_contain_text('none of 3 matches "(.*)"')
    outputs.focus()
    notebook.page.keyboard.press("Enter")
    table.expect_names("live", "long")
    expect(table.root.locator(".hopx-found")).to_have_text("2 in outputs")
    expect(table.cell("long", "last")).to_have_text("700 (.*)")
    notebook.wait_until(
        lambda: notebook.execute("print(sorted(w.frame()['name']))").strip() == "['live', 'long']",
        "the kernel knows it",
    )
    assert barriers(notebook.page, ".hopx-watch") == []
    table.open("long")
    expect(table.viewer.locator(".hopx-find-status")).to_have_text("1 of 1")
    expect(table.lines.filter(has_text="700 (.*)")).to_be_in_viewport()
    shots.keep(table.root, "found in outputs")
    notebook.resize(700)
    shots.keep(table.root, "found in outputs, narrow")
    notebook.resize(1280)
    search.fill("nothing to be found")
    expect(table.root.locator(".hopx-found")).to_have_text("0 in outputs")
    outputs.click()
    search.fill("")
    table.expect_names("live", "long", "other")
    expect(table.cell("long", "last")).to_have_text("the end")


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
    names = "print(list(t.frame()['name']))"
    notebook.wait_until(lambda: notebook.execute(names).strip() == "['a']", "the view is told to the kernel")
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
    noisy = "import itertools, time\nfor i in itertools.count(): print('step', i, flush=True); time.sleep(0.05)"
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
    chosen = "print(sorted(run.name for run in _.selected))"
    notebook.wait_until(lambda: notebook.execute(chosen).strip() == "['noisy', 'quiet']", "both are chosen")


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
    row.locator("[data-action=rerun-yes]").click()
    note = table.root.locator(".hopx-row-note")
    expect(note).to_contain_text("launched again as proc_")
    shots.keep(table.root, "launched again")
    expect(table.root.locator(".hopx-row").filter(has_text="first")).to_have_count(2)
    launched = (note.text_content() or "").split()[-1]
    expect(table.root.locator(".hopx-row[aria-selected=true]")).to_contain_text(launched)
    expect(note).to_have_count(0)
    notebook.execute("again = hopx.attach('first').wait()")
    assert notebook.execute("print(again.stdout, again.process_id != run.process_id)") == "7\n True\n"


@pytest.mark.parametrize("server", ["lab", "notebook7"])
def test_keyboard_only(open_notebook: OpenNotebook, watch_in: WatchIn, server: str) -> None:
    cells_to_run = (LOAD, launches(one=SLEEPER, two="print('hello from two')"), "%hopx_watch --sort name")
    notebook = open_notebook(*cells_to_run, server=server)
    table = watch_in(notebook)
    table.expect_names("one", "two")
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
    for key in ("ArrowUp", "a", "d", "d"):
        keyboard.press(key)
    expect(table.pane()).to_be_focused()
    keyboard.press("Escape")
    expect(table.viewer).to_have_count(0)
    keyboard.press("ArrowUp")
    with notebook.page.expect_request(lambda request: request.method == "PUT" and "/api/contents/" in request.url):
        keyboard.press("ControlOrMeta+s")
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
        expect(table.viewer).to_contain_text("<script>")
    notebook.page.evaluate(FAILING_IMAGE)
    shots.keep(table.root, "details")
    assert notebook.page.evaluate("() => window.hopxCanary") is None
    assert table.root.locator("img, script, a[href^=javascript]").count() == 0
    assert notebook.page.title() == title
