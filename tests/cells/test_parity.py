"""Cells as people write them, each once with %%hopx_bg on top and once without: they show the same, or README says why.

Below `differs` in the notebook stands of such a cell what README says of it, and below `same_as_fork` that it does not
differ where it is a fork.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from hopx_magics.settings import Settings
from tests import kernels

CELLS = nbformat.read(Path(__file__).with_name("what_people_write.ipynb"), 4).cells
README = (Path(__file__).parents[2] / "README.md").read_text()


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks a kernel")


class Seen(NamedTuple):
    """What a person sees of a cell: its displays in their order with what it prints between them, and its error."""

    shown: list[Any]
    stderr: str
    error: Any


@pytest.fixture
def kernel(state: Settings, tmp_path: Path) -> Iterator[BlockingKernelClient]:
    with kernels.kernel(tmp_path) as (_, client):
        yield client


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("option", ["", pytest.param("--fork", marks=ON_LINUX)])
def test_cells_show_in_the_background_what_they_show_in_the_foreground(
    kernel: BlockingKernelClient, option: str
) -> None:
    run(kernel, "%load_ext hopx_magics", silent=True)
    there, here = [], []
    for number, cell in enumerate(CELLS):
        there.append(launched(kernel, number, f"{option}\n{cell.source}"))
        here.append(seen(run(kernel, cell.source)))
    different = {}
    for number, cell in enumerate(CELLS):
        background = there[number] or outcome(kernel, number)
        if background != here[number]:
            different[cell.source] = (background, here[number])
    differing = [
        cell for cell in CELLS if "differs" in cell.metadata and not (option and "same_as_fork" in cell.metadata)
    ]
    listed = {cell.source: cell.metadata.differs for cell in differing}
    unlisted = {source: both for source, both in different.items() if source not in listed}
    assert unlisted == {}
    assert listed.keys() == different.keys(), "listed, and no longer different"
    assert [words for words in listed.values() if words not in README] == []


def launched(kernel: BlockingKernelClient, number: int, source: str) -> str:
    """Launches a cell: why it is refused, nothing when it isn't."""
    outputs = run(kernel, f"%%hopx_bg -q -o run_{number} {source}", silent=True)
    return "".join(output["evalue"] for output in outputs if output["output_type"] == "error")


def outcome(kernel: BlockingKernelClient, number: int) -> Seen:
    code = f"import json\nprint(json.dumps(run_{number}.wait().outputs()))"
    (output,) = run(kernel, code, silent=True)
    return seen(json.loads(output["text"]))


def run(kernel: BlockingKernelClient, code: str, silent: bool = False) -> list[dict[str, Any]]:
    """The outputs of code in the notebook's kernel, as a notebook keeps them."""
    outputs: list[dict[str, Any]] = []

    def take(message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            outputs.clear()
        elif kind == "update_display_data":
            identity = content["transient"]["display_id"]
            for output in outputs:
                if output.get("transient", {}).get("display_id") == identity:
                    output.update(data=content["data"])
        elif kind in ("stream", "display_data", "execute_result", "error"):
            outputs.append({"output_type": kind, **content})

    kernel.execute_interactive(code, store_history=not silent, allow_stdin=False, output_hook=take, timeout=600)
    joined: list[dict[str, Any]] = []
    for output in outputs:
        if joined and output.get("name") == joined[-1].get("name") and output["output_type"] == "stream":
            joined[-1]["text"] += output["text"]
        else:
            joined.append(output)
    return joined


def seen(outputs: list[dict[str, Any]]) -> Seen:
    shown: list[Any] = []
    stderr, error = "", None
    for output in outputs:
        if output["output_type"] == "error":
            error = output["ename"], output["evalue"]
        elif output["output_type"] == "execute_result" or output["output_type"] == "display_data":
            data = {kind: comparable(kind, content) for kind, content in output["data"].items()}
            shown.append((output["output_type"], data, output.get("metadata") or {}))
        elif output["name"] == "stderr":
            stderr += output["text"]
        elif shown and isinstance(shown[-1], str):
            shown[-1] += output["text"]
        else:
            shown.append(output["text"])
    return Seen(shown, stderr.strip() if error is None else "", error)  # the notebook has the traceback elsewhere


def comparable(kind: str, content: Any) -> Any:
    """A content without addresses, ids and times; a picture by its hash."""
    if kind.startswith("image/"):
        return hashlib.sha256(content.encode()).hexdigest()
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return re.sub(r"0x[0-9a-f]+|sk-[\w-]+-id-\d+|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "...", text)
