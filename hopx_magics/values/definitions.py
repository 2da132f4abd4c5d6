"""Functions and classes of a notebook as the source that defines them, where that says all there is to them.

Source works in another Python and in children that import the cell, which a function pickled by value does not.
"""

import ast
import functools
import linecache
import textwrap
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any, TypeGuard

from .packed import Definition

_MAIN = "__main__"

_Cached = type(functools.cache(str))


def definition_of(value: object) -> Definition | None:
    """The source that defines a function or class of the notebook, None where running it would not make the same."""
    if not is_defined_there(value) or "." in getattr(value, "__qualname__", "."):
        return None
    if isinstance(value, type):
        return _of_class(value)
    if isinstance(value, FunctionType):
        return _of_function(value)
    return _of_function(value.__wrapped__, cached=True) if isinstance(value.__wrapped__, FunctionType) else None


def is_defined_there(value: object) -> TypeGuard["FunctionType | type | functools._lru_cache_wrapper[Any]"]:
    """Whether it is a function or class of the notebook, which pickle would only look up by its name."""
    return isinstance(value, (FunctionType, type, _Cached)) and getattr(value, "__module__", None) == _MAIN


def _of_function(function: FunctionType, *, cached: bool = False) -> Definition | None:
    if function.__closure__ or vars(function):
        return None
    for definition, node in _found(function.__name__, [function.__code__]):
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and bool(node.decorator_list) is cached
            and _literals(node.args.defaults) == list(function.__defaults__ or ())
            and _keyword_literals(node.args) == (function.__kwdefaults__ or {})
            and _same(_code_in(definition, function.__name__), function.__code__)
        ):
            return definition
    return None


def _of_class(kind: type) -> Definition | None:
    methods = {name: method for name, method in vars(kind).items() if isinstance(method, FunctionType)}
    for definition, node in _found(kind.__name__, [method.__code__ for method in methods.values()]):
        if not isinstance(node, ast.ClassDef) or not (body := _code_in(definition, kind.__name__)):
            continue
        if any(not name.startswith("_") and name not in body.co_names for name in vars(kind)):
            continue  # something was added to it later
        written = {code.co_name: code for code in body.co_consts if isinstance(code, CodeType)}
        if all(_same(code, methods[name].__code__) for name, code in written.items() if name in methods):
            return definition
    return None


# ------------------------------------------------------------ finding source


def _found(name: str, codes: list[CodeType]) -> Iterator[tuple[Definition, ast.stmt]]:
    """The definitions of that name: where its code says it is, else in the cells, the newest first."""
    cells = _cells()
    named = dict.fromkeys(code.co_filename for code in codes)
    for file in [file for file in named if file in cells] or list(cells)[::-1]:
        lines = cells[file]
        try:
            body = ast.parse("".join(lines)).body
        except SyntaxError:  # a cell with magics: IPython keeps the Python that it made of it, so there is none
            continue
        for node in reversed(body):
            if getattr(node, "name", None) == name:
                first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
                source = textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
                yield Definition(name, source, file, first), node


def _cells() -> dict[str, list[str]]:
    """The lines of each cell, by the name that IPython gives it in place of a file's, the oldest first."""
    entries = ((file, entry) for file, entry in list(linecache.cache.items()) if len(entry) == 4)
    return {file: entry[2] for file, entry in entries if entry[1] is None}


# ------------------------------------------------------------ comparing


def _code_in(definition: Definition, name: str) -> CodeType | None:
    """The code of what the source defines."""
    try:
        module = compile(definition.source, definition.file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return next((code for code in module.co_consts if isinstance(code, CodeType) and code.co_name == name), None)


def _same(one: CodeType | None, other: CodeType) -> bool:
    """Whether both do the same: all but where they stand."""
    if one is None or one.co_code != other.co_code or len(one.co_consts) != len(other.co_consts):
        return False
    if (one.co_names, one.co_varnames, one.co_freevars) != (other.co_names, other.co_varnames, other.co_freevars):
        return False
    pairs = zip(one.co_consts, other.co_consts, strict=True)
    return all(_same(a, b) if isinstance(b, CodeType) and isinstance(a, CodeType) else _equal(a, b) for a, b in pairs)


def _equal(one: object, other: object) -> bool:
    return type(one) is type(other) and (one == other or repr(one) == repr(other))


class _NoLiteral:
    """Equal to nothing, itself included."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _literals(nodes: list[ast.expr]) -> list[Any]:
    return [_literal(node) for node in nodes]


def _keyword_literals(arguments: ast.arguments) -> Mapping[str, Any]:
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {argument.arg: _literal(default) for argument, default in pairs if default is not None}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _NoLiteral()
