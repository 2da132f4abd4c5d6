"""HopX sandboxes through the magics and the Python API, against stand-ins of the control plane and of agents."""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from hopx_magics import api
from hopx_magics.errors import (
    AgentWarning,
    CredentialsError,
    NotSupported,
    NotYours,
    RunFailed,
    SandboxError,
    UnknownConnection,
)
from hopx_magics.settings import Settings
from tests.standins import agents
from tests.standins.hopx import HopX, cloud
from tests.waiting import wait_until

Cell = Callable[[str], Any]


@pytest.fixture
def hopx_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HopX]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with cloud(tmp_path) as hopx:
        monkeypatch.setenv("HOPX_API_KEY", hopx.plane.key)
        monkeypatch.setenv("HOPX_BASE_URL", hopx.plane.url)
        yield hopx


# A session reads its settings when it is made: the cloud has to be there first.
@pytest.fixture
def cell(hopx_cloud: HopX, cell: Cell) -> Cell:
    api.session.cache_clear()
    return cell


def soon(minutes: float) -> str:
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


# ---------------------------------------------------------------- connecting


def test_from_an_id_to_the_output(cell: Cell, hopx_cloud: HopX) -> None:
    sandbox = hopx_cloud.sandbox()
    connection = cell(f"%hopx_connect {sandbox} --as gpu")
    assert repr(connection) == f"<Connection gpu: sandbox {sandbox}>"
    run = cell(
        "%%hopx_bg --name train --env WHO=world --param n=3\n"
        "import os\nfor i in range(n): print('hello', os.environ['WHO'])"
    )
    assert run.wait().exit_code == 0
    assert run.stdout == "hello world\n" * 3
    frame = cell("%hopx_ps")
    assert list(frame["connection"]) == ["gpu"]
    assert list(frame["sandbox"]) == [sandbox]
    assert str(cell("%hopx_logs train --tail 1")) == "hello world"
    history = cell("%hopx_history --output")
    assert list(history["sandbox"]) == [sandbox]
    assert list(history["stdout"]) == ["hello world\n" * 3]
    connections = cell("%hopx_connect")
    assert connections[["name", "sandbox", "current"]].iloc[-1].tolist() == ["gpu", sandbox, True]


@pytest.mark.parametrize("lang", ["python", "bash", "javascript"])
def test_output_is_captured_in_every_language(cell: Cell, hopx_cloud: HopX, lang: str) -> None:
    cell(f"%hopx_connect {hopx_cloud.sandbox()} --as box")
    code = {
        "python": "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)",
        "bash": "echo out; echo err >&2; exit 3",
        "javascript": "console.log('out'); console.error('err'); process.exit(3)",
    }
    run = cell(f"%%hopx_bg --lang {lang}\n{code[lang]}")
    run.wait()
    assert (run.status, run.exit_code, run.stdout, run.stderr) == ("failed", 3, "out\n", "err\n")


def test_what_has_not_begun_to_write_has_written_nothing(cell: Cell, hopx_cloud: HopX, tmp_path: Path) -> None:
    cell(f"%hopx_connect {hopx_cloud.sandbox()} --as box")
    os.mkfifo(tmp_path / "gate")
    run = cell(f"%%hopx_bg --lang bash\nread x < {tmp_path}/gate; echo done")
    assert run.stdout == ""
    (tmp_path / "gate").write_text("\n")
    assert run.wait().stdout == "done\n"


def test_an_agent_that_returns_output_is_used_as_it_is(cell: Cell, hopx_cloud: HopX) -> None:
    cell(f"%hopx_connect {hopx_cloud.sandbox(agents.DOCUMENTATION)} --as box")
    cell("%%hopx_bg --capture agent -q\nprint('first')")
    cell("%hopx_wait")
    run = cell("%%hopx_bg\nprint('plain')")
    assert run.wait().stdout == "plain\n"
    agent = hopx_cloud.agents[0]
    assert all(execution.language == "python" for execution in agent.executions.values()) or agent.executions


def test_what_is_wrong_with_a_sandbox_is_said(cell: Cell, hopx_cloud: HopX) -> None:
    plane = hopx_cloud.plane
    paused, stopped = hopx_cloud.sandbox(status="paused"), hopx_cloud.sandbox(status="stopped")
    foreign = hopx_cloud.sandbox()
    plane.foreign.add(foreign)
    with pytest.raises(SandboxError, match=f"{paused} is paused(?s:.*)--resume"):
        cell(f"%hopx_connect {paused}")
    assert plane.rows[paused]["status"] == "paused", "nothing resumes it unasked"
    with pytest.raises(SandboxError, match="stopped"):
        cell(f"%hopx_connect {stopped}")
    with pytest.raises(NotYours):
        cell(f"%hopx_connect {foreign}")
    with pytest.raises(UnknownConnection, match=r"no connection is named 'nosuch'(?s:.*)sandbox"):
        cell("%hopx_connect nosuch")
    cell(f"%hopx_connect {paused} --resume --as woken")
    assert plane.rows[paused]["status"] == "running"
    assert len(cell("%hopx_ps")) == 0


def test_without_a_key_it_is_said_where_one_comes_from(
    cell: Cell, hopx_cloud: HopX, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOPX_API_KEY")
    with pytest.raises(CredentialsError, match="no HopX API key\nSet HOPX_API_KEY"):
        cell("%hopx_sandboxes")
    with pytest.raises(UnknownConnection, match="no connection is named 'lcoal'; did you mean 'local'"):
        cell("%hopx_connect lcoal")


def test_new_sandboxes(cell: Cell, hopx_cloud: HopX) -> None:
    agent = hopx_cloud.agent()
    agent.starting = 2
    hopx_cloud.plane.host = agent.url
    made = cell("%hopx_connect --new base -n 2 --timeout 4h --as work --env A=1")
    assert [connection.name for connection in made] == ["work-1", "work-2"]
    frame = cell("%hopx_sandboxes")
    assert sorted(frame["connected"]) == ["work-1", "work-2"]
    assert list(frame["status"]) == ["running", "running"]
    assert (frame["expires_in"] > pd.Timedelta("3h50m")).all()
    assert len(cell("%hopx_ps --on all")) == 0
    deleted = repr(cell("%hopx_disconnect work-2 --delete"))
    assert (
        deleted
        == f"work-2 is no longer connected; its sandbox {made[1].place.sandbox} is deleted, with all that was in it"
    )
    assert len(cell("%hopx_sandboxes")) == 1
    left = repr(cell("%hopx_disconnect work-1"))
    assert left == f"work-1 is no longer connected; its sandbox {made[0].place.sandbox} goes on"
    assert list(cell("%hopx_sandboxes")["connected"].isna()) == [True]
    assert list(cell("%hopx_connect")["name"]) == ["local"]
    with pytest.raises(UsageError, match="-n is for --new"):
        cell("%hopx_connect local -n 2")
    with pytest.raises(UsageError, match="0 sandboxes"):
        cell("%hopx_connect --new -n 0")


def test_a_sandbox_that_ends_soon_is_said_so(cell: Cell, hopx_cloud: HopX) -> None:
    sandbox = hopx_cloud.sandbox(expires_at=soon(10))
    cell(f"%hopx_connect {sandbox} --as gpu")
    with pytest.warns(AgentWarning, match=r"gpu: its sandbox expires in (9|10) min.*%hopx_extend gpu 2h"):
        cell("%hopx_ps")
    extended = repr(cell("%hopx_extend gpu 2h"))
    assert re.fullmatch(r"gpu lives until 20\d\d-\d\d-\d\d [\d:]+ UTC, 2 h from now", extended)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cell("%hopx_ps")
        cell("%%hopx_bg --timeout 1h -q\npass")
    with pytest.warns(AgentWarning, match=r"gpu: its sandbox expires in 2 h.*before the time limit is over"):
        cell("%%hopx_bg --timeout 5h -q\npass")
    with pytest.raises(UsageError, match="local is no sandbox"):
        cell("%hopx_extend local 2h")


def test_a_token_that_ends_is_renewed(cell: Cell, hopx_cloud: HopX) -> None:
    sandbox = hopx_cloud.sandbox()
    cell(f"%hopx_connect {sandbox} --as gpu")
    hopx_cloud.plane.revoke(sandbox)
    run = cell("%%hopx_bg\nprint(1)")
    assert run.wait().stdout == "1\n"


# ---------------------------------------------------------------- commands and files


def test_commands(cell: Cell, hopx_cloud: HopX) -> None:
    cell(f"%hopx_connect {hopx_cloud.sandbox()} --as box")
    cell("word = 'there'")
    result = cell("%hopx_sh echo 'a b' | tr a-z A-Z; echo {word} $((1+1)) # no comment")
    assert (result.stdout, result.exit_code) == ("A B\nthere 2\n", 0)
    with pytest.raises(RunFailed, match=r"^`.*` failed, exit 3\n  oops$"):
        cell("%hopx_sh echo oops >&2; exit 3")
    assert cell("%hopx_sh --no-raise exit 3").exit_code == 3
    assert cell("%hopx_sh --on local pwd").stdout.strip() == str(Path.cwd())
    with pytest.raises(UsageError, match="no command"):
        cell("%hopx_sh --on box")
    with pytest.raises(UsageError, match="no option --one"):
        cell("%hopx_sh --one box ls")


def test_files_of_the_local_agent(cell: Cell, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "a.bin").write_bytes(data)
    (tmp_path / "b.txt").write_text("b")
    assert cell(f"%hopx_put {tmp_path}/a.bin {tmp_path}/b.txt data") == [
        "/workspace/data/a.bin",
        "/workspace/data/b.txt",
    ]
    frame = cell("%hopx_ls data")
    assert dict(zip(frame["name"], frame["size"], strict=True)) == {"a.bin": len(data), "b.txt": 1}
    got = cell(f"%hopx_get data/a.bin {tmp_path}/back.bin")
    assert got.read_bytes() == data
    with pytest.raises(UsageError, match="is no file"):
        cell(f"%hopx_put {tmp_path}/none x")
    with pytest.raises(Exception, match="none"):
        cell(f"%hopx_get none.txt {tmp_path}")
    assert not (tmp_path / "none.txt").exists()


# ---------------------------------------------------------------- callbacks


def test_a_callback_that_an_agent_does_not_know_is_refused(cell: Cell, hopx_cloud: HopX) -> None:
    cell(f"%hopx_connect {hopx_cloud.sandbox(agents.CATCH_ALL)} --as box")
    with pytest.raises(NotSupported, match="does not support POST /execute/async"):
        cell("%%hopx_bg --callback https://example.org/done\npass")
    assert cell("%hopx_history")["status_detail"].str.startswith("not launched").all()
    with pytest.raises(UsageError, match="MY_SECRET is not set"):
        cell("%%hopx_bg --callback https://example.org --callback-secret-env MY_SECRET\npass")
    with pytest.raises(UsageError, match="are for --callback"):
        cell("%%hopx_bg --callback-header A=1\npass")


# ---------------------------------------------------------------- fleets of sandboxes


def test_a_sweep_over_sandboxes(cell: Cell, hopx_cloud: HopX) -> None:
    for number in range(2):
        cell(f"%hopx_connect {hopx_cloud.sandbox()} --as box-{number}")
    runs = cell("%%hopx_bg --sweep n=1:6 --on all --per 2 -o runs\nprint(n * n)")
    cell("%hopx_wait runs")
    assert {run.connection for run in runs} == {"box-0", "box-1"}
    frame = cell(f"%hopx_history --sweep {runs.sweep_id} --output")
    assert sorted(int(text) for text in frame["stdout"]) == [1, 4, 9, 16, 25, 36]
    table = cell("w = %hopx_watch --on all\nw.frame()")
    assert set(table["connection"]) == {"box-0", "box-1"}
    cell("w.close()")


# ---------------------------------------------------------------- the vendor's own


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own imports
def test_an_object_of_the_vendors_sdk(
    cell: Cell, hopx_cloud: HopX, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopx_ai import Sandbox

    sandbox = Sandbox.connect(hopx_cloud.sandbox(), api_key=hopx_cloud.plane.key, base_url=hopx_cloud.plane.url)
    shell.user_ns["box"] = sandbox
    monkeypatch.delenv("HOPX_API_KEY")
    connection = cell("%hopx_connect box --as theirs")
    assert connection.place.sandbox == sandbox.sandbox_id
    assert cell("%%hopx_bg\nprint('through its object')").wait().stdout == "through its object\n"
    hopx_cloud.plane.revoke(sandbox.sandbox_id)
    assert len(cell("%hopx_ps")) == 1
    sandbox._client.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_vendors_client_drives_the_local_agent(cell: Cell, state: Settings, hopx_cloud: HopX) -> None:
    from hopx_ai._agent_client import AgentHTTPClient

    cell("%hopx_ps")
    endpoint = api.session().connection("local").agent.transport._endpoint
    assert endpoint is not None
    client = AgentHTTPClient(endpoint.url, jwt_token=endpoint.token)
    launched = client.post(
        "/execute/background",
        json={"code": "print('theirs')", "language": "python", "timeout": 30, "name": "theirs"},
        operation="launch",
    ).json()
    wait_until(lambda: cell("%hopx_ps theirs")["status"].iloc[0] == "completed", "it has ended")
    listed = client.get("/execute/processes", operation="list").json()["processes"]
    assert [row["process_id"] for row in listed] == [launched["process_id"]]
    assert str(cell("%hopx_logs theirs")) == "theirs"
    client.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_vendors_sandbox_drives_the_local_agent(cell: Cell, hopx_cloud: HopX) -> None:
    from hopx_ai import Sandbox

    cell("%hopx_ps")
    endpoint = api.session().connection("local").agent.transport._endpoint
    assert endpoint is not None
    plane = hopx_cloud.plane
    sandbox_id = plane.add(public_host=endpoint.url)
    plane.tokens[sandbox_id] = endpoint.token or ""
    sandbox = Sandbox.connect(sandbox_id, api_key=plane.key, base_url=plane.url)
    launched = sandbox.run_code_background("print('from the vendor')", name="vendor")
    wait_until(lambda: cell("%hopx_ps vendor")["status"].iloc[0] == "completed", "it has ended")
    assert [row["process_id"] for row in sandbox.list_processes()] == [launched["process_id"]]
    assert sandbox.commands.run("echo $((6 * 7))").stdout == "42\n"
    sandbox.files.write("/workspace/note.txt", "written by the vendor")
    assert sandbox.files.read("/workspace/note.txt") == "written by the vendor"
    assert list(cell("%hopx_ls")["name"]) == ["note.txt"]
    sandbox._client.close()
    sandbox._agent_client.close()


# ---------------------------------------------------------------- what must stay secret


def test_no_secret_appears_anywhere(
    cell: Cell, hopx_cloud: HopX, state: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    import traceback

    monkeypatch.setenv("MY_SECRET", "callback-secret-4711")
    said: list[str] = []

    def run(code: str) -> Any:
        try:
            value = cell(code)
        except BaseException as error:
            said.extend(
                ["".join(traceback.format_exception(error)), repr(error), *getattr(error, "_render_traceback_", list)()]
            )
            value = None
        said.extend([cell.shown, repr(value), str(vars(value)) if hasattr(value, "__dict__") else ""])  # type: ignore[attr-defined]
        return value

    sandbox, gone = hopx_cloud.sandbox(), hopx_cloud.sandbox()
    run(f"%hopx_connect {sandbox} --as gpu")
    run("%%hopx_bg --name a --env KEY=env-value-4711\nprint(1)")
    run("%hopx_wait")
    run("%%hopx_bg --callback https://example.org --callback-secret-env MY_SECRET\npass")
    run("%hopx_ps")
    run("%hopx_history --output --code")
    run("%hopx_show a")
    run("%hopx_sandboxes")
    run("%hopx_sh exit 1")
    run("%hopx_get /etc/passwd")
    run(f"%hopx_connect {gone} --as gone")
    hopx_cloud.agents[1].revoke()
    hopx_cloud.plane.rows.pop(gone)
    hopx_cloud.plane.revoke(gone)
    run("%hopx_ps --on gone")
    run("%hopx_connect local")
    run(
        "%%hopx_bg --callback http://127.0.0.1:9/x --callback-secret-env MY_SECRET --name b\nimport time; time.sleep(1)"
    )
    run("%hopx_wait")
    processes = "".join(
        path.read_bytes().decode("utf-8", "replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )
    api.session().close()
    secrets = [*hopx_cloud.plane.secrets, "env-value-4711", "callback-secret-4711"]
    history = b"".join(path.read_bytes() for path in state.history_file.parent.glob("history.sqlite*"))
    for secret in secrets:
        if not secret:
            continue
        assert secret not in "".join(said), secret[:8]
        assert secret not in caplog.text, secret[:8]
        assert secret.encode() not in history, secret[:8]
        assert secret not in processes, secret[:8]


def test_the_live_table_tells_when_a_sandbox_ends(cell: Cell, hopx_cloud: HopX) -> None:
    cell(f"%hopx_connect {hopx_cloud.sandbox(expires_at=soon(10))} --as gpu")
    table = cell("w = %hopx_watch --on gpu\nw")
    assert "gpu: its sandbox expires in" in table.bundle()["text/html"]
    cell("w.close()")


def delete_unasked(hopx_cloud: HopX, sandbox: str) -> None:
    """Deletes a sandbox in a way of which nobody is told."""
    hopx_cloud.plane.revoke(sandbox)
    del hopx_cloud.plane.rows[sandbox]


@pytest.mark.filterwarnings("ignore::hopx_magics.errors.AgentWarning")
def test_what_was_on_a_sandbox_that_is_gone_is_tried_again_elsewhere(
    cell: Cell, hopx_cloud: HopX, tmp_path: Path
) -> None:
    sandboxes = {name: hopx_cloud.sandbox() for name in ("one", "two")}
    for name, sandbox in sandboxes.items():
        cell(f"%hopx_connect {sandbox} --as {name}")
    code = f"until [ -e {tmp_path / 'gate'} ]; do sleep 0.02; done"
    runs = cell(f"%%hopx_bg --lang bash --on one,two --per 1 --sweep n=1,2 --retry 1 -o runs\n{code}")
    wait_until(lambda: {run.connection for run in runs} == {"one", "two"}, "each has one")
    (lost,) = [run for run in runs if run.connection == "one"]
    before = lost.run_id
    delete_unasked(hopx_cloud, sandboxes["one"])
    wait_until(lambda: lost.process.status == "queued", "it waits for another try")
    (tmp_path / "gate").touch()
    assert [run.status for run in runs.wait()] == ["completed", "completed"]
    assert lost.connection == "two"
    history = cell("%hopx_history").set_index("run_id")
    assert history.loc[lost.run_id, "rerun_of"] == before


@pytest.mark.filterwarnings("ignore::hopx_magics.errors.AgentWarning")
def test_where_every_sandbox_is_gone_nothing_is_tried_again(cell: Cell, hopx_cloud: HopX, tmp_path: Path) -> None:
    sandbox = hopx_cloud.sandbox()
    cell(f"%hopx_connect {sandbox} --as one")
    code = f"until [ -e {tmp_path / 'gate'} ]; do sleep 0.02; done"
    run = cell(f"%%hopx_bg --lang bash --retry 3 -o run\n{code}")
    delete_unasked(hopx_cloud, sandbox)
    assert run.wait().status == "failed"
    assert run.process.status_detail == "not launched: the sandbox that it was meant for is gone"
    (tmp_path / "gate").touch()
