"""Notebooks whose kernels are forked."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from hopx_magics.settings import Settings
from tests import kernels
from tests.waiting import DEADLINE


class Notebook:
    """A notebook in its kernel."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    @property
    def pid(self) -> int:
        """The kernel's."""
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, cell: str) -> str:
        """What a cell has printed and shown as text; fails where it raises."""
        shown: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "error":
                pytest.fail("\n".join(content["traceback"]))
            if message["msg_type"] in ("stream", "display_data", "execute_result"):
                shown.append(content.get("text") or content["data"]["text/plain"])

        self.client.execute_interactive(cell, allow_stdin=False, output_hook=take, timeout=DEADLINE)
        return "".join(shown)

    def value(self, expression: str) -> Any:
        """The value of an expression, which has to be a literal."""
        return ast.literal_eval(self.run(f"print(repr(({expression})))"))


@pytest.fixture
def notebook(state: Settings, tmp_path: Path) -> Iterator[Notebook]:
    with kernels.kernel(tmp_path) as (manager, client):
        notebook = Notebook(manager, client)
        notebook.run("%load_ext hopx_magics\nimport hopx_magics as hopx, os, sys, time, threading")
        yield notebook
