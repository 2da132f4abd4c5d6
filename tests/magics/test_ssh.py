"""Cells on a machine that is reached by ssh: as on this one, and kept when the way there breaks."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from IPython.core.error import UsageError

from hopx_magics import __version__, api
from hopx_magics.errors import ResultError, SshError
from tests.standins.sshd import Machine
from tests.waiting import is_running, wait_until

Cell = Callable[[str], Any]


@pytest.fixture
def cell(gpu: Machine, cell: Cell) -> Cell:
    api.session.cache_clear()
    return cell


def ssh_pids() -> list[int]:
    """The processes of ssh that this program has begun."""
    return [child.pid for child in psutil.Process().children() if child.name() == "ssh" and is_running(child.pid)]


def test_a_cell_there_is_a_cell(cell: Cell, gpu: Machine) -> None:
    connection = cell("%hopx_connect ssh://gpu --as box")
    assert repr(connection) == "<Connection box: ssh://gpu>"
    assert cell("%hopx_connect")[["name", "url", "current"]].to_numpy().tolist()[0] == ["box", "ssh://gpu", True]
    cell("import pandas as pd\nframe = pd.DataFrame({'a': [1, 2, None]})\nclass Point: pass")
    run = cell(
        "%%hopx_bg --name fit --param k=2 --out clean,shape\nimport os\nclean = frame.dropna() * k\n"
        "shape = Point()\nprint(os.getcwd(), os.environ['HOME'])\n!echo shell\nclean.a.sum()"
    )
    assert run.wait().status == "completed"
    assert run.stdout.splitlines()[:2] == [f"{gpu.home}/hopx/box {gpu.home}", "shell"]
    assert run.result() == 6
    assert run["clean"].a.tolist() == [2.0, 4.0]
    assert type(run["shape"]).__name__ == "Point", "it is loaded like what this machine has left"
    assert [display["output_type"] for display in run.displays] == ["execute_result"]
    assert cell("%hopx_sh pwd").stdout == f"{gpu.home}/hopx/box\n"
    frame = cell("%hopx_ps")
    assert frame[["name", "status", "connection"]].to_numpy().tolist() == [["fit", "completed", "box"]]
    assert list(cell("%hopx_history").connection) == ["box"]


def test_what_runs_there_goes_on_without_a_connection(cell: Cell) -> None:
    cell("%hopx_connect ssh://gpu")
    run = cell("%%hopx_bg --name long\nimport time\nprint('begun', flush=True)\ntime.sleep(600)")
    wait_until(lambda: run.stdout, "it has begun")  # and the way there is open
    (ssh,) = ssh_pids()
    (control,) = [word for word in psutil.Process(ssh).cmdline() if word.startswith("ControlPath=")]
    assert Path(control.partition("=")[2]).exists()
    cell("%hopx_disconnect gpu")
    wait_until(lambda: not is_running(ssh), "ssh has ended")
    assert not Path(control.partition("=")[2]).exists()
    again = cell("%hopx_connect ssh://gpu")
    assert cell("%hopx_ps").status.tolist() == ["running"]
    assert cell("%hopx_connect ssh://gpu") is again
    assert len(ssh_pids()) == 1
    assert cell("%hopx_kill long").result.tolist() == ["killed"]
    assert cell("%hopx_ps").status.tolist() == ["killed"]


def test_nothing_is_loaded_that_may_run_code_where_that_is_said(cell: Cell) -> None:
    cell("%hopx_connect ssh://gpu --no-trust")
    cell("class Point: pass")
    run = cell("%%hopx_bg --out shape,n\nshape, n = Point(), 7")
    assert run.wait()["n"] == 7
    with pytest.raises(ResultError, match="was written on gpu in a form that may run any code"):
        run["shape"]


def test_what_is_only_for_ssh_says_so(cell: Cell) -> None:
    for line, says in (
        ("https://agent.example.org --token-env HOME --setup x", "are for what is reached by ssh"),
        ("local --no-trust", "are for what is reached by ssh"),
        ("ssh://gpu --resume", "--resume is not for what ssh leads to"),
        ("ssh://-oProxyCommand=touch", "no name of a host"),
        ("ssh://gpu --as local", "taken by another connection"),
    ):
        with pytest.raises(UsageError, match=says):
            cell(f"%hopx_connect {line}")
    with pytest.raises(SshError, match=r"no Python 3\.11"):
        cell("%hopx_connect ssh://gpu --python /no/python")
    assert ssh_pids() == []


def test_the_queue_there_is_one(cell: Cell, gpu: Machine) -> None:
    cell("%hopx_connect ssh://gpu")
    marks = gpu.home / "tries"
    first = cell(
        "%%hopx_bg --name prep --retry 1 --retry-delay 0 --out n\n"
        f"tries = open({str(marks)!r}, 'a+')\ntries.seek(0)\nn = len(tries.read())\ntries.write('x')\ntries.close()\n"
        "print('try', n)\nassert n\nn"
    )
    after = cell("%%hopx_bg --name fit --after prep --cpus 1 --memory 1GB\nprint('fitted')")
    assert after.wait().stdout == "fitted\n"
    assert first.wait().status == "completed"
    assert (first.stdout, first.result(), first["n"]) == ("try 1\n1\n", 1, 1)
    assert sorted(cell("%hopx_ps").status) == ["completed", "completed", "failed"]
    cell("%hopx_pause --queue")
    waiting = cell("%%hopx_bg --name later --kill-leftovers\nimport subprocess\nsubprocess.Popen(['sleep', '600'])")
    assert waiting.status == "queued"
    cell("%hopx_resume --queue")
    waiting.wait()
    assert cell("%hopx_ps later").leftovers.isna().all(), "its end was that of all that it started"


@pytest.mark.timeout(400)
def test_it_is_installed_there_and_used_from_then_on(cell: Cell, gpu: Machine) -> None:
    gpu.stop()
    del gpu.environment["PYTHONPATH"]
    gpu.set_path(Path(sys.base_prefix, "bin"))
    gpu.start()
    with pytest.raises(SshError, match="lacks hopx_magics"):
        cell("%hopx_connect ssh://gpu")
    said: list[str] = []
    connection = api.connect.connect("ssh://gpu", install=True, say=said.append)
    assert said[0] == f"sending hopx_magics {__version__} to gpu"
    assert said[-1] == "gpu: installed"
    run = cell("%%hopx_bg\nimport sys\nprint(sys.prefix)")
    assert run.wait().stdout == f"{gpu.home}/.local/share/hopx_magics/ssh/venv\n"
    assert cell("%hopx_connect ssh://gpu") is connection, "without --install, from then on"
    venv = gpu.home / ".local/share/hopx_magics/ssh/venv"
    (package,) = venv.glob("lib/*/site-packages/hopx_magics/__init__.py")
    package.write_text(package.read_text().replace(__version__, "0.0.1"))
    with pytest.raises(SshError, match=r"has hopx_magics 0\.0\.1"):
        cell("%hopx_connect ssh://gpu")
    assert cell("%hopx_connect ssh://gpu --install") is connection, "its agent is the same"
    assert cell("%hopx_ps").status.tolist() == ["completed"]
