"""The lines below cells, as a page of a real kernel is told of them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.settings import Settings
from tests.kernels import kernel
from tests.waiting import DEADLINE, wait_until

WAITS = """
import os, time
while not os.path.exists({go!r}):
    time.sleep(0.02)
"""


class FakePage:
    """A page of a kernel that asks the mender and hears what it is told."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.told: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.mender = ""

    def run(self, code: str) -> str:
        printed: list[str] = []
        done = self.client.execute(code, store_history=True)

        def over() -> bool:
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            self._take(message)
            content = message["content"]
            if message["parent_header"].get("msg_id") != done:
                return False
            printed.append(content.get("text", "") or "\n".join(content.get("traceback", [])))
            return content.get("execution_state") == "idle"

        wait_until(over, "the cell is run")
        return "".join(printed)

    def hear(self, condition: Callable[[], Any], what: str) -> None:
        """Hears what the kernel says until something is so."""

        def holds() -> bool:
            if condition():
                return True
            self._take(self.client.get_iopub_msg(timeout=DEADLINE))
            return bool(condition())

        wait_until(holds, what)

    def ask(self, **intent: Any) -> None:
        content = {"comm_id": self.mender, "data": {"method": "custom", "content": {"page": "p", **intent}}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    @property
    def together(self) -> list[list[dict[str, Any]]]:
        """What was told of lines, by one message each."""
        return [message["lines"] for message in self.told if message["kind"] == "lines"]

    def lines(self, line: str) -> list[dict[str, Any]]:
        """What was told of one line."""
        return [state for lines in self.together for state in lines if state["line"] == line]

    def _take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "comm_open" and "hopx-line" in str(content["data"]):
            self.mender = content["comm_id"]
        elif message["msg_type"] == "comm_msg" and content["comm_id"] == self.mender:
            self.told.append(content["data"].get("content") or {"kind": None})
        elif message["msg_type"] in ("display_data", "update_display_data"):
            self.updates.append(content)


@pytest.fixture
def fake_page(state: Settings, tmp_path: Path) -> Iterator[Callable[[], FakePage]]:
    """Starts kernels, each with such a page, which has loaded the extension."""
    kernels = contextlib.ExitStack()

    def start() -> FakePage:
        _, client = kernels.enter_context(kernel(tmp_path))
        page = FakePage(client)
        page.run("%load_ext hopx_magics\nimport hopx_magics as hopx")
        page.hear(lambda: page.mender, "there is a mender")
        return page

    with kernels:
        yield start


def held(*lines: str, **about: Any) -> list[dict[str, Any]]:
    return [{"line": line, **about} for line in lines]


def test_a_page_is_told_of_its_lines_by_one_message_and_no_longer_by_displays(
    fake_page: Callable[[], FakePage], tmp_path: Path
) -> None:
    page, code = fake_page(), WAITS.format(go=str(tmp_path / "go"))
    ids = page.run(
        f"runs = [hopx.launch({code!r}) for _ in range(2)]\ndisplay(*runs)\nprint(*[r.run_id for r in runs])"
    )
    one, other = ids.split()
    assert [update["metadata"]["hopx"]["run"] for update in page.updates[:2]] == [one, other]
    page.ask(do="holds", lines=held(one, other))
    page.hear(lambda: "running for" in str(page.lines(one)[-1:]), "the page is told that it runs")
    page.hear(lambda: len(page.lines(one)) > 2, "its displays may have been told until then")
    page.updates.clear()
    before = len(page.together)
    page.hear(lambda: len(page.together) > before + 2, "the lines tick")
    page.hear(lambda: [state["line"] for state in page.together[-1]] == [one, other], "both by one message")
    assert page.updates == []
    assert page.together[-1][0]["below"] is None, "what has not changed is not told again"
    (tmp_path / "go").touch()
    page.hear(lambda: [line for line in (one, other) if page.lines(line)[-1]["ended"]] == [one, other], "they end")
    page.hear(lambda: len(page.updates) >= 2, "and that is displayed, too")
    assert "completed in" in page.updates[-1]["data"]["text/html"]
    assert page.updates[-1]["metadata"]["hopx"]["ended"] is True


def test_other_kernels_tell_of_runs_sweeps_and_of_what_nobody_knows(fake_page: Callable[[], FakePage]) -> None:
    page = fake_page()
    code = "swept = hopx.sweep('1 / n', {'n': [0, 1, 2]}, name='swept')\nrun = hopx.launch('6 * 7', name='done')"
    ids = page.run(f"{code}\nhopx.wait(run, swept)\nprint(run.run_id, swept.sweep_id)").split()
    other = fake_page()
    other.ask(do="holds", lines=[*held(ids[0]), *held(ids[1], sweep=True), *held("gone", name="<b>old</b>")])
    other.hear(lambda: other.lines("gone"), "all is answered")
    (run,), (sweep,), (gone,) = (other.lines(line) for line in (*ids, "gone"))
    assert (run["status"], run["ended"]) == ("completed", True)
    assert ">42<" in run["below"]
    assert run["slot"] is not None
    assert "2 of 3 completed, 1 failed" in sweep["head"]
    assert "n=0" in sweep["below"]
    assert "ZeroDivisionError" in sweep["below"]
    assert "no longer known" in gone["head"]
    assert "&lt;b&gt;old&lt;/b&gt;" in gone["head"]
    other.ask(do="holds", lines=held(ids[0], "gone", ended=True))
    other.hear(lambda: len(other.lines(ids[0])) == 2, "what had ended is answered")
    assert other.lines(ids[0])[-1]["head"] is None, "the notebook has more of it than anybody else may have"
    assert len(other.lines("gone")) == 1


def test_what_is_no_intent_and_what_can_t_be_done_is_answered(fake_page: Callable[[], FakePage]) -> None:
    page = fake_page()
    for request, intent in enumerate(
        [
            {"do": "holds", "lines": [{"line": 5}]},
            {"do": "stop", "line": "nosuch"},
            {"do": "stop", "line": "x" * 2000},
            {"do": "kill", "slot": 0},
            {"do": "open", "slot": 10**9, "streams": ["stdout"]},
            {"do": "details", "slot": -1},
        ],
        1,
    ):
        page.ask(request=request, **intent)
    page.ask(do="ping")
    page.hear(lambda: any(told["kind"] == "pong" for told in page.told), "the mender lives")
    page.hear(lambda: len([told for told in page.told if told["kind"] == "done"]) == 6, "all is answered")
    assert all(told["error"] for told in page.told if told["kind"] == "done")
