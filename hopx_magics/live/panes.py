"""One stream of a process as a pane of the live table shows it: its end as it grows, or a part that stays."""

import codecs
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from ..client.agent import OutputPart
from ..output.screen import Line, Screen
from .messages import Anew, Earlier, FindAnswer, Grown, Later, Part, Sized

WINDOW = 64 * 1024
"""Bytes that are shown at first, and that one page more shows. More than that at once is no help to a reader."""

MOST_LINES = 4_000
"""Lines that a pane that follows keeps; the older ones can be had by paging back."""

MARK_EVERY = 4096
"""Bytes after which it is noted which line stands where, so that older lines can be forgotten."""

SCAN = 4_000_000
"""Bytes in which a text is looked for at once."""

LINES_AROUND = 1_000
"""Lines that are shown before and behind one that is looked for by its number, as far as there are any."""

SCAN_LIMIT = 1_000_000_000
"""Bytes in which one search looks for a text."""


class Read(Protocol):
    """Reads bytes `start` to `stop` of the stream; a negative `start` counts from the end."""

    def __call__(self, start: int, stop: int | None = None) -> OutputPart: ...


Tell = Callable[[Part], None]
"""Tells the page what is new of the stream."""

Direction = Literal["before", "after"]


class Pane:
    """Shows one stream. To be used from one thread at a time."""

    def __init__(self, read: Read, tell: Tell) -> None:
        self._read = read
        self._tell = tell
        self.following = True
        """Whether it shows the end of the stream, or is about to."""
        self._ended = False
        self._size = 0
        self._tail: _Tail | None = None

    def follow(self, *, ended: bool = False) -> None:
        """Shows the end of the stream, and goes on to show what comes."""
        part = _behind_gap(self._read(-WINDOW))
        self.following, self._ended, self._size = True, ended, part.size
        self._tail = tail = _Tail(part)
        tail.forget_old_lines()
        self._tell(
            Anew(
                lines=tail.screen.rows(tail.screen.first, tail.screen.count),
                first=tail.screen.first,
                begin=tail.begin,
                end=tail.end,
                size=part.size,
                following=True,
                match=None,
                ended=ended,
            )
        )
        tail.screen.take_changed_from()

    def hold(self) -> None:
        """Leaves what is shown as it is."""
        self.following, self._tail = False, None

    def grow(self, size: int | None, *, ended: bool) -> None:
        """Shows what is new; `size` is how large the stream is by now, None when that is not known."""
        if size == self._size and ended == self._ended:
            return
        if not self.following or self._tail is None:
            self._size = self._size if size is None else size
            self._ended = ended
            self._tell(Sized(size=self._size, ended=ended))
            return
        tail = self._tail
        part = self._read(tail.end, tail.end + WINDOW)
        if (
            _behind_gap(part) is not part or part.size - tail.end > WINDOW or part.size < tail.end
        ):  # too much to be read as it comes, or begun anew
            self.follow(ended=ended)
            return
        if not part.data and ended == self._ended:
            return
        self._size, self._ended = part.size, ended
        tail.feed(part)
        drop = tail.forget_old_lines()
        first = tail.screen.take_changed_from()
        self._tell(
            Grown(
                lines=[] if first is None else tail.screen.rows(first, tail.screen.count),
                first=tail.screen.count if first is None else first,
                drop=drop,
                begin=tail.begin,
                end=tail.end,
                size=part.size,
                ended=ended,
            )
        )

    def page(self, direction: Direction, offset: int) -> None:
        """Shows more of the stream, before or after the byte at `offset`."""
        if direction == "before":
            begin, data, self._size = self._part_before(offset)
            self._tell(Earlier(lines=_lines(data), begin=begin, size=self._size, ended=self._ended))
        else:
            end, data, self._size = self._part_after(offset)
            self._tell(Later(lines=_lines(data), end=end, size=self._size, ended=self._ended))

    def find(self, text: str, start: int | None, direction: Direction) -> FindAnswer:
        """Looks for `text`, and shows the part of the stream around it: whether it was found, and what was looked at.

        Upper and lower case of ASCII letters are the same.
        """
        needle = text.encode().lower()
        offset, scanned = self._scan_back(needle, start) if direction == "before" else self._scan_on(needle, start or 0)
        if offset is None:
            return FindAnswer(found=False, line=None, scanned=scanned)
        self.hold()
        begin, before, _ = self._part_before(offset)
        end, after, self._size = self._part_after(offset, WINDOW // 2)
        screen = Screen()
        screen.feed(before.decode("utf-8", "replace"))
        line = screen.count - 1
        screen.feed(after.decode("utf-8", "replace"))
        self._tell(
            Anew(
                lines=_without_last_break(screen),
                first=0,
                begin=begin,
                end=end,
                size=self._size,
                following=False,
                match=line,
                ended=self._ended,
            )
        )
        return FindAnswer(found=True, line=line, scanned=scanned)

    def show_line(self, number: int) -> FindAnswer:
        """Shows the lines around the one with this number, from 0, as a terminal shows the stream from its beginning.

        What is behind a gap has no numbers.
        """
        tail = _Tail(OutputPart(b"", 0, 0))
        while tail.screen.count <= number + LINES_AROUND and tail.end < SCAN:
            end, data, self._size = self._part_after(tail.end)
            if not data or end - len(data) != tail.end:
                break
            tail.feed(OutputPart(data, tail.end, self._size))
            tail.forget_before(number - LINES_AROUND)
        screen = tail.screen
        lines = _without_last_break(screen)
        if number >= screen.first + len(lines):
            return FindAnswer(found=False, line=None, scanned=tail.end)
        self.hold()
        self._tell(
            Anew(
                lines=lines,
                first=screen.first,
                begin=tail.begin,
                end=tail.end,
                size=self._size,
                following=False,
                match=number,
                ended=self._ended,
            )
        )
        return FindAnswer(found=True, line=number, scanned=tail.end)

    # ------------------------------------------------------------ parts that begin and end with lines

    def _part_before(self, offset: int) -> tuple[int, bytes, int]:
        """Where a part that ends at `offset` begins, its bytes, and the size of the stream."""
        start = max(0, offset - WINDOW)
        if offset <= 0:
            return 0, b"", self._size
        part = self._read(start, offset)
        if part.gap and part.gap[0] < offset <= part.gap[1]:
            return self._part_before(part.gap[0])
        part = _behind_gap(part)
        skip = _after_first_line(part.data) if part.start else 0
        skip = max(skip, _before_last_lines(part.data))
        return part.start + skip, part.data[skip:], part.size

    def _part_after(self, offset: int, window: int = WINDOW) -> tuple[int, bytes, int]:
        """Where a part ends that begins at `offset`, or behind the gap there, its bytes, and the size of the stream."""
        part = self._read(offset, offset + window)
        if part.gap and part.gap[0] <= offset < part.gap[1]:
            return self._part_after(part.gap[1], window)
        data = part.data[: part.gap[0] - offset] if part.gap and offset < part.gap[0] else part.data
        if offset + len(data) < part.size and (end := data.rfind(b"\n") + 1):
            data = data[:end]
        if data.count(b"\n") > MOST_LINES:
            data = b"\n".join(data.split(b"\n")[:MOST_LINES]) + b"\n"
        return offset + len(data), data, part.size

    # ------------------------------------------------------------ searching

    def _scan_back(self, needle: bytes, start: int | None) -> tuple[int | None, int]:
        end = self._read(-1).size if start is None else start
        scanned = 0
        while end > 0 and scanned < SCAN_LIMIT:
            begin = max(0, end - SCAN)
            part = self._read(begin, end)
            found = part.data.lower().rfind(needle)
            scanned += end - begin
            if found < 0 and part.gap and part.gap[0] <= begin < part.gap[1]:
                begin = part.gap[0]
            if found >= 0:
                return begin + found, scanned
            end = begin + len(needle) - 1 if begin else 0
        return None, scanned

    def _scan_on(self, needle: bytes, start: int) -> tuple[int | None, int]:
        scanned = 0
        while scanned < SCAN_LIMIT:
            part = self._read(start, start + SCAN)
            found = part.data.lower().find(needle)
            scanned += len(part.data)
            if found >= 0:
                return start + found, scanned
            if start + len(part.data) >= part.size or not part.data:
                break
            is_in_gap = part.gap is not None and part.end == part.gap[1]
            start = part.end if is_in_gap else start + len(part.data) - len(needle) + 1
        return None, scanned


class _Tail:
    """The end of a stream, as it grows."""

    def __init__(self, part: OutputPart) -> None:
        skip = _after_first_line(part.data) if part.start else 0
        self.screen = Screen()
        self.begin = self.end = part.start + skip
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._marks: deque[tuple[int, int]] = deque()  # of (line, the byte with which it begins)
        self.feed(OutputPart(part.data[skip:], self.begin, part.size))

    def feed(self, part: OutputPart) -> None:
        """Takes on what the stream has grown by."""
        for begin in range(0, len(part.data), MARK_EVERY):
            piece = part.data[begin : begin + MARK_EVERY]
            cut = piece.find(b"\n") + 1
            self._feed(piece[:cut])
            if cut:
                self._marks.append((self.screen.count - 1, self.end))
            self._feed(piece[cut:])

    def _feed(self, data: bytes) -> None:
        self.end += len(data)
        self.screen.feed(self._decoder.decode(data))

    def forget_old_lines(self) -> int:
        """Forgets the oldest lines when they are too many, and returns how many."""
        first = self.screen.first
        if self.screen.count - first <= MOST_LINES:
            return 0
        while self._marks and self.screen.count - self.screen.first > MOST_LINES * 3 // 4:
            line, self.begin = self._marks.popleft()
            self.screen.drop(line)
        return self.screen.first - first

    def forget_before(self, line: int) -> None:
        """Forgets the lines before this one, or some of them."""
        while self._marks and self._marks[0][0] <= line:
            number, self.begin = self._marks.popleft()
            self.screen.drop(number)


def _behind_gap(part: OutputPart) -> OutputPart:
    """What is behind the gap in a part, or all of a part without one."""
    if part.gap is None or part.gap[1] <= part.start or part.gap[0] >= part.start + len(part.data):
        return part
    return OutputPart(part.data[part.gap[1] - part.start :], part.gap[1], part.size, part.gap)


def _after_first_line(data: bytes) -> int:
    """Where the second line begins; 0 when there is none, or when the first one is most of it."""
    end = data.find(b"\n") + 1
    return end if end <= len(data) // 2 else 0


def _before_last_lines(data: bytes) -> int:
    """Where the last lines begin, of which there are not too many for one message."""
    if data.count(b"\n") <= MOST_LINES:
        return 0
    return len(data) - len(b"\n".join(data.split(b"\n")[-MOST_LINES - 1 :]))


def _lines(data: bytes) -> list[Line]:
    """What a part of a stream shows on its own."""
    screen = Screen()
    screen.feed(data.decode("utf-8", "replace"))
    return _without_last_break(screen) if data else []


def _without_last_break(screen: Screen) -> list[Line]:
    """The lines, without the empty one behind the last line end."""
    lines = screen.rows(screen.first, screen.count)
    return lines[:-1] if lines and not lines[-1] else lines
