"""Parameters of a launch: from text to values, checked for a language, and into the code that is sent. No I/O."""

from .checking import checked_params
from .parsing import Given, Written, combinations, parse_assignment, parse_sweep
from .writing import in_its_lines, with_params

__all__ = [
    "Given",
    "Written",
    "checked_params",
    "combinations",
    "in_its_lines",
    "parse_assignment",
    "parse_sweep",
    "with_params",
]
