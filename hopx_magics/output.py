"""What a terminal would show of a process's output. Pure.

Output is other people's bytes. Of its control sequences only colours and styles (SGR) reach a terminal or a page;
what moves the cursor is carried out here, and the rest (titles, clipboard, links, queries) is dropped.
"""

import re
from collections.abc import Iterator

TAB = 8
WIDTH_LIMIT = 100_000
"""A column beyond which cursor movements do not go: a line of blanks is no use to anybody."""

_TOKEN = re.compile(
    r"""
    (?P<text>[^\x00-\x1f\x7f-\x9f]+)
    | (?P<sgr>\x1b\[[\d;:]*m)
    | (?P<csi>(?:\x1b\[|\x9b)(?P<args>[\x30-\x3f]*)[\x20-\x2f]*(?P<final>[\x40-\x7e]))
    | (?P<string>(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|\Z))  # OSC, DCS, ...
    | (?P<escape>\x1b(?:[\x20-\x2f]*[\x30-\x7e])?)
    | (?P<control>[\x00-\x1f\x7f-\x9f])
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(r"\x1b(?:\[[\x30-\x3f]*[\x20-\x2f]*|[\]PX^_][^\x07\x1b\x9c]*\x1b?|[\x20-\x2f]*)\Z")
_LONGEST_SEQUENCE = 4096
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_RESET = "\x1b[0m"


def as_shown(text: str) -> str:
    """The lines that a terminal would show after `text`: overwritten parts are gone, colours are kept."""
    if not _CONTROL.search(text):
        return text
    return "\n".join(_Screen().feed(text).lines())


def as_plain(text: str) -> str:
    """Like `as_shown`, without colours and styles."""
    return re.sub(r"\x1b\[[\d;:]*m", "", as_shown(text))


def last_lines(text: str, count: int) -> str:
    """The last `count` lines of what is shown, without empty lines at the end."""
    lines = as_shown(text).rstrip().split("\n")
    return "\n".join(lines[-count:]) if count > 0 else ""


class StreamFilter:
    """Makes text that arrives in pieces safe to write to a terminal or a notebook's output as it comes.

    Line ends, carriage returns, backspaces, tabs and colours pass; so do sequences that erase a line or move up and
    down in it, as nested progress bars use them. A sequence that is cut between two pieces waits for the rest.
    """

    _PASSES = frozenset("\n\r\b\t")

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of what has come so far that can be written now."""
        text = self._held + text
        unfinished = _UNFINISHED.search(text, max(0, len(text) - _LONGEST_SEQUENCE))
        cut = unfinished.start() if unfinished else len(text)
        text, self._held = text[:cut], text[cut:]
        if not _CONTROL.search(text):
            return text
        return "".join(self._passing(text))

    def _passing(self, text: str) -> Iterator[str]:
        for token in _TOKEN.finditer(text):
            kind = token.lastgroup
            if kind in ("text", "sgr") or token[0] in self._PASSES or (token["final"] or "") in ("A", "B", "K"):
                yield token[0]


class _Screen:
    """A terminal of unlimited width and height, as far as programs that log to it need one."""

    def __init__(self) -> None:
        self._rows: list[list[tuple[str, str]]] = [[]]  # of (character, style)
        self._row = 0
        self._column = 0
        self._style = ""

    def feed(self, text: str) -> "_Screen":
        for token in _TOKEN.finditer(text):
            if token["text"]:
                self._write(token["text"])
            elif token["sgr"]:
                self._set_style(token["sgr"])
            elif token["csi"]:
                self._move(token["final"], token["args"])
            elif token["control"]:
                self._control(token["control"])
        return self

    def lines(self) -> Iterator[str]:
        for row in self._rows:
            parts, style = [], ""
            for char, wanted in row:
                if wanted != style:
                    parts.append((_RESET if style else "") + wanted)
                    style = wanted
                parts.append(char)
            yield "".join(parts).rstrip(" ") + (_RESET if style else "")

    def _write(self, text: str) -> None:
        row = self._rows[self._row]
        row.extend([(" ", "")] * (self._column - len(row)))
        end = self._column + len(text)
        row[self._column : end] = [(char, self._style) for char in text]
        self._column = end

    def _set_style(self, sequence: str) -> None:
        if sequence in ("\x1b[m", "\x1b[0m"):
            self._style = ""
        elif len(self._style) < 200:
            self._style += sequence

    def _control(self, char: str) -> None:
        if char == "\n":
            self._row, self._column = self._row + 1, 0
            if self._row == len(self._rows):
                self._rows.append([])
        elif char == "\r":
            self._column = 0
        elif char == "\b":
            self._column = max(0, self._column - 1)
        elif char == "\t":
            self._column += TAB - self._column % TAB

    def _move(self, final: str, args: str) -> None:
        count = min(int(args), WIDTH_LIMIT) if args.isdecimal() else 0
        if final == "A":
            self._row = max(0, self._row - (count or 1))
        elif final == "B":
            self._row = min(len(self._rows) - 1, self._row + (count or 1))
        elif final == "C":
            self._column = min(WIDTH_LIMIT, self._column + (count or 1))
        elif final == "D":
            self._column = max(0, self._column - (count or 1))
        elif final == "G":
            self._column = max(0, min(count, WIDTH_LIMIT) - 1)
        elif final == "K":
            self._erase(count)

    def _erase(self, part: int) -> None:
        row = self._rows[self._row]
        if part == 0:
            del row[self._column :]
        elif part == 1:
            row[: self._column] = [(" ", "")] * min(self._column, len(row))
        elif part == 2:
            row.clear()


def printable(text: str, limit: int = 200) -> str:
    """`text` on one line, with nothing in it that a terminal or a page could take for a command."""
    line = "".join(char if char.isprintable() else " " for char in text[: 2 * limit])
    return " ".join(line.split())[:limit]
