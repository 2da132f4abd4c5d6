"""What a page of the live table or with lines below cells asks of the kernel: one tagged struct an intent, in a union.

`request` is a number that the page chose, with which the kernel answers; `page` is the page's own random name.
A `slot` stands for one process of the table.
"""

from typing import Annotated, Any, Literal

import msgspec

from ..words import Stream

_Text = Annotated[str, msgspec.Meta(max_length=1000)]
_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Slots = Annotated[list[int], msgspec.Meta(max_length=100_000)]
_Streams = Annotated[list[Stream], msgspec.Meta(max_length=2)]
_Direction = Literal["before", "after"]


class _Intent(msgspec.Struct, kw_only=True, tag_field="do", tag=str.lower):
    page: _Text = ""
    request: int = 0


class Hello(_Intent):
    """A page is there and wants the whole state."""


class Bye(_Intent):
    """A page is going."""


class Ping(_Intent):
    """A page is still there."""


class Here(_Intent):
    """A page answers a call, and says how many messages have not reached its widgets."""

    call: int
    missed: Annotated[int, msgspec.Meta(ge=0)]


class View(_Intent):
    """How the page shows the table (sorting, filters, ...), to be given back to the next page."""

    view: dict[str, Any]


class Keep(_Intent):
    """Nobody is using the table at this moment, so what the notebook keeps of it can be renewed."""


class Static(_Intent):
    """Tell what the notebook is to keep of the table."""


class Selected(_Intent):
    """The rows that are selected."""

    slots: _Slots


class Grep(_Intent):
    """Tell in which rows' outputs a text is; what the page has asked for before is no longer wanted. "" is nothing."""

    text: _Text


class _OfProcess(_Intent):
    slot: int


class Kill(_OfProcess):
    """Kill a process."""


class Rerun(_OfProcess):
    """Launch the code of a process again."""


class Details(_OfProcess):
    """Tell all that is known of a process."""


class Open(_OfProcess):
    """Show the output of a process from now on, or its displays, or the curves of these ones."""

    streams: _Streams = []
    displays: bool = False
    curves: _Slots = []
    pinned: bool = False


class Show(_OfProcess):
    """Only these streams of an open process, or its displays, or these curves, can be seen from now on."""

    streams: _Streams
    displays: bool = False
    curves: _Slots = []


class More(_OfProcess):
    """Show earlier displays of a process, too."""


class Close(_OfProcess):
    """The output of a process is no longer shown."""


class _OfStream(_OfProcess):
    stream: Stream


class Follow(_OfStream):
    """Show the end of a stream, and what comes."""


class Hold(_OfStream):
    """Leave what is shown of a stream as it is, and only tell how large it gets."""


class Page(_OfStream):
    """More of a stream, before or after the byte at `offset`."""

    direction: _Direction
    offset: _Offset


class Find(_OfStream):
    """The nearest place of a text before or after a byte, by default from the end backwards."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    start: _Offset | None = msgspec.field(default=None, name="from")
    direction: _Direction = "before"


class Around(_OfStream):
    """The lines of a stream around the one with this number, from 0."""

    line: _Offset


class Chunk(_OfStream):
    """A part of a stream from the byte at `offset`, for a download."""

    offset: _Offset


class HeldLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line below a cell, as the page's notebook has it: of a run or of a whole sweep, which had `ended` or not."""

    line: _Text
    sweep: bool = False
    connection: _Text | None = None
    name: _Text | None = None
    ended: bool = False


class Holds(_Intent):
    """The page's notebook has these lines, which the page shows from now on as they are: tell them."""

    lines: Annotated[list[HeldLine], msgspec.Meta(max_length=100_000)]


class Stop(_Intent):
    """Kill the run of a line, or all runs of its sweep."""

    line: _Text


class Slots(_Intent):
    """Tell the slots of these runs, to show their outputs."""

    runs: Annotated[list[_Text], msgspec.Meta(max_length=1000)]


class Program(_Intent):
    """Tell the program by which a page shows output below a line, or charts."""

    name: Literal["viewers", "charts"] = "viewers"


Deed = Kill | Rerun | Details | Chunk | Grep
"""The intents about processes for which its agent is asked, or the history."""

PaneIntent = Open | Show | More | Close | Follow | Hold | Page | Find | Around
"""The intents about output that is shown, which are carried out in their order."""

Intent = (
    Hello | Bye | Ping | Here | View | Keep | Static | Selected | Holds | Stop | Slots | Program | Deed | PaneIntent
)


def read_intent(content: object) -> Intent:
    """The intent in a message of a page. Raises ValueError for what is none."""
    intent: Intent = msgspec.convert(content, type=Intent)
    return intent
