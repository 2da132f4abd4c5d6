"""What a run takes of the machine: memory and processor time of all its processes, while it runs and at its end."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

from .conftest import Agent, StartAgent, get, settled

HOLD = "x = bytearray(150_000_000)\n"
SPEND = "import time\nwhile time.process_time() < 0.5: pass\n"


def usage(agent: Agent, process_id: str) -> dict[str, Any]:
    found: dict[str, Any] = agent.row(process_id).get("usage", {})
    return found


def test_while_it_runs_of_all_of_its_processes_and_at_its_end(agent: Agent, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    gate = str(tmp_path / "gate")
    child = f"{HOLD}open({gate!r}).read()"
    code = f"import subprocess, sys\n{HOLD}{SPEND}subprocess.run([sys.executable, '-c', {child!r}])"
    process_id = agent.launch(code, "python")
    with open(gate, "w"):
        seen = wait_until(
            lambda: (now := usage(agent, process_id)).get("memory_bytes", 0) > 300_000_000 and now, "both are seen"
        )
        assert seen["peak_memory_bytes"] >= seen["memory_bytes"]
        wait_until(lambda: usage(agent, process_id).get("cpu_seconds", 0) >= 0.4, "what it has spent is seen")
        wait_until(lambda: usage(agent, process_id).get("cpu_percent") is not None, "so is its share")
    ended = agent.ended(process_id)["usage"]
    assert ended.keys() == {"peak_memory_bytes", "cpu_seconds"}
    assert ended["peak_memory_bytes"] > 300_000_000
    assert ended["cpu_seconds"] >= 0.5


def test_of_what_nobody_looked_at_the_system_tells(agent: Agent) -> None:
    ended = agent.ended(agent.launch(HOLD + SPEND, "python"))["usage"]
    assert ended["peak_memory_bytes"] > 150_000_000
    assert 0.5 <= ended["cpu_seconds"] < 60


def test_who_follows_or_asks_is_told_of_a_change(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent()
    os.mkfifo(tmp_path / "gate")
    code = f"open({str(tmp_path / 'gate')!r}).read()\n{HOLD}import time; time.sleep(1000)"
    process_id = agent.launch(code, "python")
    ends = settled(agent, tail=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(get, agent, ends, wait=60, tail=0)
        (tmp_path / "gate").write_text("")
        etag = get(agent).headers["etag"]

        def told() -> bool:
            nonlocal etag
            reply = get(agent, etag, wait=10)
            etag = reply.headers["etag"]
            return reply.status_code == 200 and reply.json()["processes"][0]["usage"]["memory_bytes"] > 150_000_000

        wait_until(told, "it is told that there is more in memory")
        (row,) = get(agent, ends, tail=0).json()["processes"]
        assert row["usage"]["memory_bytes"] > 150_000_000, "so is who only asks how it goes on"
        agent.kill(process_id)
        assert waiting.result().json()["processes"][0]["status"] == "killed", "who waits for its end waits for that"


def test_a_next_agent_knows_it_of_what_has_ended(start_agent: StartAgent) -> None:
    agent = start_agent()
    ended = agent.ended(agent.launch(HOLD, "python"))
    agent.end()
    (row,) = start_agent().listing()
    assert row["usage"] == ended["usage"]


def test_what_the_system_killed_had_so_much_memory(agent: Agent) -> None:
    code = f"{HOLD}import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    message = agent.ended(agent.launch(code, "python"))["message"]
    found = re.fullmatch(r"killed by SIGKILL at (\d+) MB of [\d.]+ GB, which nobody here sent: perhaps .*", message)
    assert found
    assert 150 <= int(found[1]) < 1000
