"""What differs from an older listing: the agent's part, and that the client gets the same listing in both ways."""

import asyncio
import itertools
import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.client.agent import Agent as Client
from hopx_magics.client.transport import Endpoint, Transport
from hopx_magics.local_agent import changes
from hopx_magics.models import Change, Listing, Process
from hopx_magics.protocol.changes import compare
from tests.waiting import wait_until

from .conftest import LISTING, Agent, StartAgent, get, settled


def delta(
    agent: Agent, etag: str, wait: float | None = None, encoding: str = "hopx-rows", **params: Any
) -> httpx.Response:
    headers = {"If-None-Match": etag, "A-IM": encoding, **({} if wait is None else {"Prefer": f"wait={wait}"})}
    return agent.http.get(LISTING, params=params, headers=headers)


def ids(reply: httpx.Response) -> list[str]:
    return [row["process_id"] for row in reply.json()["processes"]]


def test_only_what_changed_is_sent(start_agent: StartAgent) -> None:
    agent = start_agent()
    assert "delta" in agent.http.get("/info").json()["features"]
    old, sleeper = agent.launch("true"), agent.launch("sleep 1000")
    agent.ended(old)
    base = settled(agent)
    new = agent.launch("echo hello")
    row = agent.ended(new)
    reply = delta(agent, base)
    assert (reply.status_code, reply.headers["im"], reply.headers["delta-base"]) == (226, "hopx-rows", base)
    assert reply.json() == {"processes": [row], "gone": [], "count": 3, "timestamp": reply.json()["timestamp"]}
    assert delta(agent, reply.headers["etag"]).status_code == 304
    agent.kill(sleeper)
    assert ids(delta(agent, reply.headers["etag"])) == [sleeper]
    assert ids(delta(agent, base)) == [sleeper, new]


def test_who_does_not_ask_or_has_no_base_gets_the_whole(start_agent: StartAgent) -> None:
    agent = start_agent()
    base = settled(agent)
    process_id = agent.launch("true")
    agent.ended(process_id)
    for encoding in ("", "vcdiff", "hopx-rows;q=0", "hopx-rows; q=0.00", "xhopx-rows"):
        assert delta(agent, base, encoding=encoding).status_code == 200
    for encoding in ("vcdiff, HOPX-ROWS;q=0.3", "hopx-rows , gzip"):
        assert delta(agent, base, encoding=encoding).status_code == 226
    assert delta(agent, f'"other", {base}').headers["delta-base"] == base
    assert delta(agent, base, tail=5).status_code == 200
    instance, versions, _ = base.removeprefix('W/"').split("-")
    for unknown in (f'W/"{instance}-999.0-all"', f'W/"other-{versions}-all"', '""', "W/", f'W/"{instance}--1.0-all"'):
        reply = delta(agent, unknown)
        assert (reply.status_code, ids(reply), "im" in reply.headers) == (200, [process_id], False)


def test_a_difference_can_be_waited_for(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent()
    agent.ended(agent.launch("true"))
    os.mkfifo(tmp_path / "gate")
    process_id = agent.launch(f"read x < {tmp_path}/gate")
    base = settled(agent)
    waiting = agent.wait_for_change(base, {"A-IM": "hopx-rows"})
    (tmp_path / "gate").write_text("\n")
    reply = waiting.result()
    assert (reply.status_code, ids(reply), reply.json()["processes"][0]["status"]) == (226, [process_id], "completed")
    assert delta(agent, reply.headers["etag"], wait=0.2).status_code == 304


def test_of_the_running_ones_only_those_that_wrote_are_sent(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent("--max-running", "9")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    writer = agent.launch(f"read x < {gate}; echo two; sleep 1000")
    silent = agent.launch("echo one; sleep 1000")
    agent.wrote(silent, "one")
    with_output, without = settled(agent, tail=100), settled(agent, tail=0)
    gate.write_text("\n")
    reply = delta(agent, with_output, wait=60, tail=100)
    assert (reply.status_code, ids(reply), reply.json()["processes"][0]["stdout"]) == (226, [writer], "two\n")
    assert (
        delta(agent, with_output, tail=100).json()["processes"][0]["stdout"] == "two\n"
    )  # also to those who ask later
    assert delta(agent, without, tail=0).status_code == 304
    new = agent.launch("true")
    assert ids(delta(agent, without, tail=0)) == [new]


def test_the_pid_is_told_to_everyone(start_agent: StartAgent) -> None:
    agent = start_agent()
    bases = [get(agent, tail=0).headers["etag"] for _ in range(2)]
    process_id = agent.launch("sleep 1000")
    for base in bases:
        etag, pid = base, None
        while pid is None:
            reply = delta(agent, etag, wait=60, tail=0)
            assert (reply.status_code, ids(reply)) == (226, [process_id])
            etag, pid = reply.headers["etag"], reply.json()["processes"][0].get("pid")


def test_the_forgotten_are_told(start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPX_HOLD_SECONDS", "0")
    agent = start_agent("--keep-finished", "2")
    first = agent.launch("true")
    agent.ended(first)
    base = settled(agent)
    for _ in range(3):
        last = agent.launch("true")
        agent.ended(last)
    reply = delta(agent, base)
    assert first in reply.json()["gone"]
    assert (ids(reply)[-1], len(ids(reply)), reply.json()["count"]) == (last, 2, 2)


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=30), st.integers(1, 12))
def test_the_log_of_changes(steps: list[list[int]], limit: int) -> None:
    log, history = changes.Log(), [set[str]()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "REMEMBERED", limit)
        for step in steps:
            names = [f"p{number}" for number in step]
            log.note(*names)
            history.append(set(names))
    for version in range(len(steps) + 1):
        changed = set[str]().union(*history[version + 1 :])
        known = log.since(version)
        assert known is None or (set(known) == changed and len(known) == len(changed))
        if len(changed) <= limit and limit >= 10:
            assert known is not None
    assert log.since(len(steps)) == []
    assert log.since(-1) is None
    assert log.since(len(steps) + 1) is None


def test_changes_that_nobody_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "REMEMBERED", 2)

    async def main() -> None:
        told = changes.Changes()
        for name in "abc":
            told.tell(name)
        assert told.since(0) is None
        assert told.since(1) == ["c", "b"]

    asyncio.run(main())


# ------------------------------------------------------------ the client's listing is the agent's


@pytest.fixture
def client(start_agent: StartAgent) -> Iterator[tuple[Agent, Client]]:
    agent = start_agent("--keep-finished", "6", "--max-running", "4")
    endpoint = Endpoint(agent.about.url, agent.about.token)
    transport = Transport("test", lambda http: endpoint, timeout=30, retry_time=0, max_reply=10_000_000)
    client = Client(transport)
    yield agent, client
    client.close()


def comparable(process: Process) -> Process:
    """A process without how long it has run, which is another one in each listing."""
    return msgspec.structs.replace(process, execution_time=None) if process.status == "running" else process


def apply(listing: Listing, change: Change) -> list[Process]:
    """The processes as somebody has them who only looks at what changed."""
    assert change.changed is not None
    table = {process.process_id: process for process in listing.processes}
    for process_id in change.gone:
        del table[process_id]
    table.update((process.process_id, process) for process in change.changed)
    return [comparable(process) for process in table.values()]


@pytest.mark.parametrize(("tail", "seed"), [(0, 1), (7, 2), (None, 3)])
def test_merged_differences_are_the_whole_listing(client: tuple[Agent, Client], tail: int | None, seed: int) -> None:
    agent, asks = client
    chance = random.Random(seed)
    codes = ["true", "exit 3", "sleep 1000", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.05; done", "sleep 0.1"]
    held = [asks.listing(tail=tail)] * 3  # by clients that ask often, and seldom
    merged = 0
    for step in itertools.count():
        if step >= 40 and merged > 10:
            break
        going = [process.process_id for process in held[0].processes if not process.ended]
        if going and chance.random() < 0.35:
            agent.kill(chance.choice(going))
        else:
            agent.launch(chance.choice(codes), name=f"n{step}")
        for index, every in enumerate((1, 3, 11)):
            if step % every == 0:
                held[index], certain = the_same_in_both_ways(asks, held[index], tail)
                merged += certain
    wait_until(lambda: the_same_in_both_ways(asks, held[2], tail)[1], "the seldom one has the whole, too")


def the_same_in_both_ways(asks: Client, known: Listing, tail: int | None) -> tuple[Listing, bool]:
    """The next listing by its difference, and whether it certainly was compared with the whole."""
    begun = time.monotonic()
    change = asks.change_since(known, tail=tail)
    whole = asks.listing(tail=tail)
    listing = change.listing
    assert change.changed is not None
    if change.changed or change.gone:
        assert apply(known, change) == [comparable(process) for process in listing.processes]
    if listing.etag != whole.etag or asks.change_since(listing, tail=tail).listing is not listing:
        return listing, False  # a process may have written between the look at its files and the reading of them
    on_the_way = time.monotonic() - begun
    assert list(listing.by_id.values()) == list(listing.processes)
    for mine, theirs in zip(listing.processes, whole.processes, strict=True):
        if theirs.status == "running":
            assert began(mine, listing) == pytest.approx(began(theirs, whole), abs=0.1 + on_the_way)
            if tail == 0:  # how much it writes is nothing that anyone without output is told
                mine = msgspec.structs.replace(mine, stdout_bytes=theirs.stdout_bytes)
        assert comparable(mine) == comparable(theirs)
    return listing, True


def began(process: Process, listing: Listing) -> float:
    """When a process began, by how long it has run, in seconds since 1970."""
    assert process.execution_time is not None
    return listing.received_at.timestamp() - process.execution_time


def test_how_long_the_others_have_run(client: tuple[Agent, Client]) -> None:
    agent, asks = client
    agent.running(agent.launch("sleep 1000"))
    known = asks.listing(tail=0)
    base = compare(None, known).listing
    agent.ended(agent.launch("true"))
    change = asks.change_since(base, tail=0)
    before, after = (listing.processes[0].execution_time for listing in (known, change.listing))
    assert before is not None
    assert after is not None
    passed = (change.listing.received_at - known.received_at).total_seconds()
    assert passed > 0
    assert after - before == pytest.approx(passed)
    assert datetime.now(UTC) >= change.listing.received_at
