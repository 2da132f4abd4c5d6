"""What is shown of a sweep: a line for each of some of its runs, with what varies, and its best metric marked."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..durations import format_counting, format_duration
from ..models import Process
from ..output.metrics import better, metrics_in
from ..output.oneline import printable
from ..words import STREAMS, Status
from .frame_view import LONGEST_LINE, Cell, Column, View
from .in_words import ICONS, reason_in_words, status_in_words, sweep_in_words
from .run_name import cut_in_middle, in_order_of_difference, told_apart

MOST_ROWS = 12
MOST_METRICS = 3
MOST_PARAMS = 6
"""Runs, metrics and parameters that are shown, at most."""

OF_EACH = 4
"""Runs that failed, and that are running, which are shown first where there are too many."""

LONGEST_VALUE = 24


class SweptRun(NamedTuple):
    """What is known of one run of a sweep: how it was last seen, what it was given, its last metrics, and the last line
    of what it has written to stderr."""

    process: Process
    params: Mapping[str, Any] = {}
    metrics: Mapping[str, float] = {}
    last_line: str = ""


def last_metrics(process: Process) -> dict[str, float]:
    """The last values of the metrics at the end of what a process has written, as far as its listing has that."""
    found: dict[str, float] = {}
    for stream in STREAMS:
        text, size = getattr(process, stream) or "", getattr(process, f"{stream}_bytes")
        if size is not None and size > len(text.encode("utf-8", "replace")):
            text = text.partition("\n")[2]  # the first line may be the rest of one
        found.update((metric.name, metric.value) for metric in metrics_in(text))
    return found


def sweep_view(sweep_id: str, runs: Sequence[SweptRun], note: str = "") -> View:
    """At most `MOST_ROWS` runs in their order: all, or the best, what failed, what runs, and then the first ones."""
    names = [name for name, _ in sorted(_count(runs).items(), key=lambda pair: -pair[1])][:MOST_METRICS]
    best = {name: place for name in names if (place := _best(name, runs)) is not None}
    shown = _chosen(runs, list(best.values()))
    given = in_order_of_difference([run.params for run in runs])
    columns = [Column("", [Cell(str(place)) for place in shown], 0, right=True)]
    columns.append(Column("status", [_status(runs[place].process) for place in shown], 0))
    params = _told(given)
    for param in params:
        columns.append(Column(printable(param, 60), [_value(given[place], param) for place in shown], 1))
    for name in names:
        cells = [_metric(runs[place].metrics.get(name), name, best.get(name) == place) for place in shown]
        label = f"metric.{name}" if name in params else name
        columns.append(Column(printable(label, 60), cells, 2, right=True))
    columns.append(Column("time", [_time(runs[place].process) for place in shown], 0, right=True))
    columns += _why([runs[place] for place in shown])
    counted = sweep_in_words([run.process.status for run in runs])
    words = [f"sweep {sweep_id}: {counted}" if sweep_id else counted]
    words += [_best_in_words(name, runs[place], given[place]) for name, place in list(best.items())[:1]]
    words += [f"{len(shown)} of {len(runs):,} runs shown"] if len(shown) < len(runs) else []
    return View(columns if shown else [], None, " · ".join(filter(None, [*words, note])))


def _count(runs: Sequence[SweptRun]) -> dict[str, int]:
    """How many runs have each metric, in the order in which these come."""
    counts: dict[str, int] = {}
    for run in runs:
        for name in run.metrics:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _best(name: str, runs: Sequence[SweptRun]) -> int | None:
    """The place of the run with the best value; None where all have the same, or nobody can tell what is better."""
    values = [(run.metrics[name], place) for place, run in enumerate(runs) if name in run.metrics]
    numbers = [(value, place) for value, place in values if value == value]
    if len(dict(numbers)) < 2 or (extreme := better(name)) is None:
        return None
    return min(numbers, key=lambda pair: (pair[0] if extreme == "min" else -pair[0], pair[1]))[1]


def _chosen(runs: Sequence[SweptRun], best: Sequence[int]) -> list[int]:
    if len(runs) <= MOST_ROWS:
        return list(range(len(runs)))
    failed = [place for place, run in enumerate(runs) if run.process.status in ("failed", "killed")]
    running = [place for place, run in enumerate(runs) if run.process.status == "running"]
    wanted = dict.fromkeys([*best, *failed[:OF_EACH], *running[:OF_EACH], *range(len(runs))])
    return sorted(list(wanted)[:MOST_ROWS])


def _told(given: Sequence[Mapping[str, Any]]) -> list[str]:
    """The parameters that vary, or all where none does."""
    names = list(dict.fromkeys(name for each in given for name in each))
    varied = [name for name in names if len({repr(each.get(name)) for each in given}) > 1]
    return (varied or names)[:MOST_PARAMS]


# ---------------------------------------------------------------- cells


def _status(process: Process) -> Cell:
    status: Status = process.status
    words = status_in_words(status, len(process.leftovers), paused=process.paused)
    return Cell(f"{ICONS[status]} {words}", printable(process.status_detail or ""), status)


def _value(given: Mapping[str, Any], name: str) -> Cell:
    text = printable(str(given[name]), 1000) if name in given else ""
    cut = cut_in_middle(text, LONGEST_VALUE)
    return Cell(cut, "" if cut == text else text)


def _metric(value: float | None, name: str, is_best: bool) -> Cell:
    if value is None:
        return Cell("")
    title = f"the {'smallest' if better(name) == 'min' else 'largest'} {printable(name, 60)}" if is_best else ""
    return Cell(f"{'★ ' if is_best else ''}{value:.6g}", title)


def _time(process: Process) -> Cell:
    if process.execution_time is None:
        return Cell("")
    in_words = format_counting if process.status == "running" else format_duration
    return Cell(in_words(process.execution_time), f"{process.execution_time:,.3f} s")


def _why(runs: Sequence[SweptRun]) -> list[Column]:
    """Why runs have failed, where some have."""
    cells = [_reason(run) for run in runs]
    return [Column("why", cells, 3)] if any(cell.text for cell in cells) else []


def _reason(run: SweptRun) -> Cell:
    process = run.process
    if process.status not in ("failed", "killed"):
        return Cell("")
    reason = reason_in_words(process.status, process.exit_code, process.status_detail).strip(" ,()")
    text = ": ".join(filter(None, [reason, run.last_line if process.status == "failed" else ""]))
    return Cell(text) if len(text) <= LONGEST_LINE else Cell(f"{text[: LONGEST_LINE - 1]}…", text)


def _best_in_words(name: str, run: SweptRun, given: Mapping[str, Any]) -> str:
    called = told_apart(
        "", {key: cut_in_middle(printable(str(value), 1000), LONGEST_VALUE) for key, value in given.items()}
    )
    return f"best {printable(name, 60)} {run.metrics[name]:.6g}" + (f": {cut_in_middle(called, 60)}" if called else "")
