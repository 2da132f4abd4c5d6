"""What a run is called so that it can be told from others: its name, and what it was given."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..output.oneline import printable

LONGEST_VALUE = 60
"""Characters that are told of one value."""

MOST_VALUES = 100
"""Values that are told of one run."""


def given_in_order(values: Mapping[str, Any], differing: Collection[str] = ()) -> dict[str, str]:
    """Parameters or tags as texts: first those by which the run differs from others of its sweep."""
    names = sorted(values, key=lambda name: name not in differing)[:MOST_VALUES]
    return {printable(name, LONGEST_VALUE): printable(str(values[name]), LONGEST_VALUE) for name in names}


def in_order_of_difference(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each of several runs was given: first that in which they differ."""
    names = dict.fromkeys(name for given in runs for name in given)
    differing = {name for name in names if len({repr(given.get(name)) for given in runs}) > 1}
    return [dict(sorted(given.items(), key=lambda pair: pair[0] not in differing)) for given in runs]


def told_apart(name: str, given: Mapping[str, str]) -> str:
    """`fit  lr=0.1 seed=2`."""
    return "  ".join(filter(None, (name, " ".join(f"{key}={value}" for key, value in given.items()))))


def cut_in_middle(text: str, most: int) -> str:
    """At most so many characters, with an ellipsis for those of the middle that are left out."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"
