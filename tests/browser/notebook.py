"""A notebook in a page of a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import nbformat
import psutil
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page

from tests.browser.server import JupyterServer
from tests.browser.traffic import COLLECT_LONG_TASKS, Meter, Traffic
from tests.waiting import DEADLINE, wait_until

# `panel` is the notebook that is in front; `kernel` may be missing for a moment.
PANEL = "const panel = window.jupyterapp?.shell?.currentWidget; const kernel = panel?.sessionContext?.session?.kernel;"

IS_READY = f"""() => {{ {PANEL}
  return Boolean(panel?.context?.isReady && panel.content?.widgets?.length && kernel); }}"""

IS_IDLE = f"""() => {{ {PANEL}
  return kernel?.status === "idle"
    && panel.content.widgets.every(cell => cell.model.type !== "code" || cell.model.executionState !== "running"); }}"""

RUN_CELL = f"""async ([index, wait]) => {{ {PANEL}
  panel.content.activeCellIndex = index;
  panel.content.mode = "command";
  panel.content.deselectAll();
  const done = window.jupyterapp.commands.execute("notebook:run-cell");
  if (wait) await done; }}"""

EXECUTE = f"""async code => {{ {PANEL}
  const future = kernel.requestExecute({{code, store_history: false}});
  let printed = "";
  let failed = "";
  future.onIOPub = message => {{
    if (message.header.msg_type === "stream") printed += message.content.text;
    if (message.header.msg_type === "error") failed = message.content.traceback.join("\\n");
  }};
  await future.done;
  return [printed, failed]; }}"""

WATCH = """([name, condition]) => {
  const holds = eval(condition);
  window.hopxTestMoments ??= {};
  window.hopxTestMoments[name] = new Promise(resolve => {
    const look = () => { if (holds()) { observer.disconnect(); resolve(Date.now() / 1000); } };
    const observer = new MutationObserver(look);
    observer.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
    look();
  }); }"""


def write_notebook(path: Path, *cells: str) -> Path:
    """A notebook of code cells, or of Markdown where a cell begins with `#md `."""
    made = [
        nbformat.v4.new_markdown_cell(cell.removeprefix("#md "))
        if cell.startswith("#md ")
        else nbformat.v4.new_code_cell(cell)
        for cell in cells
    ]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernelspec}), path)
    return path


class NotebookPage:
    """Opens a notebook, runs its cells by the app's own commands, and tells what is seen."""

    def __init__(self, server: JupyterServer, context: BrowserContext, path: Path) -> None:
        self.server = server
        self.path = path
        self.console: list[ConsoleMessage] = []
        self.errors: list[Error] = []
        self.tabs: list[Self] = []
        self.page: Page = context.new_page()
        self.page.add_init_script(COLLECT_LONG_TASKS)
        self.page.on("console", lambda entry: self.console.append(entry))
        self.page.on("pageerror", lambda error: self.errors.append(error))
        self.traffic = Traffic(self.page)
        self.page.goto(server.address(path))
        self._wait_ready()

    # ---------------------------------------------------------------- cells

    def run(self, index: int) -> Locator:
        """Runs a cell, waits for its end, and returns its outputs."""
        self.page.evaluate(RUN_CELL, [index, True])
        return self.output(index)

    def start(self, index: int) -> Locator:
        """Runs a cell without waiting."""
        self.page.evaluate(RUN_CELL, [index, False])
        return self.output(index)

    def run_all(self) -> None:
        """Runs all cells, waits for their end."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_idle()

    def cell(self, index: int) -> Locator:
        return self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{index}']")

    def output(self, index: int) -> Locator:
        """The outputs of a cell."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    # ---------------------------------------------------------------- kernel

    def wait_idle(self) -> None:
        """Waits until the kernel has nothing to do."""
        self.page.wait_for_function(IS_IDLE, timeout=1000 * DEADLINE)

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        """Waits for what neither the page nor Playwright can wait for; fails with `what` if that does not come."""

        def holds() -> Any:
            self.page.wait_for_timeout(20)  # Playwright hears of the page only in its own calls
            return condition()

        wait_until(holds, what)

    def execute(self, code: str) -> str:
        """Runs code in the kernel outside of the notebook's cells, and returns what it printed."""
        printed, failed = self.page.evaluate(EXECUTE, code)
        assert not failed, failed
        return printed

    @property
    def kernel(self) -> psutil.Process:
        """The kernel's process. After a restart by the server it has another id."""
        return self.server.kernel(self.page.evaluate(f"() => {{ {PANEL} return kernel.id; }}"))

    def restart_kernel(self) -> None:
        """What the menu does after it has asked."""
        self.page.evaluate(f"async () => {{ {PANEL} await panel.sessionContext.restartKernel(); }}")
        self.wait_idle()

    def kill_kernel(self) -> None:
        """The kernel dies by itself. The server starts another in its place within some seconds."""
        self.kernel.kill()

    # ---------------------------------------------------------------- page

    def save(self) -> nbformat.NotebookNode:
        """Saves, and returns what is in the file then."""
        self.page.evaluate(f"async () => {{ {PANEL} await panel.context.save(); }}")
        return nbformat.read(self.path, as_version=4)

    def reload(self, *, save: bool = True) -> None:
        """The page is loaded again, the kernel lives on."""
        if save:
            self.save()
        self.page.reload()
        self._wait_ready()

    def second_tab(self) -> Self:
        """The same notebook and kernel in another tab of the same browser."""
        self.tabs.append(type(self)(self.server, self.page.context, self.path))
        return self.tabs[-1]

    def theme(self, name: str) -> None:
        """Switches to "JupyterLab Light", "JupyterLab Dark" or "JupyterLab Dark High Contrast"."""
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def only_notebook(self) -> None:
        """Folds the side bars, so that a picture shows the notebook."""
        self.page.evaluate("""() => { const shell = window.jupyterapp.shell;
          shell.collapseLeft?.(); shell.collapseRight?.(); }""")

    def resize(self, width: int, height: int = 900) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    # ---------------------------------------------------------------- measures

    def meter(self) -> Meter:
        """`with notebook.meter() as cost:` what happens inside: messages, main thread, long tasks, kernel."""
        return Meter(self.page, self.traffic, self.kernel)

    def watch(self, name: str, condition: str) -> None:
        """From now on the page looks for the first moment at which a JavaScript function is true."""
        self.page.evaluate(WATCH, [name, f"({condition})"])

    def moment(self, name: str) -> float:
        """Waits for what `watch` looks for, and returns when it was first true: comparable with `time.time()`."""
        return float(self.page.evaluate("name => window.hopxTestMoments[name]", name))

    def complaints(self) -> list[str]:
        """What went wrong in scripts that a widget brought, here and in further tabs. JupyterLab's are its own."""
        thrown = [str(error.stack or error.message) for error in self.errors]
        logged = [f"{entry.text} ({entry.location['url']})" for entry in self.console if entry.type == "error"]
        own = [text for text in thrown + logged if re.search(r"blob:|anywidget|hopx", text, re.IGNORECASE)]
        return own + [complaint for tab in self.tabs for complaint in tab.complaints()]

    def forget_complaints(self) -> None:
        """For a test that provoked them."""
        self.errors.clear()
        self.console.clear()

    def close(self) -> None:
        self.page.close()

    def _wait_ready(self) -> None:
        self.page.wait_for_function(IS_READY, timeout=1000 * DEADLINE)
