"""What a terminal would show."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from hopx_magics.output.cells import NARROW
from hopx_magics.output.oneline import printable
from hopx_magics.output.screen import CUT, WIDTH_LIMIT, Line, Screen
from hopx_magics.output.sequences import StreamFilter
from hopx_magics.output.shown import as_plain, as_shown, last_line, last_lines


def screen_of(*pieces: str) -> Screen:
    screen = Screen()
    for piece in pieces:
        screen.feed(piece)
    return screen


def rows_of(*pieces: str) -> list[Line]:
    screen = screen_of(*pieces)
    return screen.rows(screen.first, screen.count)


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
        ("\x1b[1m\x1b[31mboth", "\x1b[1;31mboth\x1b[0m"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;aGFjaw==\x07safe", "safe"),
        ("\x1b[2J\x1b[H\x1bcstill here", "still here"),
        ("\x9b31mc1\x90dcs\x9c", "c1"),
        ("bell\a nul\0 del\x7f", "bell nul del"),
        ("unfinished\x1b]0;tit", "unfinished"),
        ("", ""),
        ("blanks  \r\n", "blanks\n"),
        ("a\x1b[44m  \x1b[0m  ", "a\x1b[44m  \x1b[0m"),
        ("\x1b[31mred\nstill\x1b[39m not", "\x1b[31mred\x1b[0m\n\x1b[31mstill\x1b[0m not"),
        ("\x1b[31mred\rBL", "\x1b[31mBLd\x1b[0m"),
        ("\x1b[31mred\x1b[0m\r\x1b[CX", "\x1b[31mr\x1b[0mX\x1b[31md\x1b[0m"),
        ("abc\x1b[2D\x1b[1KX", " Xc"),
        ("abc\x1b[2Kd", "   d"),
        ("ab\x1b[5Gc\x1b[Gd", "db  c"),
        ("one\ntwo\x1b[Fx", "xne\ntwo"),
        ("one\ntwo\x1b[A\x1b[Ex", "one\nxwo"),
        ("one\ntwo\x1b[99A\x1b[99Bx", "one\ntwox"),
        ("one\ntwo\nthree\x1b[A\x1b[3D\x1b[J", "one\ntw"),
        ("one\ntwo\nthree\x1b[2D\x1b[1J", "\n\n    e"),
        ("one\ntwo\x1b[2Jx", "\n   x"),
        ("one\ntwo\x1b[H\x1b[Jx\ny", "x\ny"),
        ("one\ntwo\x1b[H\x1b[2J\x1b[3Jx", "x"),
        ("one\x1b[3;2Hx\x1b[1dy", "ony\n\n x"),
        ("a\x1b(B\x1b[?25lb\x1b[6n\x1b[>4;2mc\x1b[ Ad\x1b=", "abcd"),
        ("a\x1b[12\nb", "a\nb"),
        ("title \x1b]0;never ends\nnext", "title\nnext"),
        ("\x1b]0;x\x1b[31mred", "\x1b[31mred\x1b[0m"),
        ("picture \x1bPq#0\n#1~~\x1b\\end", "picture end"),
        ("\x1b[" + "1;" * 200 + "1mnot bold", "not bold"),
        ("\x1b[٣1m", "٣1m"),
        ("世界 10%\rdone 20%", "done 20%"),
        ("世界 10%\r100%", "100% 10%"),
        ("世界你好\rab", "ab界你好"),
        ("世界\ra", "a 界"),
        ("世界\b\bX", "世X"),
        ("世界\b\b\bX", " X界"),
        ("abcd\r世", "世cd"),
        ("世\t|", "世      |"),
        ("\x1b[31m世界\x1b[0m\r\x1b[CX", "\x1b[31m \x1b[0mX\x1b[31m界\x1b[0m"),
        ("世界\b\x1b[K", "世"),
        ("👍 10%\r✅ 100%", "✅ 100%"),
        ("⏳ wait\r✓ ok", "✓ okait"),
        ("cafe\u0301 10%\rcafé 100%", "café 100%"),
        ("e\u0301tude\rX", "Xtude"),
        ("กรุณา\r1234", "1234"),
        ("a\u0301\u0302b\b\bX", "Xb"),
        ("世\u0301界\b\b\b\bX", "X 界"),
        ("ab\b\u0301c", "a\u0301c"),
        ("世\r\x1b[C\u0301|", " |"),
        ("\r\u0301lost", "lost"),
        ("\r\U00100000", "\ufffd"),
        ("\ra" + "\u0301" * 1000, "a" + "\u0301" * 16),
    ],
)
def test_as_shown(written: str, shown: str) -> None:
    assert as_shown(written) == shown


def test_tqdm_is_one_line() -> None:
    bar = "".join(f"\r{percent:3d}%|{'#' * (percent // 10):10s}| {percent}/100" for percent in range(101))
    assert as_shown(bar + "\n") == "100%|##########| 100/100\n"


def test_what_is_known_to_be_narrow_is_narrow() -> None:
    narrow = list(filter(NARROW.fullmatch, map(chr, range(0x20, 0x110000))))
    assert len(narrow) > 1500
    assert {wcwidth(char) for char in narrow} == {1}


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


# ---------------------------------------------------------------- the screen


@pytest.mark.parametrize(
    ("sequence", "tokens"),
    [
        ("1", "b"),
        ("9;7;4;3;2;1", "b d i u r s"),
        ("1;2;22", ""),
        ("3;23;4;24;7;27;9;29", ""),
        ("1;31", "b f1"),
        ("31;1", "b f1"),
        ("97;100", "f15 g8"),
        ("31;42;39;49", ""),
        ("31;0;1", "b"),
        ("31;", ""),
        ("38;5;208", "f208"),
        ("48;5;7;1", "b g7"),
        ("38:5:208;1", "b f208"),
        ("38;2;255;128;0", "Fff8000"),
        ("48:2::1:2:3", "G010203"),
        ("48:2:1:2:3", "G010203"),
        ("58;5;9;1", "b"),
        ("58:2::1:2:3;1", "b"),
        ("4:3", "u"),
        ("4:3;4:0", ""),
        ("21", "u"),
        ("38;5;256;1", "b"),
        ("38;2;1;2", ""),
        ("38;9;1", "b"),
        ("38", ""),
        ("5;8;53;999999999999", ""),
    ],
)
def test_styles(sequence: str, tokens: str) -> None:
    expected: Line = [("x", tokens)] if tokens else "x"
    assert rows_of(f"\x1b[{sequence}mx") == [expected]
    assert rows_of(as_shown(f"\x1b[{sequence}mx")) == [expected], "and as text it means the same"


def test_rows_are_few_runs() -> None:
    assert rows_of("\x1b[31ma\x1b[31mb\x1b[0;31mc\x1b[0m d  ") == [[("abc", "f1"), (" d", "")]]
    assert rows_of("\x1b[1mbold\x1b[0m\rplain") == ["plain"]
    assert rows_of("\x1b[31ma\x1b[0m\r\x1b[5C\x1b[32mb") == [[("a", "f1"), ("    ", ""), ("b", "f2")]]
    (row,) = rows_of("".join(f"\x1b[3{number % 7}mx" for number in range(10_000)))
    assert len(row) < 1000
    assert sum(len(text) for text, _ in row) == 10_000


def test_rows_are_numbered_for_ever() -> None:
    screen = screen_of("zero\none\ntwo")
    assert (screen.first, screen.count, screen.take_changed_from()) == (0, 3, 0)
    assert screen.take_changed_from() is None
    screen.feed("!")
    assert screen.take_changed_from() == 2
    screen.feed("\n\x1b[3AX")
    assert screen.take_changed_from() == 0
    screen.drop(2)
    assert (screen.first, screen.count) == (2, 4)
    assert screen.rows(0, 99) == screen.rows(2, 4) == ["two!", ""]
    assert screen.rows(0, 2) == []
    screen.feed("\x1b[99AY")
    assert screen.rows(2, 3) == ["tYo!"]
    assert screen.take_changed_from() == 2
    screen.drop(99)
    assert (screen.first, screen.count, screen.plain(3)) == (3, 4, "")


def test_top_left_is_in_the_window_at_the_end() -> None:
    log = "".join(f"line {number}\n" for number in range(100))
    frame = "\x1b[H\x1b[2J\x1b[3Jframe {}\nof two lines"
    screen = screen_of(log, *(frame.format(number) for number in range(5)))
    assert screen.rows(0, 51) == [f"line {number}" for number in range(51)], "what scrolled off stays"
    assert screen.rows(51, 999) == ["frame 4", "of two lines"]
    screen.feed("\x1b[999A\x1b[J\x1b[Hx")
    assert screen.rows(0, 999) == ["line 0", "x"], "and where rows were taken away, no gap is left"


def test_a_row_has_an_end() -> None:
    text, limit = "abcdefghij" * (WIDTH_LIMIT // 10), WIDTH_LIMIT
    for written in (text + "more", text[:-3] + "\x1b[0mhij\x1b[0mmore", f"first\n{text}more"):
        assert rows_of(written)[-1] == text + CUT
        assert rows_of(written, "x" * limit)[-1] == text + CUT
    assert rows_of(text) == [text]
    assert rows_of(f"\x1b[1m{text}more\n") == [[(text, "b"), (CUT, "")], ""]
    assert rows_of(f"\n\x1b[1mx\n{text}more\n")[2] == [(text, "b"), (CUT, "")]
    assert rows_of(f"{text}more\r\x1b[KX") == ["X"]
    assert rows_of("\t" * limit + "x\x1b[999999999Cy") == [" " * limit + CUT]


@pytest.mark.parametrize("begin", ["\x1b]0;", "\x1bP", "\x1b[", "\x1b ", "\x9d", "\x90"])
def test_what_never_ends_is_not_kept(begin: str) -> None:
    piece = {"\x1b[": "1;", "\x1b ": "  "}.get(begin, "ab") * 1000
    screen = screen_of("a", begin, *[piece] * 100)
    assert screen.rows(0, 9) == ["a"]
    assert len(screen._tokens._held) < 1000
    screen.feed("\x07\x1b\\m\x1b[0mb")
    assert as_plain(str(screen.rows(0, 9)[0])).replace("m", "") == "ab"


def test_a_sequence_that_is_too_long_still_ends() -> None:
    assert rows_of("a", "\x1b[", "1;" * 100, "1;" * 100, "m", "b") == ["ab"]
    assert rows_of("a", "\x1b ", " " * 200, " " * 200, "F", "b") == ["ab"]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1000,
        "世" * 1000,
        "世\r" * 500,
        "e\u0301" * 500,
        "a" + "\u0301" * 1000,
        "\x1b[31mx\x1b[0my" * 80,
        "\r 37%|###   |" * 80,
        "\n\rinner\x1b[A" * 80,
        "line\n" * 200,
        "\b" * 1000,
    ],
    ids=[
        "one line",
        "wide",
        "wide over wide",
        "combining",
        "only combining",
        "colours",
        "bar",
        "nested",
        "lines",
        "back",
    ],
)
def test_nothing_is_quadratic(text: str) -> None:
    def seconds(count: int) -> float:
        screen, start = Screen(), time.process_time()
        for _ in range(count):
            screen.feed(text)
        return time.process_time() - start

    assert seconds(800) < 25 * seconds(80) + 1


_FRAGMENTS = [
    *(
        "ab",
        "c",
        " ",
        "\n",
        "\r",
        "\r\n",
        "\b",
        "\t",
        "\a",
        "\x1b",
        "[",
        "]",
        "P",
        "m",
        "A",
        "1",
        ";",
        "\\",
        "\x9b",
        "\x9c",
    ),
    *(
        "\x1b[31m",
        "\x1b[0m",
        "\x1b[1;44m",
        "\x1b[A",
        "\x1b[2A",
        "\x1b[B",
        "\x1b[3C",
        "\x1b[D",
        "\x1b[E",
        "\x1b[F",
        "\x1b[4G",
    ),
    *("\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[J", "\x1b[1J", "\x1b[2J", "\x1b[H", "\x1b[3;4H", "\x1b[2d", "\x1bc"),
    *("世", "世界", "e\u0301", "\u0301", "👍", "ä", "\x1b[32m世\x1b[0m"),
    *("\x1b]0;t\x07", "\x1b]8;;http://x\x1b\\", "\x1bPq", "\x1b(B", "\x18", "line\nline\nline\n", "\n" * 60),
]
_OUTPUTS = st.lists(st.sampled_from(_FRAGMENTS), max_size=30)


@given(_OUTPUTS, st.lists(st.integers(0, 200), max_size=6))
def test_pieces_make_no_difference(output: list[str], cuts: list[int]) -> None:
    text = "".join(output)
    ends = [*sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    whole = screen_of(text)
    for other in (screen_of(*pieces), screen_of(*text)):
        assert other.rows(0, other.count) == whole.rows(0, whole.count)
        assert other.coloured(0, other.count) == whole.coloured(0, whole.count)
        assert (other.count, other.cursor) == (whole.count, whole.cursor)


@given(_OUTPUTS)
def test_rows_hold_no_control_characters(output: list[str]) -> None:
    for row in rows_of("".join(output)):
        runs = [(row, "")] if isinstance(row, str) else row
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(text for text, _ in runs))
        assert all(
            re.fullmatch(r"([bdiurs]|[fg]\d+|[FG][0-9a-f]{6})( ([bdiurs]|[fg]\d+))*|", style) for _, style in runs
        )
        assert isinstance(row, str) or (row and any(style for _, style in row))


@given(_OUTPUTS)
def test_what_is_shown_is_shown_the_same_again(output: list[str]) -> None:
    shown = as_shown("".join(output))
    assert re.fullmatch(r"(?:[^\x00-\x1f\x7f-\x9f]|\n|\x1b\[[0-9;]*m)*", shown)
    assert rows_of(shown) == rows_of("".join(output))


@given(_OUTPUTS, st.integers(0, 20))
def test_whoever_takes_the_changes_has_the_rows(output: list[str], drop: int) -> None:
    screen, mirror = Screen(), [""]
    for number, piece in enumerate(output):
        screen.feed(piece)
        if number == drop:
            screen.drop(screen.count // 2)
        changed = screen.take_changed_from()
        if changed is not None:
            assert screen.first <= changed <= screen.count
            mirror += [""] * (changed - len(mirror))  # that were forgotten before they were ever taken
            mirror[changed:] = [*screen.rows(changed, screen.count)]
        assert mirror[screen.first :] == screen.rows(screen.first, screen.count)
        assert len(mirror) == screen.count


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("one\ntwo", "two"),
        ("one\ntwo\n\n  \n", "two"),
        ("one\r\ntwo\r\n", "two"),
        ("10%\r20%\r100%", "100%"),
        ("long text\rab", "abng text"),
        ("世界 10%\rdone 20%", "done 20%"),
        ("世界\rabc", "abc"),
        ("log\n\r 99%|###|\r         \r", "log"),
        ("\x1b[31mred\x1b[0m\n", "red"),
        ("outer\n\rinner\x1b[A", "inner"),
        ("a\tb", "a b"),
        ("title\x1b]0;x\x07\n\x1b]0;y\x07", "title"),
        ("<b>\u202e&amp;", "<b> &amp;"),
        ("x" * 500, "x" * 120),
        ("first\n" + "y" * 5000 + "\n", "y" * 120),
        ("a\x1b[31m" * 900 + "\nend\x1b[0m\n", "end"),
        ("\x1b[38;5;1m" + "\n" * 3000, ""),
        ("\x1b[38;5;1mx\n" + "\x1b[0m" * 499, ""),
    ],
)
def test_last_line(text: str, line: str) -> None:
    assert last_line(text) == line


def test_printable() -> None:
    assert printable("two  words\n\x1b[31m", 100) == "two words [31m"
    assert printable("x" * 999) == "x" * 200
