"""The live table's columns, and what it can be sorted and grouped by: one list for page, text, order and arguments.

`page/columns.js` has the same, with how wide each is. Magics import this before anything else is loaded: it imports
nothing of ours.
"""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

Names = Mapping[str, Collection[str]]
"""The names of the parameters, tags and metrics that rows have: for `param`, `tag` and `metric`."""

KINDS = ("param", "tag", "metric")
"""The kinds of columns that not all tables have, in the order in which a bare name is looked for."""


class Column(NamedTuple):
    """A column: the `name` of a row's field, and what it is called in a DataFrame, None where it has none there.

    Those that not all tables have are named by kind and name: `param.lr`. The kind tells what its values are: texts,
    numbers, spans in seconds, moments in seconds since 1970, shares of 1.
    """

    name: str
    label: str
    frame: str | None
    kind: Literal["status", "text", "number", "span", "moment", "share", "param", "tag", "metric"]

    @property
    def own_name(self) -> str:
        """The name of a parameter, tag or metric."""
        return self.name.partition(".")[2]


TABLE_COLUMNS = (
    Column("status", "Status", "status", "status"),
    Column("name", "Name", "name", "text"),
    Column("progress", "Progress", "progress", "share"),
    Column("elapsed", "Elapsed", "execution_time", "span"),
    Column("started", "Started", "started_at", "moment"),
    Column("exit_code", "Exit", "exit_code", "number"),
    Column("cpu", "CPU", "cpu_percent", "number"),
    Column("memory", "Memory", "memory_bytes", "number"),
    Column("gpu", "GPU", "gpu_percent", "number"),
    Column("gpu_memory", "GPU memory", "gpu_memory_bytes", "number"),
    Column("language", "Language", "language", "text"),
    Column("id", "Process id", "process_id", "text"),
    Column("connection", "Connection", "connection", "text"),
    Column("last", "Last line", None, "text"),
)

COLUMN_NAMES = tuple(column.name for column in TABLE_COLUMNS)

TABLE_SORTS = (*COLUMN_NAMES, *(column.frame for column in TABLE_COLUMNS if column.frame not in (column.name, None)))
"""What the table can be sorted by: its own columns, and the names that those have in a DataFrame."""

TABLE_GROUPS = ("status", "name", "connection")


def column_of(name: str) -> Column | None:
    """The column of that name, also one that not all tables have."""
    kind, _, own = name.partition(".")
    if kind in KINDS and own:
        return Column(name, name if own in COLUMN_NAMES else own, None, kind)  # type: ignore[arg-type]
    return next((column for column in TABLE_COLUMNS if column.name == name), None)


def column_named(name: str, names: Names) -> Column | None:
    """The column that a person means: by its name or label, or by the bare name of what was given, or of a metric."""
    for column in TABLE_COLUMNS:
        if name in (column.name, column.label.lower(), column.frame):
            return column
    for word in (name, *(f"{kind}.{name}" for kind in KINDS)):
        kind, _, own = word.partition(".")
        if kind in KINDS and own in names[kind]:
            return column_of(word)
    return None
