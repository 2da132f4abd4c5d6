"""Real JupyterLab in real Chromium.

All tests of one worker share one server and one browser. Each has a folder, notebook, kernel, local agent and page of
its own.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, sync_playwright

from hopx_magics.settings import Settings
from tests.browser.notebook import NotebookPage, write_notebook
from tests.browser.server import JupyterServer
from tests.browser.table import Table, table_in
from tests.conftest import pictures

HOW_TO_GET_CHROMIUM = (
    "no Chromium: `apt-get install chromium` or `.venv/bin/playwright install chromium`,"
    " or HOPX_CHROMIUM=/path/to/chromium"
)
# No sandbox: it can't be had in most containers, and only pages of this test are opened. The rest keeps Chromium quiet.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.when != "teardown":
        item.stash[failed] = item.stash.get(failed, False) or report.failed
    return report


# ---------------------------------------------------------------- what all tests share


def chromium_path(playwright: Playwright) -> str | None:
    """The Chromium that HOPX_CHROMIUM names, else the machine's own, else the one that Playwright installs."""
    chosen = os.environ.get("HOPX_CHROMIUM")
    candidates = [chosen] if chosen else ["chromium", "chromium-browser", playwright.chromium.executable_path]
    return next((found for name in candidates if (found := shutil.which(name))), None)


# Playwright keeps an event loop running in this thread: it must be gone before other tests run theirs.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = chromium_path(playwright)
        if path is None:
            missing = pytest.fail if os.environ.get("CI") or os.environ.get("HOPX_REQUIRE_BROWSER") else pytest.skip
            missing(HOW_TO_GET_CHROMIUM)
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """JupyterLab. Its root is the folder in which every test's `tmp_path` is."""
    server = JupyterServer("lab", tmp_path_factory.mktemp("lab"), tmp_path_factory.getbasetemp())
    yield server
    server.close()


@pytest.fixture(scope="package")
def notebook7(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Notebook 7, which shows one notebook a page and no side bars."""
    server = JupyterServer("notebook", tmp_path_factory.mktemp("notebook7"), tmp_path_factory.getbasetemp())
    yield server
    server.close()


# ---------------------------------------------------------------- what each test has


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of the test's own: no cookies, no permissions."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    yield context
    context.close()


OpenNotebook = Callable[..., NotebookPage]


@pytest.fixture
def open_notebook(
    state: Settings, context: BrowserContext, tmp_path: Path, request: pytest.FixtureRequest, shots: "Shots"
) -> Iterator[OpenNotebook]:
    """Writes a notebook of the cells and opens it with a fresh kernel; runs nothing yet.

    Kernel and test have the same local agent, that of `state`. Errors in a widget's scripts fail the test.
    """
    opened: list[NotebookPage] = []

    def open_it(*cells: str, server: str = "lab") -> NotebookPage:
        path = write_notebook(tmp_path / f"notebook{len(opened) or ''}.ipynb", *cells)
        notebook = NotebookPage(request.getfixturevalue(server), context, path)
        opened.append(notebook)
        notebook.wait_idle()
        notebook.only_notebook()
        notebook.theme("JupyterLab Light")
        return notebook

    yield open_it
    if request.node.stash.get(failed, False):
        for page in context.pages:
            shots.keep(page, "failed")
        said = "\n".join(f"{entry.type}: {entry.text}" for notebook in opened for entry in notebook.console)
        request.node.add_report_section("teardown", "console of the page", said)
    complaints = [complaint for notebook in opened for complaint in notebook.complaints()]
    for page in context.pages:
        page.close()
    for server in {notebook.server for notebook in opened}:
        server.end_kernels(tmp_path)
    assert not complaints


WatchIn = Callable[..., Table]


@pytest.fixture
def watch_in() -> WatchIn:
    """Runs the cells of a notebook up to `%hopx_watch`, its last one by default, and finds the table."""

    def start(notebook: NotebookPage, cell: int = -1) -> Table:
        cells = notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
        last = cell % cells
        for index in range(last + 1):
            notebook.run(index)
        return table_in(notebook, last)

    return start


class Shots:
    """Pictures of what a test sees, in one folder for all tests."""

    def __init__(self, folder: Path, test: str) -> None:
        self.folder = folder
        self._test = re.sub(r"\W+", "-", test.removeprefix("test_")).strip("-")

    def keep(self, what: Page | Locator, name: str) -> Path:
        """Takes a picture; the file's name says which test and what of it."""
        path = self.folder / f"{self._test}--{name}.png"
        what.screenshot(path=path, animations="disabled")
        return path


@pytest.fixture
def shots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shots:
    """Takes pictures into HOPX_SHOTS, or into a folder that the end of the run names."""
    config = request.config
    if pictures not in config.stash:
        chosen = os.environ.get("HOPX_SHOTS")
        config.stash[pictures] = Path(chosen) if chosen else tmp_path_factory.mktemp("shots", numbered=False)
        config.stash[pictures].mkdir(parents=True, exist_ok=True)
    return Shots(config.stash[pictures], request.node.name)


FindBarriers = Callable[[Page, str], list[str]]


@pytest.fixture
def barriers() -> FindBarriers:
    """What axe finds wrong for people who can't see or point, in the part of a page that a selector names."""

    def find(page: Page, selector: str) -> list[str]:
        options = {"runOnly": AXE_RULES, "resultTypes": ["violations"]}
        found = Axe().run(page, context=selector, options=options).response["violations"]
        return [
            f"{rule['id']}: {rule['help']}: {node['html']} {node['failureSummary']}"
            for rule in found
            for node in rule["nodes"]
        ]

    return find
