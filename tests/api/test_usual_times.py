"""How long runs usually take, by those of the same code on an agent that says how long they took."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.standins.server import Asked, Server
from tests.waiting import wait_until


class Told(Server):
    """An agent whose processes run until a test says how long they took."""

    def __init__(self) -> None:
        self.processes: dict[str, dict[str, Any]] = {}
        super().__init__(self.answer_to)

    def answer_to(self, asked: Asked) -> None:
        if asked.method == "POST":
            process_id = f"proc_{len(self.processes)}"
            self.processes[process_id] = {
                "process_id": process_id,
                "name": asked.content.get("name"),
                "status": "running",
                "execution_time": 1.0,
                "stdout": "",
                "stderr": "",
            }
            asked.reply({"process_id": process_id, "status": "running"})
        else:
            asked.reply({"processes": list(self.processes.values())})


@pytest.fixture
def agent(hopx: Any) -> Iterator[Told]:
    agent = Told()
    hopx.connect(agent.url, name="told")
    yield agent
    hopx.disconnect("told")
    agent.close()


@pytest.fixture
def launch(hopx: Any) -> Callable[..., Any]:
    """Launches the same code each time, of which some took so many seconds, with that parameter."""

    def run(code: str = "sleep 300", **params: Any) -> Any:
        return hopx.launch(code, language="bash", capture="agent", name="fit", params=params)

    return run


@pytest.fixture
def took(agent: Told, launch: Callable[..., Any]) -> Callable[..., None]:
    """Launches runs that have completed after so many seconds."""

    def complete(*seconds: float, **params: Any) -> None:
        for span in seconds:
            run = launch(**params)
            agent.processes[run.process_id] |= {"status": "completed", "exit_code": 0, "execution_time": span}
            run.wait()

    return complete


def shown(table: Any) -> str:
    return str(table.bundle()["text/plain"])


def line_of(run: Any) -> list[str]:
    """What the line below the cell of a run says, one after the other."""
    from hopx_magics.api.lines import lines

    told: list[str] = []
    lines().show(run, lambda bundle, metadata: told.append(bundle["text/html"]))
    return told


def test_what_runs_says_how_long_it_usually_takes(hopx: Any, took: Callable[..., None], launch: Any) -> None:
    took(230, 240, 250)
    run = launch()
    told = line_of(run)
    wait_until(lambda: "usually 4 min" in told[-1], "the line says so")
    table = hopx.watch()
    wait_until(lambda: "usually 4 min" in shown(table), "the table says so")
    assert shown(table).count("usually") == 1, "what has ended says nothing of it"
    assert "4 min, by 3 other completed runs of the same code" in str(hopx.show(run))
    table.close()


def test_runs_with_the_same_parameters_tell_more_than_others(took: Any, launch: Any) -> None:
    took(100, 3000, epochs=10)
    took(20, 21, epochs=1)
    told = [line_of(launch(epochs=epochs)) for epochs in (1, 10, 99)]
    for lines, words in zip(told, ("usually 21 s", "usually 2 min to 50 min", "usually 21 s to 2 min"), strict=True):
        wait_until(lambda lines=lines, words=words: words in lines[-1], words)


def test_nothing_is_said_where_nobody_knows_and_where_progress_is_printed(
    hopx: Any, agent: Told, took: Any, launch: Any
) -> None:
    took(240)
    agent.processes[launch().process_id]["stdout"] = "step 3/10\n"
    other = launch("sleep 301")
    table = hopx.watch()
    wait_until(lambda: "30 %" in shown(table), "its progress is read")
    told = line_of(launch())
    wait_until(lambda: "usually 4 min" in shown(table) and "usually" in told[-1], "the third one says it")
    assert shown(table).count("usually") == 1
    assert "usual time" not in str(hopx.show(other))
    table.close()
