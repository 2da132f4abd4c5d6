"""What is imported is named in pyproject.toml, and nothing else is."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

OURS = {"hopx_magics", "tests", "hopx_runner"}

WANTED_BY_NAME = {"ipywidgets"}
"""What nothing imports: the live table is one by way of anywidget, and people ask for it by its name."""

TOOLS = {
    *("build", "hatchling", "ipykernel", "jupyterlab", "mypy", "notebook", "pandas-stubs", "pytest-timeout"),
    *("pytest-xdist", "ruff"),
    *("plotly", "scikit-learn", "seaborn", "sympy", "tqdm"),
}
"""What tests start, what works on them, or what cells in notebooks import, without an import here."""


NOT_INSTALLED = {"pynvml": ["nvidia-ml-py"]}
"""What tests do without, and where it comes from."""


def named(requirements: Iterable[str]) -> set[str]:
    """The distributions that requirements name, those of our own extras in place of these."""
    names: set[str] = set()
    for requirement in requirements:
        name, extra = re.findall(r"^([\w-]+)(?:\[(\w+)\])?", requirement)[0]
        names |= named(PROJECT["optional-dependencies"][extra]) if name == "hopx_magics" else {name}
    return names


def imported(folder: str) -> set[str]:
    """The distributions that the modules of a folder import, wherever in a module."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    libraries = {name.partition(".")[0] for name in found} - sys.stdlib_module_names - OURS
    distributions = NOT_INSTALLED | packages_distributions()
    return {distributions[library][0].lower().replace("_", "-") for library in libraries}


NEEDED = named(PROJECT["dependencies"])
EXTRAS = {extra: named(requirements) for extra, requirements in PROJECT["optional-dependencies"].items()}


def test_what_the_package_imports_is_what_it_depends_on() -> None:
    extras = EXTRAS["plot"] | EXTRAS["gpu"] | EXTRAS["optuna"] | EXTRAS["notify"]
    assert imported("hopx_magics") | WANTED_BY_NAME == NEEDED | extras
    assert not NEEDED & extras


def test_what_tests_import_is_named_for_them() -> None:
    assert imported("tests") <= NEEDED | EXTRAS["test"]
    assert EXTRAS["test"] - EXTRAS["plot"] - EXTRAS["notify"] - TOOLS <= imported("tests") - NEEDED
    assert EXTRAS["test"] >= TOOLS
    assert EXTRAS["test-ray"] == {"ray"}, "which is started, and imported by cells of tests alone"
