"""Cells on a machine that is reached by ssh: as on this one, and kept when the way there breaks."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from IPython.core.error import UsageError
from traitlets import TraitError

from hopx_magics import __version__, api
from hopx_magics.api.connect import connect
from hopx_magics.errors import AgentWarning, HopxError, ResultError, SshError, UnknownConnection
from hopx_magics.settings import read_settings
from tests.conftest import clean_up
from tests.magics.completing import completions
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


def test_a_cell_there_is_in_a_folder_of_its_own_and_what_it_leaves_is_trusted(cell: Cell, gpu: Machine) -> None:
    connection = cell("%hopx_connect ssh://gpu --as box")
    assert repr(connection) == "<Connection box: ssh://gpu>"
    assert cell("%hopx_connect")[["name", "url", "current"]].to_numpy().tolist()[0] == ["box", "ssh://gpu", True]
    cell("class Point: pass")
    run = cell("%%hopx_bg --name fit --out shape\nimport os\nshape = Point()\nprint(os.getcwd(), os.environ['HOME'])")
    assert run.wait().stdout == f"{gpu.home}/hopx/box {gpu.home}\n"
    assert type(run["shape"]).__name__ == "Point", "it is loaded like what this machine has left"
    assert cell("%hopx_sh pwd").stdout == f"{gpu.home}/hopx/box\n"
    cell("%hopx_connect ssh://gpu --as again\n%hopx_connect local\n%hopx_connect box")
    assert cell("%hopx_ps --on all").connection.tolist() == ["box"], "an agent is asked once, by the current connection"
    assert list(cell("%hopx_history").connection) == ["box"]
    wait_until(lambda: "shape" in str(cell("%hopx_history").values_out[0]), "the history has what it has left")
    api.session().close()
    api.session.cache_clear()
    assert type(cell("import hopx_magics\nhopx_magics.attach('fit')")["shape"]).__name__ == "Point", "and so it is then"


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
        ("ssh://gpu --resume", "--resume is not for ssh"),
        ("ssh://-oProxyCommand=touch", "no name of a host"),
        ("ssh://gpu --as local", "taken by another connection"),
    ):
        with pytest.raises(UsageError, match=says):
            cell(f"%hopx_connect {line}")
    for word in ("gpu", "me@gpu", "ssh:gpu"):
        with pytest.raises(
            UnknownConnection, match=f"A machine that ssh leads to is ssh://{word.removeprefix('ssh:')}"
        ):
            cell(f"%hopx_connect {word}")
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
    after = cell("%%hopx_bg --name fit --after prep --cpus 1 --memory 1GB --out m\nprint(prep)\nm = prep['n'] + 1")
    assert after.wait().stdout == "<prep: n>\n"
    assert first.wait().status == "completed"
    assert (first.stdout, first.result(), first["n"]) == ("try 1\n1\n", 1, 1)
    assert sorted(cell("%hopx_ps").status) == ["completed", "completed", "failed"]
    cell("import pandas as pd\nfrom argparse import Namespace as Point")
    cell(
        "%%hopx_bg --name part --sweep n=1,2 --out table,point -o parts\n"
        "table, point = pd.DataFrame({'a': [n, None]}), Point(x=n)"
    )
    whole = cell("%%hopx_bg --after parts,fit\n[(part['table'].a[0], part['point'].x) for part in parts], fit['m']")
    assert whole.result() == ([(1.0, 1), (2.0, 2)], 2)
    cell("%hopx_pause --queue")
    waiting = cell("%%hopx_bg --name later --kill-leftovers\nimport subprocess\nsubprocess.Popen(['sleep', '600'])")
    assert waiting.status == "queued"
    cell("%hopx_resume --queue")
    waiting.wait()
    assert cell("%hopx_ps later").leftovers.isna().all(), "its end was that of all that it started"


@pytest.mark.timeout(1800)
def test_it_is_installed_there_and_used_from_then_on(cell: Cell, gpu: Machine) -> None:
    gpu.stop()
    del gpu.environment["PYTHONPATH"]
    gpu.set_path(Path(sys.base_prefix, "bin"))
    gpu.start()
    with pytest.raises(SshError, match="lacks hopx_magics"):
        cell("%hopx_connect ssh://gpu")
    said: list[str] = []
    connection = connect("ssh://gpu", install=True, say=said.append)
    assert said[:2] == ["connecting to gpu", f"sending hopx_magics {__version__} to gpu"]
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


@pytest.mark.parametrize("by", ["rsync", "tar"])
def test_the_folder_of_the_notebook_is_copied_there_and_results_come_back(
    cell: Cell, gpu: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    project = tmp_path / "project"
    for name in ("train.py", "data/it's $1 `x`.csv", "data/line\nend", "big/weights.bin", "data/skip.tmp", "-rf"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    (project / "run.sh").symlink_to("train.py")
    (project / ".gitignore").write_text("big/\n*.tmp\n")
    (project / "train.py").chmod(0o755)
    monkeypatch.chdir(project)
    if by == "tar":
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in ("ssh", "git"):
            (tools / tool).symlink_to(shutil.which(tool) or "")
        monkeypatch.setenv("PATH", str(tools))
    there = gpu.home / "hopx" / "gpu"
    there.mkdir(parents=True)
    (there / "kept").touch()
    said: list[str] = []
    connect("ssh://gpu", sync=True, say=said.append)
    assert said == ["connecting to gpu", f"copying 6 files, 63 bytes, to {there}"]
    expected = {".gitignore", "-rf", "data", "data/it's $1 `x`.csv", "data/line\nend", "kept", "run.sh", "train.py"}
    assert {str(path.relative_to(there)) for path in there.rglob("*")} == expected
    assert (there / "run.sh").readlink() == Path("train.py")
    assert (there / "train.py").stat().st_mode & 0o111
    (project / "train.py").write_text("print('trained')\nopen('model', 'w').write('good')")
    (project / "helper.py").write_text("word = 'helped'")
    cell("%hopx_connect ssh://gpu --sync")
    assert (there / "helper.py").exists()
    run = cell("%%hopx_bg --name t\nfrom helper import word\nimport train\nprint(word)")
    assert run.wait().stdout == "trained\nhelped\n", run.stderr
    assert sorted(cell("%hopx_ls").name)[0] == "-rf"
    monkeypatch.chdir(tmp_path)
    assert cell("%hopx_get model").read_text() == "good"
    cell("%hopx_put model results/")
    assert (there / "results" / "model").read_text() == "good"
    assert cell("%hopx_ls results").path.tolist() == [f"{there}/results/model"]
    for outside in ("/etc/passwd", "../../.profile"):
        with pytest.raises(HopxError, match=r"(?s)Its agent serves files in .*/hopx/gpu and beside that"):
            cell(f"%hopx_get {outside}")
    monkeypatch.chdir(Path.home())
    with pytest.raises(UsageError, match="as a whole is not copied"):
        cell("%hopx_connect ssh://gpu --sync")


def test_the_next_kernel_knows_the_connection_by_its_name(
    cell: Cell, shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    cell("%hopx_connect ssh://gpu --as box --setup 'export WORD=kept' --no-trust")
    cell("%%hopx_bg --name long\nimport time, os\nprint(os.environ.get('WORD'), flush=True)\ntime.sleep(600)")
    cell("%hopx_ps")
    api.session().close()
    api.session.cache_clear()
    with pytest.warns(AgentWarning, match="runs of an earlier kernel may go on on box: %hopx_connect box connects"):
        assert cell("%hopx_ps").empty
    known = cell("%hopx_connect").set_index("name")
    assert known.loc["box", ["url", "current", "connected"]].tolist() == ["ssh://gpu", False, False]
    with pytest.raises(UnknownConnection, match="%hopx_connect box connects to it again"):
        cell("%hopx_ps --on box")
    assert completions(shell, "%hopx_connect b") == ["box"]
    connection = cell("%hopx_connect box")
    assert (connection.name, connection.trusted, connection.way.setup) == ("box", False, "export WORD=kept")
    assert cell("%hopx_ps").stdout.tolist() == ["kept\n"]
    assert cell("%hopx_connect box --sync") is connection
    assert cell("%hopx_connect").connected.tolist() == [True, True]
    assert sorted(cell("%hopx_connect --forget box").name) == ["box", "local"], "this kernel is still connected"
    cell("%hopx_disconnect box")
    assert cell("%hopx_connect").name.tolist() == ["local"]
    with pytest.raises(UnknownConnection, match="nothing is kept of a connection 'box'"):
        cell("%hopx_connect --forget box")
    kept = api.session().settings.state_folder / "connections"
    assert list(kept.iterdir()) == []


def test_the_default_connection_is_made_when_it_is_first_needed(cell: Cell, shell: Any, gpu: Machine) -> None:
    def configure(target: str) -> None:
        shell.magics_manager.registry["HopxMagics"].connection = target

    cell("%hopx_connect ssh://gpu --as box")
    api.session().close()
    api.session.cache_clear()
    for target, says in (
        ("bix", r"no connection is named 'bix'; did you mean 'box'\?"),
        ("ssh://-o", "no name of a host"),
    ):
        with pytest.raises(TraitError, match=f"HopxMagics.connection: .*{says}"):
            configure(target)
    try:
        cell("%config HopxMagics.connection = 'box'")
        known = cell("%hopx_connect").set_index("name")
        assert known.loc["box", ["current", "connected"]].tolist() == [True, False]
        assert cell("%hopx_ps --on local").empty
        assert ssh_pids() == [], "it is not needed yet"
        assert cell("%%hopx_bg\nimport os\nos.getcwd()").wait().result() == f"{gpu.home}/hopx/box"
        assert cell("%hopx_connect").set_index("name").loc["box", ["current", "connected"]].tolist() == [True, True]
        cell("%hopx_connect local")
        assert cell("%hopx_ps").empty
        configure("ssh://nobody")
        for _ in range(2):
            with pytest.raises(SshError, match=r"(?s)ssh to nobody: .* It is the default, %config HopxMagics"):
                cell("%hopx_ps")
        configure("")
        assert cell("%hopx_ps").empty
    finally:
        shell.config.pop("HopxMagics", None)


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"target": 5}', b'{"target": "\xff", "agent": ""}'])
def test_what_is_kept_of_connections_may_be_broken(hopx: Any, content: bytes) -> None:
    folder = api.session().settings.state_folder / "connections"
    folder.mkdir(parents=True)
    (folder / "box.json").write_bytes(content)
    assert hopx.connections().name.tolist() == ["local"]
    with pytest.raises(UnknownConnection):
        hopx.connect("box")


def test_a_sweep_is_spread_over_several_machines_with_their_gpus(cell: Cell, gpu: Machine) -> None:
    cell("%hopx_connect ssh://gpu --as gpu1 --setup 'export HOPX_GPUS=3'")
    cell(f"%hopx_connect ssh://gpu --as gpu2 --setup 'export HOPX_GPUS=5 HOPX_STATE_DIR={gpu.folder}/t'")
    try:
        cell("base = 10")
        sweep = cell(
            "%%hopx_bg --on gpu1,gpu2 --name fit --sweep n=1:6 --gpus 1 --out total -o sweep\n"
            "import os\ntotal = base + n\nos.environ['CUDA_VISIBLE_DEVICES']"
        )
        assert {run.wait().status for run in sweep} == {"completed"}
        assert sorted(run["total"] for run in sweep) == [11, 12, 13, 14, 15, 16]
        assert {(run.connection, run.result()) for run in sweep} == {("gpu1", "3"), ("gpu2", "5")}
        assert len(cell("%hopx_ps --on gpu1,gpu2")) == 6
        many = cell("%%hopx_bg --on gpu1 --name many --sweep n=1:60 --yes -o many\nn * base")
        assert [run.wait().result() for run in many] == [n * 10 for n in range(1, 61)]
    finally:
        other = {"HOPX_STATE_DIR": f"{gpu.folder}/t", "HOPX_HISTORY": f"{gpu.folder}/history.sqlite"}
        clean_up(read_settings({**gpu.environment, **other}))
