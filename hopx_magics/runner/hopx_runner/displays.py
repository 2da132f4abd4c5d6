"""How a notebook shows a value, where that takes no IPython."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_PLAIN = (str, bytes, int, float, complex, bool)
_BY_IPYTHON = ("builtins", "collections", "types", "functools")
_FORMS = ("mimebundle", "png", "svg", "jpeg", "latex", "markdown", "json", "javascript", "pdf", "pretty")
_RICH = ("_ipython_display_", *[f"_repr_{form}_" for form in _FORMS])


def needs_shell(value: "Any") -> bool:
    """Whether IPython, where there is one, shows it in another way than by its repr, and its HTML if it has any."""
    kind = type(value)
    if kind in _PLAIN:
        return False
    from importlib.util import find_spec

    is_other = kind.__module__.startswith((*_BY_IPYTHON, "matplotlib.")) or kind.__repr__ is object.__repr__  # type: ignore[comparison-overlap]
    return (is_other or any(hasattr(kind, name) for name in _RICH)) and find_spec("IPython") is not None


def html_of(value: "Any") -> "Mapping[str, str]":
    html = value._repr_html_() if hasattr(type(value), "_repr_html_") else None
    return {"text/html": html} if isinstance(html, str) else {}
