"""Other people's text within a message of ours, or in a table's cell."""


def one_line(text: str) -> str:
    """`text` on one line, as a name is kept: with no control characters in it, and uncut."""
    return printable(text, len(text))


def printable(text: str, limit: int = 200) -> str:
    """`text` on one line, with nothing in it that a terminal or a page could take for a command."""
    line = text[: 2 * limit]
    if not line.isprintable():
        line = "".join(char if char.isprintable() else " " for char in line)
    return " ".join(line.split())[:limit]
