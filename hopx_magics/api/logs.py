"""What runs have printed, as a terminal would show it."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..connection.waiting import some
from ..display import in_words
from ..display.run_name import in_order_of_difference
from ..errors import HopxError, RunFailed
from ..output.errors import end_of_error
from ..output.shown import as_shown, last_lines
from ..run import Run
from ..words import Stream
from .find import attach

LOG_BYTES = 1_000_000
"""Bytes of a stream's end that a log shows: more would be no help to a reader and a load to a page."""

STDERR_TAIL = 250_000
"""Bytes of the standard error in which the error of a failed run is looked for."""

FAILURES_TOLD = 3
"""How many of several failed runs an error tells of."""


def logs(
    run: Run | str, *, streams: Sequence[Stream] = ("stdout",), tail: int | None = None, on: str | None = None
) -> str:
    """The streams of a run one below the other, as a terminal would show them, with colours; or their last lines.

    Of a stream that is longer, the last megabyte. A run is also found by its id, the beginning of one, or its name.

    Raises UnknownProcess, NotSupported, AgentError.
    """
    found = attach(run, on=on) if isinstance(run, str) else run
    texts = []
    for stream in streams:
        end = found.source.output(found.process, stream, LOG_BYTES)
        left_out = f"[{end.left_out:,} bytes before this are left out: run.{stream} has them]\n" if end.left_out else ""
        texts.append(left_out + as_shown(end.text).rstrip("\n") if tail is None else last_lines(end.text, tail))
    return "\n".join(filter(None, texts))


def left_out_of(run: Run, streams: Sequence[Stream]) -> str:
    """That a failed run has more to say than `streams`: `stderr has 5 lines: %hopx_logs train --stderr shows them`."""
    if run.process.status != "failed" or "stderr" in streams:
        return ""
    try:
        end = run.end_of("stderr", LOG_BYTES)
    except HopxError:
        return ""
    lines = len(as_shown(end.text).rstrip("\n").splitlines())
    if not lines:
        return ""
    count = f"more than {lines:,} lines" if end.left_out else f"{lines:,} lines" if lines > 1 else "1 line"
    return f"stderr has {count}: %hopx_logs {run.process_id} --stderr"


def check_completed(runs: Sequence[Run]) -> None:
    """Raises RunFailed when one of the runs failed or was killed: with the error at the end of the first one's stderr,
    and the last line of that of the next ones. What was stopped as its launch wanted has done what it should."""
    failed = [run for run in runs if run.process.failed]
    if not failed:
        return
    head = [f"{len(failed):,} of {len(runs):,} failed or were killed"] if len(failed) > 1 else []
    given = in_order_of_difference([_params_of(run) for run in failed[:FAILURES_TOLD]])
    told = [
        _failure(run, params, only_last=number > 0)
        for number, (run, params) in enumerate(zip(failed, given, strict=False))
    ]
    rest = failed[FAILURES_TOLD:]
    more = [f"and {len(rest):,} more: {some([str(run.process_id or run.run_id) for run in rest])}"] if rest else []
    raise RunFailed("\n".join([*head, *told, *more]))


def end_of_stderr(run: Run) -> str:
    """The error at the end of a failed run's standard error, in few lines; nothing when it can't be had."""
    try:
        output = run.end_of("stderr", STDERR_TAIL)
    except HopxError:
        return ""
    text, has_more = end_of_error(output.text)
    all_of_it = f"[%hopx_logs {run.process_id or run.run_id} --stderr has all of it]\n"
    return (all_of_it if has_more or output.left_out else "") + text


def _params_of(run: Run) -> dict[str, Any]:
    with contextlib.suppress(HopxError):
        return run.params
    return {}


def _failure(run: Run, params: Mapping[str, Any], *, only_last: bool) -> str:
    """How a run failed, with its params and the error at the end of its standard error, or the last line of that."""
    stderr = end_of_stderr(run)
    return in_words.failure_in_words(run.process, last_lines(stderr, 1) if only_last else stderr, params)
