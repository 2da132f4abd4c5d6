"""The map in CONTRIBUTING.md: each file of the package by the words that it opens with, and each folder of tests.

`python -m tests.test_map` draws the package's part of it anew.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.contributing import FILE, ROOT, section, table

PACKAGE = ROOT / "hopx_magics"


def drawn() -> str:
    """The map of the package as its files tell it."""
    return "\n".join(f"| `{_place(path)}` | {_opening(path)} |" for path in _files(PACKAGE) if _opening(path))


def _files(folder: Path) -> Iterator[Path]:
    """All files, each folder's `__init__.py` first and its folders last. What others made: its README alone."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name != "__init__.py", path.name)):
        if path.name == "vendor":
            yield path / "README.md"
        else:
            yield from _files(path) if path.is_dir() else [path]


def _place(path: Path) -> str:
    """Where a file stands, its folder for that of a folder."""
    return re.sub("/(__init__.py|README.md)$", "/", str(path.relative_to(PACKAGE)))


def _opening(path: Path) -> str:
    """The first paragraph of a file, on one line; nothing for a file that has no words of its own."""
    comment = None
    if path.suffix in (".py", ".pyi"):
        return " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0].split())
    if path.suffix == ".md":
        return path.read_text().split("\n\n")[1].partition(". ")[0] + "."
    if path.suffix in (".js", ".css"):
        comment = re.match(r"/\*\*?(.*?)(\n \*\n|\*/)", path.read_text(), re.DOTALL)
    elif path.suffix == ".sh":
        comment = re.match(r"#(.*?)\n#?\n", path.read_text(), re.DOTALL)
    return " ".join(re.sub(r"\n( \*|#)", "\n", comment[1]).split()) if comment else ""


def test_the_map_is_the_tree() -> None:
    rows = re.findall(r"^\| `.*$", section("The package"), re.MULTILINE)
    assert rows == drawn().splitlines(), "python -m tests.test_map draws it anew"


def test_every_module_is_on_the_map() -> None:
    modules = {_place(path) for path in _files(PACKAGE) if path.suffix in (".py", ".pyi", ".js", ".css", ".sh", ".md")}
    assert table("The package").keys() == modules


def test_every_folder_of_tests_is_on_the_map() -> None:
    files = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.*") if path.suffix in (".py", ".json", ".js")]
    folders = {f"{path.parent}/" for path in files if "node_modules" not in path.parts}
    assert table("The tests").keys() == folders


if __name__ == "__main__":
    rows = re.findall(r"^\| `.*$", section("The package"), re.MULTILINE)
    FILE.write_text(FILE.read_text().replace("\n".join(rows), drawn()))
