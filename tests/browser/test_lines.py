"""The line below a cell: whoever looks sees the truth, or of when it is; and what can be done from it."""

from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from playwright.sync_api import Locator, expect

from tests.browser.conftest import FindBarriers, OpenNotebook, Shots
from tests.browser.notebook import PANEL, NotebookPage

LOAD = "%load_ext hopx_magics"
WAITS = """%%hopx_bg --name slow -o run
import os, time
print("Epoch 4/8 loss 0.250", flush=True)
display("seen at once")
print("Epoch 4/8 loss 0.250", flush=True)
while not os.path.exists({go!r}):
    time.sleep(0.02)
6 * 7"""
BUSY = "import os, time\nwhile not os.path.exists({over!r}): time.sleep(0.05)"
IS_BUSY = f"""() => {{ {PANEL} return kernel?.status === "busy"; }}"""
IS_DIRTY = f"""() => {{ {PANEL} return panel.context.model.dirty; }}"""
NO_KERNEL = f"""async () => {{ {PANEL} await panel.sessionContext.shutdown(); }}"""
NEW_KERNEL = f"""async () => {{ {PANEL} await panel.sessionContext.changeKernel({{name: "python3"}}); }}"""


def ticks(notebook: NotebookPage, line: Locator) -> None:
    """Waits until a time in a line goes on twice, and looks that nothing is said of when it is."""
    seen = {line.locator(".hopx-run").inner_text()}
    for count in (2, 3):
        notebook.wait_until(lambda: seen.add(time_in(line)) or len(seen) > count, "the line ticks")  # noqa: B023
    expect(line.locator(".hopx-as-of")).to_be_hidden()


def time_in(line: Locator) -> str:
    return line.locator(".hopx-run").inner_text().partition(" slow")[0]


def is_old(line: Locator) -> None:
    """Waits until a line says that it is running, and as of when, and until nothing can be asked from it."""
    expect(line.locator(".hopx-as-of")).to_be_visible()
    expect(line).to_contain_text("running for")
    expect(line.get_by_role("button", name="stop")).to_have_count(0)


def test_a_line_is_true_for_whoever_looks(open_notebook: OpenNotebook, tmp_path: Path, shots: Shots) -> None:
    go, over = tmp_path / "go", tmp_path / "over"
    notebook = open_notebook(LOAD, WAITS.format(go=str(go)), BUSY.format(over=str(over)))
    notebook.run(0)
    line = notebook.run(1)
    ticks(notebook, line)
    held = [message for message in notebook.traffic.messages if message.data and message.data.get("do") == "holds"]
    expect(line.locator(".hopx-below")).to_contain_text("seen at once")
    assert held, "JupyterLab no longer gives widgets their notebook: widget_manager.context"
    notebook.start(2)
    notebook.page.wait_for_function(IS_BUSY)
    ticks(notebook, line)
    notebook.reload()
    is_old(line)
    over.touch()
    ticks(notebook, line)
    notebook.reload()
    ticks(notebook, line)
    shots.keep(line, "reloaded")

    other = notebook.second_tab()
    ticks(other, other.output(1))
    ticks(notebook, line)
    for page in (notebook.page, other.page):
        assert not page.evaluate(IS_DIRTY), "a page that has mended its lines has nothing to save, or to overwrite"
    saved = notebook.save().cells[1].outputs[0]
    assert "running for" in saved.data["text/html"]
    assert " as of 20" in saved.data["text/plain"]
    exported, _ = HTMLExporter().from_filename(str(notebook.path))
    assert "as of 20" in exported
    assert "<button" not in exported.partition("hopx-run")[2].partition("hopx-line>")[0]

    other.close()
    notebook.page.goto("about:blank")
    go.touch()
    again = notebook.second_tab()
    expect(again.output(1)).to_contain_text("completed in")
    expect(again.output(1)).to_contain_text("42")
    expect(again.output(1).locator(".hopx-as-of")).to_have_count(0)
    shots.keep(again.output(1), "opened again")
    again.save()
    assert "completed in" in str(nbformat.read(notebook.path, as_version=4).cells[1].outputs)


def test_lines_outlive_kernels(open_notebook: OpenNotebook, tmp_path: Path, shots: Shots) -> None:
    go = tmp_path / "go"
    notebook = open_notebook(LOAD, WAITS.format(go=str(go)))
    notebook.run(0)
    line = notebook.run(1)
    ticks(notebook, line)
    notebook.restart_kernel()
    is_old(line)
    shots.keep(line, "restarted")
    notebook.run(0)
    ticks(notebook, line)
    notebook.reload()
    ticks(notebook, line)
    notebook.page.evaluate(NO_KERNEL)
    is_old(line)
    notebook.page.evaluate(NEW_KERNEL)
    notebook.wait_idle()
    is_old(line)
    notebook.run(0)
    ticks(notebook, line)

    line.get_by_role("button", name="stop").click()
    line.get_by_role("button", name="yes").click()
    expect(line).to_contain_text("killed after")
    expect(line.get_by_role("button", name="stop")).to_be_hidden()
    line.get_by_role("button", name="output").click()
    expect(line.locator(".hopx-output[data-stream=stdout]")).to_contain_text("Epoch 4/8 loss 0.250")
    shots.keep(line, "killed, with its output")


def test_a_line_in_notebook_7(open_notebook: OpenNotebook, tmp_path: Path) -> None:
    go = tmp_path / "go"
    notebook = open_notebook(LOAD, WAITS.format(go=str(go)), server="notebook7")
    notebook.run(0)
    line = notebook.run(1)
    ticks(notebook, line)
    notebook.reload()
    ticks(notebook, line)
    go.touch()
    expect(line).to_contain_text("completed in")
    expect(line).to_contain_text("42")


SWEEP = """%%hopx_bg --name fit --sweep lr=0.1,0.01 --sweep seed=1:5 --limit 5 -o runs
import time
if seed == 4 or lr == 0.1 and seed > 2:
    raise ValueError(f"no convergence with <b>lr</b> = {lr}")
lr * seed"""
FAILS = """%%hopx_bg --name "<img src=x onerror=alert(1)>" --out model,nosuch
def inner(x):
    return x / 0
print("</pre><script>window.top.canary = 1</script>", flush=True)
inner(3)"""
UNSET = "%%hopx_bg --name kept --out model,nosuch\nmodel = 1;"
CANARY = """%%hopx_bg --name hostile
from IPython.display import HTML, SVG, display
reach = "window.top.canary = 1; parent.canary = 1"
display(HTML(f'<script>{reach}</script><img src=x onerror="{reach}"><hopx-line line="x">'))
display(SVG(f'<svg xmlns="http://www.w3.org/2000/svg" onload="{reach}"><text y="20">drawn</text></svg>'))
"text </pre><b>bold</b>" """


def test_how_runs_and_sweeps_have_ended(
    open_notebook: OpenNotebook, shots: Shots, barriers: FindBarriers, tmp_path: Path
) -> None:
    notebook = open_notebook(LOAD, SWEEP, FAILS, UNSET, CANARY, "runs")
    notebook.run(0)
    sweep, failed, unset, hostile = (notebook.run(index) for index in (1, 2, 3, 4))
    expect(sweep).to_contain_text("and 1 more")
    expect(sweep.locator("tbody tr")).to_have_count(10)
    expect(sweep.locator("details").first).to_contain_text("lr=0.1 seed=3 failed after")
    expect(sweep.locator("summary").first).to_contain_text("ValueError: no convergence with <b>lr</b> = 0.1")
    expect(failed).to_contain_text("ZeroDivisionError: division by zero")
    expect(failed).to_contain_text("<img src=x onerror=alert(1)>")
    expect(unset).to_contain_text("completed, but `nosuch` was never set")
    expect(hostile).to_contain_text("text </pre><b>bold</b>")
    hostile.frame_locator("iframe").locator("img").wait_for(state="attached")
    assert notebook.page.evaluate("() => window.canary ?? null") is None
    table = notebook.run(5)
    expect(table.locator(".hopx-frame tbody tr")).to_have_count(10)
    expect(table).to_contain_text("6 of 10 completed, 4 failed")
    expect(table).to_contain_text("exit 1: ValueError: no convergence with <b>lr</b> = 0.1")
    for name, line in {"sweep": sweep, "table": table, "failed": failed, "unset": unset, "hostile": hostile}.items():
        shots.keep(line, name)
    assert barriers(notebook.page, "hopx-line") == []
    notebook.theme("JupyterLab Dark")
    notebook.resize(560)
    shots.keep(sweep, "sweep in the dark, narrow")
    shots.keep(failed, "failed in the dark, narrow")
    notebook.resize(1280)

    saved = notebook.save()
    for cell in saved.cells:  # as somebody else's notebook: nothing in it is trusted
        cell.metadata.pop("trusted", None)
        cell.id = cell.id[::-1]
        cell.source += " "
    saved.cells[3].outputs[0].data["text/html"] = "<b>running, says somebody</b>"
    saved.cells[3].outputs[0].metadata["hopx"]["ended"] = False
    nbformat.write(saved, notebook.path)
    notebook.reload(save=False)
    expect(notebook.output(3)).to_contain_text("completed, but `nosuch` was never set")
    expect(notebook.output(3).get_by_role("button")).to_have_count(0)
    notebook.forget_complaints()


FITS = """import hopx_magics as hopx
code = '''import sys
for n in range(1, 5001):
    print(f"step {n} <b>loss</b> {lr}")
print("no loss", file=sys.stderr)'''
hopx.sweep(code, {"lr": [0.1, 0.2]}, name="fit").wait()"""
GREP = r"""%hopx_grep "step (70|4900) .*loss|no loss" --name fit"""


def test_found_lines_lead_to_their_places(open_notebook: OpenNotebook, shots: Shots, barriers: FindBarriers) -> None:
    notebook = open_notebook(LOAD, FITS, GREP)
    notebook.run(0)
    notebook.run(1)
    found = notebook.run(2)
    row = found.locator("tbody tr").filter(has_text="lr=0.1")
    expect(found).to_contain_text("6 lines in 2 runs")
    expect(found.locator("mark").first).to_have_text("step 70 <b>loss")
    early, late, other = (row.get_by_role("button", name=name, exact=True) for name in ("70", "4900", "1"))

    def shows(text: str) -> None:
        line = found.locator(".hopx-output:visible .hopx-line", has_text=text)
        expect(line).to_be_in_viewport()
        expect(found.locator(".hopx-find-status")).to_contain_text("1 of 1")

    early.focus()
    notebook.page.keyboard.press("Enter")
    shows("step 70 <b>loss</b> 0.1")
    expect(early).to_have_attribute("aria-expanded", "true")
    shots.keep(found, "found early")
    late.click()
    shows("step 4900 <b>loss</b> 0.1")
    other.click()
    expect(found.get_by_role("tab", name="stderr")).to_have_attribute("aria-selected", "true")
    expect(found.locator(".hopx-output:visible .hopx-line").first).to_have_text("no loss")
    expect(early).to_have_attribute("aria-expanded", "false")
    found.locator("tbody tr").filter(has_text="lr=0.2").get_by_role("button", name="70", exact=True).click()
    shows("step 70 <b>loss</b> 0.2")
    expect(found.locator("[aria-expanded=true]")).to_have_count(1)
    expect(found.locator(".hopx-viewer")).to_have_count(1)
    assert barriers(notebook.page, "hopx-found") == []
    notebook.theme("JupyterLab Dark")
    notebook.resize(700)
    shots.keep(found, "found, dark, narrow")
    notebook.resize(1280)
    late.focus()
    notebook.page.keyboard.press("Enter")
    shows("step 4900 <b>loss</b> 0.1")
    notebook.page.keyboard.press("Escape")
    expect(found.locator(".hopx-viewer")).to_have_count(0)
    expect(late).to_be_focused()

    notebook.reload()
    early.click()
    shows("step 70 <b>loss</b> 0.1")
    notebook.page.evaluate(NO_KERNEL)
    expect(found.get_by_role("button")).to_have_count(0)
    expect(found.locator(".hopx-viewer")).to_have_count(0)
    expect(row.first).to_contain_text("70")
    exported, _ = HTMLExporter().from_filename(str(notebook.path))
    kept = exported.partition("<hopx-found")[2].partition("</hopx-found")[0]
    assert ">4900</span>" in kept
    assert "<button" not in kept
