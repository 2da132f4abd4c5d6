"""Code and output as lines of coloured parts. What they hold is shown as it is: nothing acts, and nothing hides."""

import re
import time
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ..output import CUT, PLAIN, Style, as_plain, as_shown
from ..output.style import styled
from ..words import LANGUAGE_ALIASES, LANGUAGES

LINE_LIMIT = 2000
"""Characters of a line that are shown."""

CODE_LIMIT = 2000
"""Lines of code that are shown."""

COLOURED_LIMIT = 50_000
"""Characters of code beyond which it is shown without colours."""

COLOURED_WITHIN = 1.0
"""Seconds after which code is shown without colours: some texts take a lexer minutes."""

OUTPUT_LIMIT = 1_000_000
"""Characters at the end of an output that are looked at."""


class Part(NamedTuple):
    """A run of text in one look: a name that `document` knows, such as `keyword`, or what a program has chosen."""

    text: str
    look: str | Style = ""


Line = list[Part]

_SGR = re.compile(r"(\x1b\[[0-9;:]*m)")

_LOOKS = {
    "Keyword": "keyword",
    "Operator.Word": "keyword",
    "Operator": "operator",
    "Literal.String": "string",
    "Literal.Number": "number",
    "Comment": "comment",
    "Name.Builtin": "builtin",
    "Name.Exception": "builtin",
    "Name.Function": "def",
    "Name.Class": "def",
    "Name.Decorator": "meta",
}
"""For kinds of pygments' tokens their looks, which hold for what is below them, too."""


class _Symbols(dict[int, str]):
    """For characters what is shown in their place. It fills itself with those that come up."""

    def __missing__(self, code: int) -> str:
        self[code] = symbol = _symbol(chr(code))
        return symbol


def _symbol(char: str) -> str:
    kind = unicodedata.category(char)
    if char in "\n\t" or char in _JOINERS:
        return char
    if char < " ":
        return chr(0x2400 + ord(char))
    if kind in ("Cc", "Cs"):
        return "␡" if char == "\x7f" else "\ufffd"
    return f"[U+{ord(char):04X}]" if kind in ("Cf", "Zl", "Zp") else char


_JOINERS = "\u200c\u200d"  # emoji and several scripts need them
_SYMBOLS = _Symbols()


def visible(text: str) -> str:
    """The text with symbols in place of what a terminal or a page would obey, or not show: `␛`, `[U+202E]`."""
    return text if text.isascii() and text.isprintable() else text.translate(_SYMBOLS)


def cut(line: str) -> str:
    """The line, or its beginning and a mark."""
    return line if len(line) <= LINE_LIMIT else line[:LINE_LIMIT] + CUT


# ---------------------------------------------------------------- code


def code_lines(code: str, language: str | None) -> tuple[list[Line], int]:
    """The lines of code in colours, as far as they are shown, and how many are not."""
    texts = code.replace("\r\n", "\n").removesuffix("\n").split("\n")
    shown = [visible(cut(text)) for text in texts[:CODE_LIMIT]]
    return _coloured("\n".join(shown), language) or [[Part(text)] for text in shown], len(texts) - len(shown)


def _coloured(code: str, language: str | None) -> list[Line] | None:
    """None where there are no colours for it."""
    known = LANGUAGE_ALIASES.get(language or "", language)
    if known not in LANGUAGES or len(code) > COLOURED_LIMIT:
        return None
    from pygments import lex  # type: ignore[import-untyped]
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

    deadline = time.monotonic() + COLOURED_WITHIN
    lines: list[Line] = [[]]
    for kind, text in lex(code, get_lexer_by_name(known, stripnl=False, ensurenl=False)):
        if time.monotonic() > deadline:
            return None
        first, *others = text.split("\n")
        _add(lines[-1], first, _look(tuple(kind)))
        for other in others:
            lines.append([])
            _add(lines[-1], other, _look(tuple(kind)))
    return lines


def _add(line: Line, text: str, look: str) -> None:
    if line and line[-1].look == look:
        line[-1] = Part(line[-1].text + text, look)
    elif text:
        line.append(Part(text, look))


@lru_cache
def _look(kind: tuple[str, ...]) -> str:
    names = (".".join(kind[:length]) for length in range(len(kind), 0, -1))
    return next((_LOOKS[name] for name in names if name in _LOOKS), "")


# ---------------------------------------------------------------- output


def output_lines(output: str, count: int) -> tuple[list[Line], int]:
    """The last `count` lines as a terminal would show them, in their colours, and how many lines are before them."""
    lines = as_shown(output[-OUTPUT_LIMIT:]).rstrip().split("\n")
    unread = output.count("\n", 0, max(0, len(output) - OUTPUT_LIMIT))
    return [_cut_line(_styled(line)) for line in lines[-count:]], unread + max(0, len(lines) - count)


def last_plain_lines(output: str, count: int) -> list[str]:
    """The last `count` lines as a terminal would show them, without colours."""
    return as_plain(output[-OUTPUT_LIMIT:]).rstrip().split("\n")[-count:]


def _styled(line: str) -> Iterator[Part]:
    style = PLAIN
    for piece in _SGR.split(line):
        if piece.startswith("\x1b"):
            style = styled(style, piece)
        elif piece:
            yield Part(piece, style)


def _cut_line(parts: Iterator[Part]) -> Line:
    line, room = [], LINE_LIMIT
    for text, look in parts:
        line.append(Part(visible(text[:room]), look))
        room -= len(text)
        if room < 0:
            return [*line, Part(CUT)]
    return line
