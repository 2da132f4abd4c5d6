"""What runs have printed, as a terminal would show it."""

from collections.abc import Sequence

from ..display import in_words
from ..errors import HopxError, RunFailed
from ..output import as_shown, last_lines
from ..run import Run
from ..words import Stream
from .find import attach

LOG_BYTES = 1_000_000
"""Bytes of a stream's end that a log shows: more would be no help to a reader and a load to a page."""

STDERR_TAIL = 2000
"""Bytes of the standard error from which the last lines of a failed run are taken."""

STDERR_LINES = 8


def logs(
    run: Run | str, *, streams: Sequence[Stream] = ("stdout",), tail: int | None = None, on: str | None = None
) -> str:
    """The streams of a run one below the other, as a terminal would show them, with colours; or their last lines.

    Of a stream that is longer, the last megabyte. A run is also found by its id, the beginning of one, or its name.

    Raises UnknownProcess, NotSupported, AgentError.
    """
    found = attach(run, on=on) if isinstance(run, str) else run
    return "\n".join(text for stream in streams if (text := _log(found, stream, tail)))


def _log(run: Run, stream: Stream, lines: int | None) -> str:
    end = run.end_of(stream, LOG_BYTES)
    if lines is not None:
        return last_lines(end.text, lines)
    left_out = f"[{end.left_out:,} bytes before this are left out: run.{stream} has them]\n"
    return (left_out if end.left_out else "") + as_shown(end.text).rstrip("\n")


def end_of_stderr(run: Run) -> str:
    """The last lines of a failed run's standard error, or nothing when they can't be had."""
    try:
        return last_lines(run.end_of("stderr", STDERR_TAIL).text, STDERR_LINES)
    except HopxError:
        return ""


def check_completed(runs: Sequence[Run]) -> None:
    """Raises RunFailed, with the end of its stderr, when one of the runs failed or was killed."""
    failed = [run for run in runs if run.process.status in ("failed", "killed")]
    if not failed:
        return
    first, *others = failed
    also = f"\nAlso failed or killed: {', '.join(str(run.process_id) for run in others)}" if others else ""
    raise RunFailed(in_words.failure_in_words(first.process, end_of_stderr(first)) + also)
