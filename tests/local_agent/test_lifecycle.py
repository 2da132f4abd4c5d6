"""What becomes of a process: languages, environment, directories, statuses, the queue, time limits."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psutil
import pytest

from hopx_magics import models
from hopx_magics.local_agent.journal import Row
from hopx_magics.local_agent.programs import SHIM
from hopx_magics.local_agent.store import Store
from hopx_magics.output.progress import progress_in
from tests.waiting import TICK, wait_until

from .conftest import Agent, StartAgent, launched

FIELDS = {
    *("process_id", "execution_id", "name", "status", "language", "started_at", "completed_at"),
    *("stdout", "stderr", "exit_code", "execution_time", "pid", "usage"),
}


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_a_process_from_launch_to_end(agent: Agent) -> None:
    before = datetime.now(UTC) - timedelta(seconds=0.1)
    reply = agent.post(
        "/execute/background", code="print('Grüße'); import sys; print('bad', file=sys.stderr)", name="one"
    )
    assert reply.json().keys() >= {"process_id", "execution_id", "status"}
    assert (reply.json()["status"], reply.json()["name"]) == ("running", "one")
    row = agent.ended(reply.json()["process_id"])
    assert row.keys() == FIELDS
    assert {name: row[name] for name in ("name", "status", "language", "stdout", "stderr", "exit_code")} == {
        "name": "one",
        "status": "completed",
        "language": "python",
        "stdout": "Grüße\n",
        "stderr": "bad\n",
        "exit_code": 0,
    }
    started, completed = (datetime.fromisoformat(row[key]) for key in ("started_at", "completed_at"))
    assert before <= started <= completed <= datetime.now(UTC)
    assert row["started_at"].endswith("Z")
    assert row["execution_time"] == pytest.approx((completed - started).total_seconds(), abs=1e-5)


def test_rows_have_the_fields_of_the_documentation_in_the_form_that_is_decoded_strictly() -> None:
    wire = {field.encode_name for field in msgspec.structs.fields(models.Process)}
    assert set(Row.__struct_encode_fields__) <= wire
    assert wire >= FIELDS


def test_another_exit_code_is_a_failure(agent: Agent) -> None:
    row = agent.ended(agent.launch("echo why >&2; exit 7"))
    assert (row["status"], row["exit_code"], row["stderr"]) == ("failed", 7, "why\n")
    assert "message" not in row


def test_a_signal_is_told_as_shells_tell_it(agent: Agent) -> None:
    row = agent.ended(agent.launch("kill -SEGV $$"))
    assert (row["status"], row["exit_code"]) == ("failed", 139)


def test_execution_time_counts_and_pid_is_the_real_one(agent: Agent) -> None:
    process_id = agent.launch("import os, time; print(os.getpid(), flush=True); time.sleep(100)", "python")
    row = agent.wrote(process_id, "\n")
    assert row["pid"] == int(row["stdout"])
    process = psutil.Process(row["pid"])
    assert process.exe() == os.path.realpath(sys.executable)
    assert process.parent().pid == os.getpgid(row["pid"]) == os.getsid(row["pid"])
    later = wait_until(
        lambda: (now := agent.row(process_id))["execution_time"] > row["execution_time"] + 0.05 and now, "it counts"
    )
    assert later["status"] == "running"
    assert later["exit_code"] is later["completed_at"] is None
    agent.kill(process_id)


@pytest.mark.parametrize("language", [None, "python", "py", "python3", "PYTHON"])
def test_python_is_the_one_of_this_environment(agent: Agent, language: str | None) -> None:
    reply = agent.post("/execute/background", code="import sys, httpx; print(sys.executable)", language=language)
    row = agent.ended(reply.json()["process_id"])
    assert (row["stdout"], row["language"]) == (f"{sys.executable}\n", "python")


@pytest.mark.parametrize("language", ["bash", "sh", "shell"])
def test_bash(agent: Agent, language: str) -> None:
    row = agent.ended(agent.launch('echo "${BASH_VERSION:+bash}" $((1 + 1)); [[ -n x ]]', language))
    assert (row["stdout"], row["language"], row["exit_code"]) == ("bash 2\n", "bash", 0)


@needs("node")
@pytest.mark.parametrize("language", ["javascript", "js", "node", "nodejs"])
def test_javascript(agent: Agent, language: str) -> None:
    row = agent.ended(agent.launch("console.log([1, 2].map(x => 2 * x)); process.exit(3)", language))
    assert (row["stdout"], row["language"], row["exit_code"]) == ("[ 2, 4 ]\n", "javascript", 3)


@needs("go")
def test_go(agent: Agent) -> None:
    row = agent.ended(agent.launch('package main\nimport "fmt"\nfunc main() { fmt.Println(42) }\n', "golang"))
    assert (row["stdout"], row["language"]) == ("42\n", "go")


def test_a_language_that_is_unknown_or_not_installed(agent: Agent, start_agent: StartAgent, tmp_path: Path) -> None:
    reply = agent.post("/execute/background", code="x", language="cobol")
    assert reply.status_code == 400
    assert "'cobol' is unknown" in reply.json()["error"]
    assert "python, bash" in reply.json()["error"]
    (tmp_path / "bin").mkdir()
    bare = start_agent(env={"PATH": str(tmp_path / "bin")})
    reply = bare.post("/execute/background", code="x", language="js")
    assert reply.status_code == 400
    assert reply.json()["error"] == "language 'js' is not installed here; there are: python"


def test_the_environment(start_agent: StartAgent) -> None:
    agent = start_agent(env={"FROM_AGENT": "1", "BOTH": "agent", "PYTHONPATH": "/elsewhere"})
    code = """
import os, sys
print(*(os.environ.get(name) for name in ("FROM_AGENT", "BOTH", "MINE", "PYTHONUNBUFFERED")))
print(os.environ["PYTHONPATH"].split(":") == [os.getcwd(), "/elsewhere"], repr(sys.stdin.read()))
print("out without a flush", end="")
while True: pass
"""
    process_id = agent.launch(code, "python", env={"BOTH": "launch", "MINE": "ä=b\n"})
    row = agent.wrote(process_id, "flush")
    assert row["stdout"] == "1 launch ä=b\n 1\nTrue ''\nout without a flush"
    agent.kill(process_id)


def test_rich_draws_its_bars_without_a_terminal(agent: Agent) -> None:
    code = """
import time
from rich.progress import Progress
with Progress() as progress:
    progress.update(progress.add_task("fit", total=100), completed=37, refresh=True)
    time.sleep(100)
"""
    found = progress_in(agent.wrote(agent.launch(code, "python"), "37%")["stdout"])
    assert found is not None
    assert found.fraction == 0.37
    undone = agent.launch(code.replace("100)\n", "0)\n"), "python", env={"TTY_COMPATIBLE": "0"})
    assert "\x1b" not in agent.ended(undone)["stdout"]


def test_the_token_is_nowhere_in_a_process(agent: Agent) -> None:
    process_id = agent.launch("sleep 100 & sleep 100")
    group = os.getpgid(agent.running(process_id)["pid"])
    wait_until(lambda: len(psutil.Process(group).children(recursive=True)) >= 3, "all are there")
    members = [psutil.Process(group), *psutil.Process(group).children(recursive=True)]
    for process in members:
        assert agent.about.token not in str(process.environ())
        assert agent.about.token not in str(process.cmdline())
        assert not any(".lock" in file.path for file in process.open_files())
    assert agent.about.token not in str(psutil.Process(agent.program.pid).environ())
    agent.kill(process_id)


def test_a_process_inherits_nothing_but_its_streams(agent: Agent) -> None:
    code = """
import os
def is_passed_on(fd):
    try: return os.get_inheritable(fd)
    except OSError: return False
print([fd for fd in range(100) if is_passed_on(fd)])
print(os.path.samestat(os.fstat(0), os.stat("/dev/null")))
"""
    assert agent.ended(agent.launch(code, "python"))["stdout"] == "[0, 1, 2]\nTrue\n"


def test_a_child_that_stays_behind_does_not_keep_its_process_running(agent: Agent) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)"
    row = agent.ended(agent.launch(code, "python"))
    assert row["status"] == "completed"
    psutil.Process(int(row["stdout"])).kill()


def test_the_values_of_env_leave_the_disk_when_the_process_starts(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "1")
    first = agent.launch("read line < <(sleep 1000)")
    second = agent.launch('echo "${#SECRET}"; sleep 1000', env={"SECRET": "hunter2hunter2"})
    assert agent.row(second)["status"] == "queued"
    assert (agent.process_folder(second) / "env.json").stat().st_mode & 0o777 == 0o600
    agent.kill(first)
    agent.wrote(second, "14")
    assert not any(b"hunter2" in path.read_bytes() for path in agent.folder.rglob("*") if path.is_file())


def test_modules_beside_the_notebook_import_and_the_own_folder_shadows_nothing(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("value = 5")
    process_id = agent.launch("import cell", "python", workdir=str(tmp_path))
    assert "No module named 'cell'" in agent.ended(process_id)["stderr"]
    assert agent.ended(agent.launch("import neighbour; print(neighbour.value)", "python", workdir=str(tmp_path)))[
        "stdout"
    ] == ("5\n")


def test_working_directories(agent: Agent, tmp_path: Path) -> None:
    workspace = agent.folder / "workspace"
    (workspace / "sub").mkdir(exist_ok=True)

    def pwd(**fields: str | None) -> str:
        return str(agent.ended(agent.launch("pwd", **fields))["stdout"]).strip()

    assert pwd() == pwd(workdir="/workspace") == pwd(workdir=None) == str(workspace)
    assert pwd(workdir="/workspace/sub") == pwd(working_dir="sub") == str(workspace / "sub")
    assert pwd(workdir=str(tmp_path), working_dir="/nowhere") == str(tmp_path)
    assert pwd(working_dir="~") == str(Path.home())


@pytest.mark.parametrize(
    "workdir", ["/nowhere", "/workspace/none", "/workspace/../..", "a\0b", "x" * 5000, "~nobody9/x"]
)
def test_a_working_directory_that_cannot_be_used(agent: Agent, workdir: str) -> None:
    before = len(agent.listing())
    reply = agent.post("/execute/background", code="pwd", workdir=workdir)
    assert reply.status_code == 400
    assert "working directory" in reply.json()["error"]
    assert len(agent.listing()) == before


def test_the_queue_keeps_its_order(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--max-running", "2")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    replies = [agent.post("/execute/background", code=f"read x < {gate}; echo {i}", language="bash") for i in range(5)]
    ids = [reply.json()["process_id"] for reply in replies]
    assert [reply.json()["status"] for reply in replies] == ["running"] * 2 + ["queued"] * 3
    rows = agent.listing()
    assert [row["process_id"] for row in rows] == ids
    assert [row["status"] for row in rows] == ["running"] * 2 + ["queued"] * 3
    assert rows[4]["started_at"] is rows[4]["execution_time"] is None
    assert rows[4].keys().isdisjoint({"pid", "name"}), "what has a plain type in the vendor's OpenAPI is never null"
    assert agent.kill(ids[3]).json() == {"process_id": ids[3], "status": "killed", "message": "Process killed"}
    assert (agent.row(ids[3])["status"], agent.row(ids[3])["started_at"]) == ("killed", None)
    agent.kill(ids[0])
    agent.running(ids[2])
    assert agent.row(ids[4])["status"] == "queued"
    agent.kill(ids[1])
    agent.running(ids[4])
    for process_id in (ids[2], ids[4]):
        agent.kill(process_id)
    assert [row["process_id"] for row in agent.listing()] == ids
    assert {row["status"] for row in agent.listing()} == {"killed"}


def test_500_launches_at_once(start_agent: StartAgent) -> None:
    from concurrent.futures import ThreadPoolExecutor

    agent = start_agent("--max-running", "8")
    with ThreadPoolExecutor(50) as pool:
        ids = list(pool.map(lambda i: agent.launch(f"echo {i}", "bash", name=str(i)), range(500)))
    wait_until(lambda: {row["status"] for row in agent.listing(tail=0)} == {"completed"}, "all have ended")
    rows = {row["process_id"]: row for row in agent.listing()}
    assert [rows[process_id]["stdout"] for process_id in ids] == [f"{i}\n" for i in range(500)]
    assert len(rows) == 500


def test_time_limit(agent: Agent) -> None:
    """What the process has written is its own, and nobody adds to it: no shell, and no agent."""
    row = agent.timed_out("echo part >&2; printf half >&2; echo ready; sleep 100")
    assert (row["exit_code"], row["stdout"], row["stderr"]) == (143, "ready\n", "part\nhalf")
    assert row["execution_time"] > 0


def test_time_limit_of_what_does_not_listen(agent: Agent) -> None:
    assert agent.timed_out("trap '' TERM; echo ready; while :; do sleep 100; done")["exit_code"] == 137


def test_waiting_in_the_queue_is_not_part_of_the_time_limit(start_agent: StartAgent) -> None:
    agent = start_agent("--max-running", "1")
    first, second = agent.launch("sleep 1000", timeout=0.6), agent.launch("sleep 1000", timeout=0.5)
    assert agent.ended(first)["message"] == "timed out after 0.6 s"
    assert agent.ended(second)["execution_time"] >= 0.5 - TICK, "it has all of its time"


@pytest.mark.parametrize("timeout", [None, 0, 365 * 24 * 3600, 1e300])
def test_no_time_limit(agent: Agent, timeout: float | None) -> None:
    assert agent.ended(agent.launch("true", timeout=timeout))["status"] == "completed"


def test_commands(agent: Agent) -> None:
    line = agent.post("/commands/background", command="echo $((1+1)) | tr 2 3; exit 4", name="line").json()
    row = agent.ended(line["process_id"])
    assert (row["stdout"], row["exit_code"], row["language"], row["name"]) == ("3\n", 4, "bash", "line")
    program = agent.post("/commands/background", command="printf", args=["%s|", "a b", "$HOME", "it's"]).json()
    row = agent.ended(program["process_id"])
    assert (row["stdout"], "language" in row) == ("a b|$HOME|it's|", False)
    shell = agent.post("/commands/background", command="bash", args=["-c", "echo $X"], env={"X": "5"}).json()
    assert agent.ended(shell["process_id"])["stdout"] == "5\n"


def test_a_command_that_cannot_start(agent: Agent) -> None:
    for command, code in (("/no/such/program", 127), ("/etc/passwd", 126), ("/", 126)):
        row = agent.ended(agent.post("/commands/background", command=command, args=[]).json()["process_id"])
        assert (row["status"], row["exit_code"]) == ("failed", code)
        assert row["message"].startswith("could not start")
        assert row["message"] == row["stderr"].splitlines()[-1]
        assert command in row["message"]


def test_a_process_that_only_says_that_it_could_not_start(agent: Agent) -> None:
    row = agent.ended(agent.launch("echo could not start: me >&2; exit 127"))
    assert (row["status"], row["exit_code"], "message" in row) == ("failed", 127, False)


def test_a_directory_that_is_gone_when_the_turn_comes(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--max-running", "1")
    first = agent.launch("sleep 100")
    (tmp_path / "short").mkdir()
    second = agent.launch("true", workdir=str(tmp_path / "short"))
    third = agent.launch("true")
    (tmp_path / "short").rmdir()
    agent.kill(first)
    row = agent.ended(second)
    assert row["status"] == "failed"
    assert row["message"] == row["stderr"].splitlines()[-1]
    assert row["message"].startswith("could not start: No such file or directory")
    assert agent.ended(third)["status"] == "completed"


def test_a_process_that_signals_its_own_group_is_recorded_truly(agent: Agent) -> None:
    row = agent.ended(agent.launch("trap 'exit 5' TERM; kill -TERM 0; sleep 1"))
    assert (row["status"], row["exit_code"]) == ("failed", 5)


def test_interrupts_reach_python(agent: Agent) -> None:
    code = "import os, signal\ntry: os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt: print('interrupted')"
    assert agent.ended(agent.launch(code, "python"))["stdout"] == "interrupted\n"


def test_what_a_process_leaves_behind_lives_on(agent: Agent, tmp_path: Path) -> None:
    row = agent.ended(agent.launch("sleep 100 & echo $!"))
    left = psutil.Process(int(row["stdout"]))
    assert (row["status"], row["leftovers"]) == ("completed", [left.pid])
    assert left.status() != psutil.STATUS_ZOMBIE
    left.kill()


@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash", "/bin/bash --posix"])
@pytest.mark.parametrize(("command", "failed"), [("/bin/true", False), ("/no/such", True), ("/etc/passwd", True)])
def test_all_shells_that_are_bin_sh_tell_a_failed_start(
    tmp_path: Path, shell: str, command: str, *, failed: bool
) -> None:
    script = tmp_path / "shim.sh"
    script.write_text(SHIM.read_text().replace("\n/bin/sh -c", f"\n{shell} -c"))
    made = Store(tmp_path / "it's $HOME").create(launched(), {}, None, "")
    said = subprocess.run([*shell.split(), script, made.path, command], capture_output=True, text=True)
    assert (said.returncode != 0) == failed
    start = made.read_start()
    assert start is not None
    assert (start.failed, said.stderr.startswith("could not start: ")) == (failed, failed)
