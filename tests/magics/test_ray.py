"""Cells on a Ray cluster: a real head on loopback, which wants its token."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from IPython.core.error import UsageError

import hopx_magics
from hopx_magics import api
from hopx_magics.api.ps import ps as api_ps
from hopx_magics.client.transport import Endpoint
from hopx_magics.connection.ray import RayConnection
from hopx_magics.errors import (
    AgentUnreachable,
    BadReply,
    HopxError,
    InsecureConnection,
    LaunchError,
    NotSupported,
    ResultError,
    RunFailed,
    Unauthorized,
    UnknownProcess,
)
from tests.connection.test_kinds import IN_README
from tests.standins.ray_head import CPUS, RayHead
from tests.standins.server import Asked, Server, answering
from tests.waiting import DEADLINE, wait_until

Cell = Callable[[str], Any]


@pytest.fixture
def cell(head: RayHead, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Runs cells where the cluster is the current connection."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    cell(f"%hopx_connect ray {head.url}")
    return cell


def jobs(head: RayHead, method: str = "GET", path: str = "", **content: Any) -> Any:
    """What Ray itself says of its jobs."""
    headers = {"Authorization": f"Bearer {head.token}"}
    reply = httpx.request(
        method, f"{head.url}/api/jobs/{path}", headers=headers, timeout=DEADLINE, trust_env=False, **content
    )
    return reply.json()


def test_a_cell_is_a_job_of_the_cluster(cell: Cell, head: RayHead) -> None:
    cell("factor = 1.5\ndef times(x): return factor * x")
    run = cell(
        "%%hopx_bg --name fit --param k=2 --tag exp=first --env COLOUR=blue --cpus 2\n"
        "import os, ray, sys\nray.init(logging_level='ERROR')\nprint(times(k), os.environ['COLOUR'])\n"
        "print(int(ray.cluster_resources()['CPU']), int(ray.available_resources()['CPU']), file=sys.stderr)"
    )
    assert run.wait().status == "completed"
    assert run.stdout == "3.0 blue\n"
    assert run.stderr.splitlines()[-1] == f"{CPUS} {CPUS - 2}", "ray.init() is the cluster, which has placed the run"
    (job,) = jobs(head)
    assert job["submission_id"] == run.process_id == f"hopx-{run.run_id}"
    told = {"hopx_run": run.run_id, "hopx_language": "python", "job_name": "fit", "param.k": "2", "tag.exp": "first"}
    assert job["metadata"] == told
    assert "blue" not in json.dumps(job), "what may be a secret is not for all who list the jobs"
    row = cell("%hopx_ps").iloc[0]
    assert [row["name"], row["status"], row["exit_code"], row["connection"]] == ["fit", "completed", 0, "ray"]
    assert "3.0 blue" in str(cell("%hopx_logs fit"))
    kept = cell("%hopx_history --output").iloc[0]
    assert [kept["status"], kept["stdout"], kept["param.k"]] == ["completed", "3.0 blue\n", 2]
    assert cell("%hopx_watch").frame()["status"].tolist() == ["completed"]


def test_what_a_cell_leaves_is_read_without_trust_and_a_rerun_gets_what_it_got(
    cell: Cell, head: RayHead, tmp_path: Path
) -> None:
    cell("import pandas as pd\nframe = pd.DataFrame({'a': [1, 2]})")
    run = cell(
        "%%hopx_bg --name fit --out model --param k=2\nopen('all.bin', 'wb').write(bytes(range(256)))\n"
        "class Model: pass\nmodel = Model()\nk * frame.a.sum()"
    )
    assert run.wait().result() == 6
    with pytest.raises(ResultError, match="was written on ray in a form that may run any code"):
        run["model"]
    assert type(run.load("model", trust=True)).__name__ == "Model"
    assert [entry["name"] for entry in cell(f"%hopx_ls {run.run_id}").to_dict("records")] == ["all.bin"]
    cell(f"%hopx_get {run.process_id}/all.bin {tmp_path}/here.bin")
    assert (tmp_path / "here.bin").read_bytes() == bytes(range(256))
    for magic, refused in {
        f"%hopx_get {run.run_id}/other {tmp_path}": "there is no such file",
        f"%hopx_ls {run.run_id}/other": "there is no",
        f"%hopx_get {run.run_id}/../cell.py {tmp_path}": "is no path on a Ray cluster",
        f"%hopx_put {tmp_path}/here.bin there": "Ray takes no files",
    }.items():
        with pytest.raises((HopxError, UsageError), match=refused):
            cell(magic)
    cell("frame = None")
    api.session().close()
    api.session.cache_clear()  # what it has sent is known to nobody here
    cell(f"%hopx_connect ray {head.url} --trust")
    again = cell(f"%hopx_rerun {run.run_id} --param k=3")
    assert again.wait().result() == 9
    assert type(again["model"]).__name__ == "Model"


def test_how_runs_end_is_told(cell: Cell) -> None:
    failed = cell("%%hopx_bg --name bad\nprint('x' * 600_000)\n1 / 0")
    slow = cell("%%hopx_bg --name slow --timeout 1\nimport time\ntime.sleep(1000)")
    shell = cell("%%hopx_bg --lang bash --name shell\necho $((6 * 7)); exit 3")
    with pytest.raises(RunFailed, match="ZeroDivisionError"):
        cell("%hopx_wait bad")
    assert failed.exit_code == 1
    assert failed.stdout == "x" * 600_000 + "\n", "which is more than one file"
    assert slow.wait(DEADLINE).status == "failed"
    assert slow.process.status_detail == "timed out after 1 s"
    assert (shell.wait(DEADLINE).exit_code, shell.stdout) == (3, "42\n")


def test_kill_is_seen_to_be_true_and_means_our_own(cell: Cell, head: RayHead) -> None:
    ours = cell(
        "%%hopx_bg --name ours\nimport subprocess, time\nprint(subprocess.Popen(['sleep', '1000']).pid, flush=True)\n"
        "try:\n    time.sleep(1000)\nfinally:\n    print('cleaned up')"
    )
    jobs(head, "POST", json={"entrypoint": "echo; sleep 1000", "submission_id": "theirs"})
    wait_until(lambda: ours.stdout, "it runs")
    assert dict(cell("%hopx_ps")[["process_id", "name"]].to_numpy())["theirs"] == "echo; sleep 1000"
    killed = cell("%hopx_kill --all")
    assert killed[["process_id", "result", "status"]].to_numpy().tolist() == [[ours.process_id, "killed", "killed"]]
    assert "cleaned up" in ours.stdout
    wait_until(lambda: jobs(head, path="theirs")["status"] == "RUNNING", "that of somebody else runs")
    assert cell("%hopx_ps --output tail").set_index("name").stdout["ours"].endswith("cleaned up\n")
    assert "Running entrypoint" in str(cell("%hopx_logs theirs"))
    assert cell("%hopx_kill theirs").result.tolist() == ["killed"]


def test_a_sweep_is_handed_out_as_there_is_room(cell: Cell, head: RayHead) -> None:
    runs = cell("%%hopx_bg --name sweep --sweep i=1:3 --cpus 3\nprint(i)")
    wait_until(lambda: any(run.process_id for run in runs), "the first is handed out")
    of_it = [job for job in jobs(head) if "hopx_sweep" in (job["metadata"] or ())]
    assert sum(job["status"] in ("PENDING", "RUNNING") for job in of_it) <= 1, "more would have no room"
    cell("%hopx_wait sweep")
    assert [run.stdout for run in runs] == ["1\n", "2\n", "3\n"]


def test_what_ray_cannot_do_is_said_before_anything_is_launched(cell: Cell, head: RayHead) -> None:
    before = len(jobs(head))
    for option, lack in {
        "--first": "has no queue",
        "--notify": "tells nobody",
        "--stop-when loss>3": "can't stop a run by what it prints",
        "--kill-leftovers": "can't kill what a run leaves running",
    }.items():
        with pytest.raises(LaunchError, match=f"^ray {lack}"):
            cell(f"%%hopx_bg {option}\n1")
    assert len(jobs(head)) == before
    assert api.session().connection().features == IN_README["Ray cluster"]
    with pytest.raises(NotSupported, match="Ray can't tell or change the order"):
        cell("%hopx_queue --slots 3")


def test_the_doctor_looks_at_the_cluster(cell: Cell, head: RayHead) -> None:
    found = hopx_magics.doctor("ray").set_index("check")
    assert found["state"].drop("waiting", errors="ignore").unique().tolist() == ["ok"]
    assert found["found"]["version"].startswith("Ray ")
    free = found["found"]["resources"]  # Ray tells some time later that a run has given back what it had
    assert re.fullmatch(rf"[0-4] of {CPUS} processors, no GPUs, [\d.]+ GB of [\d.]+ GB memory are free", free)
    assert {"answers", "token", "clock"} <= {*found.index}
    assert head.token not in found.to_string()
    server = Server(answering({"status": "ok"}, status=401))
    with contextlib.closing(server):
        connection = api.session().connection("ray")
        connection.agent.transport.move(lambda http: Endpoint(server.url, "wrong"))
        assert hopx_magics.doctor("ray").set_index("check")["state"].to_dict() == {"token": "broken"}


def test_a_lost_reply_is_looked_up_and_never_leads_to_a_second_job(cell: Cell, head: RayHead) -> None:
    """What stands between hands all on, but breaks off one reply to a launch, and answers the next as a busy head."""

    def between(asked: Asked) -> None:
        reply = httpx.request(
            asked.method,
            f"{head.url}{asked.path}?{asked.query}",
            content=asked.body,
            headers={"Authorization": asked.headers["authorization"]},
            timeout=DEADLINE,
            trust_env=False,
        )
        number = sum(each.method == "POST" for each in server.asked) if asked.method == "POST" else 0
        if number == 1:
            asked.break_off()
        elif number == 2:
            asked.reply(b"No available agent to submit job, please try again later.", 500)
        else:
            asked.reply(reply.content, reply.status_code)

    before = len(jobs(head))
    server = Server(between)
    with contextlib.closing(server):
        cell(f"%hopx_connect ray {server.url} --as between")
        runs = [cell(f"%%hopx_bg\nprint({number})").wait() for number in (1, 2)]
        assert [run.stdout for run in runs] == ["1\n", "2\n"]
        assert [each.path for each in server.asked if each.method == "POST"] == ["/api/jobs/"] * 2
        assert len(jobs(head)) == before + 2


def test_who_may_connect(cell: Cell, head: RayHead, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InsecureConnection, match="whoever reaches that port can run code"):
        cell("%hopx_connect ray http://head.example:8265")
    server = Server(answering({"status": "ok"}))
    with contextlib.closing(server), pytest.raises(BadReply, match="no Ray head"):
        cell(f"%hopx_connect ray {server.url} --as other")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    with pytest.raises(Unauthorized, match="Invalid authentication token") as refused:
        cell(f"%hopx_connect ray {head.url} --as again")
    assert "RAY_AUTH_TOKEN" in str(refused.value)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    with pytest.raises(Unauthorized, match="it wants a token"):
        cell(f"%hopx_connect ray {head.url} --as again")


@pytest.mark.filterwarnings("ignore:this Python process launches anew what fails")
def test_a_node_dies_under_a_sweep_and_its_run_is_tried_again(cell: Cell, head: RayHead, tmp_path: Path) -> None:
    node, gate = head.add_node(), tmp_path / "gate"
    connection = api.session().connection()
    assert isinstance(connection, RayConnection)
    wait_until(lambda: connection.ray.resources()["CPU"] == 2 * CPUS, "the head tells of the node")
    runs = cell(
        f"%%hopx_bg --name spread --sweep i=1,2 --cpus {CPUS} --retry 1\nimport os, time\nprint(i, flush=True)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.1)"
    )
    wait_until(lambda: [run.process_id and run.stdout for run in runs] == ["1\n", "2\n"], "each fills one of two nodes")
    first = {run.process_id for run in runs}
    head.kill(node)
    (lost,) = wait_until(lambda: api_ps(status="failed", name="spread").to_dict("records"), "it is told that one died")
    assert lost["status_detail"].startswith("the node on which it ran has died")
    with pytest.raises(UnknownProcess, match=r"no longer has it|the node of .* is gone, and its output"):
        cell(f"%hopx_logs {lost['process_id']}")
    gate.touch()
    assert [(run.wait().status, run.stdout) for run in runs] == [("completed", "1\n"), ("completed", "2\n")]
    assert len({run.process_id for run in runs} & first) == 1


def test_a_head_that_starts_again_has_forgotten_and_nothing_has_failed(cell: Cell, head: RayHead, hopx: Any) -> None:
    run = cell("%%hopx_bg --name lost -o run\nimport time\nprint('begun', flush=True)\ntime.sleep(1000)")
    wait_until(lambda: run.stdout, "it runs")
    api.session().close()
    api.session.cache_clear()
    head.kill()
    with pytest.raises(AgentUnreachable):
        cell("%hopx_connect ray")
    head.start()
    cell("%hopx_connect ray")  # as it was kept, by its name
    assert cell("%hopx_ps").empty
    wait_until(lambda: hopx.history(name="lost").status.tolist() == ["unknown"], "the history knows that nobody knows")
