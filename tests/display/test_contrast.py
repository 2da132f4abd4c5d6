"""The colours of states can be read: at least 4.5:1, in light and in dark, as WCAG asks for."""

import re
from pathlib import Path

import pytest

import hopx_magics
from hopx_magics.display.coloured import Part
from hopx_magics.display.document import Document, Text
from hopx_magics.display.line import run_line, sweep_line
from hopx_magics.models import Process, ProcessId
from hopx_magics.output.style import Style
from hopx_magics.words import STATUSES, Status
from tests.contrast import THEMES, Page, jupyterlab_theme, property_of, rule_of, variables_in

LEAST = 4.5

PAGE = Path(hopx_magics.__file__).parent / "live/page"
CSS = "\n".join((PAGE / name).read_text() for name in ("watch.css", "viewers.css"))

OUTPUT = {
    theme: Page(
        jupyterlab_theme(theme),
        text="var(--jp-content-font-color1)",
        ground="var(--jp-layout-color0)",
        is_dark=theme == "dark",
    )
    for theme in THEMES
} | {
    "a white page": Page({}, text="#000", ground="#fff", is_dark=False),
    "a dark page": Page({}, text="#ccc", ground="#1e1e1e", is_dark=True),
}

TABLE = {
    theme: Page(
        {**jupyterlab_theme(theme), **variables_in(CSS, ".hopx-watch")},
        text="var(--hopx-text)",
        ground="var(--hopx-back)",
        is_dark=theme == "dark",
    )
    for theme in THEMES
}


def colours_of(html: str) -> list[str]:
    return re.findall(r"[\";]color:([^;\"]+)", html)


@pytest.mark.parametrize("page", OUTPUT)
@pytest.mark.parametrize("status", STATUSES)
def test_the_line_below_the_cell(page: str, status: Status) -> None:
    run, sweep = (
        run_line(Process(process_id=ProcessId("proc_1"), status=status), "local"),
        sweep_line("sweep_1", [Process(process_id=ProcessId("proc_1"), status=status)]),
    )
    for colour in [*colours_of(run.head), *colours_of(sweep.head)]:
        assert OUTPUT[page].contrast(colour) >= LEAST


@pytest.mark.parametrize("page", OUTPUT)
@pytest.mark.parametrize("colour", [*range(1, 7), *range(9, 15)])
def test_the_colours_of_programs_on_the_page_of_a_run(page: str, colour: int) -> None:
    lines = [(Part("text", Style(fg=colour)),)]
    (ink,) = colours_of(Document([Text("stdout", "", lines)])._repr_mimebundle_()["text/html"])
    box = "var(--jp-cell-editor-background,rgba(128,128,128,.08))"
    assert OUTPUT[page].contrast(ink, box) >= LEAST


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("status", STATUSES)
def test_the_rows_of_the_live_table(theme: str, status: Status) -> None:
    page, cell = TABLE[theme], property_of(rule_of(CSS, '.hopx-cell[data-column="status"]'), "color")
    hue = {} if status in ("queued", "unknown") else {"--hopx-hue": f"var(--hopx-{status})"}
    page = Page(page.variables | hue, text="var(--hopx-text)", ground="var(--hopx-back)", is_dark=theme == "dark")
    for grounds in ((), ("var(--hopx-hover)",), ("var(--hopx-chosen)",)):
        assert page.contrast(cell, *grounds) >= LEAST


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("status", ["running", "completed", "failed", "killed", "unknown"])
def test_the_viewers_of_the_live_table(theme: str, status: str) -> None:
    rule = re.search(rf'\.hopx-viewer-status\[data-status="{status}"\] \{{ color: ([^;]+); \}}', CSS)
    assert rule
    assert TABLE[theme].contrast(rule[1]) >= LEAST
