"""What a cell has shown, as a notebook shows it: text, pictures, tables. What is not harmless is kept apart.

A process may show anything. Text and pictures are shown as they are, tables are written anew; other HTML is shown in a
frame that runs no script and reaches nothing of the page, and SVG as the picture that it is.
"""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..output.shown import as_plain
from .plain_html import plain_html

Output = Mapping[str, Any]

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_SAFE_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_LONGEST_FRAME = 480
"""Pixels of a frame's height; what is higher scrolls in it."""

_PRE = '<pre style="margin:.3em 0;white-space:pre-wrap">{}</pre>'


class CellOutput:
    """All that a cell has shown, which shows itself."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.outputs = list(outputs)

    def __repr__(self) -> str:
        return outputs_as_text(self.outputs)

    def _repr_html_(self) -> str:
        return outputs_as_html(self.outputs)


def outputs_as_text(outputs: Sequence[Output]) -> str:
    """What a terminal can show of them."""
    return "\n".join(text for output in outputs if (text := _text(output).rstrip("\n")))


def outputs_as_html(outputs: Sequence[Output]) -> str:
    """What a page shows of them, harmless whatever they are."""
    return "".join(_html(output) for output in outputs)


def _text(output: Output) -> str:
    if output["output_type"] == "stream":
        return as_plain(_joined(output.get("text")))
    if output["output_type"] == "error":
        return as_plain("\n".join(map(str, output.get("traceback") or ())))
    data = output.get("data") or {}
    return as_plain(_joined(data.get("text/plain"))) or f"[{', '.join(map(str, data)) or 'nothing'}]"


def _html(output: Output) -> str:
    data = output.get("data") if output["output_type"] in ("display_data", "execute_result") else None
    if isinstance(data, Mapping):
        for kind in _PICTURES:
            if kind in data and _SAFE_BASE64.fullmatch(content := _joined(data[kind])):
                return _picture(kind, content, output.get("metadata") or {})
        if "image/svg+xml" in data:
            content = base64.b64encode(_joined(data["image/svg+xml"]).encode()).decode()
            return _picture("image/svg+xml", content, {})
        if "text/html" in data:
            content = _joined(data["text/html"])
            return plain_html(content) or _frame(content)
    text = _text(output).strip("\n")
    return _PRE.format(html.escape(text)) if text else ""


def _picture(kind: str, content: str, metadata: Mapping[str, Any]) -> str:
    told = metadata.get(kind)
    size: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    sizes = "".join(f' {name}="{size[name]:.0f}"' for name in ("width", "height") if _is_number(size.get(name)))
    clean = "".join(content.split())
    return f'<div><img alt="figure" style="max-width:100%" src="data:{kind};base64,{clean}"{sizes}></div>'


def _frame(content: str) -> str:
    """A frame of about the height of what is in it: nothing in it can run to measure itself."""
    rows = content.count("<tr") or content.count("<br") + content.count("<p") + content.count("\n") // 3 + 1
    height = min(_LONGEST_FRAME, 40 + 24 * rows)
    style = "<style>body{font:13px sans-serif;margin:4px}table{border-collapse:collapse}td,th{padding:3px 8px;"
    style += "text-align:right}tbody tr:nth-child(odd){background:#8882}:root{color-scheme:light dark}</style>"
    return (
        f'<iframe sandbox="" style="border:0;width:100%;height:{height}px;resize:vertical" '
        f'srcdoc="{html.escape(style + content)}"></iframe>'
    )


def _joined(text: Any) -> str:
    """The text of an output, which nbformat lets be a list of lines."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text or "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < 100_000
