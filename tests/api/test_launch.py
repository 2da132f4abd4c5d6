"""The package from plain Python, on real processes of a real local agent."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hopx_magics import api
from hopx_magics.connection import waiting
from hopx_magics.errors import (
    AgentRefused,
    AgentUnreachable,
    CodeError,
    LaunchError,
    LocalAgentError,
    NameWarning,
    UnknownConnection,
    UnknownProcess,
    WaitInterrupted,
    WaitTimeout,
)
from hopx_magics.models import ProcessId
from hopx_magics.settings import Settings
from tests.conftest import agent_pid, stop_agent
from tests.waiting import DEADLINE, is_running, wait_until

FOREVER = "import time\nprint('on', flush=True)\ntime.sleep(1000)"


def test_the_first_lines_of_the_readme(hopx: Any) -> None:
    run = hopx.launch("print(6 * 7)", name="answer")
    assert run.wait() is run
    assert (run.status, run.exit_code, run.stdout, run.stderr) == ("completed", 0, "42\n", "")
    frame = hopx.ps(status="completed", since="2h")
    assert list(frame["name"]) == ["answer"]
    assert frame["connection"].iloc[0] == "local"
    assert frame["pid"].iloc[0] == run.process.pid


def test_a_part_of_an_empty_stream_leaves_the_others_their_bytes(hopx: Any) -> None:
    run = hopx.launch("import sys; sys.stdout.buffer.write(bytes(range(256)));").wait()
    empty = api.session().connection().outputs.part(run.process_id, "stderr", 0, 100)
    assert (empty.data, empty.size) == (b"", 0)
    assert api.session().connection().outputs.part(run.process_id, "stdout", 0).data == bytes(range(256))


def test_every_use_case_of_the_list_processes_page(hopx: Any) -> None:
    done = hopx.launch("print('Training complete! Accuracy: 0.95')", name="model-training")
    failed = hopx.launch("raise SystemExit('no data')", name="broken")
    going = hopx.launch(FOREVER, name="data-processing")
    done.wait()
    failed.wait()
    wait_until(lambda: going.stdout, "it has printed")

    df = hopx.ps()  # monitor all
    assert set(df["process_id"]) == {done.process_id, failed.process_id, going.process_id}
    one = df[df["process_id"] == done.process_id].iloc[0]  # one process
    assert (one["status"], one["language"], one["exit_code"]) == ("completed", "python", 0)
    running = df[df["status"] == "running"]  # only running
    assert list(running["name"]) == ["data-processing"]
    assert one["stdout"] == "Training complete! Accuracy: 0.95\n"  # its output
    assert "no data" in df.set_index("name")["stderr"]["broken"]  # its error
    completed = df.loc[df["status"] == "completed", ["name", "execution_time", "exit_code"]]
    assert completed.to_dict("records")[0]["execution_time"] > 0
    counts = df.groupby("status", observed=True).size()  # count by status
    assert counts.to_dict() == {"running": 1, "completed": 1, "failed": 1}
    assert hopx.ps(by="status")["count"].to_dict() == counts.to_dict()


def test_ps_chooses_rows(hopx: Any) -> None:
    first = hopx.launch("pass", name="a-1")
    second = hopx.launch("true", language="bash", name="a-2")
    hopx.wait()
    assert list(hopx.ps("a-1")["name"]) == ["a-1"]
    assert list(hopx.ps(second.process_id[:12])["name"]) == ["a-2"]
    assert set(hopx.ps(name="a-*", sort="name")["name"]) == {"a-1", "a-2"}
    assert list(hopx.ps(language="sh")["name"]) == ["a-2"]
    assert list(hopx.ps(sort="-name", limit=1)["name"]) == ["a-2"]
    assert hopx.ps(status=["running", "queued"]).empty
    with pytest.raises(UnknownProcess, match=r"a-3(?s:.*)a-[12]"):
        hopx.ps("a-3")
    for wrong in (
        {"status": "done"},
        {"output": "all"},
        {"since": "banana"},
        {"sort": "x"},
        {"by": "x"},
        {"language": "x"},
    ):
        with pytest.raises(ValueError, match="use "):
            hopx.ps(**wrong)
    assert first.status == "completed"


def test_output_none_tail_and_full(hopx: Any) -> None:
    run = hopx.launch("print('x' * 200_000)").wait()
    assert hopx.ps(output="none")["stdout"].iloc[0] == ""
    tail = hopx.ps()["stdout"].iloc[0]
    assert tail.startswith("[134,465 bytes before this are left out")
    assert len(hopx.ps(output="full")["stdout"].iloc[0]) == 200_001
    assert len(run.stdout) == 200_001
    assert run.end_of("stdout", 3).left_out == 199_998


def test_a_process_has_the_callers_folder_and_environment_of_its_own(
    hopx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "neighbour.py").write_text("value = 'imported'")
    monkeypatch.chdir(tmp_path)
    code = (
        "import os, neighbour; print(os.getcwd(), os.environ['A'], neighbour.value, os.environ.get('HOPX_AGENT_TOKEN'))"
    )
    run = hopx.launch(code, env={"A": "1"}).wait()
    assert run.stdout == f"{tmp_path} 1 imported None\n"
    (tmp_path / "below").mkdir()
    assert hopx.launch("pwd", language="bash", workdir="below").wait().stdout == f"{tmp_path / 'below'}\n"
    with pytest.raises(AgentRefused, match="nowhere"):
        hopx.launch("pwd", language="bash", workdir="nowhere")


def test_a_failure_a_time_limit_and_a_kill(hopx: Any) -> None:
    failed = hopx.launch("import sys; sys.exit(3)").wait()
    assert (failed.status, failed.exit_code) == ("failed", 3)
    late = hopx.launch(FOREVER, timeout=1).wait()
    assert (late.status, late.process.status_detail) == ("failed", "timed out after 1 s")
    assert late.stderr == ""
    endless = hopx.launch(FOREVER)
    assert endless.kill() == "killed"
    assert endless.status == "killed"
    assert endless.kill() == "already finished"


def test_kill_by_name_and_by_status(hopx: Any) -> None:
    runs = [hopx.launch(FOREVER, name=name) for name in ("a", "b", "c")]
    assert list(hopx.kill("a", runs[0])["result"]) == ["killed"]
    assert set(hopx.kill(status="running")["name"]) == {"b", "c"}
    assert hopx.kill(status="running").empty
    with pytest.raises(UnknownProcess):
        hopx.kill("nobody")


def test_references(hopx: Any) -> None:
    old = hopx.launch("pass", name="same")
    new = hopx.launch("pass", name="same")
    hopx.launch("pass", name="other")
    hopx.wait()
    with pytest.warns(NameWarning, match="the newest of 2 named same"):
        assert hopx.attach("same").process_id == new.process_id
    assert hopx.attach(old.process_id[:11]).process_id == old.process_id
    with pytest.raises(UnknownProcess, match=r"begins with 'proc_'(?s:.*)Which one\?"):
        hopx.attach("proc_")
    with pytest.raises(UnknownProcess, match=r"no process 'sane'(?s:.*)same"):
        hopx.attach("sane")


def test_a_forgotten_process_is_unknown(hopx: Any) -> None:
    api.session().connection().listing()
    stranger = hopx.attach(hopx.launch("pass").wait().process_id)
    process_id = ProcessId("proc_nobody")
    assert api.session().connection().kill([process_id])[0].result == "unknown id"
    with pytest.raises(UnknownProcess, match="no output of proc_nobody"):
        api.session().connection().outputs.read(process_id, "stdout")
    assert stranger.status == "completed"


def test_waiting_for_what_the_agent_has_forgotten(hopx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FORGOTTEN_AFTER", 0.5)
    monkeypatch.setattr("hopx_magics.run.FORGOTTEN_AFTER", 0.5)
    monkeypatch.setenv("HOPX_KEEP_FINISHED", "1")
    monkeypatch.setenv("HOPX_HOLD_SECONDS", "0")
    monkeypatch.setenv("HOPX_MAX_RUNNING", "1")  # one after the other, so that the last one ends last
    runs = [hopx.launch("pass", name=f"n{number}") for number in range(3)]
    wait_until(lambda: len(hopx.ps()) == 1 and hopx.ps()["status"][0] == "completed", "only the last one is kept")
    with sqlite3.connect(api.session().history.file) as db:
        db.execute("UPDATE runs SET status = 'running' WHERE name <> 'n2'")  # as if nobody had ever seen their ends
    db.close()
    with pytest.raises(UnknownProcess, match="how it ended is not known"):
        hopx.wait()
    assert [run.name for run in hopx.wait()] == ["n2"], "it is said only once"
    assert runs[0].status == "unknown", "no end is claimed that nobody saw, nor that it still runs"


@pytest.mark.usefixtures("_hears_interrupts")
def test_waiting(hopx: Any) -> None:
    quick = hopx.launch("pass", name="quick")
    slow = hopx.launch(FOREVER, name="slow")
    seen: list[int] = []
    done = hopx.wait("quick", slow, any_one=True, progress=lambda processes, total: seen.append(total))
    assert [run.process.ended for run in done] == [True, False]
    assert seen
    assert set(seen) == {2}
    with pytest.raises(WaitTimeout, match=r"still going on after 0\.2 s") as caught:
        hopx.wait(slow, timeout=0.2)
    assert slow.process_id in str(caught.value)
    waits = threading.Event()
    interrupt_when(waits.is_set, "it waits")
    with pytest.raises(WaitInterrupted, match=r"Stopped waiting\. Still going on"):
        hopx.wait(slow, progress=lambda processes, total: waits.set())
    assert slow.status == "running"
    assert quick.wait().exit_code == 0
    slow.kill()
    assert hopx.wait() == []


def interrupt_when(condition: Callable[[], Any], what: str) -> None:
    """Interrupts the main thread, as Ctrl-C does, as soon as something is so."""

    def interrupt() -> None:
        wait_until(condition, what)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()


def test_await(hopx: Any) -> None:
    async def launch_two() -> list[Any]:
        slow = hopx.launch("import time; time.sleep(0.3)")
        quick = hopx.launch("pass")
        return [await quick, await slow, await quick]

    assert [run.process.status for run in asyncio.run(launch_two())] == ["completed"] * 3


def test_logs_and_following(hopx: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"""
import os, sys, time
for i in range(3):
    print(f"{{i}}%\\r", end="", flush=True)
print("done", flush=True)
sys.stderr.write("é" * 3)
while not os.path.exists({str(go)!r}):
    time.sleep(0.02)
print("last")
"""
    run = hopx.launch(code)
    pieces = []
    for piece in run.follow(["stdout", "stderr"]):
        pieces.append(piece)
        if piece[1].endswith("done\n"):
            go.touch()
    text = {stream: "".join(piece for name, piece in pieces if name == stream) for stream in ("stdout", "stderr")}
    assert text == {"stdout": "0%\r1%\r2%\rdone\nlast\n", "stderr": "ééé"}
    assert run.logs() == "done\nlast\n"
    assert run.logs(tail=1) == "last"
    assert run.logs(tail=0) == ""


def test_how_a_run_is_shown(hopx: Any) -> None:
    run = hopx.launch("raise SystemExit(1)", name="<script>alert(1)</script>\x1b[31m")
    assert repr(run).startswith("<Run <script>alert(1)</script> [31m proc_")
    assert repr(run).endswith((" on local: running>", " on local: queued>"))
    run.wait()
    bundle = run._repr_mimebundle_()
    assert bundle["text/plain"] == repr(run)
    assert "exit 1" in bundle["text/plain"]
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert "failed after" in bundle["text/html"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"code": "  \n"}, "no code"),
        ({"language": "cobol"}, "use python, bash, javascript, go"),
        ({"timeout": "banana"}, "90s"),
        ({"env": {"A=B": "1"}}, "NAME=VALUE"),
        ({"env": {"": "1"}}, "NAME=VALUE"),
    ],
)
def test_arguments_that_can_not_be_used(hopx: Any, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hopx.launch(**{"code": "pass", **wrong})
    assert not agent_pid(api.session().settings), "no agent was started for it"


def test_python_that_does_not_compile_is_not_launched(hopx: Any) -> None:
    with pytest.raises(CodeError) as caught:
        hopx.launch("x = 1\nfor x in\n")
    shown = "\n".join(caught.value._render_traceback_())
    assert "  Cell, line 2\n" in shown
    assert "SyntaxError: invalid syntax" in shown
    assert isinstance(caught.value.__cause__, SyntaxError)


def test_an_unknown_connection(hopx: Any) -> None:
    with pytest.raises(UnknownConnection, match="did you mean 'local'"):
        hopx.ps(on="lokal")


# ---------------------------------------------------------------- what may die


def test_the_agent_is_killed_while_a_run_works_and_nothing_is_lost(hopx: Any, state: Settings, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"""
import os, time
print("before", flush=True)
while not os.path.exists({str(go)!r}):
    time.sleep(0.02)
print("after")
raise SystemExit(5)
"""
    run = hopx.launch(code, name="survivor")
    wait_until(lambda: run.stdout == "before\n", "it has begun")
    waited: list[Any] = []
    waiter = threading.Thread(target=lambda: waited.append(run.wait()))
    waiter.start()
    old = agent_pid(state)
    stop_agent(state, signal.SIGKILL)
    go.touch()
    waiter.join(DEADLINE)
    assert waited == [run]
    assert (run.status, run.exit_code, run.stdout) == ("failed", 5, "before\nafter\n")
    assert agent_pid(state) != old
    assert len(hopx.ps()) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_launch_revives_an_agent_that_died(hopx: Any, state: Settings, number: int) -> None:
    for count in range(1, 5):
        assert hopx.launch(f"print({count})").wait().stdout == f"{count}\n"
        stop_agent(state, number)
    assert len(hopx.ps()) == 4


def test_two_kernels_that_start_at_once_get_one_agent(state: Settings) -> None:
    code = """
import hopx_magics as hopx
from hopx_magics.api import session
hopx.launch("pass").wait()
print(session().connection().agent.label)
"""
    kernels = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    labels = {kernel.communicate(timeout=DEADLINE)[0] for kernel in kernels}
    assert len(labels) == 1
    pid = agent_pid(state)
    assert pid is not None
    assert is_running(pid)


def test_an_agent_that_hangs_is_not_replaced(hopx: Any, state: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    hopx.ps()
    pid = agent_pid(state)
    assert pid is not None
    monkeypatch.setenv("HOPX_REPLY_SECONDS", "1")
    begin_anew()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(AgentUnreachable, match="did not answer within"):
            hopx.ps()
    finally:
        os.kill(pid, signal.SIGCONT)
    monkeypatch.delenv("HOPX_REPLY_SECONDS")
    begin_anew()
    assert hopx.ps().empty
    assert agent_pid(state) == pid


def begin_anew() -> None:
    """From now on there is another session, with the settings of the environment as they are then."""
    api.session().close()
    api.session.cache_clear()


def test_a_folder_that_can_not_be_written(hopx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOPX_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(LocalAgentError, match=r"can't be written(?s:.*)HOPX_STATE_DIR"):
        hopx.ps()


def test_the_agents_token_is_in_no_environment_repr_or_error(hopx: Any, state: Settings) -> None:
    import msgspec

    from hopx_magics.protocol.requests import AGENT_FILE, AgentFile

    environment = hopx.launch("import os; print(dict(os.environ))").wait().stdout
    about = msgspec.json.decode((state.agent_folder / AGENT_FILE).read_bytes(), type=AgentFile)
    connection = api.session().connection()
    transport = connection.agent.transport
    for text in (environment, repr(about), repr(connection), repr(vars(transport)), transport.label):
        assert about.token not in text
    assert (state.agent_folder / AGENT_FILE).stat().st_mode & 0o777 == 0o600
    assert state.agent_folder.stat().st_mode & 0o777 == 0o700


def test_windows_has_no_local_agent_and_says_so(state: Settings) -> None:
    code = """
import sys
import hopx_magics as hopx, hopx_magics.api.ps, hopx_magics.client.local
sys.platform = "win32"
try:
    hopx.ps()
except hopx.HopxError as error:
    print(error)
sys.platform = "linux"
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("the local agent isn't available on Windows\n")
    assert "%hopx_connect URL" in said


def test_lists_of_runs_and_runs_as_references(hopx: Any) -> None:
    runs = [hopx.launch("pass"), hopx.launch("pass", name="line1\nline2 \x1b[1m" + "x" * 300)]
    assert hopx.wait(runs) == runs
    assert len(hopx.ps(runs[0])) == 1
    assert hopx.attach("line1\nline2 \x1b[1m" + "x" * 300).process_id == runs[1].process_id
    assert list(hopx.kill(runs)["result"]) == ["already finished"] * 2
    with pytest.raises(ValueError, match="limit"):
        hopx.ps(limit=-1)
    with pytest.raises(ValueError, match="queued or running"):
        hopx.kill(status="completed")


def test_a_process_that_could_not_start_is_as_old_as_its_end(hopx: Any) -> None:
    hopx.launch("pass", env={"A": "x" * 200_000}, name="too-big")
    hopx.wait()
    hopx.launch("pass", name="newer").wait()
    assert list(hopx.ps()["name"]) == ["newer", "too-big"]
    assert hopx.ps("too-big")["started_at"].isna().all()
    assert hopx.ps("too-big", since="0s").empty


@pytest.mark.parametrize("code", ["-" * 100_000 + "1", "a" + ".a" * 100_000, "x = '\0'"], ids=["deep", "long", "nul"])
def test_code_that_no_compiler_takes(hopx: Any, code: str) -> None:
    with pytest.raises(CodeError, match="SyntaxError"):
        hopx.launch(code)


def test_a_doubtful_escape_is_no_error(hopx: Any) -> None:
    assert hopx.launch("print('\\d')").wait().stdout == "\\d\n"


def test_ipython_syntax_gets_a_hint(hopx: Any) -> None:
    for code in ("!ls", "%time 1", "df?"):
        with pytest.raises(CodeError, match="works in a cell of %%hopx_bg"):
            hopx.launch(code)


def test_a_working_folder_that_is_gone(hopx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(LaunchError, match="is gone"):
        hopx.launch("pass")
    assert hopx.launch("pass", workdir=str(tmp_path)).wait().exit_code == 0


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_during_a_kill_comes_at_once(hopx: Any, state: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_KILL_GRACE_SECONDS", "1000")
    code = "import os, signal, time; signal.signal(15, lambda *_: None); print(os.getpid())\nwhile True: time.sleep(1)"
    run = hopx.launch(code)
    pid = int(wait_until(lambda: run.stdout, "it has begun"))
    intent = state.agent_folder / "processes" / run.process_id / "intent"
    interrupt_when(lambda: intent.read_text().strip(), "the kill is under way")
    with pytest.raises(WaitInterrupted, match=f"Asked to end: {run.process_id}"):
        run.kill()
    assert is_running(pid), "its time to end is not over"
    os.kill(pid, signal.SIGKILL)
    assert run.wait().status == "killed"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on: it is what users do
def test_a_forked_child_has_connections_of_its_own(hopx: Any) -> None:
    run = hopx.launch("import time; time.sleep(0.5)")
    stop = run.listen(lambda update: None)
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            ok = False
            try:
                ok = hopx.launch(f"print({number})").wait().stdout == f"{number}\n" and run.wait().process.ended
            except BaseException:
                traceback.print_exc()  # and no further: the child is no second pytest
            os._exit(0 if ok else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert run.wait().exit_code == 0
    stop()


def test_a_run_is_called_by_its_name_and_what_it_was_given(hopx: Any) -> None:
    run = hopx.launch("pass", name="fit", params={"lr": 0.1, "note": "<b>" + "x" * 200, "last": 1})
    assert repr(run).startswith("<Run fit  lr=0.1 note=<b>xx")
    shown = run._repr_mimebundle_()["text/html"]
    (whole, cut) = re.search(r'<b title="(fit  [^"]*)">(fit  [^<]*)</b>', shown).groups()  # type: ignore[union-attr]
    assert whole.startswith("fit  lr=0.1 note=&lt;b&gt;xx")
    assert cut.startswith("fit  lr=0.1 note=&lt;b&gt;xx")
    assert "…" in cut
    assert cut.endswith(" last=1")
    swept = hopx.sweep("raise SystemExit(1)", {"seed": [1, 2]}, params={"lr": 0.1}, name="fit").wait()
    assert repr(hopx.attach(swept[1].run_id)).startswith("<Run fit  seed=2 lr=0.1 proc_")
    with pytest.raises(hopx.RunFailed, match=r"fit  seed=2 lr=0\.1 proc_"):
        swept[1].result()
