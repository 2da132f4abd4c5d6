"""The words of a magic's line: split, with the values of variables in them, and with what stays a text in quotes."""

import builtins
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import CodeType
from typing import Any, NamedTuple


def _braces(depth: int) -> str:
    """A pattern of braces with so many in one another."""
    return rf"\{{(?:[^{{}}]++|{_braces(depth - 1)})*+\}}" if depth else r"\{[^{}]*+\}"


_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n]+) | (?P<plain>(?:{_braces(4)}|[^ \t\r\n"'])+)
    | "(?P<double>(?:{_braces(4)}|[^"])*+)" | '(?P<single>(?:{_braces(4)}|[^'])*+)'""",
    re.VERBOSE,
)
_EXPRESSION = re.compile(
    rf"""\$(?:(?P<dollar>\$) | \{{(?P<enclosed>[A-Za-z_]\w*)\}} | (?P<name>[A-Za-z_]\w*)(?P<attributes>(?:\.\w+)*))
    | (?P<braces>{_braces(4)})""",
    re.VERBOSE,
)
_CONVERSION = re.compile(r"(.+)!([rsa])", re.DOTALL)
_CONVERSIONS: dict[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}


class Piece(NamedTuple):
    """A part of a word: as it was written, or a value that stood for. `quote` numbers the quotes around it, if any."""

    value: Any
    quote: int = 0
    is_value: bool = False
    in_single_quotes: bool = False


class Word(str):
    """A word of a line that is no option, whatever it begins with: as a `str` it begins with a space for argparse."""

    pieces: tuple[Piece, ...]

    def __new__(cls, pieces: Iterable[Piece]) -> "Word":
        kept = tuple(pieces)
        word = super().__new__(cls, " " + "".join(str(piece.value) for piece in kept))
        word.pieces = kept
        return word

    @property
    def text(self) -> str:
        """The word as a text, without its quotes."""
        return str(self)[1:]

    @property
    def is_quoted(self) -> bool:
        """Whether all of it stood in quotes."""
        return all(piece.quote for piece in self.pieces)


def one_by_one(word: Word) -> list[Word]:
    """The words that stand in one with commas between; a comma in quotes, or in a value, is none of these."""
    words: list[list[Piece]] = [[]]
    for piece in word.pieces:
        whole = piece.is_value or piece.quote
        first, *others = [piece.value] if whole else piece.value.split(",")
        words[-1].append(piece._replace(value=first))
        words += [[piece._replace(value=text)] for text in others]
    kept = ([piece for piece in each if piece.value != ""] for each in words)
    return [Word(each) for each in kept if each]


def split_line(line: str) -> list[list[Piece]]:
    """The words of a line, as they were written, and without a comment: a `#` on its own and what follows.

    Backslashes and any other `#` are ordinary characters. What is in `{}` stays together, with its quotes and spaces.

    Raises ValueError when a quote is not closed.
    """
    words: list[list[Piece]] = [[]]
    position, quotes = 0, 0
    while position < len(line):
        token = _TOKEN.match(line, position)
        if token is None:
            raise ValueError("a quote is not closed")
        position = token.end()
        if token["space"]:
            words.append([])
        elif token["plain"]:
            words[-1].append(Piece(token["plain"]))
        else:
            quotes += 1
            is_single = token["single"] is not None
            text = token["single"] if is_single else token["double"]
            words[-1].append(Piece(text, quotes, in_single_quotes=is_single))
    kept = [word for word in words if word]
    return kept[: kept.index([Piece("#")])] if [Piece("#")] in kept else kept


def without_semicolon(words: list[list[Piece]]) -> list[list[Piece]]:
    """The words of a line without the `;` at its end that silences it."""
    if not words or words[-1][-1].quote or not words[-1][-1].value.endswith(";"):
        return words
    *before, last = words[-1]
    text = last.value.removesuffix(";")
    rest = [*before, Piece(text)] if text else before
    return [*words[:-1], rest] if rest else words[:-1]


def with_values(word: Iterable[Piece], namespace: Mapping[str, Any], environment: Mapping[str, str]) -> Word:
    """A word with the values of what it names: `{expression}`, and `$name` where it is not in single quotes.

    Names are those of the notebook, and behind a `$` then those of `environment`. `{{` and `}}` around, or `$$`, stand
    for themselves, as does in braces what is no expression of Python, such as `{"a": 1}`.

    Raises ValueError for a name that there is not, and an expression that fails.
    """
    return Word(part for piece in word for part in _valued(piece, namespace, environment))


def _valued(piece: Piece, namespace: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Piece]:
    end = 0
    for found in _EXPRESSION.finditer(piece.value):
        if before := piece.value[end : found.start()]:
            yield Piece(before, piece.quote)
        if found["braces"] is not None:
            yield _in_braces(found["braces"], namespace)._replace(quote=piece.quote)
        elif piece.in_single_quotes or found["dollar"]:
            yield Piece(found[0] if piece.in_single_quotes else "$", piece.quote)
        else:
            yield from (each._replace(quote=piece.quote) for each in _behind_dollar(found, namespace, environment))
        end = found.end()
    if end < len(piece.value) or not piece.value:
        yield Piece(piece.value[end:], piece.quote)


def _in_braces(written: str, namespace: Mapping[str, Any]) -> Piece:
    inner = written[1:-1]
    if inner.startswith("{") and inner.endswith("}"):
        return Piece(inner)
    code, convert = compiled(inner), None
    if code is None and (conversion := _CONVERSION.fullmatch(inner.strip())):
        code, convert = compiled(conversion[1]), _CONVERSIONS[conversion[2]]
    if code is None:
        return Piece(written)
    value = _computed(written, code, namespace)
    return Piece(convert(value) if convert else value, is_value=True)


def _computed(written: str, code: CodeType, namespace: Mapping[str, Any]) -> Any:
    try:
        return eval(code, dict(namespace))
    except NameError as error:
        raise ValueError(f"{written}: {_no_variable(str(error.name), namespace)}") from None
    except Exception as error:  # it is the user's code, which can fail in any way
        raise ValueError(f"{written}: {type(error).__name__}: {str(error)[:200]}") from None


def compiled(expression: str) -> CodeType | None:
    """An expression of Python to be computed; None for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a backslash in what may be no Python at all
            return compile(expression.strip(), "<expression>", "eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _behind_dollar(
    found: re.Match[str], namespace: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[Piece]:
    """The value of a `$name`, of as many of the attributes behind it as there are, and the others as they stand."""
    name = found["enclosed"] or found["name"]
    if name not in namespace and name not in environment:
        other = ", nor has the environment" if environment else ""
        if name in os.environ and not environment:
            other = ", and those of the environment are for --env alone"
        raise ValueError(f"{found[0]}: {_no_variable(name, namespace)}{other}; in single quotes a $ is just that")
    value = namespace[name] if name in namespace else environment[name]
    attributes = (found["attributes"] or "").split(".")[1:]
    while attributes and hasattr(value, attributes[0]):
        value = getattr(value, attributes.pop(0))
    yield Piece(value, is_value=True)
    if attributes:
        yield Piece("".join(f".{attribute}" for attribute in attributes))


def _no_variable(name: str, namespace: Mapping[str, Any]) -> str:
    near = get_close_matches(name, [*map(str, namespace), *dir(builtins)], n=1)
    return f"the notebook has no variable {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
