"""The run history: where it is, how large, and whether it can be written, is locked, or damaged."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..findings import Finding, attention, broken, not_checked, ok
from ..kept import Pruned
from ..run_history import health, pruning
from ..run_history.database import Database
from ..run_history.recorder import SLACK, Recorder
from ..words import size_in_words
from .machine import lock_holders, look_at_folder, process_in_words

READING = 1.0
"""Seconds for which the file is looked through, for each question."""

LOCKED = 1.0
"""Seconds after which another program that writes counts as one that does not stop."""


def look_at_history(history: Database, recorder: Recorder) -> Iterator[Finding]:
    """What there is to know of the history's file."""
    file = history.file
    yield from look_at_folder("disk", file.parent, variable="HOPX_HISTORY")
    if not file.exists():
        yield ok("file", f"there is none yet: {file}")
        return
    if not file.is_file():
        yield broken("file", f"{file} is no file", "No run is written down.", "Set HOPX_HISTORY to the name of a file.")
        return
    if not os.access(file, os.W_OK):
        means = "New runs are not written down, but for a journal beside it."
        yield broken(
            "file", f"{file} can't be written", means, f"chmod u+w {file}, or set HOPX_HISTORY to another one."
        )
        return
    complaint, whole = health.damage(file, READING)
    if complaint:
        yield _damaged(history, complaint)
        return
    yield ok("damage", "none" if whole else f"none found within {READING:.0f} s; it is too large to be looked through")
    yield from _locked(file)
    yield from _size(file, recorder.limits)
    yield _written(recorder)


def _damaged(history: Database, complaint: str) -> Finding:
    means = "Runs in it can't be read, or not all of them."
    advice = "%hopx_doctor --fix sets the file aside, where it stays, and a fresh one begins."
    return broken("damage", f"{history.file}: {complaint}", means, advice, partial(_set_aside, history))


def _set_aside(history: Database) -> str:
    return f"set the damaged history aside as {history.set_aside()}"


def _locked(file: Path) -> Iterator[Finding]:
    if not health.is_locked(file, LOCKED):
        yield ok("locked", "no")
        return
    holders = lock_holders(Path(f"{file}-shm"), file)
    by = ", ".join(map(process_in_words, holders)) or "another program"
    means = "Nothing can be written into it; what is launched is kept in a journal beside it until then."
    advice = f"End it, or let it end what it does{'' if holders else f': lsof {file}'}."
    yield attention("locked", f"by {by}, for longer than {LOCKED:g} s", means, advice)


def _size(file: Path, limits: pruning.Limits) -> Iterator[Finding]:
    told = f"{size_in_words(file.stat().st_size)} in {file}"
    count = health.runs(file, READING)
    told = told if count is None else f"{count:,} {'run' if count == 1 else 'runs'}, {told}"
    over = health.over_limits(file, limits, SLACK, READING)
    if over is None:
        yield not_checked("size", f"{told}, which can't be counted within {READING:.0f} s, or is of another version")
    elif over:
        means = f"It is over its limits (HOPX_HISTORY_RUNS, HOPX_HISTORY_MB) by {len(over):,} runs or their outputs."
        yield attention("size", told, means, "%hopx_doctor --fix prunes the oldest.", partial(_prune, file, over))
    else:
        yield ok("size", told)


def _prune(file: Path, over: list[Pruned]) -> str:
    pruning.prune(file, over)
    return f"pruned {len(over):,} runs, or their outputs, from the history"


def _written(recorder: Recorder) -> Finding:
    waiting = recorder.unwritten
    if not waiting:
        return ok("written", "all that this program has told")
    means = "It is in a journal beside the history, and is written when that is possible."
    return attention("written", f"{waiting} facts wait to be written", means)
