"""Where in a Python cell an assignment has to stand, so that it takes effect and moves no other line."""

import ast
import io
import re
import tokenize
import warnings
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

_ENCODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")  # as PEP 263 has it
_MARK = "# parameters"


class Spot(NamedTuple):
    """Where an assignment goes: at `column` of the row, the first one being 1; without one, in a row behind it."""

    row: int
    column: int | None = None


def spots_for(code: str, names: Iterable[str]) -> dict[str, Spot]:
    """For each name the spot of the cell where its assignment goes.

    Code that can't be parsed here, as it may be for a newer Python, has its only spot ahead.
    """
    source = code.replace("\r\n", "\n").replace("\r", "\n")
    first = end_of_comments_that_stay_first(rows_of(source)[:2])
    cell = _parsed(source)
    if cell is None:
        return dict.fromkeys(names, Spot(first))
    head = max(first, _end_of_statements_that_stay_first(cell))
    marked = _end_of_marked_assignments(cell)
    assigned = _first_assignments(cell) if marked is None else {}
    rows = {name: assigned.get(name, max(head, marked or 0)) for name in names}
    return {name: Spot(first) if row <= first else cell.spot_in(row) for name, row in rows.items()}


def rows_of(code: str) -> list[str]:
    """The rows with their ends, parted as Python's parser does it and not as `str.splitlines`."""
    return list(io.StringIO(code, newline=""))


class _Cell(NamedTuple):
    """A cell's outermost statements, where its logical lines end, and the rows of the comments that mark."""

    statements: list[ast.stmt]
    line_ends: list[Spot]
    marks: list[int]

    def last_row(self, statement: ast.stmt) -> int:
        """The last row of the statement, or of what follows it behind a `;`."""
        return self._line_end(statement.end_lineno or 0).row

    def spot_in(self, row: int) -> Spot:
        """Behind the code of a row, ahead of its comment."""
        end = self._line_end(row)
        return end if end.row == row else Spot(row, 0)

    def _line_end(self, row: int) -> Spot:
        position = bisect_left(self.line_ends, row, key=lambda end: end.row)
        return self.line_ends[position] if position < len(self.line_ends) else Spot(0)


def _parsed(source: str) -> _Cell | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the process itself will show them
            statements = ast.parse(source).body
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, MemoryError, RecursionError, tokenize.TokenError):
        return None
    return _Cell(statements, _line_ends(tokens), [token.start[0] for token in tokens if _is_mark(token)])


def _line_ends(tokens: Iterable[tokenize.TokenInfo]) -> list[Spot]:
    """Where the logical lines end, without the comments behind them."""
    ends, last = [], Spot(0, 0)
    for token in tokens:
        if token.type == tokenize.NEWLINE:
            ends.append(last)
        elif token.type not in (tokenize.COMMENT, tokenize.NL):
            last = Spot(*token.end)
    return ends


def _is_mark(token: tokenize.TokenInfo) -> bool:
    return token.type == tokenize.COMMENT and token.start[1] == 0 and token.string.strip().lower() == _MARK


# ---------------------------------------------------------------- what stays first


def end_of_comments_that_stay_first(rows: Iterable[str]) -> int:
    """How many rows are a shebang or declare the encoding."""
    first, second, *_ = [*rows, "", ""]
    if _ENCODING.match(second) and (not first.strip() or first.lstrip().startswith("#")):
        return 2
    return 1 if first.startswith("#!") or _ENCODING.match(first) else 0


def _end_of_statements_that_stay_first(cell: _Cell) -> int:
    """The last row of the docstring and of what is imported from `__future__`, or 0."""
    row = 0
    for number, statement in enumerate(cell.statements):
        if not (number == 0 and _is_docstring(statement)) and not _is_future(statement):
            break
        row = cell.last_row(statement)
    return row


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


# ---------------------------------------------------------------- what the cell itself assigns


def _end_of_marked_assignments(cell: _Cell) -> int | None:
    """The last row of the assignments that follow a line `# parameters`, or None when there is no such line."""
    for mark in cell.marks:
        if not any(_first_row(statement) <= mark <= (statement.end_lineno or 0) for statement in cell.statements):
            return _end_of_assignments(cell, mark)
    return None


def _end_of_assignments(cell: _Cell, mark: int) -> int:
    row = mark
    for statement in cell.statements:
        if _first_row(statement) > mark:
            if not isinstance(statement, ast.Assign | ast.AnnAssign):
                break
            row = cell.last_row(statement)
    return row


def _first_row(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _first_assignments(cell: _Cell) -> dict[str, int]:
    """The last rows of the first assignments to each name, in no block and no function."""
    rows: dict[str, int] = {}
    for statement in cell.statements:
        for name in _assigned_by(statement):
            rows.setdefault(name, cell.last_row(statement))
    return rows


def _assigned_by(statement: ast.stmt) -> set[str]:
    """The names to which the statement itself assigns, also several at once: `lr, seed = 0.1, 1`."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    else:
        return set()
    nodes = [node for target in targets for node in ast.walk(target)]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
