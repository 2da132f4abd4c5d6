"""What may be a parameter: its name in each language, and its value."""

import json
import keyword
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from ..words import Language, word_set

DEEPEST = 20
"""How many lists and dicts may be in one another."""

MOST_CHARACTERS = 1_000_000
"""How long all parameters of a launch may be, written as JSON."""

_TOO_LONG = f"the parameters are longer than {MOST_CHARACTERS:,} characters: write them to a file"

_LARGEST = 10**300  # Python itself refuses to write down what has thousands of digits
_LARGEST_IN_JAVASCRIPT = 2**53 - 1

_ASCII_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


_TAKEN: dict[Language, frozenset[str]] = {
    "python": frozenset({*keyword.kwlist, "__debug__"}),
    "bash": word_set("""
        if then elif else fi for in do done case esac while until function select time coproc
        EUID PPID SHELLOPTS UID
        _ DIRSTACK EPOCHREALTIME EPOCHSECONDS FUNCNAME GROUPS HISTCMD LINENO OPTIND PIPESTATUS RANDOM SECONDS SRANDOM
    """),
    "javascript": word_set("""
        arguments await break case catch class const continue debugger default delete do else enum eval export extends
        false finally for function if implements import in instanceof interface let new null package private protected
        public return static super switch this throw true try typeof var void while with yield
        undefined NaN Infinity
        exports require module __filename __dirname
    """),
}
"""What can't be given a value: reserved words, and variables to which the language or its runtime gives its own."""


def quoted(text: str) -> str:
    """A text for an error message: in quotes, without control characters, and not too long."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def checked_params(params: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """The params as plain values, under names that are variables in that language.

    Plain are numbers, texts, True and False, None, and lists and dicts of them. Tuples, ranges, and what has
    `tolist()`, such as numpy's numbers and arrays, become that. Raises ValueError for everything else, and for any
    params of a go cell.
    """
    check_language(params, language)
    checked: dict[str, Any] = {}
    for given, value in params.items():
        name = _checked_name(given, language)
        if name in checked:
            raise ValueError(f"the parameter {name!r} is given twice")
        checked[name] = checked_value(name, value)
        _check_for_language(name, checked[name], language)
    if len(json.dumps(checked)) > MOST_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return checked


def check_language(params: Mapping[str, Any], language: Language) -> None:
    """Raises ValueError when there are params for a language that can't have any."""
    if params and language not in _TAKEN:
        raise ValueError(f"parameters are not for {language} cells: use --env")


def _checked_name(name: str, language: Language) -> str:
    is_python = language == "python"
    if not isinstance(name, str) or not (name.isidentifier() if is_python else _ASCII_NAME.fullmatch(name)):
        allowed = "letters, digits and _" if is_python else "the letters a to z, digits and _"
        raise ValueError(f"{quoted(str(name))} can't be the name of a parameter in {language}: use {allowed}")
    name = unicodedata.normalize("NFKC", name)  # as Python itself does with names
    if name in _TAKEN[language] or (language == "bash" and name.startswith("BASH")):
        raise ValueError(f"{name!r} can't be the name of a parameter: it means something else in {language}")
    return name


def checked_value(name: str, value: Any) -> Any:
    """The value of a parameter as a plain one, see `checked_params`. `name` is for the error message."""
    return _plain(name, value, depth=0)


def _plain(name: str, value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"the value of {name!r} is nested deeper than {DEEPEST} lists or dicts")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _plain_int(name, value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _plain_text(name, value)
    if isinstance(value, list | tuple | range):
        if value[MOST_CHARACTERS:]:
            raise ValueError(_TOO_LONG)
        return [_plain(name, item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_plain_key(name, key): _plain(name, item, depth + 1) for key, item in value.items()}
    if hasattr(type(value), "tolist") and not _is_of_moments(value):
        size = getattr(value, "size", 0)
        if isinstance(size, int) and size > MOST_CHARACTERS:
            raise ValueError(_TOO_LONG)
        return _plain(name, value.tolist(), depth + 1)
    raise ValueError(f"the value of {name!r} is {_described(value)}")


def _is_of_moments(value: Any) -> bool:
    """Whether it holds numpy's moments or spans, which as plain values could be bare nanoseconds."""
    return getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M")


def _described(value: Any) -> str:
    """What kind of value it is, what a parameter can be, and how this one can be handed over all the same."""
    is_frame = any(each.__name__ == "DataFrame" for each in type(value).__mro__)
    way = "write it to a file, and give the file's name" if is_frame else "give it as one, as with str(...)"
    return f"a {type(value).__name__}: a parameter is a number, a string, or JSON; {way}"


def _plain_int(name: str, value: int) -> int:
    if abs(value) >= _LARGEST:
        raise ValueError(f"the value of {name!r} has more than 300 digits")
    return int(value)


def _plain_text(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the value of {name!r} has half of a surrogate pair, which is no character") from None
    return str.__str__(text)  # a string of its own class may call itself otherwise


def _plain_key(name: str, key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"the value of {name!r} has a key of type {type(key).__name__}: keys are strings")
    return _plain_text(name, key)


def _check_for_language(name: str, value: Any, language: Language) -> None:
    if language == "bash" and isinstance(value, str) and "\0" in value:
        raise ValueError(f"the value of {name!r} has a NUL character, which bash can't hold")
    if language == "javascript" and _has_large_int(value):
        raise ValueError(f"the value of {name!r} is larger than JavaScript's whole numbers: give it as a string")


def _has_large_int(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(map(_has_large_int, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and abs(value) > _LARGEST_IN_JAVASCRIPT
