"""The same on every kind of connection; what one can't do, the README's table and one sentence of each magic say."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

import hopx_magics
from hopx_magics import api
from hopx_magics.connection.connection import Connection
from hopx_magics.errors import HopxError, NotSupported, RunFailed
from hopx_magics.session.session import Session
from tests.conftest import stop_agent
from tests.contributing import ROOT
from tests.standins.hopx import HopX, cloud
from tests.waiting import wait_until

Cell = Callable[[str], Any]


def this_machine(request: pytest.FixtureRequest) -> Connection:
    return hopx_magics.connect("local")


def by_ssh(request: pytest.FixtureRequest) -> Connection:
    request.getfixturevalue("gpu")
    api.session.cache_clear()
    return hopx_magics.connect("ssh://gpu")


def sandbox(request: pytest.FixtureRequest) -> Connection:
    hopx_cloud: HopX = request.getfixturevalue("hopx_cloud")
    api.session.cache_clear()
    return hopx_magics.connect(hopx_cloud.sandbox(), name="sandbox")


def url(request: pytest.FixtureRequest) -> Connection:
    found = request.getfixturevalue("elsewhere").connection().agent.transport.endpoint
    return hopx_magics.connect(found.url, name="there", token=found.token)


KINDS = {
    "this machine": this_machine,
    "ssh": by_ssh,
    "HopX sandbox": sandbox,
    "URL of our agent": url,
}
"""What connects to a machine of each kind, which the README's table calls so. See test_ray.py for Ray clusters."""


@pytest.fixture
def hopx_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HopX]:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with cloud(tmp_path) as made:
        monkeypatch.setenv("HOPX_API_KEY", made.plane.key)
        monkeypatch.setenv("HOPX_BASE_URL", made.plane.url)
        yield made


@pytest.fixture
def elsewhere(hopx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session of another user, say, whose local agent serves by its URL, too."""
    with monkeypatch.context() as patched:
        patched.setenv("HOPX_STATE_DIR", str(tmp_path / "other"))
        other = Session()
        other.connection().listing()
    yield other
    other.close()
    stop_agent(other.settings)


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest, cell: Cell) -> Connection:
    """A connection of each kind, which is the current one."""
    return KINDS[request.param](request)


def test_a_cell_is_launched_listed_and_leaves_what_it_has(cell: Cell, there: Connection) -> None:
    cell("import pandas as pd\nframe = pd.DataFrame({'a': [1, 2, None]})\ndef double(x): return 2 * x")
    run = cell(
        "%%hopx_bg --name fit --param k=3 --tag of=kinds --out clean,n\n"
        "import sys\nprint('beside', file=sys.stderr)\nclean = frame.dropna() * double(k)\nn = len(clean)\n"
        "display(clean)\n!echo shell\nclean.a.sum()"
    )
    assert run.wait().status == "completed"
    assert run.result() == 18
    assert run["n"] == 2
    cell("%hopx_pull fit clean=mine")
    pd.testing.assert_frame_equal(cell("mine"), pd.DataFrame({"a": [6.0, 12.0]}))
    assert [each["output_type"] for each in run.displays] == ["display_data", "execute_result"]
    assert (run.stdout.splitlines()[-2:], run.stderr) == (["shell", run.stdout.splitlines()[-1]], "beside\n")
    (row,) = cell("%hopx_ps --name fit").to_dict("records")
    shown = {name: row[name] for name in ("name", "status", "exit_code", "connection")}
    assert list(shown.values()) == ["fit", "completed", 0, there.name]
    assert str(cell("%hopx_logs fit --tail 2")).splitlines()[0] == "shell"
    kept = cell("%hopx_history").iloc[0]
    assert (kept["param.k"], kept["tag.of"], kept.connection, kept.status) == (3, "kinds", there.name, "completed")
    wait_until(lambda: cell("%hopx_history").displays.tolist() == [2], "the history has what it has shown")
    assert {"clean", "frame"} <= {*re.findall(r"\w+", str(cell("%hopx_show fit")))}


def test_it_is_followed_and_killed_with_all_that_it_started(cell: Cell, there: Connection, tmp_path: Path) -> None:
    os.mkfifo(gate := tmp_path / "gate")
    code = f"echo begun; read line < {gate}; echo $line; sleep 600 & echo $! > {tmp_path}/child; wait"
    run = cell(f"%%hopx_bg --name long --lang bash\n{code}")
    followed = there.outputs.follow(run.process_id, ("stdout",))
    assert next(followed) == ("stdout", "begun\n")
    with ThreadPoolExecutor() as pool:
        more = pool.submit(next, followed)
        gate.write_text("through\n")
        assert more.result() == ("stdout", "through\n")
    child = int(
        wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), "it has a child")
    )
    assert cell("%hopx_ps --status running").name.tolist() == ["long"]
    assert cell("%hopx_kill --all").result.tolist() == ["killed"]
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", "it is dead")
    assert cell("%hopx_ps --name long").status.tolist() in (["killed"], ["unknown"])


def test_a_sweep_is_waited_for_and_what_fails_says_why(cell: Cell, there: Connection) -> None:
    runs = cell("%%hopx_bg --name sweep --sweep lr=1,0 --limit 1 -o runs\nprint(f'loss: {1 / lr}')")
    with pytest.raises(RunFailed, match=r"(?s)lr=0.*ZeroDivisionError"):
        cell("%hopx_wait runs")
    assert [(run.params["lr"], run.status, run.exit_code) for run in runs] == [(1, "completed", 0), (0, "failed", 1)]
    again = cell("%hopx_rerun {runs[1]} --param lr=2")
    assert again.wait().stdout == "loss: 0.5\n"
    if "files" in there.features:
        assert cell("%hopx_sh echo $((6 * 7))").stdout == "42\n"
    else:
        with pytest.raises(NotSupported, match=r"no commands run here .*\n%%hopx_bg --lang bash launches one"):
            cell("%hopx_sh echo $((6 * 7))")


# ---------------------------------------------------------------- what only some can do


TABLE = re.findall(r"(?m)^\|.*\|$", "| where |" + (ROOT / "README.md").read_text().partition("| where |")[2])


def cells(line: str) -> list[str]:
    return [each.strip() for each in line.strip("|").split("|")]


IN_README = {
    kind: {feature for feature, mark in zip(cells(TABLE[0])[1:], marks, strict=True) if mark}
    for kind, *marks in map(cells, TABLE[2:])
}


def test_the_readme_tells_what_each_kind_can_do(request: pytest.FixtureRequest, there: Connection) -> None:
    assert cells(TABLE[0])[1:] == list(hopx_magics.FEATURES)
    assert there.features == IN_README[request.node.callspec.params["there"]]


NEED = {
    "%%hopx_bg --first\n1": "queue",
    "%hopx_queue --slots 2": "queue",
    "%hopx_pause --queue": "queue",
    "%hopx_pause ended": "queue",
    "%%hopx_bg --gpus 1\n1": "resources",
    "%%hopx_bg --cpus 1 --memory 1GB\n1": "resources",
    "%%hopx_bg --kill-leftovers\n1": "leftovers",
    "%%hopx_bg --notify\n1": "notices",
    "%%hopx_bg --stop-when loss>1\n1": "bounds",
    "%%hopx_bg --sweep n=1:4 --keep-best '1 loss'\n1": "bounds",
}
"""What takes which feature."""


def test_what_one_can_not_do_is_said_in_a_sentence(
    request: pytest.FixtureRequest, there: Connection, cell: Cell
) -> None:
    can = IN_README[request.node.callspec.params["there"]]
    cell("%%hopx_bg --name ended\n1").wait()
    before = len(cell("%hopx_ps"))
    for magic in [magic for magic, feature in NEED.items() if feature not in can]:
        with pytest.raises(HopxError) as refused:
            cell(magic)
        what, instead = str(refused.value).splitlines()
        assert there.name in what, magic
        assert instead
    assert len(cell("%hopx_ps")) == before, "nothing was launched"
