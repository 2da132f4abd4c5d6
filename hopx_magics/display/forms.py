"""In which form a page shows one output of a cell, so that it stays harmless whatever a process has made of it.

Text is text, and pictures are pictures, SVG among them. Tables and Markdown are written anew. All other HTML is for a
frame that reaches nothing of the page, and in which no script runs unless somebody asks for that.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from .plain_html import plain_html

Output = Mapping[str, Any]


class Text(NamedTuple):
    """Text as a terminal gets it, with its colours."""

    text: str


class Picture(NamedTuple):
    """A picture: its address holds all of it. Sizes are in pixels."""

    address: str
    width: int | None = None
    height: int | None = None


class Markup(NamedTuple):
    """HTML that is nothing but text in tables, lists and paragraphs."""

    html: str


class Frame(NamedTuple):
    """A document for a frame of its own, and about how many pixels high that is to be."""

    document: str
    height: int
    scripts: bool


Form = Text | Picture | Markup | Frame

SANDBOX: Literal[""] = ""
"""What a frame may do: nothing, so that nothing in it runs, and it has no part in the page's origin."""

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_SAFE_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_SCRIPT = re.compile(r"<script[\s/>]", re.IGNORECASE)
_LONGEST_MARKDOWN = 200_000
_LONGEST_FRAME = 480
"""Pixels of a frame's height; what is higher scrolls in it."""

_FROM_OUTSIDE = "data: blob: https:"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"img-src {_FROM_OUTSIDE}",
        f"font-src {_FROM_OUTSIDE}",
        f"media-src {_FROM_OUTSIDE}",
        "style-src 'unsafe-inline' https:",
        "script-src 'unsafe-inline' 'unsafe-eval' blob: https:",
    )
)
"""What a frame may load: what it shows, and its scripts in case somebody lets them run. It can't tell anybody much."""

_STYLE = (
    "body{font:13px sans-serif;margin:4px}table{border-collapse:collapse}"
    "td,th{padding:3px 8px;text-align:right}tbody tr:nth-child(odd){background:#8882}img{max-width:100%}"
)
_HEAD = (
    f'<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    f'<meta name="color-scheme" content="light dark"><style>{_STYLE}</style>'
)


def form_of(output: Output) -> Form:
    """The form in which a page shows an output."""
    data = output.get("data") if output.get("output_type") in ("display_data", "execute_result") else None
    return (_form_of_data(data, output.get("metadata")) if isinstance(data, Mapping) else None) or Text(text_of(output))


def text_of(output: Output) -> str:
    """What a terminal can show of an output."""
    if output.get("output_type") == "stream":
        return joined(output.get("text"))
    if output.get("output_type") == "error":
        return "\n".join(map(str, output.get("traceback") or ()))
    data = output.get("data")
    data = data if isinstance(data, Mapping) else {}
    return _source(data) or joined(data.get("text/plain")) or f"[{', '.join(map(str, data)) or 'nothing'}]"


def joined(text: Any) -> str:
    """The text of an output, which nbformat lets be a list of lines."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text or "")


def _form_of_data(data: Mapping[str, Any], metadata: Any) -> Form | None:
    for kind in _PICTURES:
        if kind in data and _SAFE_BASE64.fullmatch(content := joined(data[kind])):
            return Picture(f"data:{kind};base64,{''.join(content.split())}", *_sizes(metadata, kind))
    if "image/svg+xml" in data:
        content = base64.b64encode(joined(data["image/svg+xml"]).encode(errors="replace")).decode()
        return Picture(f"data:image/svg+xml;base64,{content}")
    if "text/html" in data:
        return _form_of_html(joined(data["text/html"]))
    if "text/markdown" in data and len(content := joined(data["text/markdown"])) <= _LONGEST_MARKDOWN:
        return _form_of_html(_html_of_markdown(content))
    return None


def _form_of_html(content: str) -> Markup | Frame:
    plain = plain_html(content)
    return _frame(content) if plain is None else Markup(plain)


def _html_of_markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def _source(data: Mapping[str, Any]) -> str:
    """What stands for an object whose repr tells nothing."""
    for kind in ("text/markdown", "text/latex"):
        if kind in data:
            return joined(data[kind])
    if "application/json" in data:
        return json.dumps(data["application/json"], indent=2, ensure_ascii=False, default=str)
    return ""


def _sizes(metadata: Any, kind: str) -> tuple[int | None, int | None]:
    told = metadata.get(kind) if isinstance(metadata, Mapping) else None
    size: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    return _pixels(size.get("width")), _pixels(size.get("height"))


def _pixels(value: Any) -> int | None:
    return round(value) if isinstance(value, int | float) and 0 < value < 100_000 else None


def _frame(content: str) -> Frame:
    """A frame of about the height of what is in it: nothing in it can run to measure itself."""
    rows = content.count("<tr") or content.count("<br") + content.count("<p") + content.count("\n") // 3 + 1
    height = min(_LONGEST_FRAME, 40 + 24 * rows)
    return Frame(_HEAD + content, height, _SCRIPT.search(content) is not None)
