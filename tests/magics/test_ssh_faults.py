"""What happens to a connection by ssh: ssh, sshd, network and agent die. Nothing is lost, nothing done twice."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from hopx_magics import api
from hopx_magics.connection.watcher import Update
from hopx_magics.errors import HopxError
from hopx_magics.live.freshness import ConnectionFreshness
from tests.conftest import agent_pid
from tests.magics.test_ssh import ssh_pids
from tests.standins.sshd import Machine, Wire
from tests.waiting import is_running, wait_until

LONG = "import time\nprint('begun', flush=True)\ntime.sleep(600)"


class Ear:
    """What a connection tells whoever follows it."""

    def __init__(self, connection: Any) -> None:
        self.updates: list[Update] = []
        self.stop = connection.watcher.listen(self.updates.append, tail=100)

    @property
    def latest(self) -> Update:
        return self.updates[-1] if self.updates else Update(None)

    def hears(self) -> bool:
        return self.latest.listing is not None and self.latest.error is None


@pytest.fixture
def box(gpu: Machine, hopx: Any) -> Any:
    """The connection to the machine."""
    return hopx.connect("ssh://gpu", name="box")


@pytest.fixture
def ear(box: Any) -> Iterator[Ear]:
    ear = Ear(box)
    wait_until(ear.hears, "it is followed")
    yield ear
    ear.stop()


def count(path: Path) -> int:
    return len(path.read_text().split()) if path.exists() else 0


def test_ssh_is_begun_again_when_it_was_killed(box: Any, ear: Ear, hopx: Any, tmp_path: Path) -> None:
    run = hopx.launch(LONG, name="long")
    wait_until(lambda: run.stdout, "it has begun")
    for number in range(3):
        (ssh,) = ssh_pids()
        os.kill(ssh, signal.SIGKILL)
        one = hopx.launch(f"open({str(tmp_path / f'ran{number}')!r}, 'a').write('ran ')", name=f"one{number}")
        assert one.wait().status == "completed"
        assert count(tmp_path / f"ran{number}") == 1
        assert ssh not in ssh_pids()
    wait_until(lambda: ear.hears() and len(ear.latest.listing.processes) == 4, "whoever follows it is told of all")
    assert len(ssh_pids()) == 1
    assert hopx.ps().status.tolist().count("running") == 1
    assert hopx.kill(run).result.tolist() == ["killed"]


def test_it_connects_again_by_itself_when_the_machine_is_back(gpu: Machine, box: Any, ear: Ear, hopx: Any) -> None:
    run = hopx.launch(LONG, name="long")
    short = hopx.launch(f"import os, time\nwhile not os.path.exists({str(gpu.home / 'go')!r}): time.sleep(0.05)")
    wait_until(lambda: run.stdout and short.status == "running", "they have begun")
    fresh = ConnectionFreshness(box, None)
    gpu.stop()
    wait_until(lambda: ear.latest.error, "it is told that nobody answers")
    assert ear.latest.listing, "with what was known"
    with pytest.raises(HopxError, match="ssh to gpu"):
        hopx.launch("pass")
    fresh.take(ear.latest)
    assert "no answer for" in fresh.notes()[0]
    assert "ssh to gpu" in fresh.notes()[0]
    (gpu.home / "go").touch()
    gpu.start()
    wait_until(ear.hears, "it is connected again")
    wait_until(lambda: short.status == "completed", "what ended meanwhile is seen")
    assert run.status == "running"
    fresh.take(ear.latest)
    assert fresh.notes() == []
    assert sorted(hopx.ps().status) == ["completed", "running"], "what could not be launched was not"


@pytest.mark.parametrize("lost", ["all", "replies"])
def test_nothing_is_lost_or_done_twice_when_the_network_is_cut(
    gpu: Machine, hopx: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost: Literal["all", "replies"]
) -> None:
    monkeypatch.setenv("HOPX_SSH", f"{gpu.ssh} -o ServerAliveInterval=1 -o ServerAliveCountMax=2 -o ConnectTimeout=2")
    api.session.cache_clear()
    with Wire(gpu.port) as wire, ThreadPoolExecutor() as pool:
        gpu.write_client(wire.port)
        box = hopx.connect("ssh://gpu")
        ear, (ssh,) = Ear(box), ssh_pids()
        wait_until(ear.hears, "it is followed")
        wire.cut(lost)
        launching = pool.submit(hopx.launch, f"open({str(tmp_path / 'ran')!r}, 'a').write('ran ')", name="one")
        wait_until(lambda: not is_running(ssh), "ssh sees that nobody is there")
        wire.mend()
        run = launching.result()
        assert run.wait().status == "completed"
        assert count(tmp_path / "ran") == 1
        wait_until(lambda: ear.hears() and ear.latest.listing.find(run.process_id), "it is followed again")
        assert hopx.ps().name.tolist() == ["one"]
        hopx.disconnect("gpu")


@pytest.fixture
def full_disk(gpu: Machine) -> Iterator[Path]:
    """A small disk, or quota, for all that the machine's agent writes; the file in it takes what is left."""
    state = gpu.folder / "s"
    state.mkdir(mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", state], stderr=-3).returncode:
        pytest.skip("no file system can be mounted here")
    yield state / "filler"
    gpu.stop()
    gpu.clear()
    subprocess.run(["umount", "--lazy", state], check=True)


def test_a_full_disk_there_loses_nothing_and_is_said(
    full_disk: Path, gpu: Machine, box: Any, hopx: Any, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    waiting = f"import os, time\nprint('begun', flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
    run = hopx.launch(f"{waiting}raise SystemExit(7)", name="long")
    wait_until(lambda: run.stdout, "it has begun")
    filled = subprocess.run(["dd", "if=/dev/zero", f"of={full_disk}", "bs=4096"], capture_output=True, text=True)
    assert "No space left" in filled.stderr
    checked = hopx.doctor("box").set_index("check")
    found = checked.loc["disk"]
    assert (found["state"], found["found"][:16]) == ("broken", "0 bytes free of ")
    assert str(full_disk.parent) in found["found"]
    assert checked.loc["disk of its folder", "state"] in ("ok", "attention"), "which is on another one"
    mark = f"open({str(tmp_path / 'ran')!r}, 'a').write('ran ')"
    with pytest.raises(
        HopxError, match=r"could not be sent to box(?s:.*) disk is full: /workspace/(?s:.*)Make room there"
    ):
        hopx.launch(f"{mark}\nlen(x)", name="one", values={"x": b"x" * 100_000})
    with pytest.raises(HopxError, match=f"ssh://gpu: nothing was launched: the disk is full: {full_disk.parent}/"):
        hopx.launch(mark.replace("'", '"'), name="two", language="bash")
    assert hopx.ps().name.tolist() == ["long"], "what could not be launched was not"
    assert run.status == "running"
    go.touch()
    wait_until(lambda: run.status == "failed", "how it has ended is told although it can't be written")
    assert (run.exit_code, run.stdout) == (7, "begun\n")
    full_disk.unlink()
    assert hopx.launch(mark, name="three").wait().status == "completed"
    assert count(tmp_path / "ran") == 1
    assert sorted(hopx.ps().name) == ["long", "three"]
    assert hopx.ps("long").exit_code.tolist() == [7]


def test_what_runs_there_outlives_its_agent(gpu: Machine, box: Any, ear: Ear, hopx: Any) -> None:
    run = hopx.launch(LONG, name="long")
    wait_until(lambda: run.stdout, "it has begun")
    former = agent_pid(gpu.settings)
    assert former
    os.kill(former, signal.SIGKILL)
    wait_until(lambda: not is_running(former), "the agent is dead")
    assert hopx.launch("print('after')", name="next").wait().stdout == "after\n"
    assert agent_pid(gpu.settings) != former
    wait_until(lambda: ear.hears() and len(ear.latest.listing.processes) == 2, "it is followed again")
    assert run.status == "running"
    assert hopx.kill(run).result.tolist() == ["killed"]
