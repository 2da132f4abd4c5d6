"""The live table below a cell, as a person finds their way in it."""

from playwright.sync_api import Locator, expect

from tests.browser.notebook import NotebookPage

LOAD = "%load_ext hopx_magics\nimport hopx_magics as hopx"
SLEEPER = "import time\nprint('on', flush=True)\ntime.sleep(1000)"


# What a notebook keeps of its last cell but one, once it has been renewed.
KEPT = """() => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(cell =>
  cell.outputs ?? [])).includes("1 completed, 1 failed")"""


class Table:
    """The live table below a cell."""

    def __init__(self, notebook: NotebookPage, root: Locator) -> None:
        self.notebook = notebook
        self.root = root

    def row(self, name: str) -> Locator:
        return self.root.locator(".hopx-row").filter(has=self.root.page.get_by_text(name, exact=True))

    def cell(self, name: str, column: str) -> Locator:
        return self.row(name).locator(f"[data-column='{column}']")

    def header(self, column: str) -> Locator:
        return self.root.locator(f"[role=columnheader][data-column='{column}']")

    def chip(self, status: str) -> Locator:
        return self.root.locator(f".hopx-chip[data-status='{status}']")

    @property
    def names(self) -> list[str]:
        """The names from top to bottom."""
        return self._column("name")

    @property
    def statuses(self) -> list[str]:
        """The statuses from top to bottom."""
        return [status.lstrip("◌▸✓✗■? ").strip() for status in self._column("status")]

    def _column(self, column: str) -> list[str]:
        cells = self.root.locator(".hopx-row").evaluate_all(
            """(rows, column) => rows.filter(row => row.offsetParent && !row.hidden)
                 .map(row => [Number(row.ariaRowIndex), row.querySelector(`[data-column="${column}"]`).innerText])
                 .sort((a, b) => a[0] - b[0])""",
            column,
        )
        return [text for _, text in cells]

    @property
    def fresh(self) -> Locator:
        return self.root.locator(".hopx-fresh")

    @property
    def viewer(self) -> Locator:
        return self.root.locator(".hopx-viewer")

    def pane(self, stream: str = "stdout") -> Locator:
        return self.viewer.locator(f".hopx-output[data-stream={stream}]")

    @property
    def lines(self) -> Locator:
        """The lines of stdout."""
        return self.pane().locator(".hopx-line")

    @property
    def last_line(self) -> str:
        """The last line of stdout that is not empty."""
        texts = [text.strip() for text in self.lines.all_inner_texts()]
        return next((text for text in reversed(texts) if text), "")

    @property
    def error_lines(self) -> Locator:
        """The lines of stderr."""
        return self.pane("stderr").locator(".hopx-line")

    def open(self, name: str) -> Locator:
        self.row(name).dblclick()
        expect(self.viewer).to_be_visible()
        return self.viewer

    def expect_names(self, *names: str) -> None:
        self.notebook.wait_until(lambda: self.names == list(names), f"the rows are {names}")


def table_in(notebook: NotebookPage, cell: int) -> Table:
    root = notebook.output(cell).locator(".hopx-watch")
    root.wait_for()
    return Table(notebook, root)


def launches(**codes: str) -> str:
    return "\n".join(f"hopx.launch({code!r}, name={name!r})" for name, code in codes.items()) + "\nNone"
