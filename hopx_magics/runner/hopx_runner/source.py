"""What is written in a cell: Python, or what IPython makes Python of."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
TREE = 0x400  # ast.PyCF_ONLY_AST
COROUTINE = 0x80  # inspect.CO_COROUTINE


def decoded(source: bytes) -> str:
    """The text of a file of Python, whose encoding it may name."""
    import io
    import tokenize

    encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    return io.TextIOWrapper(io.BytesIO(source), encoding).read()


def with_magics(source: str, get_shell: "Callable[[], Any]") -> str:
    """The Python that IPython makes of a cell that is none, in the same lines; the cell where there is no IPython.

    A cell magic may have code ahead of it: parameters.
    """
    from importlib.util import find_spec

    if find_spec("IPython") is None:
        return source
    import re

    shell = get_shell()
    at = re.search(r"^%%", source, re.MULTILINE)
    ahead, magic = (source[: at.start()], source[at.start() :]) if at else (source, "")
    if ahead.strip():
        begins = len(ahead) - len(ahead.lstrip("\n"))
        ahead = "\n" * begins + shell.transform_cell(ahead)
    return ahead + (shell.transform_cell(magic) if magic else "")


def remember_source(path: str, source: str) -> None:
    import linecache

    linecache.cache[path] = (len(source), None, source.splitlines(True), path)


def in_two(tree: "Any", source: "Any", path: str) -> "tuple[CodeType, CodeType | None]":
    """The code of all but the last expression, and that of the last expression, None when it is not to be shown."""
    last = tree.body[-1] if tree.body else tree
    if type(last).__name__ != "Expr" or _is_silent(source):
        return compile(tree, path, "exec", AWAIT, dont_inherit=True), None
    import _ast

    tree.body.pop()
    shown = _ast.Expression(last.value)
    body = compile(tree, path, "exec", AWAIT, dont_inherit=True)
    return body, compile(shown, path, "eval", AWAIT | _futures(tree), dont_inherit=True)


def _futures(tree: "Any") -> int:
    """The flags of what the code imports from `__future__`, which count for its last expression, too."""
    import __future__

    names = [
        alias.name
        for node in tree.body
        if type(node).__name__ == "ImportFrom" and node.module == "__future__"
        for alias in node.names
    ]
    return sum(getattr(__future__, name).compiler_flag for name in set(names))


def _is_silent(source: "Any") -> bool:
    """Whether it ends in a `;`, behind which there may be comments."""
    if (b";" if isinstance(source, bytes) else ";") not in source:
        return False
    import io
    import tokenize

    text = decoded(source) if isinstance(source, bytes) else source
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped]
    return bool(tokens) and tokens[-1].string == ";"
