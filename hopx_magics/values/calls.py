"""Calls of functions as code, and the variables that this code needs."""

import builtins
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from inspect import Parameter, iscoroutinefunction, signature
from typing import Any, NamedTuple

from ..errors import ValueRefused
from .packed import Call, Packed
from .packing import Notebook, pack_beside, pack_named

_ARGS, _KWARGS, _FUNCTION = "_args", "_kwargs", "_function"

LONGEST_LITERAL = 200
"""Characters of an argument that is written into the code."""

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_LARGEST = 2**53


class Written(NamedTuple):
    """A call as code, what this code needs, None in a fork, and its plain arguments: parameters of the run."""

    code: str
    packed: Packed | None
    params: Mapping[str, Any]


class Callee:
    """A function that is to be called in other processes: packed once, with all that it needs itself.

    Raises ValueRefused for one that can't travel, ValueError for what is no function.
    """

    def __init__(self, function: Callable[..., Any], state: Iterable[Call] = ()) -> None:
        if not callable(function):
            raise ValueError(f"{str(function)[:60]!r} is no function: a function is called, with its arguments beside")
        self._main = _main_of(function)
        self._name = _name_in(self._main, function)
        self.label = self._name if self._name != _FUNCTION else plain_name(function)
        """What it is called."""
        self.awaits = iscoroutinefunction(function)
        """Whether what it returns is to be awaited."""
        self._notebook = Notebook({**self._main, self._name: function}, main=self._main)
        try:
            self.packed = pack_named([self._name], self._notebook)._replace(state=tuple(state))
        except ValueRefused as error:
            raise _advised(error, error.message.replace(_FUNCTION, self.label)) from error
        self._names = [name for name, kind in _parameters(function).items() if kind in _POSITIONAL]
        self._free = self._free_names(function)

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Written:
        """The code that calls it, and what this code needs. Raises ValueRefused for an argument that can't travel."""
        params: dict[str, Any] = {}
        names = [*self._names[: len(args)], *[""] * (len(args) - len(self._names))]
        texts = [self._text(names[i], value, f"{_ARGS}[{i}]", params) for i, value in enumerate(args)]
        texts += [f"{key}={self._text(key, value, f'{_KWARGS}[{key!r}]', params)}" for key, value in kwargs.items()]
        code = f"{'await ' if self.awaits else ''}{self._name}({', '.join(texts)})"
        if _ARGS not in code and _KWARGS not in code:
            return Written(code, self.packed, params)
        given = {_ARGS: tuple(args), _KWARGS: dict(kwargs)}
        return Written(code, self._packed(given, args, kwargs), params)

    def _text(self, name: str, value: Any, place: str, params: dict[str, Any]) -> str:
        """How an argument is written: as a parameter of the run, as it is, or as what is sent along."""
        literal = _literal(value)
        if literal is None or len(literal) > LONGEST_LITERAL:
            return place
        if name in self._free and _is_param(value):
            params[name] = value
            return name
        return literal

    def _free_names(self, function: Callable[..., Any]) -> set[str]:
        """The names of its arguments that mean nothing else to it and to what it uses, as far as that is known."""
        if self._name in (datum.name for datum in self.packed.data):  # what it uses is in its pickle
            return set()
        return {name for name in _parameters(function) if name[0] != "_"} - {*self.packed.names, *dir(builtins)}

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


def call_as_it_is(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The code that calls a function where it is, in a fork of this program, and the variables that this code needs."""
    if not callable(function):
        raise ValueError(f"{str(function)[:60]!r} is no function: a function is called, with its arguments beside")
    name = _name_in(_main_of(function), function)
    code = f"{'await ' if iscoroutinefunction(function) else ''}{name}(*{_ARGS}, **{_KWARGS})"
    return code, {name: function, _ARGS: tuple(args), _KWARGS: dict(kwargs)}


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


def plain_name(function: Any) -> str:
    """What a function is called, whatever it is."""
    return str(getattr(_unwrapped(function), "__name__", type(function).__name__))


def _name_in(main: Mapping[str, Any], function: Any) -> str:
    """A name for it that means nothing else there: its own, or the one that it has there."""
    name = str(getattr(function, "__name__", ""))
    if name.isidentifier() and main.get(name, function) is function:
        return name
    return next((name for name, value in main.items() if value is function and name[0] != "_"), _FUNCTION)


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """The kinds of its named parameters; nothing of one that does not tell."""
    try:
        found = signature(function).parameters.values()
    except (ValueError, TypeError):
        return {}
    return {one.name: one.kind for one in found if one.kind in (*_POSITIONAL, Parameter.KEYWORD_ONLY)}


def _is_param(value: Any) -> bool:
    return value is None or type(value) in (bool, str, float) or (type(value) is int and abs(value) < _LARGEST)


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
