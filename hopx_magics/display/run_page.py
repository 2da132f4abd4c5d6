"""Everything about one run that the history keeps, to be shown."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from ..durations import format_counting
from ..kept import KeptOutput, KeptRun
from ..models import Usual
from ..output.oneline import printable
from ..values.facts import Left
from ..words import GOING, STREAMS, Stream
from .coloured import code_lines, output_lines
from .document import Block, Document, Facts, Head, Note, Shows, Text
from .facts import facts_of_run, value_in_words
from .forms import Output
from .in_words import state_in_words, usual_in_words

STACK_LINES = 200
"""Lines of stacks that are shown, the last ones."""

LINES = 50
"""Lines of an output that are shown, the last ones."""


class Shown(Document):
    """Everything about one run: what was launched, where, with what, how it ended, and the end of its output.

    `outputs` are the streams that are known, `shown` all that it has shown, in its order, if there are displays among
    that, and `no_room` is why the history did not take them; `usual` is how long such runs take; `stacks` tells where
    the threads of a fork were; `now` is the moment to which a state that may have changed is compared.
    """

    def __init__(
        self,
        run: KeptRun,
        outputs: Mapping[Stream, KeptOutput],
        *,
        shown: Sequence[Output] = (),
        no_room: str | None = None,
        usual: Usual | None = None,
        stacks: str = "",
        now: datetime | None = None,
    ) -> None:
        output = [_in_order(shown)] if shown else _outputs(run, outputs) if outputs or not no_room else []
        where = [Text("stacks", "where its threads were", output_lines(stacks, STACK_LINES)[0])] if stacks else []
        super().__init__([*_blocks(run, no_room, usual, now or datetime.now(UTC)), *where, *output])


def _blocks(run: KeptRun, no_room: str | None, usual: Usual | None, now: datetime) -> Iterator[Block]:
    yield head(run, now)
    result = [("result", run.left.result.in_words())] if run.left and run.left.result else []
    yield Facts(
        [*facts_of_run(run), *([("usual time", _usual(usual))] if usual_in_words(usual) and usual else []), *result]
    )
    if run.params:
        yield Facts([(name, value_in_words(value)) for name, value in run.params.items()], "parameters")
    if run.tags:
        yield Facts(list(run.tags.items()), "tags")
    yield from _values(run)
    yield _code(run)
    if no_room:
        yield Note(f"its output is not in the history, and is kept when there is room: {no_room}")


def _usual(usual: Usual) -> str:
    runs = "another completed run" if usual.runs == 1 else f"{usual.runs} other completed runs"
    return f"{usual_in_words(usual).removeprefix('usually ')}, by {runs} of the same code"


def _values(run: KeptRun) -> Iterator[Block]:
    if run.values_in:
        yield Facts([(fact.name, fact.in_words()) for fact in run.values_in], "values in")
    left = run.left or Left()
    kept = [*((fact.name, fact.in_words()) for fact in left.values), *((name, "never set") for name in left.missing)]
    if kept:
        yield Facts(kept, "values out")


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
        goes_on = run.status in GOING
        return [Note("its output is kept when it has ended" if goes_on else "its output is not kept")]
    if not any(output.size for output in kept.values()):
        return [Note("it wrote no output")]
    return [_output(stream, output) for stream, output in kept.items() if output.size]


def _in_order(shown: Sequence[Output]) -> Shows:
    """All that a cell has shown, of each piece of a stream the last lines."""
    return Shows("output", [_last_lines(each) if each["output_type"] == "stream" else each for each in shown])


def _last_lines(output: Output) -> Text:
    lines, hidden = output_lines(output["text"], LINES)
    return Text("", f"{_count(hidden)} before these: .{output['name']} has them" if hidden else "", lines)


def _output(stream: Stream, output: KeptOutput) -> Text:
    lines, hidden = output_lines(output.text, LINES)
    if not hidden:
        return Text(stream, "", lines)
    rest = f", and {output.left_out:,} bytes that are not kept" if output.left_out else f": .{stream} has them"
    return Text(stream, f"{_count(hidden)} before these{rest}", lines)


def _count(lines: int) -> str:
    return f"{lines:,} {'line' if lines == 1 else 'lines'}"
