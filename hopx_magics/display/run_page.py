"""Everything about one run that the history keeps, to be shown."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from ..durations import format_counting
from ..models import KeptOutput, KeptRun
from ..output.oneline import printable
from ..words import STREAMS, Stream
from .coloured import code_lines, output_lines
from .document import Block, Document, Facts, Head, Note, Text
from .facts import facts_of_run, value_in_words
from .in_words import state_in_words

LINES = 50
"""Lines of an output that are shown, the last ones."""


class Shown(Document):
    """Everything about one run: what was launched, where, with what, how it ended, and the end of its output.

    `outputs` are the streams that are known, and `no_room` is why the history did not take them; `now` is the moment to
    which a state that may have changed is compared.
    """

    def __init__(
        self,
        run: KeptRun,
        outputs: Mapping[Stream, KeptOutput],
        *,
        no_room: str | None = None,
        now: datetime | None = None,
    ) -> None:
        super().__init__(_blocks(run, outputs, no_room, now or datetime.now(UTC)))


def _blocks(run: KeptRun, outputs: Mapping[Stream, KeptOutput], no_room: str | None, now: datetime) -> Iterator[Block]:
    yield head(run, now)
    yield Facts(facts_of_run(run))
    if run.params:
        yield Facts([(name, value_in_words(value)) for name, value in run.params.items()], "parameters")
    if run.tags:
        yield Facts(list(run.tags.items()), "tags")
    yield _code(run)
    if no_room:
        yield Note(f"its output is not in the history, and is kept when there is room: {no_room}")
    if outputs or not no_room:
        yield from _outputs(run, outputs)


def head(run: KeptRun, now: datetime, label: str = "") -> Head:
    """The line about a run, with its state as it was last seen."""
    where = f" on {printable(run.connection, 40)}" if run.connection else ""
    place = f"{printable(run.process_id or run.run_id, 60)}{where}"
    return Head(run.status, state_as_seen(run, now), run.name, place, label)


def state_as_seen(run: KeptRun, now: datetime) -> str:
    """The state in words: `failed after 3 s, exit 1`, `running, as last seen 3 min ago`."""
    if run.process.ended:
        return state_in_words(run.process)
    detail = f" ({printable(run.status_detail, 100)})" if run.status_detail else ""
    if run.seen_at is None:
        return f"{run.status}{detail}, as last seen"
    age = max(0.0, (now - run.seen_at).total_seconds())
    return f"{run.status}{detail}, as last seen {format_counting(age)} ago"


def _code(run: KeptRun) -> Block:
    if run.code is None:
        reason = "" if run.launched_here else ": it was not launched from this machine"
        return Note(f"its code is not known{reason}")
    lines, hidden = code_lines(run.code, run.language)
    language = f"{printable(run.language, 40)}, " if run.language else ""
    rest = f": the first {len(lines):,}; %hopx_history --code has them all" if hidden else ""
    return Text("code", f"{language}{_count(len(lines) + hidden)}{rest}", lines, is_code=True)


def _outputs(run: KeptRun, outputs: Mapping[Stream, KeptOutput]) -> list[Block]:
    kept = {stream: outputs[stream] for stream in STREAMS if stream in outputs}
    if not kept:
        goes_on = run.status in ("queued", "running")
        return [Note("its output is kept when it has ended" if goes_on else "its output is not kept")]
    if not any(output.size for output in kept.values()):
        return [Note("it wrote no output")]
    return [_output(stream, output) for stream, output in kept.items() if output.size]


def _output(stream: Stream, output: KeptOutput) -> Text:
    lines, hidden = output_lines(output.text, LINES)
    if not hidden:
        return Text(stream, "", lines)
    rest = f", and {output.left_out:,} bytes that are not kept" if output.left_out else f": .{stream} has them"
    return Text(stream, f"{_count(hidden)} before these{rest}", lines)


def _count(lines: int) -> str:
    return f"{lines:,} {'line' if lines == 1 else 'lines'}"
