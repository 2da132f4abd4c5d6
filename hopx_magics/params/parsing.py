"""From what is written after `--param` and `--sweep` to values."""

import ast
import itertools
import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from .checking import checked_value, quoted

MOST_VALUES = 100_000
"""How many values one sweep may have, and how many combinations."""

_PYTHON_WORDS: dict[str, Any] = {
    "True": True,
    "False": False,
    "None": None,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
}
_BEGINS_LITERAL = ("[", "{", "(", "'", '"')
_DECIMAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)  # `.5` and `5.`, which are no JSON

_NUMBER = r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?"  # bounded, as it is computed exactly
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`, such as `lr=0.1`, `layers=[64, 32]` or `activation=relu`.

    The value is JSON (with NaN and Infinity), or else what Python writes for such a value, as that is what `{variable}`
    in a magic's line becomes: True, None, nan, lists, dicts, tuples (which become lists), quoted strings. Everything
    else is a string as it stands. Spaces around name and value do not count.

    Raises ValueError for what is no assignment, and for a literal that can't be a parameter, such as a set.
    """
    name, value = _split_name(text)
    return name, _value(name, value)


def parse_sweep(text: str) -> tuple[str, list[Any]]:
    """Name and values of `NAME=VALUE,VALUE,...`, `NAME=FIRST:LAST:STEP` or `NAME=[VALUE, ...]`.

    Each value is read as `parse_assignment` does it. Commas within brackets and quotes do not part values. A range
    includes its last value; without a step it goes by 1, upwards or downwards; it is computed exactly, so that
    `0:0.3:0.1` is 0.0, 0.1, 0.2, 0.3. Where numbers with `:` are meant as a text, it has to be quoted.

    Raises ValueError for what is no sweep, a step that leads away from the last value, and too many values.
    """
    name, source = _split_name(text)
    parts = list(_split_at_commas(name, source))
    if len(parts) == 1 and isinstance(listed := _value(name, source), list):
        return name, _all_values(name, listed)
    return name, _all_values(name, itertools.chain.from_iterable(_swept(name, part) for part in parts))


def combinations(sweeps: Mapping[str, Iterable[Any]], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the values, each together with `params`. The first sweep varies slowest.

    Raises ValueError when a name is in both, when there are no values, and when there are too many combinations.
    """
    if twice := sorted(sweeps.keys() & params.keys()):
        raise ValueError(f"{twice[0]!r} is both a parameter and swept over: give it once")
    values = [_all_values(name, given) for name, given in sweeps.items()]
    _check_count(math.prod(map(len, values)), "combinations")
    return [{**params, **dict(zip(sweeps, chosen, strict=True))} for chosen in itertools.product(*values)]


def _split_name(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    name = name.strip()
    if not sign:
        raise ValueError(f"{quoted(text)} is no parameter: use NAME=VALUE")
    if not name.isidentifier():
        raise ValueError(f"{quoted(name)} can't be the name of a parameter: use letters, digits and _")
    return name, value.strip()


def _all_values(name: str, given: Iterable[Any]) -> list[Any]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ValueError(f"the values of {name!r} are a {type(given).__name__}: use a list")
    values = list(itertools.islice(given, MOST_VALUES + 1))
    if not values:
        raise ValueError(f"there are no values for {name!r}")
    _check_count(len(values), f"values for {name!r}")
    return values


def _check_count(count: int, of_what: str) -> None:
    if count > MOST_VALUES:
        raise ValueError(f"there are too many {of_what}: use {MOST_VALUES:,} at most")


# ---------------------------------------------------------------- one value


def _value(name: str, text: str) -> Any:
    if text in _PYTHON_WORDS:
        return _PYTHON_WORDS[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if _DECIMAL.fullmatch(text):
        return float(text)
    if text.startswith(_BEGINS_LITERAL):
        try:
            literal = _python_literal(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return text
        return checked_value(name, literal)
    return text


def _python_literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a backslash in what may be no Python at all
        tree = ast.parse(text, mode="eval")
    return ast.literal_eval(_WithFloats().visit(tree))


class _WithFloats(ast.NodeTransformer):
    """Makes numbers of the names `nan` and `inf`, which is how Python writes them within a list."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in ("nan", "inf") else node


# ---------------------------------------------------------------- many values


def _split_at_commas(name: str, text: str) -> Iterator[str]:
    """The parts between commas that are in no brackets and no quotes. A quote within a word is an apostrophe."""
    part, depth, quote, escaped = "", 0, "", False
    for character in text:
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = character == "\\" and not escaped
        elif character in "\"'" and (depth or not part.strip()):
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth = max(0, depth - 1)
        elif character == "," and not depth:
            yield part.strip()
            part = ""
            continue
        part += character
    if depth or quote:
        raise ValueError(f"a bracket or a quote is not closed in the values of {name!r}: {quoted(text)}")
    yield part.strip()


def _swept(name: str, part: str) -> list[Any]:
    if not part:
        raise ValueError(f'a value of {name!r} is empty: write "" for an empty text')
    if found := _RANGE.fullmatch(part):
        return _range(name, part, [number for number in found.groups() if number])
    value = _value(name, part)
    if isinstance(value, str) and part.startswith("[") and part.endswith("]"):
        raise ValueError(
            f"{quoted(part)} is no list of values for {name!r}: quote its texts, or leave out the brackets"
        )
    return [value]


def _range(name: str, text: str, numbers: list[str]) -> list[int] | list[float]:
    first, last, *given = map(Fraction, numbers)
    step = given[0] if given else Fraction(1 if last >= first else -1)
    if step == 0 or (last - first) / step < 0:
        raise ValueError(f"{quoted(text)} has a step that does not lead to its end; quote it if {name!r} is a text")
    count = (last - first) // step + 1
    _check_count(count, f"values for {name!r}")
    values = [first + number * step for number in range(count)]
    return [int(value) for value in values] if all(map(_WHOLE.fullmatch, numbers)) else [float(v) for v in values]
