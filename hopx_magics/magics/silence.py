"""What is done to a cell's text before IPython runs it: `;` behind a magic silences, and a cell's magic needs no body.

IPython knows a silenced expression by the last token of the code that it runs, in which the line of a magic is only a
string. So a silenced magic that a cell ends with is written as the call that it stands for.
"""

import re

from .words import split_line, without_semicolon

_MAGIC = re.compile(r"%(hopx_\w+)(.*)", re.DOTALL)
_NO_ARGUMENTS = re.compile(r"""^((?:[^#"'%]*=)?[ \t]*%hopx_\w+);""")


def silence_magic(lines: list[str]) -> list[str]:
    """An input transformer of IPython: leaves all cells alone but those with silenced magics of ours."""
    if not lines or lines[0].startswith("%%"):
        return lines
    lines = [_NO_ARGUMENTS.sub(r"\1 ;", line) for line in lines]  # or the `;` would belong to the magic's name
    end = next((row for row in range(len(lines), 0, -1) if _is_code(lines[row - 1])), 0)
    start = end - 1
    while start > 0 and lines[start - 1].rstrip("\r\n").endswith("\\"):
        start -= 1
    magic = _MAGIC.fullmatch("".join(lines[start:end]).replace("\\\n", " ").strip("\r\n")) if end else None
    if magic is None or not _is_silenced(magic[2]):
        return lines
    return [*lines[:start], f"get_ipython().run_line_magic({magic[1]!r}, {magic[2].strip()!r});\n", *lines[end:]]


def give_body(lines: list[str]) -> list[str]:
    """An input transformer of IPython, which calls no cell's magic without a body: `%%hopx_bg --help` gets one.

    Only that: a terminal takes a cell with an empty line at its end for complete.
    """
    asks = len(lines) == 1 and lines[0].startswith("%%hopx_") and {"-h", "--help"} & set(lines[0].split())
    return [*lines, "\n"] if asks else lines


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _is_silenced(line: str) -> bool:
    try:
        words = split_line(line)
    except ValueError:  # a command's quotes are bash's
        return line.rstrip().endswith(";")
    return without_semicolon(words) != words
