"""Agents and extensions of two versions: each works with the other, and an agent of another one makes way when idle.

`hopx_magics-0.1.0-py3-none-any.whl` is what was released: `python -m build --wheel` of the commit 06fecc3.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import hopx_magics
from hopx_magics import __version__, api
from hopx_magics.client.local import LocalAgent
from hopx_magics.errors import LaunchError
from hopx_magics.settings import Settings
from tests.conftest import agent_pid
from tests.standins.sshd import Machine
from tests.waiting import DEADLINE, is_running, wait_until

Use = Callable[..., Any]
"""Runs code with a package in a program of its own, and returns what its `told` is in the end."""

RELEASED = Path(__file__).parent / "hopx_magics-0.1.0-py3-none-any.whl"

GATED = "import os\nprint('begun', flush=True)\nprint('through', open({gate!r}).read())\nraise SystemExit(7)"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package that was released."""
    folder = tmp_path_factory.mktemp("released")
    with zipfile.ZipFile(RELEASED) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder with this package as another version, which knows no bounds of metrics."""
    package = tmp_path / "other" / "hopx_magics"
    shutil.copytree(Path(hopx_magics.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, was, is_now in (("__init__", __version__, "0.1.9"), ("local_agent/app", '"stop-when", ', "")):
        file = package / f"{name}.py"
        assert was in file.read_text()
        file.write_text(file.read_text().replace(was, is_now))
    return package.parent


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


@pytest.fixture(autouse=True)
def _one_place_of_each_version(state: Settings) -> None:
    assert state  # of which both know by the environment


def use(package: Path, code: str, environment: Mapping[str, str] = os.environ) -> Any:
    begin, end = "import json, hopx_magics as hopx\n", "\nprint(json.dumps(told))"
    command = [sys.executable, "-W", "error", "-c", begin + code + end]
    env = {**environment, "PYTHONPATH": str(package)}
    ran = subprocess.run(command, env=env, cwd=package, capture_output=True, text=True, timeout=DEADLINE)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def version_of_agent(state: Settings) -> str | None:
    left = LocalAgent(state).left()
    return left and left.version


def test_what_runs_on_the_released_agent_goes_on_with_this_extension(
    released: Path, hopx: Any, state: Settings, gate: Path
) -> None:
    pid = use(
        released,
        f"gated = hopx.launch({GATED.format(gate=str(gate))!r}, name='gated')\n"
        "hopx.launch('import time; time.sleep(1000)', name='long')\n"
        "hopx.sweep('import time; time.sleep(1000)', {'n': [1, 2]}, limit=1, name='waits')\n"
        "hopx.launch('raise SystemExit(3)', name='failed').wait()\n"
        "while not gated.stdout: pass\n"
        "told = gated.process_id",
    )
    former = agent_pid(state)
    assert version_of_agent(state) == "0.1.0"
    frame = hopx.ps().set_index("name")
    assert frame.status["gated"] == "running"
    assert sorted(frame.status["waits"]) == ["queued", "running"]
    assert (frame.status["failed"], frame.exit_code["failed"]) == ("failed", 3)
    assert former is not None
    assert not is_running(former), "it has no socket, and nobody else can be told from it at its port"
    assert version_of_agent(state) == __version__

    run = hopx.attach("gated")
    assert (run.process_id, run.stdout) == (pid, "begun\n")
    followed = api.session().connection().outputs.follow(run.process_id, ("stdout",))
    text = next(followed)[1]
    with ThreadPoolExecutor() as pool:
        rest = pool.submit(lambda: "".join(each for _, each in followed))
        gate.write_text("the gate")
        assert text + rest.result() == "begun\nthrough the gate\n"
    assert (run.wait().status, run.exit_code) == ("failed", 7)
    assert hopx.kill("long").result.tolist() == ["killed"]
    assert hopx.kill("waits").result.tolist() == ["killed", "killed"]
    assert hopx.launch("print('new')", name="new").wait().stdout == "new\n"
    assert len(hopx.ps()) == 6
    assert dict(zip(hopx.history().name, hopx.history().status, strict=True)) == {
        "gated": "failed",
        "long": "killed",
        "waits": "killed",
        "failed": "failed",
        "new": "completed",
    }


def test_the_released_extension_works_with_this_agent(
    released: Path, hopx: Any, state: Settings, tmp_path: Path, gate: Path
) -> None:
    run = hopx.launch(GATED.format(gate=str(gate)), name="gated")
    hopx.launch("import time; time.sleep(1000)", name="long")
    former = agent_pid(state)
    told = use(
        released,
        f"gate = open({str(gate)!r}, 'w')\n"
        "before = hopx.ps().set_index('name').status.to_dict()\n"
        "gated = hopx.attach('gated')\n"
        "gate.write('the older one'); gate.close()\n"
        "gated.wait()\n"
        "new = hopx.launch('print(6 * n)', params={'n': 7}, name='new').wait()\n"
        "sweep = hopx.sweep('print(n)', {'n': [1, 2, 3]}, limit=1, name='sweep')\n"
        "hopx.wait('sweep')\n"
        "killed = hopx.kill('long').result.tolist()\n"
        "history = sorted(hopx.history().status)\n"
        "told = [before, gated.exit_code, gated.stdout, new.stdout, killed, [run.stdout for run in sweep], history]",
        {**os.environ, "HOPX_HISTORY": str(tmp_path / "older.sqlite")},
    )
    assert told == [
        {"gated": "running", "long": "running"},
        *(7, "begun\nthrough the older one\n", "42\n", ["killed"], ["1\n", "2\n", "3\n"]),
        ["completed"] * 4 + ["failed", "killed"],
    ]
    assert agent_pid(state) == former
    assert run.wait().exit_code == 7
    assert sorted(hopx.ps().status) == ["completed"] * 4 + ["failed", "killed"]

    ignore = "import warnings; warnings.simplefilter('always')\n"
    told = use(released, f"{ignore}told = hopx.launch('print(1)', name='later').wait().stdout")
    assert told == "1\n", "which can't write what this version has written, and says so"
    assert set(hopx.ps().name) == set(hopx.history().name) == {"gated", "later", "long", "new", "sweep"}


def test_an_agent_of_another_version_makes_way_when_it_has_nothing_to_do(
    other: Path, hopx: Any, state: Settings, gate: Path
) -> None:
    code = GATED.format(gate=str(gate))
    use(other, f"told = hopx.launch({code!r}, name='gated').process_id")
    former = agent_pid(state)
    assert hopx.launch("print('with it')", name="beside").wait().stdout == "with it\n"
    assert (agent_pid(state), version_of_agent(state)) == (former, "0.1.9"), "something runs"
    with pytest.raises(LaunchError, match=r"still of version 0\.1\.9, can't stop a run by what it prints"):
        hopx.launch("print(1)", stop_when="loss>1")
    gate.write_text("")
    assert hopx.attach("gated").wait().exit_code == 7
    hopx.ps()
    assert agent_pid(state) == former, "who only looks changes nothing"
    with ThreadPoolExecutor() as pool:
        command = pool.submit(hopx.run_command, f"cat {gate}", timeout=DEADLINE)
        with gate.open("w") as opened:
            hopx.launch("pass", name="meanwhile").wait()
            assert agent_pid(state) == former, "somebody waits for a command"
            opened.write("done")
        assert command.result().stdout == "done"

    assert hopx.launch("print('loss: 2')", name="stopped", stop_when="loss>1").wait()
    assert agent_pid(state) != former
    assert version_of_agent(state) == __version__
    assert hopx.ps().name.tolist() == ["stopped", "meanwhile", "beside", "gated"]
    assert use(other, "told = [hopx.launch('print(1)').wait().stdout, len(hopx.ps())]") == ["1\n", 5]
    assert version_of_agent(state) == "0.1.9", "it can take over from a newer one, too"
    assert hopx.launch("print(2)").wait().stdout == "2\n"
    assert len(hopx.ps()) == 6


def test_an_agent_elsewhere_makes_way_as_well(other: Path, gpu: Machine, hopx: Any, gate: Path) -> None:
    there = {**os.environ, **gpu.environment, "HOPX_HISTORY": str(gpu.folder / "history.sqlite")}
    use(other, f"told = hopx.launch({GATED.format(gate=str(gate))!r}, name='gated').process_id", there)
    former = agent_pid(gpu.settings)
    hopx.connect("ssh://gpu")
    assert hopx.launch("print('with it')", name="beside").wait().stdout == "with it\n"
    assert (agent_pid(gpu.settings), version_of_agent(gpu.settings)) == (former, "0.1.9")
    with pytest.raises(LaunchError, match="gpu can't stop a run by what it prints"):
        hopx.launch("print(1)", stop_when="loss>1")
    gate.write_text("")
    wait_until(lambda: hopx.ps(status="failed").exit_code.tolist() == [7], "it has ended")
    assert hopx.launch("print('loss: 2')", name="stopped", stop_when="loss>1").wait()
    assert version_of_agent(gpu.settings) == __version__
    assert hopx.ps().name.tolist() == ["stopped", "beside", "gated"]
