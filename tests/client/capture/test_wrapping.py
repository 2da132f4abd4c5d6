"""Wrapped launches are really run by bash, as an agent would do it."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hopx_magics.client.capture import ROOTS, run_folders, wrapped
from hopx_magics.models import Launch
from hopx_magics.protocol.requests import launch_body
from hopx_magics.words import Language
from tests.waiting import DEADLINE, is_running, wait_until

from .conftest import RUN, Sandbox

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


@pytest.mark.parametrize(
    ("language", "code", "place"),
    [("python", "x\n1 / 0", b"line 4, in <module>"), ("bash", "echo\nnot-a-command", b"line 4: not-a-command")],
)
def test_an_error_names_the_line_of_the_cell(sandbox: Sandbox, language: Language, code: str, place: bytes) -> None:
    _, err, _ = sandbox.run(code, language, first_line=3, params={"x": "two\nlines"})
    assert place in err
