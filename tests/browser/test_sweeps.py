"""A sweep in the live table of a real JupyterLab: its runs are told apart by what they were given and have printed."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots, WatchIn
from tests.browser.table import LOAD, Table

FIT = """%%hopx_bg --name fit --sweep lr=0.1,0.01,0.001 --sweep seed=1:4 --param epochs=5 -o runs
for epoch in range(epochs):
    print(f"loss: {lr * seed / (epoch + 1):.5f} accuracy: {1 - lr / (epoch + 1):.3f}", flush=True)
"""


GOING = """%%hopx_bg --name going --sweep lr=0.1,5,0.2 -o going
import time
print(f"loss: {lr}", flush=True)
time.sleep(1000)
"""


def column(table: Table, key: str) -> list[str]:
    return [text for text in table._column(key) if text]


def test_a_sweep_as_a_table(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots, barriers: FindBarriers
) -> None:
    notebook = open_notebook(LOAD, FIT, "hopx.wait(*runs); None", "w = %hopx_watch\nw", "v = %hopx_watch\nv")
    table = watch_in(notebook, 3)
    row = table.root.locator(".hopx-row").filter(has_text="lr=0.01 seed=3 epochs=5")
    expect(row).to_have_count(1)
    expect(row.locator("[data-column=name]")).to_have_attribute("title", "fit  lr=0.01 seed=3 epochs=5")
    assert "fit  lr=0.01 seed=3 epochs=5" in notebook.execute("print(w.bundle()['text/plain'])")
    for key in ("param.lr", "param.seed", "metric.loss", "metric.accuracy", "last"):
        expect(table.header(key)).to_be_visible()
    for key in ("param.epochs", "language", "id", "exit_code", "started"):
        expect(table.header(key)).to_have_count(0)
    expect(row.locator("[data-column='metric.loss']")).to_have_text("0.006")
    curve = row.locator("[data-column='metric.loss'] path")
    expect(curve).to_have_attribute("d", re.compile(r"M2\.0 2\.0(L[0-9. ]+){3}L46\.0 14\.0"))
    shots.keep(table.root, "light")

    table.header("metric.loss").click()
    notebook.wait_until(lambda: column(table, "metric.loss")[0] == "0.0002", "the least loss is first")
    search = table.root.get_by_label("Search processes")
    search.fill("loss<0.003 lr=0.01")
    notebook.wait_until(lambda: column(table, "param.seed") == ["1"], "one run is left")
    notebook.wait_until(
        lambda: notebook.execute("print(list(w.frame()['name']))").strip() == "['fit']", "the kernel knows the search"
    )
    search.fill("los<0.3")
    expect(table.root).to_contain_text("no row has los: did you mean loss?")
    search.fill("")
    table.root.get_by_label("Group by").select_option("param.lr")
    expect(table.root.locator(".hopx-group-label")).to_have_text(["lr=0.001", "lr=0.01", "lr=0.1"])
    shots.keep(table.root, "groups")

    table.root.get_by_role("button", name="Columns").click()
    table.root.get_by_label("epochs", exact=True).check()
    table.root.get_by_label("Memory", exact=True).check()
    shots.keep(notebook.page, "menu")
    notebook.page.keyboard.press("Escape")
    expect(table.header("param.epochs")).to_be_visible()
    assert barriers(notebook.page, ".hopx-watch") == []
    assert notebook.save().metadata["hopx_magics"]["columns"] == {"param.epochs": True, "memory": True}
    notebook.wait_until(
        lambda: notebook.execute("print(getattr(hopx.api.session().columns, 'by_hand', None))").strip() != "None",
        "it is remembered",
    )
    notebook.theme("JupyterLab Dark")
    shots.keep(table.root, "dark")
    assert barriers(notebook.page, ".hopx-watch") == []
    notebook.resize(700)
    shots.keep(table.root, "narrow")
    notebook.resize(1280)
    notebook.restart_kernel()
    notebook.run(0)
    notebook.run(4)
    expect(notebook.output(4).locator("[role=columnheader][data-column='param.epochs']")).to_be_visible()


def test_the_worst_of_a_sweep_is_killed_by_keyboard(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots, barriers: FindBarriers
) -> None:
    notebook = open_notebook(LOAD, FIT, "hopx.wait(*runs); None", GOING, "%hopx_watch")
    table = watch_in(notebook, 4)
    keyboard = notebook.page.keyboard
    header = table.header("metric.loss")
    header.focus()
    keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    keyboard.press("Enter")
    notebook.wait_until(lambda: column(table, "metric.loss")[:1] == ["5"], "the worst is first")
    search = table.root.get_by_label("Search processes")
    search.focus()
    keyboard.type("loss<0.3 going")
    notebook.wait_until(lambda: column(table, "param.lr") == ["0.2", "0.1"], "two are well below")
    keyboard.press("Escape")
    notebook.wait_until(lambda: len(column(table, "param.lr")) > 10, "all are shown again")
    keyboard.press("ArrowDown")
    keyboard.press("Home")
    keyboard.press("k")
    shots.keep(table.root, "the worst is to be killed")
    keyboard.press("Enter")
    worst = table.root.locator(".hopx-row").filter(has=notebook.page.get_by_title("going  lr=5", exact=True))
    expect(worst.locator("[data-column=status]")).to_contain_text("killed")
    assert notebook.execute("print([run.status for run in going])").strip() == "['running', 'killed', 'running']"
    assert barriers(notebook.page, ".hopx-watch") == []
    shots.keep(table.root, "the worst is killed")
