import pytest

from hopx_magics.durations import parse_duration, parse_limit


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
