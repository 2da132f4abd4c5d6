"""A sweep in the live table of a real JupyterLab: its runs are told apart by what they were given and have printed."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook, Shots, WatchIn
from tests.browser.table import LOAD

FIT = """%%hopx_bg --name fit --sweep lr=0.1,0.01,0.001 --sweep seed=1:4 --param epochs=5 --tag exp=first -o runs
for epoch in range(epochs):
    print(f"loss: {lr * seed / (epoch + 1):.5f} accuracy: {1 - lr / (epoch + 1):.3f}", flush=True)
"""


def test_runs_of_a_sweep_are_told_apart(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    notebook = open_notebook(LOAD, FIT, "hopx.wait(*runs); None", "w = %hopx_watch\nw")
    table = watch_in(notebook)
    row = table.root.locator(".hopx-row").filter(has_text="lr=0.01 seed=3 epochs=5")
    expect(row).to_have_count(1)
    expect(row.locator("[data-column=name]")).to_have_attribute("title", "fit  lr=0.01 seed=3 epochs=5")
    assert "fit  lr=0.01 seed=3 epochs=5" in notebook.execute("print(w.bundle()['text/plain'])")
    shots.keep(table.root, "light")
