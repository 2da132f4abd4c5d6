"""How a notebook shows a value, where that takes no IPython."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .watch import Watch

_PLAIN = (str, bytes, int, float, complex, bool)
_WIDTH = 79
_BY_IPYTHON = ("builtins", "collections", "types", "functools", "re")
_FORMS = ("mimebundle", "png", "svg", "jpeg", "latex", "markdown", "json", "javascript", "pdf", "pretty")
_KINDS = {
    "html": "text/html",
    "markdown": "text/markdown",
    "latex": "text/latex",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "json": "application/json",
    "mimebundle": "",
}
_RICH = ("_ipython_display_", *[f"_repr_{form}_" for form in _FORMS])


def has_ipython() -> bool:
    from importlib.util import find_spec

    return find_spec("IPython") is not None


def needs_shell(value: "Any") -> bool:
    """Whether IPython, where there is one, shows it in another way than by its repr, and its HTML if it has any."""
    kind = type(value)
    if kind in _PLAIN or (kind in (list, tuple, dict) and _is_one_line(value)):
        return False
    is_rich = any(hasattr(kind, name) for name in _RICH)
    return (is_rich or _is_pretty(kind)) and has_ipython()


def _is_pretty(kind: type) -> bool:
    """Whether IPython has a form of its own for it: it takes the first class that has one, or a repr."""
    for base in kind.__mro__:
        if base.__module__.startswith((*_BY_IPYTHON, "matplotlib.")):
            return base is not object or kind.__repr__ is object.__repr__  # type: ignore[comparison-overlap]
        if "__repr__" in vars(base):
            return False
    return False


def _is_one_line(value: "Any") -> bool:
    """Whether plain values in a list, say, are so short that IPython shows them by their repr, too."""
    if len(value) > _WIDTH // 2:
        return False
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return all(type(part) in _PLAIN or part is None for part in parts) and len(repr(value)) <= _WIDTH


def bundle_of(value: "Any") -> "dict[str, Any]":
    """The forms in which a value says that it can be shown, with its repr."""
    bundle: dict[str, Any] = {"text/plain": repr(value)}
    for form, kind in _KINDS.items():
        name = f"_repr_{form}_"
        content = getattr(value, name)() if hasattr(type(value), name) else None
        content = content[0] if isinstance(content, tuple) else content  # behind it is metadata
        bundle.update(content or {} if form == "mimebundle" else {kind: content} if content is not None else {})
    return bundle


def figures() -> "Iterator[dict[str, Any]]":
    """The open figures of matplotlib, as pictures, which closes them."""
    import io

    pyplot: Any = sys.modules["matplotlib.pyplot"]
    for number in pyplot.get_fignums():
        content = io.BytesIO()
        figure = pyplot.figure(number)
        figure.savefig(content, format="png", bbox_inches="tight")
        yield {"text/plain": repr(figure), "image/png": content.getvalue()}
        pyplot.close(figure)


def show_as_notebook(watch: "Watch") -> None:
    """Lets libraries that look for a notebook show things as in one."""
    watch.then("pandas.io.formats.console", _tell_of_notebook)
    watch.then("pandas", lambda pandas: pandas.set_option("display.max_columns", 20))  # none in terminals
    watch.then("plotly.io._renderers", _choose_renderer)


class _Zmq:
    """What pandas takes for the shell of a notebook, by the name of this class and by its kernel."""

    kernel = None


def _tell_of_notebook(console: "Any") -> None:
    console.__IPYTHON__ = True
    console.get_ipython = _Zmq


def _choose_renderer(plotly: "Any") -> None:
    """Lets plotly give figures as data, which pages that know it draw, not as HTML with all of its program."""
    if plotly.renderers.default in ("browser", "plotly_mimetype+notebook") and not plotly.env_renderer:
        plotly.renderers.default = "plotly_mimetype"
