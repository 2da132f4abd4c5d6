"""Whether the code of a cell is Python, and whether it takes a notebook to run: known before it is launched."""

import re
import warnings
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Callable

from .errors import CodeError
from .params import in_its_lines

LONGEST_LINE = 200
"""Characters of a line of code that an error shows."""


def needs_notebook(code: str, first_line: int, transform: Callable[[str], str] | None) -> bool:
    """Whether Python takes more than a program to run: magics, which `transform` makes Python of, or a bare `await`.

    Raises CodeError for what is no Python even then.
    """
    placed = in_its_lines(code, "python", first_line)
    try:
        _compile_quietly(placed)
    except SyntaxError as error:
        if _compiles(code, PyCF_ALLOW_TOP_LEVEL_AWAIT):
            return True
        if transform is None:
            raise CodeError(_cut(error), hint=_hint(error)) from error
        try:
            _compile_quietly(in_its_lines(transform(code), "python", first_line), PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as own:  # of what is no magic
            raise CodeError(_cut(own)) from own
        return True
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:  # a NUL, or a nesting too deep
        raise CodeError(SyntaxError(f"it can't be compiled: {error or type(error).__name__}")) from error
    return False


def _cut(error: SyntaxError) -> SyntaxError:
    """The error, with no more than what is around its place of a long line."""
    if error.text and error.offset and len(error.text) > LONGEST_LINE:
        start = max(0, error.offset - LONGEST_LINE // 2)
        error.text = error.text[start : start + LONGEST_LINE]
        error.offset -= start
        error.end_offset = error.offset + 1
    return error


_OF_IPYTHON = re.compile(r"\s*(?:[%!?]|[\w.\[\]]+(?:\s*,\s*[\w.\[\]]+)*\s*=\s*[%!]|[\w.*%]+\?{1,2}\s*$)")
"""A line that only IPython understands: `%magic`, `!command`, `files = !ls`, `df?`."""


def _hint(error: SyntaxError) -> str | None:
    if _OF_IPYTHON.match(error.text or ""):
        return "What only a notebook understands (%magics, !commands, help?) works in a cell of %%hopx_bg."
    return None


def _compiles(code: str, flags: int = 0) -> bool:
    try:
        _compile_quietly(code, flags)
    except (SyntaxError, ValueError):
        return False
    return True


def _compile_quietly(code: str, flags: int = 0) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the process itself will show them
        compile(code, "<cell>", "exec", flags, dont_inherit=True)
