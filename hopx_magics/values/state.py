"""What a notebook sets in libraries, as far as it is small and known: options, styles, seeds, filters of warnings.

It travels as calls that are made once the process has imported the module: a cell without pandas imports none.
"""

import copy
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
    for collect in _COLLECT:
        with suppress(Exception), warnings.catch_warnings():  # a library won't tell all of its inside
            warnings.simplefilter("ignore")
            calls += collect()
    return calls


def after_of(call: Call) -> str:
    """The module once whose import it is called; nothing for at once."""
    return call.module if call.after is None else call.after


def pickled(parts: tuple[Any, ...]) -> bytes | None:
    """A call as it travels; None for one that can't. What the notebook itself has defined goes by value."""
    parts = parts[:4]  # as a plain tuple: the process doesn't know our types
    with suppress(Exception):
        plain = pickle.dumps(parts, protocol=5)
        if b"__main__" not in plain:
            return plain
    with suppress(Exception):
        import cloudpickle  # type: ignore[import-untyped]

        return bytes(cloudpickle.dumps(parts, protocol=5))
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
        if (name := changed.get("image.cmap")) and name not in module.colormaps._builtin_cmaps:  # seaborn's, say
            yield Call("matplotlib", "colormaps.register", (module.colormaps[name],))
        if changed:
            yield Call("matplotlib", "rcParams.update", (changed,))
        if "matplotlib_inline.backend_inline" in sys.modules and not module.is_interactive():  # plt.ioff()
            yield Call("matplotlib_inline.backend_inline", "matplotlib.interactive", (False,))


def _sympy() -> Iterator[Call]:
    """How `init_printing` lets expressions be shown."""
    if module := sys.modules.get("sympy.core._print_helpers"):
        shown = vars(module.Printable)
        for form in ("_repr_png_", "_repr_svg_", "_repr_latex_"):
            is_off = shown[form] is shown["_repr_disabled"]
            is_own = getattr(shown[form], "__module__", None) == module.__name__ and not is_off
            if not (is_own if form == "_repr_latex_" else is_off):
                args = (module.Printable, form, shown[form])
                yield Call(module.__name__, "Printable.__class__.__setattr__", args, after="sympy")


def _sklearn() -> Iterator[Call]:
    if module := sys.modules.get("sklearn"):
        yield Call("sklearn", "set_config", (), module.get_config())


def _plotly() -> Iterator[Call]:
    if module := sys.modules.get("plotly.io"):
        for name in ("renderers", "templates"):
            yield Call("plotly.io", f"{name}.__setattr__", ("default", getattr(module, name).default))


def _altair() -> Iterator[Call]:
    if module := sys.modules.get("altair"):
        for name in ("data_transformers", "renderers", "theme"):
            registry = getattr(module, name)
            if registry.active != "default" or registry.options:
                yield Call("altair", f"{name}.enable", (registry.active,), dict(registry.options))


_OF_KERNELS = ("asyncio", "comm", "ipykernel", "IPKernelApp", "parso", "tornado", "traitlets")
"""Loggers whose levels kernels set for themselves."""

_LIKE_NEW = {"level": 0, "propagate": True, "handlers": []}
_ROOT_LIKE_NEW = {"level": 30, "propagate": True, "handlers": []}


def _logging() -> Iterator[Call]:
    """Levels and handlers, as a configuration of `logging.config`; handlers other than of streams and files stay."""
    if module := sys.modules.get("logging"):
        known = {name: logger for name, logger in module.root.manager.loggerDict.items() if hasattr(logger, "handlers")}
        handlers: dict[str, Any] = {}
        formatters: dict[str, Any] = {}
        loggers = {
            name: _logger(logger, handlers, formatters)
            for name, logger in {"": module.root, **known}.items()
            if not name.startswith(_OF_KERNELS)
        }
        changed = {name: told for name, told in loggers.items() if told not in (_LIKE_NEW, _ROOT_LIKE_NEW)}
        if changed:
            config = {"version": 1, "disable_existing_loggers": False, "loggers": changed, "handlers": handlers}
            yield Call("logging.config", "dictConfig", ({**config, "formatters": formatters},), after="logging")


def _logger(logger: Any, handlers: dict[str, Any], formatters: dict[str, Any]) -> dict[str, Any]:
    names = []
    for handler in logger.handlers:
        if told := _handler(handler):
            names.append(f"{len(handlers)}")
            handlers[names[-1]] = told
            if handler.formatter is not None:
                told["formatter"] = names[-1]
                formatters[names[-1]] = {"()": copy.copy, "x": handler.formatter}
    return {"level": logger.level, "propagate": logger.propagate, "handlers": names}


def _handler(handler: Any) -> dict[str, Any] | None:
    kind, told = type(handler).__name__, {"level": handler.level}
    if type(handler).__module__ != "logging":
        return None
    if kind == "FileHandler":  # it is opened once something is written
        return {**told, "class": "logging.FileHandler", "filename": handler.baseFilename, "delay": True}
    if kind == "StreamHandler":
        stream = "stdout" if handler.stream is sys.stdout else "stderr"
        return {**told, "class": "logging.StreamHandler", "stream": f"ext://sys.{stream}"}
    return None


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


_COLLECT = (*(_random, _numpy, _pandas, _matplotlib, _sympy, _sklearn, _plotly, _altair, _logging, _decimal, _locale),)
