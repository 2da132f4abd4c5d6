"""The line of a magic: split into words, expanded where wanted, and parsed, with every mistake as a UsageError."""

import argparse
import itertools
import keyword
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.utils.text import DollarFormatter

_BRACES = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}")
_PLACE = "\ue000"
"""Stands for an expression in braces while a line is split. It is no character of any language."""


def split_line(line: str) -> list[str]:
    """The words of a line, without the quotes around them, and without a comment: a `#` on its own and what follows.

    Backslashes and any other `#` are ordinary characters. What is in `{}` stays together, with its quotes and spaces.

    Raises ValueError when a quote is not closed.
    """
    braces = _BRACES.findall(line)
    words = shlex.shlex(_BRACES.sub(_PLACE, line), posix=True, punctuation_chars=False)
    words.whitespace_split = True
    words.escape = ""
    words.commenters = ""
    kept = itertools.takewhile(lambda word: word != "#", words)
    contents = iter(braces)
    return [re.sub(_PLACE, lambda _: next(contents, ""), word) for word in kept]


def expanded(text: str, namespace: Mapping[str, Any]) -> str:
    """`text` with `{expression}` and `$name` replaced by their values; as it is when they have none."""
    if "{" not in text and "$" not in text:
        return text
    try:
        return str(DollarFormatter().vformat(text, args=[], kwargs=dict(namespace)))
    except Exception:  # an expression is the user's code and can fail in any way; the text may be meant as it is
        return text


class HelpAsked(Exception):
    """Somebody wants to read the help page instead of running the magic."""


class MagicParser(argparse.ArgumentParser):
    """Parses the line of one magic. Its errors are UsageErrors that name the nearest option."""

    def __init__(self, magic: str) -> None:
        super().__init__(prog=magic, add_help=False, allow_abbrev=False)

    def parse_line(self, line: str, namespace: Mapping[str, Any]) -> argparse.Namespace:
        """The arguments of a line, with variables of `namespace` put in. Raises UsageError and HelpAsked."""
        try:
            words = split_line(line)
        except ValueError:
            self.error("a quote is not closed")
        words = [expanded(word, namespace) for word in self._with_values_joined(words)]
        if "-h" in words or "--help" in words:
            raise HelpAsked
        arguments, unknown = self.parse_known_intermixed_args(words)
        if unknown and not unknown[0].startswith("-"):
            self.error(f"{unknown[0]!r} is one argument too many{self._naming(unknown[0])}")
        if unknown:
            self.error(f"there is no option {unknown[0]}{self._nearest(unknown[0])}")
        return arguments

    def error(self, message: str) -> NoReturn:
        from ..output.errors import in_short  # it takes time that loading has not got

        missing = message.removeprefix("the following arguments are required: ")
        if missing != message:
            message = f"{missing.replace(', ', ' and ')} {'are' if ', ' in missing else 'is'} missing"
        message = re.sub(r": ignored explicit argument .*", " takes no value", message)
        raise UsageError(f"{self.prog}: {in_short(message.removeprefix('argument '))} (help: {self.prog}?)")

    @property
    def options(self) -> list[str]:
        """All options, as they are written."""
        return list(self._option_string_actions)

    def choices(self, option: str) -> Iterable[str] | None:
        """The values that Tab offers for an option; None for what is no option, or one without a value."""
        action = self._option_string_actions.get(option)
        return None if action is None or action.nargs == 0 else getattr(action, "completions", ())

    def _with_values_joined(self, words: list[str]) -> list[str]:
        """`--sort -pid` as `--sort=-pid`: argparse would take a value that begins with a dash for an option."""
        joined: list[str] = []
        rest = iter(words)
        for word in rest:
            action = self._option_string_actions.get(word)
            takes_value = action is not None and action.nargs is None and word.startswith("--")
            value = next(rest, None) if takes_value else None
            joined.append(word if value is None else f"{word}={value}")
        return joined

    def _naming(self, word: str) -> str:
        """What to do with a word that is meant as a name."""
        if "--name" not in self.options:
            return ""
        return f"; --name {word} gives that name" if self.prog.startswith("%%") else f"; --name {word} chooses by name"

    def _nearest(self, option: str) -> str:
        names = {known.strip("-"): known for known in self.options if known.startswith("--")}
        word = option.partition("=")[0].strip("-")
        near = get_close_matches(word, names, n=1) if len(word) > 1 else []
        return f"; did you mean {names[near[0]]}?" if near else f"; it has {', '.join(self.options) or 'none'}"


def checked(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """`check` as the `type` of an argument: its ValueError is what the user reads."""

    def convert(text: str) -> Any:
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def assignment(text: str) -> tuple[str, str]:
    """`NAME=VALUE` in its two parts."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def once(option: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The values of an option that may be given once for each name. Raises ValueError for a name that comes again."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{option} {name} is given twice")
        values[name] = value
    return values


def whole_number(text: str) -> int:
    """A count of 0 or more."""
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def words_of(text: str) -> list[str]:
    """The parts of `a,b`."""
    return [word for word in text.replace(",", " ").split() if word]


def identifier(text: str) -> str:
    """The name of a Python variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError(f"{text!r} can't be the name of a variable")
    return text
