"""What a notebook sets in libraries, as far as it is small and known: options, styles, seeds, filters of warnings.

It travels as calls that are made once the process has imported the module: a cell without pandas imports none.
"""

import pickle
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .packed import Call


def library_state() -> list[Call]:
    """What is set here other than libraries have it by themselves."""
    calls = list(_warnings())
    for collect in (_random, _numpy, _pandas, _matplotlib, _inline, _logging, _decimal, _locale):
        with suppress(Exception), warnings.catch_warnings():  # a library won't tell all of its inside
            warnings.simplefilter("ignore")
            calls += collect()
    return calls


def after_of(call: Call) -> str:
    """The module once whose import it is called; nothing for at once."""
    return call.module if call.after is None else call.after


def pickled(call: Call) -> bytes | None:
    """A call as it travels; None for one that can't. What the notebook itself has defined goes by value."""
    with suppress(Exception):
        plain = pickle.dumps(call[:4], protocol=5)
        if b"__main__" not in plain:
            return plain
    with suppress(Exception):
        import cloudpickle  # type: ignore[import-untyped]

        return bytes(cloudpickle.dumps(call[:4], protocol=5))
    return None


_PYTHON_S_OWN: tuple[tuple[str, type[Warning], str | None], ...] = (
    ("default", DeprecationWarning, "__main__"),
    ("ignore", DeprecationWarning, None),
    ("ignore", PendingDeprecationWarning, None),
    ("ignore", ImportWarning, None),
    ("ignore", ResourceWarning, None),
)
"""The filters of warnings that a new Python has: action, category, module."""


def _warnings() -> Iterator[Call]:
    """The filters, where there are others: a warning may come from what imports no `warnings`."""
    found = [one for one in list(warnings.filters) if not one[2].__module__.startswith("IPython.")]
    plain = [(action, category, module) for action, message, category, module, line in found if not (message or line)]
    if len(plain) == len(found) and plain == list(_PYTHON_S_OWN):
        return
    yield Call("warnings", "resetwarnings", after="")
    for action, message, category, module, line in reversed(found):
        after = "" if category.__module__ == "builtins" else category.__module__
        texts = [getattr(part, "pattern", part) or "" for part in (message, module)]
        yield Call("warnings", "filterwarnings", (action, texts[0], category, texts[1], line), after=after)


def _random() -> Iterator[Call]:
    if module := sys.modules.get("random"):
        yield Call("random", "setstate", (module.getstate(),))


def _numpy() -> Iterator[Call]:
    if module := sys.modules.get("numpy"):
        yield Call("numpy", "random.set_state", (module.random.get_state(),))
        yield Call("numpy", "seterr", (), module.geterr())
        options = module.get_printoptions()
        yield Call("numpy", "set_printoptions", (), {key: options[key] for key in options if key != "override_repr"})


def _pandas() -> Iterator[Call]:
    if module := sys.modules.get("pandas"):
        for key, option in vars(sys.modules["pandas._config.config"])["_registered_options"].items():
            value = module.get_option(key)
            if value != option.defval:
                yield Call("pandas", "set_option", (key, value))


def _matplotlib() -> Iterator[Call]:
    if module := sys.modules.get("matplotlib"):
        default = module.rcParamsDefault
        changed = {key: value for key, value in module.rcParams.items() if value != default[key] and key != "backend"}
        if changed:
            yield Call("matplotlib", "rcParams.update", (changed,))


def _inline() -> Iterator[Call]:
    """In which formats figures are shown: `%config InlineBackend.figure_format = "retina"`."""
    if module := sys.modules.get("matplotlib_inline.config"):
        backend, names = module.InlineBackend.instance(), ("figure_formats", "print_figure_kwargs", "close_figures")
        set_here = {name: getattr(backend, name) for name in names if name in backend.trait_values()}
        yield Call("matplotlib_inline.config", "InlineBackend.instance", (), set_here)


def _logging() -> Iterator[Call]:
    """What `logging.basicConfig` has set, as far as it is for stderr."""
    import logging

    root = logging.root
    handler = next((handler for handler in root.handlers if type(handler) is logging.StreamHandler), None)
    if handler is None:
        return
    form = handler.formatter or logging.Formatter()
    kinds: Any = {kind: style for style, (kind, _) in logging._STYLES.items()}
    options = {"level": root.level, "format": form._fmt, "datefmt": form.datefmt, "style": kinds[type(form._style)]}
    yield Call("logging", "basicConfig", (), options)


def _decimal() -> Iterator[Call]:
    if module := sys.modules.get("decimal"):
        context = module.getcontext()
        if repr(context) != repr(module.DefaultContext):
            yield Call("decimal", "setcontext", (context,))


def _locale() -> Iterator[Call]:
    import locale

    for category in (locale.LC_NUMERIC, locale.LC_TIME, locale.LC_COLLATE, locale.LC_MONETARY):
        if (name := locale.setlocale(category)) != "C":
            yield Call("_locale", "setlocale", (category, name), after="")  # for what imports no `locale`, too
