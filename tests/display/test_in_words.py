"""Sentences about transfers, sandboxes and news."""

from datetime import UTC, datetime, timedelta

import pytest

from hopx_magics.display.in_words import disconnected_in_words, extended_in_words, news_in_words, transfer_in_words

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (23, 23, "████████████████████ 23 of 23 bytes"),
        (0, 0, "████████████████████ 0 of 0 bytes"),
        (0, 2_000, "░░░░░░░░░░░░░░░░░░░░ 0.0 of 2.0 kB"),
        (500_000, 2_000_000, "█████░░░░░░░░░░░░░░░ 0.5 of 2.0 MB"),
        (3_100_000_000, None, "3,100.0 MB"),
        (7, None, "7 bytes"),
    ],
)
def test_how_far_a_file_is_copied(done: int, total: int | None, shown: str) -> None:
    assert transfer_in_words("a.json", "from", done, total) == f"a.json from the agent: {shown}"


def test_what_became_of_a_sandbox() -> None:
    until = "2026-11-26 14:00:00 UTC, 2 h from now"
    assert extended_in_words("gpu", NOON + timedelta(hours=2), NOON) == f"gpu lives until {until}"
    assert extended_in_words("gpu", None, NOON) == "gpu lives for longer; until when, it does not say"
    assert disconnected_in_words("mine", None, deleted=False) == "mine is no longer connected; its agent goes on"


@pytest.mark.parametrize(
    ("going", "completed", "failed", "news"),
    [
        ([], [], [], None),
        (["a"], [], [], "Runs of this folder: a still running. %hopx_history shows them."),
        ([], ["a", "a"], [], "Runs of this folder: since you last looked a (2) completed. %hopx_history shows them."),
        (
            ["a", "b"],
            ["c", "d", "e", "f", "f"],
            ["x\n\x1b[2J"],
            "Runs of this folder: a, b still running; since you last looked 5 completed, x [2J failed. "
            "%hopx_history shows them.",
        ),
    ],
)
def test_news_name_the_runs(going: list[str], completed: list[str], failed: list[str], news: str | None) -> None:
    assert news_in_words(going, {"completed": completed, "failed": failed, "killed": []}, notebook=False) == news
