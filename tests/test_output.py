"""What a terminal would show."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopx_magics.output import StreamFilter, as_plain, as_shown, last_lines


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain\nlines\n", "plain\nlines\n"),
        ("10%\r20%\r100%\n", "100%\n"),
        ("long text\rab", "abng text"),
        ("long text\r\x1b[Kab", "ab"),
        ("abc\b\bX", "aXc"),
        ("a\tb", "a       b"),
        ("outer 1\ninner 1\x1b[A\router 2\n\rinner 2", "outer 2\ninner 2"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("a\x1b[5Cb", "a     b"),
        ("\x1b[31mred\x1b[0m plain", "\x1b[31mred\x1b[0m plain"),
        ("\x1b[1m\x1b[31mboth", "\x1b[1m\x1b[31mboth\x1b[0m"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;aGFjaw==\x07safe", "safe"),
        ("\x1b[2J\x1b[H\x1bcstill here", "still here"),
        ("\x9b31mc1\x90dcs\x9c", "c1"),
        ("bell\a nul\0 del\x7f", "bell nul del"),
        ("unfinished\x1b]0;tit", "unfinished"),
        ("", ""),
    ],
)
def test_as_shown(written: str, shown: str) -> None:
    assert as_shown(written) == shown


def test_tqdm_is_one_line() -> None:
    bar = "".join(f"\r{percent:3d}%|{'#' * (percent // 10):10s}| {percent}/100" for percent in range(101))
    assert as_shown(bar + "\n") == "100%|##########| 100/100\n"


def test_plain_and_last_lines() -> None:
    text = "first\n\x1b[31mred\x1b[0m\nlast\n\n"
    assert as_plain(text) == "first\nred\nlast\n\n"
    assert last_lines(text, 1) == "last"
    assert last_lines(text, 2) == "\x1b[31mred\x1b[0m\nlast"
    assert last_lines(text, 0) == ""


_PIECES = st.lists(
    st.sampled_from(
        ["a", "\n", "\r", "\b", "\x1b", "[", "3", "1", "m", ";", "]", "0", "\x07", "\\", "\x9b", "K", "\x9c", "P"]
    ),
    max_size=30,
)
_HARMLESS = re.compile(r"(?:[^\x00-\x1f\x7f-\x9f]|[\n\r\b\t]|\x1b\[[\d;:]*[mABK])*")


@given(_PIECES)
def test_nothing_but_colours_and_movements_within_lines_passes(pieces: list[str]) -> None:
    stream = StreamFilter()
    assert _HARMLESS.fullmatch("".join(stream.feed(piece) for piece in pieces))
    assert re.fullmatch(r"(?:[^\x00-\x1f\x7f-\x9f]|\n|\x1b\[[\d;:]*m)*", as_shown("".join(pieces)))


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_sequence_cut_anywhere_is_one_sequence(first: int, second: int) -> None:
    text = "a\x1b[1;31mred\x1b[0m\x1b]0;title\x07b\x1b[Ac\x1b]2;x\x1b\\d"
    whole = StreamFilter().feed(text)
    cuts = sorted((min(first, len(text)), min(second, len(text))))
    stream = StreamFilter()
    assert "".join(stream.feed(part) for part in (text[: cuts[0]], text[cuts[0] : cuts[1]], text[cuts[1] :])) == whole
    assert whole == "a\x1b[1;31mred\x1b[0mb\x1b[Acd"
