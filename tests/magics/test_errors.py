"""What a user reads when something went wrong, in a real IPython shell."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from hopx_magics.errors import CodeError, RunFailed

Run = Callable[[str], Any]


# ---------------------------------------------------------------- code that doesn't compile


def test_a_syntax_error_is_shown_as_usual(cell: Run) -> None:
    with pytest.raises(CodeError):
        cell("%%hopx_bg\nfor x in\n")
    assert cell.shown.split("\n")[-5:] == [  # type: ignore[attr-defined]
        '  File "<cell>", line 2',
        "    for x in",
        "            ^",
        "SyntaxError: invalid syntax",
        "",
    ]


@pytest.mark.parametrize(
    "code", ["files = !ls", "!ls", "a, b = %time f()", "df?", "?df", "x = 1\ndf.head??", "%%bash\nls", "await f()"]
)
def test_what_only_ipython_understands_gets_a_hint(cell: Run, code: str) -> None:
    with pytest.raises(CodeError, match=r"is plain Python: %magics, !commands, help\? and top-level await don't work"):
        cell(f"%%hopx_bg\n{code}")


def test_an_indented_cell_gets_a_hint(cell: Run) -> None:
    with pytest.raises(CodeError, match="its lines can't be indented as a whole"):
        cell("%%hopx_bg\n    x = 1\n    print(x)\n")


@pytest.mark.parametrize("code", ["x = 1\n  y = 2", "print('what?", "x = (1\n%time", "if a =! b: pass"])
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
PLACE = r"cell\.\w+(?:\", line |: line |:)(\d+)"


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
        assert 'cell.py", line 3' in each.wait().stderr
    assert cell("df = %hopx_history --code\nset(df.code)") == {"x = 1\n1 / 0\n"}


def test_code_of_plain_python_begins_in_line_1_or_where_one_says(cell: Run) -> None:
    cell("import hopx_magics as hopx")
    assert "line 1, in" in cell("hopx.launch('1 / 0').wait().stderr")
    assert "line 7, in" in cell("hopx.launch('1 / 0', first_line=7).wait().stderr")
    with pytest.raises(ValueError, match="0 can't be the number of the first line: use 1 to"):
        cell("hopx.launch('1 / 0', first_line=0)")
