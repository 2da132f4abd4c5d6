"""From the agent to the DataFrame, beside the vendor's SDK with pandas, on the same agent and with the same result."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import hopx_magics as hopx

from .measure import Skipped, medians, shares, told
from .places import ROOMY, endpoint, fill, own_place
from .report import Row, ratio, took

TEXTS = ("process_id", "execution_id", "name", "language", "stdout", "stderr")
TIMES = ("started_at", "completed_at")
COLUMNS = (
    *("process_id", "execution_id", "name", "status", "language", "started_at", "completed_at", "stdout", "stderr"),
    *("exit_code", "execution_time", "pid"),
)
"""What the agent itself says of a process."""


def beside_sdk(count: int, size: int, goal: str, smallest: bool) -> Iterator[Row]:
    count = 3 if smallest else count
    with own_place(**ROOMY) as place:
        fill(count, size)
        rounds = 1 if smallest else 9 if count * size > 1e6 else 25
        yield from compare(place, f"{count:,} processes with {size / 1000:g} kB", goal, rounds)
        if size > 1000:
            theirs = sdk(place)
            a, b = medians(lambda: hopx.ps(output="none"), theirs, rounds=rounds)
            yield ratio("the same without output (tail=0)", a, "SDK + pandas", b, "0.09 times")


def compare(place: Path, what: str, goal: str, rounds: int) -> Iterator[Row]:
    def ours() -> pd.DataFrame:
        return hopx.ps(output="full")

    theirs = sdk(place)
    mine = ours()[list(COLUMNS)]
    expected = theirs().assign(name=mine["name"])  # but for the mark of a launch, which the SDK shows
    pd.testing.assert_frame_equal(mine, expected)
    a, b = medians(ours, theirs, rounds=rounds)
    yield ratio(what, a, "SDK + pandas", b, goal)


def sdk(place: Path) -> Any:
    """The listing by the vendor's SDK with pandas, the newest first."""
    try:
        from hopx_ai._agent_client import AgentHTTPClient
    except ImportError:
        raise Skipped("hopx-ai, the vendor's SDK, is not installed") from None
    hopx.ps()
    url, token = endpoint(place)
    vendor = AgentHTTPClient(url, jwt_token=token)
    return lambda: typed(vendor.get("/execute/processes", operation="list processes").json().get("processes", []))


def typed(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A plain DataFrame of the rows, with the dtypes and the order of ours."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["status"] = pd.Categorical(frame["status"], list(hopx.STATUSES), ordered=True)
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").dt.as_unit("us")
    for name in ("exit_code", "pid"):
        frame[name] = frame[name].astype("Int64")
    frame["execution_time"] = frame["execution_time"].astype("float64")
    frame = frame.astype(dict.fromkeys(TEXTS, "str"))
    return frame.sort_values("started_at", ascending=False, kind="stable", ignore_index=True)


def goes_to(smallest: bool) -> Iterator[Row]:
    """What ten rows cost, and how much of it is httpx alone."""
    import httpx

    count, times = (3, 1) if smallest else (10, 100)
    with own_place(**ROOMY) as place, httpx.Client() as client:
        fill(count, 200)
        hopx.ps()
        url, token = endpoint(place)
        headers = {"Authorization": f"Bearer {token}"}
        ours, theirs = medians(
            lambda: hopx.ps(output="full"),
            lambda: client.get(f"{url}/execute/processes", headers=headers).read(),
            rounds=times,
        )
        yield ratio(f"{count} processes with 0.2 kB: httpx's part", ours, "the bytes by httpx alone", theirs)
        spent = shares(lambda: hopx.ps(output="full"), times)
        yield took("the same, under a profiler", sum(spent.values()) / 1000, note=told(spent))


MEASUREMENTS = {
    "10": partial(beside_sdk, 10, 200, "0.40 times"),
    "1000": partial(beside_sdk, 1_000, 200, "0.42 times"),
    "10000": partial(beside_sdk, 10_000, 200, "0.45 times"),
    "1000-of-20kB": partial(beside_sdk, 1_000, 20_000, "0.55 times"),
    "goes-to": goes_to,
}
