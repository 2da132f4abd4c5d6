"""What is seen of a text that was written to a terminal."""

import re

from .cells import NARROW
from .oneline import printable
from .screen import Screen
from .sequences import CONTROL

TAIL = 2000
"""Characters at the end of a text in which its last line is looked for."""

_LINE_START = re.compile(r"[\r\n]")
_SGR = re.compile(r"\x1b\[[0-9;:]*m")


def as_shown(text: str) -> str:
    """The lines that a terminal would show after `text`: overwritten parts are gone, colours are kept."""
    if not CONTROL.search(text):
        return text
    screen = Screen()
    screen.feed(text)
    return "\n".join(screen.coloured(screen.first, screen.count))


def as_plain(text: str) -> str:
    """Like `as_shown`, without colours and styles."""
    return _SGR.sub("", as_shown(text))


def last_lines(text: str, count: int) -> str:
    """The last `count` lines of what is shown, without empty lines at the end."""
    lines = as_shown(text).rstrip().split("\n")
    return "\n".join(lines[-count:]) if count > 0 else ""


def last_line(text: str, limit: int = 120) -> str:
    """The last line that is not empty, as shown after the end of `text`, on one printable line; "" if there is none."""
    tail = text[-TAIL:].rstrip("\r\n")
    line = _standing(tail[tail.rfind("\n") + 1 :])
    if line is not None and (shown := printable(line, limit)):
        return shown
    if len(text) > TAIL and (start := _LINE_START.search(tail)):
        tail = tail[start.start() :]  # what is before may begin within a sequence
    screen = Screen()
    screen.feed(tail)
    for number in range(screen.count - 1, screen.first - 1, -1):
        if shown := printable(screen.plain(number), limit):
            return shown
    return ""


def _standing(line: str) -> str | None:
    """What is seen of a line that was written over as a whole each time, or never; None where that takes a screen."""
    if "\r" not in line:
        return None if CONTROL.search(line) else line
    if not NARROW.fullmatch(line.replace("\r", "\n")):
        return None
    *before, last = line.split("\r")
    hidden = max(map(len, before)) <= len(last)
    return last if hidden and not CONTROL.search(line.replace("\r", "")) else None
