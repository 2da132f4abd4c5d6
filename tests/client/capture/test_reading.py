"""Reads back what wrapped launches keep in files, through an agent that runs commands or serves files."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from hopx_magics.client.capture import CapturedOutput, run_folders, wrapped
from hopx_magics.client.capture.reading import PIECE, SMALL
from hopx_magics.client.transport import Transport
from hopx_magics.errors import AgentError, AgentRefused, BadReply, NotSupported, UnknownProcess
from hopx_magics.models import Launch, RunId
from tests.conftest import DEADLINE, Asked, wait_until

from .conftest import CATCH_ALL, OCTETS, RUN, Connect, Sandbox


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
