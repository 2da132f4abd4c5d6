"""A background cell in a sandbox is a cell, too: on stand-ins of each dialect, with files and without."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from hopx_magics import api
from hopx_magics.api.find import run_on
from hopx_magics.errors import HopxError, LaunchError, ResultError, RunFailed
from hopx_magics.launches import checked_launch
from tests.standins import agents
from tests.standins.agents import AgentStandIn, Dialect
from tests.waiting import wait_until

Run = Callable[[str], Any]
Start = Callable[..., AgentStandIn]

DIALECTS = {
    "documentation": agents.DOCUMENTATION,
    "no_commands": msgspec.structs.replace(agents.OPENAPI, has_commands=False),
    "odd_openapi": agents.ODD_OPENAPI,
    "odd_documentation": agents.ODD_DOCUMENTATION,
}
NO_FILES = msgspec.structs.replace(agents.DOCUMENTATION, has_files=False)


@pytest.fixture(autouse=True)
def _python_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def start(hopx: Any, tmp_path: Path) -> Iterator[Start]:
    """Starts stand-ins, and connects to each, the last one being the current connection."""
    started: list[AgentStandIn] = []

    def start(dialect: Dialect = agents.OPENAPI, name: str = "there") -> AgentStandIn:
        started.append(AgentStandIn(dialect, tmp_path / f"machine{len(started)}"))
        hopx.connect(started[-1].url, name=name, token=started[-1].token)
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def again(hopx: Any) -> Callable[[AgentStandIn], None]:
    """Begins anew, as another kernel does, with nothing but the connection."""

    def again(agent: AgentStandIn) -> None:
        api.session().close()
        api.session.cache_clear()
        hopx.connect(agent.url, name="there", token=agent.token)

    return again


def uploads(agent: AgentStandIn) -> list[str]:
    """The names of the files that were sent."""
    asked = [asked for asked in agent.asked if asked.path == "/files/upload"]
    return [asked.query.rpartition("%2F")[2] for asked in asked]


def sent(agent: AgentStandIn, tmp_path: Path) -> list[Path]:
    return list((tmp_path / "machine0" / "workspace" / ".hopx" / "values").iterdir())


# ---------------------------------------------------------------- in and out


@pytest.mark.parametrize("name", DIALECTS)
def test_a_cell_there_is_a_cell(
    name: str, cell: Run, start: Start, again: Callable[[AgentStandIn], None], hopx: Any
) -> None:
    agent = start(DIALECTS[name])
    cell("import pandas as pd\nk = 2\ndf = pd.DataFrame({'a': [1, 2, None]})")
    cell("def clean(frame):\n    return frame.dropna() * k")
    run = cell("%%hopx_bg --name fit --out model,nosuch\nmodel = clean(df)\nprint('begun')\nmodel.a.sum() + 0.5")
    assert run.given == "k, df, clean()"
    assert run.result() == 6.5
    pd.testing.assert_frame_equal(run["model"], pd.DataFrame({"a": [2.0, 4.0]}))
    assert {name: value.type for name, value in run.values.items()} == {"model": "DataFrame"}
    assert run.stdout == "begun\nnp.float64(6.5)\n" or run.stdout == "begun\n6.5\n"
    assert [display["output_type"] for display in run.displays] == ["execute_result"]
    assert [output["output_type"] for output in run.outputs()] == ["stream", "execute_result"]
    again(agent)
    assert hopx.attach("fit").result() == 6.5
    cell("%hopx_pull fit model=mine")
    assert cell("mine.a.sum()") == 6.0


def test_an_error_there_names_the_line_and_keeps_its_cause(cell: Run, start: Start) -> None:
    start()
    run = cell("%%hopx_bg --out x\nx = 1\n1 / 0")
    with pytest.raises(RunFailed, match=r"line 3(?s:.*)1 / 0(?s:.*)ZeroDivisionError: division by zero") as failed:
        run.result()
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert run["x"] == 1
    assert "hopx_runner" not in run.stderr


def test_magics_await_and_children_work_there(cell: Run, start: Start) -> None:
    start(agents.DOCUMENTATION)
    cell("k = 3\ndef f(x): return x * k")
    run = cell(
        "%%hopx_bg\n%env WORD=hello\n!echo $WORD\nimport asyncio\nfrom multiprocessing import get_context\n"
        "if __name__ == '__main__':\n    with get_context('spawn').Pool(1) as p: found = p.map(f, [1, 2])\n"
        "await asyncio.sleep(0, found)"
    )
    assert run.result() == [3, 6]
    assert "hello\n" in run.stdout.replace("\r", "")


def test_the_environment_is_that_of_the_sandbox(cell: Run, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    monkeypatch.setenv(
        "HOPX_TEST_COLOUR", "blue"
    )  # the stand-in inherits it; what is set later is the notebook's alone
    monkeypatch.setenv("HOPX_TEST_SHAPE", "")  # or what the cell sets would be set for all tests behind this one
    cell("%env HOPX_TEST_SHAPE=round")
    monkeypatch.delenv("HOPX_TEST_SHAPE")
    run = cell(
        "%%hopx_bg --env A=1 --cwd /tmp\nimport os\nos.environ.get('A'), os.environ.get('HOPX_TEST_SHAPE'), os.getcwd()"
    )
    assert run.result() == ("1", None, "/tmp")
    assert "does not exist" in cell("%%hopx_bg --cwd nowhere\n1").wait().stderr


def test_seeds_and_options_of_earlier_cells_count(cell: Run, start: Start) -> None:
    start()
    cell("import numpy as np\nnp.random.seed(3)\nnp.set_printoptions(precision=2)")
    run = cell("%%hopx_bg\nnp.random.rand(), str(np.array([1 / 3]))")
    assert run.result() == cell("np.random.rand(), str(np.array([1 / 3]))")
    cell("np.set_printoptions(precision=8)")


# ---------------------------------------------------------------- sending


def test_each_content_is_sent_once(cell: Run, start: Start, again: Callable[[AgentStandIn], None]) -> None:
    agent = start()
    cell("import numpy as np\nbig = np.ones(300_000)")
    runs = cell("%%hopx_bg --sweep n=1:3\nbig.sum() * n, np.random.rand()")
    sums, drawn = zip(*(run.result() for run in runs), strict=True)
    assert (sums, len(set(drawn))) == ((300_000, 600_000, 900_000), 3)
    large = [name for name in uploads(agent) if name.endswith("-2400000")]
    assert len(large) == 1
    again(agent)
    assert cell("%%hopx_bg\nbig.sum()").result() == 300_000
    names = uploads(agent)
    assert len(names) == len(set(names))
    assert sum(name.startswith("runner-") for name in names) == 1


def test_it_is_told_how_far_they_are_sent(start: Start, hopx: Any) -> None:
    start()
    told: list[Any] = []
    values = {"text": b"x" * 1_000_000}
    run = hopx.launch("len(text)", values=values, sending=lambda *each: told.append(each))
    assert run.result() == 1_000_000
    (_, _, total), *_ = told
    assert told[-1] == ("text (1 MB)", total, total)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_values_go_to_all_agents_of_a_sweep_and_those_without_room_get_nothing(cell: Run, start: Start) -> None:
    full, other = start(name="full"), start(name="other")
    full.room = 200_000
    cell("import numpy as np\nbig = np.ones(300_000)")
    runs = cell("%%hopx_bg --sweep n=1:3 --on full,other\nint(big.sum()) * n")
    assert [run.result() for run in runs] == [300_000, 600_000, 900_000]
    assert (len(full.executions), len(other.executions)) == (0, 3)


def test_nothing_is_launched_when_it_does_not_fit(cell: Run, start: Start, tmp_path: Path) -> None:
    agent = start()
    agent.room = 500_000
    cell("import numpy as np\nbig = np.ones(300_000)")
    for line in ("%%hopx_bg", "%%hopx_bg --sweep n=1,2"):
        with pytest.raises(LaunchError, match=r"big \(2.4 MB\) could not be sent to there, 2.[45] MB.*no space left"):
            cell(f"{line}\nbig.sum()")
        agent.room = 500_000
    assert not agent.executions
    assert all(file.name.endswith(f"-{file.stat().st_size}") for file in sent(agent, tmp_path))
    agent.room = None
    assert cell("%%hopx_bg\nbig.sum()").result() == 300_000


def test_a_half_file_of_another_time_is_not_taken_for_the_whole(
    cell: Run, start: Start, again: Callable[[AgentStandIn], None], tmp_path: Path
) -> None:
    agent = start()
    cell("text = 'x' * 1000")
    assert cell("%%hopx_bg\nlen(text)").result() == 1000
    for file in sent(agent, tmp_path):
        file.unlink()  # not written over: runs have links to it
        file.write_bytes(b"half")
    again(agent)
    assert cell("%%hopx_bg\nlen(text)").result() == 1000


def test_what_was_sent_and_is_gone_is_said(start: Start, tmp_path: Path) -> None:
    agent = start()
    connection = api.session().connection()
    ready = connection.at_home(checked_launch("1"))
    for file in sent(agent, tmp_path):
        file.unlink()
    process = connection.launch(ready)
    run = run_on(connection, process).wait()
    assert (run.exit_code, run.stderr) == (126, "hopx: what runs cells was sent here, and is gone: launch it again\n")


def test_a_rerun_there_has_the_values_of_the_run(cell: Run, start: Start, tmp_path: Path) -> None:
    agent = start()
    cell("x = 1")
    cell("%%hopx_bg --name first --out y\ny = x + 1\ny").wait()
    cell("x = 5")
    again = cell("%hopx_rerun first")
    assert (again.result(), again["y"]) == (2, 2)
    for file in sent(agent, tmp_path):
        file.unlink()
    api.session().connection().open(api.session().recorder)
    with pytest.raises(LaunchError, match="no longer on there"):
        cell(f"%hopx_rerun {again.run_id}")


# ---------------------------------------------------------------- what is not there


def test_an_agent_without_files_runs_plain_programs(cell: Run, start: Start) -> None:
    agent = start(NO_FILES)
    cell("x = 1")
    with pytest.warns(UserWarning, match="none of the notebook's variables"):
        run = cell("%%hopx_bg\ntry: print(x)\nexcept NameError: print('none')")
    assert run.wait().stdout == "none\n"
    for line, code in (
        ("--in x", "1"),
        ("--out y", "y = 1"),
        ("", "!echo"),
        ("", "import asyncio\nawait asyncio.sleep(0)"),
    ):
        with pytest.raises(LaunchError, match="does not"):
            cell(f"%%hopx_bg {line}\n{code}")
    assert len(agent.executions) == 1


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python there with nothing but its standard library: its folder of packages."""
    folder = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return next(folder.glob("lib/python*/site-packages"))


def test_without_ipython_all_else_works(bare: Path, cell: Run, start: Start) -> None:
    start()
    cell("x = 2\nclass Shown:\n    def _repr_html_(self):\n        return '<b>it</b>'")
    run = cell("%%hopx_bg\nimport asyncio\ndisplay(Shown())\nawait asyncio.sleep(0, x)")
    assert run.result() == 2
    assert [display["data"].get("text/html") for display in run.displays] == ["<b>it</b>", None]
    with pytest.raises(RunFailed, match="magics and ! need IPython, which is not installed where this cell runs"):
        cell("%%hopx_bg\n!echo hello").result()


def test_a_module_that_is_missing_there_is_named(bare: Path, cell: Run, start: Start) -> None:
    start()
    cell("import pandas as pd\ndf = pd.DataFrame({'a': [1]})\ndouble = lambda x: 2 * x")
    for code, told in (
        ("pd.isna(1)", "pd needs the module pandas, which is not installed where this cell runs"),
        ("df", "df needs the module pandas"),
        ("double(1)", "double needs the module cloudpickle"),
    ):
        with pytest.raises(RunFailed, match=told):
            cell(f"%%hopx_bg\n{code}").result()


def test_an_old_python_there_is_told_of(bare: Path, cell: Run, start: Start) -> None:
    (bare / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 7, 16, 'final', 0)")
    start()
    run = cell("%%hopx_bg\n1").wait()
    assert run.stderr == "hopx: a cell needs Python 3.8 or newer, and here is 3.7\n"
    assert run.exit_code == 126


PYTHONS = {
    version: path
    for version in ("3.8", "3.9", "3.10", "3.12", "3.14")
    for path in [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")][:1]
    if sys.version_info[:2] != tuple(map(int, version.split(".")))
}
"""Other Pythons of this machine."""


@pytest.mark.skipif(not PYTHONS, reason="there is no other Python here")
def test_another_python_there_gets_definitions_by_their_source(
    cell: Run, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, path = next(iter(PYTHONS.items()))
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    start()
    cell("from __future__ import annotations\nfrom dataclasses import dataclass\nk = {1: 2.5}")
    cell("@dataclass\nclass Point:\n    x: int | None = 3\ndef f(p: Point): return [p.x, k[1], b'z']")
    run = cell("%%hopx_bg\nimport sys\ndisplay(1)\nf(Point()), '%d.%d' % sys.version_info[:2]")
    assert run.result() == ([3, 2.5, b"z"], version)
    cell("double = lambda x: 2 * x")
    with pytest.raises(RunFailed, match=r"double needs the module cloudpickle|needs its Python"):
        cell("%%hopx_bg\ndouble(1)").result()


# ---------------------------------------------------------------- what the sandbox may have written


class Hostile:
    """Makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.fixture
def left(cell: Run, start: Start, tmp_path: Path) -> Callable[..., Any]:
    """A run there, in whose folder somebody has written something else."""

    def left(content: bytes, kept: dict[str, Any], code: str = "y = 1\ny") -> Any:
        start()
        run = cell(f"%%hopx_bg --name fit --out y -o run\n{code}").wait()
        (folder,) = (tmp_path / "machine0").glob("workspace/.hopx/runs/*/out")
        (folder / "value0").write_bytes(content)
        (folder / "kept").write_bytes(msgspec.json.encode(kept))
        return run

    return left


@pytest.mark.parametrize("form", ["pickle", "cloudpickle", "plain"])
def test_no_pickle_of_a_sandbox_is_loaded_without_trust(
    form: str, left: Callable[..., Any], cell: Run, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    content = pickle.dumps(Hostile(mark))
    value = {"type": "int\x1b[2J", "module": "builtins", "file": "value0", "parts": [len(content)], "form": form}
    run = left(content, {"values": {"y": value}, "result": value, "error": value}, "y = 1\n1 / 0")
    with pytest.raises(RunFailed) as failed:
        run.result()
    assert failed.value.__cause__ is None
    assert "int" in repr(run.values)
    for read in (lambda: run["y"], lambda: run.load("y"), lambda: cell("%hopx_pull fit")):
        with pytest.raises(ResultError, match="can't be loaded" if form == "plain" else "may run any code") as refused:
            read()
        assert "\x1b" not in str(refused.value)
    run.outputs()
    run.show()._repr_html_()
    assert not mark.exists()
    if form != "plain":
        cell("%hopx_pull fit --trust")
        assert mark.exists()


def test_what_a_sandbox_left_is_in_the_history_as_little_trusted(cell: Run, start: Start, tmp_path: Path) -> None:
    agent, mark = start(), tmp_path / "mark"
    cell(f"class Evil:\n    def __reduce__(self): return open, ({str(mark)!r}, 'w')")
    good = cell("%%hopx_bg --name good\nimport numpy as np\ndisplay(1)\n{'loss': np.array([0.5])}").wait()
    evil = cell("%%hopx_bg --name evil\nEvil()").wait()
    wait_until(lambda: cell("%hopx_history").displays.notna().all(), "the history has all")
    agent.forgotten |= {good.process_id, evil.process_id}
    shutil.rmtree(tmp_path / "machine0" / "workspace" / ".hopx")
    api.session().connection().open(api.session().recorder)
    assert cell("%hopx_attach good").result() == {"loss": [0.5]}
    assert len(good.displays) == 2
    with pytest.raises(ResultError, match="may run any code"):
        cell("%hopx_attach evil").result()
    with pytest.raises(ResultError, match="was written on there in a form that may run any code"):
        evil.result()
    assert not mark.exists()


LIES: list[dict[str, Any]] = [
    *({"parts": [10**15]}, {"parts": [-1]}, {"parts": [3]}, {"parts": []}, {"parts": "all"}, {"form": "marshal"}),
    *({"file": "../../../../../../../../etc/passwd"}, {"file": "nosuch"}, {"type": 3}),
]


def test_an_index_that_lies_is_refused(left: Callable[..., Any], tmp_path: Path) -> None:
    honest = {"type": "list", "module": "builtins", "file": "value0", "parts": [8], "form": "plain"}
    run = left(b"[1, 2]  ", {"result": honest})
    assert run.result() == [1, 2]
    (file,) = (tmp_path / "machine0").glob("workspace/.hopx/runs/*/out/kept")
    for lie in LIES:
        file.write_bytes(msgspec.json.encode({"result": {**honest, **lie}}))
        with pytest.raises(HopxError):
            run.result()
    file.write_bytes(b"\xff")
    with pytest.raises(ResultError, match="fit can't be read"):
        run.result()


def test_displays_of_a_sandbox_are_read_as_far_as_they_are_some(
    left: Callable[..., Any], tmp_path: Path, hopx: Any
) -> None:
    run = left(b"", {})
    (folder,) = (tmp_path / "machine0").glob("workspace/.hopx/runs/*/out")
    lines = [
        {"output_type": "display_data", "data": {"text/plain": "good"}},
        {"output_type": "execute_code", "data": {}},
        {"output_type": "display_data", "data": "no"},
        {"output_type": "error", "traceback": 3},
        {"output_type": "display_data", "at": [1, 2, 3], "data": {}},
        ["no"],
        {"output_type": "error"},
        {"output_type": "update_display_data"},
        {"output_type": "update_display_data", "transient": {"display_id": ["x"]}},
    ]
    placed = [{"at": [0, 0], **line} if isinstance(line, dict) else line for line in lines]
    (folder / "displays").write_bytes(b"\xff\n" + b"\n".join(map(msgspec.json.encode, placed)) + b'\n{"half')
    assert [display["output_type"] for display in run.displays] == ["display_data", "error"]
    assert "good" in run.show()._repr_html_()
    assert len(hopx.history()) == 1
