"""The charts of the live table in a real JupyterLab: curves of runs, as they come."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots, WatchIn
from tests.browser.table import LOAD, Table

FIT = """%%hopx_bg --name fit --sweep lr=0.1,0.01,0.001 --param epochs=60 -o runs
import math, os, random, time
random.seed(lr)
for epoch in range(epochs):
    loss = math.exp(-epoch * lr ** 0.25 / 6) + 0.02 * random.random()
    norm = loss * 3 - (epoch % 9 == 0)
    print(f"loss: {loss:.5f} accuracy: {1 - loss / 2:.4f} grad norm: {norm:.4f}", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
print("loss: 0.25 accuracy: 0.875 status: 7", flush=True)
"""

# Pixels of a chart in each colour of the legend.
COLOURED = """chart => {
  const canvas = chart.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const legend = chart.closest(".hopx-charts").querySelectorAll(".hopx-legend path");
  return [...legend].map(path => {
    const [red, green, blue] = getComputedStyle(path).stroke.match(/[0-9.]+/g).map(Number);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] > 250) count += 1;
    }
    return count;
  }); }"""


def charts(table: Table) -> Locator:
    return table.viewer.locator(".hopx-chart")


def chart(table: Table, name: str) -> Locator:
    return table.viewer.locator(f".hopx-chart[data-metric='{name}']")


def coloured(one: Locator) -> list[int]:
    counts: list[int] = one.evaluate(COLOURED)
    return counts


def row_of(table: Table, text: str) -> Locator:
    return table.root.locator(".hopx-row").filter(has_text=text)


def choose(table: Table, word: str) -> Locator:
    button = table.viewer.locator(".hopx-choice").get_by_text(word, exact=True)
    button.click()
    return button


def test_three_runs_of_a_sweep_in_one_chart(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots, barriers: FindBarriers, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, FIT, "hopx.launch('print(1)', name='mute').wait(); None", "w = %hopx_watch\nw")
    table = watch_in(notebook)
    keyboard = notebook.page.keyboard
    row_of(table, "mute").dblclick()
    table.viewer.get_by_role("tab", name="metrics").click()
    expect(table.viewer.locator(".hopx-charts")).to_contain_text("This run has printed no metrics: lines such as")
    shots.keep(table.viewer, "empty")

    row_of(table, "lr=0.1").dblclick()
    expect(charts(table)).to_have_count(3)
    expect(table.viewer.locator(".hopx-legend")).to_be_hidden()
    expect(table.viewer).to_contain_text("select several rows to compare them")
    expect(table.viewer.locator(".hopx-viewer-name")).to_have_text("fit lr=0.1 epochs=60")
    shots.keep(table.viewer, "one")
    row_of(table, "lr=0.01").click(modifiers=["ControlOrMeta"])
    row_of(table, "lr=0.001").click(modifiers=["ControlOrMeta"])
    legend = table.viewer.locator(".hopx-legend-item")
    expect(legend).to_have_text(["lr=0.1", "lr=0.01", "lr=0.001"])
    loss = chart(table, "loss")
    notebook.wait_until(lambda: min(coloured(loss)) > 50, "three curves are drawn")
    shots.keep(table.viewer, "three")

    box: Any = loss.locator(".u-over").bounding_box()
    notebook.page.mouse.move(box["x"] + 1, box["y"] + 60)
    tip = table.viewer.locator(".hopx-tip")
    expect(tip).to_contain_text("value 1")
    expect(tip.locator(".hopx-tip-line")).to_have_count(3)
    notebook.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    expect(tip).to_contain_text("value 31")
    shots.keep(notebook.page, "hover")

    (tmp_path / "go").write_text("")
    area = loss.get_by_role("slider", name="loss")
    area.focus()
    said = "value 61: lr=0.1 0.25, lr=0.01 0.25, lr=0.001 0.25"

    def says_it() -> bool:
        keyboard.press("End")
        return area.get_attribute("aria-valuetext") == said

    notebook.wait_until(says_it, "what the runs print goes on")
    expect(tip).to_contain_text("value 61")
    expect(chart(table, "status").locator(".hopx-chart-name")).to_have_text("metric.status")
    keyboard.press("ArrowLeft")
    expect(area).to_have_attribute("aria-valuenow", "60")
    keyboard.press("+")
    whole = loss.get_by_role("button", name="whole")
    expect(whole).to_be_visible()
    shots.keep(table.viewer, "zoomed")
    whole.click()
    expect(whole).to_be_hidden()

    choose(table, "log")
    norm = chart(table, "grad norm")
    expect(norm).to_contain_text("log leaves out what is not above 0")
    smoothing = table.viewer.get_by_label("smoothing")
    smoothing.focus()
    keyboard.press("End")
    for _ in range(14):
        keyboard.press("ArrowLeft")
    expect(smoothing).to_have_attribute("aria-valuetext", "0.85")
    area.focus()
    keyboard.press("Home")
    shots.keep(notebook.page, "log smoothed")
    keyboard.press("Escape")
    expect(tip).to_be_hidden()
    choose(table, "time")
    expect(choose(table, "linear")).to_have_attribute("aria-pressed", "true")
    shots.keep(table.viewer, "time")
    legend.nth(1).click()
    expect(legend.nth(1)).to_have_attribute("aria-pressed", "false")
    notebook.wait_until(lambda: coloured(loss)[1] == 0, "its curve is hidden")
    assert barriers(notebook.page, ".hopx-watch") == []
    notebook.theme("JupyterLab Dark")
    legend.nth(1).click()
    notebook.page.mouse.move(0, 0)
    notebook.wait_until(lambda: min(coloured(loss)) > 50, "curves are drawn in the colours of the theme")
    shots.keep(table.viewer, "dark")
    assert barriers(notebook.page, ".hopx-watch") == []
    notebook.resize(700)
    shots.keep(notebook.page, "narrow")
    assert table.viewer.evaluate("viewer => viewer.querySelector('.hopx-metrics').scrollWidth <= viewer.clientWidth")
    choose(table, "this run")
    expect(legend).to_have_count(1)
    notebook.resize(1280)


BELOW = """%%hopx_bg --name fit
for epoch in range(40):
    print(f"loss: {1 / (epoch + 1):.4f}", flush=True)
print("loss: nan\\nloss: 1e308\\nloss: 0.01")
"""


NO_BLOBS = """() => { const meta = document.createElement("meta");
  meta.httpEquiv = "Content-Security-Policy";
  meta.content = "script-src 'self' 'unsafe-inline' 'unsafe-eval'";
  document.head.append(meta); }"""


def test_the_chart_of_a_run_in_its_viewer_below_the_cell(open_notebook: OpenNotebook, barriers: FindBarriers) -> None:
    notebook = open_notebook(LOAD, BELOW, "hopx.wait(*hopx.history()['run_id']); None", server="notebook7")
    for index in range(3):
        notebook.run(index)
    cell = notebook.output(1)
    keyboard = notebook.page.keyboard
    cell.get_by_role("button", name="output").press("Enter")
    cell.get_by_role("tab", name="metrics").click()
    area = cell.locator(".hopx-chart").get_by_role("slider", name="loss")
    area.focus()
    keyboard.press("End")
    expect(area).to_have_attribute("aria-valuetext", "value 43: fit 0.01")
    keyboard.press("ArrowLeft")
    expect(area).to_have_attribute("aria-valuetext", "value 42: fit inf")
    expect(cell.locator(".hopx-chart-hint")).to_be_hidden()
    assert barriers(notebook.page, ".hopx-line-viewer") == []

    notebook.reload()
    cell.get_by_role("button", name="output").press("Enter")
    cell.get_by_role("tab", name="metrics").wait_for()
    notebook.page.evaluate(NO_BLOBS)
    cell.get_by_role("tab", name="metrics").click()
    note = cell.locator(".hopx-metrics")
    expect(note).to_contain_text("The charts could not be loaded: ")
    expect(note).to_contain_text("Opening this tab again tries again.")
    notebook.forget_complaints()
