"""The page in front of this kernel: whether it shows widgets, and whether messages to it get lost."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from ..findings import Finding, attention, not_checked, ok

if TYPE_CHECKING:
    from ..live.mender import Mender

Front = Literal["terminal", "program", "job", "page"]
"""Who is in front of this program: a terminal's IPython, none at all, a job without anybody, or maybe a page."""

ANSWER = 1.5
"""Seconds in which a page has to answer; it takes some milliseconds."""

LOADING = 3.0
"""Seconds that a page may take to load what answers, from the moment on at which that was made."""

_WHY = {
    "terminal": "There is no page: the table and the lines are text.",
    "program": "There is no page: nothing is shown.",
    "job": "This notebook runs as a job, without anybody who looks: lines and tables are text and HTML.",
}


def look_at_page(front: Front, find_mender: Callable[[float], "Mender | None"]) -> Iterator[Finding]:
    """Asks all pages of this kernel for an answer, by the mender, which may still be made."""
    if front != "page":
        yield ok("widgets", _WHY[front])
        return
    mender = find_mender(LOADING)
    if mender is None:
        yield not_checked("widgets", "what asks pages is not there: %load_ext hopx_magics makes it")
        return
    missed = mender.call(max(ANSWER, mender.made_at + LOADING - time.monotonic()))
    if not missed:
        yield _silent()
        return
    count = len(missed)
    yield ok("widgets", f"{count} {'page answers' if count == 1 else 'pages answer'} the kernel")
    lost = max(missed.values())
    if lost:
        means = "The server drops messages of a cell that shows much; table and lines ask for what they missed."
        advice = "Show less at once, or raise ServerApp.iopub_msg_rate_limit and iopub_data_rate_limit."
        yield attention("messages", f"{lost} did not reach a page", means, advice)
    else:
        yield ok("messages", "none was lost")


def _silent() -> Finding:
    means = "Lines below cells say of when they are and have no buttons; the live table may show as text."
    advice = (
        "Reload the page. In JupyterLab and Notebook 7, ipywidgets has to be installed where the server runs; other "
        "front ends were not tried. An ipykernel before 7 hears pages only between two cells."
    )
    return attention("widgets", "no page has answered while this cell runs", means, advice)
