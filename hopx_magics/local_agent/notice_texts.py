"""What notices say: which run, how it has ended, the error that ended it, and its last metrics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from ..display.in_words import counts_in_words, state_in_words
from ..display.run_name import cut_in_middle, given_in_order, told_apart
from ..durations import format_duration
from ..models import Process, ProcessId
from ..output.bounds import Met
from ..output.errors import end_of_error
from ..output.metrics import metrics_in
from ..output.oneline import printable
from ..protocol.requests import unmarked_name
from ..words import STREAMS, Status
from . import outputs
from .active import Active
from .journal import Ended
from .records import Launched
from .store import Folder

TAIL = 64_000
"""Bytes at the end of each stream in which the last error and metrics are looked for."""

LONGEST_NAME = 120
LONGEST_LINE = 300
MOST_METRICS = 8


class Text(NamedTuple):
    """A notice: one line, what else there is to say, and whether it is a success, a failure, or neither."""

    title: str
    body: str
    kind: Literal["info", "success", "failure"]


def of_end(ended: Ended, launched: Launched, folder: Folder) -> Text:
    """How a run has ended: `fit  lr=0.1 failed after 3 min, exit 1`."""
    process = _process(ended)
    title = f"{name_of(launched)} {state_in_words(process)}"
    return Text(title, _lines([error_of(ended, folder), last_metrics(folder)]), _kind(ended.status))


def of_bound(active: Active, met: Met) -> Text:
    """That a metric of a run meets a bound: `fit  lr=0.1 loss>10: loss was 12.3 after 3 min`."""
    when = format_duration(active.running_time)
    title = f"{name_of(active.launched)} {met.bound.text}: {met.bound.metric} was {met.value:g} after {when}"
    return Text(title, last_metrics(active.folder), "info")


def of_late_bound(ended: Ended, launched: Launched, folder: Folder, met: Met) -> Text:
    """The same of one that has ended."""
    title = f"{name_of(launched)} {met.bound.text}: {met.bound.metric} was {met.value:g}"
    return Text(title, last_metrics(folder), "info")


def of_sweep(
    name: str, span: float, statuses: Sequence[Status], failures: Sequence[str], bounds: Mapping[str, int]
) -> Text:
    """How a sweep has ended: `fit: 10 completed, 2 failed in 3 h`, and why some of its runs have failed."""
    order: tuple[Status, ...] = ("completed", "failed", "killed", "unknown")
    title = f"{name}: {counts_in_words(statuses, order)} in {format_duration(max(0.0, span))}"
    others = sum(status in ("failed", "unknown") for status in statuses) - len(failures)
    more = [f"and {others:,} more failed"] if failures and others > 0 else []
    met = [f"{bound} in {count:,} {'run' if count == 1 else 'runs'}" for bound, count in bounds.items()]
    is_bad = any(status in ("failed", "unknown") for status in statuses)
    return Text(title, _lines([*failures, *more, *met]), "failure" if is_bad else "success")


def name_of(launched: Launched) -> str:
    """A run so that it can be told: `fit  lr=0.1`."""
    name = printable(unmarked_name(launched.name) or "", LONGEST_NAME)
    told = told_apart(name, given_in_order(launched.told.given if launched.told else {}))
    return cut_in_middle(told or launched.process_id, LONGEST_NAME)


def failure_in_short(ended: Ended, launched: Launched, folder: Folder) -> str:
    """How a run of a sweep has failed, on one line: `lr=0.1 failed after 3 min, exit 1: ValueError: bad`."""
    process = _process(ended)
    error, given = error_of(ended, folder), given_in_order(launched.told.given if launched.told else {})
    return f"{cut_in_middle(told_apart('', given), LONGEST_NAME) or name_of(launched)} {state_in_words(process)}" + (
        f": {error}" if error else ""
    )


def error_of(ended: Ended, folder: Folder) -> str:
    """The last line of the error that ended a run."""
    if ended.status != "failed":
        return ""
    text = end_of_error(outputs.read_end(folder.output("stderr"), TAIL).text)[0]
    return printable(text.rstrip().rpartition("\n")[2], LONGEST_LINE)


def last_metrics(folder: Folder) -> str:
    """The last values of what a run has printed: `loss 0.31  acc 0.9`."""
    values = {
        each.name: each.value
        for stream in STREAMS
        for each in metrics_in(outputs.read_end(folder.output(stream), TAIL).text)
    }
    shown = [f"{printable(name, 60)} {value:.4g}" for name, value in values.items()][:MOST_METRICS]
    return "  ".join(shown)


def _process(ended: Ended) -> Process:
    row = ended.facts()
    return Process(
        process_id=ProcessId(row.process_id),
        status=row.status,
        status_detail=row.message or None,
        exit_code=row.exit_code,
        execution_time=row.execution_time,
        leftovers=tuple(row.leftovers or ()),
    )


def _kind(status: Status) -> Literal["info", "success", "failure"]:
    return "success" if status == "completed" else "info" if status == "killed" else "failure"


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(part[: 2 * LONGEST_LINE] for part in parts if part)
