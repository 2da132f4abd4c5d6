"""The page's own tests, run by node: its modules without a browser, and the types of all of it."""

from pathlib import Path

import pytest

from tests.page.node import HERE, packages, run

TESTS = sorted(HERE.glob("*.test.js"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_in_node(path: Path) -> None:
    if '"linkedom"' in path.read_text():
        packages()
    told = run("--test", path)
    assert "# fail 0" in told
    assert "# tests 0" not in told


def test_types() -> None:
    run(packages() / "typescript" / "bin" / "tsc", "--project", HERE)
