"""What is written in a cell: Python, or what IPython makes Python of."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

    Part = tuple[CodeType, bool]

AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
TREE = 0x400  # ast.PyCF_ONLY_AST
COROUTINE = 0x80  # inspect.CO_COROUTINE

NO_IPYTHON = "magics and ! need IPython, which is not installed where this cell runs"


def decoded(source: bytes) -> str:
    """The text of a file of Python, whose encoding it may name."""
    import io
    import tokenize

    encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    return io.TextIOWrapper(io.BytesIO(source), encoding).read()


def with_magics(source: str, get_shell: "Callable[[], Any]", flags: int) -> "str | None":
    """The Python that IPython makes of a cell that is none, in the same lines; None for what is none to it either.

    A cell magic may have code ahead of it: parameters. Raises ImportError where there is no IPython for it.
    """
    import re
    from importlib.util import find_spec

    if find_spec("IPython") is None:
        if re.search(r"^\s*[%!?]|=\s*[%!]|\?\s*$", source, re.MULTILINE):
            raise ImportError(NO_IPYTHON) from None
        return None
    shell = get_shell()
    at = re.search(r"^%%", source, re.MULTILINE)
    ways = [(source, "")]
    if at and _is_python(source[: at.start()], flags):
        ways.insert(0, (source[: at.start()], source[at.start() :]))
    for ahead, magic in ways:
        begins = len(ahead) - len(ahead.lstrip("\n"))
        text = "\n" * begins + shell.transform_cell(ahead) if ahead.strip() else ahead
        text += shell.transform_cell(magic) if magic else ""
        if _is_python(text, flags):
            return text
    return None


def _is_python(text: str, flags: int) -> bool:
    try:
        compile(text, "<cell>", "exec", TREE | flags, dont_inherit=True)
    except SyntaxError:
        return False
    return True


def remember_source(path: str, source: str) -> None:
    import linecache

    linecache.cache[path] = (len(source), None, source.splitlines(True), path)


def in_parts(tree: "Any", source: "Any", path: str, flags: int, interactivity: str) -> "list[Part]":
    """The code of a cell in parts that run one after the other, and of each whether it is an expression to be shown.

    `interactivity` says of which expressions the value is shown, as IPython's `ast_node_interactivity`.
    """
    import _ast

    flags |= _futures(tree)
    shown = _shown(tree, source, interactivity)
    if not shown:
        return [(compile(tree, path, "exec", flags, dont_inherit=True), False)]
    parts: list[Part] = []
    body, tree.body = tree.body, []
    for node in body:
        if node not in shown:
            tree.body.append(node)
            continue
        if tree.body:
            parts.append((compile(tree, path, "exec", flags, dont_inherit=True), False))
            tree.body = []
        parts.append((compile(_ast.Expression(node.value), path, "eval", flags, dont_inherit=True), True))
    if tree.body:
        parts.append((compile(tree, path, "exec", flags, dont_inherit=True), False))
    return parts


def _shown(tree: "Any", source: "Any", interactivity: str) -> "list[Any]":
    """The expressions whose value is shown."""
    body = tree.body
    if not body or interactivity == "none":
        return []
    if interactivity == "last_expr_or_assign" and (name := _assigned(body[-1])):
        import ast

        body.append(ast.fix_missing_locations(ast.copy_location(ast.Expr(ast.Name(name, ast.Load())), body[-1])))
    if type(body[-1]).__name__ == "Expr" and _is_silent(source, body[-1]):
        return []
    return [node for node in (body if interactivity == "all" else body[-1:]) if type(node).__name__ == "Expr"]


def _assigned(node: "Any") -> "str | None":
    """The one name that a statement assigns to."""
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    name = getattr(targets[0], "id", None)
    return name if len(targets) == 1 and type(node).__name__ in ("Assign", "AnnAssign", "AugAssign") else None


def _futures(tree: "Any") -> int:
    """The flags of what the code imports from `__future__`, which count for its last expression, too."""
    names = [
        alias.name
        for node in tree.body
        if type(node).__name__ == "ImportFrom" and node.module == "__future__"
        for alias in node.names
    ]
    if not names:
        return 0
    import __future__

    return sum(getattr(__future__, name).compiler_flag for name in set(names))


def _is_silent(source: "Any", last: "Any") -> bool:
    """Whether there is a `;` behind the last expression; all else that can be there are brackets and comments."""
    lines = (source.encode() if isinstance(source, str) else source).splitlines(True)
    rest = [lines[last.end_lineno - 1][last.end_col_offset :], *lines[last.end_lineno :]]
    return any(b";" in line.partition(b"#")[0] for line in rest)
