"""Checks side by side, and what is taken out of what they tell."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hopx_magics.checkup.examining import examine
from hopx_magics.checkup.hushing import hushing
from hopx_magics.findings import Check, Finding, attention, ok


def test_a_check_that_hangs_or_fails_keeps_nobody_from_being_told() -> None:
    ended = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("first", "seen")
        ended.wait()

    def fails() -> Iterator[Finding]:
        yield attention("odd", "seen", "It is odd.")
        raise OSError("no such thing")

    try:
        found = examine([Check("one", "hangs", hangs), Check("two", "fails", fails)], str, limit=0.2)
    finally:
        ended.set()
    assert [(each.about, each.check, each.state, each.found) for each in found] == [
        ("two", "odd", "attention", "seen"),
        ("one", "hangs", "not checked", "could not be checked: nothing came within 0.2 s"),
        ("two", "fails", "not checked", "could not be checked: OSError: no such thing"),
        ("one", "first", "ok", "seen"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://ann:pa55@proxy:8080/x", "https://[hidden]@proxy:8080/x"),
        ("GET /x?access_token=abcdef&n=1", "GET /x?access_token=[hidden]&n=1"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [hidden]"),
        ("hopx_live_0123456789abcdef is refused", "[hidden] is refused"),
        ("password=hunter22; next", "password=[hidden]; next"),
        ("of GPU_TOKEN: correct-horse", "of GPU_TOKEN: [hidden]"),
        ("the value known-to-the-session", "the value [hidden]"),
        ("/home/ann/x and /home/anna", "~/x and /home/anna"),
        ("/home/ann", "~"),
        ("token valid until 2026-11-26", "token valid until 2026-11-26"),
        ("https://host:8265 is there", "https://host:8265 is there"),
    ],
)
def test_secrets_and_homes_are_hidden(text: str, told: str) -> None:
    environ = {"GPU_TOKEN": "correct-horse", "KEYMAP": "us", "PATH": "/bin"}
    assert hushing(environ, Path("/home/ann"), ["known-to-the-session"])(text) == told
