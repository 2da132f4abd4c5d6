"""Kernels of notebooks, reached by sockets in a folder: a port that is free when it is chosen may be taken by others
until the kernel binds it.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

from tests.waiting import DEADLINE


@contextlib.contextmanager
def kernel_config() -> Iterator[Config]:
    """The configuration of one kernel that has its sockets in a folder of its own, with a short name."""
    with tempfile.TemporaryDirectory(prefix="hopx-") as folder:
        yield Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


@contextlib.contextmanager
def kernel(folder: Path) -> Iterator[tuple[KernelManager, Any]]:
    """A kernel that works in this folder, and a client of it, both ready."""
    with kernel_config() as config:
        manager = KernelManager(kernel_name="python3", config=config)
        manager.start_kernel(cwd=str(folder))
        client: Any = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=DEADLINE)
            yield manager, client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def run_notebook(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Runs a notebook from top to bottom in a fresh kernel that works in this folder, and returns it."""
    with kernel_config() as config:
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=int(DEADLINE), resources=resources, config=config).execute()
    return notebook
