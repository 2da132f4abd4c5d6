"""Which lines of an output are the text of an error or a warning."""

import builtins
import re


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


_NAMES = "|".join(name for name, kind in vars(builtins).items() if _is_error(kind))
_NO_NUMBER = r"(?![+-]?\.?[0-9]|nan\b|inf\b)"
# A name of Python's own, or a dotted one; another one such as `MeanSquaredError` may be a metric, if a number follows.
_ERROR = re.compile(
    rf"(?:E {{1,9}}|[|+ -]{{1,40}}|\S{{1,400}}?:[0-9]{{1,9}}: )?(?:"
    rf"(?:{_NAMES}|\w+(?:\.\w+)+(?:Error|Exception|Warning))(?::|\Z)"
    rf"|(?:Uncaught )?\w*(?:Error|Exception|Warning): {_NO_NUMBER}"
    rf"|(?:\S{{1,400}}: )?(?:error|fatal(?: error)?|panic): {_NO_NUMBER}(?!\w+ ?[=:] ?[+-]?\.?[0-9]))"
)
_TRACEBACK = re.compile(r"[|+ -]{0,40}(?:Exception Group )?Traceback \(most recent call last\):")
_OF_LEVEL = re.compile(r"(?<![\w-])(?:ERROR|CRITICAL|FATAL)(?![\w-])")


class ErrorLines:
    """Looks at one line after the other."""

    def __init__(self) -> None:
        self._in_traceback = False
        self._has_last_line = False
        self._was_warning = False

    @property
    def expects(self) -> bool:
        """Whether what the next line is depends on those before it."""
        return self._in_traceback or self._was_warning

    def take(self, line: str) -> bool:
        """Whether this line is one. Of a traceback that are its frames and the line that ends it."""
        is_indented = line.startswith((" ", "\t"))
        if _TRACEBACK.match(line):
            self._in_traceback, self._has_last_line = True, not is_indented
            return True
        if self._in_traceback:
            self._in_traceback = is_indented or not line
            if self._in_traceback or self._has_last_line:
                return True
        if self._was_warning and is_indented:  # the code that warns
            self._was_warning = False
            return True
        error = _ERROR.match(line)
        self._was_warning = error is not None and "Warning" in error[0]
        return error is not None or _OF_LEVEL.search(line) is not None
