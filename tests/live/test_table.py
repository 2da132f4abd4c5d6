"""The live table on a real local agent, with a page that speaks its messages but draws nothing."""

import json
import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hopx_magics.connection import watcher
from hopx_magics.connection.local import LocalConnection
from hopx_magics.errors import AgentUnreachable, HopxError, UnknownConnection
from hopx_magics.live import following
from hopx_magics.session.session import Session
from hopx_magics.settings import Settings
from tests.conftest import agent_pid, stop_agent
from tests.standins.server import Asked
from tests.waiting import DEADLINE, wait_until

FOREVER = "import time\nprint('on', flush=True)\ntime.sleep(1000)"


def told_in(message: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The fields of rows that a message of changes tells, by their slots."""

    def at(place: int, named: dict[str, Any]) -> dict[str, Any]:
        return {
            name: at(place, values) if isinstance(values, dict) else values[place] for name, values in named.items()
        }

    for alike in json.loads(message["buffers"][0]):
        for place in range(len(alike["slot"])):
            fields = at(place, alike)
            yield fields.pop("slot"), fields


class PageStandIn:
    """Keeps what a page would know."""

    def __init__(self, table: Any, name: str = "p1") -> None:
        self.table = table
        self.name = name
        self.messages: list[dict[str, Any]] = []
        self.rows: dict[int, dict[str, Any]] = {}
        self.lines: dict[tuple[int, str], dict[int, Any]] = {}
        self._request = 0
        table.send = self._take

    def ask(self, do: str, **fields: Any) -> int:
        self._request += 1
        self.table._handle_custom_msg({"do": do, "page": self.name, "request": self._request, **fields}, [])
        return self._request

    def done(self, request: int, kind: str = "done") -> dict[str, Any]:
        def answer() -> Any:
            return next((m for m in self.messages if m["kind"] == kind and m.get("request") == request), None)

        message: dict[str, Any] = wait_until(answer, f"an answer to request {request}")
        return message

    def _take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        message = {**json.loads(json.dumps(content)), "buffers": buffers or []}
        if message["kind"] == "reset":
            columns = json.loads(zlib.decompress(message["buffers"][0]))
            slots = columns.pop("slot")
            self.rows = {slot: {name: columns[name][n] for name in columns} for n, slot in enumerate(slots)}
        elif message["kind"] == "changes":
            for slot, fields in told_in(message):
                self.rows.setdefault(slot, {}).update(fields)
            for slot in message["gone"]:
                self.rows.pop(slot)
        elif message["kind"] == "output" and message["to"] == self.name:
            lines, part = self.lines.setdefault((message["slot"], message["stream"]), {}), message["part"]
            if part["mode"] == "reset":
                lines.clear()
            lines.update(enumerate(part.get("lines", []), part.get("first", 0)))
        self.messages.append(message)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["kind"] == kind]

    def slot(self, name: str) -> int:
        return next(slot for slot, row in self.rows.items() if row["name"] == name)


@pytest.fixture
def watch(hopx: Any) -> Iterator[Callable[..., PageStandIn]]:
    pages: list[PageStandIn] = []

    def start(*references: Any, **options: Any) -> PageStandIn:
        page = PageStandIn(hopx.watch(*references, **options))
        pages.append(page)
        page.ask("hello")
        return page

    yield start
    for page in pages:
        page.table.close()


def watchers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "hopx-watcher"}


def test_rows_appear_change_and_end(hopx: Any, watch: Callable[..., PageStandIn], tmp_path: Path) -> None:
    page = watch()
    assert page.rows == {}
    os.mkfifo(tmp_path / "gate")
    code = f"print('step 1/3', flush=True)\nopen({str(tmp_path / 'gate')!r})\nprint('step 3/3')"
    run = hopx.launch(code, name="a")
    wait_until(lambda: page.rows and page.rows[0]["status"] == "running", "it is shown running")
    wait_until(lambda: page.rows[0]["progress"] == pytest.approx(1 / 3, abs=0.01), "its progress is shown")
    (tmp_path / "gate").write_text("")
    run.wait()
    wait_until(lambda: page.rows[0]["status"] == "completed", "it is shown completed")
    row = page.rows[0]
    assert (row["exit_code"], row["last"], row["progress"], row["began"]) == (0, "step 3/3", 1.0, None)
    assert list(page.table.frame()["name"]) == ["a"]
    assert page.table.frame()["progress"].iloc[0] == 1.0


def test_filters_hold_for_what_comes_later(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch(name="train-*", status="running")
    hopx.launch("pass", name="other").wait()
    run = hopx.launch(FOREVER, name="train-1")
    wait_until(lambda: page.rows, "it is shown")
    assert [row["name"] for row in page.rows.values()] == ["train-1"]
    run.kill()
    wait_until(lambda: not page.rows, "it is no longer shown")


def test_a_table_without_rows_says_why(hopx: Any, odd_agent: Any, watch: Callable[..., PageStandIn]) -> None:
    answered = threading.Event()

    def answer(asked: Asked) -> None:
        answered.wait(DEADLINE)
        asked.reply({"processes": [{"process_id": f"bg_{n}", "name": "a", "status": "completed"} for n in range(45)]})

    answered.set()
    hopx.connect(odd_agent(answer).url, name="odd")
    answered.clear()
    page = watch(name="zzz*", on=["odd"])
    assert page.table.state().nothing == "asking odd ..."
    assert "asking odd ..." in page.table.bundle()["text/html"]
    answered.set()
    wait_until(
        lambda: page.of("freshness")[-1]["connections"][0]["listed"] == 45, "the page is told how many there are"
    )
    assert page.of("reset")[0]["initial"]["filters"] == "--name zzz*"
    assert "none of 45 matches --name zzz*" in page.table.bundle()["text/plain"]


def test_what_is_queued_says_where_and_why(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch(name="last")
    hopx.sweep(FOREVER, {"n": [1, 2, 3]}, limit=1, name="first")
    hopx.sweep(FOREVER, {"n": [1, 2]}, limit=1, name="last")
    wait_until(lambda: len(page.rows) == 2, "both are shown")
    told = {"status": "queued", "detail": "limit 1 of its sweep", "skipped": 2}
    wait_until(lambda: told.items() <= page.rows[1].items(), "one is queued")
    why = "place 3: limit 1 of its sweep"
    assert [row.detail for row in page.table.state().rows] == [None, why]
    assert why in page.table.bundle()["text/html"]
    assert list(page.table.frame()["status_detail"].dropna()) == [why]
    assert ["reason", why] in page.done(page.ask("details", slot=1))["answer"]["fields"]
    frame = hopx.ps()
    assert list(frame["status"]) == ["running"] * 2 + ["queued"] * 3
    assert list(frame["status_detail"][2:]) == [f"place {n}: limit 1 of its sweep" for n in (1, 2, 3)]


def test_wrong_arguments(hopx: Any) -> None:
    for wrong in ({"sort": "x"}, {"by": "language"}, {"interval": "0.01"}, {"limit": -1}, {"status": "done"}):
        with pytest.raises(ValueError, match="use "):
            hopx.watch(**wrong)
    with pytest.raises(UnknownConnection):
        hopx.watch(on="nowhere")


def test_a_kill_says_what_the_listing_says(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch()
    hopx.launch(FOREVER, name="a")
    wait_until(lambda: page.rows and page.rows[0]["status"] == "running", "it runs")
    request = page.ask("kill", slot=0)
    assert page.done(request, "accepted")
    assert page.done(request)["answer"]["result"] == "killed"
    wait_until(lambda: page.rows[0]["status"] == "killed", "the row says so")
    assert page.done(page.ask("kill", slot=0))["answer"]["result"] == "already finished"
    assert "no longer listed" in page.done(page.ask("kill", slot=77))["error"]


def test_outputs_are_searched_as_text(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    ended = hopx.launch("print('a (.*) in it', '\\n', 'x' * 3000)\nprint('another (.*)')", name="ended").wait()
    going = hopx.launch("import time; print('(.*)' * 500, flush=True); time.sleep(1000)", name="going")
    wait_until(lambda: "(.*)" in going.stdout, "it has printed")
    page = watch()

    def found(text: str) -> dict[int, tuple[str, str]]:
        answer = page.done(page.ask("grep", text=text))["answer"]
        assert answer["whole"]
        return {line["slot"]: (line["stream"], line["line"]) for line in answer["found"]}

    lines = found("(.*)")
    assert lines.keys() == {page.slot("ended"), page.slot("going")}
    assert lines[page.slot("ended")] == ("stdout", "another (.*)")
    assert len(lines[page.slot("going")][1]) <= 200
    assert found("NOTHING of it") == {}
    assert ended.status == "completed"


def test_output_is_followed_and_details_are_told(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch()
    code = "import sys\nprint('out', flush=True); print('err', file=sys.stderr, flush=True)\n" + FOREVER
    run = hopx.launch(code, name="a", env={"API_SECRET": "hush-hush"})
    wait_until(lambda: page.rows and page.rows[0]["status"] == "running", "it runs")
    page.done(page.ask("open", slot=0, streams=["stdout", "stderr"], pinned=True))
    wait_until(lambda: page.lines.get((0, "stderr"), {}).get(0) == "err", "its stderr is shown")
    wait_until(lambda: "on" in page.lines[0, "stdout"].values(), "what came later is shown")
    details = page.done(page.ask("details", slot=0))["answer"]
    assert details["code"] == code
    assert ["environment", "API_SECRET"] in details["fields"]
    assert "hush-hush" not in json.dumps(details["fields"])
    run.kill()
    wait_until(lambda: page.of("output")[-1]["part"]["ended"], "the pane knows that it has ended")
    again = PageStandIn(page.table, "p2")
    again.ask("hello")
    assert again.of("reset")[0]["open"] == [
        {"slot": 0, "streams": ["stdout", "stderr"], "displays": False, "metrics": False, "pinned": True}
    ]
    again.ask("open", **again.of("reset")[0]["open"][0])
    wait_until(lambda: again.lines.get((0, "stdout"), {}).get(0) == "out", "a second page gets the output, too")


def test_a_download_gets_every_byte(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch()
    hopx.launch("import sys; sys.stdout.buffer.write(bytes(range(256)) * 10_000);", name="a").wait()
    wait_until(lambda: page.rows and page.rows[0]["status"] == "completed", "it is shown")
    data, last = b"", False
    while not last:
        chunk = page.done(page.ask("chunk", slot=0, stream="stdout", offset=len(data)))
        data += zlib.decompress(chunk["buffers"][0])
        last = chunk["answer"]["last"]
    assert data == bytes(range(256)) * 10_000


def test_selected_runs_and_the_view_are_kept(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch()
    run = hopx.launch("print(1)", name="a").wait()
    wait_until(lambda: page.rows, "it is shown")
    page.ask("selected", slots=[0, 99])
    assert [chosen.process_id for chosen in page.table.selected] == [run.process_id]
    page.ask("view", view={"filters": ["failed"]})
    assert page.table.frame().empty
    again = PageStandIn(page.table, "p2")
    again.ask("hello")
    assert again.of("reset")[0]["view"] == {"filters": ["failed"]}


def test_a_page_is_told_what_the_notebook_is_to_keep(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch()
    hopx.launch("raise SystemExit(3)", name="<b>a</b>").wait()
    wait_until(lambda: page.rows and page.rows[0]["status"] == "failed", "it is shown")
    done = page.done(page.ask("static"))
    assert done["answer"] == {"model": page.table.model_id}
    kept = json.loads(zlib.decompress(done["buffers"][0]))
    assert set(kept) == {"text/html", "text/plain"}
    assert "✗ failed" in kept["text/html"]
    assert "<b>a</b>" not in kept["text/html"]


def test_sizes_are_told_also_of_the_stream_that_is_not_shown(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    page = watch()
    hopx.launch("import sys; print('out'); sys.exit('why')", name="a").wait()
    wait_until(lambda: page.rows and page.rows[0]["status"] == "failed", "it is shown")
    page.done(page.ask("open", slot=0, streams=["stdout"]))
    told = {message["stream"]: message["part"] for message in page.of("output")}
    assert (told["stdout"]["mode"], told["stdout"]["size"]) == ("reset", 4)
    assert (told["stderr"]["mode"], told["stderr"]["size"]) == ("size", 4)
    page.done(page.ask("show", slot=0, streams=[]))
    assert {m["stream"]: m["part"]["mode"] for m in page.of("output")[-2:]} == {"stdout": "size", "stderr": "size"}


def test_what_is_no_intent_is_refused_and_harms_nothing(watch: Callable[..., PageStandIn]) -> None:
    page = watch()
    for wrong in ({"do": "evil"}, {"do": "kill"}, {"do": "kill", "slot": "x"}, {"do": "chunk", "slot": 1}, []):
        page.table._handle_custom_msg({"request": 9, **wrong} if isinstance(wrong, dict) else wrong, [])
    assert all("not understood" in message["error"] for message in page.of("done"))
    page.ask("ping")
    assert page.of("pong")


def test_it_follows_as_long_as_a_page_shows_it(hopx: Any, watch: Callable[..., PageStandIn]) -> None:
    others = watchers()  # of tests before, whose last request is still under way
    page = watch()
    assert len(watchers() - others) == 1
    page.ask("bye")
    wait_until(lambda: not watchers() - others, "the watcher ends")
    hopx.launch("pass", name="meanwhile").wait()
    page.ask("hello")
    wait_until(lambda: [row["name"] for row in page.rows.values()] == ["meanwhile"], "it follows again")
    page.table.close()
    assert page.of("freshness")[-1]["closed"]
    wait_until(lambda: not watchers() - others, "the watcher ends")


@pytest.mark.timeout(DEADLINE)
def test_a_closed_table_is_quiet(hopx: Any, watch: Callable[..., PageStandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FIRST_LISTING_WITHIN", 10 * DEADLINE)
    page = watch()
    page.table.close()
    page.table.close()
    page.ask("hello")
    assert page.table.closed
    assert len(page.of("reset")) == 1
    assert page.table.frame().empty, "it waits for no agent"


def test_an_agent_that_dies_is_said_and_found_again(hopx: Any, state: Settings, odd_agent: Any) -> None:
    broken = threading.Event()
    row = {"process_id": "bg_1", "name": "a", "status": "running", "started_at": "2026-11-24T00:00:00Z"}

    def answer(asked: Asked) -> None:
        if broken.is_set():
            asked.reply({"error": "out of order"}, status=500)
        else:
            asked.reply({"processes": [row], "count": 1})

    agent = odd_agent(answer)
    hopx.connect(agent.url, name="odd")
    begun = time.monotonic()
    table = hopx.watch(interval="0.2s")
    page = PageStandIn(table)
    page.ask("hello")
    try:
        wait_until(lambda: page.rows and page.rows[0]["name"] == "a", "it is shown")
        wait_until(lambda: page.of("freshness")[-1]["connections"][0]["state"] == "polling", "it is polled")
        broken.set()
        wait_until(lambda: page.of("freshness")[-1]["connections"][0]["state"] == "silent", "it is said to be silent")
        assert "out of order" in page.of("freshness")[-1]["connections"][0]["error"]
        assert page.rows[0]["status"] == "running", "the last known rows stay"
        broken.clear()
        wait_until(lambda: page.of("freshness")[-1]["connections"][0]["state"] == "polling", "it is found again")
        assert len(agent.asked) < 10 + (time.monotonic() - begun) / 0.2
    finally:
        table.close()


@pytest.fixture
def stopped(state: Settings) -> Iterator[Callable[[], int]]:
    """Stops the local agent, which hangs then, until the test is over, or goes on before."""
    pids: list[int] = []

    def stop() -> int:
        pid = agent_pid(state)
        assert pid is not None
        pids.append(pid)
        os.kill(pid, signal.SIGSTOP)
        return pid

    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_that_an_agent_hangs_is_said_long_before_it_is_given_up(
    hopx: Any, watch: Callable[..., PageStandIn], stopped: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watcher.HOLD + 1 < watcher.OVERDUE <= 6
    monkeypatch.setattr(watcher, "HOLD", 0.2)
    monkeypatch.setattr(watcher, "OVERDUE", 0.6)
    monkeypatch.setattr(LocalConnection, "listing_time", DEADLINE)
    page = watch()

    def state() -> Any:
        return page.of("freshness")[-1]["connections"][0]

    wait_until(lambda: state()["state"] == "live", "it is followed")
    pid = stopped()
    wait_until(lambda: state()["state"] == "silent", "it is said to be silent")
    assert state()["error"] is None
    assert state()["since"] is not None
    assert "local: no answer for" in page.table.bundle()["text/plain"]
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: state()["state"] == "live", "it answers again")
    assert "no answer" not in page.table.bundle()["text/plain"]


def test_a_listing_of_a_hanging_local_agent_fails_soon_and_names_its_log(
    hopx: Any, state: Settings, stopped: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LocalConnection.listing_time == 5
    monkeypatch.setattr(LocalConnection, "listing_time", 0.5)
    hopx.ps()
    pid = stopped()
    with pytest.raises(AgentUnreachable, match=r"did not answer within 0\.5 s") as caught:
        hopx.ps()
    named = f"Its pid is {pid}, its log {state.agent_folder / 'agent.log'}."
    assert named in str(caught.value)
    other = Session(state)  # of a kernel that has not found it before
    with pytest.raises(HopxError, match=r"d(oes|id) not answer") as caught_anew:
        other.connection().listing()
    other.close()
    assert named in str(caught_anew.value)


def test_a_killed_local_agent_costs_the_table_nothing(
    hopx: Any, state: Settings, watch: Callable[..., PageStandIn]
) -> None:
    import signal

    page = watch()
    hopx.launch(FOREVER, name="a")
    wait_until(lambda: page.rows and page.rows[0]["status"] == "running", "it runs")
    old = agent_pid(state)
    stop_agent(state, signal.SIGKILL)
    wait_until(lambda: agent_pid(state) != old, "another agent runs")
    hopx.launch("print('later')", name="b").wait()
    wait_until(lambda: {row["name"] for row in page.rows.values()} == {"a", "b"}, "both are shown")
    assert page.rows[page.slot("a")]["status"] == "running"


def test_the_end_of_a_process_is_told_when_it_happens(
    hopx: Any, watch: Callable[..., PageStandIn], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HOLD", "INTERVAL", "IDLE_INTERVAL"):  # what comes later by these comes after the test's end
        monkeypatch.setattr(watcher, name, 2 * DEADLINE)
    os.mkfifo(tmp_path / "gate")
    page = watch()
    hopx.launch(f"open({str(tmp_path / 'gate')!r})", name="a")
    wait_until(lambda: page.rows and page.rows[0]["status"] == "running", "it is shown running")
    (tmp_path / "gate").write_text("")
    wait_until(lambda: page.rows[0]["status"] == "completed", "it is shown completed")
