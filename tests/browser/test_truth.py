"""What the live table says is so: why there is nothing, what waits for what, where the output is, what is saved."""

from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenNotebook, Shots, WatchIn
from tests.browser.table import LOAD, SLEEPER, launches, table_in
from tests.browser.traffic import Direction

FACTS = """list => [...list.children].map(fact => {
  const [label, value] = [...fact.children].map(element => element.getBoundingClientRect());
  return {apart: value.left - label.right, level: value.top - label.top, wraps: label.height > 30, value: value.width};
})"""
FAILS = "import sys\nprint('much ' * 400)\nsys.exit('no such data')"
SILENT_FAILURE = "raise SystemExit('only this')"


def in_sight(element: Locator) -> bool:
    """Whether at least the head of it can be seen."""
    box, height = element.bounding_box(), element.page.evaluate("() => window.innerHeight")
    return box is not None and box["y"] >= 0 and box["y"] + min(box["height"], 60) <= height


def test_a_queue_says_what_it_waits_for_and_filters_say_what_they_leave(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots
) -> None:
    sweep = f"hopx.sweep({SLEEPER!r}, {{'n': [1, 2, 3, 4, 5]}}, limit=2, name='swept')"
    launch = f"hopx.launch('pass', name='done').wait()\n{sweep}\nNone"
    notebook = open_notebook(LOAD, launch, "%hopx_watch", "%hopx_watch --name zzz*")
    table = watch_in(notebook, 2)
    rows = table.root.locator(".hopx-row")
    expect(rows.filter(has_text="queued")).to_have_count(3)
    assert table.statuses == ["running"] * 2 + ["queued"] * 3 + ["completed"]
    expect(rows.filter(has_text="place 2: limit 2 of its sweep")).to_have_count(1)
    shots.keep(table.root, "queued")
    notebook.theme("JupyterLab Dark")
    shots.keep(table.root, "queued in the dark")
    notebook.theme("JupyterLab Light")
    notebook.resize(520)
    shots.keep(table.root, "queued, narrow")
    notebook.resize(1280)
    search = table.root.get_by_label("Search processes")
    search.fill("nowhere")
    expect(table.root).to_contain_text('none of 6 matches "nowhere"')
    shots.keep(table.root, "nothing found")
    search.fill("")
    notebook.run(3)
    empty = table_in(notebook, 3)
    expect(empty.root).to_contain_text("none of 6 matches --name zzz*")
    shots.keep(empty.root, "nothing matches")


def test_what_is_saved_is_the_state_of_its_moment(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    notebook = open_notebook(LOAD, launches(going=SLEEPER), "%hopx_watch")
    table = watch_in(notebook)
    table.root.evaluate("root => { root.theSame = true; }")
    table.root.get_by_label("Search processes").fill("o")
    expect(table.cell("going", "status")).to_contain_text("running")
    notebook.wait_until(lambda: "▸ running" in str(notebook.save().cells[2]), "the running process is saved")
    notebook.execute("hopx.launch('pass', name='short one').wait()")
    table.row("short one").wait_for()
    notebook.wait_until(lambda: "✓ completed" in str(notebook.save().cells[2]), "the last state is saved")
    output = notebook.save().cells[2].outputs[-1]
    assert "application/vnd.jupyter.widget-view+json" in output.data
    assert "short one" in output.data["text/plain"]
    assert table.root.evaluate("root => root.theSame"), "and nothing was drawn anew"
    expect(table.root.get_by_label("Search processes")).to_be_focused()


def test_a_table_whose_cell_ran_again_is_told_nothing_more(open_notebook: OpenNotebook, watch_in: WatchIn) -> None:
    notebook = open_notebook(LOAD, launches(going=SLEEPER), "%hopx_watch")
    table = watch_in(notebook)
    notebook.run(2)
    expect(table.cell("going", "status")).to_contain_text("running")
    seen = len(notebook.traffic.messages)

    def kinds(direction: Direction, kind: str) -> list[str | None]:
        told = [message for message in notebook.traffic.messages[seen:] if message.direction == direction]
        return [one.comm_id for one in told if kind in ((one.data or {}).get("kind"), (one.data or {}).get("do"))]

    for count in range(1, 4):  # what asked once for what is kept of it would ask again with the next change
        notebook.execute(f"hopx.launch('pass', name='short {count}').wait()")
        table.row(f"short {count}").wait_for()
        notebook.wait_until(lambda: len(kinds("to_kernel", "static")) >= count, "it is asked what is to be kept")  # noqa: B023
    assert len({*kinds("to_page", "changes"), *kinds("to_kernel", "static")}) == 1


def test_a_failure_is_opened_where_it_says_something(
    open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots
) -> None:
    codes = {"good": "print('fine')", "both": FAILS, "silent": SILENT_FAILURE}
    notebook = open_notebook(LOAD, launches(**codes) + "\nhopx.wait()\nNone", "%hopx_watch")
    table = watch_in(notebook)
    viewer = table.open("good")
    viewer.locator("[data-tab=stderr]").click()
    viewer.locator("[data-tab=stdout]").click()
    table.row("silent").dblclick()
    expect(table.error_lines.first).to_have_text("only this")
    expect(viewer.locator("[data-tab=stderr]")).to_have_text("stderr 10 bytes")
    expect(viewer.locator("[data-tab=stdout]")).to_have_text("stdout 0 bytes")
    shots.keep(table.root, "silent")
    table.row("both").dblclick()
    expect(table.lines.first).to_contain_text("much much")
    expect(viewer.locator("[data-tab=stderr]")).to_have_text("stderr 13 bytes")
    table.row("good").dblclick()
    expect(table.lines.first).to_have_text("fine")


def test_labels_stand_before_their_values(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    params = {"model": "resnet", "a_parameter_whose_name_is_much_longer_than_others_" * 2: "value", "lr": 0.1}
    launch = f"hopx.launch('pass', name='run', params={params!r}, tags={{'exp': 'first'}}).wait()"
    notebook = open_notebook(LOAD, launch, "%hopx_watch")
    table = watch_in(notebook)
    viewer = table.open("run")
    viewer.locator("[data-tab=details]").click()
    facts = viewer.locator(".hopx-facts")
    expect(facts).to_contain_text("parameter model")
    for width in (1280, 900):
        notebook.resize(width)
        told = facts.evaluate(FACTS)
        assert len(told) > 15
        assert any(fact["wraps"] for fact in told)
        for fact in told:
            assert fact["apart"] >= 8, fact
            assert abs(fact["level"]) < 2, fact
            assert fact["value"] > 100, fact
    viewer.evaluate("viewer => viewer.querySelector('.hopx-viewer-body').style.height = '620px'")
    shots.keep(viewer, "details")
    notebook.resize(480)
    shots.keep(viewer, "details, narrow")


def test_columns_keys_and_questions(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    notebook = open_notebook(LOAD, launches(one="print('a last line')") + "\nhopx.wait()\nNone", "%hopx_watch")
    table = watch_in(notebook)
    keyboard = notebook.page.keyboard
    table.root.get_by_role("button", name="Columns").click()
    menu = table.root.get_by_role("group", name="Columns")
    expect(table.cell("one", "last")).to_have_text("a last line")
    menu.get_by_text("Exit").click()
    expect(menu).to_be_visible()
    expect(table.cell("one", "exit_code")).to_have_text("0")
    expect(menu.get_by_label("Exit")).to_be_checked()
    shots.keep(notebook.page, "columns")
    keyboard.press("Escape")
    expect(menu).to_be_hidden()
    table.row("one").click()
    keyboard.press("?")
    keys = table.root.get_by_role("group", name="Keys")
    expect(keys).to_contain_text("launch again (asks first)")
    shots.keep(notebook.page, "keys")
    keyboard.press("Escape")
    expect(keys).to_be_hidden()
    expect(table.row("one")).to_be_focused()
    keyboard.press("r")
    expect(table.row("one").locator(".hopx-ask")).to_contain_text("Launch one again?")
    shots.keep(table.root, "asking")
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(table.root.locator(".hopx-ask")).to_have_count(0)
    expect(table.root.locator(".hopx-row")).to_have_count(1)


def test_each_viewer_that_opens_can_be_seen(open_notebook: OpenNotebook, watch_in: WatchIn, shots: Shots) -> None:
    codes = {name: f"print('from {name}')" for name in ("a", "b", "c")}
    notebook = open_notebook(LOAD, launches(**codes) + "\nhopx.wait()\nNone", "%hopx_watch")
    table = watch_in(notebook)
    for number, name in enumerate(codes, 1):
        table.row(name).dblclick()
        expect(table.viewer).to_have_count(number)
        opened = table.viewer.last
        notebook.wait_until(lambda opened=opened: in_sight(opened), f"the viewer of {name} is in sight")
        opened.locator("[data-action=pin]").click()
    shots.keep(notebook.page, "three")
