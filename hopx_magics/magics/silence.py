"""What is done to a cell's text before IPython runs it: `;` behind a magic silences, and a cell's magic needs no body.

IPython knows a silenced expression by the last token of the code that it runs, in which the line of a magic is only a
string. So a silenced magic on the last line of a cell is written as the call that it stands for.
"""

import re

_SILENCED = re.compile(r"^%(hopx_\w+)[ \t]*(.*?)[ \t]*;\s*$")


def silence_magic(lines: list[str]) -> list[str]:
    """An input transformer of IPython: leaves all cells alone but those that end with a silenced magic of ours."""
    if not lines or lines[0].startswith("%%"):
        return lines
    found = _SILENCED.match(lines[-1])
    if found is None:
        return lines
    return [*lines[:-1], f"get_ipython().run_line_magic({found[1]!r}, {found[2]!r});\n"]


def give_body(lines: list[str]) -> list[str]:
    """An input transformer of IPython, which calls no cell's magic without a body: `%%hopx_bg --help` gets one.

    Only that: a terminal takes a cell with an empty line at its end for complete.
    """
    asks = len(lines) == 1 and lines[0].startswith("%%hopx_") and {"-h", "--help"} & set(lines[0].split())
    return [*lines, "\n"] if asks else lines
