"""Imports go one way, and loading the extension imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contributing import table, words_in

PACKAGE = Path(__file__).parent.parent / "hopx_magics"

ALLOWED = {part: words_in(cell) for part, cell in table("Layers").items()}
"""For each part of the package, the parts that it may import, besides `words`, which all may."""

HOMES = {library: words_in(cell) for library, cell in table("Libraries with a home").items()}
"""Libraries that only these parts of the package may import."""


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Full names of what a module imports, those for type checkers only excepted."""
    names: set[str] = set()
    package = ["hopx_magics", *path.relative_to(PACKAGE).parts[:-1]]

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.update([module] if node.module else [f"{module}.{alias.name}" for alias in node.names])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


MODULES = sorted(PACKAGE.rglob("*.py"))


def parts_imported_by(path: Path) -> set[str]:
    """The other parts of the package that a module imports."""
    names = [name.split(".") for name in imports_of(path)]
    return {words[1] for words in names if words[0] == "hopx_magics" and len(words) > 1} - {part_of(path), "words"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    assert parts_imported_by(path) <= ALLOWED[part]
    if part == "runner":
        return  # a program of its own, which imports what cells need
    for library in {name.split(".")[0] for name in imports_of(path)}:
        assert part in HOMES.get(library, {part}), f"only {HOMES[library]} imports {library}"


def test_each_part_imports_only_from_those_above_it() -> None:
    above: set[str] = set()
    for part, allowed in ALLOWED.items():
        assert allowed <= above, part
        above.add(part)


def test_nothing_is_allowed_that_nobody_needs() -> None:
    needed: dict[str, set[str]] = {part_of(path): set() for path in MODULES}
    libraries: set[str] = set()
    for path in MODULES:
        needed[part_of(path)] |= parts_imported_by(path)
        libraries |= {name.split(".")[0] for name in imports_of(path)}
    assert needed == ALLOWED
    assert libraries >= HOMES.keys()


def imported_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running `code`."""
    script = f"import sys\n{code}\nprint(chr(10).join(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_extension_loads_nothing_heavy() -> None:
    shell = "from IPython.core.interactiveshell import InteractiveShell; s = InteractiveShell.instance()\n"
    new = imported_by(shell + "s.run_line_magic('load_ext', 'hopx_magics')") - imported_by(shell)
    heavy = {
        "pandas",
        "numpy",
        "httpx",
        "msgspec",
        "ipywidgets",
        "anywidget",
        "rich",
        "starlette",
        "uvicorn",
        "matplotlib",
        "ssl",
    }
    assert not {name.split(".")[0] for name in new} & heavy


def test_the_package_itself_imports_nothing() -> None:
    assert {name for name in imported_by("import hopx_magics") if name.startswith("hopx_magics")} == {"hopx_magics"}


def test_the_words_cost_nothing() -> None:
    new = imported_by("import hopx_magics.words") - imported_by("import hopx_magics")
    assert {name for name in new if name.startswith("hopx_magics")} == {"hopx_magics.words"}
    assert not new & {"msgspec", "pandas"}


def test_the_local_agent_imports_no_client_and_no_pandas() -> None:
    modules = imported_by("import hopx_magics.local_agent.__main__, hopx_magics.local_agent.app")
    assert not modules & {"httpx", "pandas", "IPython", "hopx_magics.client", "hopx_magics.session"}


def test_the_first_use_draws_no_random_number() -> None:
    seeded = "import random\nrandom.seed(1)\nimport hopx_magics as hopx\nhopx.ps, hopx.watch, hopx.map\n"
    same = "assert random.random() == random.Random(1).random()"
    assert "rich.console" in imported_by(seeded + same), "which draws one when it is imported"
