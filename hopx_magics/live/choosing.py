"""Which columns a live table shows: as words of the user, and as a page has them."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..output.oneline import printable
from .columns import KINDS, TABLE_GROUPS, TABLE_SORTS, Names, column_named, column_of

LONGEST_NAME = 200
MOST_CHOSEN = 500
"""Characters of a column's name, and columns, that are remembered at most."""

NEAREST = 3
"""Names that an error tells."""

SURELY_WRONG = 0.8
"""How alike two names are of which one is a slip, from 0 to 1: `los` and `loss`, but not `val_loss` and `loss`."""


class Chosen(NamedTuple):
    """The columns of a table: those that were asked for, and what was shown and hidden by hand."""

    only: list[str] | None = None
    by_hand: dict[str, bool] | None = None


def chosen_in(view: Mapping[str, Any]) -> Chosen:
    """The columns that a page has by what it wants to be kept, as far as that can be used."""
    only, by_hand = view.get("only"), view.get("columns")
    known = isinstance(only, list) and [name for name in only if _is_name(name)][:MOST_CHOSEN]
    pairs = list(by_hand.items())[:MOST_CHOSEN] if isinstance(by_hand, dict) else []
    return Chosen(known or None, {name: shown is True for name, shown in pairs if _is_name(name)} or None)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and len(name) <= LONGEST_NAME and column_of(name) is not None


def meant(word: str, names: Names, what: str) -> str:
    """The column that a word means, for rows with these names; `param.lr` may come later. Raises ValueError."""
    column = column_named(word, names) or column_of(word)
    if column is not None:
        return column.name
    own = [name for kind in KINDS for name in names[kind]]
    near = get_close_matches(word, [*own, *TABLE_SORTS], n=NEAREST)
    later = f"param.{word} or metric.{word} where no run has it yet"
    if near:
        meant_names = " or ".join(map(repr, near))
        raise ValueError(f"a live table has no {what} {word!r}: did you mean {meant_names}? Use {later}")
    there = ", ".join([*own[: 2 * NEAREST], *TABLE_SORTS])
    raise ValueError(f"a live table has no {what} {word!r}: use {there}, or {later}")


def unseen(column: str, names: Names, *, may_come: bool) -> str:
    """That no row has a parameter, tag or metric, where one that looks like it is there; else an empty text.

    A metric that `may_come`, as something goes on, has to look much like another one.
    """
    kind, _, own = column.partition(".")
    if kind not in KINDS or own in names[kind]:
        return ""
    cutoff = SURELY_WRONG if may_come and kind == "metric" else 0.6
    near = get_close_matches(own, list(names[kind]), n=NEAREST, cutoff=cutoff)
    what = {"param": "parameter", "tag": "tag", "metric": "metric"}[kind]
    return (
        f"no run has a {what} {printable(own, 60)!r} yet: did you mean {' or '.join(map(repr, near))}?" if near else ""
    )


def meant_group(word: str, names: Names) -> str:
    """By what a word means to group. Raises ValueError."""
    if word in TABLE_GROUPS:
        return word
    groups = {kind: () if kind == "metric" else names[kind] for kind in KINDS}
    column = column_named(word, groups) or column_of(word)
    if column is not None and column.kind in ("param", "tag"):
        return column.name
    own = [name for names_of_kind in groups.values() for name in names_of_kind]
    near = get_close_matches(word, [*own, *TABLE_GROUPS], n=NEAREST)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"use {', '.join([*TABLE_GROUPS, *own[:6]])}"
    raise ValueError(f"a live table can't be grouped by {word!r}: {hint}")
