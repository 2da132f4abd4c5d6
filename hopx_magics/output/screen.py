"""A terminal's memory of what was written to it."""

import re
from collections.abc import Iterator

from .cells import FILLER, Cells, between
from .sequences import Splitter
from .style import PLAIN, Style, sgr, styled, tokens

TAB = 8
WIDTH_LIMIT = 100_000
"""The columns of a row. What is written beyond them is not kept, and movements do not go there."""
CUT = "…[cut]"
"""Stands behind the last column of a row that was longer."""
HEIGHT = 50
"""Rows at the end that "top left" and "erase everything" mean: what has scrolled off a terminal stays."""
_RUNS_LIMIT = 400
"""Runs of one style in a row. More are no text: the last one takes the rest, so that no row costs much to change."""

Line = str | list[tuple[str, str]]
"""A row as shown: text, or runs of (text, style tokens) when it is styled."""

_Runs = list[tuple[str, Style]]
_CSI = re.compile(r"(?:\x1b\[|\x9b)([0-9;]*)([A-Za-z`])")
_RESET = "\x1b[0m"


class Screen:
    """A terminal of unlimited height, and of a width that no line of text reaches (`WIDTH_LIMIT`).

    It is fed piece by piece. Rows have absolute numbers, from `first` up to but without `count`, which stay valid: the
    row in which the next text goes is one of them, also while it is empty. `drop` forgets rows at the top.

    The cursor goes up as far as `first`. Top left (`CSI H`) and erasing everything (`CSI J`) mean the last `HEIGHT`
    rows, as the lines that scrolled off a terminal's window are out of a program's reach.
    """

    def __init__(self) -> None:
        self.first = 0
        self._rows: list[str | _Runs] = [""]  # text alone where nothing is styled
        self._row = 0  # after erasing, this may lie behind the last row
        self._column = 0
        self._top = 0  # of the window
        self._style = PLAIN
        self._tokens = Splitter()
        self._cells = Cells()
        self._changed: int | None = None

    @property
    def count(self) -> int:
        """The number after the last row's."""
        return self.first + len(self._rows)

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column where the next text goes."""
        return self._row, self._column

    def feed(self, text: str) -> None:
        """Shows `text`. A sequence that it begins and does not end waits for the rest."""
        if "\r\n" in text:
            text = text.replace("\r\n", "\n")
        for kind, chars in self._tokens.split(text):
            if kind == "text":
                self._text(chars)
            elif kind == "control":
                self._control(chars)
            elif kind == "sgr":
                self._style = styled(self._style, chars)
            elif kind == "csi":
                self._carry_out(chars)
            elif chars == "\x1bc":
                self._style = PLAIN
                self._erase_display(2)
                self._go_to(0, 0)

    def take_changed_from(self) -> int | None:
        """The lowest row that changed, came or went since the last call; None if none did."""
        changed, self._changed = self._changed, None
        return None if changed is None else max(changed, self.first)

    def drop(self, until: int) -> None:
        """Forgets the rows before `until`; the last row always stays."""
        until = min(until, self.count - 1)
        if until > self.first:
            del self._rows[: until - self.first]
            self.first = until
            self._row = max(self._row, until)

    def rows(self, start: int, stop: int) -> list[Line]:
        """The rows from `start` up to but without `stop`, as far as they are kept, without plain blanks at the end."""
        return [row.rstrip(" ") if isinstance(row, str) else _line(row) for row in self._shown(start, stop)]

    def coloured(self, start: int, stop: int) -> list[str]:
        """The same rows as text with SGR sequences, each of which begins and ends plain."""
        return [
            row.rstrip(" ") if isinstance(row, str) else "".join(_coloured(row)) for row in self._shown(start, stop)
        ]

    def plain(self, number: int) -> str:
        """The text of one row."""
        (row,) = self._shown(number, number + 1)
        return (row if isinstance(row, str) else "".join(text for text, _ in row)).rstrip(" ")

    def _shown(self, start: int, stop: int) -> Iterator[str | _Runs]:
        text = self._cells.text
        for row in self._rows[max(0, start - self.first) : max(0, stop - self.first)]:
            yield text(row) if isinstance(row, str) else [(text(part), style) for part, style in row]

    # ------------------------------------------------------------ text

    def _text(self, text: str) -> None:
        if not text.isascii():
            marks, text = self._cells.split(text)
            if marks:
                self._mark(marks)
        if "\n" not in text:
            self._write(text)
            return
        first, *others = text.split("\n")
        if first:
            self._write(first)
        if self._row == self.count - 1:
            self._append(others)
        else:
            for line in others:
                self._newline()
                if line:
                    self._write(line)

    def _append(self, lines: list[str]) -> None:
        """Puts whole lines below the last row, in which the cursor stands."""
        self._touch(self.count)
        if self._style is not PLAIN:
            self._rows.extend([(line, self._style)] if line else "" for line in lines)
        else:
            self._rows.extend(lines)
        if max(map(len, lines)) > WIDTH_LIMIT:
            for index in range(-len(lines), 0):
                self._rows[index] = _fitting(self._rows[index])
        self._row = self.count - 1
        self._column = min(len(lines[-1]), WIDTH_LIMIT)

    def _write(self, text: str) -> None:
        index, column = self._row - self.first, self._column
        if index >= len(self._rows):
            self._fill()
        self._touch(self._row)
        end = column + len(text)
        if end > WIDTH_LIMIT:
            text, end = text[: WIDTH_LIMIT - column], WIDTH_LIMIT
            if _width(self._rows[index]) <= WIDTH_LIMIT:
                self._rows[index] = _written(self._rows[index], WIDTH_LIMIT, CUT, PLAIN)
        if text:
            self._rows[index] = _written(self._rows[index], column, text, self._style)
        self._column = end

    def _mark(self, marks: str) -> None:
        """Joins combining characters to the character before the cursor, as far as there is one."""
        end, index = self._column, self._row - self.first
        row = self._rows[index] if index < len(self._rows) else ""
        cells = row if isinstance(row, str) else "".join(text for text, _ in row)
        size = 2 if cells[end - 1 : end] == FILLER else 1
        if end >= size and len(cells) >= end and cells[end : end + 1] != FILLER:
            self._column = end - size
            self._write(self._cells.joined(cells[end - size], marks) + FILLER * (size - 1))

    def _touch(self, row: int) -> None:
        if self._changed is None or row < self._changed:
            self._changed = row

    def _fill(self) -> None:
        """Has the cursor's row exist."""
        if self._row >= self.count:
            self._touch(self.count)
            self._rows.extend([""] * (self._row + 1 - self.count))

    # ------------------------------------------------------------ movements

    def _control(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\b":
            self._column = max(0, self._column - 1)
        elif char == "\t":
            self._column = min(WIDTH_LIMIT, self._column + TAB - self._column % TAB)

    def _newline(self) -> None:
        self._fill()
        self._row, self._column = self._row + 1, 0
        self._fill()

    def _carry_out(self, sequence: str) -> None:
        known = _CSI.fullmatch(sequence)
        if known is None:
            return
        numbers = [min(int(part[:9] or 0), WIDTH_LIMIT) for part in known[1].split(";")]
        count, final = numbers[0], known[2]
        if final in "AF":
            self._row = max(self.first, self._row - (count or 1))
        elif final in "BE":
            self._row = max(self._row, min(self.count - 1, self._row + (count or 1)))
        elif final in "Ca":
            self._column = min(WIDTH_LIMIT, self._column + (count or 1))
        elif final == "D":
            self._column = max(0, self._column - (count or 1))
        elif final in "G`":
            self._column = max(0, count - 1)
        elif final in "Hf":
            self._go_to(max(0, count - 1), max(0, (numbers[1] if len(numbers) > 1 else 0) - 1))
        elif final == "d":
            self._go_to(max(0, count - 1), self._column)
        elif final == "K":
            self._erase_line(count)
        elif final == "J":
            self._erase_display(count)
        if final in "EF":
            self._column = 0

    def _go_to(self, row: int, column: int) -> None:
        """To a place in the window; rows that are not there yet come when something is written to them."""
        self._row, self._column = self._window() + min(row, HEIGHT - 1), column

    def _window(self) -> int:
        self._top = max(self._top, self.count - HEIGHT, self.first)
        return self._top

    # ------------------------------------------------------------ erasing

    def _erase_line(self, part: int) -> None:
        if self._row >= self.count:
            return
        self._touch(self._row)
        row, index = self._rows[self._row - self.first], self._row - self.first
        if part == 0:
            self._rows[index] = _columns(row, 0, self._column)
        elif part == 1:
            self._rows[index] = _written(row, 0, " " * (self._column + 1), PLAIN)
        elif part == 2:
            self._rows[index] = ""

    def _erase_display(self, part: int) -> None:
        top = min(self._window(), self._row)
        if part == 0:
            self._erase_line(0)
            self._cut(self._row + 1)
        elif part == 1:
            self._touch(top)
            above = min(self._row, self.count)
            self._rows[top - self.first : above - self.first] = [""] * (above - top)
            self._erase_line(1)
        else:
            self._cut(top)

    def _cut(self, start: int) -> None:
        """Takes the rows from `start` on away; the first row, if it is among them, becomes empty."""
        if start < self.count:
            self._touch(start)
            self._rows[start - self.first :] = [""] if start == self.first else []
            self._top = min(self._top, start)


# ---------------------------------------------------------------- rows


def _written(row: str | _Runs, column: int, text: str, style: Style) -> str | _Runs:
    """`row` with `text` in place of what was from `column` on, or a longer row. Runs may be changed in place."""
    if isinstance(row, str) and style is PLAIN:
        if column == len(row):
            return row + text
        return between(row, 0, column).ljust(column) + text + between(row, column + len(text))
    runs = _runs(row) if isinstance(row, str) else row
    missing = column
    for part, _ in runs:
        missing -= len(part)
    if missing < 0:
        after = _runs_between(runs, column + len(text), None)
        runs = _runs_between(runs, 0, column)
    else:
        after = []
        if missing:
            _add(runs, " " * missing, PLAIN)
    _add(runs, text, style)
    for part, other in after:
        _add(runs, part, other)
    return runs


def _runs(row: str) -> _Runs:
    return [(row, PLAIN)] if row else []


def _add(runs: _Runs, text: str, style: Style) -> None:
    if not text:
        return
    if runs and (runs[-1][1] == style or len(runs) == _RUNS_LIMIT):
        runs[-1] = (runs[-1][0] + text, runs[-1][1])
    else:
        runs.append((text, style))


def _width(row: str | _Runs) -> int:
    return len(row) if isinstance(row, str) else sum(len(text) for text, _ in row)


def _columns(row: str | _Runs, start: int, stop: int) -> str | _Runs:
    return between(row, start, stop) if isinstance(row, str) else _runs_between(row, start, stop)


def _runs_between(runs: _Runs, start: int, stop: int | None) -> _Runs:
    parts, column = [], 0
    for text, style in runs:
        part = between(text, max(0, start - column), None if stop is None else max(0, stop - column))
        if part:
            parts.append((part, style))
        column += len(text)
    return parts


def _fitting(row: str | _Runs) -> str | _Runs:
    """A row of one run, not longer than rows may be."""
    text, style = (row, PLAIN) if isinstance(row, str) else row[0]
    if len(text) <= WIDTH_LIMIT:
        return row
    return _written([(text[:WIDTH_LIMIT], style)], WIDTH_LIMIT, CUT, PLAIN)


def _stripped(runs: _Runs) -> _Runs:
    """Without plain blanks at the end. Plain and styled runs take turns, so only the last one can have some."""
    if runs and runs[-1][1] is PLAIN:
        text = runs[-1][0].rstrip(" ")
        return [*runs[:-1], (text, PLAIN)] if text else runs[:-1]
    return runs


def _line(runs: _Runs) -> Line:
    runs = _stripped(runs)
    if all(style is PLAIN for _, style in runs):
        return "".join(text for text, _ in runs)
    return [(text, tokens(style)) for text, style in runs]


def _coloured(runs: _Runs) -> Iterator[str]:
    before = PLAIN
    for text, style in _stripped(runs):
        if before is not PLAIN:
            yield _RESET
        yield sgr(style) + text
        before = style
    if before is not PLAIN:
        yield _RESET
