"""A live table where nobody can click: a notebook that runs as a job, a terminal, a pipe, an exported page."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pexpect
import pytest
from nbconvert import HTMLExporter

from hopx_magics.settings import Settings
from tests.kernels import run_notebook
from tests.waiting import DEADLINE

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def job(state: Settings, tmp_path: Path) -> Callable[..., Any]:
    """Runs cells as a job does, and returns the notebook."""

    def run(*cells: str) -> Any:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        return run_notebook(notebook, tmp_path)

    return run


def test_a_job_keeps_the_last_state_as_html(job: Callable[..., Any]) -> None:
    notebook = job(
        "%load_ext hopx_magics",
        "%%hopx_bg --name <b>bold</b> -q\nimport time; time.sleep(1)",
        "%%hopx_bg --name broken -q\nraise SystemExit(3)",
        "%hopx_watch --sort name",
        "%hopx_wait --no-raise\nNone",
        "print('the next cell')",
    )
    (table,) = notebook.cells[3].outputs
    assert WIDGET not in table.data, "nobody is there who could click"
    assert "✓ completed" in table.data["text/html"]
    assert "✗ failed" in table.data["text/html"]
    assert "&lt;b&gt;bold&lt;/b&gt;" in table.data["text/html"]
    assert "1 completed, 1 failed" in table.data["text/html"]
    assert re.search(r"as of 20\d\d-", table.data["text/html"])
    assert re.search(r"✗ failed +broken", table.data["text/plain"])
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert "✓ completed" in page
    assert "<b>bold</b>" not in page.split("hopx-static")[-1].split("</table>")[0]


def test_a_closed_table_keeps_its_last_state(job: Callable[..., Any]) -> None:
    notebook = job(
        "%load_ext hopx_magics",
        "%%hopx_bg --name done -q\npass",
        "%hopx_wait",
        "w = %hopx_ps --watch\nw",
        "w.close()\nlen(w.frame())",
    )
    (table,) = notebook.cells[3].outputs
    assert "✓ completed" in table.data["text/html"]
    assert notebook.cells[4].outputs[0].data["text/plain"] == "1"


def test_of_a_closed_table_nothing_stays_in_the_kernel_but_its_rows(job: Callable[..., Any]) -> None:
    notebook = job(
        "import gc\nimport hopx_magics as hopx\nfrom comm import get_comm_manager\nhopx.launch('print(1)').wait()",
        "before = len(get_comm_manager().comms)\nfor _ in range(3):\n    w = hopx.watch()\n    w.close()",
        "len(get_comm_manager().comms) - before",
        "len(w.frame()), int(w.frame()['stdout'].notna().sum())",
        "from hopx_magics.live.table import LiveTable\ngc.collect()\n"
        "sum(isinstance(each, LiveTable) for each in gc.get_objects())",
    )
    told = [cell.outputs[-1].data["text/plain"] for cell in notebook.cells[2:]]
    assert told == ["0", "(1, 0)", "1"]


def test_unloading_the_extension_closes_the_table(job: Callable[..., Any]) -> None:
    notebook = job("%load_ext hopx_magics", "w = %hopx_watch\nw", "%unload_ext hopx_magics\nw.closed")
    assert notebook.cells[2].outputs[0].data["text/plain"] == "True"


def test_without_the_extension_it_shows_itself_too(job: Callable[..., Any]) -> None:
    notebook = job("import hopx_magics as hopx\nhopx.launch('pass', name='a').wait()\nhopx.watch()")
    data = notebook.cells[0].outputs[-1].data
    assert WIDGET in data
    assert "✓ completed" in data["text/html"]


@pytest.fixture
def terminal(state: Settings, tmp_path: Path) -> Iterator[pexpect.spawn]:
    environ = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "TERM": "xterm"}
    command = "-m IPython --simple-prompt --no-banner --colors=nocolor --HistoryManager.enabled=False"
    child = pexpect.spawn(
        sys.executable, command.split(), env=environ, cwd=str(tmp_path), encoding="utf-8", timeout=DEADLINE,
        dimensions=(30, 120),
    )  # fmt: skip
    child.expect(r"In \[1\]: ")
    yield child
    child.close(force=True)


def test_a_terminal_shows_it_in_place_until_ctrl_c(terminal: pexpect.spawn, tmp_path: Path) -> None:
    terminal.sendline("%load_ext hopx_magics")
    terminal.expect(r"In \[2\]: ")
    os.mkfifo(tmp_path / "gate")
    terminal.sendline("import hopx_magics as hopx; r = hopx.launch('open(\"gate\")', name='slow')")
    terminal.expect(r"In \[3\]: ")
    terminal.sendline("%hopx_watch")
    terminal.expect("▸ running.*slow")
    terminal.expect(r"\x1b\[1A")  # the cursor goes back up: refreshed in place
    (tmp_path / "gate").write_text("")
    terminal.expect("✓ completed.*slow")
    terminal.sendintr()
    terminal.expect(r"In \[4\]: ")
    terminal.sendline("w = %hopx_watch\nlen(w.frame())")
    terminal.expect(r"Out\[\d\]: 1")


def test_a_pipe_gets_it_once(state: Settings, tmp_path: Path) -> None:
    code = "%load_ext hopx_magics\nimport hopx_magics as h\nh.launch('pass', name='a').wait()\n%hopx_watch\n"
    environ = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}
    shown = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=nocolor", "--no-banner"],
        input=code,
        env=environ, capture_output=True, text=True, check=True, timeout=DEADLINE,
    )  # fmt: skip
    assert shown.stdout.count("✓ completed") == 1
    assert "1 completed" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_a_run_is_shown_in_colours_in_a_terminal(terminal: pexpect.spawn) -> None:
    terminal.sendline("%load_ext hopx_magics")
    terminal.expect(r"In \[2\]: ")
    terminal.sendline("import hopx_magics as hopx; r = hopx.launch('for x in []: pass', name='coloured').wait()")
    terminal.expect(r"In \[3\]: ")
    terminal.sendline("%hopx_show coloured")
    terminal.expect("completed in")
    terminal.expect("\x1b\\[[0-9;]*m *for\x1b")
