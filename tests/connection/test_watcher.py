"""Following an agent: who is told what and when, with the local agent and with agents that know less."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopx_magics.connection import watcher as watching
from hopx_magics.connection.connection import Connection
from hopx_magics.connection.watcher import Update, Watcher
from hopx_magics.errors import AgentError
from hopx_magics.launches import checked_launch
from hopx_magics.models import Process
from hopx_magics.session.session import Session
from hopx_magics.settings import Settings
from tests.conftest import OddAgent, launch, stop_agent
from tests.standins.server import Answer, Asked
from tests.waiting import DEADLINE, wait_until

Start = Callable[[Answer], OddAgent]


class Heard:
    """A listener that keeps what it is told, and a table made only of what is said to have changed."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.table: dict[str, Process] = {}
        self.stop: Callable[[], None] = lambda: None

    def __call__(self, update: Update) -> None:
        assert update.listing is not None or update.changed in (None, ())
        for process_id in update.gone:
            del self.table[process_id]
        if update.changed is None:
            self.table.clear()
        if update.listing is not None:
            changed = update.listing.processes if update.changed is None else update.changed
            self.table.update((process.process_id, process) for process in changed)
            assert [_static(process) for process in self.table.values()] == [
                _static(process) for process in update.listing.processes
            ]
        self.updates.append(update)

    def stdout(self, process_id: str) -> str:
        process = self.table.get(process_id)
        return process.stdout or "" if process else ""


def _static(process: Process) -> Process:
    return msgspec.structs.replace(process, execution_time=None, stdout_bytes=None, stderr_bytes=None)


@pytest.fixture
def listen() -> Iterator[Callable[..., Heard]]:
    """Begins to listen, until the test is over."""
    all_heard: list[Heard] = []

    def begin(watcher: Watcher, **wanted: Any) -> Heard:
        heard = Heard()
        all_heard.append(heard)
        heard.stop = watcher.listen(heard, **wanted)
        return heard

    yield begin
    for heard in all_heard:
        heard.stop()


Listen = Callable[..., Heard]


@pytest.fixture
def watcher_of(connection_of: Callable[[OddAgent], Connection]) -> Callable[[OddAgent], Watcher]:
    """Makes watchers of agents that answer oddly."""
    return lambda agent: connection_of(agent).watcher


WatcherOf = Callable[[OddAgent], Watcher]


@pytest.fixture
def _told_or_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not told when it happens is told when the test has long given up."""
    for name in ("HOLD", "INTERVAL", "IDLE_INTERVAL"):
        monkeypatch.setattr(watching, name, 2 * DEADLINE)


@pytest.fixture
def clock(odd_agent: Start, watcher_of: WatcherOf, listen: Listen) -> Callable[[int], None]:
    """Waits for ticks of 0.05 s, longer ones on a busy machine: how often another agent is asked meanwhile."""
    agent = odd_agent(lambda asked: asked.reply(listing_of("running")))
    listen(watcher_of(agent), interval=0.05)

    def wait(ticks: int) -> None:
        count = len(agent.asked)
        wait_until(lambda: len(agent.asked) >= count + ticks, f"{ticks} ticks have passed")

    return wait


Clock = Callable[[int], None]


@pytest.fixture
def threads() -> Callable[[], int]:
    """Counts the watchers' threads without those of other tests, which may still wait for their last answer."""
    others = set(threading.enumerate())
    return lambda: sum(thread.name == "hopx-watcher" for thread in set(threading.enumerate()) - others)


def bash(session: Session, code: str) -> str:
    return launch(session, code, language="bash").process_id


# ------------------------------------------------------------ the local agent


@pytest.mark.usefixtures("_told_or_never")
def test_changes_are_told_at_once_and_alone(session: Session, listen: Listen, tmp_path: Path) -> None:
    for _ in range(3):
        bash(session, "true")
    watcher = session.connection().watcher
    heard = listen(watcher)
    wait_until(lambda: len(heard.table) == 3 and all(each.ended for each in heard.table.values()), "all have ended")
    assert heard.updates[0].changed is None
    count = len(heard.updates)
    os.mkfifo(tmp_path / "gate")
    process_id = bash(session, f"read x < {tmp_path}/gate")
    wait_until(lambda: process_id in heard.table, "it is there")
    (tmp_path / "gate").write_text("\n")
    wait_until(lambda: heard.table[process_id].ended, "it has ended")
    ended = heard.table[process_id]
    assert ended.started_at
    assert ended.completed_at
    for update in heard.updates[count:]:
        assert update.changed is not None
        assert {process.process_id for process in update.changed} <= {process_id}
    assert watcher.latest is heard.updates[-1]


@pytest.mark.usefixtures("_told_or_never")
def test_output_comes_soon_for_who_joins_with_a_tail(session: Session, listen: Listen, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process_id = bash(session, f"echo one; read x < {gate}; echo two; sleep 1000")
    watcher = session.connection().watcher
    idle = listen(watcher)
    wait_until(lambda: process_id in idle.table and idle.table[process_id].pid, "it runs")
    wait_until(lambda: watcher._asked == 0, "a request that waits for a change is under way")
    heard = listen(watcher, tail=100)
    assert heard.updates[0].changed is None
    assert process_id in heard.table
    wait_until(lambda: heard.stdout(process_id) == "one\n", "its output is there")
    gate.write_text("\n")
    wait_until(lambda: heard.stdout(process_id) == "one\ntwo\n", "the new output is there")
    assert all(len(update.changed or ()) <= 1 for update in heard.updates)
    assert {update.changed is None for update in idle.updates[1:]} == {False}


def test_the_tail_shrinks_again(
    session: Session, listen: Listen, monkeypatch: pytest.MonkeyPatch, threads: Callable[[], int]
) -> None:
    monkeypatch.setattr(watching, "HOLD", 0.5)
    process_id = bash(session, "while :; do echo x; sleep 0.01; done")
    watcher = session.connection().watcher
    idle = listen(watcher)
    heard = listen(watcher, tail=10)
    wait_until(lambda: idle.stdout(process_id), "there is output for everyone")
    heard.stop()
    wait_until(lambda: not idle.stdout(process_id) and idle.updates[-1].listing.tail == 0, "there is none any more")
    wait_until(lambda: threads() == 1, "one thread is left")


def test_joining_and_leaving_starts_few_threads(session: Session, listen: Listen, threads: Callable[[], int]) -> None:
    process_id = bash(session, "while :; do echo x; sleep 0.01; done")
    watcher = session.connection().watcher
    idle = listen(watcher)
    wait_until(lambda: process_id in idle.table, "it is listed")
    for _ in range(6):
        heard = listen(watcher, tail=100)
        wait_until(lambda heard=heard: heard.stdout(process_id), "there is output")
        heard.stop()
        enough = len(idle.updates) + 2  # answers after which less would be asked for
        wait_until(lambda enough=enough: len(idle.updates) >= enough, "the others are told")
    wait_until(lambda: threads() <= 2, "only few are left")


@pytest.mark.usefixtures("_told_or_never")
def test_a_process_that_prints_all_the_time(session: Session, listen: Listen, clock: Clock) -> None:
    printing = bash(session, "while :; do echo x; done")
    heard = listen(session.connection().watcher, tail=100)
    wait_until(lambda: heard.stdout(printing), "it prints")
    count = len(heard.updates)
    clock(20)
    assert len(heard.updates) - count < 40
    wait_until(lambda: len(heard.updates) - count > 5, "more of it is told")
    process_id = bash(session, "true")
    wait_until(lambda: process_id in heard.table and heard.table[process_id].ended, "it has ended")
    session.connection().kill([printing])


def test_an_agent_that_was_replaced(session: Session, state: Settings, listen: Listen) -> None:
    first = bash(session, "true")
    heard = listen(session.connection().watcher)
    wait_until(lambda: first in heard.table and heard.table[first].ended, "it has ended")
    stop_agent(state)
    second = bash(session, "true")
    wait_until(lambda: second in heard.table and heard.table[second].ended, "the new agent is followed")
    assert list(heard.table) == [first, second]
    assert all(first not in {process.process_id for process in update.changed or ()} for update in heard.updates[-2:])


# ------------------------------------------------------------ listening


def test_one_thread_as_long_as_somebody_listens(session: Session, listen: Listen, threads: Callable[[], int]) -> None:
    watcher = session.connection().watcher
    first, second = listen(watcher), listen(watcher, tail=0)
    wait_until(lambda: first.updates and second.updates, "both are told")
    assert threads() == 1
    first.stop()
    first.stop()
    process_id = bash(session, "true")
    wait_until(lambda: process_id in second.table and second.table[process_id].ended, "the other one is told")
    assert process_id not in first.table
    watcher.close()
    bash(session, "true")  # ends the request under way
    wait_until(lambda: threads() == 0, "the thread has ended")
    again = listen(watcher)
    wait_until(lambda: again.updates, "it begins anew")
    assert again.updates[0].changed is None
    assert len(again.table) == 2


def test_the_same_listener_may_listen_twice(session: Session) -> None:
    watcher = session.connection().watcher
    heard = Heard()
    stops = [watcher.listen(heard, tail=tail) for tail in (0, 10)]
    stops[0]()
    wait_until(lambda: heard.updates and heard.updates[-1].listing.tail == 10, "the second one is told")
    stops[1]()


def test_a_listener_that_ends_itself(session: Session, threads: Callable[[], int]) -> None:
    watcher = session.connection().watcher
    told: list[Update] = []

    def once(update: Update) -> None:
        told.append(update)
        stop()

    stop = watcher.listen(once)
    wait_until(lambda: told, "it is told")
    wait_until(lambda: threads() == 0, "the thread has ended")
    assert len(told) == 1


def test_a_listener_that_fails_costs_the_others_nothing_and_is_told_again(session: Session, listen: Listen) -> None:
    told: list[Update] = []

    def broken_once(update: Update) -> None:
        told.append(update)
        if len(told) == 2:
            raise ValueError("broken")

    watcher = session.connection().watcher
    stop = watcher.listen(broken_once)
    heard = listen(watcher)
    wait_until(lambda: len(heard.updates) > 0, "there is a first update")
    while len(told) < 3:
        process_id = bash(session, "true")
        wait_until(lambda id_=process_id: id_ in heard.table and heard.table[id_].ended, "the other one is told")
    stop()
    assert told[2].changed is None, "it can't know in what the update after that which it missed differs"
    assert told[2].listing is not None


def test_nobody_waits_for_a_listener_that_is_busy(session: Session, listen: Listen) -> None:
    """Whoever begins or ends may hold the very lock that the listener wants."""
    watcher = session.connection().watcher
    lock, wants_lock = threading.Lock(), threading.Event()

    def locking(update: Update) -> None:
        wants_lock.set()
        with lock:
            pass

    lock.acquire()
    stop = watcher.listen(locking)
    assert wants_lock.wait(DEADLINE)
    other = listen(watcher, tail=5)  # it would not come back if it waited
    stop()
    assert len(other.updates) == 1
    lock.release()
    process_id = bash(session, "true")
    wait_until(lambda: process_id in other.table and other.table[process_id].ended, "the other one is told")


# ------------------------------------------------------------ agents that know less


def listing_of(*statuses: str) -> dict[str, Any]:
    rows = [{"process_id": f"p{number}", "status": status} for number, status in enumerate(statuses)]
    return {"processes": rows, "count": len(rows)}


def test_polling_at_the_interval_that_somebody_wants(
    odd_agent: Start, watcher_of: WatcherOf, listen: Listen, clock: Clock
) -> None:
    agent = odd_agent(lambda asked: asked.reply(listing_of("running", "completed")))
    watcher = watcher_of(agent)
    slow = listen(watcher, interval=DEADLINE)
    wait_until(lambda: slow.updates, "there is a first one")
    heard = listen(watcher, interval=0.1)
    assert heard.updates[0].changed is None
    wait_until(lambda: len(heard.updates) > 6, "it is asked often")
    asked = len(agent.asked)
    clock(10)
    assert len(agent.asked) - asked < 20
    assert heard.updates[-1].changed == ()
    heard.stop()
    asked = len(agent.asked)
    clock(10)
    assert len(agent.asked) <= asked + 1, "nobody wants it so often any more"


@pytest.mark.usefixtures("_told_or_never")
def test_an_idle_agent_is_asked_seldom(
    odd_agent: Start, watcher_of: WatcherOf, listen: Listen, clock: Clock, threads: Callable[[], int]
) -> None:
    agent = odd_agent(lambda asked: asked.reply(listing_of("completed"), ETag='"1"'))
    heard = listen(watcher_of(agent), interval=0.05)
    wait_until(lambda: len(heard.updates) == 2, "it was asked whether it can wait")
    clock(10)
    assert len(agent.asked) == 2
    heard.stop()
    wait_until(lambda: threads() == 0, "the thread has ended")


def test_an_agent_that_only_says_that_it_waits(
    odd_agent: Start, watcher_of: WatcherOf, listen: Listen, clock: Clock
) -> None:
    agent = odd_agent(lambda asked: asked.reply(listing_of("running"), ETag='"1"', Preference_Applied="wait=10"))
    listen(watcher_of(agent), interval=DEADLINE)
    clock(30)
    assert len(agent.asked) < 12, "ever more seldom"
    wait_until(lambda: len(agent.asked) >= 3, "it is asked again")


@pytest.fixture
def restless(odd_agent: Start) -> OddAgent:
    """An agent that has something new at every moment."""

    def answer(asked: Asked) -> None:
        count = len(agent.asked)
        row = {"process_id": "p", "status": "running", "stdout_bytes": count}
        asked.reply({"processes": [row]}, ETag=f'"{count}"', Preference_Applied="wait=10")

    agent = odd_agent(answer)
    return agent


def test_more_output_can_wait_a_little(restless: OddAgent, watcher_of: WatcherOf, listen: Listen, clock: Clock) -> None:
    heard = listen(watcher_of(restless), tail=9)
    clock(20)
    assert len(heard.updates) < 40
    wait_until(lambda: len(heard.updates) > 5, "it goes on")


def test_the_end_of_a_process_can_not_wait(
    restless: OddAgent, watcher_of: WatcherOf, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "GAP", 2 * DEADLINE)
    heard = listen(watcher_of(restless))
    wait_until(lambda: len(heard.updates) > 10, "it is asked again at once")


@pytest.mark.usefixtures("_told_or_never")
def test_a_larger_tail_while_a_slow_agent_is_asked(
    odd_agent: Start, watcher_of: WatcherOf, listen: Listen, threads: Callable[[], int]
) -> None:
    """The answer that came too late is seen by nobody, though it is a later one."""

    def answer(asked: Asked) -> None:
        if asked.query == "tail=0" and "If-None-Match" in asked.headers:
            released.wait(2 * DEADLINE)
            asked.reply(listing_of("killed"), ETag='"late"', Preference_Applied="wait=10")
        elif "If-None-Match" in asked.headers:
            agent.hang(asked)
        else:
            asked.reply(listing_of("running"), ETag=f'"{asked.query}"', Preference_Applied="wait=10")

    released = threading.Event()
    agent = odd_agent(answer)
    watcher = watcher_of(agent)
    idle = listen(watcher)
    wait_until(lambda: len(agent.asked) == 2, "it is asked for changes")
    heard = listen(watcher, tail=50)
    wait_until(lambda: heard.updates[-1].listing.tail == 50, "the tail has come")
    released.set()
    wait_until(lambda: threads() == 1, "the old thread has ended")
    assert [process.status for process in idle.table.values()] == ["running"]
    assert watcher.latest.listing is not None
    assert watcher.latest.listing.tail == 50


def test_what_was_launched_may_be_listed_later(
    odd_agent: Start, connection_of: Callable[[OddAgent], Connection], listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INTERVAL", 0.05)
    monkeypatch.setattr(watching, "IDLE_INTERVAL", 2 * DEADLINE)
    asked_since: list[Asked] = []

    def answer(asked: Asked) -> None:
        if asked_since or asked.method == "POST":
            asked_since.append(asked)
        if asked.method == "POST":
            asked.reply({"process_id": "p0", "status": "running"})
        else:
            asked.reply(listing_of("running") if len(asked_since) > 4 else listing_of())

    connection = connection_of(odd_agent(answer))
    connection.capture = "agent"
    heard = listen(connection.watcher)
    wait_until(lambda: heard.updates, "there is nothing yet")
    connection.launch(checked_launch("true", language="bash"))
    wait_until(lambda: "p0" in heard.table, "it is asked again although nothing is listed")


def test_errors_are_told_and_the_rows_stay(
    odd_agent: Start, watcher_of: WatcherOf, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INTERVAL", 0.05)
    agent = odd_agent(
        lambda asked: (
            asked.reply({"error": "no"}, 500)
            if 2 <= len(agent.asked) <= 3
            else asked.reply(listing_of("running", "running" if len(agent.asked) < 2 else "completed"))
        )
    )
    heard = listen(watcher_of(agent))
    wait_until(lambda: len(heard.updates) >= 4, "it answers again")
    first, failed, still, again = heard.updates[:4]
    assert first.error is None
    assert failed.listing is still.listing is first.listing
    assert failed.error is not None
    assert (failed.changed, failed.gone, failed.failing_since) == ((), (), still.failing_since)
    assert (again.error, again.failing_since) == (None, None)
    assert [process.process_id for process in again.changed or ()] == ["p1"]


def test_a_wrong_difference_costs_nothing(odd_agent: Start, watcher_of: WatcherOf, listen: Listen) -> None:
    def answer(asked: Asked) -> None:
        if "A-IM" in asked.headers:
            wrong = {"processes": [], "gone": ["p0"], "count": 2}
            asked.reply(wrong, 226, IM="hopx-rows", Delta_Base='"1"', ETag='"2"')
        else:
            status = "completed" if len(agent.asked) > 2 else "running"
            asked.reply(listing_of("running", status), ETag='"1"')

    agent = odd_agent(answer)
    heard = listen(watcher_of(agent))
    wait_until(lambda: len(heard.updates) >= 3, "it goes on")
    assert [update.error for update in heard.updates[:3]] == [None, None, None]
    assert [process.status for process in heard.table.values()] == ["running", "completed"]


@pytest.mark.parametrize("etag", ['"\u00e4"', '"\u00ff\t"', "x" * 5000, ""])
def test_an_etag_that_can_not_be_sent_back(odd_agent: Start, watcher_of: WatcherOf, listen: Listen, etag: str) -> None:
    agent = odd_agent(lambda asked: asked.reply(listing_of("running"), ETag=etag))
    heard = listen(watcher_of(agent), interval=0.05)
    wait_until(lambda: len(heard.updates) >= 3, "it goes on")
    assert {update.error for update in heard.updates} == {None}
    assert "If-None-Match" not in agent.asked[-1].headers


def test_no_exception_ends_it(
    odd_agent: Start, watcher_of: WatcherOf, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INTERVAL", 0.05)
    agent = odd_agent(lambda asked: asked.reply(listing_of("running")))
    watcher = watcher_of(agent)
    connection = watcher._connection
    ask, faults = connection.change_since, [RecursionError("deep"), OverflowError("large"), KeyError("\x1b[31m")]
    monkeypatch.setattr(connection, "change_since", lambda *given, **more: _raise(faults) or ask(*given, **more))
    heard = listen(watcher)
    wait_until(lambda: heard.table, "it goes on")
    *failed, last = heard.updates
    assert last.error is None
    assert len(failed) == 3
    assert all(isinstance(update.error, AgentError) for update in failed)
    assert "could not be taken: RecursionError: deep" in str(failed[0].error)
    assert all(line.isprintable() for update in failed for line in str(update.error).splitlines())


def _raise(faults: list[Exception]) -> None:
    if faults:
        raise faults.pop(0)
