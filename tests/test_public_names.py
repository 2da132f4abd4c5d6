"""The public names of the package."""

import ast
import re
from inspect import getmembers, isfunction
from pathlib import Path
from types import ModuleType

import hopx_magics as hopx

FOREIGN = {
    *("Any", "Callable", "DataFrame", "Iterable", "Iterator", "Literal", "Mapping", "None", "Path", "PathLike"),
    *("RunId", "Sequence", "Space", "Study", "Trial"),
}
"""What is not a class of ours; a RunId is a text, Study and Trial are those of optuna."""


def test_every_public_name_exists_and_is_documented() -> None:
    for name in hopx.__all__:
        value = getattr(hopx, name)
        assert name in dir(hopx)
        if callable(value):
            assert value.__doc__, name


def test_no_other_public_name() -> None:
    public = {
        name for name, value in vars(hopx).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    hooks = {"load_ipython_extension", "unload_ipython_extension", "TYPE_CHECKING", "Any", "import_module"}
    assert public - hooks <= set(hopx._HOMES)


def test_type_checkers_know_the_same_names() -> None:
    stub = ast.parse(Path(hopx.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom) and node.level]
    assert {alias.name: node.module for node in imports for alias in node.names} == hopx._HOMES


def test_what_public_functions_take_and_return_is_public() -> None:
    """Classes of ours in the signatures of public functions, and of methods of runs and sweeps, have public names."""
    public = set(hopx.__all__)
    for name in hopx.__all__:
        value = getattr(hopx, name)
        functions = getmembers(value, isfunction) if value in (hopx.Run, hopx.Sweep) else [(name, value)]
        for called, function in functions:
            if called.startswith("_") or not isfunction(function) or not function.__module__.startswith("hopx_magics"):
                continue
            for hint in map(str, function.__annotations__.values()):
                for word in re.findall(r"\b[A-Z]\w+", hint):
                    assert word in public | FOREIGN, f"{name}: {called} speaks of {word}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(hopx, "nothing_of_that_name")
