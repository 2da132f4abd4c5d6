"""DataFrames as a notebook with the extension shows them."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell


def shown(shell: InteractiveShell, value: object) -> dict[str, Any]:
    assert shell.display_formatter is not None
    bundle: dict[str, Any] = shell.display_formatter.format(value)[0]
    return bundle


@pytest.fixture
def plain(ipython: InteractiveShell) -> Iterator[InteractiveShell]:
    """A shell without the extension, whose own way to show DataFrames comes back after the test."""
    ipython.run_line_magic("unload_ext", "hopx_magics")
    yield ipython
    for kind in ("text/html", "text/plain"):
        formatter: Any = ipython.display_formatter and ipython.display_formatter.formatters[kind]
        formatter.pop("pandas.DataFrame", None)


def test_only_ours_are_shown_in_another_way_and_only_while_it_is_loaded(plain: InteractiveShell, hopx: Any) -> None:
    hopx.launch("pass", name="one").wait()
    processes, runs = hopx.ps(), hopx.history()
    wide = pd.DataFrame({f"column {number}": ["a\nb", "<i>"] * 40 for number in range(12)})
    others = [wide, wide.head(2), processes[["name"]], processes.groupby("status", observed=True).size(), processes.T]
    before = [shown(plain, frame) for frame in (*others, processes, runs)]
    plain.run_line_magic("load_ext", "hopx_magics")
    assert [shown(plain, frame) for frame in others] == before[: len(others)]
    for frame in (processes, runs):
        bundle = shown(plain, frame)
        assert bundle.keys() == {"text/plain", "text/html"}
        assert "✓ completed" in bundle["text/plain"]
        assert "✓ completed" in bundle["text/html"]
    with pd.option_context("display.notebook_repr_html", False):
        assert shown(plain, runs).keys() == {"text/plain"}
    plain.run_line_magic("unload_ext", "hopx_magics")
    assert [shown(plain, frame) for frame in (*others, processes, runs)] == before


def test_what_somebody_else_has_put_in_place_stays(plain: InteractiveShell) -> None:
    assert plain.display_formatter is not None
    formatter: Any = plain.display_formatter.formatters["text/html"]
    frame = pd.DataFrame({"a": [1]})
    formatter.for_type(pd.DataFrame, lambda frame: "mine")
    plain.run_line_magic("load_ext", "hopx_magics")
    assert shown(plain, frame)["text/html"] == "mine"
    plain.run_line_magic("unload_ext", "hopx_magics")
    assert shown(plain, frame)["text/html"] == "mine"
    plain.run_line_magic("load_ext", "hopx_magics")
    formatter.for_type(pd.DataFrame, lambda frame: "newer")
    plain.run_line_magic("unload_ext", "hopx_magics")
    assert shown(plain, frame)["text/html"] == "newer"


def test_a_note_that_is_broken_costs_nothing(shell: InteractiveShell, hopx: Any) -> None:
    frame = hopx.ps()
    assert shown(shell, frame)["text/plain"].startswith("No processes yet.")
    frame.attrs["hopx_seen"] = "nonsense"
    assert shown(shell, frame)["text/plain"] == repr(frame)


def test_runs_of_a_sweep_are_told_apart(shell: InteractiveShell, hopx: Any) -> None:
    sweep = hopx.sweep("print(n)", {"n": [1, 2], "why": ["w" * 40]}, name="fit")
    sweep.wait()
    bundle = shown(shell, frame := hopx.ps("fit"))
    for n in (1, 2):
        assert f"fit  n={n} why=ww" in bundle["text/plain"]
        assert f'title="fit  n={n} why={"w" * 40}"' in bundle["text/html"]
    assert set(frame.name) == {"fit"}
    bundle = shown(shell, lines := hopx.grep("[12]"))
    assert list(lines.columns) == ["run_id", "name", "status", "stream", "line", "text"]
    for n in (1, 2):
        assert f"fit  n={n} why=ww" in bundle["text/plain"]
        assert f"<mark>{n}</mark>" in bundle["text/html"]
    assert bundle["text/plain"].endswith("2 lines in 2 runs")
