"""Text as a terminal keeps it: one character for each column."""

import re

FILLER = "\x00"
"""The second column of a wide character. Text of the output holds no control characters."""

_MARKED = "\x01"  # stands before what has no column of its own, until it has joined the character before it
_FIRST, _LAST = 0x100000, 0x10FFFD
_MOST_MARKS = 16
_REPLACED = "\ufffd"

NARROW = re.compile(
    "[\n -\x7e\xa1-\xac\xae-\u02ff\u0370-\u0373\u0384-\u038a\u03a3-\u0482\u2010-\u2027\u2190-\u2319\u2500-\u25fc"
    "\u2713-\u2718\u2800-\u28ff]*"
)
"""Letters, frames and blocks that have one column each: what is looked at first, as nearly all text is that."""

_MARKS = rf"(?:{_MARKED}[^\n{_MARKED}])"
_LEADING = re.compile(rf"{_MARKS}+")
_CLUSTER = re.compile(rf"([^\n{FILLER}{_MARKED}])({FILLER}?)({_MARKS}+)")
_HANDLE = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")


class _Spaced(dict[int, str]):
    """What `str.translate` makes of each character, found out when it first comes."""

    def __missing__(self, code: int) -> str:
        from wcwidth import wcwidth  # takes a while, and most output has no use for it

        char = chr(code)
        width = wcwidth(char)
        if code >= _FIRST:
            spaced = _REPLACED  # of private use, and used here
        elif width == 0 and char != "\n":
            spaced = _MARKED + char
        else:
            spaced = char + FILLER if width == 2 else char
        self[code] = spaced
        return spaced


_SPACED = _Spaced()


class Cells:
    """Puts text into cells and back. A character with its combining ones is kept under a private character."""

    def __init__(self) -> None:
        self._clusters: list[str] = []
        self._handles: dict[str, str] = {}

    def split(self, text: str) -> tuple[str, str]:
        """What joins the character before `text`, and `text` in cells."""
        if text.isascii() or NARROW.fullmatch(text):
            return "", text
        cells = text.translate(_SPACED)
        if _MARKED not in cells:
            return "", cells
        leading = _LEADING.match(cells)
        start = leading.end() if leading else 0
        cells = _CLUSTER.sub(lambda found: self._handle(found[1] + _marks(found[3])) + found[2], cells[start:])
        return _marks(leading[0]) if leading else "", _LEADING.sub("", cells)

    def joined(self, cell: str, marks: str) -> str:
        """A cell of a row with more combining characters."""
        return self._handle(self.text(cell) + marks)

    def text(self, cells: str) -> str:
        """The text that cells show."""
        if cells.isascii():
            return cells
        if self._clusters:
            cells = _HANDLE.sub(lambda found: self._clusters[ord(found[0]) - _FIRST], cells)
        return cells.replace(FILLER, "")

    def _handle(self, cluster: str) -> str:
        cluster = cluster[: _MOST_MARKS + 1]
        if cluster not in self._handles:
            if len(self._clusters) > _LAST - _FIRST:
                return cluster[0]
            self._handles[cluster] = chr(_FIRST + len(self._clusters))
            self._clusters.append(cluster)
        return self._handles[cluster]


def _marks(marked: str) -> str:
    return marked.replace(_MARKED, "")


def between(row: str, start: int, stop: int | None = None) -> str:
    """The cells from `start` up to but without `stop`. Half a wide character is a blank."""
    part = row[start:stop]
    if row.isascii():
        return part
    if part.startswith(FILLER):
        part = f" {part[1:]}"
    if part and stop is not None and row[stop : stop + 1] == FILLER:
        part = f"{part[:-1]} "
    return part
