"""What stays of a text that ends with an error."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.output.errors import LONGEST, TRACEBACK, end_of_error
from tests.growth import grows_like_its_input


def stderr_of(code: str, folder: Path, *, program: str = sys.executable, name: str = "cell.py") -> str:
    (folder / name).write_text(code)
    done = subprocess.run([program, str(folder / name)], capture_output=True, text=True, check=False)
    return done.stderr.replace(f"{folder}/", "")


def test_a_long_message_keeps_its_type_and_both_ends(tmp_path: Path) -> None:
    text, has_more = end_of_error(stderr_of("raise ValueError('cannot parse ' + 'y' * 20_000 + 'end')", tmp_path))
    last = text.split("\n")[-1]
    assert last.startswith("ValueError: cannot parse yyyy")
    assert last.endswith("yyyend")
    assert "[19,803 characters are left out]" in last
    assert len(last) < LONGEST
    assert has_more


def test_many_lines_of_a_message_keep_both_ends(tmp_path: Path) -> None:
    text, _ = end_of_error(stderr_of("raise ValueError('first\\n' + 'a\\n' * 1000 + 'last')", tmp_path))
    assert text.split("\n")[-7:] == ["ValueError: first", "a", "a", "[996 lines are left out]", "a", "a", "last"]


def test_the_own_frame_stays(tmp_path: Path) -> None:
    code = "import json\ndef load(text):\n    return json.loads(text)\nload('{')\n"
    text, has_more = end_of_error(stderr_of(code, tmp_path))
    lines = [line for line in text.split("\n") if "^^" not in line]
    assert lines[:5] == [
        TRACEBACK,
        "  [1 more frame]",
        '  File "cell.py", line 3, in load',
        "    return json.loads(text)",
        "  [2 more frames]",
    ]
    assert "decoder.py" in lines[5]
    assert lines[-1].startswith("json.decoder.JSONDecodeError: ")
    assert has_more


def test_a_module_of_the_user_is_own_code_too(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import json\ndef load(text):\n    return json.loads(text)\n")
    text, _ = end_of_error(stderr_of("import helper\n\ndef f():\n    helper.load('{')\nf()", tmp_path))
    assert 'cell.py", line 4, in f' in text
    assert 'helper.py", line 3, in load' in text
    assert 'cell.py", line 5' not in text


def test_cells_are_own_code(tmp_path: Path) -> None:
    code = "import json\ndef load(text):\n    return json.loads(text)\nload('{')\n"
    told = stderr_of(code, tmp_path).replace('File "cell.py"', "Cell [12] train, it")
    text, _ = end_of_error(told)
    assert [line for line in text.split("\n") if "^^" not in line][:3] == [
        TRACEBACK,
        "  [1 more frame]",
        "  Cell [12] train, it, line 3, in load",
    ]


def test_a_frame_in_a_thread_is_own_code_too(tmp_path: Path) -> None:
    code = "import json, threading\ndef f():\n    json.loads('{')\nt = threading.Thread(target=f)\nt.start()\nt.join()"
    assert 'cell.py", line 3, in f' in end_of_error(stderr_of(code, tmp_path))[0]


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.stderr.write('\\r10 %\\r20 %'); 1 / 0", "ZeroDivisionError: division by zero"),
        ("e = ValueError('x'); e.add_note('a note'); raise e", "ValueError: x\na note"),
        ("try: 1 / 0\nexcept Exception as e: raise KeyError('k') from e", "KeyError: 'k'"),
        ("f = lambda n: f(n)\nf(0)", "RecursionError: maximum recursion depth exceeded"),
        ("import sys; sys.exit('out of luck')", "out of luck"),
        ("exec('x = ]')", "SyntaxError: unmatched ']'"),
    ],
)
def test_the_last_line_says_what_it_is(tmp_path: Path, code: str, ends: str) -> None:
    assert end_of_error(stderr_of(code, tmp_path))[0].endswith(ends)


def test_what_comes_behind_a_traceback_is_told_too() -> None:
    traceback = f'{TRACEBACK}\n  File "cell.py", line 1, in <module>\nKeyError: 1\n'
    text, has_more = end_of_error(traceback + "going on\n" * 1000 + "quota exceeded\n")
    assert "KeyError: 1" in text
    assert text.endswith("quota exceeded")
    assert has_more


def test_a_group_of_errors_is_shown_by_its_last_lines(tmp_path: Path) -> None:
    text, _ = end_of_error(stderr_of("raise ExceptionGroup('two', [ValueError(1), TypeError(2)])", tmp_path))
    assert "ExceptionGroup: two (2 sub-exceptions)" in text
    assert "TypeError: 2" in text


def test_the_frames_of_node_itself_go(tmp_path: Path) -> None:
    code = "\n\nthrow new Error('no')"
    text, has_more = end_of_error(stderr_of(code, tmp_path, program="node", name="cell.js"))
    assert text.startswith("cell.js:3\nthrow new Error('no')\n")
    assert "node:internal" not in text
    assert has_more


@pytest.mark.parametrize(
    ("text", "shown", "has_more"),
    [
        ("", "", False),
        ("\n\n", "", False),
        ("oops\n", "oops", False),
        ("x\n" * 30, "\n".join("x" * 10), True),
        ("10 %\r20 %\n", "20 %", False),
        ("\x1b[31moops\x1b[0m\n", "oops", False),
        (TRACEBACK, TRACEBACK, False),
    ],
)
def test_texts_without_a_traceback(text: str, shown: str, has_more: bool) -> None:
    assert end_of_error(text) == (shown, has_more)


def test_a_deep_recursion_keeps_its_ends(tmp_path: Path) -> None:
    code = "def f(n):\n    g(n)\ndef g(n):\n    if n > 0: h(n - 1)\n    1 / n\ndef h(n):\n    f(n)\nf(280)\n"
    stderr = stderr_of(code, tmp_path, name="a_long_name_of_a_file_that_makes_the_traceback_large.py")
    assert len(stderr) > 40_000
    text, has_more = end_of_error(stderr)
    assert 'py", line 5, in g\n    1 / n' in text
    assert text.endswith("ZeroDivisionError: division by zero")
    assert has_more


def test_a_line_of_a_quarter_of_a_megabyte_keeps_its_ends() -> None:
    text, _ = end_of_error(f"{TRACEBACK}\nValueError: {'y' * 250_000}end")
    assert "ValueError: yyy" in text
    assert text.endswith("yyyend")
    assert len(text) < 1000


PIECES = st.sampled_from(
    [TRACEBACK, '  File "/a/cell.py", line 1, in f', "    f()", '  File "/lib/python3/x.py", line 2', "E: x", "", "\r"]
)


@given(st.lists(PIECES | st.text(), max_size=40))
def test_any_text_stays_short(pieces: list[str]) -> None:
    text, _ = end_of_error("\n".join(pieces))
    assert len(text.split("\n")) <= 60
    assert all(len(line) < LONGEST + 50 for line in text.split("\n"))


def test_it_takes_no_longer_than_its_input() -> None:
    def ends(frames: str) -> None:
        end_of_error(f"{TRACEBACK}\n{frames}E: x")

    for piece in ('  File "/a/cell.py", line 1, in f\n    f()\n', "  x\n", "\x1b[31mx\x1b[0m "):
        assert grows_like_its_input(ends, piece, 40_000)
