"""CONTRIBUTING.md, as far as tests hold it true."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "CONTRIBUTING.md"


def section(title: str) -> str:
    """What stands below a heading, up to the next heading of any level."""
    (found,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", FILE.read_text(), re.MULTILINE | re.DOTALL)
    return found


def table(title: str) -> dict[str, str]:
    """The table below a heading: its first column, without backticks, and its second one."""
    rows = re.findall(r"^\| `([^`|]+)` \| (.*) \|$", section(title), re.MULTILINE)
    assert len(dict(rows)) == len(rows), f"something stands twice in {title}"
    return dict(rows)


def words_in(cell: str) -> set[str]:
    """The words of a cell that are in backticks."""
    return set(re.findall(r"`([^`]+)`", cell))
