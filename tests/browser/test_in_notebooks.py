"""How the live table lives with its notebook: a busy kernel, reloads, restarts, what is saved, agents that fail."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook, Shots, WatchIn
from tests.browser.notebook import PANEL, NotebookPage
from tests.browser.table import KEPT, LOAD, SLEEPER, launches, table_in
from tests.conftest import OddAgent
from tests.standins.server import Asked

BUSY = {"sleeping": "time.sleep(0.5)", "computing": "sum(range(1000))"}
IS_BUSY = f"""() => {{ {PANEL} return kernel?.status === "busy"; }}"""


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_a_busy_kernel_goes_on_showing_and_killing(
    open_notebook: OpenNotebook, watch_in: WatchIn, tmp_path: Path, busy: str
) -> None:
    over = tmp_path / "over"
    busy = f"import os, time\nwhile not os.path.exists({str(over)!r}): {busy}"
    noisy = "import itertools, time\nfor i in itertools.count(): print('step', i, flush=True); time.sleep(0.02)"
    notebook = open_notebook(LOAD, launches(victim=SLEEPER, noisy=noisy), "%hopx_watch", busy + "\nprint('over')")
    table = watch_in(notebook, 2)
    expect(table.cell("victim", "status")).to_contain_text("running")
    notebook.start(3)
    notebook.page.wait_for_function(IS_BUSY)
    table.open("noisy")
    expect(table.lines.filter(has_text="step")).not_to_have_count(0)
    first = table.last_line
    table.row("victim").hover()
    table.row("victim").locator("[data-action=kill]").click()
    table.row("victim").locator("[data-action=kill-yes]").click()
    expect(table.cell("victim", "status")).to_contain_text("killed")
    notebook.wait_until(lambda: table.last_line != first, "more is shown")
    assert "over" not in notebook.output(3).inner_text(), "all that happened while the cell was running"
    over.touch()


def views(notebook: NotebookPage) -> list[dict[str, Any] | None]:
    """How the page showed the table, as it told the kernel."""
    return [message.data["view"] for message in notebook.traffic.messages if message.data and "view" in message.data]


def test_reload_and_second_tab(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    notebook = open_notebook(LOAD, launches(a=SLEEPER, b="print('from b')"), "%hopx_watch")
    table = watch_in(notebook)
    table.header("name").click()
    table.open("b")
    expect(table.lines.first).to_have_text("from b")
    notebook.wait_until(
        lambda: any(view and view["viewers"] for view in views(notebook)), "the view is told to the kernel"
    )
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
    one_after_the_other = launches(a="print('some output')") + "\nhopx.wait()\n" + launches(b="raise SystemExit(2)")
    notebook = open_notebook(LOAD, one_after_the_other, "hopx.wait()\n%hopx_watch", "w = _\nw.close()")
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
    expect(table.fresh).to_have_attribute("data-state", "silent")
    expect(table.fresh).to_contain_text("no answer for")
    expect(table.cell("far", "status")).to_contain_text("running")
    shots.keep(table.root, "silent")
    broken = False
    expect(table.fresh).to_have_attribute("data-state", re.compile("live|updated"))


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
    assert table.root.locator(".hopx-row").count() < 60, "what is not seen is not drawn"
    shots.keep(table.root, "10000")
    notebook.resize(480)
    table.root.scroll_into_view_if_needed()
    shots.keep(table.root, "narrow")


def test_lost_messages_are_noticed_and_made_good(
    open_notebook: OpenNotebook, watch_in: WatchIn, tmp_path: Path
) -> None:
    gate = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'gate')!r}): time.sleep(0.1); "
    notebook = open_notebook(
        LOAD + "\nfrom IPython.display import clear_output",
        "%hopx_watch",
        gate + "print('x' * 400_000); clear_output(wait=True)",
        "%hopx_doctor",
    )
    table = watch_in(notebook, 1)
    expect(table.root).to_contain_text("No processes yet")
    notebook.execute(launches(ticks=gate + "print('step 1/40', flush=True)", short="import time; time.sleep(1.5)"))
    notebook.start(2)

    def has_lost_some() -> bool:
        numbers = [m.data["number"] for m in notebook.traffic.messages if m.data and "number" in m.data]
        return any(number != before + 1 for before, number in itertools.pairwise(numbers))

    notebook.wait_until(has_lost_some, "the server has dropped some messages")
    (tmp_path / "gate").touch()
    notebook.wait_idle()
    expect(table.cell("ticks", "status")).to_contain_text("completed")
    expect(table.cell("short", "status")).to_contain_text("completed")
    found = notebook.run(3).locator(".hopx-document tr", has_text="page: messages")
    expect(found).to_contain_text("did not reach a page")
    expect(found).to_contain_text("iopub_msg_rate_limit")


def test_a_notice_when_a_long_process_ends(
    open_notebook: OpenNotebook, watch_in: WatchIn, context: Any, tmp_path: Path
) -> None:
    context.grant_permissions(["notifications"])
    go = tmp_path / "go"
    long = f"import os, time\ntime.sleep(11)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)"
    notebook = open_notebook(LOAD, launches(long=long, short="pass"), "%hopx_watch --notify")
    notebook.page.evaluate("""() => { window.told = []; const Real = window.Notification;
      window.Notification = class extends Real {
        constructor(title, options) { super(title, options); window.told.push(title + " " + (options?.body ?? "")); }
      }; }""")
    table = watch_in(notebook)
    expect(table.root.locator(".hopx-bell")).to_have_attribute("aria-pressed", "true")
    expect(table.cell("short", "status")).to_contain_text("completed")
    go.touch()
    expect(table.cell("long", "status")).to_contain_text("completed")
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
    time.sleep(0.3 if epoch < 8 else 1000)
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
