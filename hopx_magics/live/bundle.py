"""The front end's source as the one module that a widget can have, joined from the files in `page`.

The files are plain ES modules: each import stands on a line of its own, and what a module exports is declared on the
line that exports it. So to join them is to put them in order and to drop these words. Comments, which stand on lines
of their own, and indentation are left out: the source is a part of the widget's state, which some notebooks keep.
"""

import functools
import re
import zlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let) )", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/[ \t]*|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)

STYLES = ("watch.css", "viewers.css")


@functools.cache
def script(name: str = "main.js") -> str:
    """A module with all that it imports, as one: by default the live table."""
    return "\n".join(_in_order(_page(), name, {}).values())


@functools.cache
def styles(*names: str) -> str:
    """Style sheets as one: by default those of the live table."""
    return "\n".join(_bare((_page() / name).read_text()) for name in names or STYLES)


@functools.cache
def program(name: Literal["viewers", "charts"]) -> bytes:
    """A program that a page loads when it is needed: a style sheet and modules, with zero bytes between, deflated."""
    if name == "viewers":
        parts = [styles(), script("lineviewer.js")]
    else:
        vendor = _page() / "vendor"
        library = [(vendor / file).read_text() for file in ("uPlot.min.css", "uPlot.esm.js")]
        parts = [f".hopx-charts {{\n{library[0]}\n}}\n{styles('charts.css')}", library[1], script("charts.js")]
    return zlib.compress("\0".join(parts).encode(), 6)


def _page() -> Traversable:
    return files(__package__ or "").joinpath("page")


def _in_order(folder: Traversable, name: str, done: dict[str, str]) -> dict[str, str]:
    """The sources of a module and of those it imports, these first."""
    text = (folder / name).read_text()
    for imported in _IMPORT.findall(text):
        if imported not in done:
            _in_order(folder, imported, done)
    done[name] = _EXPORT.sub("", _IMPORT.sub("", _bare(text)))
    return done


def _bare(text: str) -> str:
    return _INDENTATION.sub("", _COMMENT.sub("", text))
