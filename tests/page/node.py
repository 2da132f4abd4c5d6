"""Node, with what the page's tests need in it. Where it is missing they are skipped, but not under CI."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"


def node() -> str:
    """Where node is."""
    return shutil.which("node") or _missing("no node: apt-get install nodejs npm")


def packages() -> Path:
    """Where the npm packages of the page's tests are."""
    if not (PACKAGES / "typescript").exists():
        _missing("no packages of the page's tests: npm install --no-package-lock --prefix tests/page")
    return PACKAGES


def run(*arguments: str | Path) -> str:
    """Runs node, and returns what it printed. Fails with that where it fails."""
    done = subprocess.run([node(), *map(str, arguments)], capture_output=True, text=True, cwd=HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _missing(what: str) -> NoReturn:
    required = os.environ.get("CI") or os.environ.get("HOPX_REQUIRE_NODE")
    pytest.fail(what) if required else pytest.skip(what)
