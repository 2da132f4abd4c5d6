"""`%hopx_doctor` where all is well: an agent with many processes that have ended, and a history of many runs."""

import statistics
from collections.abc import Iterator

import hopx_magics as hopx

from .history import fill
from .measure import seconds
from .places import own_place
from .report import Row, took


def all_well(smallest: bool) -> Iterator[Row]:
    count, kept, rounds = (2, 10, 1) if smallest else (200, 100_000, 5)
    with own_place() as place:
        fill(place / "history.sqlite", 1, kept)
        hopx.wait(*hopx.sweep("true", {"n": list(range(count))}, language="bash"))
        times = [seconds(hopx.doctor) for _ in range(rounds)]
        note = f"{count} processes, {kept:,} runs kept"
        yield took("%hopx_doctor, all well", statistics.median(times), "2 s", note)


MEASUREMENTS = {"all_well": all_well}
