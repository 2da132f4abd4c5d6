"""What matters of a text that ends with an error: what went wrong, and where in the user's own code."""

import re
from collections.abc import Sequence
from itertools import takewhile

from .shown import as_plain

TRACEBACK = "Traceback (most recent call last):"

LONGEST = 300
"""Characters of a line that are shown; of a longer one its beginning, which has an error's type, and its end."""

LINES = 10
"""Lines that are shown of a text without a traceback."""

MESSAGE_LINES = 6
"""Lines that are shown of the message of an error, or of one frame."""

MOST = 40_000
"""Characters of a traceback that are looked at: more of terminal's sequences would take long."""

_NEAR = 1_000
"""Characters within which a line has to end so that it is shown as a whole."""

_WITHOUT_TRACEBACK = 8_000
"""Characters at the end of a text in which the last lines are looked for."""

_FRAME = re.compile(r'  (?:File "(?P<file>.*)"|(?P<cell>Cell\b.*)), line \d+')
_NOT_OWN = re.compile(r"^<|/lib/python\d|/(?:site|dist)-packages/|/hopx_magics/local_agent/")
"""The files of Python, of installed libraries, and of what runs a cell."""

_OF_NODE = re.compile(r"\s+at .*\bnode:")


def end_of_error(text: str) -> tuple[str, bool]:
    """The last error in a text in few lines, without colours, and whether there is more before it or in it.

    Of a traceback of Python stay the frames where the program, and where the user's own code, called others, and the
    one that raised. Where there is no traceback, the last lines stay.
    """
    start = _start(text)
    lines = as_plain(_bounded(text[start:])).rstrip().split("\n")
    shown = _traceback(lines) if lines[0].startswith(TRACEBACK) else _last_lines(lines)
    short = [shortened(line) for line in shown]
    return "\n".join(short), start > 0 or short != lines


def in_short(message: str) -> str:
    """A message in which no line is longer than is read: what was typed may be."""
    return "\n".join(map(shortened, message.split("\n")))


def shortened(line: str) -> str:
    """A line with no more than its beginning and its end."""
    if len(line) <= LONGEST:
        return line
    head, tail = line[: LONGEST // 2], line[-LONGEST // 4 :]
    return f"{head} [{len(line) - len(head) - len(tail):,} characters are left out] {tail}"


def _start(text: str) -> int:
    """Where the last traceback begins, or the last lines; a group of errors has no one last traceback."""
    position = text.rfind(TRACEBACK)
    is_one = position >= 0 and not text.endswith((" Group ", "| "), 0, position)
    return position if is_one else max(0, len(text) - _WITHOUT_TRACEBACK)


def _bounded(text: str) -> str:
    """A text with no more than its beginning and its end, if possible in whole lines."""
    if len(text) <= MOST:
        return text
    half, end = MOST // 2, len(text) - MOST // 2
    first, last = text.rfind("\n", half - _NEAR, half), text.find("\n", end, end + _NEAR)
    head, tail = text[: half if first < 0 else first], text[end if last < 0 else last + 1 :]
    return f"{head}\n  [{len(text) - len(head) - len(tail):,} characters are left out]\n{tail}"


def _traceback(lines: Sequence[str]) -> list[str]:
    frames: list[list[str]] = []
    for line in takewhile(lambda line: line.startswith("  "), lines[1:]):
        if _FRAME.match(line) or not frames:
            frames.append([])
        frames[-1].append(line)
    return [lines[0], *_frames(frames), *_middle_cut(lines[1 + sum(map(len, frames)) :])]


def _frames(frames: Sequence[Sequence[str]]) -> list[str]:
    """The frames that matter; the others are counted where they were."""
    shown, before = [], 0
    for number in sorted(_that_matter([_file(frame) for frame in frames])):
        shown += [*_counted(number - before), *_middle_cut(frames[number])]
        before = number + 1
    return shown


def _that_matter(files: Sequence[str]) -> set[int]:
    """The numbers of the frames where the program, and where the user's own code, called others, and of the last."""
    own = [number for number, file in enumerate(files) if not _NOT_OWN.search(file)]
    program = [number for number in own if files[number] == files[own[0]]]
    return {*program[-1:], *own[-1:], *range(len(files))[-1:]}


def _file(frame: Sequence[str]) -> str:
    found = _FRAME.match(frame[0])
    return (found["file"] or found["cell"]) if found else ""


def _counted(count: int) -> list[str]:
    return [f"  [{count} more {'frame' if count == 1 else 'frames'}]"] if count else []


def _middle_cut(lines: Sequence[str]) -> list[str]:
    if len(lines) <= MESSAGE_LINES:
        return list(lines)
    half = MESSAGE_LINES // 2
    return [*lines[:half], f"[{len(lines) - 2 * half:,} lines are left out]", *lines[-half:]]


def _last_lines(lines: Sequence[str]) -> list[str]:
    """The last lines, without the frames of node itself."""
    return [line for line in lines if not _OF_NODE.match(line)][-LINES:]
