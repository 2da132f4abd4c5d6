import pytest

from hopx_magics.durations import format_duration, parse_duration, parse_limit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("7d", 604800),
        ("1.5m", 90),
        ("12", 12),
        (2.5, 2.5),
    ],
)
def test_spans(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_limit(text) == seconds


@pytest.mark.parametrize("text", ["banana", "", "-5", "5 parsecs", "nan", "inf", "1h30", "h"])
def test_no_spans(text: str) -> None:
    with pytest.raises(ValueError, match="use 90s"):
        parse_duration(text)
    with pytest.raises(ValueError, match="none"):
        parse_limit(text)


@pytest.mark.parametrize("text", ["none", "None", None, 0, "0"])
def test_no_limit(text: str | float | None) -> None:
    assert parse_limit(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (86400, "1 d"),
        (273600, "3 d 4 h"),
    ],
)
def test_written_spans(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
