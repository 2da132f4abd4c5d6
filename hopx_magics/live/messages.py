"""What the kernel tells the pages of the live table and of the lines below cells: one tagged struct a kind, in a union.

`page/messages.js` says the same of the page's side, and of the intents that go the other way. Moments are in seconds
since 1970 by the kernel's clock, sizes and offsets in bytes. A `slot` stands for one process of the table.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from ..errors import HopxError
from ..output.screen import Line
from ..words import KillResult, Status, Stream

_log = logging.getLogger(__name__)


class ConnectionState(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh the rows of one connection are: `updated` by its last answer, and silent `since` when, why.

    `listed` is how many processes its agent has, None before it has answered. `interval` is in seconds; `ends` is when
    the connection's sandbox does.
    """

    name: str
    state: Literal["connecting", "live", "polling", "silent"]
    updated: float | None
    since: float | None
    error: str | None
    listed: int | None
    interval: float
    ends: float | None


class Initial(msgspec.Struct, frozen=True, kw_only=True):
    """How a table begins, before anybody has changed anything: `-column` is downwards.

    `filters` say which processes it shows, as words of `%hopx_watch`. `columns` are those that were asked for, and
    `chosen` those that were shown or hidden by hand in an earlier table.
    """

    sort: str | None
    group: str | None
    filters: str
    columns: list[str] | None
    chosen: dict[str, bool] | None


class OpenViewer(msgspec.Struct, frozen=True, kw_only=True):
    """A process that is opened: by which streams, or by its displays, or by its metrics."""

    slot: int
    streams: list[Stream]
    displays: bool
    metrics: bool
    pinned: bool


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown of a `line` below a cell: two parts of HTML, and the same as text.

    What is None is as it was, or as the notebook has it. `slot` is that of its run where there is output to be asked
    for. What `ended` will not change any more.
    """

    line: str
    slot: int | None
    status: Status
    ended: bool
    head: str | None = None
    below: str | None = None
    text: str | None = None


# ---------------------------------------------------------------- parts of a stream


class _Part(msgspec.Struct, kw_only=True, tag_field="mode"):
    size: int
    ended: bool


class Anew(_Part, tag="reset"):
    """All that is to be seen: lines from the number `first` on, of the bytes `begin` to `end`.

    `following` says that what comes next will be told; `match` is the number of the line that was looked for.
    """

    lines: list[Line]
    first: int
    begin: int
    end: int
    following: bool
    match: int | None


class Grown(_Part, tag="grow"):
    """From the number `first` on the lines are these now; `drop` of the oldest are forgotten."""

    lines: list[Line]
    first: int
    drop: int
    begin: int
    end: int


class Sized(_Part, tag="size"):
    """Only how large the stream is by now: the page shows another part of it."""


class Earlier(_Part, tag="before"):
    """The lines before those that are shown, from the byte `begin` on."""

    lines: list[Line]
    begin: int


class Later(_Part, tag="after"):
    """The lines behind those that are shown, up to the byte `end`."""

    lines: list[Line]
    end: int


Part = Anew | Grown | Sized | Earlier | Later

# ---------------------------------------------------------------- displays


class _Form(msgspec.Struct, kw_only=True, tag_field="form"):
    pass


class TextForm(_Form, tag="text"):
    """Lines of text."""

    lines: list[Line]


class PictureForm(_Form, tag="picture"):
    """A picture: its address holds all of it. Sizes are in pixels."""

    address: str
    width: int | None
    height: int | None


class MarkupForm(_Form, tag="markup"):
    """HTML that is nothing but text in tables, lists and paragraphs."""

    html: str


class FrameForm(_Form, tag="frame"):
    """A document for a frame that reaches nothing of the page, and about how many pixels high that is to be."""

    document: str
    height: int
    scripts: bool


Form = TextForm | PictureForm | MarkupForm | FrameForm

# ---------------------------------------------------------------- curves


class CurvePart(msgspec.Struct, frozen=True, kw_only=True):
    """What is new of a curve: `count` values of the message's buffer behind the first `first`; if that is 0, all anew.

    Of these the first `head` are two for each `every` that were printed, the least and the largest. `total` is how many
    were printed until now; `knots` say after how many seconds some were: a number of a value, from 1, and seconds.
    """

    name: str
    first: int
    every: int
    head: int
    count: int
    total: int
    knots: list[tuple[int, float]]


class CurvesOfRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is new of the curves of one `run`.

    `unread` bytes are still to be read, and `skipped` ones never are. `cut` says that there are more metrics than are
    told; since `seen` seconds of the run its output was seen to grow. A `note` says why there is nothing to see.
    """

    run: int
    note: str | None
    unread: int
    skipped: int
    cut: bool
    seen: float | None
    parts: list[CurvePart]


# ---------------------------------------------------------------- answers to intents


class KillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the process that was to be killed."""

    result: KillResult


class RerunAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The id of the process that was launched."""

    launched: str


class DetailsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a process, as labels and texts, and its code."""

    fields: list[tuple[str, str]]
    code: str | None
    language: str | None


class FindAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a text was found, in the line of which number, and how many bytes were looked through."""

    found: bool
    line: int | None
    scanned: int


class FoundLine(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of a row's output in which a text was found."""

    slot: int
    stream: Stream
    line: str


class GrepAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """In which rows' outputs a text is, one line each, and whether all were looked through."""

    found: list[FoundLine]
    whole: bool


class SlotsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The slot of each run that was asked for; None of one whose output no agent has."""

    slots: list[int | None]


class ChunkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Of a download: the bytes from `offset` on are in the message's one buffer, deflated. `size` is the stream's."""

    offset: int
    size: int
    last: bool


class StaticAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a notebook is to keep of the table is in the message's one buffer, a deflated mimebundle.

    It belongs beside the view of the widget `model`.
    """

    model: str


Answer = KillAnswer | RerunAnswer | DetailsAnswer | FindAnswer | GrepAnswer | SlotsAnswer | ChunkAnswer | StaticAnswer

# ---------------------------------------------------------------- messages


class _Message(msgspec.Struct, kw_only=True, tag_field="kind", tag=str.lower):
    pass


class Reset(_Message):
    """Everything anew, for the page `to`: all `count` rows, packed, in the message's one buffer.

    `view` is what the last page wanted to be kept.
    """

    to: str
    count: int
    view: dict[str, Any] | None
    initial: Initial
    notify: bool
    open: list[OpenViewer]
    connections: list[str]


class Changes(_Message):
    """The changed fields of rows, all fields of new ones, and the slots that are gone.

    The rows are in the message's one buffer: see `packed_changes`.
    """

    gone: list[int]


def packed_changes(rows: Mapping[int, Mapping[str, Any]]) -> bytes:
    """Fields of rows, by their slots, as JSON.

    Rows of which the same fields are told are told together, as one list a field: the first is `slot`. So are rows with
    the same names of parameters, tags and metrics: a list a name. Of a metric a point that came alone is in no list.
    """
    alike: dict[tuple[object, ...], dict[int, Mapping[str, Any]]] = {}
    for slot, fields in rows.items():
        alike.setdefault(_names_in(fields), {})[slot] = fields
    together = [{"slot": list(same), **_by_name(list(same.values()))} for same in alike.values()]
    for named in together:
        if "metrics" in named:
            named["metrics"] = {name: list(map(_bare, points)) for name, points in named["metrics"].items()}
    return msgspec.json.encode(together)


def _names_in(fields: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple((name, *value) if isinstance(value, dict) else name for name, value in fields.items())


def _by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A list for each of the names that all these have, of what each has."""
    named: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    return named | {name: _by_name(values) for name, values in named.items() if isinstance(values[0], dict)}


def _bare(points: list[float | str]) -> object:
    return points[0] if len(points) == 1 else points


class Freshness(_Message):
    """How fresh the rows are, and whether the table was closed."""

    connections: list[ConnectionState]
    closed: bool


class Beat(_Message):
    """The kernel lives."""


class Pong(_Message):
    """The kernel lives, and has heard this page."""

    page: str


class Call(_Message):
    """The kernel calls all pages: those that are there answer with this number."""

    call: int


class Accepted(_Message):
    """What a page asked for is being done."""

    request: int


class Done(_Message):
    """What a page asked for is done, or not: then `error` says why."""

    request: int
    error: str | None = None
    answer: Answer | None = None


class Output(_Message):
    """What is new of a stream that the page `to` shows, or in a `note` why there is nothing to see."""

    to: str
    slot: int
    stream: Stream
    note: str | None
    part: Part


class Displays(_Message):
    """Displays of a process that are new, or changed, by their numbers, for the page `to`.

    Those before the number `first` are gone, or not shown: of these there are `earlier` ones. A `note` says why there
    is nothing to see.
    """

    to: str
    slot: int
    note: str | None
    first: int
    earlier: int
    ended: bool
    shown: list[tuple[int, Form]]


class Curves(_Message):
    """What is new of curves, for the viewer of `slot` in the page `to`: 32-bit numbers in a buffer, in this order."""

    to: str
    slot: int
    runs: list[CurvesOfRun]


class Lines(_Message):
    """How lines below cells are now: for the page `to`, or for all."""

    to: str | None
    lines: list[LineState]


Message = Reset | Changes | Freshness | Beat | Pong | Call | Accepted | Done | Output | Displays | Curves | Lines


def attempted(request: int, do: Callable[[], Answer | None]) -> Done:
    """What a page is told after `do` was called: its answer, or why it could not be done, whatever has happened."""
    try:
        return Done(request=request, answer=do())
    except Exception as failure:  # the page waits for an answer, and the next intent must find the thread alive
        return Done(request=request, error=_reason(failure))


def _reason(failure: Exception) -> str:
    if isinstance(failure, HopxError):
        return str(failure)
    if isinstance(failure, LookupError):
        return "this process is no longer listed"
    _log.exception("what a page asked for failed")
    return f"{type(failure).__name__}: {failure}"
