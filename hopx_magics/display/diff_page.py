"""In what two runs that the history keeps differ, to be shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import Match, SequenceMatcher
from functools import partial
from itertools import accumulate

import msgspec

from ..durations import format_duration
from ..kept import KeptOutput, KeptRun
from ..values.facts import Fact, Left
from ..words import STREAMS, Stream
from .coloured import Line, Part, cut, last_plain_lines, visible
from .document import COLUMN_LIMIT, Block, Document, Note, Table, Text
from .facts import facts_of_run, value_in_words
from .forms import Output
from .in_words import reason_in_words
from .run_page import head

CODE_LINES = 400
"""Lines of the difference of two codes that are shown, the first ones."""

OUTPUT_LINES = 60
"""Lines of the difference of two outputs that are shown, the last ones."""

COMPARED_LINES = 200
"""Lines at the end of an output that are compared."""

CONTEXT = 3
"""Equal lines that are shown around what differs."""

SAME_CHARACTERS = 10
"""Equal characters that are shown before the difference of two long values."""

STEPS = 3_000_000
"""Comparisons of lines after which no more equal ones are looked for: less than a second."""

_COMPARED = ("language", "folder", "time limit", "connection", "version")
"""The facts of both runs that are compared as they are."""

_MISSING = "—"

_Row = tuple[str, str, str]


class Differences(Document):
    """In what run `b` differs from run `a`: what was launched, where, with what, how it went, and what it left.

    `displays` are those of both, and `now` is the moment to which states that may have changed are compared.
    """

    def __init__(
        self,
        a: KeptRun,
        b: KeptRun,
        outputs_a: Mapping[Stream, KeptOutput],
        outputs_b: Mapping[Stream, KeptOutput],
        *,
        displays: tuple[Sequence[Output], Sequence[Output]] = ((), ()),
        now: datetime | None = None,
    ) -> None:
        texts = _Texts()
        texts.compare("code", a.code, b.code, _code_difference)
        for stream in STREAMS:
            one, other = _written(outputs_a, stream), _written(outputs_b, stream)
            texts.compare(stream, one, other, partial(_output_difference, stream))
        facts, same_facts = _facts(a, b)
        cells = {"values in": _compared(a.values_in, b.values_in)}
        if a.left and b.left:
            cells["values out"] = _compared(_left(a.left), _left(b.left))
        values = [
            *_values("parameters", _params_in_words(a), _params_in_words(b)),
            *_values("tags", a.tags, b.tags),
            *(block for title, words in cells.items() for block in _values(title, *words)),
        ]
        same_values = [title for title, (one, other) in cells.items() if one and one == other]
        same = [*texts.same, *same_values, *same_facts]
        now = now or datetime.now(UTC)
        super().__init__(
            [
                head(a, now, "A"),
                head(b, now, "B"),
                *_table([*facts, *_displays(*displays), *_times(a, b)]),
                *values,
                *texts.differing,
                *_notes(bool(facts or values or texts.differing or _displays(*displays)), same, texts.unknown),
            ]
        )


def _table(rows: list[_Row], title: str = "", note: str = "") -> list[Block]:
    return [Table(("", "A", "B"), rows, title, note)] if rows else []


def _notes(do_differ: bool, same: list[str], unknown: list[str]) -> Iterator[Note]:
    if not do_differ:
        yield Note(f"{'as far as is known, ' if unknown else ''}the runs do not differ, but for their times")
    elif same:
        yield Note(f"the same: {', '.join(same)}")
    if unknown:
        yield Note(f"not known: {', '.join(unknown)}")


# ---------------------------------------------------------------- facts, parameters, tags


def _facts(a: KeptRun, b: KeptRun) -> tuple[list[_Row], list[str]]:
    """The facts that differ, and the names of those that both runs have and that are the same."""
    known_a, known_b = dict(facts_of_run(a)), dict(facts_of_run(b))
    facts = [
        ("name", a.name, b.name),
        ("state", _state(a), _state(b)),
        *((label, known_a.get(label), known_b.get(label)) for label in _COMPARED),
        ("environment", _others(a.env_names, b.env_names), _others(b.env_names, a.env_names)),
    ]
    rows = [_row(label, one, other) for label, one, other in facts if one != other]
    return rows, [label for label, one, other in facts if one is not None and one == other]


def _state(run: KeptRun) -> str:
    """How it ended, or that it has not, without times."""
    return run.status + reason_in_words(run.status, run.exit_code, run.status_detail)


def _displays(one: Sequence[Output], other: Sequence[Output]) -> list[_Row]:
    """How many displays both have, and how many of them differ from the one at that place in the other."""
    pairs = zip(one, other, strict=False)
    differing = sum(a.get("data") != b.get("data") for a, b in pairs)
    if len(one) == len(other) and not differing:
        return []
    return [("displays", str(len(one)), f"{len(other)}, {differing} of them differ" if differing else str(len(other)))]


def _others(names: Sequence[str], without: Sequence[str]) -> str | None:
    return ", ".join(name for name in names if name not in without) or None


def _row(label: str, a: str | None, b: str | None) -> _Row:
    one, other = (_MISSING if text is None else text for text in (a, b))
    return label, _from_difference(one, other), _from_difference(other, one)


def _from_difference(text: str, other: str) -> str:
    """The text, without most of what is the same at its beginning where the difference could be out of sight."""
    if max(len(text), len(other)) <= COLUMN_LIMIT:
        return text
    same = _common(text, other)
    return f"…{text[same - SAME_CHARACTERS :]}" if same > 2 * SAME_CHARACTERS else text


def _times(a: KeptRun, b: KeptRun) -> list[_Row]:
    label = "running time"
    one, other = dict(facts_of_run(a)).get(label), dict(facts_of_run(b)).get(label)
    if one is None and other is None:
        return []
    change = _change(a.execution_time, b.execution_time) if a.process.ended and b.process.ended else ""
    return [(label, one or _MISSING, (other or _MISSING) + change)]


def _change(before: float | None, after: float | None) -> str:
    """`: 6 s longer, 3.0 times as long`, or nothing where that is not known."""
    if before is None or after is None:
        return ""
    if format_duration(before) == format_duration(after):
        return ": the same"
    change = f": {format_duration(abs(after - before))} {'longer' if after > before else 'shorter'}"
    if not before:
        return change
    ratio = after / before
    return f"{change}, {ratio:,.1f} times as long" if ratio > 1 else f"{change}, {ratio:.2g} times as long"


def _params_in_words(run: KeptRun) -> dict[str, str]:
    return {name: value_in_words(value) for name, value in run.params.items()}


def _values(title: str, a: Mapping[str, str], b: Mapping[str, str]) -> list[Block]:
    names = dict.fromkeys([*a, *b])
    rows = [_row(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)]
    equal = len(names) - len(rows)
    note = f"{equal} {'other is' if equal == 1 else 'others are'} the same" if equal else ""
    return _table(rows, title, note)


# ---------------------------------------------------------------- values of cells


def _compared(a: Sequence[Fact], b: Sequence[Fact]) -> tuple[dict[str, str], dict[str, str]]:
    """What the values of both are, in words that are the same where the values are."""
    ones = {fact.name: fact for fact in a}
    others = {fact.name: fact.in_words() + _difference_in_words(ones.get(fact.name), fact) for fact in b}
    return {name: fact.in_words() for name, fact in ones.items()}, others


def _difference_in_words(one: Fact | None, other: Fact) -> str:
    """What the words for both don't tell: that the content differs, or is not known to be the same."""
    if one is None or one.type != other.type or other.is_imported or other.refused:
        return ""
    if one.hash is None or other.hash is None:
        return ", not compared"
    return "" if one.hash == other.hash else ", other source" if other.is_defined else ", differs"


def _left(left: Left) -> list[Fact]:
    """The variables that were kept, and the last value."""
    result = [msgspec.structs.replace(left.result, name="(result)")] if left.result else []
    return [*left.values, *result]


# ---------------------------------------------------------------- texts


class _Texts:
    """The texts that differ, and the names of those that are the same, or of which that is not known."""

    def __init__(self) -> None:
        self.differing: list[Block] = []
        self.same: list[str] = []
        self.unknown: list[str] = []

    def compare(self, name: str, a: str | None, b: str | None, difference: Callable[[str, str], Block]) -> None:
        if a is None or b is None:
            self.unknown.append(f"{name} of {'both' if a == b else 'A' if a is None else 'B'}")
        elif a == b:
            self.same.append(name)
        else:
            self.differing.append(difference(a, b))


def _written(outputs: Mapping[Stream, KeptOutput], stream: Stream) -> str | None:
    return outputs[stream].text if stream in outputs else None


def _code_difference(a: str, b: str) -> Block:
    if a.endswith("\n") and b.endswith("\n"):
        a, b = a[:-1], b[:-1]
    lines, all_found = _difference(a.split("\n"), b.split("\n"), numbered=True)
    notes = [] if all_found else ["so long that not all that is the same was found"]
    if len(lines) > CODE_LINES:
        notes.append(f"{len(lines) - CODE_LINES:,} lines after these are not shown")
    return Text("code", "; ".join(notes), lines[:CODE_LINES], is_code=True)


def _output_difference(stream: Stream, a: str, b: str) -> Block:
    ends = [last_plain_lines(text, COMPARED_LINES) for text in (a, b)]
    lines, _ = _difference(*ends, numbered=False)
    if not lines:
        return Note(f"{stream} differs, but not in what is seen of its last {COMPARED_LINES} lines")
    notes = [f"of the last {COMPARED_LINES} lines"] if max(a.count("\n"), b.count("\n")) > COMPARED_LINES else []
    if len(lines) > OUTPUT_LINES:
        notes.append(f"{len(lines) - OUTPUT_LINES:,} lines before these are not shown")
    return Text(stream, "; ".join(notes), lines[-OUTPUT_LINES:])


def _difference(a: Sequence[str], b: Sequence[str], *, numbered: bool) -> tuple[list[Line], bool]:
    """The lines that differ, with some equal ones around them, and whether all was found that is equal.

    Above them stands where they are, in numbers of lines if these are `numbered`, or else that lines are left out.
    """
    start = max(0, _common(a, b) - CONTEXT)
    a, b = a[start:], b[start:]
    end = max(0, _common(a[::-1], b[::-1]) - CONTEXT)
    matcher = _Bounded(a[: len(a) - end], b[: len(b) - end])
    lines: list[Line] = []
    for group in matcher.get_grouped_opcodes(CONTEXT):
        (_, a_first, _, b_first, _), (_, _, a_last, _, b_last) = group[0], group[-1]
        place = f"@@ -{_span(start, a_first, a_last)} +{_span(start, b_first, b_last)} @@" if numbered else "⋯"
        if numbered or start + a_first > 0:
            lines.append([Part(place, "place")])
        for kind, a_from, a_to, b_from, b_to in group:
            if kind == "equal":
                lines += [_line(" ", text, "") for text in a[a_from:a_to]]
            else:
                lines += [_line("-", text, "removed") for text in a[a_from:a_to]]
                lines += [_line("+", text, "added") for text in b[b_from:b_to]]
    return lines, not matcher.gave_up


def _span(start: int, first: int, last: int) -> str:
    return f"{start + first + 1},{last - first}"


def _line(sign: str, text: str, look: str) -> Line:
    return [Part(sign + visible(cut(text)), look)]


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """How many items at the beginning are the same."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(a), len(b)))


class _Bounded(SequenceMatcher[str]):
    """Stops after `STEPS` to look for what is equal: what is left then counts as different.

    Otherwise texts with many lines that come up again and again take hours.
    """

    def __init__(self, a: Sequence[str], b: Sequence[str]) -> None:
        super().__init__(None, a, b)
        self.gave_up = False
        self._steps = 0
        places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]  # documented, but not in typeshed
        self._costs = list(accumulate((1 + len(places.get(line, ())) for line in a), initial=0))

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        """The longest match in that part of both, or an empty one."""
        self._steps += self._costs[len(self._costs) - 1 if ahi is None else ahi] - self._costs[alo]
        if self._steps > STEPS:
            self.gave_up = True
            return Match(alo, blo, 0)
        return super().find_longest_match(alo, ahi, blo, bhi)
