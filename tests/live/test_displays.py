"""The displays of a process as a page of the live table gets them, from a real local agent, and from a sandbox."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.errors import AgentUnreachable
from hopx_magics.live import displays
from tests.standins import agents
from tests.waiting import wait_until

from .test_table import PageStandIn, watch

__all__ = ["watch"]

Watch = Callable[..., PageStandIn]

STEPS = """
import os, time
from IPython.display import HTML, clear_output, display
def wait_for(name):
    while not os.path.exists({folder!r} + "/" + name):
        time.sleep(0.01)
state = display("one", display_id="state")
display(HTML("<table><tr><td>2</td></tr></table>"))
wait_for("update")
state.update("changed")
wait_for("clear")
clear_output(wait=True)
wait_for("again")
display({{"image/png": "iVBORw0KGgo="}}, raw=True)
"""


class Shown:
    """What a page shows of the displays of its first row."""

    def __init__(self, page: PageStandIn) -> None:
        self.page = page
        page.done(page.ask("open", slot=0, streams=[], displays=True))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.page.of("displays")

    @property
    def forms(self) -> dict[int, dict[str, Any]]:
        forms: dict[int, dict[str, Any]] = {}
        for message in self.messages:
            forms |= dict(message["shown"])
            forms = {number: form for number, form in forms.items() if number >= message["first"]}
        return forms

    def expect(self, *contents: str) -> None:
        wait_until(lambda: [_content(form) for form in self.forms.values()] == list(contents), f"{contents} are shown")


def _content(form: dict[str, Any]) -> str:
    if form["form"] == "text":
        return "\n".join(form["lines"])
    return str(form.get("html") or form.get("address") or form["document"][-20:])


def test_displays_are_shown_as_they_come_change_and_go(hopx: Any, watch: Watch, tmp_path: Path) -> None:
    run = hopx.launch(STEPS.format(folder=str(tmp_path)), name="steps")
    page = watch()
    wait_until(lambda: page.rows, "it is listed")
    shown = Shown(page)
    table = '<table class="dataframe" border="1"><tr><td>2</td></tr></table>'
    shown.expect("'one'", table)
    (tmp_path / "update").touch()
    shown.expect("'changed'", table)
    (tmp_path / "clear").touch()
    (tmp_path / "again").touch()
    shown.expect("data:image/png;base64,iVBORw0KGgo=")
    run.wait()
    wait_until(lambda: shown.messages[-1]["ended"], "that is all")
    assert page.rows[0]["displays"] is True
    assert shown.messages[-1]["earlier"] == 0
    for form in page.table.bundle(clickable=False).values():
        assert "steps has displays: %hopx_show steps" in form
    told = len(shown.messages)
    page.done(page.ask("show", slot=0, streams=["stdout"]))
    page.done(page.ask("show", slot=0, streams=[], displays=True))
    wait_until(lambda: len(shown.messages) > told, "they are told again")
    shown.expect("data:image/png;base64,iVBORw0KGgo=")


def test_many_and_large_ones_are_bounded(hopx: Any, watch: Watch) -> None:
    code = "for n in range(120): display(n)\ndisplay({'text/plain': 'x' * 9_000_000}, raw=True)"
    hopx.launch(code, name="many").wait()
    page = watch()
    wait_until(lambda: page.rows, "it is listed")
    shown = Shown(page)
    wait_until(lambda: shown.messages and shown.messages[-1]["ended"], "all are there")
    assert shown.messages[-1]["earlier"] == 71
    assert list(shown.forms) == list(range(71, 121))
    assert len(_content(shown.forms[120])) < displays.LONGEST_TEXT + 20
    page.done(page.ask("more", slot=0))
    wait_until(lambda: shown.messages[-1]["first"] == 21, "earlier ones are there, too")
    numbers = [number for message in shown.messages for number, _ in message["shown"]]
    assert sorted(numbers) == list(range(21, 121)), "and none was told twice"


def test_an_error_alone_is_shown_but_no_display_of_its_row(hopx: Any, watch: Watch) -> None:
    hopx.launch("1 / 0", name="failed").wait()
    page = watch()
    wait_until(lambda: page.rows, "it is listed")
    assert page.rows[0]["displays"] is False
    shown = Shown(page)
    wait_until(lambda: shown.forms, "its error is shown")
    assert "ZeroDivisionError" in _content(shown.forms[0])


def test_a_note_says_why_there_are_none(hopx: Any, watch: Watch, odd_agent: Any) -> None:
    agent = odd_agent(lambda asked: asked.reply({"processes": [{"process_id": "bg_1", "status": "running"}]}))
    hopx.connect(agent.url, name="odd")
    page = watch(on=["odd"])
    wait_until(lambda: page.rows, "it is listed")
    shown = Shown(page)
    wait_until(lambda: shown.messages and shown.messages[0]["note"], "that is said")
    assert page.rows[0]["displays"] is False


def test_an_agent_that_does_not_answer_is_asked_again() -> None:
    silent = AgentUnreachable("no answer", agent="there", sent=True)
    answers: list[Exception | None] = [silent, silent, None]
    told: list[dict[str, Any]] = []

    def read(start: int) -> Iterator[tuple[dict[str, Any], int]]:
        if (error := answers.pop(0)) is not None:
            raise error
        yield {"output_type": "display_data", "data": {"text/plain": "here"}}, 10

    pane = displays.DisplayPane(read, lambda **told_now: told.append(told_now))
    while not pane.ended:
        pane.look(ended=True)
    assert [each["note"] for each in told] == [str(silent), None]
    assert told[1]["shown"][0][1].lines == ["here"]


def test_those_of_a_sandbox_are_fetched_when_there_are_new_ones(
    hopx: Any, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    agent = agents.AgentStandIn(agents.OPENAPI, tmp_path / "machine")
    try:
        hopx.connect(agent.url, name="there", token=agent.token)
        hopx.launch(STEPS.format(folder=str(tmp_path)), name="steps")
        page = watch()
        wait_until(lambda: page.rows, "it is listed")
        shown = Shown(page)
        table = '<table class="dataframe" border="1"><tr><td>2</td></tr></table>'
        shown.expect("'one'", table)

        def asked(path: str, what: str) -> int:
            return sum(each.path == path and each.query.endswith(what) for each in agent.asked)

        fetched, looked = asked("/files/download", "%2Fdisplays"), asked("/files/list", "%2Fout")
        wait_until(lambda: asked("/files/list", "%2Fout") > looked + 1, "it is looked for new ones")
        assert asked("/files/download", "%2Fdisplays") == fetched
        (tmp_path / "update").touch()
        shown.expect("'changed'", table)
    finally:
        agent.close()
