"""What a user reads when something went wrong, in a real IPython shell."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from hopx_magics.errors import CodeError, HopxError, NameWarning, RunFailed, UnknownColumn
from hopx_magics.settings import Settings

Run = Callable[[str], Any]


# ---------------------------------------------------------------- code that doesn't compile


def test_a_syntax_error_is_shown_as_usual(cell: Run) -> None:
    with pytest.raises(CodeError):
        cell("%%hopx_bg\nfor x in\n")
    assert cell.shown.split("\n")[-5:] == [  # type: ignore[attr-defined]
        "  Cell, line 2",
        "    for x in",
        "            ^",
        "SyntaxError: invalid syntax",
        "",
    ]


@pytest.mark.parametrize(
    "code",
    [
        "files = !echo 5\nprint(files[0])",
        "!echo 5",
        "a, b = %time (2, 3)\nprint(a + b)",
        "print(5)\nint?",
        "%%bash\necho 5",
        "import asyncio\nawait asyncio.sleep(0, 5)",
        "    x = 5\n    print(x)\n",
    ],
)
def test_what_only_ipython_understands_works(cell: Run, code: str) -> None:
    run = cell(f"%%hopx_bg -o run\n{code}")
    assert run.wait().exit_code == 0, run.stderr
    assert "5" in run.stdout


@pytest.mark.parametrize("code", ["x = 1\n  y = 2", "x = (1\n%time", "if a =! b: pass"])
def test_other_mistakes_get_none(cell: Run, code: str) -> None:
    with pytest.raises(CodeError) as caught:
        cell(f"%%hopx_bg\n{code}")
    assert caught.value.hint is None


def test_of_a_long_line_the_place_is_shown(cell: Run) -> None:
    with pytest.raises(CodeError) as caught:
        cell(f"%%hopx_bg\nx = '{'y' * 20_000}' $ 1")
    assert len(str(caught.value)) < 500
    _, line, mark, _ = str(caught.value).split("\n")
    assert line[mark.index("^")] == "$"


# ---------------------------------------------------------------- the lines of the notebook


LINES = [
    ("%%hopx_bg --name n\nx = 1\n1 / 0", 3),
    ("%%hopx_bg --name n --param lr=2\nx = 1\n1 / 0", 3),
    ("%%hopx_bg --name n --param lr=2 --param x=3\nx = 1  # why\n1 / 0", 3),
    ("%%hopx_bg --name n --param lr=2\n'''text'''\nfrom __future__ import annotations\n\n1 / 0", 5),
    ("%%hopx_bg --name n --lang bash --param lr=2\n\nnot-a-command; exit 1", 3),
    ("%%hopx_bg --name n --lang javascript --param lr=2\n\nthrow new Error('no')", 3),
    ("\n  \n%%hopx_bg --name n\n1 / 0", 4),
    ("%%capture\n%%hopx_bg --name n\n1 / 0", 3),
]
PLACE = r"(?:cell\.\w+|Cell \[\d+\] n)(?:, line |: line |:)(\d+)"


@pytest.mark.parametrize(("code", "line"), LINES)
def test_an_error_names_the_line_of_the_notebook(cell: Run, code: str, line: int) -> None:
    cell(code)
    with pytest.raises(RunFailed) as caught:
        cell("%hopx_wait n")
    assert re.findall(PLACE, str(caught.value))[0] == str(line)
    assert re.findall(PLACE, str(cell("%hopx_logs n --stderr")))[0] == str(line)


def test_the_code_is_kept_as_it_was_written_and_a_rerun_names_the_same_lines(cell: Run) -> None:
    run = cell("%%hopx_bg --name n\nx = 1\n1 / 0\n")
    again = cell("%hopx_rerun n --param x=2").wait()
    for each in (run, again):
        assert re.search(r"Cell (\[\d+\] )?n, line 3", each.wait().stderr)
    assert cell("df = %hopx_history --code\nset(df.code)") == {"x = 1\n1 / 0\n"}


def test_code_of_plain_python_begins_in_line_1_or_where_one_says(cell: Run) -> None:
    cell("import hopx_magics as hopx")
    assert "line 1, in" in cell("hopx.launch('1 / 0').wait().stderr")
    assert "line 7, in" in cell("hopx.launch('1 / 0', first_line=7).wait().stderr")
    with pytest.raises(ValueError, match="0 can't be the number of the first line: use 1 to"):
        cell("hopx.launch('1 / 0', first_line=0)")


# ---------------------------------------------------------------- what there is not


def lines_of(cell: Run, code: str, error: type[Exception] = HopxError) -> list[str]:
    """The lines that are shown of an error."""
    with pytest.raises(error):
        cell(code)
    return cell.shown.strip().split("\n")  # type: ignore[attr-defined,no-any-return]


def test_a_name_that_is_nearly_right_is_asked_about(cell: Run) -> None:
    run = cell("%%hopx_bg --name train\npass")
    cell("%hopx_wait")
    for magic in ("logs", "wait", "kill", "ps", "attach"):
        assert lines_of(cell, f"%hopx_{magic} trian") == [
            "UnknownProcess: agent 'local': there is no process 'trian'",
            f"Did you mean {run.process_id} (train)?",
        ]
    assert lines_of(cell, "%hopx_logs nothing")[1] == f"There is {run.process_id} (train)"
    assert lines_of(cell, "%hopx_show trian") == [
        "UnknownRun: there is no run 'trian' in the history",
        f"Did you mean {run.run_id} (train)? %hopx_history has all.",
    ]


def test_an_agent_elsewhere_is_told_with_its_address(cell: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cell("%hopx_ps")
    from hopx_magics import api

    endpoint = api.session().connection().agent.transport._endpoint
    assert endpoint is not None
    monkeypatch.setenv("HOPX_AGENT_TOKEN", endpoint.token or "")
    cell(f"%hopx_connect {endpoint.url} --as other")
    assert lines_of(cell, "%hopx_logs x")[0].startswith(f"UnknownProcess: agent 'other' at {endpoint.url}: there is")


def test_a_column_that_there_is_not_is_told_in_two_lines(cell: Run) -> None:
    cell("%%hopx_bg --param lr=1 -q\npass")
    cell("df = %hopx_history")
    first, second = lines_of(cell, "df.hopx.by('nothing')", UnknownColumn)
    assert first == "UnknownColumn: there is no column 'nothing'"
    assert second.startswith("There are param.lr, run_id, process_id")
    assert len(second) < 250
    assert lines_of(cell, "df.hopx.by('stauts')")[1] == "Did you mean 'status'?"
    assert len(lines_of(cell, "df.hopx.metrics()")) == 2
    assert len(lines_of(cell, "df[['name']].hopx.by_status()")) == 2


@pytest.mark.parametrize(
    "code", ["%hopx_get /etc/passwd", "%hopx_get data.csv", "%hopx_ls /etc", "%hopx_put {here} /x"]
)
def test_where_the_workspace_is(cell: Run, state: Settings, code: str) -> None:
    cell(f"here = {__file__!r}")
    first, second = lines_of(cell, code)
    assert first.startswith("AgentRefused: agent 'local': ")
    assert second == f"/workspace is {state.agent_folder}/workspace; other files of this machine need no copying."


def test_a_command_that_fails_is_named_with_the_end_of_its_output(cell: Run) -> None:
    assert lines_of(cell, "%hopx_sh false") == ["RunFailed: `false` failed, exit 1"]
    assert lines_of(cell, "%hopx_sh echo why >&2; exit 3") == [
        "RunFailed: `echo why >&2; exit 3` failed, exit 3",
        "  why",
    ]
    assert lines_of(cell, "%hopx_sh echo out; exit 3")[1:] == ["  out"]
    cell("import sys")
    shown = lines_of(cell, "%hopx_sh {sys.executable} -c \"raise ValueError('y' * 20_000)\"")
    assert shown[1] == "  [%hopx_sh --no-raise returns all of it]"
    assert shown[-1].startswith("  ValueError: yyyy")
    assert len(shown[-1]) < 400
    assert "5m is the longest" in lines_of(cell, "%hopx_sh --timeout 0.3s sleep 5")[1]


def test_a_warning_points_at_the_users_own_line(cell: Run) -> None:
    cell("%%hopx_bg --name a -q\npass")
    cell("%%hopx_bg --name a -q\npass")
    cell("%hopx_wait")
    with pytest.warns(NameWarning, match="the newest of 2 named a") as warned:
        cell("x = 1\n%hopx_logs a")
    assert (warned[0].lineno, "contextlib" in warned[0].filename) == (2, False)


LONG = "y" * 20_000


@pytest.mark.parametrize(
    "code",
    [
        f"%%hopx_bg {LONG}\npass",
        f"%%hopx_bg --{LONG}\npass",
        f"%%hopx_bg --timeout {LONG}\npass",
        f"%%hopx_bg --lang {LONG}\npass",
        f"%%hopx_bg --on {LONG}\npass",
        f"%hopx_ps --sort {LONG}",
        f"%hopx_logs {LONG}",
        f"%hopx_show {LONG}",
        f"%hopx_sh --{LONG}",
        f"%hopx_sh {LONG}",
        f"%hopx_put {LONG} x",
        f"%hopx_get {LONG}",
        f"%hopx_connect http://{LONG}",
    ],
    ids=lambda code: code[:20].strip("y"),
)
def test_what_was_typed_makes_no_error_long(cell: Run, code: str) -> None:
    lines = lines_of(cell, code, Exception)
    assert len(lines) <= 3
    assert all(len(line) < 500 for line in lines)


def test_a_file_that_can_not_be_written_is_one_line(cell: Run, tmp_path: Path) -> None:
    cell(f"here = {__file__!r}")
    cell("%hopx_put {here} x.py")
    shown = lines_of(cell, f"%hopx_get x.py {tmp_path}/x/y.py", UsageError)
    assert shown == [f"UsageError: %hopx_get: the folder {tmp_path}/x does not exist: make it first"]
    (tmp_path / "file").touch()
    (shown,) = lines_of(cell, f"%hopx_get x.py {tmp_path}/file/y.py", UsageError)
    assert shown.startswith("UsageError: %hopx_get: ")
