"""Calls of functions as code, and the variables that this code needs."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from ..errors import ValueRefused
from .packed import Call, Packed
from .packing import Notebook, pack_beside, pack_named

_ARGS, _KWARGS, _FUNCTION = "_args", "_kwargs", "_function"

LONGEST_LITERAL = 200
"""Characters of arguments that are written into the code."""


class Callee:
    """A function that is to be called in other processes: packed once, with all that it needs itself.

    Raises ValueRefused for one that can't travel, ValueError for what is no function.
    """

    def __init__(self, function: Callable[..., Any], state: Iterable[Call] = ()) -> None:
        if not callable(function):
            raise ValueError(f"{str(function)[:60]!r} is no function: a function is called, with its arguments beside")
        self._main = _main_of(function)
        self._name = _name_in(self._main, function)
        self.label = self._name if self._name != _FUNCTION else _plain(function)
        """What it is called."""
        self.awaits = iscoroutinefunction(function)
        """Whether what it returns is to be awaited."""
        self._notebook = Notebook({**self._main, self._name: function}, main=self._main)
        try:
            self.packed = pack_named([self._name], self._notebook)._replace(state=tuple(state))
        except ValueRefused as error:
            raise _advised(error, error.message.replace(_FUNCTION, self.label)) from error

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, Packed]:
        """The code that calls it, and what this code needs. Raises ValueRefused for an argument that can't travel."""
        called = f"{'await ' if self.awaits else ''}{self._name}"
        literals = [_literal(value) for value in (*args, *kwargs.values())]
        if None not in literals and sum(map(len, filter(None, literals))) <= LONGEST_LITERAL:
            names = [*[""] * len(args), *(f"{name}=" for name in kwargs)]
            return f"{called}({', '.join(map('{}{}'.format, names, literals))})", self.packed
        given = {_ARGS: tuple(args), _KWARGS: dict(kwargs)}
        starred = [f"{stars}{name}" for name, stars in ((_ARGS, "*"), (_KWARGS, "**")) if given[name]]
        return f"{called}({', '.join(starred)})", self._packed(given, args, kwargs)

    def _packed(self, given: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Packed:
        named = {f"argument {number} of {self.label}": value for number, value in enumerate(args, 1)}
        named |= {f"argument {name} of {self.label}": value for name, value in kwargs.items()}
        try:
            if not any(isinstance(value, Iterator) for value in named.values()):
                return pack_beside(self.packed, given, self._notebook)
        except ValueRefused:
            pass  # which of them it is, is told by packing each on its own
        try:
            for label, value in named.items():
                pack_beside(self.packed, {label: value}, self._notebook)
        except ValueRefused as error:
            raise _advised(error, error.message) from error
        return pack_beside(self.packed, given, self._notebook)


def _advised(error: ValueRefused, message: str) -> ValueRefused:
    return ValueRefused(message, hint="Let the function make it itself.")


def _main_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The globals of the notebook, or of the script, in which a function is called."""
    own: dict[str, Any] = getattr(_unwrapped(function), "__globals__", {})
    return own if own.get("__name__") == "__main__" else vars(sys.modules["__main__"])


def _unwrapped(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _plain(function: Any) -> str:
    return str(getattr(_unwrapped(function), "__name__", type(function).__name__))


def _name_in(main: Mapping[str, Any], function: Any) -> str:
    """A name for it that means nothing else there: its own, or the one that it has there."""
    name = str(getattr(function, "__name__", ""))
    if name.isidentifier() and main.get(name, function) is function:
        return name
    return next((name for name, value in main.items() if value is function and name[0] != "_"), _FUNCTION)


def _literal(value: Any) -> str | None:
    """A plain value as it is written in code; None for any other."""
    kind = type(value)
    if value is None or kind in (bool, int) or (kind is float and math.isfinite(value)):
        return repr(value)
    if kind in (str, bytes) and len(value) <= LONGEST_LITERAL:
        return ascii(value)
    if kind in (list, tuple, dict) and len(value) <= LONGEST_LITERAL // 2:
        parts = value if kind is not dict else (part for item in value.items() for part in item)
        return ascii(value) if all(_literal(part) is not None for part in parts) else None
    return None


def packed_call(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, Packed]:
    """The code that calls the function, and its variables. Raises ValueRefused for what can't travel."""
    return Callee(function).call(args, kwargs)
