"""What is told of runs on a page of their own: as text, in a terminal's colours, and as HTML.

A document is a sequence of blocks. All that is shown passes through here, and is made harmless here.
"""

import html
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..output.oneline import printable
from ..output.style import PLAIN, Color, Style, sgr
from ..words import Status
from .cell_output import outputs_as_html, outputs_as_text
from .coloured import Line, Part, visible
from .forms import Output
from .in_words import COLOURS, ICONS, ink


class Head(NamedTuple):
    """The line about one run: its state in words, its name, and its id and place. `label` tells runs apart."""

    status: Status
    state: str
    name: str | None
    place: str
    label: str = ""


class Facts(NamedTuple):
    """What a run is and has, as labels and values."""

    rows: Sequence[tuple[str, str]]
    title: str = ""


class Table(NamedTuple):
    """Rows of texts below their columns. The first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""


class Text(NamedTuple):
    """Lines of code, or of output, whose end counts most and whose long lines may be broken."""

    title: str
    note: str
    lines: Sequence[Line]
    is_code: bool = False


class Shows(NamedTuple):
    """What a cell has shown, in its order: lines of its streams, and outputs in a notebook's form."""

    title: str
    parts: Sequence[Text | Output]


class Note(NamedTuple):
    """A sentence."""

    text: str


Block = Head | Facts | Table | Text | Shows | Note


class Document:
    """Blocks that show themselves, from top to bottom: as text, and as HTML in a notebook. The repr is the text."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = tuple(blocks)

    def as_terminal(self) -> str:
        """The text with the colours of a terminal."""
        return _text(self._blocks, _painted)

    def __repr__(self) -> str:
        return _text(self._blocks, lambda part: part.text)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._as_html()}

    def _as_html(self) -> str:
        """HTML that needs no scripts and no style sheet, and can also be read without its styles."""
        return f'<div class="hopx-document" style="max-width:72em">{"".join(map(_html, self._blocks))}</div>'


CELL_LIMIT = 300
"""Characters of a value that are shown."""

LABEL_LIMIT = 60
"""Characters of the name of a parameter or a tag that are shown."""

COLUMN_LIMIT = 60
"""Characters of a table's cell in a text, where columns have a width."""

# ---------------------------------------------------------------- text

_TERMINAL: dict[str, Style] = {
    "keyword": Style(fg=2, bold=True),
    "operator": Style(fg=5),
    "string": Style(fg=1),
    "number": Style(fg=6),
    "comment": Style(fg=6, italic=True),
    "builtin": Style(fg=2),
    "def": Style(fg=4),
    "meta": Style(fg=5),
    "added": Style(fg=2),
    "removed": Style(fg=1),
    "place": Style(fg=6),
    "strong": Style(bold=True),
    "weak": Style(dim=True),
    "queued": Style(dim=True),
    "running": Style(fg=4, bold=True),
    "completed": Style(fg=2, bold=True),
    "failed": Style(fg=1, bold=True),
    "killed": Style(fg=3, bold=True),
    "unknown": Style(dim=True),
}


def _painted(part: Part) -> str:
    begin = sgr(part.look if isinstance(part.look, Style) else _TERMINAL.get(part.look, PLAIN))
    return f"{begin}{part.text}\x1b[0m" if begin and part.text else part.text


def _text(blocks: Iterable[Block], paint: Callable[[Part], str]) -> str:
    texts: list[str] = []
    for block in blocks:
        lines = "\n".join("".join(map(paint, line)).rstrip(" ") for line in _lines(block))
        follows_head = isinstance(block, Head) and texts
        texts.append(f"{texts.pop()}\n{lines}" if follows_head else lines)
    return "\n\n".join(texts)


def _lines(block: Block) -> list[Line]:
    match block:
        case Head():
            return [_head_line(block)]
        case Facts():
            rows = [(_cell(label, LABEL_LIMIT), _cell(value)) for label, value in block.rows]
            width = max(len(label) for label, _ in rows) + 2
            return [*_title(block.title), *([Part(label.ljust(width), "weak"), Part(value)] for label, value in rows)]
        case Table():
            return [*_title(block.title, block.note), *_columns([block.columns, *block.rows])]
        case Text():
            return [*_title(block.title, block.note), *block.lines]
        case Shows():
            return [*_title(block.title), *(line for part in block.parts for line in _lines_shown(part))]
        case Note():
            return [[Part(visible(block.text))]]


def _lines_shown(part: Text | Output) -> Sequence[Line]:
    if isinstance(part, Text):
        return [*([[Part(f"[{part.note}]", "weak")]] if part.note else []), *part.lines]
    return [[Part(visible(line))] for line in outputs_as_text([part]).split("\n")]


def _head_line(head: Head) -> Line:
    return [
        Part(f"{head.label}  " if head.label else "", "strong"),
        Part(f"{ICONS[head.status]} {visible(head.state)}", head.status),
        Part(f"  {_title_of(head)}", "strong"),
        Part(f"  {visible(head.place)}", "weak"),
    ]


def _title_of(head: Head) -> str:
    return printable(head.name or "", LABEL_LIMIT) or "unnamed"


def _title(title: str, note: str = "") -> list[Line]:
    rest = f", {note}" if note else ""
    return [[Part("── "), Part(title, "strong"), Part(f"{rest} ──", "weak")]] if title else []


def _columns(rows: Sequence[Sequence[str]]) -> list[Line]:
    cells = [[_cell(text, COLUMN_LIMIT) for text in row] for row in rows]
    widths = [max(map(len, column)) + 2 for column in zip(*cells, strict=True)]
    widths[-1] = 0
    return [
        [
            Part(text.ljust(width), "weak" if column == 0 or number == 0 else "")
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for number, row in enumerate(cells)
    ]


def _cell(text: str, limit: int = CELL_LIMIT) -> str:
    """The text on one line, exactly as it is but for its end where it is too long."""
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return visible(shown).replace("\n", "␊").replace("\t", "␉")


# ---------------------------------------------------------------- HTML

# JupyterLab's own colours follow its theme; the second ones can be read on white and on black.
_HTML: dict[str, str] = {
    "keyword": "color:var(--jp-mirror-editor-keyword-color,#2b8a3e);font-weight:bold",
    "operator": "color:var(--jp-mirror-editor-operator-color,#a05ad8)",
    "string": "color:var(--jp-mirror-editor-string-color,#d84343)",
    "number": "color:var(--jp-mirror-editor-number-color,#1f8a6d)",
    "comment": "color:var(--jp-mirror-editor-comment-color,#5a8080);font-style:italic",
    "builtin": "color:var(--jp-mirror-editor-builtin-color,#2b8a3e)",
    "def": "color:var(--jp-mirror-editor-def-color,#2f7fd8)",
    "meta": "color:var(--jp-mirror-editor-operator-color,#a05ad8)",
    # as wide as the box, or as the line where that is longer
    "added": "display:inline-block;min-width:100%;background:rgba(46,160,67,.2)",
    "removed": "display:inline-block;min-width:100%;background:rgba(248,81,73,.2)",
    "place": "color:var(--jp-mirror-editor-comment-color,#5a8080)",
}

_INKS = (
    ink("var(--jp-error-color1,#d84343)"),
    ink("var(--jp-success-color1,#2b8a3e)"),
    ink("#96751a"),
    ink("var(--jp-mirror-editor-def-color,#2f7fd8)"),
    ink("var(--jp-mirror-editor-operator-color,#a05ad8)"),
    ink("var(--jp-info-color1,#1d8791)"),
)
"""The colours 1 to 6 of terminals, and 9 to 14. Black, white and the greys are left to the page: it has its own."""

_PAPERS = ("#3e424d", "#d84343", "#2b8a3e", "#96751a", "#2f7fd8", "#b650b0", "#1d8791", "#c5c1b4")
"""The same, and black and white, as backgrounds, or on one."""

_LINE = "var(--jp-border-color2,rgba(128,128,128,.35))"
_SMALL = "var(--jp-ui-font-size1,13px)"
_GAP = "margin-right:6px"
_WEAK = "opacity:.75;font-weight:normal"
_CODE = "font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)"
_CELL = "text-align:left;vertical-align:top;padding:2px 0;white-space:pre-wrap"
_ROW = "padding:0;background:none"
_PRE = (
    f"{_CODE};line-height:1.35;tab-size:4;margin:4px 0 0;padding:6px 10px;max-height:40em;overflow:auto;"
    f"background:var(--jp-cell-editor-background,rgba(128,128,128,.08));border:1px solid {_LINE};border-radius:2px"
)
_SCROLLED_TO_ITS_END = "display:flex;flex-direction:column-reverse"
_WRAPPED = "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"


def _html(block: Block) -> str:
    match block:
        case Head():
            return _html_head(block)
        case Facts():
            return _html_section(block.title, "", _html_facts(block))
        case Table():
            return _html_section(block.title, block.note, _html_table(block))
        case Text():
            return _html_section(block.title, block.note, _html_lines(block))
        case Shows():
            return _html_section(block.title, "", "".join(map(_html_shown, block.parts)))
        case Note():
            return f'<div style="margin:8px 0">{_escaped(block.text)}</div>'


def _html_head(head: Head) -> str:
    label = f'<b style="{_GAP}">{_escaped(head.label)}</b> ' if head.label else ""
    return (
        f'<div style="margin:2px 0">{label}<span style="{_GAP};color:{COLOURS[head.status]};font-weight:600">'
        f'{ICONS[head.status]} {_escaped(head.state)}</span> <b style="{_GAP}">{html.escape(_title_of(head))}</b> '
        f'<span style="{_WEAK};{_CODE};overflow-wrap:anywhere">{_escaped(head.place)}</span></div>'
    )


def _html_section(title: str, note: str, content: str) -> str:
    if not title:
        return f'<div style="margin:8px 0">{content}</div>'
    aside = f' <span style="{_WEAK}">{_escaped(note)}</span>' if note else ""
    summary = f'<summary style="cursor:pointer"><b style="{_GAP}">{_escaped(title)}</b>{aside}</summary>'
    return f'<details open style="margin:10px 0">{summary}{content}</details>'


def _html_facts(facts: Facts) -> str:
    """A table that has as many columns of rows as there is room for."""
    rows = "".join(
        f'<tr style="{_ROW};display:flex;gap:10px;break-inside:avoid">'
        f'<th scope="row" style="{_CELL};{_WEAK};flex:0 0 7.5em;overflow-wrap:anywhere">{_html_label(label)}</th>'
        f'<td style="{_CELL};flex:1;min-width:0;overflow-wrap:anywhere">{html.escape(_cell(value))}</td></tr>'
        for label, value in facts.rows
    )
    columns = "display:block;columns:26em auto;column-gap:28px"
    table = f"display:block;margin:0;border:0;font-size:{_SMALL}"
    return f'<table style="{table}"><tbody style="{columns}">{rows}</tbody></table>'


def _html_table(table: Table) -> str:
    cell = f"{_CELL};padding:3px 24px 3px 0;border-top:1px solid {_LINE}"
    head = "".join(f'<th scope="col" style="{_CELL};{_WEAK}">{_escaped(text)}</th>' for text in table.columns)
    rows = "".join(
        f'<tr style="{_ROW}"><th scope="row" style="{cell};{_WEAK}">{_html_label(label)}</th>'
        + "".join(f'<td style="{cell};overflow-wrap:anywhere">{html.escape(_cell(text))}</td>' for text in texts)
        + "</tr>"
        for label, *texts in table.rows
    )
    style = f"margin:0;border:0;border-collapse:collapse;table-layout:auto;font-size:{_SMALL}"
    return (
        f'<table style="{style}"><thead style="border:0"><tr style="{_ROW}">{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _html_label(label: str) -> str:
    return html.escape(_cell(label, LABEL_LIMIT))


def _html_lines(text: Text) -> str:
    lines = "\n".join("".join(map(_html_part, line)) for line in text.lines)
    if text.is_code:
        return f'<pre style="{_PRE};white-space:pre">{lines}</pre>'
    return f'<pre style="{_PRE};{_SCROLLED_TO_ITS_END}"><span style="{_WRAPPED}">{lines}</span></pre>'


def _html_shown(part: Text | Output) -> str:
    if isinstance(part, Text):
        return (f'<div style="{_WEAK}">{_escaped(part.note)}</div>' if part.note else "") + _html_lines(part)
    return outputs_as_html([part])


def _html_part(part: Part) -> str:
    css = _css(part.look) if isinstance(part.look, Style) else _HTML.get(part.look, "")
    return f'<span style="{css}">{html.escape(part.text)}</span>' if css else html.escape(part.text)


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def _css(style: Style) -> str:
    """A style of a program's. A text on a background of its own has a colour that can be read on that."""
    rules = [_css_colours(*((style.bg, style.fg) if style.inverse else (style.fg, style.bg)))]
    if style.inverse and style.fg is None:
        rules = ["background:rgba(128,128,128,.35)"]
    rules += ["font-weight:bold"] if style.bold else []
    rules += ["opacity:.75"] if style.dim else []
    rules += ["font-style:italic"] if style.italic else []
    lines = [name for name, is_on in (("underline", style.underline), ("line-through", style.strike)) if is_on]
    rules += [f"text-decoration:{' '.join(lines)}"] if lines else []
    return ";".join(rule for rule in rules if rule)


def _css_colours(front: Color, paper: Color) -> str:
    if paper is not None:
        back = _rgb(paper)
        return f"background:{back};color:{_contrasting(back) if front is None else _rgb(front)}"
    if isinstance(front, int) and front < 16:
        return f"color:{_INKS[front % 8 - 1]}" if front % 8 in range(1, 7) else ""
    return "" if front is None else f"color:{_rgb(front)}"


def _rgb(colour: int | tuple[int, int, int]) -> str:
    if isinstance(colour, tuple):
        return f"#{bytes(colour).hex()}"
    if colour < 16:
        return _PAPERS[colour % 8]
    if colour >= 232:
        return f"#{bytes([8 + 10 * (colour - 232)] * 3).hex()}"
    levels, cell = (0, 95, 135, 175, 215, 255), colour - 16
    return f"#{bytes([levels[cell // 36], levels[cell // 6 % 6], levels[cell % 6]]).hex()}"


def _contrasting(colour: str) -> str:
    red, green, blue = bytes.fromhex(colour[1:])
    return "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#fff"
