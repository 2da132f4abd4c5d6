"""From checked values to the code that is sent: as literals of its language, at the place where they take effect."""

import json
import math
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ..words import Language
from .checking import check_language
from .placing import rows_for, rows_of

_COMMENT = "parameters of this run"

_JAVASCRIPT_DIRECTIVES = re.compile(
    r"""(?:
        (?: \s | //[^\n]*\n | /\*.*?\*/ )*+
        (?: "use\ \w+" | 'use\ \w+' ) [ \t]*
        (?: ;? [ \t]* (?: \r?\n | \Z ) | ; )
    )*""",
    re.VERBOSE | re.DOTALL,
)


def with_params(code: str, language: Language, params: Mapping[str, Any]) -> str:
    """The code with an assignment of each param. Names and values are those that `checked_params` returned.

    They stand in one line ahead of the code, behind what has to stay in front. In Python, where the cell has a line
    `# parameters`, they come behind the assignments that follow it; otherwise one that the cell itself assigns comes
    behind its first assignment. So a default in the cell does not undo the param.

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
    behind: dict[int, list[str]] = {}
    for name, row in rows_for(code, params).items():
        behind.setdefault(row, []).append(f"{name} = {_python(params[name])}")
    lines = []
    for row, line in enumerate(["", *rows_of(code)]):
        if row in behind:
            lines += [_ended(line), f"{'; '.join(behind[row])}  # {_COMMENT}\n"]
        else:
            lines.append(line)
    return "".join(lines)


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
    assignments = "; ".join(f"{name}={shlex.quote(_bash(value))}" for name, value in params.items())
    return _inserted(code, _shebang_end(code), f"{assignments}  # {_COMMENT}\n")


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
    assignments = " ".join(f"const {name} = {_javascript(value)};" for name, value in params.items())
    return _inserted(code, end, f"{assignments}  // {_COMMENT}\n")


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


def _inserted(code: str, position: int, line: str) -> str:
    return _ended(code[:position]) + line + code[position:]


def _ended(text: str) -> str:
    return f"{text}\n" if text and not text.endswith(("\n", "\r")) else text
