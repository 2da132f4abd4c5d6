"""Sweeps of very many runs: asked for first, shown while they are launched, and interrupted at once."""

import io
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.error import UsageError

from hopx_magics.errors import LaunchInterrupted
from hopx_magics.protocol.requests import EXECUTE_BACKGROUND
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked

Cell = Callable[[str], Any]


class Launcher:
    """An agent that launches everything and runs nothing; Ctrl-C is pressed while it is launching what comes after."""

    def __init__(self, start: Callable[[Answer], OddAgent], interrupted_after: int | None = None) -> None:
        self.launched = 0
        self._interrupted_after = interrupted_after
        self.agent = start(self._answer)

    def _answer(self, asked: Asked) -> None:
        if asked.path != EXECUTE_BACKGROUND:
            asked.reply({"processes": []})
        elif self.launched == self._interrupted_after:
            os.kill(os.getpid(), signal.SIGINT)
            self.agent.hang(asked)
        else:
            self.launched += 1
            asked.reply({"process_id": f"p{self.launched}", "status": "queued"})


def test_very_many_runs_are_asked_for_first(
    cell: Cell, hopx: Any, odd_agent: Callable[[Answer], OddAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = Launcher(odd_agent)
    hopx.connect(launcher.agent.url, name="far")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert cell("%%hopx_bg --sweep n=1:1001 -o runs\npass") is None
    assert "This launches 1,001 runs. Go on? [y/N]" in cell.shown  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"launches 100,000 runs, and nobody can be asked here: --yes"):
        cell("%%hopx_bg --sweep n=1:100000\npass")
    assert launcher.launched == len(cell("%hopx_history")) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("Yes\n"))
    assert len(cell("%%hopx_bg --sweep n=1:1001\npass")) == launcher.launched == 1001
    assert len(cell("%%hopx_bg --sweep n=1:1001 --yes\npass")) == 1001
    assert len(cell("%%hopx_bg --sweep n=1:1000\npass")) == 1000
    with pytest.raises(UsageError, match="--yes is for --sweep"):
        cell("%%hopx_bg --yes\npass")


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_ends_the_launching_and_leaves_no_trace_of_what_was_never_sent(
    cell: Cell, hopx: Any, odd_agent: Callable[[Answer], OddAgent]
) -> None:
    launcher = Launcher(odd_agent, interrupted_after=5)
    hopx.connect(launcher.agent.url, name="far")
    with pytest.raises(LaunchInterrupted) as caught:
        cell("%%hopx_bg --sweep n=1:100000 --yes -o runs\npass")
    said = "\n".join(caught.value._render_traceback_())
    assert "5 of 100,000 were launched and go on, 1 may have been, the others were never sent" in said
    assert len(said.splitlines()) == 2
    assert [run.process_id for run in cell("runs")] == ["p1", "p2", "p3", "p4", "p5"]
    frame = cell("%hopx_history")
    assert list(frame["status"]) == ["unknown", *["queued"] * 5], "what was on its way may have come"
    assert list(frame["param.n"]) == [6, 5, 4, 3, 2, 1]


def test_progress_of_a_sweep(hopx: Any, odd_agent: Callable[[Answer], OddAgent]) -> None:
    hopx.connect(Launcher(odd_agent).agent.url, name="far")
    told: list[tuple[int, int]] = []
    hopx.sweep("pass", {"n": [1, 2, 3]}, progress=lambda launched, total: told.append((launched, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_sweep_that_cant_be_is_refused_before_anything_is_launched(
    hopx: Any, odd_agent: Callable[[Answer], OddAgent]
) -> None:
    launcher = Launcher(odd_agent)
    hopx.connect(launcher.agent.url, name="far")
    with pytest.raises(ValueError, match="'n' is a object"):
        hopx.sweep("pass", {"n": [1, 2, object()]})
    assert launcher.launched == 0
