"""The line below a cell that says what becomes of its run or sweep, as HTML and text that need no page to be read.

It is in two parts: its `head`, which may change each second, and what stands `below`, which seldom does. Where a page
can, it draws them into the element around them, `hopx-line`, which is nothing but a box everywhere else.
"""

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ..models import Process
from ..output.oneline import printable
from ..output.shown import as_plain
from ..words import STATUSES, Status
from .cell_output import outputs_as_html, outputs_as_text
from .forms import Output
from .in_words import (
    COLOURS,
    ICONS,
    counts_in_words,
    place_in_words,
    run_in_words,
    state_in_words,
    sweep_in_words,
    title_in_words,
)
from .run_name import cut_in_middle

FAILURES_SHOWN = 3
"""Failed runs of a sweep that its line tells of."""

RESULTS_SHOWN = 20
"""Runs of a sweep whose results its line shows."""

LONGEST_SHOWN = 80
"""Characters of a name with what its run was given; on hover there are all."""

_PRE = '<pre style="margin:.3em 0 0 1.4em;white-space:pre-wrap">{}</pre>'
_SOFT = '<span style="opacity:.65;font-family:monospace;font-size:90%">{}</span>'
_BAR = "display:inline-flex;height:.55em;border-radius:.3em;overflow:hidden;vertical-align:.08em;background:#8883"

PARTS: tuple[Status, ...] = ("completed", "running", "failed", "killed", "unknown")
"""The statuses in a sweep's bar, from left to right; what is queued leaves it empty."""


class Line(NamedTuple):
    """What is shown below a cell: two parts of HTML, and the same as text."""

    status: Status
    head: str
    below: str
    text: str

    def bundle(self, line_id: str) -> dict[str, str]:
        """It as a mimebundle; `line_id` is what the page knows the line by."""
        return {"text/plain": self.text, "text/html": as_html(line_id, self.head, self.below)}


def as_html(line_id: str, head: str, below: str) -> str:
    """Both parts in their box. `live/page/lines.js` does the same."""
    return f'<hopx-line line="{html.escape(line_id)}" style="display:block">{head}{below}</hopx-line>'


class AsOf(NamedTuple):
    """Of when a line is that may change; `stale` if that is long ago, which is said also where the line is followed."""

    moment: datetime
    stale: bool = False

    def __str__(self) -> str:
        return f"as of {self.moment:%Y-%m-%d %H:%M:%S}"


class Failure(NamedTuple):
    """A run of a sweep that failed: its parameters, its state, and the error that ended it, in words."""

    params: str
    state: str
    error: str


class Outcome(NamedTuple):
    """What has come out of one run of a sweep."""

    params: Mapping[str, Any]
    process: Process
    result: str


def run_line(
    process: Process,
    connection: str | None,
    *,
    progress: float | None = None,
    doing: str = "",
    given: str = "",
    params: Mapping[str, str] | None = None,
    as_of: AsOf | None = None,
    error: str = "",
    notes: Sequence[str] = (),
    displays: Sequence[Output] = (),
) -> Line:
    """The line of a run: how it is, its name with its `params`, how far it is and what it is doing, where, and which
    variables it was `given`.

    Below it the `error` that ended it, `notes`, and what the cell displayed.
    """
    told = [_title(title_in_words(process.name or "unnamed", params or {}))]
    if process.status == "running" and progress is not None:
        told.append(_bar("5em", [("running", progress)]))
    told += [html.escape(doing)] if doing else []
    place = place_in_words(process, connection) + (f" · with {printable(given, 200)}" if given else "")
    below = _error(error) + "".join(_PRE.format(html.escape(printable(note, 300))) for note in notes)
    below += f'<div style="margin:.3em 0 0 1.4em">{outputs_as_html(displays)}</div>' if displays else ""
    below = _below(below)
    state = " · ".join(filter(None, [run_in_words(process, connection, params), doing, str(as_of or "")]))
    shown = [outputs_as_text([output for output in displays if output["output_type"] != "error"])]
    text = "\n".join(filter(None, [f"<Run {state}>", *notes, *shown]))
    return Line(process.status, _head(process.status, state_in_words(process), told, place, as_of), below, text)


def sweep_line(
    sweep_id: str,
    processes: Sequence[Process],
    *,
    usual: str = "",
    as_of: AsOf | None = None,
    failures: Sequence[Failure] = (),
    failed: int = 0,
    outcomes: Sequence[Outcome] = (),
) -> Line:
    """The line of a sweep: a bar of its states, how long its runs take, `failures` among the `failed`, and in the end
    what has come out.

    It is coloured as the worst of what has happened, or as running.
    """
    statuses = [process.status for process in processes]
    bad = [status for status in ("failed", "killed", "unknown") if status in statuses]
    going = any(status in ("queued", "running") for status in statuses)
    status: Status = "running" if going else bad[0] if bad else "completed"
    shares = [(part, statuses.count(part) / max(1, len(statuses))) for part in PARTS]
    name = next((process.name for process in processes if process.name), None)
    told = [f"<b>{html.escape(printable(name, 60))}</b>"] if name else []
    told.append(_bar("12em", shares, counts_in_words(statuses, STATUSES)))
    told += [html.escape(usual)] if usual else []
    head = _head(status, sweep_in_words(statuses), told, f"sweep {sweep_id}", as_of)
    state = " · ".join(filter(None, [f"{sweep_id}: {sweep_in_words(statuses)}", usual, str(as_of or "")]))
    below = _below(_failures(failures, failed) + _table(outcomes, len(processes)))
    text = [f"<Sweep {state}>", *(f"{failure.params}: {failure.state}" for failure in failures)]
    return Line(status, head, below, "\n".join(text + _table_as_text(outcomes)))


def lost_line(name: str | None, line_id: str, connection: str | None) -> Line:
    """The line of what neither an agent nor the history knows."""
    what = html.escape(printable(name, 60)) if name else "unnamed"
    place = f"{printable(line_id, 60)}{f' on {printable(connection, 40)}' if connection else ''}"
    head = _head("unknown", "no longer known", [f"<b>{what}</b>"], f"{place}: neither an agent nor the history has it")
    return Line("unknown", head, "", f"<Run {place}: no longer known>")


# ---------------------------------------------------------------- parts


def _head(status: Status, state: str, told: Sequence[str], place: str, as_of: AsOf | None = None) -> str:
    moment = ""
    if as_of is not None:
        look = "hopx-stale" if as_of.stale else "hopx-as-of"
        moment = f' <span class="{look}" style="opacity:.8">· {as_of}</span>'
    return (
        f'<div class="hopx-run"><span style="color:{COLOURS[status]};font-weight:600">{ICONS[status]} '
        f"{html.escape(state)}</span> {' '.join(told)}{moment} {_SOFT.format(html.escape(place))}</div>"
    )


def _title(title: str) -> str:
    shown = cut_in_middle(title, LONGEST_SHOWN)
    whole = f' title="{html.escape(title)}"' if shown != title else ""
    return f"<b{whole}>{html.escape(shown)}</b>"


def _below(content: str) -> str:
    return f'<div class="hopx-below">{content}</div>' if content else ""


def _bar(width: str, shares: Sequence[tuple[Status, float]], title: str = "") -> str:
    parts = "".join(
        f'<span style="width:{100 * min(1.0, max(0.0, share)):.1f}%;background:{COLOURS[status]}"></span>'
        for status, share in shares
        if share > 0
    )
    named = f' role="img" aria-label="{html.escape(title)}" title="{html.escape(title)}"' if title else ""
    return f'<span{named} style="width:{width};{_BAR}">{parts}</span>'


def _error(text: str) -> str:
    """Why it failed: open, and to be closed by whoever has read it, also where nobody can click on anything else."""
    plain = html.escape(as_plain(text).strip("\n"))
    if not plain:
        return ""
    return f'<details open style="margin:.2em 0 0 1.4em"><summary>why</summary>{_PRE.format(plain)}</details>'


def _failures(failures: Sequence[Failure], count: int) -> str:
    shown = [_failure(failure) for failure in failures[:FAILURES_SHOWN]]
    if shown and count > len(shown):
        shown.append(f"<div>and {count - len(shown):,} more</div>")
    return f'<div style="margin:.3em 0 0 1.4em">{"".join(shown)}</div>' if shown else ""


def _failure(failure: Failure) -> str:
    title = f"{_title(failure.params)} {html.escape(failure.state)}"
    text = as_plain(failure.error).strip("\n")
    if not text:
        return f"<div>{title}</div>"
    reason = f'<span style="opacity:.8">{html.escape(printable(text.splitlines()[-1], 160))}</span>'
    return f"<details><summary>{title} {reason}</summary>{_PRE.format(html.escape(text))}</details>"


def _table(outcomes: Sequence[Outcome], count: int) -> str:
    if not outcomes:
        return ""
    names = _names(outcomes)
    cell = '<{0} style="text-align:left;padding:.1em .8em .1em 0">{1}</{0}>'
    head = "".join(cell.format("th", html.escape(name)) for name in [*names, "state", "result"])
    rows = [
        "".join(cell.format("td", html.escape(text)) for text in _row(outcome, names))
        for outcome in outcomes[:RESULTS_SHOWN]
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    more = f"<div>and {count - len(rows):,} more</div>" if count > len(rows) else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div style="margin:.3em 0 0 1.4em;overflow-x:auto">{table}{more}</div>'


def _table_as_text(outcomes: Sequence[Outcome]) -> list[str]:
    names = _names(outcomes)
    return ["  ".join(_row(outcome, names)) for outcome in outcomes[:RESULTS_SHOWN]]


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    """The parameters in which the runs differ."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.params)
    different = [name for name in names if len({repr(outcome.params.get(name)) for outcome in outcomes}) > 1]
    return different or list(names)


def _row(outcome: Outcome, names: Sequence[str]) -> list[str]:
    params = [printable(str(outcome.params.get(name, "")), 40) for name in names]
    return [*params, state_in_words(outcome.process), printable(outcome.result, 80)]
