"""A call of a function as code, and the variables that this code needs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .packed import Packed
from .packing import Notebook, pack_named


def packed_call(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, Packed]:
    """The code that calls the function, and its variables. Raises ValueRefused for what can't travel."""
    name = getattr(function, "__name__", "")
    if not name.isidentifier():  # a lambda, or a partial
        name = "function"
    given = {name: function, "args": tuple(args), "kwargs": dict(kwargs)}
    namespace = {**getattr(function, "__globals__", {}), **given}
    return f"{name}(*args, **kwargs)", pack_named(
        given, Notebook(namespace, main=getattr(function, "__globals__", None))
    )
