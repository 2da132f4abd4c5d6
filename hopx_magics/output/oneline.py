"""Other people's text within a message of ours, or in a table's cell."""

from collections.abc import Iterable

MOST_NAMED = 30
"""Words that are named at most, where many are known."""


def instead_of(word: str, known: Iterable[str]) -> str:
    """What to use for a word that is none of the known ones: the one that looks like it, or any of them."""
    from difflib import get_close_matches

    words = list(known)
    near = get_close_matches(word, words, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    more = f" and {len(words) - MOST_NAMED:,} more" if len(words) > MOST_NAMED else ""
    return f"use {', '.join(words[:MOST_NAMED])}{more}"


def one_line(text: str) -> str:
    """`text` on one line, as a name is kept: with no control characters in it, and uncut."""
    return printable(text, len(text))


def printable(text: str, limit: int = 200) -> str:
    """`text` on one line, with nothing in it that a terminal or a page could take for a command."""
    line = text[: 2 * limit]
    if not line.isprintable():
        line = "".join(char if char.isprintable() else " " for char in line)
    return " ".join(line.split())[:limit]
