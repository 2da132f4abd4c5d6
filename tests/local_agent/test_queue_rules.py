"""The rules of the queue, whatever the order of launches, ends, kills, pauses and deaths of the agent: limits hold,
nothing starts twice, and nothing that could run waits."""

import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from hopx_magics.local_agent.store import new_id

from .conftest import Agent, clear

LIMITS = {"a": 1, "b": 2}
CARDS = 2

Row = dict[str, Any]


class Rules(RuleBasedStateMachine):
    """A real agent and real processes: each writes down that it has begun, and ends as it is told to."""

    runs = Bundle("runs")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "begun"
        self.log.touch()
        self.programs: list[Any] = []
        self.wanted: dict[str, Row] = {}
        self.slots, self.over, self.paused = 3, 3, False
        self.agent = self.new_agent()

    def new_agent(self) -> Agent:
        agent = Agent(
            self.folder / "agent", "--max-running", "3", "--kill-grace-seconds", "1", env={"HOPX_GPUS": "0,1"}
        )
        self.programs.append(agent.program)
        return agent

    def teardown(self) -> None:
        if not hasattr(self, "agent"):
            return
        try:
            self.all_end()
        finally:
            self.agent.http.close()
            clear(self.agent.folder, self.programs)
            shutil.rmtree(self.folder)

    def all_end(self) -> None:
        """Whatever waits has its turn, once nobody holds it up."""
        self.agent.post("/execute/queue", paused=False)
        while going := [row for row in self.rows() if row["status"] in ("queued", "running")]:
            self.agent.post("/execute/resume", process_ids=[row["process_id"] for row in going])
            rows = self.rows()
            started = [row for row in rows if row["status"] == "running"]
            assert started or all(row["status"] != "queued" for row in rows), "something waits, and nothing runs"
            for row in started:
                self.tell_to_end(row["process_id"], 0)
                self.agent.ended(row["process_id"])
        assert not [id_ for id_, count in Counter(self.log.read_text().split()).items() if count > 1], "started twice"

    # ------------------------------------------------------------ what happens

    @rule(
        target=runs,
        sweep=st.sampled_from([None, None, "a", "b"]),
        first=st.booleans(),
        gpus=st.sampled_from([0, 0, 0.5, 1, 1, 2]),
        retries=st.sampled_from([0, 0, 0, 1]),
    )
    def launch(self, **wanted: Any) -> str:
        return self.launched({name: value for name, value in wanted.items() if value})

    @rule(
        target=runs,
        wanted=st.lists(st.fixed_dictionaries({}, optional={"sweep": st.sampled_from(["a", "b"])}), max_size=5),
        twice=st.booleans(),
    )
    def launch_many(self, wanted: list[Row], twice: bool) -> Any:
        body = {"launches": list(map(self.body, wanted)), "idempotency_keys": [new_id("key") for _ in wanted]}
        replies = [self.agent.post("/execute/many", **body).json() for _ in range(1 + twice)]
        ids = [row["process_id"] for row in replies[-1]["results"]]
        self.wanted |= dict(zip(ids, wanted, strict=True))
        return multiple(*ids)

    @rule(target=runs, former=runs, field=st.sampled_from(["after", "after_any"]))
    def launch_after(self, former: str, field: str) -> str:
        if field == "after" and self.row(former)["status"] in ("failed", "killed"):
            field = "after_any"
        return self.launched({field: [former]})

    def body(self, wanted: Row) -> Row:
        gate = f"{self.folder}/$HOPX_PROCESS_ID"
        code = f"echo $HOPX_PROCESS_ID >> {self.log}; until [ -s {gate} ]; do sleep 0.02; done; exit $(cat {gate})"
        limit = {"sweep_limit": LIMITS[wanted["sweep"]]} if "sweep" in wanted else {}
        return {"code": code, "language": "bash", **wanted, **limit}

    def launched(self, wanted: Row) -> str:
        process_id = self.agent.launch(**self.body(wanted))
        self.wanted[process_id] = wanted
        return process_id

    @rule(run=runs, code=st.sampled_from([0, 0, 1]))
    def end(self, run: str, code: int) -> None:
        row = self.row(run)
        if row["status"] == "running" and not row.get("paused"):
            self.tell_to_end(run, code)
            self.agent.ended(run)

    def tell_to_end(self, run: str, code: int) -> None:
        ready = self.folder / f"{run}.new"
        ready.write_text(str(code))
        ready.rename(self.folder / run)

    @rule(run=runs)
    def kill(self, run: str) -> None:
        self.agent.kill(run)

    @rule(runs=st.lists(runs, max_size=6))
    def kill_many(self, runs: list[str]) -> None:
        results = self.agent.post("/execute/many/kill", process_ids=runs).json()["results"]
        assert set(results.values()) <= {"killed", "already finished"}
        assert not {self.row(run)["status"] for run in runs} & {"queued", "running"}

    @rule(runs=st.lists(runs, min_size=1, max_size=3), verb=st.sampled_from(["pause", "resume"]))
    def turn(self, runs: list[str], verb: str) -> None:
        reply = self.agent.post(f"/execute/{verb}", process_ids=list(dict.fromkeys(runs)))
        assert reply.status_code == 200

    @rule(paused=st.sampled_from([False, False, True]))
    def turn_queue(self, paused: bool) -> None:
        self.paused = paused
        self.agent.post("/execute/queue", paused=paused)

    @rule(slots=st.integers(2, 4))
    def change_slots(self, slots: int) -> None:
        self.slots = slots
        self.agent.post("/execute/queue", max_running=slots)

    @precondition(lambda self: self.wanted)
    @rule()
    def die(self) -> None:
        self.agent.end(signal.SIGKILL)
        self.agent = self.new_agent()

    # ------------------------------------------------------------ what is always so

    @invariant()
    def rules_hold(self) -> None:
        if not hasattr(self, "agent"):
            return
        rows = self.rows()
        running = [row for row in rows if row["status"] == "running"]
        self.over = max(self.slots, min(self.over, len(running)))  # nothing is stopped for fewer slots
        assert len(running) <= self.over
        for sweep, limit in LIMITS.items():
            assert self.count(running, sweep) <= limit
        taken = self.taken(running)
        assert all(share <= 1 for share in taken.values())
        self.nothing_could_start(rows, running, taken)

    def nothing_could_start(self, rows: list[Row], running: list[Row], taken: "Counter[str]") -> None:
        if self.paused or len(running) >= self.slots:
            return
        free = [1 - taken[str(card)] for card in range(CARDS)]
        may = [row for row in rows if row["status"] == "queued" and row["waits_for"] not in ("resume", "after")]
        for row in sorted(may, key=lambda row: not row.get("first")):  # which are in the order of their launches
            wanted = self.wanted_of(row)
            if "sweep" in wanted and self.count(running, wanted["sweep"]) >= LIMITS[wanted["sweep"]]:
                continue
            gpus = wanted.get("gpus", 0)
            fits = free.count(1) >= gpus if gpus >= 1 else max(free) >= gpus
            assert gpus, f"{row} could run"
            assert not fits, f"{row} could run"
            break  # those behind it that want a GPU wait for it
        for row in rows:
            if row.get("waits_for") == "after":
                (former,) = [*self.wanted_of(row).get("after", []), *self.wanted_of(row).get("after_any", [])]
                assert self.last_try(rows, former)["status"] in ("queued", "running"), f"{row} could run"

    def rows(self) -> list[Row]:
        rows = self.agent.listing(tail=0)
        known = {row["process_id"] for row in rows}
        assert set(self.wanted) <= known
        return rows

    def row(self, process_id: str) -> Row:
        return next(row for row in self.rows() if row["process_id"] == process_id)

    def wanted_of(self, row: Row) -> Row:
        """What was wanted of a process, or of the one that it repeats."""
        wanted = self.wanted.get(row["process_id"])
        if wanted is None:
            former = self.wanted_of(self.row(row["retry_of"]))
            wanted = {name: value for name, value in former.items() if not name.startswith("after")}
        return wanted

    def last_try(self, rows: Iterable[Row], process_id: str) -> Row:
        row = next(row for row in rows if row["process_id"] == process_id)
        return self.last_try(rows, row["retried_as"]) if "retried_as" in row else row

    def count(self, running: Iterable[Row], sweep: str) -> int:
        return sum(self.wanted_of(row).get("sweep") == sweep for row in running)

    def taken(self, running: Iterable[Row]) -> "Counter[str]":
        taken: Counter[str] = Counter()
        for row in running:
            for card in row.get("gpus", ()):
                taken[card] += min(1, self.wanted_of(row)["gpus"])
        return taken


TestRules = Rules.TestCase
TestRules.settings = settings(
    max_examples=3,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a shorter example takes too long to find
)
