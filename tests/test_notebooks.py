"""Notebooks in a real kernel: what a cell shows, what it shows later, and what survives a kernel."""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient.exceptions import CellExecutionError

from hopx_magics.settings import Settings
from tests import kernels
from tests.standins.hopx import cloud
from tests.standins.sshd import Machine, require_sshd
from tests.waiting import DEADLINE, wait_until

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))

Notebook = nbformat.NotebookNode
RunNotebook = Callable[..., Notebook]
StartKernel = Callable[[], tuple[KernelManager, Any]]


@pytest.fixture
def run_notebook(state: Settings, tmp_path: Path) -> RunNotebook:
    """Runs cells, or a notebook, from top to bottom in a fresh kernel, and returns the notebook with its outputs."""

    def run(*cells: str, notebook: Notebook | None = None) -> Notebook:
        if notebook is None:
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        return kernels.run_notebook(notebook, tmp_path)

    return run


def shown(cell: Notebook, mime: str = "text/plain") -> str:
    return "".join(output.get("data", {}).get(mime, "") or output.get("text", "") for output in cell.outputs)


@pytest.fixture
def sandboxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account of HopX, as far as tests can have one."""
    with cloud(tmp_path) as hopx:
        hopx.plane.host = lambda: hopx.agent().url
        monkeypatch.setenv("HOPX_API_KEY", hopx.plane.key)
        monkeypatch.setenv("HOPX_BASE_URL", hopx.plane.url)
        yield
    shutil.rmtree("/tmp/hopx_results", ignore_errors=True)  # where its runs write, as on a machine of their own


@pytest.fixture
def another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine `gpu1` that ssh leads to."""
    require_sshd()
    machine = Machine(tmp_path / "gpu1", "gpu1")
    monkeypatch.setenv("HOPX_SSH", machine.ssh)
    machine.start()
    yield
    machine.stop()
    machine.clear()


def has_been_on_both_machines(notebook: Notebook) -> None:
    shows = {cell.source: cell for cell in notebook.cells if cell.cell_type == "code"}
    (table,) = (shown(cell) for source, cell in shows.items() if source.startswith("df = %hopx_history"))
    assert {"local", "gpu1"} <= set(re.findall(r"\w+", table))
    assert shown(shows["report.result()"]) == "3"
    (picture,) = (cell for source, cell in shows.items() if source.startswith("picture.wait"))
    assert shown(picture, "image/png") or "image/png" in shown(picture, "text/html")
    assert "ssh" in shown(shows["%hopx_doctor gpu1"])


def says_what_became_of_its_sandboxes(notebook: Notebook) -> None:
    said = {cell.source.split("\n")[0]: shown(cell) for cell in notebook.cells if cell.cell_type == "code"}
    (created,) = (text for source, text in said.items() if source.startswith("%hopx_connect --new"))
    assert created.startswith("2 of 2 ready after ")
    assert said["%hopx_extend work-1 2h"].startswith("work-1 lives until ")
    assert said["%hopx_disconnect work-1 --delete"].endswith(" is deleted, with all that was in it")


@pytest.mark.usefixtures("sandboxes")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(
    path: Path, run_notebook: RunNotebook, request: pytest.FixtureRequest
) -> None:
    if path.stem == "elsewhere":
        request.getfixturevalue("another_machine")
    notebook = run_notebook(notebook=nbformat.read(path, as_version=4))
    if path.stem == "cloud":
        says_what_became_of_its_sandboxes(notebook)
    if path.stem == "elsewhere":
        has_been_on_both_machines(notebook)
    assert len([cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]) > 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in notebook.cells)


def test_the_line_below_a_cell_follows_its_run(run_notebook: RunNotebook) -> None:
    notebook = run_notebook(
        "%load_ext hopx_magics",
        "%%hopx_bg --name good\nimport time; time.sleep(0.5)",
        "%%hopx_bg --name <b>bad</b>\nimport sys; print('<script>', file=sys.stderr); raise ValueError('no such data')",
        "%%hopx_bg --name quiet -q\npass",
        "%hopx_wait --no-raise",
        "print('the next cell')",
    )
    _, good, bad, quiet, wait, after = notebook.cells
    assert len(good.outputs) == 1, "the Run is shown once, as the line"
    assert re.search(r"good proc_\w+ on local: completed in \d", shown(good))
    assert "completed in" in shown(good, "text/html")
    assert "✓" in shown(good, "text/html")
    assert "failed after" in shown(bad)
    assert "ValueError: no such data" in shown(bad, "text/html")
    assert "<script" not in shown(bad, "text/html")
    assert "<b>bad" not in shown(bad, "text/html")
    assert quiet.outputs == []
    assert "3 of 3 ended" in shown(wait)
    assert "widgets" not in notebook.metadata, "nobody is there who could be told anything later"
    assert shown(after) == "the next cell\n"


def test_the_page_of_a_job_says_how_its_runs_have_ended(state: Settings, tmp_path: Path) -> None:
    cells = (
        "%load_ext hopx_magics",
        "%%hopx_bg --name fit\nimport time; time.sleep(0.5)\n40 + 2",
        "%%hopx_bg --name all --sweep n=1,0\n1 / n",
        "%hopx_wait --no-raise;",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, tmp_path / "job.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "html", str(tmp_path / "job.ipynb")]
    with kernels.kernel_config() as config:
        options = [f"--KernelManager.{name}={value}" for name, value in config.KernelManager.items()]
        subprocess.run([*command, *options], check=True, capture_output=True, timeout=2 * DEADLINE)
    page = (tmp_path / "job.html").read_text()
    assert re.search(r"completed in \d", page)
    assert ">42<" in page
    assert "ZeroDivisionError: division by zero" in page
    assert "running" not in re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)


def test_the_line_below_a_cell_lives(start_kernel: StartKernel, tmp_path: Path) -> None:
    """Its time goes on while nothing changes, it tells how far the cell is, and at its end what the cell has shown."""
    _, client = start_kernel()
    execute(client, "%load_ext hopx_magics\nimport numpy as np\nlosses = np.ones(3)")
    cell = f"""%%hopx_bg --name fit
import os, time
print("Epoch 2/4: loss 0.5", flush=True)
while not os.path.exists({str(tmp_path / "go")!r}):
    time.sleep(0.02)
losses.sum()
"""
    client.execute(cell)
    texts: list[str] = []

    def says(pattern: str) -> bool:
        message = client.get_iopub_msg(timeout=DEADLINE)
        if message["msg_type"] in ("display_data", "update_display_data"):
            texts.append(re.sub("<[^>]*>", "", message["content"]["data"]["text/html"]))
        return bool(texts and re.search(pattern, texts[-1]))

    wait_until(lambda: says("running for (?![01] s)"), "its time goes on")
    assert "50 % · Epoch 2/4: loss 0.5 · as of " in texts[-1]
    assert " · with losses" in texts[-1]
    (tmp_path / "go").touch()
    wait_until(lambda: says("completed in"), "it has ended")
    assert "np.float64(3.0)" in texts[-1]
    assert "as of" not in texts[-1]


def test_a_job_ends_with_lines_that_are_right(run_notebook: RunNotebook) -> None:
    notebook = run_notebook(
        "%load_ext hopx_magics", "%%hopx_bg -o run --out model,nosuch\nmodel = 1\n'its value'", "run.result()"
    )
    assert "completed in" in shown(notebook.cells[1])
    assert "'its value'" in shown(notebook.cells[1])
    assert "completed, but `nosuch` was never set" in shown(notebook.cells[1])


def test_a_failed_run_stops_the_notebook(run_notebook: RunNotebook) -> None:
    with pytest.raises(CellExecutionError) as caught:
        run_notebook(
            "%load_ext hopx_magics", "%%hopx_bg\nraise ValueError('deep')", "%hopx_wait", "print('not reached')"
        )
    assert caught.value.ename == "RunFailed"
    assert "ValueError: deep" in caught.value.traceback


def test_a_mistake_stops_the_notebook(run_notebook: RunNotebook) -> None:
    with pytest.raises(CellExecutionError) as caught:
        run_notebook("%load_ext hopx_magics", "%hopx_ps --statsu running")
    assert caught.value.ename == "UsageError"
    assert "did you mean --status?" in caught.value.evalue


def test_a_run_can_be_awaited(run_notebook: RunNotebook) -> None:
    notebook = run_notebook(
        "import hopx_magics as hopx", "run = await hopx.launch('import time; time.sleep(0.3)')\nrun.process.status"
    )
    assert shown(notebook.cells[-1]) == "'completed'"


# ---------------------------------------------------------------- kernels that die


@pytest.fixture
def start_kernel(state: Settings, tmp_path: Path) -> Iterator[StartKernel]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(kernels.kernel(tmp_path))


def execute(client: Any, code: str) -> str:
    """Runs code in a kernel, and returns what it printed; fails on an error."""
    printed: list[str] = []

    def take(message: Any) -> None:
        content = message["content"]
        printed.append(content.get("text", "") or "\n".join(content.get("traceback", [])))

    reply = client.execute_interactive(code, output_hook=take, timeout=DEADLINE)
    assert reply["content"]["status"] == "ok", "".join(printed)
    return "".join(printed)


def test_a_kernel_is_killed_while_its_run_works(start_kernel: StartKernel, tmp_path: Path) -> None:
    go = tmp_path / "go"
    manager, client = start_kernel()
    execute(client, "%load_ext hopx_magics")
    cell = f"""%%hopx_bg --name survivor
import os, time
print("before", flush=True)
while not os.path.exists({str(go)!r}):
    time.sleep(0.02)
print("after")
"""
    execute(client, cell)
    manager.shutdown_kernel(now=True)
    wait_until(lambda: not manager.is_alive(), "the kernel is dead")
    _, client = start_kernel()
    execute(client, "%load_ext hopx_magics\nimport hopx_magics as hopx")
    assert execute(client, "run = hopx.attach('survivor'); print(run.status)").strip() == "running"
    go.touch()
    execute(client, "%hopx_wait survivor")
    assert execute(client, "print(run.stdout, run.exit_code)") == "before\nafter\n 0\n"


def test_an_interrupt_ends_the_waiting_and_not_the_run(start_kernel: StartKernel) -> None:
    manager, client = start_kernel()
    execute(client, "%load_ext hopx_magics")
    execute(client, "%%hopx_bg --name endless -o run\nimport time; time.sleep(1000)")
    # stop_on_error: what is sent while the kernel still aborts what stood behind the interrupted cell, it aborts, too
    message_id = client.execute("%hopx_wait endless", stop_on_error=False)

    def shows(message_type: str) -> bool:
        message = client.get_iopub_msg(timeout=DEADLINE)
        return message["parent_header"].get("msg_id") == message_id and message["msg_type"] == message_type

    wait_until(lambda: shows("display_data"), "it says how far waiting has come")
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=DEADLINE)
    while reply["parent_header"]["msg_id"] != message_id:
        reply = client.get_shell_msg(timeout=DEADLINE)
    assert reply["content"]["status"] == "error"
    assert reply["content"]["traceback"][0].startswith("Stopped waiting. Still going on: proc_")
    assert execute(client, "print(run.status)") == "running\n"
