"""Cells on a Ray cluster: a real head on loopback, which wants its token."""

import contextlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from IPython.core.error import UsageError

import hopx_magics
from hopx_magics import api
from hopx_magics.api.ps import ps as api_ps
from hopx_magics.client.transport import Endpoint
from hopx_magics.connection import ray, watcher
from hopx_magics.connection.connection import Connection
from hopx_magics.errors import (
    AgentRefused,
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
from hopx_magics.session import dispatcher
from tests.connection import test_kinds
from tests.standins.ray_head import CPUS, RayHead
from tests.standins.server import Asked, Server, answering
from tests.waiting import DEADLINE, wait_until

Cell = Callable[[str], Any]


@pytest.fixture
def cell(head: RayHead, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Runs cells where the cluster is the current connection. It has what earlier tests have left, too."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    monkeypatch.setattr(watcher, "INTERVAL", 0.2)
    cell(f"%hopx_connect ray {head.url}")
    return cell


def jobs(head: RayHead, method: str = "GET", path: str = "", **content: Any) -> Any:
    """What Ray itself says of its jobs."""
    headers = {"Authorization": f"Bearer {head.token}"}
    reply = httpx.request(
        method, f"{head.url}/api/jobs/{path}", headers=headers, timeout=DEADLINE, trust_env=False, **content
    )
    return reply.json()


@pytest.fixture(params=["Ray cluster"])
def there(cell: Cell) -> Connection:
    """The connection to the cluster, for what is the same on every kind of connection."""
    return api.session().connection()


test_a_cell_is_launched_listed_and_leaves_what_it_has = test_kinds.test_a_cell_is_launched_listed_and_leaves_what_it_has
test_it_is_followed_and_killed_with_all_that_it_started = (
    test_kinds.test_it_is_followed_and_killed_with_all_that_it_started
)
test_a_sweep_is_waited_for_and_what_fails_says_why = test_kinds.test_a_sweep_is_waited_for_and_what_fails_says_why
test_the_readme_tells_what_each_kind_can_do = test_kinds.test_the_readme_tells_what_each_kind_can_do
test_what_one_can_not_do_is_said_in_a_sentence = test_kinds.test_what_one_can_not_do_is_said_in_a_sentence


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
    assert run.process_id == f"hopx-{run.run_id}"
    job = jobs(head, path=run.process_id)
    told = {"hopx_run": run.run_id, "hopx_language": "python", "job_name": "fit", "param.k": "2", "tag.exp": "first"}
    assert job["metadata"] == told
    assert "blue" not in json.dumps(job), "what may be a secret is not for all who list the jobs"
    kept = cell("%hopx_history --output").iloc[0]
    assert [kept["status"], kept["stdout"], kept["param.k"]] == ["completed", "3.0 blue\n", 2]
    assert "completed" in cell("%hopx_watch").frame()["status"].tolist()


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


def test_the_head_forgets_what_is_too_old_and_the_history_has(
    cell: Cell, head: RayHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPX_KEEP_FINISHED", "1")
    monkeypatch.setattr(ray, "FORGET_EVERY", 0.0)
    monkeypatch.setattr(ray, "SETTLED_AFTER", timedelta(seconds=10))
    theirs = {job["submission_id"] for job in jobs(head) if job["status"] == "SUCCEEDED"}
    api.session().close()
    api.session.cache_clear()
    cell("%hopx_connect ray")
    runs = cell("%%hopx_bg --name old --sweep i=1:3\nprint(i)\ni")
    runs.wait()

    def listed() -> set[str]:
        api_ps(output="none")
        return {job["submission_id"] for job in jobs(head)}

    wait_until(lambda: len(listed() & {run.process_id for run in runs}) == 1, "the newest is left")
    assert theirs <= listed(), "what others have launched is theirs"
    assert [run.stdout for run in runs] == ["1\n1\n", "2\n2\n", "3\n3\n"]
    assert cell("%hopx_history --name old --output").stdout.tolist() == ["3\n3\n", "2\n2\n", "1\n1\n"]
    assert {run.status for run in runs} == {"completed"}


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


def test_a_lost_reply_is_looked_up_and_never_leads_to_a_second_job(cell: Cell, head: RayHead, tmp_path: Path) -> None:
    """What stands between hands all on, but breaks off one reply to a launch, and answers another as a busy head.

    That also gives files that are missing as empty ones.
    """

    def between(asked: Asked) -> None:
        reply = httpx.request(
            asked.method,
            f"{head.url}{asked.path}?{asked.query}",
            content=asked.body,
            headers={"Authorization": asked.headers["authorization"]},
            timeout=DEADLINE,
            trust_env=False,
        )
        posts = [each for each in server.asked if each.method == "POST"]
        if asked in posts[:1]:
            asked.break_off()
        elif asked in posts[1:2]:
            asked.reply(b"No available agent to submit job, please try again later.", 500)
        elif reply.status_code == 500 and "A file is not found" in reply.text:
            asked.reply(b"")
        else:
            asked.reply(reply.content, reply.status_code)

    before = len(jobs(head))
    server = Server(between)
    with contextlib.closing(server):
        cell(f"%hopx_connect ray {server.url} --as between")
        runs = cell("%%hopx_bg --sweep i=1:2\nprint(i)")
        assert [run.stdout for run in runs.wait()] == ["1\n", "2\n"]
        assert [each.path for each in server.asked if each.method == "POST"] == ["/api/jobs/"] * 2
        assert len(jobs(head)) == before + 2
        with pytest.raises(AgentRefused, match="there is no such file"):
            cell(f"%hopx_get {runs[0].run_id}/other {tmp_path}")


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
def test_a_node_comes_and_dies_under_a_sweep_and_its_run_is_tried_again(
    cell: Cell, head: RayHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "ROOM_FOR", 0.5)
    gate = tmp_path / "gate"
    runs = cell(
        f"%%hopx_bg --name spread --sweep i=1,2 --cpus {CPUS} --retry 1 --limit 2\nimport os, time\n"
        f"print(i, flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.1)"
    )
    wait_until(lambda: runs[0].process_id and runs[0].stdout, "the first fills the only node")
    assert runs[1].process_id is None, "more would have no room, and is not handed out"
    node = head.add_node()
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
