"""What is to be done with modules once they are imported."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Watch:
    """Does something to modules once they are imported, and nothing to those that aren't."""

    def __init__(self) -> None:
        self._actions: dict[str, list[Callable[[ModuleType], object]]] = {}

    def then(self, name: str, action: "Callable[[ModuleType], object]") -> None:
        """Does `action` with the module `name` as soon as it is there."""
        if name in sys.modules:
            action(sys.modules[name])
        else:
            self._actions.setdefault(name, []).append(action)

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Finds nothing itself: it lets others find, and is told when what they found is loaded."""
        if name == "matplotlib":
            from .shell import prefer_inline

            prefer_inline()
        actions = self._actions.pop(name, None)
        if actions is None:
            return None
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def exec_module(module: "ModuleType") -> None:
            load(module)
            for action in actions:
                action(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
