"""The run history in SQLite: every run that was launched from this machine, or listed to it.

`History` is the whole face of it. The only part of the package that imports sqlite3.
"""

from .history import Due, History, Origin, Place, Recent, Seen, microseconds
from .pruning import Limits
from .reading import Columns, Wanted

__all__ = [
    "Columns",
    "Due",
    "History",
    "Limits",
    "Origin",
    "Place",
    "Recent",
    "Seen",
    "Wanted",
    "microseconds",
]
