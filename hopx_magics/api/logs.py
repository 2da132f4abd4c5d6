"""What runs have printed, as a terminal would show it."""

from collections.abc import Sequence

from ..display import in_words
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


def end_of_stderr(run: Run) -> str:
    """The error at the end of a failed run's standard error, in few lines; nothing when it can't be had."""
    try:
        output = run.end_of("stderr", STDERR_TAIL)
    except HopxError:
        return ""
    text, has_more = end_of_error(output.text)
    all_of_it = f"[%hopx_logs {run.process_id or run.run_id} --stderr has all of it]\n"
    return (all_of_it if has_more or output.left_out else "") + text


def check_completed(runs: Sequence[Run]) -> None:
    """Raises RunFailed, with the end of its stderr, when one of the runs failed or was killed."""
    failed = [run for run in runs if run.process.status in ("failed", "killed")]
    if not failed:
        return
    first, *others = failed
    also = f"\nAlso failed or killed: {', '.join(str(run.process_id) for run in others)}" if others else ""
    raise RunFailed(in_words.failure_in_words(first.process, end_of_stderr(first)) + also)
