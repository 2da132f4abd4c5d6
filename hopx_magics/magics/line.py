"""The line of a magic, parsed, with every mistake as a UsageError."""

import argparse
import itertools
import keyword
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from .words import Piece, Word, split_line, with_values, without_semicolon

if TYPE_CHECKING:
    from ..params import Written

OF_THE_ENVIRONMENT = ("--env", "--callback-header")
"""The options in which a `$NAME` may be a variable of the environment: the history keeps none of their values."""


class HelpAsked(Exception):
    """Somebody wants to read the help page instead of running the magic."""


class MagicParser(argparse.ArgumentParser):
    """Parses the line of one magic. Its errors are UsageErrors that name the nearest option."""

    def __init__(self, magic: str) -> None:
        super().__init__(prog=magic, add_help=False, allow_abbrev=False)

    def parse_line(self, line: str, namespace: Mapping[str, Any]) -> argparse.Namespace:
        """The arguments of a line, with variables of `namespace` put in. Raises UsageError and HelpAsked."""
        try:
            written = split_line(line)
            words = list(self._arguments(without_semicolon(written), namespace))
        except ValueError as error:
            self.error(str(error))
        if "-h" in words or "--help" in words:
            raise HelpAsked
        arguments, unknown = self.parse_known_intermixed_args(words)
        if unknown and isinstance(unknown[0], Word):
            self.error(f"{unknown[0].text!r} is one argument too many{self._naming(unknown[0].text)}")
        if unknown:
            name = "; in quotes it is a name" if "reference" in vars(arguments) else ""
            self.error(f"there is no option {unknown[0]}{self._nearest(unknown[0])}{name}")
        if hasattr(arguments, "quiet") and written != without_semicolon(written):
            arguments.quiet = True
        return arguments

    def error(self, message: str) -> NoReturn:
        from ..output.errors import in_short  # it takes time that loading has not got

        missing = message.removeprefix("the following arguments are required: ")
        if missing != message:
            message = f"{missing.replace(', ', ' and ')} {'are' if ', ' in missing else 'is'} missing"
        raise UsageError(f"{self.prog}: {in_short(message.removeprefix('argument '))} (help: {self.prog}?)")

    @property
    def options(self) -> list[str]:
        """All options, as they are written."""
        return list(self._option_string_actions)

    def choices(self, option: str) -> Iterable[str] | None:
        """The values that Tab offers for an option; None for what is no option, or one without a value."""
        action = self._option_string_actions.get(option)
        if action is None or action.nargs == 0:
            return None
        return () if action.nargs == "+" else getattr(action, "completions", ())

    def choices_behind(self, option: str) -> Iterable[str] | None:
        """The values that Tab offers behind the first one of several words of an option."""
        action = self._option_string_actions.get(option)
        return getattr(action, "completions", None) if action is not None and action.nargs == "+" else None

    def _arguments(self, words: Iterable[list[Piece]], namespace: Mapping[str, Any]) -> Iterator[str]:
        """The options as they are, and values and all other words as a Word each; behind `--` there are no options."""
        rest = iter(words)
        for word in rest:
            option, value = self._option(word)
            if option == "--":
                yield from (with_values(word, namespace, {}) for word in rest)
                return
            if option is None:
                yield with_values(word, namespace, {})
                continue
            yield option
            if value is None and self._takes_next(option):
                value = next(rest, None)
            if value is not None:
                yield with_values(value, namespace, os.environ if option in OF_THE_ENVIRONMENT else {})

    def _option(self, word: list[Piece]) -> tuple[str | None, list[Piece] | None]:
        """The option that a word is, and its value if that is in the word, too: `--limit=5`."""
        first, *rest = word
        if first.quote or not first.value.startswith("-") or first.value == "-":
            return None, None
        option, equals, value = first.value.partition("=")
        if not equals or not option.startswith("--"):
            return "".join(piece.value for piece in word), None
        action = self._option_string_actions.get(option)
        if action is not None and action.nargs == 0:
            raise ValueError(f"{'/'.join(action.option_strings)} takes no value")
        return option, [Piece(value), *rest] if value or not rest else rest

    def _takes_next(self, option: str) -> bool:
        """Whether the next word is the option's value, whatever it looks like, as in `--sort -pid`."""
        action = self._option_string_actions.get(option)
        return action is not None and action.nargs is None and option.startswith("--")

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


def text_of(word: str) -> str:
    """A word of the line, or a default, as a text."""
    return word.text if isinstance(word, Word) else word


def written(word: str) -> "Written":
    """What is written in a word: bare texts to be read, and values and quoted texts, which stay what they are.

    Quotes around all of `NAME=VALUE` only keep it together.
    """
    from ..params import Given

    pieces = word.pieces if isinstance(word, Word) else (Piece(word),)
    outer = next((piece.quote for piece in pieces if not piece.is_value and "=" in piece.value), 0)
    parts: list[str | Given] = []
    for quote, group in itertools.groupby(pieces, key=lambda piece: 0 if piece.quote == outer else piece.quote):
        if quote:
            parts.append(Given("".join(str(piece.value) for piece in group)))
        else:
            parts += [Given(piece.value) if piece.is_value else str(piece.value) for piece in group]
    return parts


def checked(check: Callable[[Any], Any], convert: Callable[[str], Any] = text_of) -> Callable[[str], Any]:
    """`check` of what `convert` makes of a word, as the `type` of an argument: the user reads its ValueError."""

    def checked_word(word: str) -> Any:
        try:
            return check(convert(word))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked_word


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
