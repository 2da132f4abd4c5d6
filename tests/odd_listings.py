"""Listings as no agent should answer them: rows of anything, numbers out of all bounds, and outputs full of them."""

import json
from typing import Any, get_args

from hypothesis import strategies as st

from hopx_magics.words import WaitsFor

MANY_DIGITS = "7" * 5000
"""As a text in a row, it stands in the body as a number of so many digits."""

_DIGITS = st.sampled_from(
    ["0", "1", "3", "100", "9" * 30, "9" * 400, "0." + "0" * 305 + "1", "1e9", "1,000", "٣", "-1"]
)
_TIMES = st.sampled_from(["00:17", "9" * 60, ":".join(["59"] * 600), "9" * 40 + "h 1m 5s", "?", "0:00:00", "5s"])
_FORMS = st.sampled_from(
    [
        "\r{a}%|###| {a}/{b} [00:10<{t}, 5it/s]",
        "\r{a}%|###| {a}/{b} [00:10<{t}]\n\x1b[A",
        "Epoch {a}/{b}\n{b}/{a} [==>...] - ETA: {t}",
        "step {a}/{b} eta {t}",
        "[{a}/{b}] x",
        "{a}%",
        "━━━╸━━ {a}/{b} MB eta {t}",
        "done: {a} % {t}",
    ]
)
_OUTPUTS = st.builds(lambda form, a, b, t: form.format(a=a, b=b, t=t), _FORMS, _DIGITS, _DIGITS, _TIMES)
_TEXTS = st.text(max_size=12) | _OUTPUTS | st.sampled_from(["\x1b[31m", "a" * 10_000, "\ud800", "\u202e", "<b>", "\0"])
_NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([1e308, -1e308, 1e-320, 2**53, 2**63, -(2**63) - 1, 10**400, MANY_DIGITS, "1e400", "12", True])
)
_MOMENTS = st.sampled_from(
    [
        *("0001-01-01T00:00:00Z", "0002-01-01T00:00:00Z", "9998-12-31T23:59:59.999999-23:59", "9999-12-31T00:00:00Z"),
        *("2026-01-01T00:00:00Z", "1969-12-31T23:59:59+14:00", "2026-02-30T00:00:00Z", "now", 5, None),
    ]
)
_STATUSES = st.sampled_from(["queued", "running", "running", "completed", "failed", "killed", "exited", "", None, 7])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "process_id": st.sampled_from(["a", "b", "c", "", None, 5, MANY_DIGITS, "\x1b[2J", "x" * 300]),
    "name": _TEXTS | _ANYTHING,
    "status": _STATUSES,
    "message": _ANYTHING,
    "started_at": _MOMENTS,
    "end_time": _MOMENTS,
    "completed_at": _MOMENTS,
    "stdout": _OUTPUTS | _ANYTHING,
    "stderr": _OUTPUTS | _ANYTHING,
    "stdout_bytes": _NUMBERS,
    "exit_code": _NUMBERS | _ANYTHING,
    "execution_time": _NUMBERS | _ANYTHING,
    "duration": _NUMBERS,
    "pid": _NUMBERS | _ANYTHING,
    "leftovers": st.lists(_NUMBERS, max_size=3) | _ANYTHING,
    "paused": st.booleans() | _ANYTHING,
    "first": st.booleans() | _ANYTHING,
    "retry_of": _TEXTS | _ANYTHING,
    "retried_as": _TEXTS | _ANYTHING,
    "waits_for": st.sampled_from(get_args(WaitsFor)) | _ANYTHING,
}

rows: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=_FIELDS) | _ANYTHING
"""One row of a listing."""

listings = st.lists(rows, max_size=5)
"""The rows of one listing."""


def body_of(listing: list[Any]) -> bytes:
    """The reply that an agent sends."""
    return json.dumps({"processes": listing}).replace(f'"{MANY_DIGITS}"', MANY_DIGITS).encode()
