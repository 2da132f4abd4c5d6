"""Processes in words and in HTML. All that comes from agents is escaped and made printable."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ..durations import format_counting, format_duration, format_roughly
from ..models import CommandResult, Listing, Process, Usual
from ..output.errors import end_of_error
from ..output.oneline import printable
from ..output.shown import as_plain
from ..words import STATUSES, Status, signal_name
from .run_name import cut_in_middle, given_in_order, told_apart

LONGEST_TITLE = 160
"""Characters of a name with what its run was given, in the text of an error."""

ICONS: dict[Status, str] = {
    "queued": "◌",
    "running": "▸",
    "completed": "✓",
    "failed": "✗",
    "killed": "■",
    "unknown": "?",
}

LEAST_USUAL = 2.0
"""Seconds below which it is not told how long a run usually takes: it is over before that is read."""

WIDE = 1.5
"""How much longer than the shorter runs of a code the longer ones take when both are told."""

NAMED_IN_NEWS = 3
"""How many different names are told of those that have gone the same way."""


def ink(colour: str) -> str:
    """A colour of CSS that can be read as text: mixed with that of the text around, which fits light and dark."""
    return f"color-mix(in srgb,{colour} 65%,currentcolor)"


# JupyterLab's own colours follow its theme; the second ones are for pages without them.
COLOURS: dict[Status, str] = {
    "queued": ink("var(--jp-ui-font-color2,#808080)"),
    "running": ink("var(--jp-info-color1,#1e88e5)"),
    "completed": ink("var(--jp-success-color1,#2e9d4c)"),
    "failed": ink("var(--jp-error-color1,#d84343)"),
    "killed": ink("var(--jp-warn-color1,#d07a00)"),
    "unknown": ink("var(--jp-ui-font-color2,#808080)"),
}


def state_in_words(process: Process) -> str:
    """The state with its time and reason: `running for 12 s`, `paused after 12 s`, `failed after 3 s, exit 1`."""
    in_words = format_counting if process.status == "running" else format_duration
    span = None if process.execution_time is None else in_words(process.execution_time)
    if process.paused and process.status == "running":
        return f"paused after {span}" if span else "paused"
    words = {"running": "running for", "completed": "completed in", "failed": "failed after", "killed": "killed after"}
    state = f"{words[process.status]} {span}" if span and process.status in words else process.status
    left = f", {len(process.leftovers):,} left running" if process.leftovers else ""
    return state + reason_in_words(process.status, process.exit_code, process.status_detail) + left


def reason_in_words(status: Status, exit_code: int | None, detail: str | None) -> str:
    """What stands behind a status: `, exit 1`, `, SIGSEGV`, ` (timed out after 2 s)`, `, exit 1 (out of quota)`.

    Of a signal its reason says all, where there is one: a time limit is one, and ends by a signal.
    """
    reason = f" ({printable(detail, 100)})" if detail else ""
    if status != "failed" or exit_code is None:
        return reason
    signal = signal_name(exit_code)
    if signal is None:
        return f", exit {exit_code}{reason}"
    return reason or f", {signal}"


def status_in_words(status: Status, leftovers: int, *, paused: bool = False) -> str:
    """The status, with a mark where the process has left others running: `completed, 2 left`; `paused` if it is."""
    if paused and status == "running":
        return "paused"
    return f"{status}, {leftovers:,} left" if leftovers else status


NO_PROCESSES = "No processes yet. %%hopx_bg launches one."
NO_RUNS = "No runs yet. %%hopx_bg launches one."


def nothing_in_words(asked: Sequence[str], listed: int, filters: str, none: str = NO_PROCESSES) -> str:
    """Why there is nothing to show: the connections `asked` have not answered yet, or none of those `listed` is meant.

    `filters` say which were asked for, `none` that there are none at all.
    """
    if asked:
        return f"asking {', '.join(printable(name, 40) for name in asked)} ..."
    return f"none of {listed:,} matches {filters}" if listed and filters else none


def queued_in_words(place: int | None, reason: str | None) -> str:
    """Where something stands in its agent's queue, and why it waits: `place 3: 4 of 4 running on this machine`."""
    return ": ".join(filter(None, (f"place {place:,}" if place else "", reason)))


def with_place(process: Process, listing: Listing) -> Process:
    """The process of a listing, with its place in the queue in the reason for its status, if it is queued."""
    place = listing.queue.get(process.process_id) if process.process_id else None
    if place is None:
        return process
    return msgspec.structs.replace(process, status_detail=queued_in_words(place, process.status_detail))


def title_in_words(name: str | None, given: Mapping[str, str], most: int = 0) -> str:
    """What a run is called so that it can be told from others, with at most so many characters: `fit  lr=0.1 seed=2`.

    Nothing where it has neither a name nor parameters.
    """
    title = told_apart(printable(name, 60) if name else "", given)
    return cut_in_middle(title, most) if most else title


def run_in_words(process: Process, connection: str | None, given: Mapping[str, str] | None = None) -> str:
    """One line: name, parameters, id, connection and state."""
    words = (title_in_words(process.name, given or {}, LONGEST_TITLE), place_in_words(process, connection))
    return f"{' '.join(word for word in words if word)}: {state_in_words(process)}"


def place_in_words(process: Process, connection: str | None) -> str:
    """The id of a process and where it is; nothing for a launch that still waits to be handed out."""
    place = [] if process.process_id is None else [printable(process.process_id, 60)]
    return " on ".join([*place, *([printable(connection, 40)] if connection else [])])


def usual_in_words(usual: Usual | None) -> str:
    """How long such runs take: `usually 4 min`, or `usually 40 s to 3 min` where that differs much; "" if not known."""
    if usual is None or usual.median < LEAST_USUAL:
        return ""
    low, high = format_roughly(usual.low), format_roughly(usual.high)
    return f"usually {low} to {high}" if usual.high > WIDE * usual.low else f"usually {format_roughly(usual.median)}"


def doing_in_words(progress: float | None, left: float | None, last: str | None, usual: str = "") -> str:
    """How far a running process is, by what it prints, or else how long that usually takes:
    `40 % · 18 s left · Epoch 8/20 loss 0.125`, `usually 4 min · loading`."""
    parts = (
        usual if progress is None and left is None else None,
        None if progress is None else f"{math.floor(100 * progress)} %",
        None if left is None else f"{format_roughly(left)} left",
        printable(last, 80) if last else None,
    )
    return " · ".join(part for part in parts if part)


def counts_in_words(statuses: Iterable[Status], order: Iterable[Status] = STATUSES) -> str:
    """How many there are of each status: `2 running, 1 failed`."""
    counts = Counter(statuses)
    return ", ".join(f"{counts[status]:,} {status}" for status in order if counts[status])


def waiting_in_words(processes: Sequence[Process], total: int) -> str:
    """How far waiting has come: `2 of 3 ended: 1 completed, 1 failed, 1 running`."""
    counts = counts_in_words(process.status for process in processes)
    ended = sum(process.ended for process in processes)
    return f"{ended:,} of {total:,} ended" + (f": {counts}" if counts else "")


def failure_in_words(process: Process, stderr: str, params: Mapping[str, Any]) -> str:
    """How a run with these params failed, with the end of its standard error below."""
    title = title_in_words(process.name, given_in_order(params), LONGEST_TITLE)
    about = f"({process.process_id})" if title and process.process_id else process.process_id
    name = " ".join(filter(None, (title, about))) or "unnamed"
    end = as_plain(stderr).strip("\n")
    return f"{name} {state_in_words(process)}" + "".join(f"\n  {line}" for line in end.splitlines())


def command_failure_in_words(command: str, result: CommandResult) -> str:
    """How a command in the foreground failed, with the end of its standard error, or of its output if that is empty."""
    text, has_more = end_of_error(result.stderr.strip("\n") or result.stdout)
    more = "\n  [%hopx_sh --no-raise returns all of it]" if has_more else ""
    end = "".join(f"\n  {line}" for line in text.splitlines())
    return f"`{printable(command, 60)}` failed, exit {result.exit_code}{more}{end}"


def sweep_in_words(statuses: Sequence[Status]) -> str:
    """How far a sweep has come: `7 of 10 completed, 1 failed, 2 running`."""
    others = counts_in_words(statuses, (*_BAD, "running", "queued"))
    return f"{statuses.count('completed'):,} of {len(statuses):,} completed" + (f", {others}" if others else "")


_BAD: tuple[Status, ...] = ("failed", "killed", "unknown")


def news_in_words(going: Sequence[str], ended: Mapping[Status, Sequence[str]], *, notebook: bool) -> str | None:
    """What happened to the runs of a notebook, or of a folder, since somebody last looked; None if nothing did.

    Runs are told by their names, and many with different ones by their number.
    """
    parts = [f"{_named(going)} still running"] if going else []
    if ends := ", ".join(f"{_named(names)} {status}" for status, names in ended.items() if names):
        parts.append(f"since you last looked {ends}")
    place = "notebook" if notebook else "folder"
    return f"Runs of this {place}: {'; '.join(parts)}. %hopx_history shows them." if parts else None


def _named(names: Sequence[str]) -> str:
    """Few names, with how many have each; of more only how many there are."""
    counts = Counter(names)
    if len(counts) > NAMED_IN_NEWS:
        return f"{len(names):,}"
    return ", ".join(printable(name, 40) + (f" ({count:,})" if count > 1 else "") for name, count in counts.items())


def extended_in_words(name: str, ends: datetime | None, now: datetime) -> str:
    """Until when a connection's sandbox lives now."""
    if ends is None:
        return f"{name} lives for longer; until when, it does not say"
    left = format_roughly(max(0.0, (ends - now).total_seconds()))
    return f"{name} lives until {ends:%Y-%m-%d %H:%M:%S} UTC, {left} from now"


def disconnected_in_words(name: str, sandbox: str | None, *, deleted: bool) -> str:
    """What became of a connection and its sandbox."""
    what = f"its sandbox {sandbox}" if sandbox else "its agent"
    return f"{name} is no longer connected; {what} {'is deleted, with all that was in it' if deleted else 'goes on'}"


def transfer_in_words(name: str, way: str, done: int, total: int | None) -> str:
    """How far a file is copied: a bar where its size is known."""
    title = f"{printable(name, 60)} {way} the agent"
    unit, size = next((unit, size) for unit, size in _SIZES.items() if max(done, total or 0) >= size or size == 1)
    form = ",.0f" if size == 1 else ",.1f"
    if total is None:
        return f"{title}: {done / size:{form}} {unit}"
    filled = round(20 * done / total) if total else 20
    return f"{title}: {'█' * filled}{'░' * (20 - filled)} {done / size:{form}} of {total / size:{form}} {unit}"


_SIZES = {"MB": 1_000_000, "kB": 1_000, "bytes": 1}
