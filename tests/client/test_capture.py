"""Wrapped launches are really run by bash, as an agent would do it, and read back through a stand-in agent."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from hopx_magics.client.agent import Agent
from hopx_magics.client.capture import ROOTS, CapturedOutput, decide, run_folders, wrapped
from hopx_magics.client.capture.reading import PIECE, SMALL
from hopx_magics.client.transport import Endpoint, Transport
from hopx_magics.errors import AgentError, AgentRefused, BadReply, NotSupported, UnknownProcess
from hopx_magics.models import Launch, RunId
from hopx_magics.protocol import launch_body
from hopx_magics.session.session import Session
from hopx_magics.words import Language
from tests.conftest import OddAgent, launch
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE, is_running, wait_until

RUN = RunId("0123456789abcdef")
CATCH_ALL = {"agent": "HopX VM Agent (Go)", "status": "running", "version": "3.2.8", "vm_id": "v", "message": "success"}

OCTETS: dict[str, Any] = {"Content-Type": "application/octet-stream"}

Start = Callable[[Answer], OddAgent]
Connect = Callable[[Answer], Transport]


class Sandbox:
    """Runs bash code as an agent does, with the folders of runs below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.roots = (str(root),)
        self.folder = root / RUN
        self._started: list[subprocess.Popen[bytes]] = []

    def begin(self, code: str, language: Language = "python", **options: Any) -> "subprocess.Popen[bytes]":
        """Starts the launch, in a process group of its own."""
        launch = wrapped(Launch(code=code, language=language, run_id=RUN, **options), roots=self.roots)
        assert launch.language == "bash"
        self.root.parent.mkdir(parents=True, exist_ok=True)
        script = self.root.parent / "sent.sh"  # not -c: one argument of a program can't have more than 128 kB
        script.write_text(launch.code)
        process = subprocess.Popen(
            ["bash", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | launch.env,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, code: str, language: Language = "python", **options: Any) -> tuple[bytes, bytes, int]:
        """What an agent sees: stdout, stderr, exit code."""
        process = self.begin(code, language, **options)
        out, err = process.communicate(timeout=DEADLINE)
        return out, err, process.returncode

    def kept(self) -> tuple[bytes, bytes, int]:
        """What is in the files: stdout, stderr, exit code."""
        out, err, code = ((self.folder / name).read_bytes() for name in ("stdout", "stderr", "exit_code"))
        return out, err, int(code)

    def wait_for(self, text: bytes) -> None:
        """Until the code has printed this."""
        out = self.folder / "stdout"
        wait_until(lambda: out.exists() and text in out.read_bytes(), f"{text!r} is printed")

    def wait_for_end(self) -> None:
        """Until the exit code is known."""
        code = self.folder / "exit_code"
        wait_until(lambda: code.exists() and code.read_bytes().strip(), "the exit code is there")

    @property
    def pid(self) -> int:
        """That of the process that runs the code."""
        return int((self.folder / "pid").read_text())

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate(timeout=DEADLINE)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path / "sandbox" / "runs")
    yield sandbox
    sandbox.close()


HELLO: dict[Language, str] = {
    "python": "import sys\nsys.stdout.write('out ü')\nsys.stderr.write('err')\nsys.exit(7)\n",
    "bash": "printf 'out ü'; printf err >&2; exit 7",
    "javascript": "process.stdout.write('out ü'); process.stderr.write('err'); process.exitCode = 7",
    "go": """
        package main
        import ("fmt"; "os")
        func main() { fmt.Print("out ü"); fmt.Fprint(os.Stderr, "err"); os.Exit(7) }
    """,
}


# ---------------------------------------------------------------- what the code does, and what is kept of it


@pytest.mark.parametrize("language", HELLO)
def test_streams_and_exit_code_are_kept_and_passed_on(sandbox: Sandbox, language: Language) -> None:
    seen = sandbox.run(HELLO[language], language)
    assert seen == ("out ü".encode(), b"err", 7)
    assert sandbox.kept() == seen


@pytest.mark.parametrize("language", HELLO)
def test_code_that_is_wrong_fails_with_its_own_message(sandbox: Sandbox, language: Language) -> None:
    out, err, code = sandbox.run("if (", language)
    assert (out, code != 0) == (b"", True)
    assert b"cell." in err
    assert sandbox.kept() == (out, err, code)


TRICKY = "'; \" $HOME `id` $(id) \\ %s \r\t END\nEOF\nHOPX_CODE\n) }} ü 漢字 \U0001f389 \u2028 \x7f end"
PRINT_TRICKY: dict[Language, str] = {
    "python": f"import sys; sys.stdout.buffer.write({TRICKY!r}.encode())",
    "bash": f"cat <<'LAST'\n{TRICKY}\nLAST",
    "javascript": f"process.stdout.write({json.dumps(TRICKY)})",
    "go": f'package main\nimport "fmt"\nfunc main() {{ fmt.Print({json.dumps(TRICKY, ensure_ascii=False)}) }}',
}


@pytest.mark.parametrize("language", PRINT_TRICKY)
def test_code_arrives_as_it_is(sandbox: Sandbox, language: Language) -> None:
    code = PRINT_TRICKY[language]
    out, err, exit_code = sandbox.run(code, language)
    assert (out.decode().removesuffix("\n"), err, exit_code) == (TRICKY, b"", 0)
    (file,) = sandbox.folder.glob("cell.*")
    assert file.read_bytes() == code.encode()


def test_a_megabyte_of_code(sandbox: Sandbox) -> None:
    out, _, code = sandbox.run(f"text = '{'x' * 1_000_000}'\nprint(len(text))")
    assert (out, code) == (b"1000000\n", 0)


def test_params_are_in_the_code_that_is_sent(sandbox: Sandbox) -> None:
    out, *_ = sandbox.run("print(lr, name)", params={"lr": 0.1, "name": "it's"})
    assert out == b"0.1 it's\n"


def test_binary_output(sandbox: Sandbox) -> None:
    out, err, code = sandbox.run(
        "import sys\nsys.stdout.buffer.write(bytes(range(256)))\nsys.stderr.buffer.write(bytes(range(255, -1, -1)))"
    )
    assert (out, err, code) == (bytes(range(256)), bytes(range(255, -1, -1)), 0)
    assert sandbox.kept() == (out, err, code)


def test_much_output(sandbox: Sandbox) -> None:
    out, err, code = sandbox.run("import sys\nfor i in range(10_000): print('x' * 999); print(i, file=sys.stderr)")
    assert (len(out), err.count(b"\n"), code) == (10_000_000, 10_000, 0)
    assert sandbox.kept() == (out, err, code)


@pytest.mark.parametrize("language", ["python", "bash", "javascript"])
def test_output_is_there_at_once(sandbox: Sandbox, language: Language) -> None:
    code: dict[str, str] = {
        "python": "import time\nprint('begun', end='')\ntime.sleep(99)",
        "bash": 'python3 -c \'import time; print("begun", end=""); time.sleep(99)\'',
        "javascript": "process.stdout.write('begun'); setTimeout(() => 0, 99000)",
    }
    process = sandbox.begin(code[language], language)
    assert process.stdout is not None
    assert process.stdout.read(5) == b"begun"
    assert (sandbox.folder / "stdout").read_bytes() == b"begun"
    assert not (sandbox.folder / "exit_code").exists()


def test_an_agent_that_reads_nothing_does_not_hold_the_code_up(sandbox: Sandbox) -> None:
    process = sandbox.begin(
        "import os\nos.write(1, b'x' * 3_000_000)\nopen(os.environ['DONE'], 'w')", env=done(sandbox)
    )
    wait_until(Path(done(sandbox)["DONE"]).exists, "the code is done")
    sandbox.wait_for_end()
    assert process.poll() is None  # it still wants to pass the output on
    assert sandbox.kept() == (b"x" * 3_000_000, b"", 0)


def done(sandbox: Sandbox) -> dict[str, str]:
    return {"DONE": str(sandbox.root.parent / "done")}


def test_an_agent_that_went_away_does_not_break_the_code(sandbox: Sandbox) -> None:
    process = sandbox.begin("import sys\nprint('begun')\nsys.stdin.read()\nfor _ in range(9): print('x' * 99999)")
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    assert process.wait(DEADLINE) == 0
    assert len((sandbox.folder / "stdout").read_bytes()) == 6 + 9 * 100_000


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(sandbox: Sandbox, closed: str) -> None:
    launch = wrapped(Launch(code=HELLO["python"], run_id=RUN), roots=sandbox.roots)
    code = subprocess.run(["bash", "-c", f'bash -c "$1" {closed}', "bash", launch.code], timeout=DEADLINE).returncode
    assert code == 7
    assert sandbox.kept() == ("out ü".encode(), b"err", 7)


@pytest.mark.parametrize("language", ["python", "bash", "javascript"])
def test_the_code_has_an_empty_input(sandbox: Sandbox, language: Language) -> None:
    code: dict[str, str] = {
        "python": "import sys; print(len(sys.stdin.read()))",
        "bash": "cat | wc -c",
        "javascript": "console.log(require('fs').readFileSync(0).length)",
    }
    out, *_ = sandbox.run(code[language], language)
    assert out == b"0\n"


@pytest.mark.parametrize("how", [["bash", "-euo", "pipefail", "-c"], ["bash", "--posix", "-c"]])
def test_bash_with_other_options(sandbox: Sandbox, how: list[str]) -> None:
    launch = wrapped(Launch(code=HELLO["python"], run_id=RUN), roots=sandbox.roots)
    ended = subprocess.run([*how, launch.code], capture_output=True, timeout=DEADLINE)
    assert (ended.stdout, ended.stderr, ended.returncode) == sandbox.kept() == ("out ü".encode(), b"err", 7)


def test_bash_that_reads_its_code_from_its_input(sandbox: Sandbox) -> None:
    launch = wrapped(Launch(code="cat; echo end", language="bash", run_id=RUN), roots=sandbox.roots)
    ended = subprocess.run(["bash"], input=launch.code.encode(), capture_output=True, timeout=DEADLINE)
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"end\n", b"", 0)


# ---------------------------------------------------------------- the circumstances


ENV = {"QUOTES": """ ' " ` $HOME $(id) \\ """, "LINES": "a\nb\n", "EMPTY": "", "hopx": "ü", "folder": "f", "a.b": "c"}


@pytest.mark.parametrize("language", ["python", "bash", "javascript"])
def test_the_environment(sandbox: Sandbox, language: Language) -> None:
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    code: dict[str, str] = {
        "python": show,
        "bash": f"exec python3 -c '{show}'",
        "javascript": "console.log(JSON.stringify(process.env))",
    }
    out, *_ = sandbox.run(code[language], language, env=ENV)
    env = json.loads(out)
    assert {name: env.get(name) for name in ENV} == ENV
    assert [name for name in env if name.startswith("hopx_")] == []


def test_the_code_has_no_open_files_of_others(sandbox: Sandbox) -> None:
    out, *_ = sandbox.run("import os\nprint(sorted(map(int, os.listdir('/proc/self/fd'))))")
    assert out == b"[0, 1, 2, 3]\n"  # the last one is that of the listing itself


def test_values_of_the_environment_are_in_no_code() -> None:
    launch = wrapped(Launch(code="print()", run_id=RUN, env={"KEY": "s3cret"}))
    assert launch.env == {"KEY": "s3cret"}
    assert "s3cret" not in launch.code
    assert base64.b64encode(b"s3cret").decode() not in launch.code


def test_a_path_without_tools_does_not_matter(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(os.path.realpath(sys.executable))
    launch = wrapped(Launch(code="print('ran')", run_id=RUN), roots=sandbox.roots)
    env = {"PATH": str(tmp_path)}
    ended = subprocess.run(["/bin/bash", "-c", launch.code], env=env, capture_output=True, timeout=DEADLINE)
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"ran\n", b"", 0)


def test_the_working_directory(sandbox: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "it's a $HOME\n folder"
    folder.mkdir()
    (folder / "helper.py").write_text("x = 5")
    out, err, code = sandbox.run("import os, helper\nprint(os.getcwd(), helper.x, end='')", workdir=str(folder))
    assert (out.decode(), err, code) == (f"{folder} 5", b"", 0)


def test_a_relative_working_directory_is_in_the_workspace() -> None:
    assert "hopx_directory=/workspace/data\n" in wrapped(Launch(code="x", run_id=RUN, workdir="data")).code


def test_the_home_as_working_directory(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    out, *_ = sandbox.run("pwd", "bash", workdir="~/a b", env={"HOME": str(tmp_path)})
    assert out.decode() == f"{tmp_path}/a b\n"


def test_a_working_directory_that_does_not_exist(sandbox: Sandbox) -> None:
    seen = sandbox.run("print('ran')", workdir="/no/such")
    assert seen == (b"", b"hopx: the working directory /no/such does not exist, or can't be entered\n", 126)
    assert sandbox.kept() == seen


def test_a_language_that_is_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    launch = wrapped(Launch(code="x", language="go", run_id=RUN), roots=sandbox.roots)
    env = {"PATH": str(tmp_path)}
    code = subprocess.run(["/bin/bash", "-c", launch.code], env=env, capture_output=True, timeout=DEADLINE).returncode
    assert code == 127
    assert sandbox.kept() == (b"", b"hopx: there is no go here\n", 127)


def test_go_without_a_home(sandbox: Sandbox) -> None:
    launch = wrapped(Launch(code=HELLO["go"], language="go", run_id=RUN), roots=sandbox.roots)
    env = {"PATH": os.environ["PATH"]}
    ended = subprocess.run(["bash", "-c", launch.code], env=env, capture_output=True, timeout=DEADLINE)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("out ü".encode(), b"err", 7)


def test_the_second_folder_is_for_want_of_the_first(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sandbox.roots = (str(tmp_path / "file" / "runs"), *sandbox.roots)
    assert sandbox.run(HELLO["python"])[2] == 7
    assert sandbox.kept() == ("out ü".encode(), b"err", 7)
    assert sandbox.folder.stat().st_mode & 0o777 == 0o700


def test_without_any_folder_nothing_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sandbox.roots = (str(tmp_path / "file" / "runs"),)
    out, err, code = sandbox.run("print('ran')")
    assert (out, code) == (b"", 126)
    assert b"nothing was run" in err
    assert b"file/runs" in err


# ---------------------------------------------------------------- ends


LONG: dict[Language, str] = {
    "python": "import time\nprint('begun', flush=True)\ntime.sleep(99)",
    "bash": "echo begun; sleep 99; echo not reached",
    "javascript": "console.log('begun'); setTimeout(() => 0, 99000)",
    "go": 'package main\nimport ("fmt"; "time")\nfunc main() { fmt.Println("begun"); time.Sleep(99 * time.Second) }',
}


@pytest.mark.parametrize("language", LONG)
def test_term_ends_the_code(sandbox: Sandbox, language: Language) -> None:
    process = sandbox.begin(LONG[language], language)
    sandbox.wait_for(b"begun\n")
    process.terminate()
    out, err = process.communicate(timeout=DEADLINE)
    assert (out, err, process.returncode) == (b"begun\n", b"", 143)
    assert sandbox.kept() == (b"begun\n", b"", 143)
    assert not is_running(sandbox.pid)


def to_process(process: "subprocess.Popen[bytes]", number: int) -> None:
    process.send_signal(number)


def to_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    os.killpg(process.pid, number)


FAMILY = """
    (trap '' TERM; echo "child $BASHPID"; exec sleep 99) &
    wait
"""


@pytest.mark.parametrize("kill", [to_process, to_group])
def test_kill_ends_the_code_and_all_that_it_started(sandbox: Sandbox, kill: Callable[..., None]) -> None:
    process = sandbox.begin(FAMILY, "bash")
    sandbox.wait_for(b"\n")
    child = int((sandbox.folder / "stdout").read_text().split()[1])
    assert is_running(child)
    kill(process, signal.SIGKILL)
    process.communicate(timeout=DEADLINE)  # nobody else holds the agent's pipes for long
    assert process.returncode == -signal.SIGKILL
    sandbox.wait_for_end()
    assert sandbox.kept()[2] == 137
    wait_until(lambda: not is_running(child) and not is_running(sandbox.pid), "the code has ended")


@pytest.mark.parametrize("file", ["stdout", "cell.sh", "pid"])
def test_kill_before_the_code_has_begun(sandbox: Sandbox, file: str) -> None:
    process = sandbox.begin(FAMILY, "bash")
    wait_until((sandbox.folder / file).exists, f"{file} is there")
    process.kill()
    process.communicate(timeout=DEADLINE)
    pid = (sandbox.folder / "pid").read_text().strip() if (sandbox.folder / "pid").exists() else ""
    wait_until(lambda: not pid or not is_running(int(pid)), "the code has ended")


@pytest.mark.usefixtures("_nobody_reaps")
def test_kill_where_nobody_reaps(sandbox: Sandbox) -> None:
    process = sandbox.begin(LONG["python"])
    sandbox.wait_for(b"begun\n")
    process.kill()
    process.communicate(timeout=DEADLINE)
    wait_until(lambda: not is_running(sandbox.pid), "the code has ended")


def test_term_reaches_what_the_code_started(sandbox: Sandbox) -> None:
    process = sandbox.begin("sleep 99 & echo $!; wait", "bash")
    sandbox.wait_for(b"\n")
    child = int((sandbox.folder / "stdout").read_text())
    process.terminate()
    process.communicate(timeout=DEADLINE)
    wait_until(lambda: not is_running(child), "the child has ended")


def test_term_to_the_group_is_passed_on_too(sandbox: Sandbox) -> None:
    code = "trap 'echo bye; exit 5' TERM; echo begun; sleep 99 & wait"
    process = sandbox.begin(code, "bash")
    sandbox.wait_for(b"begun\n")
    to_group(process, signal.SIGTERM)
    out, err = process.communicate(timeout=DEADLINE)
    assert (out, err, process.returncode) == (b"begun\nbye\n", b"", 5)
    assert sandbox.kept() == (out, err, 5)


def test_code_may_end_as_it_likes_after_a_signal(sandbox: Sandbox) -> None:
    code = """
        import signal, time
        def on_term(*_):
            print('term')
            heard.append(1)
        heard = []
        signal.signal(signal.SIGTERM, on_term)
        print('begun')
        while len(heard) < 3: time.sleep(0.01)
        print('saved')
        raise SystemExit(3)
    """.replace("\n        ", "\n")
    process = sandbox.begin(code)
    sandbox.wait_for(b"begun\n")
    for count in range(1, 4):
        process.terminate()
        wait_until(lambda n=count: (sandbox.folder / "stdout").read_bytes().count(b"term") == n, "it heard of it")
    out, err = process.communicate(timeout=DEADLINE)
    assert (out, err, process.returncode) == (b"begun\nterm\nterm\nterm\nsaved\n", b"", 3)
    assert sandbox.kept() == (out, err, 3)


@pytest.fixture
def _hears_interrupts() -> Iterator[None]:
    """What is started meanwhile isn't deaf to interrupts, also if the tests run in the background, and are."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_is_one(sandbox: Sandbox) -> None:
    process = sandbox.begin(LONG["python"])
    sandbox.wait_for(b"begun\n")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert b"KeyboardInterrupt" in err
    assert process.returncode == 130


def test_a_signal_to_the_code_itself(sandbox: Sandbox) -> None:
    process = sandbox.begin(LONG["python"])
    sandbox.wait_for(b"begun\n")
    os.kill(sandbox.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=DEADLINE)
    assert (out, err, process.returncode) == (b"begun\n", b"", 137)
    assert sandbox.kept() == (out, err, 137)


def test_code_that_is_stopped_goes_on(sandbox: Sandbox) -> None:
    go = sandbox.root.parent.parent / "go"
    go.touch()
    process = sandbox.begin(
        "import time\nprint('begun')\nwhile not open('go').read(): time.sleep(0.01)\nprint('end')",
        workdir=str(sandbox.root.parent.parent),
    )
    sandbox.wait_for(b"begun\n")
    for _ in range(20):
        os.kill(sandbox.pid, signal.SIGSTOP)
        wait_until(lambda: Path(f"/proc/{sandbox.pid}/stat").read_text().split()[2] == "T", "it is stopped")
        os.kill(sandbox.pid, signal.SIGCONT)
    go.write_text("go")
    out, err = process.communicate(timeout=DEADLINE)
    assert (out, err, process.returncode) == (b"begun\nend\n", b"", 0)


def test_what_the_code_leaves_behind_lives_on(sandbox: Sandbox) -> None:
    out, err, code = sandbox.run("sleep 99 & echo $!", "bash")
    left = int(out)
    try:
        assert (err, code) == (b"", 0)
        assert is_running(left)
    finally:
        os.kill(left, signal.SIGKILL)


# ---------------------------------------------------------------- reading back


class Commands:
    """Answers as an agent does that runs commands, really, and serves files, if a test doesn't take that away."""

    def __init__(self) -> None:
        self.runs_commands = True
        self.commands: list[dict[str, Any]] = []
        self.downloads: list[str] = []

    def __call__(self, asked: Asked) -> None:
        path = parse_qs(asked.query).get("path", [""])[0]
        if asked.path == "/commands/run" and self.runs_commands:
            self._run(asked)
        elif asked.path == "/files/exists":
            asked.reply({"exists": os.path.exists(path), "path": path})
        elif asked.path == "/files/download" and os.path.exists(path):
            self.downloads.append(path)
            asked.reply(Path(path).read_bytes(), **OCTETS)
        elif asked.path == "/commands/run":
            asked.reply({"error": "not found", "code": "NOT_FOUND"}, 404)
        else:
            asked.reply({"error": "not found", "code": "FILE_NOT_FOUND"}, 404)

    def _run(self, asked: Asked) -> None:
        body = json.loads(asked.body)
        self.commands.append(body)
        ended = subprocess.run([body["command"], *body["args"]], capture_output=True, timeout=DEADLINE)
        stdout, stderr = ended.stdout.decode("utf-8", "replace"), ended.stderr.decode("utf-8", "replace")
        asked.reply(
            {"success": ended.returncode == 0, "stdout": stdout, "stderr": stderr, "exit_code": ended.returncode}
        )


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def transport_to(odd_agent: Start) -> Iterator[Connect]:
    """Starts an agent that answers so, and connects to it."""
    transports: list[Transport] = []

    def connect(answer: Answer) -> Transport:
        endpoint = Endpoint(odd_agent(answer).url)
        transports.append(Transport("odd", lambda http: endpoint, timeout=DEADLINE, retry_time=5, max_reply=50_000_000))
        return transports[-1]

    yield connect
    for transport in transports:
        transport.close()


@pytest.fixture
def captured(sandbox: Sandbox, commands: Commands, transport_to: Connect) -> CapturedOutput:
    """Reads what the sandbox has; its second folder is the one that is used."""
    return CapturedOutput(transport_to(commands), roots=(str(sandbox.root / "it's not here"), *sandbox.roots))


def without_commands(commands: Commands) -> None:
    commands.runs_commands = False


def with_commands(commands: Commands) -> None:
    commands.runs_commands = True


BOTH_WAYS = pytest.mark.parametrize("way", [with_commands, without_commands])


@BOTH_WAYS
def test_parts_of_a_stream(
    sandbox: Sandbox, captured: CapturedOutput, commands: Commands, way: Callable[[Commands], None]
) -> None:
    way(commands)
    data = bytes(range(256)) * 4
    sandbox.run("import sys\nsys.stdout.buffer.write(bytes(range(256)) * 4)\nsys.stderr.write('no newline')")
    spans: list[tuple[int, int | None]] = [
        (0, None),
        (0, 10),
        (10, 20),
        (1000, None),
        (1024, None),
        (5000, 6000),
        (-10, None),
        (-5000, None),
        (-10, 1020),
        (20, 10),
        (0, 0),
        (0, 5000),
        (1023, 1024),
    ]
    for start, stop in spans:
        part = captured.part(RUN, "stdout", start, stop)
        first = min(max(0, 1024 + start) if start < 0 else start, 1024)
        assert (part.data, part.start, part.size) == (data[first:stop], first, 1024), (start, stop)
    assert captured.part(RUN, "stderr").data == b"no newline"


@BOTH_WAYS
def test_a_process_that_goes_on(
    sandbox: Sandbox, captured: CapturedOutput, commands: Commands, way: Callable[[Commands], None]
) -> None:
    way(commands)
    go = sandbox.root.parent / "go"
    code = 'echo begun; until [ -e "$GO" ]; do sleep 0.01; done; echo more'
    sandbox.begin(code, "bash", env={"GO": str(go)})
    sandbox.wait_for(b"begun\n")
    first = captured.part(RUN, "stdout")
    assert (first.data, first.size) == (b"begun\n", 6)
    go.touch()
    assert wait_until(lambda: captured.part(RUN, "stdout", first.size).data, "there is more") == b"more\n"


def test_exit_codes_are_those_of_what_has_ended(sandbox: Sandbox, captured: CapturedOutput, commands: Commands) -> None:
    runs = [RunId("no run's id"), RunId("fedcba9876543210"), RUN]
    sandbox.begin("exec sleep 600", "bash")
    wait_until(lambda: (sandbox.folder / "pid").exists(), "it runs")
    assert captured.exit_codes(runs) == {}
    os.kill(sandbox.pid, signal.SIGTERM)
    assert wait_until(lambda: captured.exit_codes(runs), "it has ended") == {RUN: 143}
    without_commands(commands)
    with pytest.raises(NotSupported):
        captured.exit_codes(runs)


def test_much_is_read_in_pieces(sandbox: Sandbox, captured: CapturedOutput, commands: Commands) -> None:
    sandbox.run("import os\nfor n in range(256): os.write(1, bytes([n]) * 10_000)")
    part = captured.part(RUN, "stdout", 5)
    assert part.data == b"".join(bytes([n]) * 10_000 for n in range(256))[5:]
    assert (part.start, part.size) == (5, 2_560_000)
    assert len(commands.commands) == 2_560_000 // PIECE + 1


def test_only_what_is_new_is_sent(sandbox: Sandbox, captured: CapturedOutput, commands: Commands) -> None:
    sandbox.run("print('x' * 999)")
    assert captured.part(RUN, "stdout", 990).data == b"xxxxxxxxx\n"
    (body,) = commands.commands
    assert body["command"] == "bash"
    assert len(body["args"]) == 2
    assert body["args"][0] == "-c"
    said = subprocess.run(["bash", *body["args"]], capture_output=True, text=True, check=True).stdout
    assert said == f"hopx: 1000 990 10\n{base64.b64encode(b'xxxxxxxxx' + bytes([10])).decode()}\n"


def test_no_two_commands_are_the_same(sandbox: Sandbox, captured: CapturedOutput, commands: Commands) -> None:
    sandbox.run("print()")
    captured.part(RUN, "stdout")
    captured.part(RUN, "stdout")
    first, second = commands.commands
    assert first != second


@BOTH_WAYS
def test_a_run_without_files(captured: CapturedOutput, commands: Commands, way: Callable[[Commands], None]) -> None:
    way(commands)
    with pytest.raises(UnknownProcess, match=r"(?s)odd.*no files of the run '0123456789abcdef'"):
        captured.part(RUN, "stderr")


@pytest.mark.parametrize(
    "run_id", ["'; touch /tmp/x;'", "../../../../tmp", "0123456789ABCDEF", "", "0123456789abcde\n"]
)
def test_what_is_no_run_id_goes_into_no_command(captured: CapturedOutput, commands: Commands, run_id: RunId) -> None:
    with pytest.raises(UnknownProcess):
        captured.part(run_id, "stdout")
    assert captured.exit_codes([run_id]) == {}
    assert commands.commands == []
    with pytest.raises(ValueError, match="no run id"):
        run_folders(run_id)
    with pytest.raises(ValueError, match="no run id"):
        wrapped(Launch(code="x", run_id=run_id))


def test_a_large_file_is_not_downloaded_to_its_end(
    sandbox: Sandbox, captured: CapturedOutput, commands: Commands
) -> None:
    without_commands(commands)
    sandbox.run("print('few', end='')")
    with (sandbox.folder / "stderr").open("wb") as file:
        file.truncate(SMALL + 1)
    with pytest.raises(NotSupported, match=r"(?s)runs no commands.*more than 10 MB: download the file /.*/stderr"):
        captured.part(RUN, "stderr", -5)
    assert captured.part(RUN, "stdout").data == b"few"


def test_a_download_that_breaks_begins_anew(sandbox: Sandbox, commands: Commands, transport_to: Connect) -> None:
    without_commands(commands)
    sandbox.run("print('whole', end='')")

    def answer(asked: Asked) -> None:
        if asked.path == "/files/download" and not broken:
            broken.append(asked)
            asked.reply(b"wh", length=5)
            asked.reset()
        else:
            commands(asked)

    broken: list[Asked] = []
    captured = CapturedOutput(transport_to(answer), roots=sandbox.roots)
    assert captured.part(RUN, "stdout").data == b"whole"
    assert broken


def error_of_reading(transport: Transport) -> AgentError:
    with pytest.raises(AgentError) as caught:
        CapturedOutput(transport).part(RUN, "stdout")
    return caught.value


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "hopx: 10 0 10\n",
        "hopx: 10 0 10\nAAAA\n",
        "hopx: 10 0 3\nAAA\n",
        "hopx: -1 0 0\n",
        "bash: stat: not found",
        None,
        5,
    ],
)
def test_replies_to_a_command_that_are_not_whole(transport_to: Connect, stdout: Any) -> None:
    reply = {"success": True, "stdout": stdout, "exit_code": 0}
    assert type(error_of_reading(transport_to(lambda asked: asked.reply(reply)))) is BadReply


def test_an_agent_that_answers_alike_to_all(transport_to: Connect) -> None:
    assert type(error_of_reading(transport_to(lambda asked: asked.reply(CATCH_ALL)))) is NotSupported


def test_an_agent_that_refuses_a_command(transport_to: Connect) -> None:
    error = error_of_reading(transport_to(lambda asked: asked.reply({"error": "bash is not there"}, 500)))
    assert type(error) is AgentRefused
    assert "bash is not there" in str(error)


def test_a_gateway_that_knows_no_such_page_does_not_decide_for_good(
    sandbox: Sandbox, commands: Commands, transport_to: Connect
) -> None:
    """Once only, it is the gateway in front of the agent that answers."""
    sandbox.run("import os\nos.write(1, b'x' * 11_000_000)")

    def answer(asked: Asked) -> None:
        if asked.path == "/commands/run" and not lost:
            lost.append(asked)
            asked.reply(b"<html>404 Not Found</html>", 404, Content_Type="text/html")
        else:
            commands(asked)

    lost: list[Asked] = []
    captured = CapturedOutput(transport_to(answer), roots=sandbox.roots, ask_again=0)
    with pytest.raises(NotSupported):
        captured.part(RUN, "stdout", -5)
    assert captured.part(RUN, "stdout", -5).data == b"xxxxx"
    assert captured.exit_codes([RUN]) == {RUN: 0}


def test_an_agent_that_runs_no_commands_is_not_asked_each_time(
    sandbox: Sandbox, commands: Commands, transport_to: Connect
) -> None:
    sandbox.run("print('whole', end='')")
    asked_for: list[str] = []

    def answer(asked: Asked) -> None:
        asked_for.append(asked.path)
        commands(asked)

    without_commands(commands)
    captured = CapturedOutput(transport_to(answer), roots=sandbox.roots)
    assert [captured.part(RUN, "stdout").data for _ in range(3)] == [b"whole"] * 3
    assert asked_for.count("/commands/run") == 1


def test_the_folders_are_where_agents_let_files_be_read() -> None:
    assert run_folders(RUN) == ("/workspace/.hopx/runs/0123456789abcdef", "/tmp/hopx-runs/0123456789abcdef")
    assert all(folder in wrapped(Launch(code="x", run_id=RUN)).code for folder in run_folders(RUN))
    assert len(ROOTS) == 2


def test_what_is_sent_of_a_wrapped_launch() -> None:
    launch = Launch(
        code="print(1)", run_id=RUN, name="train", timeout=60, env={"A": "1"}, workdir="/data", params={"x": 1}
    )
    body = json.loads(launch_body(wrapped(launch)))
    assert body | {"code": ""} == {
        "code": "",
        "language": "bash",
        "timeout": 60,
        "name": f"train [hopx:{RUN}]",
        "env": {"A": "1"},
    }


# ---------------------------------------------------------------- who keeps the output


def row(**fields: Any) -> dict[str, Any]:
    return {"process_id": "bg_1", "status": "running", **fields}


def answers(*rows: dict[str, Any], output: Answer) -> Answer:
    def answer(asked: Asked) -> None:
        if asked.path == "/execute/processes":
            asked.reply({"processes": list(rows)})
        else:
            assert asked.path.endswith("/stdout")
            output(asked)

    return answer


def refuses(status: int, code: str) -> Answer:
    return lambda asked: asked.reply({"error": "no", "code": code}, status)


def serves(asked: Asked) -> None:
    asked.reply(b"x", 206, **OCTETS, Content_Range="bytes 0-0/9")


@pytest.mark.parametrize(
    ("answer", "keeper"),
    [
        (answers(row(stdout="", stderr=""), output=refuses(500, "")), "agent"),
        (answers(row(), row(process_id="bg_2", stderr="e"), output=refuses(404, "")), "agent"),
        (answers(row(), output=serves), "agent"),
        (answers(row(), output=lambda asked: asked.reply(CATCH_ALL)), "files"),
        (answers(row(), output=refuses(404, "NOT_FOUND")), "files"),
        (answers(row(), output=refuses(404, "RESOURCE_NOT_FOUND")), "files"),
        (answers(row(stdout=None), output=refuses(405, "METHOD_NOT_ALLOWED")), "files"),
        (answers(row(), output=refuses(500, "INTERNAL_ERROR")), "files"),
        (answers(output=refuses(404, "PROCESS_NOT_FOUND")), "agent"),
        (answers(output=refuses(404, "RESOURCE_NOT_FOUND")), "files"),
        (answers(output=lambda asked: asked.reply(CATCH_ALL)), "files"),
    ],
)
def test_who_keeps_the_output_is_found_out(transport_to: Connect, answer: Answer, keeper: str) -> None:
    agent = Agent(transport_to(answer))
    assert decide(agent) == keeper
    assert decide(agent, listing=agent.listing()) == keeper


def test_the_local_agent_keeps_the_output(session: Session) -> None:
    agent = session.connection().agent
    assert decide(agent) == "agent"
    launch(session, "print(1)")
    assert decide(agent) == "agent"


def test_an_agent_that_can_not_be_asked_who_keeps_the_output(transport_to: Connect) -> None:
    with pytest.raises(AgentRefused):
        decide(Agent(transport_to(refuses(500, "INTERNAL_ERROR"))))
