"""The live table's columns, and what it can be sorted and grouped by: one list for page, text, order and arguments.

`page/columns.js` has the same, with how wide each is. Magics import this before anything else is loaded: it imports
nothing of ours.
"""

from typing import Literal, NamedTuple


class Column(NamedTuple):
    """A column: the `name` of a row's field, and what it is called in a DataFrame, None where it has none there.

    The kind tells what its values are: texts, numbers, spans in seconds, moments in seconds since 1970, shares of 1.
    """

    name: str
    label: str
    frame: str | None
    kind: Literal["status", "text", "number", "span", "moment", "share"]


TABLE_COLUMNS = (
    Column("status", "Status", "status", "status"),
    Column("name", "Name", "name", "text"),
    Column("progress", "Progress", "progress", "share"),
    Column("elapsed", "Elapsed", "execution_time", "span"),
    Column("started", "Started", "started_at", "moment"),
    Column("exit_code", "Exit", "exit_code", "number"),
    Column("language", "Language", "language", "text"),
    Column("id", "Process id", "process_id", "text"),
    Column("connection", "Connection", "connection", "text"),
    Column("last", "Last line", None, "text"),
)

COLUMN_NAMES = tuple(column.name for column in TABLE_COLUMNS)

TABLE_SORTS = (*COLUMN_NAMES, *(column.frame for column in TABLE_COLUMNS if column.frame not in (column.name, None)))
"""What the table can be sorted by: its own columns, and the names that those have in a DataFrame."""

TABLE_GROUPS = ("status", "name", "connection")


def own_sort(sort: str) -> str:
    """`-started_at` as the table calls it: `-started`."""
    name = sort.lstrip("-")
    own = next((column.name for column in TABLE_COLUMNS if column.frame == name), name)
    return f"-{own}" if sort.startswith("-") else own
