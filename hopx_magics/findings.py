"""What the checks of `%hopx_doctor` are, and what they find, as values. Nothing is asked here."""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import msgspec

State = Literal["broken", "attention", "not checked", "ok"]

STATES: tuple[State, ...] = get_args(State)
"""How something may be found, the worst first."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing was found, what that means, and what to do.

    `about` is what the thing belongs to: this program, an agent, the history. `remedy` makes it good, where that is
    safe, and returns what it has done; it is called for `--fix` alone, and may raise HopxError or OSError.
    """

    check: str
    state: State
    found: str
    about: str = ""
    means: str | None = None
    advice: str | None = None
    remedy: Callable[[], str] | None = None


def ok(check: str, found: str, means: str | None = None) -> Finding:
    """All is well."""
    return Finding(check=check, state="ok", found=found, means=means)


def attention(
    check: str, found: str, means: str, advice: str | None = None, remedy: Callable[[], str] | None = None
) -> Finding:
    """It works, and may surprise, or soon not work any more."""
    return Finding(check=check, state="attention", found=found, means=means, advice=advice, remedy=remedy)


def broken(
    check: str, found: str, means: str, advice: str | None = None, remedy: Callable[[], str] | None = None
) -> Finding:
    """It does not work."""
    return Finding(check=check, state="broken", found=found, means=means, advice=advice, remedy=remedy)


def not_checked(check: str, why: str) -> Finding:
    """Nobody knows: it could not be looked at."""
    return Finding(check=check, state="not checked", found=f"could not be checked: {why}")


class Check(msgspec.Struct, frozen=True):
    """One look at something, on a thread of its own: it finds one thing after the other, and may be left behind.

    `about` is what it looks at, and `name` what is said not to be checked when nothing comes.
    """

    about: str
    name: str
    look: Callable[[], Iterator[Finding]]
