"""Panes: what is told of one stream as it grows, is paged through, and searched."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopx_magics.client.agent import OutputPart
from hopx_magics.live.messages import Part
from hopx_magics.live.panes import MOST_LINES, WINDOW, Pane


class Stream:
    """A stream in a file, and what a pane on it told; applies it as a page does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()
        self.told: list[dict[str, Any]] = []
        self.lines: dict[int, Any] = {}
        self.begin = self.end = 0
        self.read_bytes = 0

    def write(self, text: str | bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def read(self, start: int, stop: int | None = None) -> OutputPart:
        first = max(0, self.size + start) if start < 0 else min(start, self.size)
        with self.path.open("rb") as file:
            file.seek(first)
            data = file.read(None if stop is None else max(0, stop - first))
        self.read_bytes += len(data)
        return OutputPart(data, first, self.size)

    def tell(self, part: Part) -> None:
        message = msgspec.to_builtins(part)
        self.told.append(message)
        mode, lines = message["mode"], message.get("lines", [])
        if mode == "reset":
            self.lines = dict(enumerate(lines, message["first"]))
        elif mode == "grow":
            for _ in range(message["drop"]):
                del self.lines[min(self.lines)]
            self.lines = {n: line for n, line in self.lines.items() if n < message["first"]}
            self.lines |= dict(enumerate(lines, message["first"]))
        elif mode == "before":
            first = min(self.lines) - len(lines)
            self.lines = dict(enumerate(lines, first)) | self.lines
        elif mode == "after":
            self.lines |= dict(enumerate(lines, max(self.lines, default=-1) + 1))
        self.begin, self.end = message.get("begin", self.begin), message.get("end", self.end)

    @property
    def texts(self) -> list[str]:
        return [line if isinstance(line, str) else "".join(text for text, _ in line) for line in self.lines.values()]


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    return Stream(tmp_path / "stdout")


@pytest.fixture
def pane(stream: Stream) -> Pane:
    return Pane(stream.read, stream.tell)


def test_a_pane_shows_what_is_there_and_what_comes(stream: Stream, pane: Pane) -> None:
    stream.write("one\ntwo")
    pane.follow()
    assert stream.texts == ["one", "two"]
    stream.write(" and a half\nthree\n")
    pane.grow(stream.size, ended=False)
    assert stream.texts == ["one", "two and a half", "three", ""]
    assert stream.told[-1]["first"] == 1, "only what changed is told"
    told = len(stream.told)
    pane.grow(stream.size, ended=False)
    assert len(stream.told) == told, "nothing new, nothing told"
    pane.grow(stream.size, ended=True)
    assert stream.told[-1]["ended"] is True


def test_a_progress_bar_is_one_line(stream: Stream, pane: Pane) -> None:
    pane.follow()
    for percent in range(0, 101, 10):
        stream.write(f"\r{percent:3}%|{'#' * (percent // 10):10}|")
        pane.grow(stream.size, ended=False)
    assert stream.texts == ["100%|##########|"]
    assert len(str(stream.told[-1])) < 300


def test_a_character_that_arrives_in_two_parts(stream: Stream, pane: Pane) -> None:
    pane.follow()
    snowman = "☃".encode()
    stream.write(snowman[:2])
    pane.grow(stream.size, ended=False)
    stream.write(snowman[2:] + b"\xff!\x1b[3")
    pane.grow(stream.size, ended=False)
    stream.write("1mred")
    pane.grow(stream.size, ended=False)
    assert stream.texts == ["☃\ufffd!red"]
    assert ("red", "f1") in list(map(tuple, stream.lines[0]))


def test_a_huge_stream_opens_at_its_end_and_pages_back_to_its_beginning(stream: Stream, pane: Pane) -> None:
    lines = [f"line {number} of many" for number in range(30_000)]
    stream.write("\n".join(lines) + "\n")
    pane.follow()
    assert stream.read_bytes <= WINDOW
    assert stream.texts[-2:] == [lines[-1], ""]
    pane.hold()
    while stream.begin > 0:
        pane.page("before", stream.begin)
    assert stream.texts == [*lines, ""]


def test_pages_behind_a_found_place_lead_to_the_end(stream: Stream, pane: Pane) -> None:
    lines = [f"line {number} of many" for number in range(30_000)]
    lines[9_000] = "here is the Needle, look"
    stream.write("\n".join(lines) + "\n")
    pane.follow()
    found = pane.find("needle", None, "before")
    assert found.found
    assert stream.texts[found.line] == lines[9_000]
    assert stream.told[-1]["match"] == found.line
    assert stream.told[-1]["following"] is False
    while stream.end < stream.size:
        pane.page("after", stream.end)
    while stream.begin > 0:
        pane.page("before", stream.begin)
    assert stream.texts == lines


def test_find_goes_on_in_both_directions_and_ends(stream: Stream, pane: Pane) -> None:
    stream.write("a needle\n" + "x\n" * 2_100_000 + "a needle\n")
    last = pane.find("needle", None, "before")
    assert last.found
    assert pane.find("needle", stream.size - 10, "before").found
    assert stream.told[-1]["begin"] == 0
    assert pane.find("needle", 10, "after").found
    assert stream.end == stream.size
    nothing = pane.find("nothing", None, "before")
    assert (nothing.found, nothing.line) == (False, None)
    assert nothing.scanned >= stream.size


def test_a_line_is_found_by_its_number(stream: Stream, pane: Pane) -> None:
    stream.write("10 %\r100 %\n" + "".join(f"line {number}\n" for number in range(1, 60_000)))
    pane.follow()
    for number in (0, 5, 30_000, 59_999):
        answer = pane.show_line(number)
        assert (answer.found, answer.line) == (True, number)
        assert (stream.told[-1]["match"], stream.told[-1]["following"]) == (number, False)
        assert stream.lines[number] == (f"line {number}" if number else "100 %")
        assert len(stream.lines) < 3 * MOST_LINES
        pane.page("after", stream.end)
        pane.page("before", stream.begin)
        first = min(stream.lines)
        assert [stream.lines[n] for n in sorted(stream.lines) if n] == [
            f"line {n}" for n in range(max(1, first), max(stream.lines) + 1)
        ]
    told = len(stream.told)
    assert not pane.show_line(60_000).found
    assert len(stream.told) == told


def test_a_pane_that_is_held_only_tells_the_size(stream: Stream, pane: Pane) -> None:
    stream.write("one\n")
    pane.follow()
    pane.hold()
    stream.write("two\n")
    pane.grow(stream.size, ended=False)
    assert stream.told[-1] == {"mode": "size", "size": 8, "ended": False}
    pane.follow()
    assert stream.texts == ["one", "two", ""]


def test_much_output_at_once_is_bounded(stream: Stream, pane: Pane) -> None:
    pane.follow()
    stream.write("".join(f"line {number}\n" for number in range(100_000)))
    stream.read_bytes = 0
    pane.grow(stream.size, ended=False)
    assert stream.told[-1]["mode"] == "reset"
    assert stream.read_bytes <= 2 * WINDOW + 1
    assert stream.texts[-2] == "line 99999"


def test_old_lines_are_forgotten_and_can_be_paged_back_to(stream: Stream, pane: Pane) -> None:
    lines = [f"line {number}" for number in range(12_000)]
    pane.follow()
    for begin in range(0, len(lines), 1000):
        stream.write("".join(line + "\n" for line in lines[begin : begin + 1000]))
        pane.grow(stream.size, ended=False)
        assert len(stream.lines) <= MOST_LINES + 1000
    assert min(stream.lines) > 5000
    pane.hold()
    while stream.begin > 0:
        pane.page("before", stream.begin)
    assert stream.texts == [*lines, ""]


def test_many_short_lines_come_in_bounded_messages(stream: Stream, pane: Pane) -> None:
    lines = [str(number % 10) for number in range(100_000)]
    stream.write("\n".join(lines) + "\n")
    pane.follow()
    pane.hold()
    while stream.begin > 0:
        pane.page("before", stream.begin)
    assert stream.texts == [*lines, ""]
    pane.page("after", 0)
    assert max(len(message["lines"]) for message in stream.told) <= MOST_LINES + 1


def test_a_stream_that_begins_anew(stream: Stream, pane: Pane) -> None:
    stream.write("old\n" * 100)
    pane.follow()
    stream.path.write_text("new\n")
    pane.grow(stream.size, ended=False)
    assert stream.texts == ["new", ""]


GAP = (300_000, 40_000_000)


class Cut(Stream):
    """A stream of which the agent has left out what is in the gap."""

    def read(self, start: int, stop: int | None = None) -> OutputPart:
        return msgspec.structs.replace(super().read(start, stop), gap=GAP)


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    stream = Cut(tmp_path / "stdout")
    stream.write("".join(f"head {number}\n" for number in range(30_000))[: GAP[0] - 6] + "\nnote\n")
    with stream.path.open("ab") as file:
        file.truncate(GAP[1])
    stream.write("".join(f"tail {number}\n" for number in range(30_000)))
    return stream


def test_paging_leads_across_what_is_left_out(cut: Cut) -> None:
    pane = Pane(cut.read, cut.tell)
    pane.follow()
    assert cut.texts[-2] == "tail 29999"
    pages = 0
    while cut.begin > 0:
        pane.page("before", cut.begin)
        pages += 1
    texts = cut.texts
    assert pages < 20
    assert texts[:2] == ["head 0", "head 1"]
    assert texts[texts.index("note") + 1] == "tail 0"
    assert not [text for text in texts if "\0" in text or not text][:-1]

    again = Cut(cut.path)
    pane = Pane(again.read, again.tell)
    assert pane.find("head 7", 0, "after").found
    while again.end < again.size:
        pane.page("after", again.end)
    texts = again.texts
    assert (texts[texts.index("note") + 1], texts[-1]) == ("tail 0", "tail 29999")


def test_find_leaps_over_what_is_left_out(cut: Cut) -> None:
    pane = Pane(cut.read, cut.tell)
    assert pane.find("head 777\n", None, "before").found
    found = pane.find("tail 0\n", cut.end, "after")
    assert found.line is not None
    assert cut.texts[found.line - 1 : found.line + 1] == ["note", "tail 0"]
    assert cut.read_bytes < 30_000_000


def test_what_is_shown_and_then_left_out_is_followed_anew(cut: Cut) -> None:
    whole = Stream(cut.path)
    behind = [whole.read]
    pane = Pane(lambda start, stop=None: behind[0](start, stop), whole.tell)
    with cut.path.open("r+b") as file:
        file.truncate(GAP[0] + 10)
    pane.follow()
    with cut.path.open("r+b") as file:
        file.truncate(GAP[1])
    cut.write("tail\n")
    behind[0] = cut.read
    pane.grow(cut.size, ended=False)
    assert whole.texts == ["tail", ""]
