"""Which global names a piece of Python needs from outside: those that it reads before it surely sets them.

The compiler says what a statement or a function reads; only the order of statements is followed here. Where the flow
can't be known, a name counts as needed: one too many is asked for, never one too few.
"""

import ast
import dis
import re
from collections.abc import Callable, Iterable, Iterator
from types import CodeType

Transform = Callable[[str], str]
"""From a cell as it is written, with magics, to Python that calls them."""

_LOADS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BRANCHING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)
_TO_PYTHON = frozenset({"run_cell_magic", "run_line_magic", "system", "getoutput"})
_IN_SHELL = re.compile(r"\{([^{}]+)\}|\$\{?([^\W\d]\w*)")
_OPTIONS = re.compile(r"^(?:\s*-\w+)+\s")
_EVALUATES = frozenset({"eval", "exec", "query"})
_LOCAL_OF_QUERY = re.compile(r"@([^\W\d]\w*)")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_SPECIAL = re.compile(r"__\w+__")
_LONGEST_TEXT = 2000


def names_read(code: str, transform: Transform = str) -> list[str]:
    """The global names that `code` needs, in the order in which it reads them; builtins are among them, not `__x__`.

    `transform` makes Python of the text of cell magics. Raises SyntaxError for what is no Python even then.
    """
    flow = _followed(code, transform)
    return [name for name in flow.needed if not _SPECIAL.fullmatch(name)]


def names_perhaps_read(code: str, transform: Transform = str) -> set[str]:
    """Those of them that the code itself has set on some way to where it reads them, so that it may do without."""
    return _followed(code, transform).perhaps


def _followed(code: str, transform: Transform) -> "_Flow":
    flow = _Flow(transform)
    flow.block(_parsed(transform(code)).body)
    flow.finish()
    return flow


def names_mentioned(code: str) -> set[str]:
    """The identifiers within formulas and expressions in texts of `code`, which may be names, or may mean nothing."""
    texts = (node.value for node in ast.walk(_parsed(code)) if isinstance(node, ast.Constant))
    short = (text for text in texts if isinstance(text, str) and len(text) <= _LONGEST_TEXT)
    return {name for text in short if "~" in text or "(" in text for name in _IDENTIFIER.findall(text)}


def globals_of(code: CodeType) -> Iterator[str]:
    """The global names that a function reads, also in the functions within it; builtins are among them."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS:
            yield instruction.argval
    for nested in _nested(code):
        yield from globals_of(nested)


def _nested(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _parsed(code: str) -> ast.Module:
    parsed: ast.Module = compile(
        code, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    return parsed


class _Flow:
    """Follows statements in their order: what is surely set so far, and what was read before."""

    def __init__(self, transform: Transform) -> None:
        self.needed: dict[str, None] = {}
        self.perhaps: set[str] = set()
        self._maybe: set[str] = set()
        """What was set on some way to here, and not on all."""
        self._transform = transform
        self._known: set[str] = set()
        self._later: dict[str, list[str]] = {}
        """What the functions and classes of the code itself read once they are used."""

    def finish(self) -> None:
        """Counts what those functions read that nobody was seen to use: something may use them yet."""
        for name in list(self._later):
            self._use(name)

    def block(self, statements: Iterable[ast.stmt]) -> bool:
        """Follows statements; False when they surely leave by an error, so that nothing behind them is reached."""
        for statement in statements:
            if isinstance(statement, _BRANCHING):
                self._branch(statement)
            elif not isinstance(statement, (ast.Break, ast.Continue)):  # the compiler takes them in a loop only
                self._simple(statement)
            if isinstance(statement, ast.Raise):
                return False
        return True

    # ------------------------------------------------------------ names

    def _read(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._known and name not in self.needed:
                self.needed[name] = None
                self.perhaps.update({name} & self._maybe)
            self._use(name)

    def _use(self, name: str) -> None:
        self._read(self._later.pop(name, ()))

    def _set(self, *targets: ast.expr) -> None:
        nodes = (node for target in targets for node in ast.walk(target))
        self._known.update(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))

    # ------------------------------------------------------------ statements

    def _simple(self, statement: ast.stmt) -> None:
        code = compile(ast.Module([statement], []), "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        self._read_code(code, statement.name if isinstance(statement, _NESTED) else None)
        self._read_texts(statement)
        if isinstance(statement, ast.Assign):
            self._set(*statement.targets)
        elif isinstance(statement, ast.AugAssign) or (isinstance(statement, ast.AnnAssign) and statement.value):
            self._set(statement.target)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            self._known.update((alias.asname or alias.name).partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.Delete):
            names = [node.id for node in statement.targets if isinstance(node, ast.Name)]
            self._read(names)
            self._known.difference_update(names)
        elif isinstance(statement, _NESTED):
            self._known.add(statement.name)

    def _read_code(self, code: CodeType, defines: str | None) -> None:
        """Reads what runs at once; what a function that is defined reads, it reads when it is used."""
        later: list[str] = []
        self._read(_reads_now(code, later if defines else None))
        if defines:
            self._later[defines] = later

    def _expression(self, *expressions: ast.expr | None) -> None:
        for expression in expressions:
            if expression is not None:
                self._simple(ast.copy_location(ast.Expr(expression), expression))

    def _read_texts(self, statement: ast.stmt) -> None:
        """Reads the code that is in texts: of magics, and of calls that evaluate; names where all are looked at."""
        if any(_is_namespace(node) for node in ast.walk(statement)):
            named = (node.value for node in ast.walk(statement) if isinstance(node, ast.Constant))
            self._read(name for name in named if isinstance(name, str) and _IDENTIFIER.fullmatch(name))
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call) or not (texts := _texts_of(node)):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in _TO_PYTHON:
                for text in texts[1:] if called.startswith("run_") else texts:
                    self._read_magic(called, text)
            elif called in _EVALUATES:
                self._read_evaluated(texts[0])

    def _read_magic(self, called: str, text: str) -> None:
        for braced, plain in _IN_SHELL.findall(text):
            self._read_python(braced) if braced else self._read([plain])
        if called.startswith("run_"):
            self._read_python(text)

    def _read_evaluated(self, text: str) -> None:
        self._read(_LOCAL_OF_QUERY.findall(text))
        self._read_python(_LOCAL_OF_QUERY.sub(r"\1", text))

    def _read_python(self, text: str) -> None:
        try:
            body = _parsed(self._transform(_OPTIONS.sub("", text).strip())).body
        except SyntaxError:
            return
        inner = _Flow(self._transform)
        inner.block(body)
        inner.finish()
        self._read(inner.needed)

    # ------------------------------------------------------------ branches

    def _branch(self, statement: ast.stmt) -> None:
        match statement:
            case ast.If():
                self._expression(statement.test)
                self._one_of(statement.body, statement.orelse)
            case ast.While():
                self._expression(statement.test)
                self._perhaps(statement.body)
                self._perhaps(statement.orelse)
            case ast.For() | ast.AsyncFor():
                self._expression(statement.iter)
                self._perhaps(statement.body, statement.target)
                self._perhaps(statement.orelse)
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    self._expression(item.context_expr)
                    if item.optional_vars is not None:
                        self._set(item.optional_vars)
                self.block(statement.body)
            case ast.Try() | ast.TryStar():
                self._try(statement)
            case ast.Match():
                self._match(statement)

    def _one_of(self, *branches: Iterable[ast.stmt]) -> None:
        """One of these is run: what is surely set behind them is what each of them sets."""
        before, after = self._known, []
        for branch in branches:
            self._known = set(before)
            if self.block(branch):
                after.append(self._known)
        self._meet(after, before)

    def _meet(self, ways: list[set[str]], before: set[str]) -> None:
        """Goes on where these ways, on each of which something is set, come together."""
        self._known = set.intersection(*ways) if ways else before
        self._maybe.update(*ways)

    def _perhaps(self, body: list[ast.stmt], target: ast.expr | None = None) -> None:
        before = set(self._known)
        if target is not None:
            self._read(
                node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            )
            self._set(target)
        self.block(body)
        self._meet([before, self._known], before)

    def _try(self, statement: ast.Try | ast.TryStar) -> None:
        before, after = set(self._known), []
        if self.block(statement.body) and self.block(statement.orelse):
            after.append(self._known)
        for handler in statement.handlers:
            self._known = set(before)
            self._expression(handler.type)
            if handler.name:
                self._known.add(handler.name)
            if self.block(handler.body):
                after.append(self._known - {handler.name})
        self._meet(after, before)
        self.block(statement.finalbody)

    def _match(self, statement: ast.Match) -> None:
        self._expression(statement.subject)
        before = set(self._known)
        for case in statement.cases:
            for node in ast.walk(case.pattern):
                if isinstance(node, (ast.MatchValue, ast.MatchClass)):
                    self._expression(node.value if isinstance(node, ast.MatchValue) else node.cls)
                elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
                    self._known.add(node.name)
            self._expression(case.guard)
            self.block(case.body)
            self._meet([set(before), self._known], before)


def _reads_now(code: CodeType, later: list[str] | None) -> Iterator[str]:
    """The names that running `code` reads; with `later`, those that its functions read go there instead."""
    own: set[str] = set()
    is_class = code.co_name != "<module>"
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_NAME" and is_class:
            own.add(instruction.argval)
        elif instruction.opname in _LOADS and instruction.argval not in own:
            yield instruction.argval
    for nested in _nested(code):
        if _is_class_body(nested):
            yield from _reads_now(nested, later)
        elif later is None or nested.co_name.startswith("<"):
            yield from globals_of(nested)
        else:
            later.extend(globals_of(nested))


def _is_class_body(code: CodeType) -> bool:
    return "__qualname__" in code.co_names and "__module__" in code.co_names and not code.co_argcount


def _is_namespace(node: ast.AST) -> bool:
    """Whether it is one of the ways to all variables by their names."""
    if isinstance(node, ast.Attribute):
        return node.attr == "user_ns"
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("globals", "locals", "vars", "dir")


def _texts_of(call: ast.Call) -> list[str]:
    given = (argument.value for argument in call.args if isinstance(argument, ast.Constant))
    return [text for text in given if isinstance(text, str)]
