"""What differs between two listings: told by the agent, or found out here; and agents that tell it wrongly."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.connection.connection import Connection
from hopx_magics.errors import BadReply, HopxError
from hopx_magics.models import Listing, Process, ProcessId
from hopx_magics.protocol.changes import compare, decode_change
from hopx_magics.protocol.listing import decode_listing
from tests.conftest import OddAgent
from tests.standins.server import Answer, Asked

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ETAG = 'W/"1"'

Start = Callable[[Answer], OddAgent]
ConnectionOf = Callable[[OddAgent], Connection]
Client = Callable[[Answer], tuple[OddAgent, Connection]]


@pytest.fixture
def client(odd_agent: Start, connection_of: ConnectionOf) -> Client:
    def start(answer: Answer) -> tuple[OddAgent, Connection]:
        agent = odd_agent(answer)
        return agent, connection_of(agent)

    return start


def row(process_id: str, status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"process_id": process_id, "status": status, **fields}


def rows(*all_rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"processes": list(all_rows), "count": len(all_rows), **fields}


def ids(processes: tuple[Process, ...] | None) -> list[str] | None:
    return None if processes is None else [process.process_id for process in processes]


KNOWN = rows(row("a"), row("b", "running", execution_time=1), row("c"))
GOOD = {"IM": "hopx-rows", "Delta_Base": ETAG, "ETag": 'W/"2"'}


def telling(asked: Asked, body: Any, **headers: str) -> None:
    """Answers as an agent that knows differences: the first time the whole, later this one."""
    if "A-IM" in asked.headers:
        asked.reply(body, 226, **{**GOOD, **headers})
    else:
        asked.reply(KNOWN, ETag=ETAG)


def test_a_difference_is_put_into_the_listing(client: Client) -> None:
    body = rows(row("b", exit_code=2), row("d [hopx", name="x [hopx:0123456789abcdef]"), gone=["a", "zz"]) | {
        "count": 3
    }
    agent, asks = client(lambda asked: telling(asked, body, Preference_Applied="wait=3"))
    first = asks.change_since(None, tail=0, wait=0.0)
    assert (first.changed, ids(first.listing.processes)) == (None, ["a", "b", "c"])
    change = asks.change_since(first.listing, tail=0, wait=3)
    assert ids(change.listing.processes) == ["b", "c", "d [hopx"]
    assert (ids(change.changed), change.gone) == (["b", "d [hopx"], ("a",))
    assert (change.listing.etag, change.listing.tail) == ('W/"2"', 0)
    assert (change.listing.processes[2].name, change.listing.processes[2].run_id) == ("x", "0123456789abcdef")
    assert change.listing.processes[1] is first.listing.processes[2]
    assert change.listing.find("b") is change.listing.processes[0]
    assert change.listing.find("a") is None
    assert asks.agent.waits
    asked = agent.asked[-1]
    assert [asked.headers[name] for name in ("If-None-Match", "A-IM", "Prefer")] == [ETAG, "hopx-rows", "wait=3"]


def test_rows_in_another_dialect(client: Client) -> None:
    _, asks = client(
        lambda asked: telling(asked, rows({"id": "d", "status": "terminated", "new": 1}, gone=[]) | {"count": 4})
    )
    change = asks.change_since(asks.listing(tail=0), tail=0)
    assert change.listing.processes[3] == Process(
        process_id=ProcessId("d"), status="killed", status_detail="terminated"
    )


BAD: dict[str, tuple[Any, dict[str, str]]] = {
    "count": (rows(row("d"), gone=[]), {}),
    "no count": ({"processes": [row("a")], "gone": []}, {}),
    "no gone": (rows(row("a")) | {"count": 3}, {}),
    "gone is no list": (rows(row("a"), gone="a") | {"count": 3}, {}),
    "no id": (rows({"status": "running"}, gone=[]) | {"count": 4}, {}),
    "gone and there": (rows(row("d"), gone=["d"]) | {"count": 4}, {}),
    "gone and changed": (rows(row("a"), gone=["a"]) | {"count": 3}, {}),
    "other base": (rows(row("a", "failed"), gone=[]) | {"count": 3}, {"Delta_Base": 'W/"0"'}),
    "no base": (rows(row("a", "failed"), gone=[]) | {"count": 3}, {"Delta_Base": ""}),
    "other encoding": (rows(row("a", "failed"), gone=[]) | {"count": 3}, {"IM": "vcdiff"}),
    "a whole listing": (KNOWN, {}),
    "no JSON": (b'{"processes": [', {}),
    "HTML": (b"<html>", {}),
    "nothing": (b"", {}),
    "a list": ([row("a")], {}),
    "deep": (b"[" * 100_000, {}),
    "no row": ({"processes": [5], "gone": [], "count": 3}, {}),
    "null": (b"null", {}),
    "not UTF-8": (b'{"processes":[{"process_id":"\xff"}],"gone":["\xff"],"count":3}', {}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_difference_that_makes_no_sense(client: Client, name: str) -> None:
    body, headers = BAD[name]
    agent, asks = client(lambda asked: telling(asked, body, **headers))
    known = asks.listing(tail=0)
    for count in (3, 4):  # the whole is asked for at once, and from then on
        change = asks.change_since(known, tail=0, wait=0.0)
        assert len(agent.asked) == count
        assert "A-IM" not in agent.asked[-1].headers
        assert (change.changed, change.gone, ids(change.listing.processes)) == ((), (), ["a", "b", "c"])


@pytest.mark.parametrize("status", [206, 226])
def test_a_part_that_nobody_asked_for_is_no_listing(client: Client, status: int) -> None:
    _, asks = client(lambda asked: asked.reply(KNOWN, status, **GOOD))
    with pytest.raises(BadReply, match="a part of its listing"):
        asks.listing(tail=0)
    with pytest.raises(BadReply, match="a part of its listing"):
        asks.change_since(None)


def test_a_route_that_is_not_there(client: Client) -> None:
    catch_all = {"agent": "HopX VM Agent (Go)", "message": "success", "gone": [], "count": 3}
    _, asks = client(lambda asked: telling(asked, catch_all))
    assert ids(asks.change_since(asks.listing()).listing.processes) == ["a", "b", "c"]


def test_an_agent_that_knows_no_differences(client: Client) -> None:
    listings = [
        KNOWN,
        rows(row("c"), row("a"), row("b", "running", execution_time=5)),  # all the same, but for time and order
        rows(row("d"), row("a"), row("b", exit_code=1, execution_time=6), row("c", stdout="more")),
        rows(row("a"), row("c", stdout="more")),
        {"processes": []},
    ]
    _, asks = client(lambda asked: asked.reply(listings.pop(0)))
    change = asks.change_since(None, tail=3, wait=0.0)
    seen = []
    while listings:
        change = asks.change_since(change.listing, tail=3, wait=0.0)
        seen.append((ids(change.changed), list(change.gone)))
    assert seen == [([], []), (["d", "b", "c"], []), ([], ["d", "b"]), ([], ["a", "c"])]
    assert not asks.agent.waits


def test_the_etag_of_another_tail_is_not_sent(client: Client) -> None:
    agent, asks = client(lambda asked: asked.reply(KNOWN, ETag=ETAG))
    listing = asks.change_since(None, tail=0, wait=0.0).listing
    change = asks.change_since(listing, tail=100, wait=5)
    assert (change.changed, change.listing.tail) == ((), 100)
    assert "If-None-Match" not in agent.asked[-1].headers
    asks.change_since(change.listing, tail=100, wait=0.0)
    assert agent.asked[-1].headers["If-None-Match"] == ETAG


def test_nothing_new(client: Client) -> None:
    _, asks = client(lambda asked: asked.reply(b"", 304) if "If-None-Match" in asked.headers else telling(asked, b""))
    listing = asks.listing(tail=0)
    change = asks.change_since(listing, tail=0, wait=0.0)
    assert (change.changed, change.gone) == ((), ())
    assert change.listing is listing


def test_an_agent_that_waits_no_longer(client: Client) -> None:
    headers: list[dict[str, str]] = [{}, {"Preference_Applied": "wait=1"}, {}]
    _, asks = client(lambda asked: asked.reply(KNOWN, ETag=ETAG, **headers.pop(0)))
    listing = asks.listing()
    for waits in (True, False):
        asks.change_since(listing, wait=1)
        assert asks.agent.waits is waits


def test_rows_without_an_id_can_not_be_told_apart(client: Client) -> None:
    nameless = {"status": "running"}
    listings = [rows(row("a"), nameless), rows(row("b"), nameless), rows(row("b"), nameless, nameless)]
    agent, asks = client(lambda asked: asked.reply(listings.pop(0), ETag=ETAG))
    first = asks.listing(tail=0)
    second = asks.change_since(first, tail=0, wait=0.0)
    assert "A-IM" not in agent.asked[-1].headers
    assert (ids(second.changed), second.gone, len(second.listing.processes)) == (["b"], ("a",), 2)
    third = asks.change_since(second.listing, tail=0, wait=0.0)
    assert (third.changed, len(third.listing.processes)) == (None, 3)


# ------------------------------------------------------------ any two listings

STATUSES = ("queued", "running", "completed", "failed", "killed")
A_ROW = st.fixed_dictionaries(
    {
        "status": st.sampled_from(STATUSES),
        "stdout": st.sampled_from("ab"),
        "execution_time": st.sampled_from([1.0, 2.0]),
    }
)
TABLES = st.dictionaries(st.sampled_from("abcdefgh"), A_ROW)


def listing_of(table: dict[str, dict[str, Any]], at: float) -> Listing:
    body = msgspec.json.encode(rows(*({"process_id": name, **fields} for name, fields in table.items())))
    return decode_listing(body, agent="x", received_at=NOW + timedelta(seconds=at), etag=ETAG, tail=0)


def same(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Whether a row is no different, unless it is one that ran on."""
    return old == new or (
        old is not None and old["status"] == "running" and old | {"execution_time": 0} == new | {"execution_time": 0}
    )


@given(TABLES, TABLES, st.sets(st.sampled_from("abcdefgh")))
def test_the_difference_leads_to_the_listing(
    old: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]], repeated: set[str]
) -> None:
    """Also when rows are sent that are not different, and ids are gone that nobody knew."""
    new = {name: wanted[name] for name in old if name in wanted} | wanted  # new ones come last
    for name in new:
        if new[name]["status"] == "running" == old.get(name, {}).get("status"):
            new[name] = {**new[name], "execution_time": old[name]["execution_time"] + 3}
    sent = [
        {"process_id": name, **fields}
        for name, fields in new.items()
        if name in repeated or not same(old.get(name), fields)
    ]
    gone = [name for name in "abcdefghxyz" if name not in new]
    body = msgspec.json.encode({"processes": sent, "gone": gone, "count": len(new)})
    base, whole = listing_of(old, 0), listing_of(new, 3)
    headers = {"im": "hopx-rows", "delta-base": ETAG, "etag": ETAG}
    told = decode_change(body, headers, base, received_at=whole.received_at)
    assert told.listing.processes == whole.processes
    assert (told.listing.received_at, told.listing.etag) == (whole.received_at, whole.etag)
    compared = compare(base, whole)
    assert (told.changed, set(told.gone)) == (compared.changed, set(compared.gone))
    assert list(told.listing.by_id) == list(new)
    assert base == listing_of(old, 0)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_listing_or_a_bad_reply(body: bytes) -> None:
    base = listing_of({"a": {}}, 0)
    headers = {"im": "hopx-rows", "delta-base": ETAG}
    try:
        change = decode_change(body, headers, base, received_at=NOW)
    except HopxError:
        return
    assert change.changed is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {
            "processes": json_values
            | st.lists(st.fixed_dictionaries({"process_id": st.sampled_from("ab")}) | json_values),
            "gone": st.lists(st.sampled_from("ab")) | json_values,
            "count": st.integers(0, 3) | json_values,
        }
    )
)
def test_any_json_is_a_listing_or_a_bad_reply(content: Any) -> None:
    base = listing_of({"a": {}, "b": {}}, 0)
    headers = {"im": "hopx-rows", "delta-base": ETAG}
    try:
        change = decode_change(msgspec.json.encode(content), headers, base, received_at=NOW)
    except HopxError:
        return
    assert len(change.listing.processes) == content["count"]
    assert not set(change.listing.by_id) & set(content["gone"])
