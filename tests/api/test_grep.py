"""Searching outputs, of real processes of a real local agent and of the history."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until


def lines(frame: Any) -> list[tuple[Any, ...]]:
    columns = frame[["name", "stream", "line", "text"]]
    return [
        tuple(None if value is columns["line"].dtype.na_value else value for value in row) for row in columns.values
    ]


def test_lines_of_what_has_ended_and_of_what_goes_on(hopx: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    hopx.launch("import sys\nprint('one')\nprint('loss: 0.5')\nprint('no loss here', file=sys.stderr)", name="a").wait()
    going = hopx.launch(f"print('a\\nLoss: 1', flush=True); open({str(tmp_path / 'gate')!r}).read()", name="b")
    wait_until(lambda: "Loss" in going.stdout, "it has printed")
    assert lines(hopx.grep("loss")) == [("a", "stdout", 2, "loss: 0.5"), ("a", "stderr", 1, "no loss here")]
    assert lines(hopx.grep("^loss", ignore_case=True)) == [
        ("b", "stdout", 2, "Loss: 1"),
        ("a", "stdout", 2, "loss: 0.5"),
    ]
    assert lines(hopx.grep("loss", status="running", ignore_case=True)) == [("b", "stdout", 2, "Loss: 1")]
    (tmp_path / "gate").write_text("")
    going.wait()
    assert lines(hopx.grep("Loss")) == [("b", "stdout", 2, "Loss: 1")]


def test_it_is_searched_as_a_terminal_shows_it(hopx: Any) -> None:
    hopx.launch(r"print('10 %\r100 %'); print('\x1b[31mred\x1b[0m herring', end='')", name="bar").wait()
    assert lines(hopx.grep("%")) == [("bar", "stdout", 1, "100 %")]
    assert lines(hopx.grep("^red h")) == [("bar", "stdout", 2, "red herring")]


def test_of_long_lines_and_outputs_what_is_kept(hopx: Any) -> None:
    code = "print('x' * 5000 + 'needle' + 'y' * 5000)\nfor i in range(400_000): print(i)\nprint('needle at the end')"
    hopx.launch(code, name="long").wait()
    first, last = lines(hopx.grep("needle"))
    assert first[2] == 1
    assert "xxneedleyy" in first[3]
    assert len(first[3]) == 2002
    assert last == ("long", "stdout", None, "needle at the end")


def test_nothing_found_and_no_pattern(hopx: Any) -> None:
    frame = hopx.grep("nothing")
    assert list(frame.columns) == ["run_id", "name", "status", "stream", "line", "text"]
    assert str(frame["line"].dtype) == "Int64"
    assert frame.attrs["hopx_empty"] == "No runs yet. %%hopx_bg launches one."
    hopx.launch("pass", name="one").wait()
    assert hopx.grep("a needle", name="o*").attrs["hopx_empty"] == "no output of --name o* has 'a needle'"
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        hopx.grep("(")
