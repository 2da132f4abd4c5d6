"""From what is written after `--param` and `--sweep` to values."""

import ast
import itertools
import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

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


class Given(NamedTuple):
    """A value within what is written that is not read from a text: a variable's, or a text in quotes."""

    value: Any


Written = Sequence[str | Given]
"""What is written after an option: texts, which are read, and values, which stay what they are."""


def parse_assignment(written: str | Written) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`, such as `lr=0.1`, `layers=[64, 32]` or `activation=relu`.

    A text is read as JSON (with NaN and Infinity), or else as what Python writes for such a value: True, None, nan,
    lists, dicts, tuples (which become lists), quoted strings. Everything else is a string as it stands. Spaces around
    name and value do not count. A value that is given stays what it is; within brackets it is one of theirs, among
    digits a number of them, and beside other text its text.

    Raises ValueError for what is no assignment, and for a value that can't be a parameter, such as a set.
    """
    name, value = _split_name([written] if isinstance(written, str) else written)
    return name, _value(name, value)


def parse_sweep(written: str | Written) -> tuple[str, list[Any]]:
    """Name and values of `NAME=VALUE,VALUE,...`, `NAME=FIRST:LAST:STEP` or `NAME=[VALUE, ...]`.

    Each value is read as `parse_assignment` does it. Commas within brackets and quotes do not part values. A range
    includes its last value; without a step it goes by 1, upwards or downwards; it is computed exactly, so that
    `0:0.3:0.1` is 0.0, 0.1, 0.2, 0.3. Where numbers with `:` are meant as a text, it has to be quoted.

    Raises ValueError for what is no sweep, a step that leads away from the last value, and too many values.
    """
    name, source = _split_name([written] if isinstance(written, str) else written)
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


def _split_name(written: Written) -> tuple[str, list[str | Given]]:
    first, *rest = written or [""]
    if not isinstance(first, str) or "=" not in first:
        raise ValueError(f"{quoted(_as_text(written))} is no parameter: use NAME=VALUE")
    name, _, value = first.partition("=")
    rest = [part if isinstance(part, str) else Given(_scalar(part.value)) for part in rest]
    if not name.strip().isidentifier():
        raise ValueError(f"{quoted(name.strip())} can't be the name of a parameter: use letters, digits and _")
    return name.strip(), _stripped([value, *rest])


def _scalar(value: Any) -> Any:
    """A number of numpy as one of Python."""
    return value.item() if getattr(value, "ndim", None) == 0 and getattr(value.dtype, "kind", "") in "biuf" else value


def _stripped(parts: Sequence[str | Given]) -> list[str | Given]:
    """Without spaces around it, and without empty texts."""
    kept = [part for part in parts if part != ""]
    for index, strip in ((0, str.lstrip), (-1, str.rstrip)):
        if kept and isinstance(text := kept[index], str):
            kept[index] = strip(text)
    return [part for part in kept if part != ""]


def _as_text(parts: Sequence[str | Given]) -> str:
    return "".join(part if isinstance(part, str) else str(part.value) for part in parts)


def _all_values(name: str, given: Iterable[Any]) -> list[Any]:
    if isinstance(given, str | bytes | Mapping) or hasattr(given, "columns") or not isinstance(given, Iterable):
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


def _value(name: str, parts: Sequence[str | Given]) -> Any:
    if len(parts) == 1 and isinstance(only := parts[0], Given):
        return checked_value(name, only.value)
    if _is_text_or_numbers(parts):
        return _read(name, _as_text(parts))
    if isinstance(first := parts[0], str) and first.startswith(_BEGINS_LITERAL):
        value = _read(name, "".join(part if isinstance(part, str) else _literal(name, part) for part in parts))
        return _as_text(parts) if isinstance(value, str) else value
    return _as_text(parts)


def _is_text_or_numbers(parts: Sequence[str | Given]) -> bool:
    """Whether all of it can be read as if it had been written."""
    return all(isinstance(part, str) or type(part.value) in (int, float) for part in parts)


def _literal(name: str, given: Given) -> str:
    return repr(checked_value(name, given.value))


def _read(name: str, text: str) -> Any:
    """The value that a text stands for."""
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


def _split_at_commas(name: str, parts: Sequence[str | Given]) -> Iterator[list[str | Given]]:
    """The parts between commas that are in no brackets and no quotes. A quote within a word is an apostrophe."""
    value: list[str | Given] = []
    depth, quote, escaped = 0, "", False
    for atom in _atoms(parts):
        if isinstance(atom, Given):
            pass
        elif quote:
            quote = "" if atom == quote and not escaped else quote
            escaped = atom == "\\" and not escaped
        elif atom in "\"'" and (depth or all(isinstance(each, str) and each.isspace() for each in value)):
            quote = atom
        elif atom in "[{(":
            depth += 1
        elif atom in "]})":
            depth = max(0, depth - 1)
        elif atom == "," and not depth:
            yield _joined(value)
            value = []
            continue
        value.append(atom)
    if depth or quote:
        raise ValueError(f"a bracket or a quote is not closed in the values of {name!r}: {quoted(_as_text(parts))}")
    yield _joined(value)


def _atoms(parts: Iterable[str | Given]) -> Iterator[str | Given]:
    """The single characters, and the values."""
    for part in parts:
        yield from part if isinstance(part, str) else [part]


def _joined(atoms: Iterable[str | Given]) -> list[str | Given]:
    """Characters and values with the characters put together, without spaces around them."""
    parts: list[str | Given] = []
    for is_text, group in itertools.groupby(atoms, key=lambda atom: isinstance(atom, str)):
        run = list(group)
        parts += ["".join(map(str, run))] if is_text else run
    return _stripped(parts)


def _swept(name: str, parts: Sequence[str | Given]) -> list[Any]:
    if not parts:
        raise ValueError(f'a value of {name!r} is empty: write "" for an empty text')
    text = _as_text(parts)
    if _is_text_or_numbers(parts) and (found := _RANGE.fullmatch(text)):
        return _range(name, text, [number for number in found.groups() if number])
    value = _value(name, parts)
    if isinstance(value, str) and parts == [text] and text.startswith("[") and text.endswith("]"):
        raise ValueError(
            f"{quoted(text)} is no list of values for {name!r}: quote its texts, or leave out the brackets"
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
