"""From checked values to the code that is sent: as literals of its language, at the place where they take effect."""

import json
import math
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ..words import Language
from .checking import check_language
from .placing import Spot, end_of_comments_that_stay_first, rows_of, spots_for

_COMMENT = "parameters of this run"

_JAVASCRIPT_DIRECTIVES = re.compile(
    r"""(?:
        (?: \s | //[^\n]*\n | /\*.*?\*/ )*+
        (?: "use\ \w+" | 'use\ \w+' ) [ \t]*
        (?: ;? [ \t]* (?: \r?\n | \Z ) | ; )
    )*""",
    re.VERBOSE | re.DOTALL,
)


def in_its_lines(code: str, language: Language, first_line: int) -> str:
    """The code behind so many empty lines that its first one is the `first_line` of what holds it, a cell say.

    So errors name the lines as the author sees them. A shebang and a declared encoding stay in front.
    """
    if first_line <= 1:
        return code
    rows = rows_of(code)
    first = end_of_comments_that_stay_first(rows[:2]) if language == "python" else int(code.startswith("#!"))
    head = "".join(map(_ended, rows[:first]))
    empty = "\r" if head.endswith("\r") else "\n"  # which would make one line end of the two
    return "".join([head, empty * (first_line - 1), *rows[first:]])


def with_params(code: str, language: Language, params: Mapping[str, Any]) -> str:
    """The code with an assignment of each param. Names and values are those that `checked_params` returned.

    They stand ahead of the code, behind what has to stay in front. In Python, where the cell has a line `# parameters`,
    they come behind the assignments that follow it; otherwise one that the cell itself assigns comes behind its first
    assignment. So a default in the cell does not undo the param. No line of the code gets another number, unless a
    Python cell begins with none that is empty.

    Without params the code is returned as it is. Raises ValueError for any params of go code.
    """
    if not params:
        return code
    check_language(params, language)
    if language == "bash":
        return _in_bash(code, params)
    if language == "javascript":
        return _in_javascript(code, params)
    return _in_python(code, params)


# ---------------------------------------------------------------- Python


def _in_python(code: str, params: Mapping[str, Any]) -> str:
    at: dict[Spot, list[str]] = {}
    for name, spot in spots_for(code, params).items():
        at.setdefault(spot, []).append(f"{name} = {_python(params[name])}")
    rows = rows_of(code)
    for spot in sorted(at, key=lambda spot: spot.row, reverse=True):
        _write(rows, spot, f"{'; '.join(at[spot])}  # {_COMMENT}")
    return "".join(rows)


def _write(rows: list[str], spot: Spot, text: str) -> None:
    """Puts the text into the rows: at the end of a line of code, ahead of a comment, or in place of an empty row."""
    if spot.column is None:
        is_empty = spot.row < len(rows) and not rows[spot.row].strip()
        rows[: spot.row] = map(_ended, rows[: spot.row])
        rows[spot.row : spot.row + is_empty] = [f"{text}\n"]
        return
    row = rows[spot.row - 1]
    before, behind = row[: spot.column], row[spot.column :]
    joint = "" if not before else " " if before.endswith(";") else "; "
    rows[spot.row - 1] = f"{before}{joint}{text}{'' if before else '  '}{behind}"


def _python(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_python, value))}]"
    if isinstance(value, dict):
        items = [f"{_python(key)}: {_python(item)}" for key, item in value.items()]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return ascii(value)  # not repr, as the cell may declare an encoding of its own


# ---------------------------------------------------------------- bash


def _in_bash(code: str, params: Mapping[str, Any]) -> str:
    assignments = "".join(f"{name}={_quoted(_bash(value))}; " for name, value in params.items())
    return _inserted(code, _shebang_end(code), assignments)


def _quoted(text: str) -> str:
    """As one word, in one line."""
    return shlex.quote(text).replace("\n", r"'$'\n''")


def _bash(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------- JavaScript


def _in_javascript(code: str, params: Mapping[str, Any]) -> str:
    start = _shebang_end(code)
    directives = _JAVASCRIPT_DIRECTIVES.match(code, start)
    end = directives.end() if directives else start
    assignments = "".join(f"const {name} = {_javascript(value)}; " for name, value in params.items())
    return _inserted(code, end, assignments)


def _javascript(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_javascript, value))}]"
    if isinstance(value, dict):
        items = [f"{_javascript_key(key)}: {_javascript(item)}" for key, item in value.items()]
        return f"{{{', '.join(items)}}}"
    return json.dumps(value, ensure_ascii=False)


def _javascript_key(key: str) -> str:
    return '["__proto__"]' if key == "__proto__" else json.dumps(key, ensure_ascii=False)  # else it'd set a prototype


# ---------------------------------------------------------------- both


def _shebang_end(code: str) -> int:
    return (code.find("\n") + 1 or len(code)) if code.startswith("#!") else 0


def _inserted(code: str, position: int, text: str) -> str:
    before, behind = code[:position], code[position:]
    return f"{before if behind else _ended(before)}{text}{behind}"


def _ended(text: str) -> str:
    return f"{text}\n" if text and not text.endswith(("\n", "\r")) else text
