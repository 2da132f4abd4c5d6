"""The front end's source: one module for the widget, and plain ES modules for everybody else."""

import re
import zlib
from collections import Counter
from pathlib import Path

import pytest

import hopx_magics
from hopx_magics.live.bundle import STYLES, program, script, styles
from tests.page.node import run

MODULES = sorted((Path(hopx_magics.__file__).parent / "live" / "page").glob("*.js"))
DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)

PROGRAMS = ("main.js", "mender.js", "lineviewer.js", "charts.js")
"""The modules that a page loads, each with what it imports."""

# What would turn text of other people into a page's own elements or code.
SINKS = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc", "setHTML")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_joined_module_parses(name: str, tmp_path: Path) -> None:
    joined, text = tmp_path / "joined.mjs", script(name)
    joined.write_text(text)
    run("--check", joined)
    assert not re.search(r"^import ", text, re.MULTILINE)
    assert len(re.findall(r"^export default.*", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^export .*", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_each_module_parses_alone_and_is_used(path: Path) -> None:
    run("--check", path)
    assert path.name in PROGRAMS or any(f'"./{path.name}"' in other.read_text() for other in MODULES)


def test_no_name_is_declared_twice() -> None:
    names = Counter(name for path in MODULES for name in DECLARED.findall(path.read_text()))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_text_never_becomes_html(path: Path) -> None:
    """But for those that make frames, in which it can reach nothing."""
    allowed = ["srcdoc"] if path.name in ("frame.js", "linemarkup.js") else []
    assert [sink for sink in SINKS if sink in path.read_text()] == allowed


def test_the_style_sheet_stays_within_the_widget() -> None:
    rules = re.sub(r"/\*.*?\*/", "", styles(*STYLES, "lines.css", "charts.css"), flags=re.DOTALL)
    selectors = [line.strip() for line in re.findall(r"^[^@{}\n][^{}]*(?=\{)", rules, re.MULTILINE)]
    assert len(selectors) > 50
    assert [selector for selector in selectors if "hopx-" not in selector] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_text_runs_over_several_lines(path: Path) -> None:
    """Its indentation would be lost with that of the code."""
    code = re.sub(r"/\*.*?\*/|^\s*//.*|^const LINK = .*", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in code.splitlines() if line.count("`") % 2] == []


def test_charts_come_with_their_library_when_they_are_opened() -> None:
    sheet, library, own = zlib.decompress(program("charts")).decode().split("\0")
    vendor = Path(hopx_magics.__file__).parent / "live" / "page" / "vendor"
    assert library == (vendor / "uPlot.esm.js").read_text()
    (version,) = re.findall(r"uPlot\.js .*\n.*\n.*\(v([0-9.]+)\)", library)
    assert (vendor / "README.md").read_text().startswith(f"# uPlot {version}\n")
    assert sheet.startswith(".hopx-charts {\n.uplot,"), "its rules hold within the charts alone"
    assert "uPlot.esm" not in script() + own
    assert "class MetricChart" in own
    assert "class MetricChart" not in script()


def test_the_source_is_small() -> None:
    assert len(script()) + len(styles()) < 220_000, "a notebook that keeps the state of widgets keeps this, too"
    assert len(script("mender.js")) + len(styles("lines.css")) < 40_000, "and every kernel sends this"
