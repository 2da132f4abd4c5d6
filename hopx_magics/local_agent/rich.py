"""What code has displayed beside its text, in the fields that the agent API has for it."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..results import FolderHere, Results, as_outputs

MOST = 20_000_000
"""Bytes of displays that a reply has: the last ones."""

_FIELDS = {
    "image/png": "png",
    "text/html": "html",
    "application/json": "json",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
}
_FORMATS = {"image/png": "base64", "text/html": "html", "application/json": "json"}
_PLOTLY = "application/vnd.plotly.v1+json"


def rich_fields(folder: Path) -> dict[str, Any]:
    """The fields of a reply that tell what the code in a folder has displayed: of each kind the last one.

    `result` is the text of its last expression, `rich_outputs` has all pictures, HTML and JSON in their order.
    """
    try:
        outputs = as_outputs({}, _last_displays(folder))
        kinds = [kind for output in outputs for kind in _kinds(output)]
        fields = {_FIELDS[kind]: content for kind, content, _ in kinds if kind in _FIELDS}
        rich = [_rich_output(*kind) for kind in kinds if kind[0] in _FORMATS]
        return {**_result(outputs), **fields, **({"rich_outputs": rich} if rich else {})}
    except (AttributeError, KeyError, TypeError, ValueError):  # the code itself may have written there
        return {}


def _last_displays(folder: Path) -> list[dict[str, Any]]:
    displays: deque[tuple[dict[str, Any], int]] = deque()
    begin = size = 0
    for display, end in Results(FolderHere(folder / "out"), "").displayed():
        displays.append((display, end - begin))
        size += end - begin
        begin = end
        while size > MOST:
            size -= displays.popleft()[1]
    return [display for display, _ in displays]


def _result(outputs: list[dict[str, Any]]) -> dict[str, str]:
    texts = [output["data"].get("text/plain") for output in outputs if output["output_type"] == "execute_result"]
    return {"result": texts[-1]} if texts and isinstance(texts[-1], str) else {}


def _kinds(output: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Each kind in which something was displayed, with its content and its source."""
    data = output.get("data") or {}
    for kind, content in data.items():
        if kind == _PLOTLY:
            yield "application/json", content, "plotly"
        elif kind == "application/json" and not isinstance(content, dict):
            continue  # by the API it is an object
        elif kind in _FIELDS:
            yield kind, content.strip() if kind == "image/png" else content, _source(kind, data)


def _source(kind: str, data: Mapping[str, Any]) -> str:
    if kind == "image/png" and str(data.get("text/plain")).startswith("<Figure"):
        return "matplotlib"
    if kind == "text/html" and 'class="dataframe"' in data[kind]:
        return "pandas"
    return "other"


def _rich_output(kind: str, content: Any, source: str) -> dict[str, Any]:
    size = len(content if isinstance(content, str) else json.dumps(content))
    return {
        "type": kind,
        "format": _FORMATS[kind],
        "data": content,
        "metadata": {"source": source, "size": size},
    }
