"""GPUs, processors and memory: who gets them, who waits for them, and what there is too little of."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.waiting import wait_until

from .conftest import Agent, StartAgent, refused

DRIVER = """
class NVMLError(Exception): ...

def nvmlInit(): ...

def nvmlDeviceGetCount(): return {count}

class NVMLError_NotFound(NVMLError): ...

class Told:
    def __init__(self, **fields): self.__dict__.update(fields)

def _lines(number):
    import pathlib
    told = pathlib.Path(__file__).with_name(f"card-{{number}}")
    return [line.split() for line in told.read_text().splitlines()] if told.exists() else []

def nvmlDeviceGetHandleByIndex(number): return number

def nvmlDeviceGetComputeRunningProcesses(card):
    return [Told(pid=int(pid), usedGpuMemory=int(memory)) for pid, memory, share in _lines(card)]

def nvmlDeviceGetGraphicsRunningProcesses(card): raise NVMLError("not supported")

def nvmlDeviceGetProcessUtilization(card, since):
    if not _lines(card): raise NVMLError_NotFound("nothing was used")
    return [Told(pid=int(pid), smUtil=int(share), timeStamp=since + 1) for pid, memory, share in _lines(card)]
"""

Start = Callable[..., Agent]


@pytest.fixture
def start(start_agent: StartAgent, tmp_path: Path) -> Start:
    """Starts agents of a machine with so many GPUs, as far as the library of nvidia-smi tells."""

    def start(gpus: int, *flags: str, **env: str) -> Agent:
        (tmp_path / "driver").mkdir(exist_ok=True)
        (tmp_path / "driver" / "pynvml.py").write_text(DRIVER.format(count=gpus))
        path = os.pathsep.join([str(tmp_path / "driver"), os.environ.get("PYTHONPATH", "")])
        return start_agent("--max-running", "20", *flags, env={"PYTHONPATH": path, **env})

    return start


SHOW = "echo $CUDA_VISIBLE_DEVICES; sleep 1000"


def cards(agent: Agent, process_id: str) -> str:
    """The GPUs that a running process sees."""
    seen: str = agent.wrote(process_id, "\n")["stdout"].strip()
    return seen


def waits(agent: Agent, process_id: str) -> tuple[str, str | None, str | None]:
    row = agent.row(process_id)
    return row["status"], row.get("waits_for"), row.get("message")


def test_no_two_runs_have_one_gpu(start: Start) -> None:
    agent = start(3)
    two, one = agent.launch(SHOW, gpus=2), agent.launch(SHOW, gpus=1)
    assert (cards(agent, two), cards(agent, one)) == ("0,1", "2")
    assert agent.row(two)["gpus"] == ["0", "1"]
    waiting, behind = agent.launch(SHOW, gpus=2), agent.launch(SHOW, gpus=1)
    assert waits(agent, waiting) == ("queued", "resources", "waits for 2 of 3 GPUs")
    assert waits(agent, behind)[1] == "resources"
    other = agent.launch("echo ran")
    assert agent.ended(other)["stdout"] == "ran\n", "what needs none isn't held up"
    agent.kill(one)
    assert waits(agent, behind) == ("queued", "resources", "after others that wait for the same")
    agent.kill(two)
    assert cards(agent, waiting) == "0,1"
    assert cards(agent, behind) == "2"


def test_the_next_agent_gives_no_gpu_away(start: Start) -> None:
    agent = start(2)
    first = agent.launch(SHOW, gpus=1)
    assert cards(agent, first) == "0"
    agent.end(signal.SIGKILL)
    agent = start(2)
    second, third = agent.launch(SHOW, gpus=1), agent.launch(SHOW, gpus=1)
    assert cards(agent, second) == "1"
    assert waits(agent, third)[1] == "resources"
    agent.kill(first)
    assert cards(agent, third) == "0"
    agent.kill(third)
    assert agent.row(third)["gpus"] == ["0"]


def test_several_runs_share_a_gpu_that_ask_for_that(start: Start) -> None:
    agent = start(2)
    ids = [agent.launch(SHOW, gpus=gpus) for gpus in (0.5, 0.5, 0.3, 0.3, 0.3, 0.3)]
    assert [cards(agent, process_id) for process_id in ids[:5]] == ["0", "0", "1", "1", "1"]
    assert waits(agent, ids[5]) == ("queued", "resources", "waits for 0.3 of 2 GPUs")
    agent.kill(ids[0])
    assert cards(agent, ids[5]) == "0"


def test_only_some_gpus_are_handed_out(start: Start) -> None:
    agent = start(4, HOPX_GPUS="3, 1,7")
    assert cards(agent, agent.launch(SHOW, gpus=2)) == "3,1"
    reply = agent.post("/execute/background", code="pass", gpus=3)
    assert refused(reply) == (400, "INVALID_REQUEST")
    assert reply.json()["error"] == "3 GPUs wanted, and there are 2"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_no_gpus_are_handed_out_where_all_are_hidden(start: Start, hidden: str) -> None:
    assert start(4, CUDA_VISIBLE_DEVICES=hidden).http.get("/execute/queue").json()["gpus"] == []


def test_processors_are_counted_and_so_is_memory(start: Start) -> None:
    agent = start(0)
    machine = agent.http.get("/execute/queue").json()
    assert (machine["gpus"], machine["cpus"]) == ([], len(os.sched_getaffinity(0)))
    processors, memory = int(machine["cpus"]), machine["memory"]
    assert 0 < memory <= psutil.virtual_memory().total
    all_of_them = agent.launch("sleep 1000", cpus=processors)
    waiting = agent.launch("sleep 1000", cpus=0.5)
    assert waits(agent, waiting)[1:] == ("resources", f"waits for 0.5 of {processors} processors")
    most = agent.launch("sleep 1000", memory=memory // 3)
    more = agent.launch("sleep 1000", memory=memory // 3 * 2)
    assert agent.row(most)["status"] == "running"
    assert waits(agent, agent.launch("sleep 1000", memory=memory // 2))[1] == "resources"
    agent.kill(all_of_them)
    assert agent.row(waiting)["status"] == "running"
    agent.kill(most)
    assert agent.row(more)["status"] == "running"
    for fields, says in (
        ({"gpus": 1}, "1 GPU wanted, and there is none"),
        ({"cpus": 1000}, f"1000 processors wanted, and there are {processors}"),
        ({"memory": 10**15}, "1,000 TB of memory wanted, and there is "),
        ({"gpus": 1.5}, "gpus must be a whole number, or a part of one, not 1.5"),
        ({"cpus": -1}, "cpus must be 0 or more, not -1"),
    ):
        reply = agent.post("/execute/background", code="pass", **fields)
        assert refused(reply) == (400, "INVALID_REQUEST")
        assert says in reply.json()["error"]


def test_a_run_that_takes_more_memory_than_it_may_is_ended(start: Start, tmp_path: Path) -> None:
    agent = start(0)
    code = "import time; kept = []\nwhile True: kept.append(b'x' * 10_000_000); time.sleep(0.01)"
    children = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', CODE])"
    for greedy in (code, children.replace("CODE", repr(code))):
        process_id = agent.launch(greedy, "python", memory=200_000_000)
        row = agent.ended(process_id)
        assert row["status"] == "failed"
        assert row["message"].startswith("over its memory limit of 200 MB: ")
    modest = agent.launch("echo fine", memory=200_000_000)
    assert agent.ended(modest)["status"] == "completed"


def test_what_a_run_takes_of_gpus_with_all_of_its_processes(start: Start, tmp_path: Path) -> None:
    agent = start(2)
    other = agent.launch("sleep 1000")
    process_id = agent.launch("echo $$; sleep 1000 & echo $! there; wait")
    shell, child, _ = agent.wrote(process_id, "there")["stdout"].split()
    told = {"card-0": f"{shell} 1000000000 30\n999999 5 90\n", "card-1": f"{shell} 500000000 20\n{child} 1000000 40\n"}
    for name, text in told.items():
        (tmp_path / "driver" / name).write_text(text)

    def usage(process_id: str) -> dict[str, Any]:
        found: dict[str, Any] = agent.row(process_id).get("usage", {})
        return {name: value for name, value in found.items() if "gpu" in name}

    seen = wait_until(lambda: usage(process_id), "the driver was asked")
    assert seen == {"gpu_percent": 90.0, "gpu_memory_bytes": 1_501_000_000, "peak_gpu_memory_bytes": 1_501_000_000}
    assert usage(other) == {}, "nothing of what is on no GPU"
    for name in told:
        (tmp_path / "driver" / name).unlink()
    peak = {"peak_gpu_memory_bytes": 1_501_000_000}
    wait_until(lambda: usage(process_id) == peak, "it has left the GPUs")
    agent.kill(process_id)
    assert usage(process_id) == peak
