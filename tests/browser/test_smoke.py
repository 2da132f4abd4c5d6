"""The ground that the other browser tests stand on."""

import time

import pytest
from playwright.sync_api import expect

from hopx_magics.session.session import Session
from tests.browser.conftest import FindBarriers, OpenNotebook, Shots

COUNTER = """
import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    _esm = '''export default { render({model, el}) {
      const button = document.createElement("button");
      button.className = "hopx-test";
      const draw = () => { button.textContent = "kernel saw " + model.get("n"); };
      draw();
      model.on("change:n", draw);
      button.onclick = () => {
        try { model.send({click: 1}); } catch (error) { button.title = error.message; }
      };
      el.append(button); } }'''
    _css = ".hopx-test { color: var(--jp-ui-font-color1); background: var(--jp-layout-color1); }"
    n = traitlets.Int(0).tag(sync=True)
counter = Counter()
counter.on_msg(lambda widget, content, buffers: setattr(counter, "n", counter.n + 1))
counter
"""


@pytest.mark.parametrize("server", ["lab", "notebook7"])
def test_a_widget_lives_through_clicks_reloads_and_restarts(
    open_notebook: OpenNotebook, shots: Shots, barriers: FindBarriers, server: str
) -> None:
    notebook = open_notebook(COUNTER, "print(6 * 7)", server=server)
    button = notebook.run(0).locator(".hopx-test")
    expect(button).to_have_text("kernel saw 0")
    expect(notebook.run(1)).to_have_text("42")
    with notebook.meter() as cost:
        button.click()
        expect(button).to_have_text("kernel saw 1")
    assert [message.data for message in cost.comm("to_kernel")] == [{"click": 1}]
    assert 300 < cost.received < 1500
    assert cost.task_ms > 0
    assert barriers(notebook.page, ".hopx-test") == []
    shots.keep(notebook.page, f"{server}-light")
    notebook.theme("JupyterLab Dark")
    shots.keep(notebook.page, f"{server}-dark")
    assert barriers(notebook.page, ".hopx-test") == []

    notebook.save()
    second = notebook.second_tab()
    expect(second.output(0).locator(".hopx-test")).to_have_text("kernel saw 1")
    second.page.locator(".hopx-test").click()
    expect(button).to_have_text("kernel saw 2")
    second.close()

    notebook.reload()
    expect(button).to_have_text("kernel saw 2")

    notebook.restart_kernel()
    button.click()
    expect(button).to_have_attribute("title", "Cannot send")
    expect(button).to_have_text("kernel saw 2")


def test_kernel_and_test_have_one_agent(open_notebook: OpenNotebook, session: Session) -> None:
    notebook = open_notebook("%load_ext hopx_magics", "%%hopx_bg --name slow -o run\nimport time; time.sleep(1000)")
    notebook.run_all()
    (process,) = session.connection().listing(tail=0).processes
    assert notebook.execute("print(run.process_id)").strip() == process.process_id
    notebook.watch("killed", "() => document.body.innerText.includes('killed after')")
    asked = time.time()
    session.connection().kill([process.process_id])
    assert notebook.moment("killed") > asked


def test_a_widget_that_throws_is_told_of(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(COUNTER.replace("draw();", "setTimeout(() => { throw new Error('mistake'); });", 1))
    notebook.run(0)
    notebook.page.wait_for_function("() => document.querySelector('.hopx-test')")
    notebook.wait_until(notebook.complaints, "the mistake is told")
    (complaint,) = notebook.complaints()
    assert "mistake" in complaint
    notebook.forget_complaints()
