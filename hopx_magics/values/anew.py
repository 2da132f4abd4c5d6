"""What pickle would look up in the notebook by its name, and what can be made anew in the process from its parts."""

import functools
import typing
from collections.abc import Callable
from types import FunctionType
from typing import Any

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]

_DISPATCHING = (
    "lambda function, ways: [made := __import__('functools').singledispatch(function),"
    " [made.register(*way) for way in ways]][0]"
)


def made_anew(value: Any) -> Reduced | None:
    """What makes such a value of typing or of `functools.singledispatch`, as pickle takes it; None for others."""
    kind: Any = type(value)
    if kind in _TYPING and value.__module__ == "__main__":
        return functools.partial(kind, value.__name__, *_TYPING[kind](value), **_variance(value)), ()
    if kind is FunctionType and "registry" in vars(value) and "dispatch" in vars(value):
        ways = [(each, way) for each, way in value.registry.items() if each is not object]
        return _Evaluated(_DISPATCHING), (value.__wrapped__, ways)
    return None


_TYPING: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    typing.TypeVar: lambda variable: variable.__constraints__,
    typing.ParamSpec: lambda variable: (),
    typing.TypeVarTuple: lambda variable: (),
    typing.NewType: lambda kind: (kind.__supertype__,),
}
"""The arguments behind the name, by which they are made."""


def _variance(value: Any) -> dict[str, Any]:
    given = {name: getattr(value, f"__{name}__", None) for name in ("bound", "covariant", "contravariant")}
    return {name: told for name, told in given.items() if told}


class _Evaluated:
    """Stands for a function that the process makes of its source."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __call__(self) -> None:
        """It is called in the process alone; pickle wants to see that it can be."""

    def __reduce__(self) -> Reduced:
        return eval, (self._source,)
