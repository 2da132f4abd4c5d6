"""Functions and classes of a notebook as the source that defines them, where that says all there is to them.

Source works in another Python and in children that import the cell, which a function pickled by value does not.
"""

import ast
import functools
import linecache
import sys
import textwrap
from collections.abc import Mapping
from enum import EnumMeta
from types import CodeType, FunctionType
from typing import Any, TypeGuard

from .packed import Cell, Definition

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
    definition, node = _found(function.__name__, [function.__code__])
    if (
        definition
        and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and bool(node.decorator_list) is cached
        and _literals(node.args.defaults) == list(function.__defaults__ or ())
        and _keyword_literals(node.args) == (function.__kwdefaults__ or {})
        and _same(_code_in(definition, function.__name__), function.__code__)
    ):
        return definition
    return None


def _of_class(kind: type) -> Definition | None:
    methods = {name: method for name, method in vars(kind).items() if isinstance(method, FunctionType)}
    definition, node = _found(kind.__name__, [method.__code__ for method in methods.values()])
    body = _code_in(definition, kind.__name__) if definition else None
    if not definition or not isinstance(node, ast.ClassDef) or body is None:
        return None
    if any(not name.startswith("_") and name not in body.co_names for name in vars(kind)):
        return None  # something was added to it later
    written = {code.co_name: code for code in body.co_consts if isinstance(code, CodeType)}
    is_same = all(_same(code, methods[name].__code__) for name, code in written.items() if name in methods)
    says_all = _is_known(node.decorator_list) and all(_says_all(part, kind) for part in node.body)
    return definition if is_same and says_all else None


_MAKERS = {
    *("dataclass", "dataclasses", "functools", "total_ordering", "enum", "unique", "final", "typing", "abc"),
    *("abstractmethod", "runtime_checkable", "property", "staticmethod", "classmethod", "cached_property"),
    *("attrs", "attr", "define", "frozen", "override", "singledispatchmethod"),
}
"""Decorators that make the same of the same, wherever they are applied."""


def _is_known(decorators: list[ast.expr]) -> bool:
    for decorator in decorators:
        while isinstance(decorator, ast.Call | ast.Attribute):
            if isinstance(decorator, ast.Attribute) and decorator.attr in ("setter", "getter", "deleter"):
                return True
            decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
        if not isinstance(decorator, ast.Name) or decorator.id not in _MAKERS:
            return False
    return True


def _says_all(part: ast.stmt, kind: type) -> bool:
    """Whether a statement of a class's body still says what the class has, and needs no variable to say it."""
    match part:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            method = vars(kind).get(part.name)
            return _is_known(part.decorator_list) and (
                not isinstance(method, FunctionType)
                or (
                    _literals(part.args.defaults) == list(method.__defaults__ or ())
                    and _keyword_literals(part.args) == (method.__kwdefaults__ or {})
                )
            )
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return _is_value(kind, name, value)
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            return value is None or _is_value(kind, name, value)
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            return True
    return False


def _is_value(kind: type, name: str, node: ast.expr) -> bool:
    value = vars(kind).get(name)
    if isinstance(kind, EnumMeta):
        value = getattr(value, "value", None)
    elif name in getattr(kind, "_field_defaults", {}):
        value = kind._field_defaults[name]  # type: ignore[attr-defined]
    return bool(_literal(node) == value)


# ------------------------------------------------------------ finding source


def _found(name: str, codes: list[CodeType]) -> tuple[Definition | None, ast.stmt | None]:
    """The definition of that name: where its code says it is, else the one in the newest cell that has one."""
    cells = _cells()
    named = dict.fromkeys(code.co_filename for code in codes)
    for file in [file for file in named if file in cells] or list(cells)[::-1]:
        lines = cells[file]
        try:
            body = ast.parse("".join(lines)).body
        except SyntaxError:  # what IPython keeps of a cell that did not compile
            continue
        for node in reversed(body):
            if getattr(node, "name", None) == name:
                first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
                source = textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
                return Definition(name, source, file, first), node
    return None, None


def _cells() -> dict[str, list[str]]:
    """The lines of each cell, by the name that IPython gives it in place of a file's, the oldest first."""
    entries = ((file, entry) for file, entry in list(linecache.cache.items()) if len(entry) == 4)
    return {file: entry[2] for file, entry in entries if entry[1] is None}


def cell_of(file: str, *, whole: bool) -> Cell | None:
    """The cell that IPython calls by that name of a file; `whole` with its source. None for what is no cell."""
    lines = _cells().get(file)
    if lines is None:
        return None
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    number = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(file)
    return Cell(file, "Cell" if number is None else f"Cell [{number}]", "".join(lines) if whole else "")


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
