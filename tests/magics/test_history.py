"""The magics of the run history, and the options of %%hopx_bg that it knows, in a real shell on a real agent."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import hopx_magics as hopx
from hopx_magics import api
from hopx_magics.errors import UnknownRun
from hopx_magics.settings import Settings
from tests.waiting import wait_until

Cell = Callable[[str], Any]


def test_parameters_and_tags_become_columns(cell: Cell) -> None:
    cell("rate = 0.25")
    run = cell("%%hopx_bg --name train --param lr={rate} --param model=relu --tag exp=first\nprint(lr, model)")
    assert run.wait().stdout == "0.25 relu\n"
    frame = cell("%hopx_history --tag exp=first --code --output")
    (row,) = frame.to_dict("records")
    assert (row["param.lr"], row["param.model"], row["tag.exp"]) == (0.25, "relu", "first")
    assert (row["code"], row["stdout"]) == ("print(lr, model)\n", "0.25 relu\n")
    assert re.fullmatch(r"In \[\d+\]", row["cell"])


def test_what_failed_of_a_sweep_is_launched_again(cell: Cell) -> None:
    cell("%%hopx_bg --name fit --sweep n=1,0,2\n1 / n").wait()
    again = cell("%hopx_rerun --failed fit -o again")
    assert [run.params for run in again] == [{"n": 0}]
    assert cell("again") is again
    with pytest.raises(UsageError, match="--failed launches all as they were"):
        cell("%hopx_rerun --failed fit --param n=3")
    cell("%%hopx_bg --name fine --sweep n=1,2\nn").wait()
    with pytest.raises(UsageError, match="none of fine has failed"):
        cell("%hopx_rerun --failed fine")


def test_outputs_are_searched(cell: Cell) -> None:
    for name in ("train-1", "other"):
        cell(f"%%hopx_bg --name {name}\nprint('Out of memory, again')").wait()
    frame = cell('%hopx_grep "out of mem" -i --name train-*')
    assert frame[["name", "line", "text"]].values.tolist() == [["train-1", 1, "Out of memory, again"]]
    with pytest.raises(UsageError, match="no regular expression"):
        cell('%hopx_grep "[a"')


@pytest.mark.parametrize("lang", ["bash", "javascript", "python"])
def test_a_parameter_that_tries_to_be_code_arrives_as_data(cell: Cell, lang: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    evil = [f"'; rm -rf {victim}; '", f"$(rm {victim})", f"`rm {victim}`", f"\"; require('fs').rmSync('{victim}'); \""]
    show = {"bash": 'printf %s "$x"', "javascript": "process.stdout.write(x)", "python": "print(x, end='')"}
    for value in evil:
        run = hopx.launch(show[lang], language=lang, params={"x": value})
        assert run.wait().stdout == value
    assert victim.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--param 1x=2", "1x"),
        ("--param class=2", "class"),
        ("--param lr", "lr"),
        ("--param a=1 --param a=2", "--param a is given twice"),
        ("--param a=1 --sweep a=1,2", "a"),
        ("--lang bash --param PPID=1", "PPID"),
        ("--lang go --param a=1", "go"),
        ("--sweep a=", "a"),
        ("--limit 3", "--limit is for --sweep"),
        ("--sweep a=1,2 --limit 0", "limit of 0"),
        ("--tag x", "NAME=VALUE"),
        ("--tag a,b=1", "name of a tag"),
    ],
)
def test_what_cant_be_used_is_refused_clearly(cell: Cell, line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        cell(f"%%hopx_bg {line}\npass")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert len(cell("%hopx_history")) == 0, "nothing was launched"


def test_a_sweep_of_a_cell(cell: Cell) -> None:
    runs = cell("%%hopx_bg --name grid --sweep lr=0.1,0.01 --sweep seed=1:5 -o runs\nprint(lr * seed)")
    assert cell("runs") is runs
    assert len(runs) == 10
    assert re.match(r"sweep \w+: \d+ of 10 completed", repr(runs).splitlines()[-1])
    assert len(cell("%hopx_wait runs")) == 10
    assert ": 10 of 10 completed" in repr(runs)
    frame = cell(f"%hopx_history --sweep {runs.sweep_id}")
    assert sorted(frame["param.seed"].unique()) == [1, 2, 3, 4, 5]
    assert cell("%%hopx_bg --sweep a=1,2 -q\npass") is None


def test_history_options(cell: Cell) -> None:
    cell("%%hopx_bg --name train-a -q\npass")
    cell("%%hopx_bg --name train-b --lang bash -q\nexit 1")
    cell("%hopx_wait --no-raise")
    assert list(cell("%hopx_history --name train-* --limit 1")["name"]) == ["train-b"]
    assert list(cell("%hopx_history --status failed,killed")["name"]) == ["train-b"]
    assert list(cell("%hopx_history --lang python --since 7d")["name"]) == ["train-a"]
    with pytest.raises(UsageError, match="'lost' is no status"):
        cell("%hopx_history --status lost")
    with pytest.raises(UsageError, match="--yes is for --prune"):
        cell("%hopx_history --yes")
    assert list(cell("%hopx_history --prune --name train-a")["goes"]) == ["run and output"]
    assert len(cell("%hopx_history")) == 2
    assert len(cell("%hopx_history --prune --name train-a --yes")) == 1
    assert list(cell("%hopx_history")["name"]) == ["train-b"]


def test_show_diff_rerun_and_attach(cell: Cell) -> None:
    cell("%%hopx_bg --name one --param lr=0.1 -o one\nprint('result', lr)")
    again = cell("%hopx_rerun one --param lr=0.2 -o again")
    assert cell("again") is again
    assert cell("%hopx_rerun one --here -q") is None
    cell("%hopx_wait")
    assert again.stdout == "result 0.2\n"
    assert "result 0.1" in str(cell("%hopx_show one"))
    assert "0.2" in str(cell(f"%hopx_diff one {again.run_id}"))
    attached = cell("%hopx_attach one -o got")
    assert (attached.process_id, attached.run_id) == (cell("one").process_id, cell("one").run_id)
    assert cell("got") is attached
    assert cell(f"%hopx_attach {again.run_id[:8]}").stdout == "result 0.2\n"
    with pytest.raises(UnknownRun, match="no run 'nothing'"):
        cell("%hopx_show nothing")
    with pytest.raises(UsageError, match="not allowed with"):
        cell("%hopx_rerun one --here --on local")
    cell("both = [one, again]")
    with pytest.raises(UsageError, match="both holds 2 runs"):
        cell("%hopx_show both")


def test_logs_of_a_run_that_its_agent_forgot(cell: Cell, state: Settings) -> None:
    cell("%%hopx_bg --name old -q\nprint('kept')")
    cell("%hopx_wait old")
    wait_until(lambda: list(cell("%hopx_history --output")["stdout"]) == ["kept\n"], "its output is kept")
    with sqlite3.connect(state.history_file) as db:
        db.execute("UPDATE runs SET process_id = 'proc_gone', run_id = 'gone'")
    db.close()
    cell("%%hopx_bg --name new -q\npass")
    assert str(cell("%hopx_logs gone")) == "kept"


def test_the_file_can_be_chosen(cell: Cell, tmp_path: Path) -> None:
    cell("%%hopx_bg -q\npass")
    cell(f"%config HopxHistory.file = {str(tmp_path / 'mine.sqlite')!r}")
    cell("%%hopx_bg --name mine -q\npass")
    cell("%hopx_wait mine")
    assert "mine" in set(cell("%hopx_history")["name"])
    assert (tmp_path / "mine.sqlite").exists()
    cell("%config HopxHistory.file = ''")
    assert len(cell("%hopx_history --name mine")) == 1, "as another one's: it was listed"
    assert not cell("%hopx_history --name mine")["launched_here"].any()


# ---------------------------------------------------------------- coming back


def come_back(shell: InteractiveShell, cell: Cell, magic: str = "%hopx_ps") -> str:
    """What the first magic says after the kernel was restarted."""
    shell.run_line_magic("unload_ext", "hopx_magics")
    api.session().close()
    api.session.cache_clear()
    shell.run_line_magic("load_ext", "hopx_magics")
    cell(f"x = {magic}" if magic.startswith("%hopx") else magic)
    return cell.shown  # type: ignore[attr-defined, no-any-return]


def test_the_first_magic_says_what_has_happened(
    cell: Cell, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    monkeypatch.setenv("JPY_SESSION_NAME", "train.ipynb")
    assert come_back(shell, cell) == "", "nothing to say"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
    cell(f"%%hopx_bg --name a -q\n{wait}")
    cell(f"%%hopx_bg --name b -q\n{wait}raise SystemExit(3)")
    cell("%%hopx_bg --name c -q\nimport time; time.sleep(1000)")
    assert come_back(shell, cell) == "Runs of this notebook: c, b, a still running. %hopx_history shows them.\n"
    go.touch()
    hopx.wait("a", "b")
    monkeypatch.setenv("JPY_SESSION_NAME", "other.ipynb")
    assert come_back(shell, cell) == "", "they are of another notebook"
    monkeypatch.setenv("JPY_SESSION_NAME", "train.ipynb")
    said = come_back(shell, cell)
    assert said == "Runs of this notebook: c still running; since you last looked a completed, b failed. " + (
        "%hopx_history shows them.\n"
    )
    assert come_back(shell, cell) == "Runs of this notebook: c still running. %hopx_history shows them.\n"
    assert list(cell("%hopx_history")["notebook"].unique()) == ["train.ipynb"]


def test_nothing_is_said_when_the_extension_is_loaded(shell: InteractiveShell, hopx: Any, state: Settings) -> None:
    shell.run_line_magic("load_ext", "hopx_magics")
    assert not state.history_file.exists()


def test_any_data_frame_has_the_accessor(cell: Cell) -> None:
    cell("import pandas as pd")
    frame = cell("pd.DataFrame({'status': ['completed', 'failed'], 'execution_time': [1.0, 2.0]}).hopx.by_status()")
    assert frame.loc["failed", "max_time"] == 2.0
